"""The worker: engine, queue and jobs put together. The same inside the web process and on its own."""

import asyncio
from asyncio import Semaphore
from contextlib import suppress

import structlog
from procrastinate import App, PsycopgConnector
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from sqlalchemy.ext.asyncio import async_sessionmaker

from music_downloader.config.settings import Settings
from music_downloader.engine.run import Engine
from music_downloader.jobs import DOWNLOADS, QUIET, UPKEEP
from music_downloader.model.database import KEEPALIVE, connect
from music_downloader.service.health import SILENT_AFTER_SECONDS
from music_downloader.task import download, finish, upkeep
from music_downloader.task.state import WorkerState
from music_downloader.task.watch import watch_claims

log = structlog.stdlib.get_logger(__name__)

_HEARTBEAT_SECONDS = 5.0
_POLL_SECONDS = 1.0  # scheduled retries are found by asking, new jobs by notification
_QUIET_POLL_SECONDS = 2.0
_UPKEEP_POLL_SECONDS = 10.0
_RESTART_AFTER_SECONDS = 2.0
_PATIENCE_SECONDS = 60.0  # tracks of a collection wait for each other's publishing, on a slow share too


class _StoppedError(Exception):
    """The queue's worker stopped by itself, as it does when its connection is cut."""


async def run_worker(settings: Settings, *, stop: asyncio.Event | None = None) -> None:
    """Work until `stop` is set or the task is cancelled; a database that goes away is waited for.

    Once asked to stop, it begins nothing more, lets what runs end within SHUTDOWN_GRACE, and hands the rest
    back.
    """
    database = connect(
        settings.sqlalchemy_url,
        application_name="nas-music worker",
        pool_size=max(4, (settings.worker_concurrency + settings.encode_concurrency) // 2 + 2),
        patience=_PATIENCE_SECONDS,
    )
    with suppress(OSError):  # where it fails, /health and each download say why
        settings.output_directory.mkdir(parents=True, exist_ok=True)
    engine = Engine(encodes=settings.encode_concurrency)
    state = WorkerState(
        settings=settings,
        sessionmaker=async_sessionmaker(database, expire_on_commit=False),
        engine=engine,
        fetches=Semaphore(settings.worker_concurrency),
        stopping=stop or asyncio.Event(),
    )
    try:
        while not state.stopping.is_set():
            try:
                await engine.start()
                await _work(state)
            except Exception as error:  # noqa: BLE001 - whatever it was, downloads wait; a loop goes on
                reason = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
                log.warning("worker.interrupted", reason=f"{type(reason).__name__}: {reason}"[:300])
            with suppress(TimeoutError):
                await asyncio.wait_for(state.stopping.wait(), _RESTART_AFTER_SECONDS)
    finally:
        await engine.close()
        await database.dispose()


async def _work(state: WorkerState) -> None:
    settings = state.settings
    app = App(connector=PsycopgConnector(conninfo=settings.conninfo))
    # A pool of our own, since the connector would try each connection before each use. A broken one ends this
    # round, and the next begins with new ones.
    pool = AsyncConnectionPool(
        settings.conninfo,
        min_size=1,
        max_size=8,
        timeout=10,
        open=False,
        kwargs={
            **KEEPALIVE,
            "application_name": "nas-music queue",
            # What a crash of the database may take back is that a job was begun or ended, and that is decided
            # by the download's own row.
            "options": "-c synchronous_commit=off",
        },
        configure=_one_statement_each,
    )
    download.declare(app)
    finish.declare(app)
    upkeep.declare(app)
    async with pool, app.open_async(pool), asyncio.TaskGroup() as group:
        log.info("worker.started", fetches=settings.worker_concurrency, encodes=settings.encode_concurrency)
        # A job holds its place while it fetches and while it encodes, so there are places for both.
        places = settings.worker_concurrency + settings.encode_concurrency
        queues = (
            (DOWNLOADS, places, _POLL_SECONDS),
            (QUIET, 1, _QUIET_POLL_SECONDS),
            (UPKEEP, 1, _UPKEEP_POLL_SECONDS),
        )
        consumers = [
            group.create_task(_consume(app, state, name=name, concurrency=concurrency, poll=poll))
            for name, concurrency, poll in queues
        ]
        companions = [group.create_task(watch_claims(state)), group.create_task(_stay_alive(app, state))]
        await state.stopping.wait()
        log.info("worker.stopping", running=len(state.running))
        for consumer in consumers:
            consumer.cancel()  # it fetches nothing more, and waits for what runs
        await asyncio.wait(consumers)
        for companion in companions:
            companion.cancel()


async def _stay_alive(app: App, state: WorkerState) -> None:
    """Keep the heart beating while what runs comes to its end; the queue's own stops when asked to."""
    await state.stopping.wait()
    while True:
        for worker_id in state.registered:
            with suppress(Exception):  # without the database nobody else takes anything over either
                await app.job_manager.update_heartbeat(worker_id)
        await asyncio.sleep(_HEARTBEAT_SECONDS)


async def _one_statement_each(connection: AsyncConnection) -> None:
    """Spare the queue a BEGIN and a COMMIT around each of its single statements."""
    await connection.set_autocommit(True)


async def _consume(app: App, state: WorkerState, *, name: str, concurrency: int, poll: float) -> None:
    await app.run_worker_async(
        queues=[name],
        name=name,
        concurrency=concurrency,
        fetch_job_polling_interval=poll,
        shutdown_graceful_timeout=state.settings.shutdown_grace,
        delete_jobs="always",  # what a failed job left undone is found by the rescue; its reason is logged
        additional_context=state.as_context(),
        install_signal_handlers=False,
        update_heartbeat_interval=_HEARTBEAT_SECONDS,
        stalled_worker_timeout=SILENT_AFTER_SECONDS,
    )
    raise _StoppedError(f"the queue {name} was left")
