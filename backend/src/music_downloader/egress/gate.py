"""The worker's side of the egress proxy: starts it, starts it again when it died, and says who may use it.

The worker itself listens and lends the socket, so the address stays the same over every restart, and whoever
connects in between waits for a moment instead of being refused.
"""

import asyncio
import json
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import structlog

from music_downloader.egress.policy import EgressPolicy
from music_downloader.egress.proxy import USER
from music_downloader.errors import DownloadFailedError, ErrorCode

_MODULE: Final = ("-I", "-m", "music_downloader.egress.proxy")
_LOOPBACK: Final = "127.0.0.1"
_BACKLOG: Final = 128
_START_SECONDS: Final = 30.0
_END_SECONDS: Final = 5.0
_RESTARTS_AFTER: Final = (0.0, 0.2, 1.0, 5.0)
_MAX_MESSAGE: Final = 64 * 1024

log = structlog.get_logger(__name__)


class Run:
    """One run of the proxy; once dead, it stays dead."""

    def __init__(self, command: Sequence[str], listening: socket.socket) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(0)
        descriptors = [theirs.fileno(), listening.fileno()]
        try:
            with theirs:
                self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                    [sys.executable, *command, *map(str, descriptors)],
                    cwd="/",
                    env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
                    pass_fds=descriptors,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                )
        except BaseException:
            ours.close()
            raise
        loop = asyncio.get_running_loop()
        self.ready = asyncio.Event()
        self.gone = asyncio.Event()
        self._loop = loop
        self._socket = ours
        loop.add_reader(ours, self._receive)

    def send(self, message: dict[str, Any]) -> None:
        """Send one message; a deaf proxy is taken for dead."""
        if self.gone.is_set():
            return
        try:
            self._socket.send(json.dumps(message).encode())
        except OSError:
            self.bury()

    def bury(self) -> None:
        """Let go of the proxy, which ends by that."""
        if self.gone.is_set():
            return
        self.gone.set()
        self._loop.remove_reader(self._socket)
        self._socket.close()

    async def end(self) -> None:
        """Wait until it has ended, killing it when it doesn't."""
        self.bury()
        try:
            await asyncio.to_thread(self.process.wait, _END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            await asyncio.to_thread(self.process.wait, _END_SECONDS)

    def _receive(self) -> None:
        try:
            data = self._socket.recv(_MAX_MESSAGE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.bury()
            return
        match json.loads(data):
            case {"event": "ready"}:
                self.ready.set()
            case {"event": "denied", "verdict": verdict, "host": host, "port": port}:
                log.info("egress.denied", reason=verdict, host=host, port=port)


class Gate:
    """The proxy that every fetch goes through, kept alive from `start` to `close`.

    `command` is what the interpreter is given to run instead of the proxy's own module.
    """

    def __init__(self, command: Sequence[str] = _MODULE) -> None:
        self._command = command
        self._listening: socket.socket | None = None
        self._run: Run | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._started = asyncio.Event()
        self._admitted: dict[str, dict[str, Any]] = {}
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The proxy's process id, for the curious."""
        return self._run.process.pid if self._run and not self._run.gone.is_set() else None

    @property
    def port(self) -> int:
        """The port of the loopback that it is reached at, the same from its first start to its end."""
        assert self._listening is not None  # noqa: S101 - asked for after start()
        return int(self._listening.getsockname()[1])

    async def start(self) -> None:
        """Start the proxy and wait until it serves; does nothing while it does.

        Raises DownloadFailedError (internal, transient) when it can't be started.
        """
        if self._closed:
            raise _gone()
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep())
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._started.wait()
        except TimeoutError as error:
            raise _gone() from error

    async def close(self) -> None:
        """End the proxy, and all that goes through it."""
        self._closed = True
        if self._keeping is not None:
            self._keeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeping
        if self._run is not None:
            await self._run.end()
        if self._listening is not None:
            self._listening.close()

    @asynccontextmanager
    async def admit(self, policy: EgressPolicy, upstream: str | None) -> AsyncIterator[str]:
        """Give the proxy's URL, with a credential of its own, for as long as the block runs.

        It permits what `policy` does. With `upstream`, that proxy is asked to connect, and resolves; raises
        DownloadFailedError when it isn't a URL of a proxy.
        """
        await self.start()
        token = secrets.token_urlsafe(24)
        message = {
            "op": "admit",
            "token": token,
            "allowed": [str(network) for network in policy.allowed],
            "upstream": upstream,
        }
        self._admitted[token] = message
        try:
            self._send(message)
            yield f"http://{USER}:{token}@{_LOOPBACK}:{self.port}"
        finally:
            del self._admitted[token]
            self._send({"op": "dismiss", "token": token})

    def _send(self, message: dict[str, Any]) -> None:
        if self._run is not None:
            self._run.send(message)

    async def _keep(self) -> None:
        """Run the proxy, again and again."""
        failures = 0
        while True:
            await asyncio.sleep(_RESTARTS_AFTER[min(failures, len(_RESTARTS_AFTER) - 1)])
            if self._listening is None:
                self._listening = socket.create_server((_LOOPBACK, 0), backlog=_BACKLOG)
            try:
                run = self._run = Run(self._command, self._listening)
            except OSError as error:
                log.warning("egress.proxy_not_started", reason=error.strerror)
                failures += 1
                continue
            for message in self._admitted.values():
                run.send(message)
            failures = 0 if await self._watch(run) else failures + 1
            log.warning("egress.proxy_gone", pid=run.process.pid)
            await run.end()

    async def _watch(self, run: Run) -> bool:
        """Wait until it is gone, and say whether it ever served."""
        waits = [asyncio.create_task(event.wait()) for event in (run.ready, run.gone)]
        try:
            await asyncio.wait(waits, timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if run.ready.is_set():
                self._started.set()
                await run.gone.wait()
        finally:
            for wait in waits:
                wait.cancel()
        return run.ready.is_set()


def _gone() -> DownloadFailedError:
    return DownloadFailedError(
        ErrorCode.INTERNAL, "The way out to the sources could not be opened.", transient=True
    )
