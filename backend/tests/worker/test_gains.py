"""Gains when something is in the way: a file that is away, faults that pass or don't, and a worker's end."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import undefer
from tests import media
from tests.conftest import Serve, Service
from tests.following import ended, submit, until_true
from tests.source import Source
from tests.worker.landing import Sessions, gains, land, quiet

from music_downloader import worker
from music_downloader.config.settings import Settings
from music_downloader.engine.run import Engine
from music_downloader.jobs import MEASURE, MEASURE_ALBUMS, RECONCILE, enqueue
from music_downloader.model import Track
from music_downloader.service import library
from music_downloader.task import finish, publishing
from music_downloader.worker import run_worker

_RETRIES = 5
_JOBS = text(
    "SELECT attempts FROM procrastinate_jobs WHERE task_name = ANY(:names) AND status = 'todo' ORDER BY id"
)
_NAMES = {"names": [MEASURE, MEASURE_ALBUMS]}


@pytest.fixture(autouse=True)
def _late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure only when the test says so; it is noticed at once then."""
    for module in (publishing, finish):
        monkeypatch.setattr(module, "MEASURE_AFTER_SECONDS", 3600)
    monkeypatch.setattr(worker, "_QUIET_POLL_SECONDS", 0.1)


async def _waits(sessions: Sessions, *attempts: int) -> None:
    """Wait until the jobs that measure wait for their turn, with so many attempts behind them."""

    async def do_wait() -> bool:
        async with sessions() as session:
            return tuple(await session.scalars(_JOBS, _NAMES)) == attempts

    await until_true(do_wait, within=30)


async def _measure(sessions: Sessions, *, attempts: int = 0) -> None:
    """Let the jobs that measure begin, as if they had so many attempts behind them."""
    async with sessions.begin() as session:
        await session.execute(
            text(
                "UPDATE procrastinate_jobs SET scheduled_at = NULL, attempts = :attempts"
                " WHERE task_name = ANY(:names) AND status = 'todo'"
            ),
            {**_NAMES, "attempts": attempts},
        )


async def _catch_up(sessions: Sessions) -> int:
    async with sessions.begin() as session:
        later = datetime.now(UTC) + timedelta(hours=1)
        return await library.queue_unmeasured(session, before=later, most=100)


async def _reconcile(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await enqueue(session, RECONCILE, arguments={})

    async def is_done() -> bool:
        async with sessions() as session:
            jobs = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = :name")
            return await session.scalar(jobs, {"name": RECONCILE}) == 0

    await until_true(is_done)


async def _known(sessions: Sessions) -> dict[str, Any]:
    """Return what is known of each track's loudness, by its path."""
    async with sessions() as session:
        tracks = await session.scalars(select(Track).options(undefer(Track.loudness)))
        return {track.path: track.loudness for track in tracks}


def _hold(monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Event]:
    """Have measuring take until the second event is set; the first is set as it begins."""
    begun, goes_on = asyncio.Event(), asyncio.Event()
    measure = Engine.measure

    async def measured(engine: Engine, path: Path, **options: Any) -> Any:
        begun.set()
        await goes_on.wait()
        return await measure(engine, path, **options)

    monkeypatch.setattr(Engine, "measure", measured)
    return begun, goes_on


async def test_a_file_that_was_away_gets_its_gain_once_it_is_back(
    working: Service, source: Source, sessions: Sessions, tmp_path: Path
) -> None:
    alice = await working.sign_in()
    names = [
        (await land(alice, source.file(f"/{n}.mp3", media.make("mp3", frequency=300 + n))))[0]["file_path"]
        for n in range(2)
    ]
    moved, linked = [working.library / name for name in names]
    for path in (moved, linked):
        path.rename(tmp_path / path.name)
    linked.symlink_to(tmp_path / "nowhere.mp3")  # this is what lies there, and can't be measured
    await _measure(sessions)
    await quiet(sessions)
    assert await _known(sessions) == dict(zip(names, (None, {}), strict=True))
    await _reconcile(sessions)
    assert await _catch_up(sessions) == 0
    (tmp_path / moved.name).rename(moved)
    await _reconcile(sessions)
    assert await _catch_up(sessions) == 1
    await quiet(sessions)
    assert gains(moved)


async def test_a_lost_queue_in_the_last_attempt_gives_nothing_up(
    working: Service, source: Source, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_CLOCK_SECONDS", 0.1)
    begun, _ = _hold(monkeypatch)
    alice = await working.sign_in()
    shown, _ = await land(alice, source.file("/song.mp3", media.make("mp3")))
    await _measure(sessions, attempts=_RETRIES)
    await asyncio.wait_for(begun.wait(), 30)
    real = worker.ahead
    monkeypatch.setattr(worker, "ahead", lambda: real() - 7200)
    await _waits(sessions, _RETRIES + 1)
    assert await _known(sessions) == {shown["file_path"]: None}


async def test_a_worker_that_is_stopped_in_the_last_attempt_gives_nothing_up(
    serve: Serve,
    make_settings: Callable[..., Settings],
    source: Source,
    sessions: Sessions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, _ = _hold(monkeypatch)
    service = await serve()
    alice = await service.sign_in()
    number = await submit(alice, source.file("/song.mp3", media.make("mp3")))
    stop = asyncio.Event()
    running = asyncio.create_task(run_worker(make_settings(), stop=stop))
    shown = await ended(alice, number)
    await _measure(sessions, attempts=_RETRIES)
    await asyncio.wait_for(begun.wait(), 30)
    stop.set()
    await asyncio.wait_for(running, 30)
    await _waits(sessions, _RETRIES + 1)
    assert await _known(sessions) == {shown["file_path"]: None}
