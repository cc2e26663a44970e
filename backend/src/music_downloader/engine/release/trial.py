"""Trying a yt-dlp before it is used: what we do with it all day, done with it once, on a source of our own.

It runs as it would later, behind an egress proxy of its own and in the kernel's sandbox; and here the whole
fork server is in the sandbox too, so nothing of the new code ever runs outside before it has passed.
"""

import asyncio
import html
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from music_downloader.egress.policy import EgressPolicy
from music_downloader.engine.order import Entry, Fetched, FetchOrder, Listed, PictureOrder
from music_downloader.engine.release.store import Confinement, Installed
from music_downloader.engine.release.version import order
from music_downloader.engine.run import Engine
from music_downloader.engine.source import SourceInfo
from music_downloader.errors import DownloadFailedError, EngineUpdateError, ErrorCode, SlowTrialError

_SECONDS: Final = 120.0
_HEAD_BYTES: Final = 16 * 1024
_LOOPBACK: Final = "127.0.0.1"
_AUDIO: Final = b"\xff\xfb\x90\x00" + bytes(8188)
_PICTURE: Final = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff"
    b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
_TRACKS: Final = ("one", "two")


class _Candidate:
    """The one version that is tried."""

    def __init__(self, installed: Installed) -> None:
        self._installed = installed
        self._rejected = False

    def choose(self) -> Installed:
        """Choose the candidate, as long as it starts."""
        if self._rejected:
            raise DownloadFailedError(ErrorCode.INTERNAL, "It doesn't start.")
        return self._installed

    def reject(self, version: str, reason: str) -> None:
        """Remember that it doesn't start."""
        del version, reason
        self._rejected = True

    def note_passed(self, version: str) -> None:
        """Hear of nothing: what it fetches here is the trial's own."""


async def attempt(tree: Path, version: str, *, folder: Path) -> None:
    """Try the yt-dlp in `tree`, with `folder` to work in; raises EngineUpdateError where it doesn't pass."""
    directory, said = folder / "trial", folder / "trial.txt"
    await asyncio.to_thread(directory.mkdir)
    try:
        async with asyncio.timeout(_SECONDS), _source() as site:
            await _try(tree, version, site, directory=directory, said=said)
    except (DownloadFailedError, TimeoutError) as error:
        if isinstance(error, TimeoutError) or error.code is ErrorCode.TIMEOUT:
            raise SlowTrialError(f"The trial of yt-dlp {version} took too long; try again later.") from error
        reason = await asyncio.to_thread(_complaint, said) or error.detail
        raise EngineUpdateError(f"yt-dlp {version} didn't pass its trial: {reason}") from error


async def _try(tree: Path, version: str, site: str, *, directory: Path, said: Path) -> None:
    engine = Engine()
    try:
        await engine.gate.start()
        confined = Confinement(directory=directory, port=engine.gate.port)
        candidate = Installed(version=version, folder=tree, confined=confined, said=said)
        engine.spawner.releases = _Candidate(candidate)
        await engine.start()
        if order(engine.yt_dlp_version or "") != order(version):
            raise DownloadFailedError(ErrorCode.INTERNAL, "It says that it is another version.")
        await _fetch_all(engine, site, directory)
    finally:
        await engine.close()


async def _fetch_all(engine: Engine, site: str, directory: Path) -> None:
    policy = EgressPolicy(allowed=(ip_network(_LOOPBACK),))

    def bounded(path: str) -> FetchOrder:
        return FetchOrder(
            url=f"{site}{path}", directory=directory, policy=policy, deadline=30, max_bytes=1024**2
        )

    fetched = await engine.fetch(bounded("/track"), on_progress=lambda _: None)
    content = await asyncio.to_thread(fetched.path.read_bytes)
    await asyncio.to_thread(fetched.path.unlink)
    told: list[Entry] = []

    async def hear(collection: SourceInfo, entries: list[Entry]) -> None:
        del collection
        told.extend(entries)

    listed: Fetched | Listed = await engine.fetch(
        bounded("/list"), on_progress=lambda _: None, on_entries=hear
    )
    picture = await engine.fetch_picture(
        PictureOrder(url=f"{site}/picture.gif", directory=directory, policy=policy)
    )
    if content != _AUDIO or not isinstance(listed, Listed) or len(told) != len(_TRACKS):
        raise DownloadFailedError(ErrorCode.INTERNAL, "It fetched something else than it was asked for.")
    if await asyncio.to_thread(picture.read_bytes) != _PICTURE:
        raise DownloadFailedError(ErrorCode.INTERNAL, "It fetched another picture.")


def _complaint(said: Path) -> str:
    """Return the last line of what the fork server complained of."""
    with suppress(OSError):
        lines = said.read_bytes()[-4096:].decode("utf-8", "replace").splitlines()
        return "".join(c if c.isprintable() else " " for c in lines[-1].strip())[:200] if lines else ""
    return ""


@asynccontextmanager
async def _source() -> AsyncIterator[str]:
    """Serve a page with a track, a feed with two, and a picture, to whoever comes; give its address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(
            OSError, ValueError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            async with asyncio.timeout(10):
                method, path, _ = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split(" ", 2)
                content, kind = _content(path, site)
                status = "200 OK" if kind else "404 Not Found"
                head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
                writer.write(f"{head}Connection: close\r\n\r\n".encode())
                writer.write(content if method == "GET" else b"")
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, _LOOPBACK, 0, limit=_HEAD_BYTES)
    site = f"http://{_LOOPBACK}:{server.sockets[0].getsockname()[1]}"
    try:
        yield site
    finally:
        server.close()


def _content(path: str, site: str) -> tuple[bytes, str]:
    if path.endswith(".mp3"):
        return _AUDIO, "audio/mpeg"
    if path == "/picture.gif":
        return _PICTURE, "image/gif"
    if path == "/track":
        source = html.escape(f"{site}/one.mp3")
        page = f"<!doctype html><html><head><title>A track</title></head><body><audio src='{source}'></audio>"
        return f"{page}</body></html>".encode(), "text/html"
    if path == "/list":
        items = "".join(
            f"<item><title>{name}</title><link>{site}/{name}.mp3</link>"
            f"<enclosure url='{site}/{name}.mp3' type='audio/mpeg' length='1'/></item>"
            for name in _TRACKS
        )
        feed = (
            f"<?xml version='1.0'?><rss version='2.0'><channel><title>A list</title>{items}</channel></rss>"
        )
        return feed.encode(), "application/rss+xml"
    return b"", ""
