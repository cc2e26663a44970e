"""Periodic jobs: expired tokens, and downloads whose worker died."""

from datetime import UTC, datetime

import structlog
from procrastinate import App, JobContext

from music_downloader.jobs import CLEAN_UP, DOWNLOADS, RESCUE, UPKEEP
from music_downloader.service import cleanup, download
from music_downloader.service.health import SILENT_AFTER_SECONDS
from music_downloader.task.state import WorkerState

log = structlog.stdlib.get_logger(__name__)

_EVERY_QUARTER_OF_AN_HOUR = "*/15 * * * *"
_EVERY_FIFTEEN_SECONDS = "* * * * * */15"


def declare(app: App) -> None:
    """Tell the queue which jobs run here, and when: each is queued once, however many workers there are."""
    for name, run, cron in (
        (CLEAN_UP, clean_up, _EVERY_QUARTER_OF_AN_HOUR),
        (RESCUE, rescue, _EVERY_FIFTEEN_SECONDS),
    ):
        task = app.task(name=name, queue=UPKEEP, queueing_lock=name, pass_context=True)(run)
        app.periodic(cron=cron, periodic_id=name)(task)


async def clean_up(context: JobContext, timestamp: int) -> None:
    """Remove expired blacklist rows; running twice does no harm."""
    del timestamp
    async with WorkerState.of(context).sessionmaker.begin() as session:
        removed = await cleanup.remove_expired_tokens(session, now=datetime.now(UTC))
    if removed:
        log.info("tokens.removed", count=removed)


async def rescue(context: JobContext, timestamp: int) -> None:
    """Put the downloads of workers that died back into the queue, one transaction each."""
    del timestamp
    await rescue_orphans(context)


async def rescue_orphans(context: JobContext) -> None:
    """Free what silent workers hold: the row first, so that a crash in between is repeated."""
    state = WorkerState.of(context)
    manager = context.app.job_manager
    stalled = await manager.get_stalled_jobs(queue=DOWNLOADS, seconds_since_heartbeat=SILENT_AFTER_SECONDS)
    for job in stalled:
        download_id = job.task_kwargs.get("download_id")
        if not isinstance(download_id, int):
            continue
        async with state.sessionmaker.begin() as session:
            status = await download.take_from_dead_worker(session, download_id=download_id)
        await manager.retry_job(job)
        log.warning("download.rescued", download_id=download_id, status=status)
