"""Which picture a track gets. A bad one costs a look at the next, never the track."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from weakref import WeakValueDictionary

import structlog

from music_downloader.config.settings import Settings
from music_downloader.egress.policy import EgressPolicy
from music_downloader.engine.order import PictureOrder
from music_downloader.engine.run import Engine
from music_downloader.engine.source import Thumbnail
from music_downloader.errors import DownloadFailedError
from music_downloader.library.covers import Picture, ranked, read_embedded

log = structlog.stdlib.get_logger(__name__)

_MOST_KEPT = 16
_BAD_FOR_SECONDS = 300.0


class Covers:
    """The last few pictures by their address: the tracks of an album share theirs, and wait for it once."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[bytes | None, float]] = OrderedDict()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def get(self, url: str, make: Callable[[], Awaitable[bytes | None]]) -> bytes | None:
        """Return the picture at `url`, made if it isn't known; one that was bad is tried again later."""
        lock = self._locks.setdefault(url, asyncio.Lock())
        async with lock:
            picture, since = self._kept.get(url, (None, float("-inf")))
            if picture is None and time.monotonic() - since > _BAD_FOR_SECONDS:
                picture, since = await make(), time.monotonic()
            self._kept[url] = (picture, since)
            self._kept.move_to_end(url)
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
            return picture


async def find_cover(
    engine: Engine,
    covers: Covers,
    settings: Settings,
    *,
    offered: Sequence[Thumbnail],
    referer: str | None,
    audio: Path,
) -> bytes | None:
    """Return the best picture that the source offers, else the one in the file itself, as a JPEG."""
    pictures = [Picture(url=one.url, width=one.width, height=one.height) for one in offered]
    for number, picture in enumerate(ranked(pictures)):
        order = PictureOrder(
            url=picture.url,
            directory=audio.parent,
            policy=EgressPolicy(allowed=settings.allowed_networks),
            proxy=settings.proxy_url,
            referer=referer,
        )
        found = await covers.get(picture.url, lambda order=order: _fetched(engine, order))  # type: ignore[misc]
        if found is not None:
            return found
        log.debug("cover.skipped", number=number)
    embedded = await asyncio.to_thread(read_embedded, audio)
    if embedded is None:
        return None
    path = audio.with_name("embedded-cover")
    await asyncio.to_thread(path.write_bytes, embedded)
    return await _made(engine, path)


async def _fetched(engine: Engine, order: PictureOrder) -> bytes | None:
    try:
        return await _made(engine, await engine.fetch_picture(order))
    except DownloadFailedError as error:
        log.info("cover.unavailable", detail=error.detail)
        return None


async def _made(engine: Engine, path: Path) -> bytes | None:
    try:
        return await engine.make_cover(path)
    except DownloadFailedError as error:
        log.info("cover.unusable", detail=error.detail)
        return None
    finally:
        await asyncio.to_thread(path.unlink, missing_ok=True)
