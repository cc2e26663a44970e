"""Periodic jobs: expired tokens, and downloads whose worker died."""

from datetime import UTC, datetime

import structlog
from procrastinate import Blueprint, JobContext

from music_downloader.jobs import DOWNLOADS, UPKEEP
from music_downloader.service import cleanup, download
from music_downloader.service.health import SILENT_AFTER_SECONDS
from music_downloader.task.state import WorkerState

log = structlog.stdlib.get_logger(__name__)
blueprint = Blueprint()


@blueprint.periodic(cron="*/15 * * * *", periodic_id="clean_up")
@blueprint.task(name="clean_up", queue=UPKEEP, queueing_lock="clean_up", pass_context=True)
async def clean_up(context: JobContext, timestamp: int) -> None:
    """Remove expired blacklist rows; running twice does no harm."""
    del timestamp
    async with WorkerState.of(context).sessionmaker.begin() as session:
        removed = await cleanup.remove_expired_tokens(session, now=datetime.now(UTC))
    if removed:
        log.info("tokens.removed", count=removed)


@blueprint.periodic(cron="* * * * * */15", periodic_id="rescue")
@blueprint.task(name="rescue", queue=UPKEEP, queueing_lock="rescue", pass_context=True)
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
