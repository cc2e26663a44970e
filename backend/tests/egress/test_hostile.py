"""Clients and sources that mean the proxy itself ill: it stays small, and open to everybody else."""

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.cli.running import eventually
from tests.egress.canary import lying
from tests.egress.conftest import SOURCE_ONLY
from tests.egress.test_proxy import Client, asked
from tests.following import PATIENCE
from tests.source import Source

from music_downloader.egress import dialling
from music_downloader.egress.dialling import Resolve, look_up
from music_downloader.egress.gate import Gate
from music_downloader.egress.neighbourhood import Neighbourhood
from music_downloader.egress.policy import EgressPolicy, networks
from music_downloader.egress.proxy import ForwardProxy, ProxyLimits

pytestmark = pytest.mark.asyncio(loop_scope="session")
LOOPBACK = ["127.0.0.0/8"]


@pytest.fixture(autouse=True)
def _no_client_is_left() -> Iterator[None]:
    yield
    while Client.opened:
        Client.opened.pop().close()


@asynccontextmanager
async def serving(
    *,
    allowed: list[str],
    limits: ProxyLimits | None = None,
    resolve: Resolve = look_up,
    neighbourhood: Neighbourhood | None = None,
) -> AsyncIterator[tuple[socket.socket, Callable[[str], Client]]]:
    """Serve in this very process, for the tokens `a` and `b`; give the worker's socket and who connects."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.settimeout(0)
    listening = socket.create_server(("127.0.0.1", 0))
    where = f"127.0.0.1:{listening.getsockname()[1]}"
    proxy = ForwardProxy(control=ours, limits=limits, resolve=resolve, neighbourhood=neighbourhood)
    with ours, theirs:
        task = asyncio.create_task(proxy.serve(listening))
        for token in ("a", "b"):
            message = {"op": "admit", "token": token, "allowed": allowed, "upstream": None}
            theirs.send(json.dumps(message).encode())
        try:
            yield theirs, lambda token: Client(f"http://run:{token}@{where}")
        finally:
            theirs.close()
            await asyncio.wait_for(task, 5)


class Recorder:
    """A server that takes what it is sent, and answers once; `heard` is all of it."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") -> None:
        self.heard = b""
        self._answer = answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._thread = threading.Thread(target=self._attend, daemon=True)
        self._thread.start()

    def _attend(self) -> None:
        visitor, _ = self._listening.accept()
        visitor.settimeout(PATIENCE)
        with visitor, suppress(OSError):
            self.heard += visitor.recv(65536)
            visitor.sendall(self._answer)
            visitor.settimeout(0.5)  # what comes now is what may not
            while piece := visitor.recv(65536):
                self.heard += piece

    def close(self) -> None:
        self._thread.join(5)
        self._listening.close()


@pytest.mark.parametrize("chained", [False, True])
@pytest.mark.parametrize(
    "fields", [[], ["Content-Length: 0"], ["Content-Length: 4", "Connection: keep-alive, content-length"]]
)
async def test_a_second_request_on_a_connection_is_never_handed_on(
    gate: Gate, chained: bool, fields: list[str]
) -> None:
    with closing(Recorder()) as recorder:
        upstream = f"http://127.0.0.1:{recorder.port}" if chained else None
        host = "public.test" if chained else f"127.0.0.1:{recorder.port}"
        async with gate.admit(SOURCE_ONLY, upstream) as way_out:

            def smuggle() -> None:
                client = Client(way_out)
                lines = "".join(f"{field}\r\n" for field in fields)
                first = f"POST http://{host}/ HTTP/1.1\r\n{client.credential}{lines}\r\n"
                second = "GET http://169.254.169.254/latest/ HTTP/1.1\r\nHost: x\r\n\r\n"
                client.socket.sendall(first.encode())
                time.sleep(0.1)  # apart, so that the head has been handed on before the rest comes
                with suppress(OSError):
                    client.socket.sendall(second.encode())
                    while client.socket.recv(65536):
                        pass

            await asyncio.to_thread(smuggle)
    assert recorder.heard.startswith(b"POST ")
    assert b"169.254" not in recorder.heard


@pytest.mark.parametrize(
    "fields",
    [
        ["Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 5"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5, 5"],
        ["Content-Length: +5"],
        ["Content-Length: 0x5"],
        ["Content-Length:"],
    ],
)
async def test_a_body_whose_end_could_be_seen_in_two_ways_is_refused(
    gate: Gate, source: Source, fields: list[str]
) -> None:
    async with gate.admit(SOURCE_ONLY, None) as way_out:
        answer = await asked(way_out, f"POST {source.url('/')} HTTP/1.1", *fields)
        assert (answer.status, answer.headers["X-Egress"]) == (400, "malformed")
    assert source.connections == 0


async def test_the_operators_proxy_reads_the_very_host_that_was_judged(gate: Gate) -> None:
    with closing(Recorder()) as recorder:
        async with gate.admit(EgressPolicy(), f"http://127.0.0.1:{recorder.port}") as way_out:
            # To some, this is 10.1.1.1; to us and to the C library it is 8.1.1.1, which is public.
            assert (await asked(way_out, "GET http://010.1.1.1/a HTTP/1.1")).status == 200
    assert recorder.heard.startswith(b"GET http://8.1.1.1/a HTTP/1.1\r\nHost: 8.1.1.1\r\n")


async def test_a_flood_of_interim_answers_ends_the_connection(gate: Gate) -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 8000 + b"\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def flood() -> int:
            visitor, _ = listening.accept()
            sent = 0
            with visitor, suppress(OSError):
                visitor.recv(65536)
                while sent < 64 * 1024**2:
                    visitor.sendall(interim)
                    sent += len(interim)
                    time.sleep(0.0002)  # so that each finds the proxy waiting
            return sent

        flooding = asyncio.create_task(asyncio.to_thread(flood))
        async with gate.admit(SOURCE_ONLY, None) as way_out:
            before = psutil.Process(gate.pid).memory_info().rss
            client = await asyncio.to_thread(Client, way_out)
            first = f"GET http://127.0.0.1:{listening.getsockname()[1]}/ HTTP/1.1\r\n{client.credential}\r\n"
            client.socket.sendall(first.encode())
            assert await asyncio.wait_for(flooding, 20) < 16 * 1024**2
            assert psutil.Process(gate.pid).memory_info().rss - before < 8 * 1024**2


async def test_who_shows_no_token_keeps_nobody_out(source: Source) -> None:
    url = source.body("/a", b"x", "text/plain")
    async with serving(allowed=LOOPBACK, limits=ProxyLimits(connections=8)) as (_, client):

        def crowd() -> list[int]:
            waiting = [client("a") for _ in range(40)]
            for one in waiting:
                with suppress(OSError):  # it may have had to go already
                    one.socket.sendall(b"GET http://")
            return [client("b").ask(f"GET {url} HTTP/1.1").status for _ in range(4)]

        assert await asyncio.to_thread(crowd) == [200] * 4


async def test_connecting_counts_as_a_connection_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialling, "_CONNECT_SECONDS", 3600.0)
    asked_for: list[str] = []

    def resolve(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
        asked_for.append(host)
        return [(socket.AF_INET, ("127.0.0.1", port))]

    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):  # the queue of a listener that accepts nobody
            sock = stack.enter_context(socket.socket())
            sock.settimeout(0)
            sock.connect_ex(full.getsockname())
        limits = ProxyLimits(connections_each=3, connect=3600.0)
        async with serving(allowed=LOOPBACK, limits=limits, resolve=resolve) as (_, client):

            def fill() -> int:
                first = f"CONNECT full.test:{full.getsockname()[1]} HTTP/1.1"
                for _ in range(3):
                    one = client("a")
                    one.socket.sendall(f"{first}\r\n{one.credential}\r\n".encode())
                eventually(lambda: len(asked_for) == 3, within=PATIENCE, what="all three are at it")
                return client("a").ask(first).status

            assert await asyncio.to_thread(fill) == 503


async def test_names_that_take_for_ever_hold_up_only_their_own_fetch(source: Source) -> None:
    url = source.body("/a", b"x", "text/plain").replace("127.0.0.1", "quick.test")
    answered = threading.Event()
    asked_for: list[str] = []
    slow: list[Client] = []

    def resolve(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
        asked_for.append(host)
        if host != "quick.test":
            answered.wait(PATIENCE)
        return [(socket.AF_INET, ("127.0.0.1", port))]

    async with serving(allowed=LOOPBACK, resolve=resolve, limits=ProxyLimits(connect=5.0)) as (_, client):

        def ask() -> http.client.HTTPResponse:
            for number in range(40):
                slow.append(client("a"))
                first = f"CONNECT {number}.slow.test:443 HTTP/1.1"
                slow[-1].socket.sendall(f"{first}\r\n{slow[-1].credential}\r\n".encode())
            eventually(lambda: len(asked_for) == 4, within=PATIENCE, what="the first are looked up")
            return client("b").ask(f"GET {url} HTTP/1.1")

        def give_up() -> set[bytes]:
            for one in slow:
                one.socket.settimeout(PATIENCE)
            return {one.socket.recv(12) for one in slow}

        try:
            assert (await asyncio.to_thread(ask)).status == 200
            assert len(asked_for) == 4 + 1
            assert await asyncio.to_thread(give_up) == {b"HTTP/1.1 504"}
            assert len(asked_for) == 4 + 1  # all of the first have given up, but their threads have not
        finally:
            answered.set()


async def test_denials_are_told_and_do_not_flood_the_log() -> None:
    async with serving(allowed=[], limits=ProxyLimits(denials=3)) as (worker, client):

        def ask() -> set[int]:
            return {client("a").ask(f"CONNECT 10.0.0.{number}:443 HTTP/1.1").status for number in range(6)}

        assert await asyncio.to_thread(ask) == {403}
        events = []
        with suppress(BlockingIOError):
            while True:
                events.append(json.loads(worker.recv(65536))["event"])
        assert events == ["ready", "denied", "denied", "denied"]


async def test_public_addresses_that_are_home_are_refused(tmp_path: Path) -> None:
    (tmp_path / "if_inet6").write_text("2a0200010002000300000000000000aa 02 40 00 80     eth0\n")
    (tmp_path / "fib_trie").write_text("Local:\n  |-- 93.184.216.34\n     /32 host LOCAL\n")
    (tmp_path / "route").write_text("Iface Destination\nodd line\n")
    neighbourhood = Neighbourhood(tmp_path)
    names = {
        "own.test": (socket.AF_INET6, ("2a02:1:2:3::aa", 8080, 0, 0)),
        "printer.test": (socket.AF_INET6, ("2a02:1:2:3:ffff::1", 8080, 0, 0)),
        "four.test": (socket.AF_INET, ("93.184.216.34", 8080)),
    }

    def resolve(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
        del port
        return [names[host]]

    where = [*names, "[2a02:1:2:3::1]", "93.184.216.34"]
    async with serving(allowed=[], neighbourhood=neighbourhood, resolve=resolve) as (_, client):

        def ask() -> list[int]:
            return [client("a").ask(f"CONNECT {host}:8080 HTTP/1.1").status for host in where]

        assert await asyncio.to_thread(ask) == [403] * len(where)
    limits = ProxyLimits(connect=1.0)
    allowing = ["2a02:1:2::/48", "93.184.216.34/32"]
    async with serving(allowed=allowing, neighbourhood=neighbourhood, resolve=resolve, limits=limits) as (
        _,
        client,
    ):
        # Nobody may be there, but it is tried.
        answer = await asyncio.to_thread(lambda: client("a").ask("CONNECT own.test:8080 HTTP/1.1"))
        assert answer.headers["X-Egress"] in {"timeout", "unreachable", "refused"}


async def test_networks_are_read_as_the_kernel_tells_them(tmp_path: Path) -> None:
    (tmp_path / "route").write_text(
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"  # by a gateway
        "eth0\t00D8B85D\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "wg0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n"  # a tunnel to half the world
    )
    (tmp_path / "if_inet6").write_text("2a0200010002000300000000000000aa 02 00 00 80     tun0\n")
    around = Neighbourhood(tmp_path)
    assert around.holds("93.184.216.1")
    assert around.holds("::ffff:93.184.216.1")
    assert around.holds("2a02:1:2:3::aa")
    assert not any(map(around.holds, ("93.184.217.1", "8.8.8.8", "2a02:1:2:3::ab")))
    assert not Neighbourhood(tmp_path / "none").holds("93.184.216.1")


async def test_this_machines_own_addresses_are_known() -> None:
    assert Neighbourhood().holds("127.0.0.1")


async def test_a_name_with_thousands_of_addresses_is_judged_in_a_moment() -> None:
    many = [f"10.{number >> 8 & 255}.{number & 255}.1" for number in range(4000)]
    gate = Gate(lying({"many.test": [many]}))
    try:
        async with gate.admit(EgressPolicy(allowed=networks(["127.0.0.0/8"])), None) as way_out:
            began = time.monotonic()
            assert (await asked(way_out, "CONNECT many.test:443 HTTP/1.1")).status == 403
            assert time.monotonic() - began < 2
    finally:
        await gate.close()
