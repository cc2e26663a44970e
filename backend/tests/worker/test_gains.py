"""Gains when something is in the way: a file that is away, faults that pass or don't, and a worker's end."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import undefer
from structlog.testing import capture_logs
from tests import media
from tests.conftest import Serve, Service
from tests.following import PATIENCE, ended, submit, until_true
from tests.source import Source
from tests.worker.landing import Sessions, gains, land, quiet, reconcile

from music_downloader import worker
from music_downloader.config.settings import Settings
from music_downloader.engine.run import Engine
from music_downloader.errors import DownloadFailedError, ErrorCode
from music_downloader.jobs import MEASURE, MEASURE_ALBUMS
from music_downloader.library.loudness import gain
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

    await until_true(do_wait)


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


async def _known(sessions: Sessions) -> dict[str, Any]:
    """Return what is known of each track's loudness, by its path."""
    async with sessions() as session:
        tracks = await session.scalars(select(Track).options(undefer(Track.loudness)))
        return {track.path: track.loudness for track in tracks}


def _falter(monkeypatch: pytest.MonkeyPatch, fails: Callable[[Path], bool]) -> list[Path]:
    """Have files fail as they do when memory is short; return what is measured from now on."""
    asked: list[Path] = []
    measure = Engine.measure

    async def measured(engine: Engine, path: Path, **options: Any) -> Any:
        asked.append(path)
        if fails(path):
            raise DownloadFailedError(ErrorCode.INTERNAL, "It ended unexpectedly.", transient=True)
        return await measure(engine, path, **options)

    monkeypatch.setattr(Engine, "measure", measured)
    return asked


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


async def _album(working: Service, source: Source, sessions: Sessions) -> list[Path]:
    """Download an album; its tracks are of one level, but the higher, the louder to the ear."""
    alice = await working.sign_in()
    made = [media.make("mp3", frequency=100 * 3**n, title=f"Song {n}", artist="The Band") for n in range(3)]
    urls = [source.file(f"/{n}.mp3", path) for n, path in enumerate(made)]
    _, of_it = await land(alice, source.album_page("/album", urls, title="The Band - An Album"))
    await _waits(sessions, 0)
    return [working.library / one["file_path"] for one in of_it]


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
    await reconcile(sessions)
    assert await _catch_up(sessions) == 0
    (tmp_path / moved.name).rename(moved)
    await reconcile(sessions)
    assert await _catch_up(sessions) == 1
    await quiet(sessions)
    assert gains(moved)


async def test_a_track_that_fails_each_time_is_given_up_in_the_end(
    working: Service, source: Source, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _falter(monkeypatch, lambda _: True)
    alice = await working.sign_in()
    shown, _ = await land(alice, source.file("/long.mp3", media.make("mp3")))
    for attempt in range(_RETRIES):
        await _measure(sessions, attempts=attempt)
        await _waits(sessions, attempt + 1)
        assert await _known(sessions) == {shown["file_path"]: None}
        assert await _catch_up(sessions) == 0
    with capture_logs() as logged:
        await _measure(sessions, attempts=_RETRIES)
        await quiet(sessions)
    assert await _known(sessions) == {shown["file_path"]: {}}
    said = [entry for entry in logged if entry["event"] == "loudness.given_up"]
    assert [(entry["log_level"], entry["path"]) for entry in said] == [("warning", shown["file_path"])]
    assert len(asked) == _RETRIES + 1
    assert await _catch_up(sessions) == 0


async def test_what_is_being_measured_is_not_queued_beside_that(
    working: Service, source: Source, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, goes_on = _hold(monkeypatch)
    alice = await working.sign_in()
    shown, _ = await land(alice, source.file("/long.mp3", media.make("mp3")))
    await _measure(sessions)
    await asyncio.wait_for(begun.wait(), PATIENCE)
    assert await _catch_up(sessions) == 0
    goes_on.set()
    await quiet(sessions)
    assert gains(working.library / shown["file_path"])


async def test_an_album_waits_for_a_track_whose_fault_may_pass(
    working: Service, source: Source, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = await _album(working, source, sessions)
    faults = [paths[0]]
    asked = _falter(monkeypatch, lambda path: path in faults and faults.pop() == path)
    await _measure(sessions)
    await _waits(sessions, 1)
    assert [gains(path) for path in paths] == [{}] * 3
    await _measure(sessions, attempts=1)
    await quiet(sessions)
    assert asked == [*paths, paths[0]]  # what was measured isn't measured again
    known = [
        ({int(level): count for level, count in one["blocks"].items()}, one["peak"])
        for one in (await _known(sessions)).values()
    ]
    whole = gain(known[0], album=known)
    assert whole is not None
    assert {gains(path)["REPLAYGAIN_ALBUM_GAIN"] for path in paths} == {f"{whole.album_gain:.2f} dB"}


async def test_an_album_goes_on_at_last_without_a_track_that_fails_each_time(
    working: Service, source: Source, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = await _album(working, source, sessions)
    _falter(monkeypatch, lambda path: path == paths[0])
    await _measure(sessions, attempts=_RETRIES)
    await quiet(sessions)
    assert gains(paths[0]) == {}
    assert len({gains(path)["REPLAYGAIN_ALBUM_GAIN"] for path in paths[1:]}) == 1
    assert (await _known(sessions))[str(paths[0].relative_to(working.library))] == {}


async def test_an_album_doesnt_keep_the_others_of_its_list_waiting(
    working: Service, source: Source, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await working.sign_in()
    made = [
        media.make("mp3", frequency=300 + n, title=f"Song {n}", artist=f"Band {n}", album=f"Album {n}")
        for n in range(2)
    ]
    entries = [(f"Song {n}", source.file(f"/{n}.mp3", path)) for n, path in enumerate(made)]
    _, of_it = await land(alice, source.xspf("/mix.xspf", entries))
    await _waits(sessions, 0)
    first, second = [working.library / one["file_path"] for one in of_it]
    _falter(monkeypatch, lambda path: path == first)
    await _measure(sessions)
    await _waits(sessions, 1)
    assert (gains(first), "REPLAYGAIN_ALBUM_GAIN" in gains(second)) == ({}, True)


async def test_a_library_that_goes_away_in_the_last_attempt_is_waited_for(
    working: Service, source: Source, sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await working.sign_in()
    shown, _ = await land(alice, source.file("/song.mp3", media.make("mp3")))

    def goes(_: Path) -> bool:
        working.library.rename(tmp_path / "away")
        working.library.mkdir()
        return True

    with monkeypatch.context() as patched:
        _falter(patched, goes)
        await _measure(sessions, attempts=_RETRIES)
        await _waits(sessions, 0)
    assert await _known(sessions) == {shown["file_path"]: None}
    working.library.rmdir()
    (tmp_path / "away").rename(working.library)

    async def is_measured() -> bool:  # for a moment, what was found of the library before still holds
        await _measure(sessions)
        return bool((await _known(sessions))[shown["file_path"]])

    await until_true(is_measured)


async def test_a_lost_queue_in_the_last_attempt_gives_nothing_up(
    working: Service, source: Source, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_CLOCK_SECONDS", 0.1)
    begun, _ = _hold(monkeypatch)
    alice = await working.sign_in()
    shown, _ = await land(alice, source.file("/song.mp3", media.make("mp3")))
    await _measure(sessions, attempts=_RETRIES)
    await asyncio.wait_for(begun.wait(), PATIENCE)
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
    await asyncio.wait_for(begun.wait(), PATIENCE)
    stop.set()
    await asyncio.wait_for(running, PATIENCE)
    await _waits(sessions, _RETRIES + 1)
    assert await _known(sessions) == {shown["file_path"]: None}


async def test_what_a_stop_takes_away_in_the_last_attempt_gives_nothing_up(
    serve: Serve,
    make_settings: Callable[..., Settings],
    source: Source,
    sessions: Sessions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop = asyncio.Event()

    def ends(_: Path) -> bool:  # whoever stops a service may end what it has started along with it
        stop.set()
        return True

    _falter(monkeypatch, ends)
    service = await serve()
    alice = await service.sign_in()
    number = await submit(alice, source.file("/song.mp3", media.make("mp3")))
    running = asyncio.create_task(run_worker(make_settings(), stop=stop))
    shown = await ended(alice, number)
    await _measure(sessions, attempts=_RETRIES)
    await asyncio.wait_for(running, PATIENCE)
    await _waits(sessions, 0)
    assert await _known(sessions) == {shown["file_path"]: None}
