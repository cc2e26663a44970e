"""A database that goes away under a worker: its downloads go on, and are written down when it is back."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from procrastinate import JobContext
from sqlalchemy import select, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession
from tests import media
from tests.conftest import Serve, Service
from tests.door import Door
from tests.following import submit, until, until_true
from tests.slow import Slow, happens
from tests.source import Source
from tests.worker.landing import Sessions, eventually, files

from music_downloader import worker
from music_downloader.jobs import CLEAN_UP, MEASURE, QUIET, UPKEEP, enqueue
from music_downloader.library.filing import publish
from music_downloader.migration import upgrade
from music_downloader.model import DownloadStatus, Track
from music_downloader.postgres import EmbeddedPostgres
from music_downloader.service import claim, orphanage
from music_downloader.task import custody, finish, publishing, upkeep
from music_downloader.task.state import WorkerState
from music_downloader.worker import run_worker


@pytest.fixture
async def own_postgres(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A PostgreSQL that is the test's alone, to stop and to start."""
    server = EmbeddedPostgres(tmp_path / "own", fsync=False)
    server.start()
    await asyncio.to_thread(upgrade, make_url(server.url).set(drivername="postgresql+psycopg"))
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a silent worker for dead after three seconds, and look for such every second."""
    for module in (worker, custody, upkeep):
        monkeypatch.setattr(module, "SILENT_AFTER_SECONDS", 3)
    for module in (worker, custody):
        monkeypatch.setattr(module, "_HEARTBEAT_SECONDS", 0.5)
    monkeypatch.setattr(upkeep, "_EVERY_TEN_SECONDS", "* * * * * *")


async def _back(service: Service) -> None:
    """Wait until the service answers from its database again, and its worker works; it has ten seconds."""
    async with asyncio.timeout(10):
        while (await service.http.get("/health")).status_code != 200:  # noqa: ASYNC110 - no event comes over HTTP
            await asyncio.sleep(0.1)


async def _outcome(alice: httpx.AsyncClient, number: int) -> tuple[str, int]:
    one = await until(alice, number, lambda one: one["status"] not in {"in-progress", "pending"})
    return one["status"], one["attempts"]


@pytest.mark.usefixtures("quick")
async def test_a_database_that_is_killed_and_comes_back_costs_running_downloads_nothing(
    serve: Serve, source: Source, own_postgres: EmbeddedPostgres
) -> None:
    service = await serve(database_url=own_postgres.url, embedded_worker=True)
    alice = await service.sign_in()
    # One goes on all the while; the other gets to its end while the database is away, and has to keep that.
    through = Slow(source, "/through.mp3", media.make("mp3", frequency=300, title="Through"))
    ends = Slow(source, "/ends.mp3", media.make("mp3", frequency=500, title="Ends"))
    numbers = [await submit(alice, slow.url) for slow in (through, ends)]
    for slow in (through, ends):
        await happens(slow.begun)
    asked = through.requests, ends.requests
    assert own_postgres.pid
    os.kill(own_postgres.pid, signal.SIGKILL)
    ends.go_on.set()
    await asyncio.sleep(4)  # longer than a worker may be silent; its queue and its jobs have ended by now
    answer = await alice.get("/api/downloads")
    assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (503, True)
    own_postgres.start()
    await _back(service)
    assert await _outcome(alice, numbers[1]) == ("completed", 1)
    await asyncio.sleep(5)  # the rescue looks at the other one, more than once, and leaves it alone
    through.go_on.set()
    assert await _outcome(alice, numbers[0]) == ("completed", 1)
    assert (through.requests, ends.requests) == asked
    assert files(service.library) == ["Unknown Artist/Ends.mp3", "Unknown Artist/Through.mp3"]

    def no_job_is_left() -> bool:
        with psycopg.connect(own_postgres.url) as connection:
            jobs = connection.execute("SELECT 1 FROM procrastinate_jobs WHERE queue_name = 'downloads'")
            return jobs.fetchone() is None

    await eventually(no_job_is_left)


async def test_a_worker_that_loses_no_more_than_its_queue_keeps_its_downloads(
    serve: Serve, source: Source, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_EVERY_TEN_SECONDS", "* * * * * *")
    service = await serve(embedded_worker=True)
    alice = await service.sign_in()
    slow = Slow(source, "/slow.mp3", media.make("mp3"))
    number = await submit(alice, slow.url)
    await happens(slow.begun)
    asked = slow.requests

    async def ask(query: str) -> list[int]:
        async with sessions() as session:
            return list(await session.scalars(text(query)))

    async def are_two() -> bool:
        return len(await ask("SELECT id FROM procrastinate_workers")) >= 2 * before

    judged = asyncio.Event()

    async def take_in(session: AsyncSession, *, download_id: int) -> DownloadStatus | None:
        status = await orphanage_take_in(session, download_id=download_id)
        judged.set()
        return status

    orphanage_take_in = orphanage.take_in
    monkeypatch.setattr(orphanage, "take_in", take_in)
    queue = (
        "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'nas-music queue'"
    )
    of_the_first = await ask(f"SELECT pid {queue}")
    before = len(await ask("SELECT id FROM procrastinate_workers"))
    other = asyncio.create_task(run_worker(service.settings))
    try:
        await until_true(are_two)
        assert all(
            await ask(f"SELECT pg_terminate_backend(pid)::int {queue} AND pid = ANY(ARRAY{of_the_first})")
        )
        with suppress(TimeoutError):  # until the other one's rescue has seen it without a job, and judged
            await asyncio.wait_for(judged.wait(), 15)
        slow.go_on.set()
        assert await _outcome(alice, number) == ("completed", 1)
        assert slow.requests == asked
    finally:
        other.cancel()
        await asyncio.wait({other})


@pytest.mark.usefixtures("quick")
async def test_a_file_that_is_filed_as_the_database_goes_is_neither_lost_nor_fetched_again(
    serve: Serve, source: Source, sessions: Sessions, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    await door.open()
    service = await serve(database_url=door.url, embedded_worker=True)
    alice = await service.sign_in()
    loop = asyncio.get_running_loop()
    filed = threading.Event()

    def publish_and_cut_off(*arguments: Any, **options: Any) -> Any:
        path = publish(*arguments, **options)
        asyncio.run_coroutine_threadsafe(door.close(), loop).result(5)
        filed.set()
        return path

    monkeypatch.setattr(publishing, "publish", publish_and_cut_off)
    url = source.file("/song.mp3", media.make("mp3", title="Song", artist="Somebody"))
    number = await submit(alice, url)
    await happens(filed)
    await asyncio.sleep(2)
    await door.open()
    await _back(service)
    assert await _outcome(alice, number) == ("completed", 1)
    assert source.hits("/song.mp3") <= 2
    assert files(service.library) == ["Somebody/Song.mp3"]
    async with sessions() as session:
        assert await session.scalar(select(Track.path)) == "Somebody/Song.mp3"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("is_silent", [False, True])
async def test_a_lost_queue_doesnt_wait_for_the_jobs_that_it_had_begun(
    serve: Serve, sessions: Sessions, door: Door, monkeypatch: pytest.MonkeyPatch, *, is_silent: bool
) -> None:
    begun: set[str] = set()
    ended: set[str] = set()

    def lasting(name: str) -> Any:
        async def last(_: JobContext, **__: object) -> None:
            begun.add(name)
            try:
                await asyncio.sleep(3600)
            finally:
                ended.add(name)

        return last

    monkeypatch.setattr(finish, "measure", lasting(MEASURE))
    monkeypatch.setattr(upkeep, "clean_up", lasting(CLEAN_UP))
    monkeypatch.setattr(worker, "_QUIET_POLL_SECONDS", 0.1)
    await door.open()
    service = await serve(database_url=door.url, embedded_worker=True, shutdown_grace=60)
    async with sessions.begin() as session:
        await enqueue(session, MEASURE, queue=QUIET, priority=1, arguments={"track_id": 1})
        await enqueue(session, CLEAN_UP, queue=UPKEEP, priority=1, arguments={"timestamp": 0})
    await eventually(lambda: begun == {MEASURE, CLEAN_UP})
    if is_silent:
        door.fall_silent()
        await asyncio.sleep(6)  # longer than the queue waits for an answer
    await door.close()
    await eventually(lambda: ended == {MEASURE, CLEAN_UP})
    await door.open()
    await _back(service)


async def test_nobody_is_taken_for_dead_while_the_database_has_only_just_been_started(
    serve: Serve, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    may_judge = custody.may_judge

    async def counted(state: WorkerState) -> bool:
        nonlocal asked
        may = await may_judge(state)
        asked += 1
        return may

    monkeypatch.setattr(custody, "may_judge", counted)
    monkeypatch.setattr(upkeep, "_EVERY_TEN_SECONDS", "* * * * * *")
    monkeypatch.setattr(custody, "SILENT_AFTER_SECONDS", 1e9)  # as if the database were younger than that
    service = await serve()
    alice = await service.sign_in()
    number = await submit(alice, "https://music.example/song.mp3")
    async with sessions.begin() as session:
        assert await claim.take(session, download_id=number, places=2)
        await session.execute(text("DELETE FROM procrastinate_jobs"))
    running = asyncio.create_task(run_worker(service.settings))
    try:
        await eventually(lambda: asked >= 2)
        assert (await alice.get(f"/api/downloads/{number}")).json()["status"] == "in-progress"
        monkeypatch.setattr(custody, "SILENT_AFTER_SECONDS", 0)
        await until(alice, number, lambda one: one["status"] != "in-progress")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
