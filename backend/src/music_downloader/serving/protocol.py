"""uvicorn's protocol with limits of its own: on time, on the size of a request's head, on connections.

uvicorn waits for ever for a head to be complete, and takes one of any size. Here a connection has ten seconds
to send its next head, from its first byte or from when it was made, and again for whatever it sends once an
answer is complete; a head has at most so many bytes and fields; and only so many connections are served.
"""

import asyncio
import secrets
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

import structlog
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from music_downloader.route.middleware import RequestContext
from music_downloader.route.problem import problem
from music_downloader.route.protection import Protection, protection

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one server bears; a browser or a player takes up to six connections, each live stream one."""

    head_seconds: float = 10.0
    head_bytes: int = 32 * 1024  # the request's line and its fields, as nginx and Apache take them too
    fields: int = 100
    url_bytes: int = 8 * 1024 + 256
    connections: int = 512  # half of the descriptors that a process usually may have
    connections_of_one_address: int = 256


class _RefusedError(Exception):
    """A head goes beyond a limit; it ends the parser's work."""


class LimitedProtocol(HttpToolsProtocol):
    """One connection; what it sends goes no further than the limits allow."""

    limits = Limits()
    _served: ClassVar[Counter[str]] = Counter()  # connections of each address, in this process

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; beyond the limit, each request is answered 503, and far beyond it nobody is answered."""
        super().connection_made(transport)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_size = 0
        self._url_size = self._fields_size = 0
        self._is_in_head = True
        self._refusal: tuple[int, str] | None = None
        self._address = self.client[0] if self.client else ""
        self._served[self._address] += 1
        if len(self.connections) > 2 * self.limits.connections:
            transport.abort()
            return
        excess = max(
            len(self.connections) - self.limits.connections,
            self._served[self._address] - self.limits.connections_of_one_address,
        )
        if excess > 0:
            self.app = _full
        if excess == 1:  # told once, not by each that comes after
            log.warning("server.full", connections=len(self.connections), address=self._address)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """End; nothing of the connection is kept."""
        self._stop_timer()
        self._served[self._address] -= 1
        if self._served[self._address] <= 0:
            del self._served[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; while a head is incomplete, its bytes are counted however few make a field."""
        if self._is_in_head:
            self._head_size += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._is_in_head and self._head_size > self.limits.head_bytes:
            self._refuse(431, "The headers are too large.")
            self.send_400_response("")
        elif self._head_timer is None and self._is_idle():
            self._expect_head()  # the rest of a body nobody reads, empty lines, the first half of a head

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._is_in_head = True
        self._head_size = max(self._head_size, 1)  # it has begun, however much of it was counted
        self._url_size = self._fields_size = 0
        if self._head_timer is None:
            self._expect_head()

    def on_url(self, url: bytes) -> None:
        """Take a part of the address."""
        self._url_size += len(url)
        if self._url_size > self.limits.url_bytes:
            self._refuse(414, f"The address is longer than {self.limits.url_bytes} bytes.")
            raise _RefusedError
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field, of the head or after a body in pieces."""
        super().on_header(name, value)
        if len(self.headers) > self.limits.fields:
            self._refuse(431, f"There are more than {self.limits.fields} headers.")
            raise _RefusedError
        self._fields_size += len(name) + len(value)
        if self._fields_size > self.limits.head_bytes:
            self._refuse(431, "The headers are too large.")
            raise _RefusedError

    def on_headers_complete(self) -> None:
        """Hand the request over; from here on the body has its own limit."""
        self._stop_timer()
        self._is_in_head = False
        self._head_size = 0
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._head_size = 0

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, or goes beyond a limit; not into the middle of another answer."""
        del msg
        self._stop_timer()
        if self._is_idle():
            status, detail = self._refusal or (400, "This is no valid HTTP request.")
            log.info("request.refused", status=status, address=self._address)
            self.transport.write(_on_the_wire(status, detail))
        self.transport.close()

    def _refuse(self, status: int, detail: str) -> None:
        self._refusal = (status, detail)

    def _is_idle(self) -> bool:
        """Whether no answer is owed or under way."""
        return self.cycle is None or self.cycle.response_complete

    def _expect_head(self) -> None:
        self._stop_timer()
        self._head_timer = self.loop.call_later(self.limits.head_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        if not self._is_idle():  # half a request behind one that is still being answered
            self._expect_head()
            return
        if self._is_in_head and self._head_size:
            self._refuse(408, "The headers didn't come in time.")
            self.send_400_response("")
        else:
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


async def _answer_full(scope: Scope, receive: Receive, send: Send) -> None:
    sentence = "There are too many connections right now; try again shortly."
    await problem(503, sentence, headers={"Connection": "close"})(scope, receive, send)


_full: Any = Protection(RequestContext(_answer_full))


def _on_the_wire(status: int, detail: str) -> bytes:
    """Return a whole answer, for where there is no request that an application could answer."""
    answer = problem(status, detail)
    headers = {
        **protection("/"),
        "Cache-Control": "no-store",
        "Connection": "close",
        "Content-Length": str(len(answer.body)),
        "Content-Type": answer.media_type or "",
        "X-Request-ID": secrets.token_hex(16),
    }
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join((*lines, "", "")).encode("ascii") + bytes(answer.body)
