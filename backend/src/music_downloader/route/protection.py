"""What every answer tells browsers to keep from doing."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# JSON, audio and pictures have no business in running anything.
_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# Pages of our own run what we serve ourselves, and nothing that stands in the page. Both user interfaces put
# style sheets in as they go, and Swagger UI its icons as data.
_PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; "
    "worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGES = ("/docs", "/ui")
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
    is_page = any(path == page or path.startswith(f"{page}/") for page in _PAGES)
    headers = {"Content-Security-Policy": _PAGE if is_page else _NOTHING, **_ALWAYS}
    return {**headers, "Strict-Transport-Security": _STAY_WITH_HTTPS} if scheme == "https" else headers


class Protection:
    """Adds those headers to every answer, and `no-store` where an answer doesn't say how long it keeps."""

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
                headers.update(protection(path, scheme=scheme))
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self.app(scope, receive, send_protected)
