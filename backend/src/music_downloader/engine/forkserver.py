"""One run of the fork server, as the worker holds it: its start, its children, and its end."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

import structlog

from music_downloader.engine import folder
from music_downloader.engine.release.store import Installed
from music_downloader.errors import DownloadFailedError, ErrorCode

END_TIMEOUT: Final = 5.0
_MAX_MESSAGE: Final = 64 * 1024
_MAX_LINE: Final = 1024 * 1024
_PASSED_ON: Final = ("TZ",)

log = structlog.get_logger(__name__)


class Child:
    """One process under way; `stdout` and `stderr` can be read, `ended` becomes its exit status.

    `home` is the temporary home of one that fetches.
    """

    def __init__(self, server: "ForkServer", identity: int) -> None:
        loop = asyncio.get_running_loop()
        self.stdout = asyncio.StreamReader(limit=_MAX_LINE)
        self.stderr = asyncio.StreamReader(limit=_MAX_LINE)
        self.pid: int | None = None
        self.home: str | None = None
        self.ended: asyncio.Future[int | None] = loop.create_future()
        self._server = server
        self._identity = identity

    def kill(self) -> None:
        """Kill the whole process group; nothing happens when it has ended."""
        if not self.ended.done():
            self._server.send({"op": "kill", "id": self._identity})


class ForkServer:
    """A process that makes processes; once dead, it stays dead."""

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
        """Start one with that yt-dlp, or with the built-in one; `ready` tells when it is warm."""
        home = Path(tempfile.mkdtemp(prefix="music-downloader-"))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(0)
        try:
            with theirs:
                if installed is None:
                    process = start_server(theirs.fileno(), home)
                else:
                    process = start_updated(theirs.fileno(), home, installed)
        except BaseException:
            ours.close()
            folder.remove(str(home))
            raise
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
            self.ready.set_exception(gone())
            self.ready.exception()  # nobody may be waiting for it
        for child in self.children.values():
            if not child.ended.done():
                child.ended.set_exception(gone())
                child.ended.exception()  # the same
        self.children.clear()

    async def end(self) -> None:
        """Wait until the server has ended, killing it when it doesn't."""
        self.bury()
        try:
            await asyncio.to_thread(self.process.wait, END_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            await asyncio.to_thread(self.process.wait, END_TIMEOUT)
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


def gone() -> DownloadFailedError:
    """Return the error of whatever a fork server took with it: another attempt may well succeed."""
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
