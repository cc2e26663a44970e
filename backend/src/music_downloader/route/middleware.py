"""What every request passes through: its id, its log line, the limit on its body, a last resort."""

import asyncio
import re
import secrets
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from music_downloader.metrics import Requests
from music_downloader.route.problem import problem

BODY_LIMIT = 64 * 1024
BODY_SECONDS = 30.0
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_QUIET = {"/health", "/health/live", "/metrics"}

log = structlog.stdlib.get_logger(__name__)


class RequestContext:
    """Gives each request an id (taken over from X-Request-ID when sane), and logs how it ended."""

    def __init__(self, app: ASGIApp, *, requests: Requests | None = None, root_path: str = "") -> None:
        """Serve below `root_path`, whether or not the reverse proxy takes the prefix off."""
        self.app = app
        self.requests = requests
        self.root_path = root_path.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through (ASGI)."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.root_path:
            scope["root_path"] = self.root_path
            if scope["path"] == self.root_path:
                scope["path"] += "/"  # some proxies hand on a bare prefix as it is
        sent = Headers(scope=scope).get("x-request-id", "")
        request_id = sent if _SANE_ID.fullmatch(sent) else secrets.token_hex(16)
        scope["request_id"] = request_id
        started = time.perf_counter()
        status = 0
        began = 0.0

        async def send_with_id(message: Message) -> None:
            nonlocal status, began
            if message["type"] == "http.response.start":
                began = time.perf_counter()
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, send_with_id)
            except Exception:
                log.exception("request.failed", method=scope["method"], path=scope["path"])
                if status:
                    raise  # the answer is on its way already; the server cuts it off
                await problem(500, "Something went wrong on our side; it has been logged.")(
                    scope, receive, send_with_id
                )
            finally:
                ended = time.perf_counter()
                if self.requests is not None:
                    self.requests.observe(
                        method=scope["method"],
                        route=getattr(scope.get("route"), "path", None),
                        status=status,
                        seconds=(began or ended) - started,
                    )
                write = log.debug if scope["path"] in _QUIET else log.info
                write(
                    "request",
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    milliseconds=round((ended - started) * 1000, 1),
                )


class BodyLimit:
    """Refuses bodies beyond 64 KiB with 413, announced or not, and those that don't end in time with 408."""

    def __init__(self, app: ASGIApp, *, seconds: float = BODY_SECONDS) -> None:
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through (ASGI)."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "")
        if not announced and "transfer-encoding" not in headers:
            await self.app(scope, receive, send)  # there is no body (RFC 9112, 6.3)
            return
        if announced.isdecimal() and int(announced[:20]) > BODY_LIMIT:
            await _too_large(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self.seconds):
                body = await _read(receive)
        except TimeoutError:
            late = problem(408, "The rest of the body didn't come in time.", headers={"Connection": "close"})
            await late(scope, receive, send)
            return
        if body is None:
            return  # half a body is no request
        if len(body) > BODY_LIMIT:
            await _too_large(scope, receive, send)
            return
        handed_over = False

        async def receive_body() -> Message:
            nonlocal handed_over
            if handed_over:
                return await receive()
            handed_over = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, receive_body, send)


async def _read(receive: Receive) -> bytes | None:
    """Return the body, cut off once it is too large; None where the client has gone before its end."""
    body = bytearray()
    more = True
    while more and len(body) <= BODY_LIMIT:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body)


async def _too_large(scope: Scope, receive: Receive, send: Send) -> None:
    await problem(413, f"The body is larger than {BODY_LIMIT // 1024} KiB.")(scope, receive, send)
