"""What every answer tells browsers to keep from doing."""

from functools import cache

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
_MAY_BE_OWN = {b"content-security-policy", b"cache-control"}
# For this name only: other services of the same machine may still be plain. A month, so that a mistake mends.
_STAY_WITH_HTTPS = "max-age=2592000"


def protection(path: str, *, scheme: str = "http") -> dict[str, str]:
    """Return the headers for an answer at `path` (below ROOT_PATH)."""
    return _headers(_policy(path), scheme)


def _policy(path: str) -> str:
    return _DOCUMENTATION if path == "/docs" or path.startswith("/docs/") else _NOTHING


def _headers(policy: str, scheme: str) -> dict[str, str]:
    headers = {_POLICY: policy, **_ALWAYS}
    return {**headers, "Strict-Transport-Security": _STAY_WITH_HTTPS} if scheme == "https" else headers


@cache
def _on_the_wire(policy: str, scheme: str) -> dict[bytes, bytes]:
    headers = {**_headers(policy, scheme), "Cache-Control": "no-store"}
    return {name.lower().encode(): value.encode() for name, value in headers.items()}


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
                own = {name: value for name, value in message["headers"] if name in _MAY_BE_OWN}
                given = _on_the_wire(_policy(path), scheme)
                message["headers"] = [
                    *(field for field in message["headers"] if field[0] not in given),
                    *(given | own).items(),
                ]
            await send(message)

        await self.app(scope, receive, send_protected)
