"""The worker: engine, queue and jobs put together. The same inside the web process and on its own."""

import asyncio
import os
import time
from asyncio import Semaphore
from contextlib import suppress

import structlog
from procrastinate import App
from sqlalchemy.ext.asyncio import async_sessionmaker

from music_downloader.config.settings import Settings
from music_downloader.config.tracing import Tracing
from music_downloader.engine.release.store import Store
from music_downloader.engine.run import Engine
from music_downloader.jobs import DOWNLOADS, QUIET, SILENT_AFTER_SECONDS, UPKEEP
from music_downloader.model.database import connect
from music_downloader.task import custody, download, finish, freshness, reconcile, stopwatch, upkeep
from music_downloader.task.connector import Connector, pool
from music_downloader.task.cookies import CookieKey
from music_downloader.task.state import WorkerState
from music_downloader.task.storage import Storage
from music_downloader.task.watch import watch_claims

log = structlog.stdlib.get_logger(__name__)

_CLOCK_SECONDS = 10
_HEARTBEAT_SECONDS = 5.0
_POLL_SECONDS = 1.0  # scheduled retries are found by asking, new jobs by notification
_QUIET_POLL_SECONDS = 2.0
_UPKEEP_POLL_SECONDS = 10.0
_RESTART_AFTER_SECONDS = 2.0
_PATIENCE_SECONDS = 60.0  # tracks of a collection wait for each other's publishing, on a slow share too


class _StoppedError(Exception):
    """The queue's worker stopped by itself, as it does when its connection is cut."""


async def run_worker(
    settings: Settings, *, stop: asyncio.Event | None = None, tracing: Tracing | None = None
) -> None:
    """Work until `stop` is set or the task is cancelled; a database that goes away is waited for.

    Once asked to stop, it begins nothing more, lets what runs end within SHUTDOWN_GRACE, and hands the rest
    back. With UMASK, this process and all that it starts have it from then on.
    """
    if settings.umask is not None:
        os.umask(settings.umask)  # before the engine's processes start, which take it over
    database = connect(
        settings.sqlalchemy_url,
        application_name="nas-music worker",
        pool_size=max(4, (settings.worker_concurrency + settings.encode_concurrency) // 2 + 2),
        patience=_PATIENCE_SECONDS,
    )
    store = Store(settings.data_directory)
    engine = Engine(encodes=settings.encode_concurrency, releases=store)
    sessionmaker = async_sessionmaker(database, expire_on_commit=False)
    state = WorkerState(
        settings=settings,
        sessionmaker=sessionmaker,
        engine=engine,
        storage=Storage(settings=settings, sessionmaker=sessionmaker),
        cookie_key=CookieKey(settings),
        fetches=Semaphore(settings.worker_concurrency),
        stopping=stop or asyncio.Event(),
        tracer=(tracing or Tracing()).tracer,
    )
    keeping = asyncio.create_task(freshness.keep(engine, store, updates=settings.engine_updates))
    try:
        while not state.stopping.is_set():
            try:
                await engine.start()
                # In a task of its own: a group of tasks cancels the one it is in whenever one of them fails.
                await asyncio.create_task(_work(state))
            except Exception as error:  # whatever it was, downloads wait; a loop goes on
                reason = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
                log.warning("worker.interrupted", reason=f"{type(reason).__name__}: {reason}"[:300])
                if state.queue.is_cancelled:  # the faults of an end hide what has asked for it
                    raise asyncio.CancelledError from error
            with suppress(TimeoutError):
                await asyncio.wait_for(state.stopping.wait(), _RESTART_AFTER_SECONDS)
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})
        await custody.end(state)
        await engine.close()
        try:
            await stopwatch.note_the_rest(state)
        finally:
            await database.dispose()


async def _work(state: WorkerState) -> None:
    settings = state.settings
    app = App(connector=Connector(settings.conninfo, lost=state.queue.lost))
    download.declare(app)
    finish.declare(app)
    upkeep.declare(app)
    reconcile.declare(app)
    connections = pool(settings.conninfo)
    async with connections, app.open_async(connections), asyncio.TaskGroup() as group:
        heartbeat = await custody.take_up(state, app)
        companions = []
        if heartbeat is not None:
            companions.append(group.create_task(custody.tend(state, app, heartbeat)))
        if state.queue.back_since is None:  # the first round
            group.create_task(state.storage.closed())
            await reconcile.begin(app)
        log.info("worker.started", fetches=settings.worker_concurrency, encodes=settings.encode_concurrency)
        queues = (
            (DOWNLOADS, state.places, _POLL_SECONDS),
            (QUIET, 1, _QUIET_POLL_SECONDS),
            (UPKEEP, 1, _UPKEEP_POLL_SECONDS),
        )
        consumers = [
            group.create_task(_consume(app, state, name=name, concurrency=concurrency, poll=poll))
            for name, concurrency, poll in queues
        ]
        companions += [
            group.create_task(companion)
            for companion in (
                watch_claims(state),
                stopwatch.keep_noting(state),
                _end_with(state.queue.lost),
                _end_with_clock(state.queue.lost),
                _stay_alive(app, state),
            )
        ]
        await state.stopping.wait()
        log.info("worker.stopping", running=len(state.running))
        await _let_end(state, consumers)
        for companion in companions:
            companion.cancel()


async def _let_end(state: WorkerState, consumers: list[asyncio.Task[None]]) -> None:
    """Wait for what runs, SHUTDOWN_GRACE at most; what is left then is cancelled, and handed back."""
    end = asyncio.get_running_loop().time() + state.settings.shutdown_grace
    for consumer in consumers:
        consumer.cancel()  # it fetches nothing more, and waits for what runs
    await asyncio.wait(consumers)
    if state.queue.outlived:
        await asyncio.wait(state.queue.outlived, timeout=max(0, end - asyncio.get_running_loop().time()))


async def _stay_alive(app: App, state: WorkerState) -> None:
    """Keep the heart beating while what runs comes to its end; the queue's own stops when asked to."""
    await state.stopping.wait()
    while True:
        for worker_id in state.registered:
            with suppress(Exception):  # without the database nobody else takes anything over either
                await app.job_manager.update_heartbeat(worker_id)
        await asyncio.sleep(_HEARTBEAT_SECONDS)


async def _end_with(lost: asyncio.Event) -> None:
    """End the round as soon as the queue is lost; attempts go on, and the next round takes them up."""
    await lost.wait()
    raise _StoppedError("the queue's connection is gone")


async def _end_with_clock(lost: asyncio.Event) -> None:
    """End the round where the clock is set back: periodic jobs would wait until it is as late again."""
    before = ahead()
    while True:
        await asyncio.sleep(_CLOCK_SECONDS)
        now = ahead()
        if now < before - _CLOCK_SECONDS:
            log.warning("worker.clock_set_back", seconds=round(before - now))
            lost.set()
            raise _StoppedError("the clock was set back")
        before = now


def ahead() -> float:
    """Return by how many seconds the clock is ahead of the time since the machine was started."""
    return time.time() - time.monotonic()


async def _consume(app: App, state: WorkerState, *, name: str, concurrency: int, poll: float) -> None:
    try:
        await app.run_worker_async(
            queues=[name],
            name=name,
            concurrency=concurrency,
            fetch_job_polling_interval=poll,
            shutdown_graceful_timeout=state.settings.shutdown_grace,
            delete_jobs="always",  # what a failed job left undone is found by the rescue; its log says why
            additional_context=state.as_context(),
            worker_middleware=[] if name == DOWNLOADS else [custody.end_with_queue],
            install_signal_handlers=False,
            update_heartbeat_interval=_HEARTBEAT_SECONDS,
            stalled_worker_timeout=SILENT_AFTER_SECONDS,
        )
    except Exception:
        state.queue.lost.set()
        raise
    if state.stopping.is_set():
        return
    state.queue.lost.set()
    raise _StoppedError(f"the queue {name} was left")
