"""The proxy as its clients see it: who may use it, what it passes on, and how it says no."""

import asyncio
import base64
import http.client
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import psutil
import pytest
from tests.egress.canary import Canary
from tests.egress.conftest import SOURCE_ONLY
from tests.source import Answer, Request, Source

from music_downloader.egress.gate import Gate
from music_downloader.egress.policy import EgressPolicy
from music_downloader.egress.proxy import ForwardProxy, ProxyLimits

pytestmark = pytest.mark.asyncio(loop_scope="session")
PIECE = 1024 * 1024


class Client:
    """One connection to the proxy, spoken to byte by byte; the test's end closes it."""

    opened: ClassVar[list["Client"]] = []

    def __init__(self, way_out: str) -> None:
        self.opened.append(self)
        self.answers: list[http.client.HTTPResponse] = []
        parts = urlsplit(way_out)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=10)
        shown = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
        self.credential = f"Proxy-Authorization: Basic {shown}\r\n"

    def ask(self, first: str, *fields: str, credential: str | None = None) -> http.client.HTTPResponse:
        lines = "".join(f"{field}\r\n" for field in fields)
        shown = self.credential if credential is None else credential
        self.socket.sendall(f"{first}\r\n{lines}{shown}\r\n".encode())
        answer = http.client.HTTPResponse(self.socket, method=first.partition(" ")[0])
        self.answers.append(answer)
        answer.begin()
        return answer

    def close(self) -> None:
        for answer in self.answers:
            answer.close()
        self.socket.close()


@pytest.fixture(autouse=True)
def _no_client_is_left() -> Iterator[None]:
    yield
    while Client.opened:
        Client.opened.pop().close()


async def asked(
    way_out: str, first: str, *fields: str, credential: str | None = None
) -> http.client.HTTPResponse:
    return await asyncio.to_thread(lambda: Client(way_out).ask(first, *fields, credential=credential))


async def verdict(way_out: str, first: str, credential: str | None = None) -> tuple[int, str | None]:
    answer = await asked(way_out, first, credential=credential)
    assert answer.reason == f"egress {answer.headers['X-Egress']}"
    return answer.status, answer.headers["X-Egress"]


@asynccontextmanager
async def serving(limits: ProxyLimits) -> AsyncIterator[tuple[ForwardProxy, Callable[[str], Client]]]:
    """Serve in this very process, with limits that a test can wait for; give clients who may do anything."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(0)
    listening = socket.create_server(("127.0.0.1", 0))
    where = f"127.0.0.1:{listening.getsockname()[1]}"
    proxy = ForwardProxy(control=ours, limits=limits)
    with ours, theirs:
        task = asyncio.create_task(proxy.serve(listening))
        theirs.send(b'{"op": "admit", "token": "t", "allowed": ["127.0.0.0/8"], "upstream": null}')
        try:
            yield proxy, lambda user: Client(f"http://{user}@{where}")
        finally:
            theirs.close()
            await asyncio.wait_for(task, 5)


async def test_a_request_arrives_as_the_source_expects_it(gate: Gate, source: Source) -> None:
    url = source.body("/a.mp3", b"0123456789", "audio/mpeg")
    async with gate.admit(SOURCE_ONLY, None) as way_out:
        answer = await asked(
            way_out,
            f"GET {url}?x=1#part HTTP/1.1",
            "Host: elsewhere.test",
            "Range: bytes=2-4",
            "X-Own: kept",
            "Connection: X-Dropped, keep-alive",
            "X-Dropped: gone",
            "Upgrade: websocket",
            "TE: trailers",
        )
        assert (answer.status, answer.read()) == (206, b"234")
    assert answer.headers["Content-Range"] == "bytes 2-4/10"
    assert answer.headers["Content-Length"] == "3"
    assert answer.headers["Connection"] == "close"
    (request,) = source.requests
    assert request.path == "/a.mp3?x=1"
    assert request.headers == {
        "host": f"127.0.0.1:{source.port}",
        "range": "bytes=2-4",
        "x-own": "kept",
        "connection": "close",
    }


async def test_an_answer_loses_only_what_belongs_to_the_connection(gate: Gate, source: Source) -> None:
    headers = {
        "Keep-Alive": "timeout=5",
        "X-Egress": "blocked",
        "Proxy-Authenticate": "Basic",
        "X-Own": "kept",
    }
    url = source.route("/a", lambda _: Answer(status=404, headers=headers, body=b"no"))
    async with gate.admit(SOURCE_ONLY, None) as way_out:
        answer = await asked(way_out, f"GET {url} HTTP/1.1")
        assert (answer.status, answer.read()) == (404, b"no")
    assert {"Keep-Alive", "X-Egress", "Proxy-Authenticate"}.isdisjoint(answer.headers)
    assert answer.headers["X-Own"] == "kept"


async def test_a_tunnel_carries_bytes_both_ways(gate: Gate, source: Source) -> None:
    source.body("/a", b"through", "text/plain")

    def talk(way_out: str) -> bytes:
        client = Client(way_out)
        assert client.ask(f"CONNECT 127.0.0.1:{source.port} HTTP/1.0").status == 200
        client.socket.sendall(b"GET /a HTTP/1.0\r\n\r\n")
        return b"".join(iter(lambda: client.socket.recv(65536), b""))

    async with gate.admit(SOURCE_ONLY, None) as way_out:
        assert (await asyncio.to_thread(talk, way_out)).endswith(b"through")


async def test_a_slow_reader_holds_up_the_source_and_not_the_memory(gate: Gate, source: Source) -> None:
    url = source.endless("/a")
    async with gate.admit(SOURCE_ONLY, None) as way_out:
        before = psutil.Process(gate.pid).memory_info().rss
        answer = await asked(way_out, f"GET {url} HTTP/1.1")
        await asyncio.sleep(1.0)
        assert psutil.Process(gate.pid).memory_info().rss - before < 8 * PIECE
        assert len(await asyncio.to_thread(answer.read, 20 * PIECE)) == 20 * PIECE
        answer.close()


async def test_only_who_was_admitted_gets_through(gate: Gate, source: Source, canary: Canary) -> None:
    url = source.body("/a", b"x", "text/plain")
    first = f"GET {url} HTTP/1.1"
    async with gate.admit(SOURCE_ONLY, None) as way_out, gate.admit(EgressPolicy(), None) as stricter:
        assert (await asked(way_out, first)).status == 200
        assert await verdict(stricter, first) == (403, "blocked")
        for credential in (
            "",
            "Proxy-Authorization: Basic cnVuOng=\r\n",
            "Proxy-Authorization: Bearer x\r\n",
        ):
            assert await verdict(way_out, first, credential) == (407, "credential")
            through = f"CONNECT 127.0.0.1:{canary.port} HTTP/1.1"
            assert await verdict(way_out, through, credential) == (407, "credential")
    assert await verdict(way_out, first) == (407, "credential")
    assert len(source.requests) == 1
    assert canary.visits == 0


async def test_who_is_dismissed_is_cut_off(gate: Gate, source: Source) -> None:
    url = source.endless("/a")
    async with gate.admit(SOURCE_ONLY, None) as way_out:
        answer = await asked(way_out, f"GET {url} HTTP/1.1")
    with pytest.raises(ConnectionResetError):
        await asyncio.to_thread(answer.read, 500 * PIECE)


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("CONNECT 127.0.0.1:22 HTTP/1.1", (403, "blocked")),
        ("CONNECT 127.0.0.1:25 HTTP/1.1", (403, "blocked")),
        ("CONNECT 127.0.0.1:1023 HTTP/1.1", (403, "blocked")),
        ("CONNECT ::1:8080 HTTP/1.0", (403, "blocked")),
        ("CONNECT [fe80::1%25lo]:8080 HTTP/1.1", (400, "malformed")),
        ("CONNECT metadata.google.internal:443 HTTP/1.1", (403, "blocked")),
        ("CONNECT 169.254.169.254:80 HTTP/1.1", (403, "blocked")),
        ("GET ftp://127.0.0.1/ HTTP/1.1", (403, "blocked")),
        ("GET file:///etc/passwd HTTP/1.1", (403, "blocked")),
        ("GET http://user@127.0.0.1/ HTTP/1.1", (400, "malformed")),
        ("GET http:///a HTTP/1.1", (400, "malformed")),
        ("GET /a HTTP/1.1", (400, "malformed")),
        ("GET http://127.0.0.1:99999/ HTTP/1.1", (400, "malformed")),
        ("CONNECT 127.0.0.1 HTTP/1.1", (400, "malformed")),
        ("GET http://127.0.0.1/ HTTP/3", (400, "malformed")),
        ("nonsense", (400, "malformed")),
        ("GET http://no-such.test/ HTTP/1.1", (502, "unresolved")),
        ("GET http://127.0.0.1:{closed}/ HTTP/1.1", (502, "refused")),
        ("CONNECT source.test:{closed} HTTP/1.1", (502, "refused")),
    ],
)
async def test_a_refusal_says_why(gate: Gate, first: str, expected: tuple[int, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    async with gate.admit(SOURCE_ONLY, None) as way_out:
        assert await verdict(way_out, first.format(closed=closed)) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", (502, "garbled")),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", (502, "garbled")),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", (502, "garbled")),
        (b"HTTP/1.1 200 OK\r\nX: y", (502, "broken")),
        (b"", (502, "broken")),
    ],
)
async def test_an_answer_that_is_none_is_told_apart(
    gate: Gate, said: bytes, expected: tuple[int, str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def once() -> None:
            visitor, _ = listening.accept()
            with visitor:
                visitor.recv(65536)
                visitor.sendall(said)

        thread = threading.Thread(target=once)
        thread.start()
        async with gate.admit(SOURCE_ONLY, None) as way_out:
            first = f"GET http://127.0.0.1:{listening.getsockname()[1]}/ HTTP/1.1"
            assert await verdict(way_out, first) == expected
        thread.join()


async def test_a_head_has_a_longest_length_and_a_latest_time(source: Source) -> None:
    async with serving(ProxyLimits(head=3600.0)) as (_, client):

        def too_long() -> int:
            return client("run:t").ask(f"GET {source.url('/')} HTTP/1.1", "X: " + "x" * 70_000).status

        assert await asyncio.to_thread(too_long) == 400
    async with serving(ProxyLimits(head=0.3)) as (_, client):

        def too_slow() -> bytes:
            sock = client("run:t").socket
            sock.sendall(b"GET http://")
            return sock.recv(100)

        assert (await asyncio.to_thread(too_slow)).startswith(b"HTTP/1.1 504")
    assert source.connections == 0


async def test_connections_are_limited_for_each_and_in_all(source: Source) -> None:
    url = source.endless("/a")
    limits = ProxyLimits(connections=3, connections_each=2)
    async with serving(limits) as (_, client):

        def fill() -> list[str | None]:
            answers = [client("run:t").ask(f"GET {url} HTTP/1.1") for _ in range(4)]
            return [answer.headers["X-Egress"] for answer in answers]

        assert await asyncio.to_thread(fill) == [None, None, "busy", "busy"]


async def test_silence_ends_a_connection(source: Source) -> None:
    async with serving(ProxyLimits(idle=0.5)) as (_, client):

        def wait() -> float:
            one = client("run:t")
            began = time.monotonic()
            assert one.ask(f"CONNECT 127.0.0.1:{source.port} HTTP/1.1").status == 200
            one.socket.settimeout(60)
            with pytest.raises(ConnectionResetError):
                one.socket.recv(1)
            return time.monotonic() - began

        assert await asyncio.to_thread(wait) >= 0.5


async def test_an_address_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        where = full.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for sock in waiting:  # the queue of a listener that accepts nobody
            sock.settimeout(0)
            sock.connect_ex(where)
        async with serving(ProxyLimits(connect=0.5)) as (_, client):
            first = f"CONNECT 127.0.0.1:{where[1]} HTTP/1.1"
            answer = await asyncio.to_thread(lambda: client("run:t").ask(first))
            assert (answer.status, answer.headers["X-Egress"]) == (504, "timeout")
        for sock in waiting:
            sock.close()


async def test_a_killed_proxy_is_back_at_once_under_the_same_address(source: Source) -> None:
    url = source.body("/a", b"x", "text/plain")
    gate = Gate()
    await gate.start()
    try:
        async with gate.admit(SOURCE_ONLY, None) as way_out:
            for _ in range(2):
                before = gate.pid
                assert before
                os.kill(before, signal.SIGKILL)
                answer = await asked(way_out, f"GET {url} HTTP/1.1")
                assert answer.status == 200
                assert gate.pid not in {None, before}
    finally:
        pid = gate.pid
        await gate.close()
    assert pid
    assert not psutil.pid_exists(pid)


async def test_the_proxy_is_small_and_knows_no_secret(
    monkeypatch: pytest.MonkeyPatch, source: Source
) -> None:
    monkeypatch.setenv("SECRET_KEY", "not-for-proxies")
    url = source.body("/a", bytes(5 * PIECE), "text/plain")
    gate = Gate()
    await gate.start()
    try:
        async with gate.admit(EgressPolicy(allowed=(ip_network("127.0.0.0/8"),)), None) as way_out:
            answers = await asyncio.gather(*(asked(way_out, f"GET {url} HTTP/1.1") for _ in range(8)))
            await asyncio.gather(*(asyncio.to_thread(answer.read) for answer in answers))
        rollup = Path(f"/proc/{gate.pid}/smaps_rollup").read_text()  # noqa: ASYNC240 - a moment
        (proportional,) = (int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        assert proportional < 25 * 1024
        assert b"not-for-proxies" not in Path(f"/proc/{gate.pid}/environ").read_bytes()  # noqa: ASYNC240
    finally:
        await gate.close()


async def test_a_body_that_is_posted_arrives(gate: Gate, source: Source) -> None:
    def route(request: Request) -> Answer:
        return Answer(body=f"{request.method} {request.headers['content-length']}".encode())

    url = source.route("/a", route)
    async with gate.admit(SOURCE_ONLY, None) as way_out:
        answer = await asked(way_out, f"GET {url} HTTP/1.1", "Content-Length: 0")
        assert answer.read() == b"GET 0"
