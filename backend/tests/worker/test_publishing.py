"""A file and its row come together or not at all, whoever dies, deletes or files the same at that moment."""

import asyncio
import hashlib
from asyncio import Semaphore
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tests.conftest import Service
from tests.following import submit

from music_downloader.config.settings import Settings
from music_downloader.engine.run import Engine
from music_downloader.errors import LostClaimError
from music_downloader.library.filing import publish, staging_directory
from music_downloader.library.presence import make_library
from music_downloader.model import Download, FilingIntent, Track
from music_downloader.service import claim, download, intent
from music_downloader.service.claim import Claim
from music_downloader.service.download import Landed
from music_downloader.task import publishing
from music_downloader.task.cookies import CookieKey
from music_downloader.task.publishing import Finished, publish_track
from music_downloader.task.state import WorkerState
from music_downloader.task.storage import Storage
from music_downloader.task.withdrawal import withdraw

Sessions = async_sessionmaker[AsyncSession]
WANTED = PurePosixPath("Somebody", "Album", "Song.mp3")
BODY, COVER = b"music", b"picture"


class Bench:
    """Downloads at the point where their file is finished."""

    def __init__(self, settings: Settings, sessions: Sessions, alice: httpx.AsyncClient) -> None:
        self.root = settings.output_directory
        make_library(self.root)
        self.sessions = sessions
        self.alice = alice
        self.state = WorkerState(
            settings=settings,
            sessionmaker=sessions,
            engine=Engine(),
            storage=Storage(settings=settings, sessionmaker=sessions),
            cookie_key=CookieKey(settings),
            fetches=Semaphore(2),
        )

    async def claim(self, name: str) -> Claim:
        number = await submit(self.alice, f"https://music.example/{name}")
        async with self.sessions.begin() as session:
            claimed = await claim.take(session, download_id=number, places=99)
        assert claimed is not None
        return claimed

    def finish(self, claimed: Claim, body: bytes = BODY, cover: bytes | None = None) -> Finished:
        path = staging_directory(self.root, f"{claimed.download_id}-x-{claimed.fence}") / "audio.mp3"
        path.write_bytes(body)
        facts = {
            "sha256": hashlib.sha256(body).hexdigest(),
            "size": len(body),
            "codec": "mp3",
            "original": True,
            "source": "generic",
            "source_id": claimed.url,
            "tags": {"values": {"title": "Song", "artists": ["Somebody"], "album": "Album"}},
            "loudness": {},
        }
        return Finished(path=path, wanted=WANTED, cover=cover, facts=facts)

    async def die(self, claimed: Claim) -> None:
        """Do what the rescue does with an attempt whose worker is gone."""
        async with self.sessions.begin() as session:
            await download.lose(session, claimed)

    async def clear_up(self) -> None:
        async with self.sessions() as session:
            left = await intent.left(session)
        for said in left:
            async with self.sessions.begin() as session:
                await withdraw(session, self.root, said)

    async def intents(self) -> int:
        async with self.sessions() as session:
            return await session.scalar(select(func.count()).select_from(FilingIntent)) or 0

    def music(self) -> list[str]:
        paths = [path.relative_to(self.root) for path in self.root.rglob("*")]
        return sorted(str(path) for path in paths if path.parts[0] != ".nas-music")


@pytest.fixture
async def bench(service: Service, make_settings: Callable[..., Settings], sessions: Sessions) -> Bench:
    return Bench(make_settings(), sessions, await service.sign_in())


async def _crash_behind_the_rename(bench: Bench, claimed: Claim, finished: Finished) -> None:
    await publishing._announce(bench.state, claimed, finished)  # noqa: SLF001 - as far as the dead one came
    publish(finished.path, bench.root, finished.wanted, digest=finished.sha256)
    (bench.root / finished.wanted.parent / "cover.jpg").write_bytes(COVER)


async def test_a_file_whose_worker_died_before_the_commit_goes_with_all_that_came_with_it(
    bench: Bench,
) -> None:
    claimed = await bench.claim("song")
    await _crash_behind_the_rename(bench, claimed, bench.finish(claimed, cover=COVER))
    await bench.clear_up()
    assert str(WANTED) in bench.music()  # the attempt may be alive still
    await bench.die(claimed)
    await bench.clear_up()
    assert bench.music() == []
    assert await bench.intents() == 0


async def test_the_next_attempt_adopts_the_file_or_the_upkeep_removes_it(bench: Bench) -> None:
    claimed = await bench.claim("song")
    await _crash_behind_the_rename(bench, claimed, bench.finish(claimed, cover=COVER))
    await bench.die(claimed)
    async with bench.sessions.begin() as session:
        again = await claim.take(session, download_id=claimed.download_id, places=99)
    assert again is not None
    landed = await publish_track(bench.state, again, bench.finish(again, cover=COVER))
    await bench.clear_up()
    assert landed.file_path == str(WANTED)
    assert str(WANTED) in bench.music()
    assert await bench.intents() == 0


async def test_other_bytes_of_the_next_attempt_leave_none_of_the_first(bench: Bench) -> None:
    claimed = await bench.claim("song")
    await _crash_behind_the_rename(bench, claimed, bench.finish(claimed))
    await bench.die(claimed)
    async with bench.sessions.begin() as session:
        again = await claim.take(session, download_id=claimed.download_id, places=99)
    assert again is not None
    landed = await publish_track(bench.state, again, bench.finish(again, body=b"remastered"))
    await bench.clear_up()
    assert [name for name in bench.music() if name.endswith(".mp3")] == [landed.file_path]


async def test_a_file_that_lay_there_before_is_nobodys_to_remove(bench: Bench) -> None:
    (bench.root / WANTED.parent).mkdir(parents=True)
    (bench.root / WANTED).write_bytes(BODY)
    claimed = await bench.claim("song")
    await _crash_behind_the_rename(bench, claimed, bench.finish(claimed))
    await bench.die(claimed)
    await bench.clear_up()
    assert str(WANTED) in bench.music()


async def test_a_stale_owner_files_nothing_and_leaves_no_word(bench: Bench) -> None:
    claimed = await bench.claim("song")
    await bench.die(claimed)
    with pytest.raises(LostClaimError):
        await publish_track(bench.state, claimed, bench.finish(claimed))
    await bench.clear_up()
    assert bench.music() == []
    assert await bench.intents() == 0


async def test_a_file_that_comes_when_its_word_is_forgotten_is_found_all_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = await bench.claim("song")
    hold, complete, moved = claim.hold, download.complete, []

    async def broken(*given: Any) -> None:
        if not moved:
            moved.append(bench.music())
            raise OperationalError("", None, Exception("the network is away"))
        await complete(*given)

    async def taken_for_dead(session: AsyncSession, held: Claim) -> bool:
        if not moved:
            return await hold(session, held)
        async with bench.sessions.begin() as other:
            await other.execute(text("DELETE FROM filing_intents"))
        await bench.die(claimed)
        return False

    monkeypatch.setattr(download, "complete", broken)
    monkeypatch.setattr(claim, "hold", taken_for_dead)
    with pytest.raises(LostClaimError):
        await publish_track(bench.state, claimed, bench.finish(claimed))
    monkeypatch.undo()
    assert str(WANTED) in moved[0]
    await bench.clear_up()
    assert bench.music() == []
    assert await bench.intents() == 0


async def test_equal_files_of_two_addresses_are_one_and_both_have_it(bench: Bench) -> None:
    claims = [await bench.claim(name) for name in ("one", "two", "three")]
    await asyncio.gather(*(publish_track(bench.state, one, bench.finish(one)) for one in claims))
    assert bench.music() == ["Somebody", "Somebody/Album", str(WANTED)]
    async with bench.sessions() as session:
        rows = (await session.scalars(select(Download))).all()
        tracks = (await session.scalars(select(Track))).all()
    assert len(tracks) == 1
    assert [row.track_id for row in rows] == [tracks[0].id] * 3


async def test_the_last_owner_may_delete_a_file_just_when_it_is_filed_once_more(bench: Bench) -> None:
    for number in range(12):
        first = await bench.claim(f"first-{number}")
        await publish_track(bench.state, first, bench.finish(first))
        second = await bench.claim(f"second-{number}")
        finished = bench.finish(second)

        async def delete(number: int = number, at: int = first.download_id) -> int:
            await asyncio.sleep(0.002 * number)
            answer = await bench.alice.delete(f"/api/downloads/{at}", params={"delete_file": "true"})
            return answer.status_code

        landed, status = await asyncio.gather(publish_track(bench.state, second, finished), delete())
        assert status == 204
        assert (bench.root / landed.file_path).read_bytes() == BODY
        async with bench.sessions() as session:
            row = await session.get_one(Download, second.download_id)
            track = await session.get_one(Track, row.track_id)
            assert track.path == landed.file_path
        answer = await bench.alice.delete(
            f"/api/downloads/{second.download_id}", params={"delete_file": "true"}
        )
        assert answer.status_code == 204
        assert bench.music() == []


async def test_a_file_that_is_removed_while_it_is_adopted_is_filed_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await bench.claim("first")
    landed = await publish_track(bench.state, first, bench.finish(first))
    real, looks = publishing.is_filed, []

    def vanishing(root: Path, relative: PurePosixPath, *, size: int, digest: str) -> bool:
        looks.append(relative)
        if len(looks) == 2:  # adopted by now
            (root / landed.file_path).unlink()
        return real(root, relative, size=size, digest=digest)

    monkeypatch.setattr(publishing, "is_filed", vanishing)
    second = await bench.claim("second")
    again = await publish_track(bench.state, second, bench.finish(second))
    assert (bench.root / again.file_path).read_bytes() == BODY


async def test_what_is_at_work_on_the_same_bytes_keeps_its_file(bench: Bench) -> None:
    dead, living = await bench.claim("dead"), await bench.claim("living")
    await _crash_behind_the_rename(bench, dead, bench.finish(dead))
    finished = bench.finish(living)
    await publishing._announce(bench.state, living, finished)  # noqa: SLF001 - it is about to adopt
    await bench.die(dead)
    await bench.clear_up()
    assert str(WANTED) in bench.music()
    await bench.die(living)
    await bench.clear_up()
    assert str(WANTED) not in bench.music()
    assert await bench.intents() == 0


async def test_the_dead_ones_file_goes_though_another_files_the_same_bytes_elsewhere(bench: Bench) -> None:
    dead, living = await bench.claim("dead"), await bench.claim("living")
    await _crash_behind_the_rename(bench, dead, bench.finish(dead))
    elsewhere = replace(bench.finish(living), wanted=PurePosixPath("Somebody", "Song.mp3"))
    await publishing._announce(bench.state, living, elsewhere)  # noqa: SLF001 - it is about to file
    await bench.die(dead)
    await bench.clear_up()
    landed = await publish_track(bench.state, living, elsewhere)
    await bench.clear_up()
    assert [name for name in bench.music() if name.endswith(".mp3")] == [landed.file_path]
    assert await bench.intents() == 0


async def test_what_the_dead_have_filed_is_remembered_while_the_library_is_away(bench: Bench) -> None:
    claimed = await bench.claim("song")
    await _crash_behind_the_rename(bench, claimed, bench.finish(claimed))
    await bench.die(claimed)
    away = bench.root.rename(bench.root.with_name("away"))
    bench.root.mkdir()
    await bench.clear_up()
    bench.root.rmdir()
    away.rename(bench.root)
    await bench.clear_up()
    assert str(WANTED) not in bench.music()
    assert await bench.intents() == 0


async def test_a_file_whose_track_another_has_filed_between_two_tries_does_not_stay(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await bench.claim("first"), await bench.claim("second")
    mine = bench.finish(first)
    other = bench.finish(second, body=b"remastered")
    other = replace(other, facts={**other.facts, "source_id": first.url})
    real = download.complete
    tries: list[str] = []

    async def failing(session: AsyncSession, claimed: Claim, landed: Landed) -> bool:
        if claimed is first and not tries:
            tries.append(landed.file_path)
            await session.rollback()  # as a database that goes away does, with all locks
            await publish_track(bench.state, second, other)
            raise OperationalError("COMMIT", None, Exception("the database is away"))
        return await real(session, claimed, landed)

    monkeypatch.setattr(download, "complete", failing)
    landed = await publish_track(bench.state, first, mine)
    await bench.clear_up()
    assert landed.file_path != tries[0]
    assert [name for name in bench.music() if name.endswith(".mp3")] == [landed.file_path]
    assert await bench.intents() == 0


async def test_two_that_clear_up_at_once_do_it_once(bench: Bench) -> None:
    claimed = await bench.claim("song")
    await _crash_behind_the_rename(bench, claimed, replace(bench.finish(claimed)))
    await bench.die(claimed)
    await asyncio.gather(*(bench.clear_up() for _ in range(4)))
    async with bench.sessions() as session:
        assert await session.scalar(text("SELECT count(*) FROM filing_intents")) == 0
