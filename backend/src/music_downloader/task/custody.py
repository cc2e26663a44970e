"""Attempts that outlive the queue's connection: they go on while the database is away, and keep their claim.

The queue ends its jobs with its connection. The attempt that such a job stood for is left running. When the
database is back, and before anything is taken from the queue, it gets a job again that is tied to a heartbeat
of its own; so nobody takes its worker for dead.
"""

import asyncio
from functools import partial
from typing import Any

import structlog
from procrastinate import App, JobContext
from procrastinate.middleware import AsyncCallNext
from procrastinate.worker import Worker

from music_downloader.errors import LostQueueError
from music_downloader.jobs import SILENT_AFTER_SECONDS
from music_downloader.service import health, tenure
from music_downloader.service.claim import Claim
from music_downloader.task.state import WorkerState

log = structlog.stdlib.get_logger(__name__)

_HEARTBEAT_SECONDS = 5.0
_LETTING_GO_SECONDS = 2.0


async def outlast(state: WorkerState, claimed: Claim, attempt: asyncio.Task[None]) -> None:
    """Wait until an attempt has ended; or until the queue is lost, and leave it running.

    When the worker stops, the attempt is cancelled, and this ends with it.
    """
    lost = asyncio.create_task(state.queue.lost.wait())
    try:
        await asyncio.wait({attempt, lost}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        if state.is_ending:  # otherwise the queue was given up, for whatever reason
            attempt.cancel()
            await asyncio.wait({attempt})
        raise
    finally:
        lost.cancel()
        if not attempt.done():
            log.info("download.goes_on", reason="the queue is lost")
            state.queue.outlived[attempt] = claimed
            attempt.add_done_callback(partial(_forget, state))
    if attempt.done():
        attempt.result()


async def end_with_queue(call_next: AsyncCallNext, context: JobContext, worker: Worker) -> object:
    """Run a job, and end it as soon as the queue is lost: the round waits for its jobs before the next.

    Around all jobs but downloads, which outlast it.
    """
    del worker
    state = WorkerState.of(context)
    work = asyncio.ensure_future(call_next())
    lost = asyncio.create_task(state.queue.lost.wait())
    try:
        await asyncio.wait({work, lost}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise LostQueueError
        return work.result()
    finally:
        lost.cancel()
        if not work.done():  # what hangs at a database that is silent isn't waited for
            work.cancel()
            work.add_done_callback(_let_go)
            await asyncio.wait({work}, timeout=_LETTING_GO_SECONDS)


def _let_go(work: asyncio.Future[Any]) -> None:
    if not work.cancelled() and (error := work.exception()) is not None:
        log.debug("job.left", error=type(error).__name__)


async def take_up(state: WorkerState, app: App) -> int | None:
    """Give each attempt that outlived the queue a job again; return whose heartbeat they are tied to now.

    To be called before anything is taken from the queue. Whose claim is lost has its work ended soon.
    """
    worker_id = None
    if state.queue.outlived:
        worker_id = await app.job_manager.register_worker()
        for claimed in list(state.queue.outlived.values()):
            async with state.sessionmaker.begin() as session:
                kept = await tenure.take_over(session, claimed, worker_id=worker_id)
            log.info("download.taken_up", download_id=claimed.download_id, kept=kept)
    if state.queue.lost.is_set():
        state.queue.lost.clear()
        state.queue.back_since = asyncio.get_running_loop().time()
    return worker_id


async def may_judge(state: WorkerState) -> bool:
    """Whether other workers' silence says anything: not while they too may only just be coming back.

    Neither after this worker has lost the queue, nor after the database has started, whoever saw that.
    """
    since = state.queue.back_since
    if since is not None and asyncio.get_running_loop().time() - since <= SILENT_AFTER_SECONDS:
        return False
    async with state.sessionmaker() as session:
        return await health.database_has_been_up(session, seconds=SILENT_AFTER_SECONDS)


async def tend(state: WorkerState, app: App, worker_id: int) -> None:
    """Keep the heartbeat of `take_up` going until the last of its attempts has ended, and drop their jobs."""
    outlived = state.queue.outlived
    try:
        while outlived:
            await asyncio.wait(outlived, timeout=_HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            await app.job_manager.update_heartbeat(worker_id)
            async with state.sessionmaker.begin() as session:
                kept = [claimed.download_id for claimed in outlived.values()]
                await tenure.release(session, worker_id=worker_id, kept=kept)
        await app.job_manager.unregister_worker(worker_id)
    except Exception:
        state.queue.lost.set()  # jobs let go of their attempts at once, and the next round takes them up
        raise


async def end(state: WorkerState) -> None:
    """End what is still running, as the worker itself ends."""
    attempts = set(state.queue.outlived)
    for attempt in attempts:
        attempt.cancel()
    if attempts:
        await asyncio.wait(attempts)


def _forget(state: WorkerState, attempt: asyncio.Task[None]) -> None:
    del state.queue.outlived[attempt]
    if not attempt.cancelled() and (error := attempt.exception()) is not None:
        log.error("download.lost", exc_info=error)
