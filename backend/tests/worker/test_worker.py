"""Workers: claims, fences, shutdowns, deaths, and several at once."""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tests import media
from tests.conftest import Serve, Service
from tests.following import ended, submit, until, until_true
from tests.source import Source
from tests.worker.landing import files

from music_downloader import worker
from music_downloader.config.audio import AudioFormat
from music_downloader.config.settings import Settings
from music_downloader.errors import DownloadFailedError, ErrorCode
from music_downloader.library.filing import STAGING
from music_downloader.model import AuditLog, Download, DownloadKind, DownloadStatus, RevokedToken, Track, User
from music_downloader.service import claim, cleanup, download, orphanage
from music_downloader.service.claim import Claim
from music_downloader.service.download import Landed, backoff
from music_downloader.task.download import staging_name
from music_downloader.worker import run_worker

Sessions = async_sessionmaker[AsyncSession]
SONG = "https://music.example/song.mp3"


async def _claim(sessions: Sessions, download_id: int) -> Claim | None:
    async with sessions.begin() as session:
        return await claim.take(session, download_id=download_id, places=2)


async def _status(sessions: Sessions, download_id: int) -> DownloadStatus:
    async with sessions() as session:
        row = await session.get_one(Download, download_id)
        return row.status


async def _landed(session: AsyncSession) -> Landed:
    track = Track(path="Somebody/Song.mp3", sha256="0" * 64, size=1, codec="mp3", tags={})
    session.add(track)
    await session.flush()
    return Landed(
        track_id=track.id,
        title="Song",
        artist="Somebody",
        album=None,
        album_artist=None,
        track_number=None,
        duration=1.0,
        codec="mp3",
        bitrate=128,
        file_path="Somebody/Song.mp3",
        file_size=1,
    )


async def test_only_one_of_many_claims_a_download(service: Service, sessions: Sessions) -> None:
    alice = await service.sign_in()
    number = await submit(alice, SONG)
    claims = await asyncio.gather(*(_claim(sessions, number) for _ in range(8)))
    assert sum(claimed is not None for claimed in claims) == 1


async def test_a_worker_that_was_thought_dead_changes_nothing(service: Service, sessions: Sessions) -> None:
    alice = await service.sign_in()
    number = await submit(alice, SONG)
    stale = await _claim(sessions, number)
    assert stale is not None
    async with sessions.begin() as session:
        assert await download.hand_back(session, stale)
    current = await _claim(sessions, number)
    assert current is not None
    assert (current.attempt, current.fence > stale.fence) == (stale.attempt, True)
    broken = DownloadFailedError(ErrorCode.TIMEOUT, "Too slow.")
    async with sessions.begin() as session:
        assert not await claim.hold(session, stale)
        assert not await download.complete(session, stale, await _landed(session))
        assert await download.fail(session, stale, broken, retry_delay=1) is None
        assert not await download.hand_back(session, stale)
        await download.note_progress(session, stale, {"phase": "downloading", "percent": 99})
    assert await _status(sessions, number) is DownloadStatus.IN_PROGRESS
    shown = (await alice.get(f"/api/downloads/{number}")).json()
    assert shown["progress"]["phase"] == "resolving"


async def test_what_has_ended_stays_as_it_is(service: Service, sessions: Sessions) -> None:
    alice = await service.sign_in()
    number = await submit(alice, SONG)
    claimed = await _claim(sessions, number)
    assert claimed is not None
    async with sessions.begin() as session:
        assert await download.complete(session, claimed, await _landed(session))
    assert await _claim(sessions, number) is None
    async with sessions.begin() as session:
        broken = DownloadFailedError(ErrorCode.TIMEOUT, "Too slow.")
        assert await download.fail(session, claimed, broken, retry_delay=1) is None
    assert await _status(sessions, number) is DownloadStatus.COMPLETED


async def test_an_attempt_that_a_shutdown_cut_short_is_not_counted(
    service: Service, sessions: Sessions
) -> None:
    alice = await service.sign_in()
    number = await submit(alice, SONG)
    claimed = await _claim(sessions, number)
    assert claimed is not None
    async with sessions.begin() as session:
        assert await download.hand_back(session, claimed)
    shown = (await alice.get(f"/api/downloads/{number}")).json()
    assert (shown["status"], shown["attempts"], shown["progress"]) == ("pending", 0, None)


@pytest.mark.parametrize("is_written", [True, False])
async def test_a_stop_while_a_fault_is_being_written_down_costs_no_attempt(
    service: Service, source: Source, sessions: Sessions, monkeypatch: pytest.MonkeyPatch, *, is_written: bool
) -> None:
    fail, writing, stop = download.fail, asyncio.Event(), asyncio.Event()

    async def fail_slowly(session: AsyncSession, **said: Any) -> DownloadStatus | None:
        writing.set()
        await asyncio.sleep(1 if is_written else 60)
        return await fail(session, **said)

    monkeypatch.setattr(download, "fail", fail_slowly)
    alice = await service.sign_in()
    number = await submit(alice, source.url("/nothing-here.mp3"))
    settings = service.settings.model_copy(update={"shutdown_grace": 0})
    running = asyncio.create_task(run_worker(settings, stop=stop))
    async with asyncio.timeout(30):
        await writing.wait()
        stop.set()
        await running
    async with sessions() as session:
        row = await session.get_one(Download, number)
    expected = (DownloadStatus.FAILED, 1) if is_written else (DownloadStatus.PENDING, 0)
    assert (row.status, row.attempts, row.attempts_lost) == (*expected, 0)


@pytest.mark.parametrize("is_made", [True, False])
async def test_a_claim_whose_commit_is_not_answered_costs_nothing_whether_or_not_it_was_made(
    service: Service, source: Source, sessions: Sessions, monkeypatch: pytest.MonkeyPatch, *, is_made: bool
) -> None:
    take, calls = claim.take, 0

    async def take_and_hear_nothing(session: AsyncSession, **asked: Any) -> Claim | None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raw = await (await session.connection()).get_raw_connection()
            connection: Any = raw.driver_connection
            commit = connection.commit

            async def cut_off() -> None:
                if is_made:
                    await commit()
                await connection.close()
                raise psycopg.OperationalError("server closed the connection unexpectedly")

            connection.commit = cut_off
        return await take(session, **asked)

    monkeypatch.setattr(claim, "take", take_and_hear_nothing)
    alice = await service.sign_in()
    number = await submit(alice, source.file("/song.mp3", media.make("mp3")))
    running = asyncio.create_task(run_worker(service.settings))
    try:
        shown = await ended(alice, number)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert (shown["status"], shown["attempts"]) == ("completed", 1), shown
    assert calls == (1 if is_made else 2)
    async with sessions() as session:
        row = await session.get_one(Download, number)
        assert row.attempts_lost == 0


async def test_a_download_without_a_job_gets_one(service: Service, sessions: Sessions) -> None:
    alice = await service.sign_in()
    pending, running = await submit(alice, SONG), await submit(alice, f"{SONG}?2")
    assert await _claim(sessions, running) is not None
    async with sessions.begin() as session:
        assert await orphanage.find(session) == {}
        await session.execute(text("DELETE FROM procrastinate_jobs"))
        assert await orphanage.find(session) == {pending: False, running: True}
    for number in (pending, running):
        async with sessions.begin() as session:
            assert await orphanage.take_in(session, download_id=number) is DownloadStatus.PENDING
        async with sessions.begin() as session:
            assert await orphanage.take_in(session, download_id=number) is None
    async with sessions() as session:
        assert await session.scalar(text("SELECT count(*) FROM procrastinate_jobs")) == 2


async def test_a_download_that_kills_three_workers_fails_until_somebody_retries_it(
    service: Service, sessions: Sessions
) -> None:
    alice = await service.sign_in()
    number = await submit(alice, SONG)
    for _ in range(2):
        for _ in range(download.MAX_LOST):
            assert await _claim(sessions, number) is not None
            async with sessions.begin() as session:
                await session.execute(text("DELETE FROM procrastinate_jobs"))
                await orphanage.take_in(session, download_id=number)
        shown = (await alice.get(f"/api/downloads/{number}")).json()
        assert (shown["status"], shown["error_code"]) == ("failed", "internal")
        assert "3 times" in shown["error_message"]
        async with sessions() as session:
            assert await orphanage.find(session) == {}
            assert await session.scalar(text("SELECT count(*) FROM procrastinate_jobs")) == 0
        assert (await alice.post(f"/api/downloads/{number}/retry")).status_code == 202
    async with sessions() as session:
        actions = await session.scalars(
            select(AuditLog.action).where(AuditLog.resource == f"download:{number}").order_by(AuditLog.id)
        )
        lost = ["download.start", "download.postpone"] * 2 + ["download.start", "download.fail"]
        assert list(actions) == ["download.submit", *[*lost, "download.retry"] * 2]


async def test_attempts_that_died_with_their_worker_leave_the_other_ones_their_number(
    service: Service, sessions: Sessions
) -> None:
    alice = await service.sign_in()
    number = await submit(alice, SONG)
    broken = DownloadFailedError(ErrorCode.TIMEOUT, "Too slow.", transient=True)
    statuses = []
    for is_lost in (True, False, True, False, False, False):
        claimed = await _claim(sessions, number)
        assert claimed is not None
        async with sessions.begin() as session:
            if is_lost:
                statuses.append(await download.lose(session, claimed))
            else:
                statuses.append(await download.fail(session, claimed, broken, retry_delay=1))
    assert statuses == [DownloadStatus.PENDING] * 5 + [DownloadStatus.FAILED]


async def test_the_job_of_a_dead_worker_is_found_and_its_download_completes(
    serve: Serve, source: Source, sessions: Sessions
) -> None:
    service = await serve()
    alice = await service.sign_in()
    number = await submit(alice, source.file("/song.mp3", media.make("mp3")))
    assert await _claim(sessions, number) is not None
    async with sessions.begin() as session:  # what a killed worker leaves behind
        dead = await session.scalar(
            text(
                "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour')"
                " RETURNING id"
            )
        )
        await session.execute(
            text("UPDATE procrastinate_jobs SET status = 'doing', worker_id = :dead"), {"dead": dead}
        )
    working = await serve(embedded_worker=True)
    again = await working.log_in("alice")
    shown = await ended(again, number)  # the server's first fifteen seconds may not be over yet
    assert (shown["status"], shown["attempts"]) == ("completed", 2), shown


async def test_many_workers_share_the_queue_and_no_track_is_run_twice(
    serve: Serve, make_settings: Callable[..., Settings], source: Source, sessions: Sessions
) -> None:
    service = await serve()
    alice = await service.sign_in()
    urls = [
        source.file(f"/{n}.opus", media.make("opus", seconds=1, frequency=200 + 20 * n, title=f"Song {n}"))
        for n in range(12)
    ]
    numbers = [await submit(alice, url) for url in urls]
    workers = [asyncio.create_task(run_worker(make_settings())) for _ in range(3)]
    try:
        for number in numbers:
            shown = await ended(alice, number)
            assert (shown["status"], shown["attempts"]) == ("completed", 1), shown
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    async with sessions() as session:
        started = (
            await session.scalars(select(AuditLog.resource).where(AuditLog.action == "download.start"))
        ).all()
    assert sorted(started) == sorted(f"download:{number}" for number in numbers)


async def test_a_worker_that_ends_hands_its_download_back_and_it_keeps_its_turn(
    serve: Serve, make_settings: Callable[..., Settings], source: Source, sessions: Sessions
) -> None:
    service = await serve()
    alice = await service.sign_in()
    number = await submit(alice, source.silent("/song.mp3"))
    settings = make_settings(worker_concurrency=1)
    worker = asyncio.create_task(run_worker(settings))
    await until(alice, number, lambda d: d["status"] == "in-progress")
    after_it = await submit(alice, source.file("/next.mp3", media.make("mp3", title="The Next")))
    worker.cancel()
    await asyncio.wait({worker}, timeout=60)
    shown = (await alice.get(f"/api/downloads/{number}")).json()
    assert (shown["status"], shown["attempts"]) == ("pending", 0)
    async with sessions() as session:
        waiting = await session.scalar(
            text("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo' AND queue_name = 'downloads'")
        )
    assert waiting == 2
    source.file("/song.mp3", media.make("mp3"))
    before = len(source.requests)
    stop = asyncio.Event()
    worker = asyncio.create_task(run_worker(settings, stop=stop))
    first, second = [await ended(alice, each) for each in (number, after_it)]
    stop.set()
    await worker
    assert (first["status"], second["status"]) == ("completed", "completed")
    assert source.requests[before].path == "/song.mp3"


async def test_a_worker_survives_the_loss_of_its_connections(
    working: Service, source: Source, sessions: Sessions
) -> None:
    alice = await working.sign_in()
    made = media.make("mp3")

    async def is_back() -> bool:
        return (await alice.get("/auth/me")).status_code == 200

    for n in range(2):
        assert (await ended(alice, await submit(alice, source.file(f"/{n}.mp3", made))))[
            "status"
        ] == "completed"
        async with sessions.begin() as session:
            await session.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        await until_true(is_back)  # until the pool has thrown its old connections away
    assert (await ended(alice, await submit(alice, source.file("/last.mp3", made))))["status"] == "completed"


async def test_a_clock_that_is_set_back_begins_a_new_round(
    serve: Serve, source: Source, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_CLOCK_SECONDS", 0.1)
    service = await serve(embedded_worker=True)
    alice = await service.sign_in()
    slow = await submit(alice, source.dripping("/slow.mp3", media.make("mp3"), piece=4000, interval=0.2))
    await until(alice, slow, lambda d: d["status"] == "in-progress")

    async def beating() -> set[int]:
        async with sessions() as session:
            return set(await session.scalars(text("SELECT id FROM procrastinate_workers")))

    first, real = await beating(), worker.ahead

    async def is_new() -> bool:
        return bool(now := await beating()) and not now & first

    monkeypatch.setattr(worker, "ahead", lambda: real() - 7200)
    await until_true(is_new)
    url = source.file("/next.mp3", media.make("mp3", title="Next"))
    assert (await ended(alice, await submit(alice, url)))["status"] == "completed"
    assert (await alice.get(f"/api/downloads/{slow}")).json()["attempts"] == 1  # it has gone on


async def test_fetches_are_bounded_and_encodes_have_slots_of_their_own(serve: Serve, source: Source) -> None:
    service = await serve(embedded_worker=True, worker_concurrency=1, encode_concurrency=1)
    alice = await service.sign_in()
    slow = [
        await submit(alice, source.dripping(f"/{n}.mp3", media.make("mp3"), piece=3000, interval=0.05))
        for n in range(3)
    ]
    await until(alice, slow[0], lambda d: d["status"] == "in-progress")
    await asyncio.sleep(0.5)
    states = [(await alice.get(f"/api/downloads/{number}")).json()["status"] for number in slow]
    assert states == ["in-progress", "pending", "pending"]


@given(
    attempt=st.integers(1, 40),
    base=st.floats(0.1, 100),
    asked=st.none() | st.floats(0, 1e9),
    jitter=st.floats(0, 1),
)
def test_the_wait_before_another_attempt_is_bounded(
    attempt: int, base: float, asked: float | None, jitter: float
) -> None:
    wait = backoff(attempt, base=base, asked=asked, jitter=jitter)
    assert 0 < wait <= 3600 * 1.25
    assert wait >= min(base * 3 ** (attempt - 1), asked or base, 3600)


@pytest.mark.parametrize("changes", [{"status": "done"}, {"format": "wav"}, {"kind": "album"}])
async def test_the_database_itself_refuses_unknown_words(
    service: Service, sessions: Sessions, changes: dict[str, Any]
) -> None:
    alice = await service.sign_in()
    await submit(alice, SONG)
    (column, word), *_ = changes.items()
    with pytest.raises(Exception, match="check constraint"):
        async with sessions.begin() as session:
            await session.execute(text(f"UPDATE download_history SET {column} = :word"), {"word": word})  # noqa: S608


async def test_only_tokens_that_could_never_pass_again_are_forgotten(
    service: Service, sessions: Sessions
) -> None:
    await service.sign_in()
    now = datetime.now(UTC)
    ages = {"long-ago": -timedelta(days=1), "just-now": -timedelta(minutes=1), "later": timedelta(minutes=1)}
    async with sessions.begin() as session:
        owner = (await session.scalars(select(User.id))).one()
        for name, age in ages.items():
            session.add(RevokedToken(jti=name, user_id=owner, expires_at=now + age))
    results = await asyncio.gather(*(_clean(sessions) for _ in range(4)))
    assert sum(results) == 1
    async with sessions() as session:
        assert set(await session.scalars(select(RevokedToken.jti))) == {"just-now", "later"}


async def _clean(sessions: Sessions) -> int:
    async with sessions.begin() as session:
        return await cleanup.remove_expired_tokens(session)


async def test_staging_folders_that_nobody_comes_back_to_are_removed(
    working: Service, source: Source, sessions: Sessions
) -> None:
    alice = await working.sign_in()
    waiting = await submit(alice, source.status("/song.mp3", 503))
    staging = working.library / STAGING
    kept, forgotten, fresh = staging / f"{waiting}-0123", staging / "gain-999", staging / "gain-998"
    for folder in (kept, forgotten, fresh):
        folder.mkdir(parents=True)
        (folder / "source.part").write_bytes(b"half")
    stray = staging / ".DS_Store"  # a desktop's, which no sweep of ours may stumble over
    stray.touch()
    for folder in (kept, forgotten, stray):
        os.utime(folder, (0, 0))
    await until(alice, waiting, lambda d: d["attempts"] == 1)
    async with sessions.begin() as session:
        await session.execute(text("UPDATE download_history SET status = 'pending', completed_at = NULL"))
        await session.execute(
            text(
                "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW('upkeep', 'music:clean_up', 0, NULL, NULL,"
                " '{\"timestamp\": 0}', NULL)::procrastinate_job_to_defer_v1])"
            )
        )
    for _ in range(100):
        if not forgotten.exists():
            break
        await asyncio.sleep(0.05)
    assert [folder.exists() for folder in (kept, forgotten, fresh)] == [True, False, True]


async def test_what_turns_out_to_last_too_long_fails_at_once_and_leaves_nothing(
    serve: Serve, source: Source
) -> None:
    service = await serve(embedded_worker=True, max_duration=5)
    alice = await service.sign_in()
    url = source.file("/long.mp3", media.make("mp3", seconds=9, title="Long"))
    shown = await ended(alice, await submit(alice, url))
    assert (shown["status"], shown["error_code"], shown["attempts"]) == ("failed", "too_long", 1)
    assert "9 seconds, more than the 5 seconds allowed" in shown["error_message"]
    assert files(service.library) == []


async def test_nothing_is_left_in_the_staging_folder(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    good = await submit(alice, source.file("/song.flac", media.make("flac")), format="opus")
    bad = await submit(alice, source.body("/page.mp3", b"<html>no</html>", "audio/mpeg"))
    for number in (good, bad):
        await ended(alice, number)
    async with asyncio.timeout(30):
        while list((working.library / STAGING).iterdir()):  # noqa: ASYNC110 - a folder sends no events
            await asyncio.sleep(0.05)


def test_what_another_url_left_under_the_same_id_is_never_resumed() -> None:
    def name(url: str) -> str:
        claimed = Claim(
            download_id=1,
            user_id=1,
            parent_id=None,
            kind=DownloadKind.TRACK,
            attempt=1,
            forgiven=0,
            lost=0,
            fence=1,
            fence_at_retry=0,
            url=url,
            item_position=None,
            position=None,
            audio_format=AudioFormat.BEST,
            entry=None,
            request_id=None,
        )
        return staging_name(claimed)

    assert name(SONG) == name(SONG) != name(f"{SONG}?other")
