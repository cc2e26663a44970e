"""The two ends of a relayed connection: each keeps what it receives until it knows where that goes."""

# ruff: noqa: SLF001 - the two ends of a connection know each other
import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final, cast

from music_downloader.egress.verdict import NotConnectedError, Verdict

_HELD: Final = 128 * 1024
_RESET: Final = struct.pack("ii", 1, 0)  # linger for no time at all, see socket(7)
_UNSENT: Final = 256 * 1024


class TooLongError(Exception):
    """What was waited for didn't come within so many bytes."""


class Link(asyncio.Protocol):
    """One connection. It is read from by `until` and `exactly` first, and then poured into another.

    What one end can't take yet holds up the other, so nothing piles up here.
    """

    def __init__(self, on_made: "Callable[[Link], None] | None" = None) -> None:
        loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.active_at = loop.time()
        self._loop = loop
        self._on_made = on_made
        self._transport: asyncio.Transport | None = None
        self._held = bytearray()
        self._ended = False
        self._is_full = False
        self._news = asyncio.Event()
        self._into: Link | None = None
        self._left: int | None = None
        self._from: Link | None = None

    @property
    def transport(self) -> asyncio.Transport:
        """The connection itself."""
        assert self._transport is not None  # noqa: S101 - there is none before connection_made
        return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection over."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are like one, and don't say so
        self._transport.set_write_buffer_limits(high=_UNSENT)
        if self._on_made is not None:
            self._on_made(self)

    def data_received(self, data: bytes) -> None:
        """Hand on what came, or keep it."""
        self.active_at = self._loop.time()
        if self._into is not None:
            self._hand_on(self._into, data)
            return
        self._held += data
        if len(self._held) >= _HELD:
            self.transport.pause_reading()
        self._news.set()

    def eof_received(self) -> None:
        """Let the connection close: nobody who speaks HTTP or TLS goes on listening after that."""
        self._ended = True
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the other end down too: what was sent is still delivered, unless this one broke."""
        self._ended = True
        self._news.set()
        for other in (self._into, self._from):
            if other is not None:
                other.abort() if exc else other.close()
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        """Hold up whoever sends to us."""
        self._is_full = True
        if self._from is not None and not self._from.transport.is_closing():
            self._from.transport.pause_reading()

    def resume_writing(self) -> None:
        """Let whoever sends to us go on."""
        self._is_full = False
        if self._from is not None and not self._from.transport.is_closing():
            self._from.transport.resume_reading()

    def send(self, data: bytes) -> None:
        """Send, unless the connection is going down."""
        if not self.transport.is_closing():
            self.active_at = self._loop.time()
            self.transport.write(data)

    def close(self) -> None:
        """Close once all is sent."""
        self.transport.close()

    def abort(self) -> None:
        """Close at once, and let the other side see that this is no proper end: by a reset."""
        if not self.transport.is_closing():
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    async def until(self, ends: tuple[bytes, ...], *, most: int) -> bytes:
        """Wait for the first of `ends` and return all up to and with it.

        Raises TooLongError, or NotConnectedError (broken) when the connection ends before.
        """
        while True:
            found = [at + len(end) for end in ends if (at := self._held.find(end, 0, most)) >= 0]
            if found:
                return self._taken(min(found))
            if len(self._held) >= most:
                raise TooLongError
            await self._more()

    async def exactly(self, size: int) -> bytes:
        """Wait for so many bytes; raises NotConnectedError (broken) when the connection ends before."""
        while len(self._held) < size:
            await self._more()
        return self._taken(size)

    def pour_into(self, other: "Link", *, most: int | None = None) -> None:
        """Send to `other` what is held, and from now on all that comes; what is more than `most` ends it."""
        self._into, other._from, self._left = other, self, most
        if self._held:
            held = self._taken(len(self._held))
            self._hand_on(other, held)
        if self._ended:
            other.close()
        elif not other._is_full and not self.transport.is_closing():
            self.transport.resume_reading()

    def _hand_on(self, other: "Link", data: bytes) -> None:
        if self._left is not None:
            if len(data) > self._left:
                self.abort()
                return
            self._left -= len(data)
        other.send(data)

    async def _more(self) -> None:
        if self._ended:
            raise NotConnectedError(Verdict.BROKEN)
        self._news.clear()
        await self._news.wait()

    def _taken(self, size: int) -> bytes:
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken
