"""Contained processes, through a fork server that is started, started again, and exchanged as need be."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final, Literal

import structlog

from music_downloader.engine import folder
from music_downloader.engine.containment import Limits
from music_downloader.engine.forkserver import END_TIMEOUT, Child, ForkServer, gone
from music_downloader.engine.release.store import BuiltIn, Installed, Releases
from music_downloader.errors import DownloadFailedError

_START_TIMEOUT: Final = 60.0
_LOOK_AGAIN: Final = 5.0

log = structlog.get_logger(__name__)


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
        self._template: ForkServer | None = None
        self._retired: dict[ForkServer, asyncio.Task[None]] = {}
        self._coming: ForkServer | None = None
        self._starting = asyncio.Lock()
        self._identities = count(1)
        self._closed = False

    @property
    def template_pid(self) -> int | None:
        """The process id of the fork server, for the curious."""
        return self._template.process.pid if self._template and not self._template.dead else None

    @property
    def installed(self) -> Installed | None:
        """What runs; None for the built-in version."""
        return self._template.installed if self._template else None

    @property
    def updated_version(self) -> str | None:
        """The version that runs; None for the built-in one."""
        return self.installed.version if self.installed else None

    async def start(self) -> None:
        """Start the fork server and wait until it is warm; does nothing while one is running.

        Raises DownloadFailedError (internal, transient) when it can't be started.
        """
        async with self._starting:
            if self._closed:
                raise gone()
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

    async def _launch(self, chosen: Installed | None) -> ForkServer:
        """Start what was chosen; what doesn't start is rejected, and the next choice tried."""
        tried: set[str] = set()
        while True:
            template = self._coming = ForkServer.launch(chosen)
            try:
                ready = await asyncio.wait_for(template.ready, _START_TIMEOUT)
            except BaseException as error:
                await template.end()
                if not isinstance(error, TimeoutError | DownloadFailedError):
                    raise
                if chosen is None or self._closed:
                    raise gone() from error
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

    async def _retire(self, template: ForkServer) -> None:
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
            await asyncio.wait({retiring}, timeout=2 * END_TIMEOUT)

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
        transports: list[asyncio.BaseTransport] = []
        ends: list[int] = []
        template.children[identity] = child  # from now on it isn't retired
        try:
            try:
                ends.append(await _reader(child.stdout, transports))
                ends.append(await _reader(child.stderr, transports))
                if secret is not None:
                    ends.append(_memory(secret))
                message = {"op": op, "id": identity, "directory": str(directory), "limits": limits.to_json()}
                template.send({**message, **what}, tuple(ends))
            finally:
                for end in ends:
                    os.close(end)
            if template.dead:
                raise gone()
            yield child
        finally:
            child.kill()
            with suppress(TimeoutError, DownloadFailedError):
                await asyncio.wait_for(asyncio.shield(child.ended), END_TIMEOUT)
            template.children.pop(identity, None)
            for transport in transports:
                transport.close()
            if child.home is not None:
                await asyncio.to_thread(folder.remove, child.home)


async def _reader(stream: asyncio.StreamReader, transports: list[asyncio.BaseTransport]) -> int:
    """Connect `stream` to a new pair of sockets, and return the descriptor of the end to write to.

    No pipe: uvloop closes a pipe's descriptor twice, and in between a thread may have opened a file, or a
    connection, that got the same number.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        transport, _ = await asyncio.get_running_loop().create_unix_connection(
            lambda: asyncio.StreamReaderProtocol(stream), sock=ours
        )
    except BaseException:
        ours.close()
        theirs.close()
        raise
    transports.append(transport)
    return theirs.detach()


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
