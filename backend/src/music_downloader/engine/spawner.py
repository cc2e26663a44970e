"""The worker's side of the fork server: starts it, restarts it, and holds each child until it is gone."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final, Literal, Self

import structlog

from music_downloader.engine import folder
from music_downloader.engine.containment import Limits
from music_downloader.engine.release.store import BuiltIn, Installed, Releases
from music_downloader.errors import DownloadFailedError, ErrorCode

_MAX_MESSAGE: Final = 64 * 1024
_START_TIMEOUT: Final = 60.0
_END_TIMEOUT: Final = 5.0
_MAX_LINE: Final = 1024 * 1024
_LOOK_AGAIN: Final = 5.0
_PASSED_ON: Final = ("TZ",)

log = structlog.get_logger(__name__)


class Child:
    """One process under way; `stdout` and `stderr` can be read, `ended` becomes its exit status.

    `home` is the temporary home of one that fetches.
    """

    def __init__(self, template: "_Template", identity: int) -> None:
        loop = asyncio.get_running_loop()
        self.stdout = asyncio.StreamReader(limit=_MAX_LINE)
        self.stderr = asyncio.StreamReader(limit=_MAX_LINE)
        self.pid: int | None = None
        self.home: str | None = None
        self.ended: asyncio.Future[int | None] = loop.create_future()
        self._template = template
        self._identity = identity

    def kill(self) -> None:
        """Kill the whole process group; nothing happens when it has ended."""
        if not self.ended.done():
            self._template.send({"op": "kill", "id": self._identity})


class _Template:
    """One run of the fork server; once dead, it stays dead."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        sock: socket.socket,
        home: Path,
        installed: Installed | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.process = process
        self.installed = installed
        self.ready: asyncio.Future[dict[str, Any]] = loop.create_future()
        self.dead = False
        self.children: dict[int, Child] = {}
        self._socket = sock
        self._home = home
        self._loop = loop
        loop.add_reader(sock, self._receive)

    @classmethod
    def launch(cls, installed: Installed | None) -> Self:
        home = Path(tempfile.mkdtemp(prefix="music-downloader-"))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(0)
        with theirs:
            if installed is None:
                process = start_server(theirs.fileno(), home)
            else:
                process = start_updated(theirs.fileno(), home, installed)
        return cls(process, ours, home, installed)

    def send(self, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        """Send one message; a dead or deaf server is declared dead, which its children hear of."""
        if self.dead:
            return
        try:
            socket.send_fds(self._socket, [json.dumps(message).encode()], descriptors)
        except OSError:
            self.bury()

    def bury(self) -> None:
        """Let go of the server; it and all its children end with the socket, at once or by SIGKILL."""
        if self.dead:
            return
        self.dead = True
        self._loop.remove_reader(self._socket)
        self._socket.close()
        if not self.ready.done():
            self.ready.set_exception(_gone())
            self.ready.exception()  # nobody may be waiting for it
        for child in self.children.values():
            if not child.ended.done():
                child.ended.set_exception(_gone())
                child.ended.exception()  # the same
        self.children.clear()

    async def end(self) -> None:
        """Wait until the server has ended, killing it when it doesn't."""
        self.bury()
        try:
            await asyncio.to_thread(self.process.wait, _END_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            await asyncio.to_thread(self.process.wait, _END_TIMEOUT)
        finally:
            await asyncio.to_thread(folder.remove, str(self._home))

    def _receive(self) -> None:
        try:
            data = self._socket.recv(_MAX_MESSAGE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            log.warning("engine.template_gone", pid=self.process.pid)
            self.bury()
            return
        message = json.loads(data)
        if message["event"] == "ready":
            self.ready.set_result(message)
        elif message["event"] == "started" and message["id"] in self.children:
            child = self.children[message["id"]]
            child.pid, child.home = message["pid"], message["home"] or None
        elif message["event"] == "exited":
            ended = self.children.pop(message["id"], None)
            if ended is not None:
                ended.ended.set_result(message["status"])


class Spawner:
    """Starts contained processes through a fork server, which is started again when it died.

    `networked` says why what "exec" starts keeps its network; None, where it has none. `unconfined` says what
    of the kernel's sandbox is missing, in words; None where all is there.
    """

    def __init__(self, releases: Releases | None = None) -> None:
        self.releases = releases or BuiltIn()
        self.yt_dlp_version: str | None = None
        self.networked: str | None = None
        self.unconfined: str | None = None
        self._template: _Template | None = None
        self._retired: dict[_Template, asyncio.Task[None]] = {}
        self._coming: _Template | None = None
        self._starting = asyncio.Lock()
        self._identities = count(1)
        self._closed = False

    @property
    def template_pid(self) -> int | None:
        """The process id of the fork server, for the curious."""
        return self._template.process.pid if self._template and not self._template.dead else None

    @property
    def updated_version(self) -> str | None:
        """The version that runs; None for the built-in one."""
        installed = self._template.installed if self._template else None
        return installed.version if installed else None

    async def start(self) -> None:
        """Start the fork server and wait until it is warm; does nothing while one is running.

        Raises DownloadFailedError (internal, transient) when it can't be started.
        """
        async with self._starting:
            if self._closed:
                raise _gone()
            if self._template is not None and not self._template.dead:
                return
            if self._template is not None:
                await self._template.end()
            self._template = await self._launch(await asyncio.to_thread(self.releases.choose))

    async def renew(self) -> None:
        """Go over to what is chosen now; the fork server before it ends when its last child has.

        Nothing happens while that is what runs. Raises DownloadFailedError as `start` does.
        """
        async with self._starting:
            before = self._template
            if self._closed or before is None or before.dead:
                return  # the next start chooses anyway
            chosen = await asyncio.to_thread(self.releases.choose)
            if (chosen and chosen.version) == self.updated_version:
                return
            self._template = await self._launch(chosen)
            self._retired[before] = asyncio.create_task(self._retire(before))
            log.info("engine.renewed", yt_dlp=self.yt_dlp_version, running=len(before.children))

    async def _launch(self, chosen: Installed | None) -> _Template:
        """Start what was chosen; what doesn't start is rejected, and the next choice tried."""
        tried: set[str] = set()
        while True:
            template = self._coming = _Template.launch(chosen)
            try:
                ready = await asyncio.wait_for(template.ready, _START_TIMEOUT)
            except BaseException as error:
                await template.end()
                if not isinstance(error, TimeoutError | DownloadFailedError):
                    raise
                if chosen is None or self._closed:
                    raise _gone() from error
            else:
                self._note(ready)
                return template
            finally:
                self._coming = None
            tried.add(chosen.version)
            await asyncio.to_thread(self.releases.reject, chosen.version, "its process doesn't start")
            chosen = await asyncio.to_thread(self.releases.choose)
            if chosen is not None and chosen.version in tried:  # that couldn't be written down
                chosen = None

    def _note(self, ready: dict[str, Any]) -> None:
        if ready["networked"] and self.yt_dlp_version is None:  # said once
            log.info("engine.ffmpeg_keeps_network", reason=ready["networked"])
        if ready["unconfined"] and self.yt_dlp_version is None:  # the same
            log.info("engine.sandbox_incomplete", reason=ready["unconfined"])
        self.yt_dlp_version = ready["yt_dlp"]
        self.unconfined = ready["unconfined"]
        self.networked = ready["networked"]

    async def _retire(self, template: _Template) -> None:
        """End a fork server once nothing of it runs any more."""
        try:
            while template.children and not template.dead:
                await asyncio.wait({child.ended for child in template.children.values()}, timeout=_LOOK_AGAIN)
                await asyncio.sleep(0.1)  # whoever has ended is taken from the list by its own task
        finally:
            await asyncio.shield(template.end())
            self._retired.pop(template, None)

    async def close(self) -> None:
        """End the fork server and with it every child."""
        self._closed = True
        if self._coming is not None:
            self._coming.bury()
        if self._template is not None:
            await self._template.end()
        for template, retiring in list(self._retired.items()):
            template.bury()
            await asyncio.wait({retiring}, timeout=2 * _END_TIMEOUT)

    @asynccontextmanager
    async def child(
        self,
        op: Literal["fetch", "picture", "exec"],
        *,
        directory: Path,
        limits: Limits,
        secret: bytes | None = None,
        **what: object,
    ) -> AsyncIterator[Child]:
        """Start one process; however the block is left, its whole group is gone by then.

        A fetch may be told a `secret`, which no other process reads, the fork server included.
        """
        await self.start()
        template = self._template
        assert template is not None  # noqa: S101 - start() has just seen to it
        identity = next(self._identities)
        child = Child(template, identity)
        pipes: list[asyncio.ReadTransport] = []
        template.children[identity] = child  # from now on it isn't retired
        try:
            ends = [await _reader(stream, pipes) for stream in (child.stdout, child.stderr)]
            try:
                if secret is not None:
                    ends.append(_memory(secret))
                message = {"op": op, "id": identity, "directory": str(directory), "limits": limits.to_json()}
                template.send({**message, **what}, tuple(ends))
            finally:
                for end in ends:
                    os.close(end)
            if template.dead:
                raise _gone()
            yield child
        finally:
            child.kill()
            with suppress(TimeoutError, DownloadFailedError):
                await asyncio.wait_for(asyncio.shield(child.ended), _END_TIMEOUT)
            template.children.pop(identity, None)
            for pipe in pipes:
                pipe.close()
            if child.home is not None:
                await asyncio.to_thread(folder.remove, child.home)


def start_server(descriptor: int, home: Path) -> subprocess.Popen[bytes]:
    """Start the fork server in its home; it serves whoever holds the other end of the socket `descriptor`."""
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-I", "-m", "music_downloader.engine.template", str(descriptor)],
        cwd=home,
        env=environment(home),
        pass_fds=[descriptor],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def start_updated(descriptor: int, home: Path, installed: Installed) -> subprocess.Popen[bytes]:
    """Start the fork server with a yt-dlp that was installed later."""
    held = installed.confined
    confinement = [json.dumps({"directory": str(held.directory), "port": held.port})] if held else []
    with ExitStack() as stack:
        said = stack.enter_context(installed.said.open("wb")) if installed.said else None
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [
                *(sys.executable, "-I", "-m", "music_downloader.engine.updated", str(descriptor)),
                *(str(installed.folder), *confinement),
            ],
            cwd=home,
            env=environment(home),
            pass_fds=[descriptor],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )


async def _reader(stream: asyncio.StreamReader, pipes: list[asyncio.ReadTransport]) -> int:
    """Connect `stream` to a new pipe and return the pipe's writing end."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream),
            open(reading, "rb", buffering=0),  # noqa: ASYNC230, PTH123, SIM115 - a pipe, closed with its transport
        )
    except BaseException:
        os.close(writing)
        raise
    pipes.append(transport)
    return writing


def _memory(content: bytes) -> int:
    """Return a descriptor to read `content` from; it lies in memory, and goes with its last reader."""
    descriptor = os.memfd_create("secret")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        os.lseek(descriptor, 0, os.SEEK_SET)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _gone() -> DownloadFailedError:
    return DownloadFailedError(
        ErrorCode.INTERNAL, "The process that fetches ended unexpectedly.", transient=True
    )


def environment(home: Path) -> dict[str, str]:
    """Return what the fork server and its children may know: a list, so no secret and no proxy slips in."""
    scripts = str(Path(sys.executable).parent)  # where the JavaScript runtime's wheel puts its program
    search = os.environ.get("PATH", os.defpath)
    inherited = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    folders = ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "TMPDIR")
    return {
        "PATH": f"{scripts}{os.pathsep}{search}",
        "LANG": "C.UTF-8",
        "HOME": str(home),
        **dict.fromkeys(folders, str(home)),
        "YTDLP_NO_PLUGINS": "1",
        "DENO_NO_UPDATE_CHECK": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **inherited,
    }
