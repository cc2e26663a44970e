"""The one way out: a forward proxy on the loopback that judges whatever it is asked to connect to.

Run as `python -I -m music_downloader.egress.proxy CONTROL LISTENING`, two descriptors: one end of a
SOCK_SEQPACKET pair, and a socket that listens. Every message on the pair is one JSON object:

    in   {"op": "admit", "token", "allowed", "upstream"}, {"op": "dismiss", "token"}
    out  {"event": "ready"}, {"event": "denied", "verdict", "host", "port"}

It serves plain HTTP (absolute-form) and tunnels (CONNECT), one request a connection, for those who show a
token that has been admitted. Each token has a policy of its own, and its connections end with it.
The process ends when the other end of the pair closes. Nothing is kept, cached or altered in what passes.
"""

import asyncio
import ctypes
import gc
import json
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from music_downloader.egress import head, verdict
from music_downloader.egress.chain import Upstream
from music_downloader.egress.dialling import Dialler, Resolve, checked, look_up
from music_downloader.egress.head import Request
from music_downloader.egress.neighbourhood import Neighbourhood
from music_downloader.egress.policy import EgressPolicy, networks
from music_downloader.egress.relay import Link, TooLongError
from music_downloader.egress.verdict import NotConnectedError, Verdict

USER: Final = "run"
_TUNNEL_OPEN: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
_END_OF_REQUEST: Final = (b"\r\n\r\n",)
_END_OF_ANSWER: Final = (b"\r\n\r\n", b"\n\n")
_FIRST_FINAL_STATUS: Final = 200
_SWITCHING: Final = 101
_WANTS_A_CREDENTIAL: Final = 407
_MAX_MESSAGE: Final = 64 * 1024
_MAX_SHOWN_HOST: Final = 253
_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ProxyLimits:
    """Connections at once, in all and for each token; seconds for a head, to connect and of silence.

    A client of ours gives up after 20 seconds, so connecting ends before that, with a reason. `lookups` are
    those of one token at once, `interims` the interim answers before an answer, `denials` what the worker is
    told of each token.
    """

    connections: int = 256
    connections_each: int = 64
    head: float = 10.0
    connect: float = 18.0
    idle: float = 120.0
    lookups: int = 4
    interims: int = 8
    denials: int = 20


@dataclass(kw_only=True, slots=True)
class Pass:
    """What a token lets its bearer do, and the connections that are open on it."""

    policy: EgressPolicy
    upstream: Upstream | None
    turns: asyncio.Semaphore
    denials: int
    requests: int = 0
    links: set[Link] = field(default_factory=set)


class ForwardProxy:
    """Serves the connections of one listening socket; `control` is the worker's socket, if there is one."""

    def __init__(
        self,
        *,
        control: socket.socket | None = None,
        resolve: Resolve = look_up,
        limits: ProxyLimits | None = None,
        neighbourhood: Neighbourhood | None = None,
    ) -> None:
        self._control = control
        self._dialler = Dialler(resolve, neighbourhood)
        self._limits = limits or ProxyLimits()
        self._passes: dict[str, Pass] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._strangers: dict[Link, None] = {}  # who hasn't shown a token yet, the oldest first
        self._over = asyncio.Event()

    async def serve(self, listening: socket.socket) -> None:
        """Serve until the worker is gone."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._welcome, sock=listening, backlog=128)
        if self._control is not None:
            loop.add_reader(self._control, self.listen)
        self._tell(event="ready")
        try:
            await self._over.wait()
        finally:
            if self._control is not None:
                loop.remove_reader(self._control)
            server.close()
            for task in self._serving:
                task.cancel()
            self._dialler.close()

    def listen(self) -> None:
        """Do what the worker has asked for so far."""
        while self._control is not None and not self._over.is_set():
            try:
                data = self._control.recv(_MAX_MESSAGE)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._over.set()
                return
            self._obey(json.loads(data))

    def _obey(self, message: dict[str, Any]) -> None:
        if message["op"] == "admit":
            upstream = message["upstream"]
            self._passes[f"{USER}:{message['token']}"] = Pass(
                policy=EgressPolicy(allowed=networks(message["allowed"])),
                upstream=Upstream.read(upstream) if upstream else None,
                turns=asyncio.Semaphore(self._limits.lookups),
                denials=self._limits.denials,
            )
        elif found := self._passes.pop(f"{USER}:{message['token']}", None):
            for link in found.links:
                link.abort()

    def _welcome(self) -> Link:
        return Link(self._begin)

    def _begin(self, client: Link) -> None:
        if len(self._serving) >= self._limits.connections:
            if not self._strangers:
                client.send(verdict.answer(Verdict.BUSY))
                client.close()
                return
            # Ours show their token at once: whoever has waited longest is the last to be missed.
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.abort()
        self._strangers[client] = None
        task = asyncio.get_running_loop().create_task(self._attend(client))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _attend(self, client: Link) -> None:
        try:
            await self._serve(client)
        except NotConnectedError as error:
            client.send(verdict.answer(error.verdict))
            client.close()
        except BaseException:
            client.abort()
            raise
        finally:
            self._strangers.pop(client, None)

    async def _serve(self, client: Link) -> None:
        request, admitted = await self._received(client)
        self._strangers.pop(client, None)
        admitted.links.add(client)
        admitted.requests += 1
        server: Link | None = None
        try:
            async with self._patience(request, admitted):
                server = await self._connected(request, admitted)
            admitted.links.add(server)
            if request.is_tunnel:
                client.send(_TUNNEL_OPEN)
                client.pour_into(server)
            else:
                server.send(_head_for(request, admitted))
                client.pour_into(server, most=request.body)
                await self._pass_head(server, client, admitted)
            server.pour_into(client)
            await self._until_silent(client, server)
        finally:
            admitted.requests -= 1
            admitted.links.discard(client)
            if server is not None:
                admitted.links.discard(server)
                server.close()

    async def _received(self, client: Link) -> tuple[Request, Pass]:
        """Read a request whose token has been admitted."""
        try:
            async with asyncio.timeout(self._limits.head):
                request = head.read_request(await client.until(_END_OF_REQUEST, most=head.MAX_HEAD))
        except TimeoutError as error:
            raise NotConnectedError(Verdict.TIMEOUT) from error
        except head.ForeignSchemeError as error:
            raise NotConnectedError(Verdict.BLOCKED) from error
        except (head.MalformedError, TooLongError) as error:
            raise NotConnectedError(Verdict.MALFORMED) from error
        if request.credential not in self._passes:
            self.listen()  # it may have been admitted in this very moment
        admitted = self._passes.get(request.credential)
        if admitted is None:
            raise NotConnectedError(Verdict.CREDENTIAL)
        if admitted.requests >= self._limits.connections_each:
            raise NotConnectedError(Verdict.BUSY)
        return request, admitted

    @asynccontextmanager
    async def _patience(self, request: Request, admitted: Pass) -> AsyncIterator[None]:
        """Bound the time for connecting, and tell the worker when it came to nothing."""
        try:
            async with asyncio.timeout(self._limits.connect):
                yield
        except TimeoutError as error:
            self._deny(request, admitted, Verdict.TIMEOUT)
            raise NotConnectedError(Verdict.TIMEOUT) from error
        except NotConnectedError as error:
            self._deny(request, admitted, error.verdict)
            raise

    async def _connected(self, request: Request, admitted: Pass) -> Link:
        through = admitted.upstream
        if through is None:
            return await self._dialler.dial(request.host, request.port, admitted.policy, admitted.turns)
        host = checked(admitted.policy, request.host, request.port)
        if through.speaks_http and not request.is_tunnel:
            return await through.dial(self._dialler, admitted.turns)
        return await through.tunnel(self._dialler, admitted.turns, host, request.port)

    async def _pass_head(self, server: Link, client: Link, admitted: Pass) -> None:
        """Hand on the head of the answer, and of the few interim ones that may come before it."""
        try:
            async with asyncio.timeout(self._limits.idle):
                for _ in range(self._limits.interims + 1):
                    answered = await server.until(_END_OF_ANSWER, most=head.MAX_HEAD)
                    status, rewritten = head.rewrite_answer(answered)
                    if status == _SWITCHING:
                        break
                    if status == _WANTS_A_CREDENTIAL and admitted.upstream is not None:
                        raise NotConnectedError(Verdict.UPSTREAM)
                    client.send(rewritten)
                    if status >= _FIRST_FINAL_STATUS:
                        return
        except TimeoutError as error:
            raise NotConnectedError(Verdict.TIMEOUT) from error
        except (TooLongError, head.MalformedError) as error:
            raise NotConnectedError(Verdict.GARBLED) from error
        raise NotConnectedError(Verdict.GARBLED)

    async def _until_silent(self, client: Link, server: Link) -> None:
        """Wait until both ends are closed; what is silent for too long is closed."""
        loop = asyncio.get_running_loop()
        ends = {client.closed, server.closed}
        while True:
            left = max(client.active_at, server.active_at) + self._limits.idle - loop.time()
            if left <= 0:
                client.abort()
                server.abort()
            _, pending = await asyncio.wait(ends, timeout=max(left, 1.0))
            if not pending:
                return

    def _deny(self, request: Request, admitted: Pass, denied: Verdict) -> None:
        if admitted.denials <= 0:
            return
        admitted.denials -= 1
        self._tell(event="denied", verdict=denied, host=request.host[:_MAX_SHOWN_HOST], port=request.port)

    def _tell(self, **message: object) -> None:
        """Tell the worker, if it listens; nobody waits for it."""
        if self._control is not None:
            with suppress(OSError):
                self._control.send(json.dumps(message).encode())


def _head_for(request: Request, admitted: Pass) -> bytes:
    through = admitted.upstream
    if through is None or not through.speaks_http:
        return request.for_origin()
    # It is to read the very host that was judged: 010.1.1.1 means one thing here and may mean another there.
    host = checked(admitted.policy, request.host, request.port)
    return replace(request, host=host).for_proxy(through.credential)


def run(control: int, listening: int, resolve: Resolve = look_up) -> None:
    """Serve on two inherited descriptors until the worker is gone."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # Linux; the closed pair does it too
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's to judge
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096) if most > 0 else 4096, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    worker, listener = socket.socket(fileno=control), socket.socket(fileno=listening)
    for inherited in (worker, listener):
        inherited.settimeout(0)

    async def serve() -> None:
        gc.collect()
        gc.freeze()
        await ForwardProxy(control=worker, resolve=resolve).serve(listener)

    try:
        import uvloop  # noqa: PLC0415 - not everywhere
    except ImportError:
        asyncio.run(serve())
    else:
        uvloop.run(serve())


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]))
