"""What every answer tells browsers to keep from doing."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# JSON, audio and pictures have no business in running anything.
_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# The interactive documentation runs what we serve ourselves, and nothing that stands in it. Swagger UI puts
# style sheets in as it goes, and its icons as data. The page for people has a stricter policy of its own.
_DOCUMENTATION = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_POLICY = "Content-Security-Policy"
_ALWAYS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# For this name only: other services of the same machine may still be plain. A month, so that a mistake mends.
_STAY_WITH_HTTPS = "max-age=2592000"


def protection(path: str, *, scheme: str = "http") -> dict[str, str]:
    """Return the headers for an answer at `path` (below ROOT_PATH)."""
    is_documentation = path == "/docs" or path.startswith("/docs/")
    headers = {_POLICY: _DOCUMENTATION if is_documentation else _NOTHING, **_ALWAYS}
    return {**headers, "Strict-Transport-Security": _STAY_WITH_HTTPS} if scheme == "https" else headers


class Protection:
    """Adds those headers to every answer, and `no-store` where an answer doesn't say how long it keeps.

    Only the Content-Security-Policy may be an answer's own.
    """

    def __init__(self, app: ASGIApp, *, root_path: str = "") -> None:
        self.app = app
        self.root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through (ASGI)."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path, scheme = scope["path"].removeprefix(self.root_path), scope["scheme"]

        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                own_policy = headers.get(_POLICY)
                headers.update(protection(path, scheme=scheme))
                if own_policy is not None:
                    headers[_POLICY] = own_policy
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self.app(scope, receive, send_protected)
