"""Keeping yt-dlp fresh: follows what anybody installs, and asks for newer versions by itself."""

import asyncio
import random
import time
from typing import Final

import structlog

from music_downloader.engine.release.store import Store
from music_downloader.engine.release.update import update
from music_downloader.engine.run import Engine
from music_downloader.errors import DownloadFailedError, EngineUpdateError

log = structlog.stdlib.get_logger(__name__)

_LOOK_EVERY_SECONDS: Final = 5.0
_FIRST_CHECK_SECONDS: Final = (900.0, 1800.0)  # a start is busy enough, and not all begin at once
_CHECK_EVERY_SECONDS: Final = 24 * 3600.0


async def keep(engine: Engine, store: Store, *, updates: str) -> None:
    """Go over to each version that is installed below DATA_DIRECTORY; unless `updates` is off, install them.

    Runs until it is cancelled. Nothing that fails here hinders downloads.
    """
    clock = asyncio.get_running_loop().time
    stamp = await asyncio.to_thread(store.stamp)
    check_at = clock() + random.uniform(*_FIRST_CHECK_SECONDS)  # noqa: S311 - it spreads, no more
    while True:
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
        if updates != "off" and clock() >= check_at:
            check_at = clock() + _CHECK_EVERY_SECONDS
            await _check(store, nightly=updates == "nightly")
        seen = await asyncio.to_thread(store.stamp)
        if seen == stamp:
            continue
        try:
            await engine.spawner.renew()
            stamp = seen
        except (DownloadFailedError, OSError) as error:
            log.warning("engine.not_renewed", reason=str(error))


async def _check(store: Store, *, nightly: bool) -> None:
    checked_at = (await asyncio.to_thread(store.ledger)).checked_at
    if checked_at is not None and 0 <= time.time() - checked_at < _CHECK_EVERY_SECONDS / 2:
        return  # another worker of this folder has
    try:
        await update(store, nightly=nightly, by_itself=True)
    except EngineUpdateError as error:
        log.warning("engine.not_updated", reason=error.detail)
    except Exception:  # the next check may do better
        log.exception("engine.update_crashed")
