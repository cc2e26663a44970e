"""At each start and each night: rows, queue and disk compared, and what differs mended or told."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath

import structlog
from procrastinate import App, JobContext
from procrastinate.exceptions import AlreadyEnqueued

from music_downloader.jobs import QUIET, RECONCILE
from music_downloader.library.writing import sweep
from music_downloader.service import reconciliation
from music_downloader.service.reconciliation import Filed, Found
from music_downloader.task.state import WorkerState

log = structlog.stdlib.get_logger(__name__)

_EVERY_NIGHT = "17 4 * * *"
_MOST_NAMED = 20  # in the log; the count says how many there were


def declare(app: App) -> None:
    """Tell the queue that the job runs here, each night."""
    task = app.task(name=RECONCILE, queue=QUIET, queueing_lock=RECONCILE, pass_context=True)(reconcile)
    app.periodic(cron=_EVERY_NIGHT, periodic_id=RECONCILE)(task)


async def begin(app: App) -> None:
    """Have it done at a start, once for all workers that start together."""
    try:
        await app.configure_task(RECONCILE, queue=QUIET, queueing_lock=RECONCILE).defer_async()
    except AlreadyEnqueued:
        return


async def reconcile(context: JobContext, timestamp: int = 0) -> None:
    """Compare, only by size, and only where the library itself is known to be there.

    What a killed worker has left in the folders on the way is removed; nothing else is.
    """
    del timestamp
    state = WorkerState.of(context)
    await _drop_jobs(context, state)
    await state.storage.closed(now=True)
    if not await state.storage.is_there():
        log.warning("library.not_reconciled", reason="the library isn't there")
        return
    seen: Counter[str] = Counter()
    last = 0
    while True:
        async with state.sessionmaker() as session:
            rows = await reconciliation.page(session, after=last)
        if not rows:
            break
        last = rows[-1].id
        await asyncio.to_thread(_sweep, state, rows)
        differing = await asyncio.to_thread(_compare, state, rows)
        # Where it went while we looked, what isn't there says nothing.
        if differing and not await state.storage.is_there():
            log.warning("library.not_reconciled", reason="the library went away")
            return
        for filed, found in differing:
            async with state.sessionmaker.begin() as session:
                word = await reconciliation.correct(
                    session, filed, found, root=state.settings.output_directory, now=datetime.now(UTC)
                )
            if word is not None:
                seen[word] += 1
                if seen[word] <= _MOST_NAMED:
                    log.warning("library.differs", path=filed.path, how=word)
    log.info("library.reconciled", **{word.replace(" ", "_"): count for word, count in seen.items()})


def _sweep(state: WorkerState, rows: Sequence[Filed]) -> None:
    for folder in {PurePosixPath(filed.path).parent for filed in rows}:
        sweep(state.settings.output_directory, folder)


def _compare(state: WorkerState, rows: Sequence[Filed]) -> list[tuple[Filed, Found]]:
    compared = ((filed, _find(state, filed)) for filed in rows)
    return [
        (filed, found)
        for filed, found in compared
        if found is not None and found.size != (None if filed.is_missing else filed.size)
    ]


def _find(state: WorkerState, filed: Filed) -> Found | None:
    """Look for a file; None where the disk doesn't say, which is no reason to look for no other."""
    try:
        return reconciliation.find(state.settings.output_directory, filed)
    except OSError as error:
        log.warning("library.not_looked_at", path=filed.path, reason=error.strerror)
        return None


async def _drop_jobs(context: JobContext, state: WorkerState) -> None:
    async with state.sessionmaker() as session:
        left = await reconciliation.jobs_without_download(session)
    for job_id in left:
        await context.app.job_manager.cancel_job_by_id_async(job_id, delete_job=True)
    if left:
        log.warning("jobs.dropped", count=len(left))
