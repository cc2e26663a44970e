"""Fetching what a download's URL names, and telling how far it is."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Self

import structlog
from sqlalchemy.exc import SQLAlchemyError

from music_downloader.egress.policy import EgressPolicy
from music_downloader.engine.order import Fetched, FetchOrder, Item, Listed, Progress
from music_downloader.engine.run import OnEntries
from music_downloader.errors import DownloadFailedError, ErrorCode
from music_downloader.service import cookies, download
from music_downloader.service.claim import Claim
from music_downloader.task.persistence import persist
from music_downloader.task.state import WorkerState
from music_downloader.task.stopwatch import Stopwatch
from music_downloader.task.storage import least_room

log = structlog.stdlib.get_logger(__name__)

_QUIET_SECONDS = 0.4
_LAST_WORD_SECONDS = 2.0


async def fetch(
    state: WorkerState, claimed: Claim, staging: Path, *, on_entries: OnEntries, watch: Stopwatch
) -> Fetched | Listed:
    """Fetch a track into `staging`, or have `on_entries` told what a list holds."""
    settings = state.settings
    owners = partial(cookies.for_download, user_id=claimed.user_id, url=claimed.url)
    kept = await persist(state, owners) if claimed.has_cookies else None
    order = FetchOrder(
        url=claimed.url,
        item=_item(claimed),
        directory=staging,
        policy=EgressPolicy(allowed=settings.allowed_networks),
        deadline=settings.download_timeout,
        max_bytes=settings.max_file_size,
        max_duration=settings.max_duration,
        min_free=least_room(settings),
        proxy=settings.proxy_url,
        max_items=settings.max_collection_items,
        cookies=await state.cookie_key.open(kept) if kept else (),
    )
    async with Reporter(state, claimed) as reporter:

        def report(progress: Progress) -> None:
            watch.enter(progress.phase)
            reporter.report(progress)

        try:
            return await state.engine.fetch(order, on_progress=report, on_entries=on_entries)
        except DownloadFailedError as error:
            if kept is None or not order.cookies or error.code is not ErrorCode.LOGIN_REQUIRED:
                raise
            words = f"{error.detail} The cookies for {kept.site} didn't help; upload newer ones."
            raise DownloadFailedError(error.code, words) from error


def _item(claimed: Claim) -> Item | None:
    if claimed.item_position is None:
        return None
    said: Mapping[str, Any] = (claimed.entry or {}).get("said", {})
    return Item(position=claimed.item_position, source_id=said.get("source_id", ""))


class Reporter:
    """Writes an attempt's progress into its row, one write at a time; what comes meanwhile is passed over.

    What is over within a moment is not worth a write: most tracks of a quick source never get one.
    """

    def __init__(self, state: WorkerState, claimed: Claim) -> None:
        self._state = state
        self._claimed = claimed
        self._latest: Progress | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self._quiet_until = time.monotonic() + _QUIET_SECONDS

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=_LAST_WORD_SECONDS)
            self._writing.cancel()  # a database that is away: nobody needs to know any more
            await asyncio.wait({self._writing})

    def report(self, progress: Progress) -> None:
        """Take note of how far it is; never blocks and never fails the download."""
        self._latest = progress
        if self._timer is None and (self._writing is None or self._writing.done()):
            wait = max(0.0, self._quiet_until - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait, self._begin)

    def _begin(self) -> None:
        self._timer = None
        if self._latest is not None:
            self._writing = asyncio.create_task(self._write(asdict(self._latest)))

    async def _write(self, progress: dict[str, Any]) -> None:
        total, done = progress["total_bytes"], progress["downloaded_bytes"]
        progress["percent"] = round(min(100 * done / total, 100), 1) if total else None
        try:
            async with self._state.sessionmaker.begin() as session:
                await download.note_progress(session, self._claimed, progress)
        except (SQLAlchemyError, OSError) as error:
            log.debug("progress.lost", error=type(error).__name__)
