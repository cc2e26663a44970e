"""What is sent byte by byte: slow, endless, too much, or no HTTP at all. Over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, nullcontext, suppress
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from tests.following import until_true

from music_downloader.route.middleware import BodyLimit
from music_downloader.serving.protocol import LimitedProtocol, Limits
from music_downloader.serving.server import configuration

SOON = 30.0
PLAIN = b"GET / HTTP/1.1\r\nHost: x\r\n"


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer at once; or with a stream that has no end below /stream."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-path", scope["raw_path"])]})
    if scope["path"] == "/stream":
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
    await send({"type": "http.response.body", "body": b"done"})


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        read_first = scope["path"] != "/unread"
        await (BodyLimit(answer, seconds=0.5) if read_first else answer)(scope, receive, send)


class Peer:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        async with asyncio.timeout(SOON):
            first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in lines if line)

    async def rest(self) -> bytes:
        """Read until the server closes."""
        came = bytearray()
        async with asyncio.timeout(SOON):
            # Whoever goes on sending may be told so with a reset; what came before counts.
            with suppress(ConnectionResetError):
                while piece := await self._reader.read(10_000):
                    came += piece
        return bytes(came + self._reader._buffer)  # type: ignore[attr-defined]  # noqa: SLF001

    async def some(self, size: int) -> bytes:
        async with asyncio.timeout(SOON):
            return await self._reader.readexactly(size)

    def close(self) -> None:
        self._writer.close()


Connect = Callable[[], Awaitable[Peer]]
Start = Callable[..., Awaitable[Connect]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a server with limits of the test's own; each call of what it returns is a new connection."""
    async with AsyncExitStack() as stack:

        async def run(**changed: Any) -> Connect:
            own = type("Own", (LimitedProtocol,), {"limits": Limits(**{"head_seconds": 0.3, **changed})})
            server = uvicorn.Server(
                configuration(application, host="127.0.0.1", port=0, graceful_seconds=1, protocol=own)
            )
            server.capture_signals = nullcontext
            task = asyncio.create_task(server.serve())

            async def stop() -> None:
                server.should_exit = True
                await task

            stack.push_async_callback(stop)
            async with asyncio.timeout(SOON):
                while not server.started:  # noqa: ASYNC110 - uvicorn tells it by a flag
                    await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]

            async def connect() -> Peer:
                peer = Peer(*await asyncio.open_connection("127.0.0.1", port))
                stack.callback(peer.close)
                return peer

            return connect

        yield run


async def assert_refused(peer: Peer, status: int) -> None:
    """Assert an answer of the one form that every error has, and that the connection ends."""
    got, headers = await peer.head()
    assert got == status
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["connection"] == "close"
    assert len(headers["x-request-id"]) == 32
    assert "server" not in headers
    body = json.loads(await peer.rest())
    assert body["status"] == status
    assert body["detail"].endswith(".")


async def test_whole_requests_are_answered_one_after_another(start: Start) -> None:
    peer = await (await start())()
    for path in (b"/a", b"/b"):
        await peer.send(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path)
        assert (await peer.head())[0] == 200
        await peer.some(len(b"4\r\ndone\r\n0\r\n\r\n"))
    await peer.send(PLAIN + b"\r\n" + PLAIN + b"Connection: close\r\n\r\n")
    assert (await peer.rest()).count(b"200 OK") == 2


async def test_who_connects_and_says_nothing_is_hung_up_on(start: Start) -> None:
    peer = await (await start())()
    assert await peer.rest() == b""


@pytest.mark.parametrize("piece", [b"G", b"GET / HTTP/1.1\r\n", PLAIN, PLAIN + b"X: y"])
async def test_a_head_that_does_not_come_to_an_end_is_408(start: Start, piece: bytes) -> None:
    peer = await (await start())()
    await peer.send(piece)
    await assert_refused(peer, 408)


async def test_a_head_that_drips_is_cut_off_all_the_same(start: Start) -> None:
    peer = await (await start())()
    refused = asyncio.create_task(assert_refused(peer, 408))
    for byte in PLAIN:
        if not refused.done():
            await peer.send(bytes([byte]))
            await asyncio.sleep(0.03)
    assert refused.done()
    await refused


async def test_the_next_head_on_a_connection_has_no_longer(start: Start) -> None:
    peer = await (await start())()
    await peer.send(PLAIN + b"\r\n")
    assert (await peer.head())[0] == 200
    await peer.some(len(b"4\r\ndone\r\n0\r\n\r\n"))
    await peer.send(b"GET /")
    await assert_refused(peer, 408)


async def test_empty_lines_between_requests_keep_no_connection(start: Start) -> None:
    peer = await (await start())()
    await peer.send(PLAIN + b"\r\n")
    await peer.head()
    ended = asyncio.create_task(peer.rest())
    for _ in range(30):
        if not ended.done():
            await peer.send(b"\r\n")
            await asyncio.sleep(0.03)
    assert ended.done()


async def test_a_body_that_nobody_reads_keeps_no_connection(start: Start) -> None:
    peer = await (await start())()
    await peer.send(b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
    assert (await peer.head())[0] == 200
    ended = asyncio.create_task(peer.rest())
    for _ in range(30):
        if not ended.done():
            await peer.send(b"x")
            await asyncio.sleep(0.03)
    assert ended.done()


async def test_a_body_that_drips_is_408(start: Start) -> None:
    peer = await (await start())()
    await peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
    status, headers = await peer.head()
    assert (status, headers["connection"]) == (408, "close")
    await peer.rest()


async def test_a_stream_outlives_every_limit_on_time(start: Start) -> None:
    peer = await (await start())()
    await peer.send(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await peer.head())[0] == 200
    assert await peer.some(len(b"5\r\nbegun\r\n")) == b"5\r\nbegun\r\n"
    await peer.send(b"GET / HT")  # half a request behind it
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await peer.rest()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (PLAIN + b"X: y\r\n" * 100 + b"\r\n", 431),
        (PLAIN + b"X: " + b"y" * 40_000 + b"\r\n\r\n", 431),
        (PLAIN + b"X: " + b"y" * 40_000, 431),
        (PLAIN + b"x" * 40_000, 431),
        (PLAIN + (b"X: " + b"y" * 4000 + b"\r\n") * 9 + b"\r\n", 431),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /" + b"x" * 40_000, 414),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # TLS to a plain port
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (PLAIN + b"X\x00: y\r\n\r\n", 400),
        (PLAIN + b"X: a\x00b\r\n\r\n", 400),
        (PLAIN + b"X : y\r\n\r\n", 400),
        (PLAIN + b"Content-Length: -1\r\n\r\n", 400),
        (PLAIN + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (PLAIN + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ],
    ids=lambda value: ascii(value[:40]) if isinstance(value, bytes) else None,
)
async def test_what_is_too_much_or_no_http_is_refused_in_the_one_form(
    start: Start, head: bytes, status: int
) -> None:
    peer = await (await start(head_seconds=SOON))()
    await peer.send(head)
    await assert_refused(peer, status)


async def test_a_usual_amount_of_headers_is_fine(start: Start) -> None:
    peer = await (await start())()
    many = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 300) for number in range(90))
    await peer.send(PLAIN + many + b"\r\n")
    assert (await peer.head())[0] == 200


async def test_fields_after_a_body_in_pieces_are_limited_too(start: Start) -> None:
    peer = await (await start(head_seconds=SOON))()
    await peer.send(b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
    await peer.send(b"X: y\r\n" * 500 + b"\r\n")
    assert b"200 OK" not in await peer.rest()


async def test_beyond_the_limit_a_connection_is_told_so_and_streams_go_on(start: Start) -> None:
    connect = await start(connections=3, connections_of_one_address=100)
    streams = [await connect() for _ in range(3)]
    for stream in streams:
        await stream.send(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await stream.head())[0] == 200
    more = await connect()
    await more.send(PLAIN + b"\r\n")
    await assert_refused(more, 503)
    for stream in streams:
        assert await stream.some(len(b"5\r\nbegun\r\n")) == b"5\r\nbegun\r\n"
    streams[0].close()

    async def has_a_place() -> bool:
        again = await connect()
        await again.send(PLAIN + b"\r\n")
        return (await again.head())[0] == 200

    await until_true(has_a_place)


async def test_one_address_cannot_take_every_place(start: Start) -> None:
    connect = await start(connections=100, connections_of_one_address=2, head_seconds=SOON)
    idle = [await connect() for _ in range(2)]
    third = await connect()
    await third.send(PLAIN + b"\r\n")
    await assert_refused(third, 503)
    for peer in idle:
        await peer.send(PLAIN + b"\r\n")
        assert (await peer.head())[0] == 200


async def test_far_beyond_the_limit_nobody_is_answered(start: Start) -> None:
    connect = await start(connections=2, connections_of_one_address=100, head_seconds=2 * SOON)
    for _ in range(4):
        await connect()
    assert await (await connect()).rest() == b""


async def test_what_a_connection_held_is_given_back(start: Start) -> None:
    connect = await start(connections_of_one_address=2)
    for _ in range(10):
        peer = await connect()
        await peer.send(PLAIN + b"Connection: close\r\n\r\n")
        assert (await peer.head())[0] == 200
        await peer.rest()
        peer.close()
