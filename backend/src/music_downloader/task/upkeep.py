"""Periodic jobs: expired tokens, downloads that nobody works on, and the counts of long lists."""

import asyncio
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from procrastinate import App, JobContext
from procrastinate.jobs import Status
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from music_downloader.jobs import (
    CLEAN_UP,
    FOLD,
    PERIODIC,
    RESCUE,
    RUN_DOWNLOAD,
    SILENT_AFTER_SECONDS,
    UPKEEP,
)
from music_downloader.library.filing import STAGING, remove_staging, staging_left_since
from music_downloader.library.staging import staged_downloads
from music_downloader.service import (
    cleanup,
    counting,
    holding,
    intent,
    library,
    measurement,
    orphanage,
    throttle,
)
from music_downloader.task import custody
from music_downloader.task.state import WorkerState
from music_downloader.task.withdrawal import withdraw

log = structlog.stdlib.get_logger(__name__)

# A download whose job is gone is found as one without.
_COME_BY_THEMSELVES = {RUN_DOWNLOAD, *PERIODIC}
_EVERY_QUARTER_OF_AN_HOUR = "*/15 * * * *"
_STAGING_KEPT_SECONDS = 24 * 3600
_LEFT_ALONE = timedelta(hours=1)
_MOST_MEASURED = 100
# A worker that has lost no more than its queue takes up again what it has running.
_TAKEN_UP_WITHIN_SECONDS = 5.0
_EVERY_TEN_SECONDS = "* * * * * */10"


def declare(app: App) -> None:
    """Tell the queue which jobs run here, and when: each is queued once, however many workers there are."""
    for name, run, cron in (
        (CLEAN_UP, clean_up, _EVERY_QUARTER_OF_AN_HOUR),
        (RESCUE, rescue, _EVERY_TEN_SECONDS),
        (FOLD, fold, _EVERY_TEN_SECONDS),
    ):
        task = app.task(name=name, queue=UPKEEP, queueing_lock=name, pass_context=True)(run)
        app.periodic(cron=cron, periodic_id=name)(task)


async def clean_up(context: JobContext, timestamp: int) -> None:
    """Remove expired blacklist rows and counts, and staging folders that no download will come back to."""
    del timestamp
    async with WorkerState.of(context).sessionmaker.begin() as session:
        removed = await cleanup.remove_expired_tokens(session)
        await throttle.remove_expired(session)
        if WorkerState.of(context).settings.replaygain:
            longer_ago = datetime.now(UTC) - _LEFT_ALONE
            await library.queue_unmeasured(session, before=longer_ago, most=_MOST_MEASURED)
    if removed:
        log.info("tokens.removed", count=removed)
    root = WorkerState.of(context).settings.output_directory
    staged = await asyncio.to_thread(staged_downloads, root)
    for folder in await asyncio.to_thread(staging_left_since, root, time.time() - _STAGING_KEPT_SECONDS):
        if folder.name not in staged:  # those of downloads are seen to by the rescue
            await _remove(folder)


async def fold(context: JobContext, timestamp: int) -> None:
    """Fold what has come and gone lately into the counts of long lists."""
    del timestamp
    async with WorkerState.of(context).sessionmaker.begin() as session:
        await session.execute(text("SET LOCAL synchronous_commit = off"))  # if lost, it is done again
        folded = await counting.fold(session)
        if folded is not None:  # its lock is ours: nobody else is at it
            await measurement.fold(session)
    if folded is not None and folded.changes:
        log.debug("counts.folded", changes=folded.changes, blocks=folded.blocks)


async def rescue(context: JobContext, timestamp: int) -> None:
    """See to what the dead have left: put their downloads back into the queue, and clear up after them."""
    del timestamp
    state = WorkerState.of(context)
    if not await custody.may_judge(state):
        return
    await _release_held(state)
    manager = context.app.job_manager
    stalled = await manager.get_stalled_jobs(seconds_since_heartbeat=SILENT_AFTER_SECONDS)
    for job in stalled:
        log.warning("worker.died", job=job.task_name, **job.task_kwargs)
        if job.task_name in _COME_BY_THEMSELVES:
            await manager.finish_job(job, status=Status.ABORTED, delete_job=True)
        else:
            await manager.retry_job(job)
    async with state.sessionmaker() as session:
        orphans = await orphanage.find(session)
    dead = {job.task_kwargs.get("download_id") for job in stalled if job.worker_id is not None}
    waited_for = {one for one, is_running in orphans.items() if is_running and one not in dead}
    await _take_in(state, orphans.keys() - waited_for)
    if waited_for:
        await asyncio.sleep(_TAKEN_UP_WITHIN_SECONDS)
        await _take_in(state, waited_for)
    if await state.storage.is_there():
        await _withdraw_unowned(state)
        await _discard_staging(state)


async def _take_in(state: WorkerState, orphans: Iterable[int]) -> None:
    for download_id in sorted(orphans):
        try:
            async with state.sessionmaker.begin() as session:
                status = await orphanage.take_in(session, download_id=download_id)
        except SQLAlchemyError as error:  # the others needn't wait for this one
            log.warning("download.not_rescued", download_id=download_id, error=type(error).__name__)
            continue
        if status is not None:
            log.warning("download.rescued", download_id=download_id, status=status)


async def _release_held(state: WorkerState) -> None:
    """Let downloads go on that have waited for the library, once it is well."""
    async with state.sessionmaker() as session:
        waits = await holding.waits(session)
    if waits and await state.storage.closed() is None:  # a disk that sleeps isn't woken for nothing
        async with state.sessionmaker.begin() as session:
            released = await holding.release(session)
        if released:
            log.info("downloads.released", count=released)


async def _withdraw_unowned(state: WorkerState) -> None:
    """Remove files whose attempt died between the rename and its commit: no row will ever stand for them."""
    async with state.sessionmaker() as session:
        left = await intent.left(session)
    for said in left:
        try:
            async with state.sessionmaker.begin() as session:
                await withdraw(session, state.settings.output_directory, said)
        except (SQLAlchemyError, OSError) as error:  # a library that is away: later
            log.warning("filing.not_withdrawn", path=said.path, error=type(error).__name__)


async def _discard_staging(state: WorkerState) -> None:
    """Remove the folders of downloads that have ended: their workers died before they could."""
    root = state.settings.output_directory
    try:
        staged = await asyncio.to_thread(staged_downloads, root)
    except OSError as error:
        log.warning("staging.not_read", error=error.strerror)
        return
    if not staged:
        return
    async with state.sessionmaker() as session:
        unfinished = await orphanage.unfinished(session, set(staged.values()))
    for name, download_id in staged.items():
        if download_id not in unfinished:
            await _remove(root / STAGING / name)


async def _remove(folder: Path) -> None:
    """Remove one; what can't be, such as a file that a desktop has left among them, keeps no other there."""
    try:
        await asyncio.to_thread(remove_staging, folder)
    except OSError as error:
        log.debug("staging.not_removed", folder=folder.name, error=error.strerror)
    else:
        log.info("staging.removed", folder=folder.name)
