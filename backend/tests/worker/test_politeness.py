"""How many tracks are fetched from one host at a time, and who comes next."""

import asyncio

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tests import media
from tests.conftest import Serve, Service
from tests.following import ended, submit, until_true
from tests.source import Source
from tests.worker.slowly import Slowly

from music_downloader.service import claim, download, host, orphanage
from music_downloader.service.claim import Claim

Sessions = async_sessionmaker[AsyncSession]


async def test_no_more_than_two_tracks_come_from_one_host_at_a_time(serve: Serve, source: Source) -> None:
    service = await serve(embedded_worker=True, worker_concurrency=6)
    alice = await service.sign_in()
    slowly = Slowly(source)
    urls = [slowly.file(f"/{n}.mp3", media.make("mp3", frequency=300 + 10 * n)) for n in range(8)]
    numbers = [await submit(alice, url) for url in urls]
    for number in numbers:
        shown = await ended(alice, number)
        assert (shown["status"], shown["attempts"]) == ("completed", 1), shown
    assert slowly.most == 2


async def test_the_number_is_a_setting(serve: Serve, source: Source) -> None:
    service = await serve(embedded_worker=True, worker_concurrency=6, max_per_host=4)
    alice = await service.sign_in()
    slowly = Slowly(source, seconds=1.5)
    urls = [slowly.file(f"/{n}.mp3", media.make("mp3", frequency=300 + 10 * n)) for n in range(8)]
    for number in [await submit(alice, url) for url in urls]:
        await ended(alice, number)
    assert 2 < slowly.most <= 4


async def _claim(sessions: Sessions, number: int) -> Claim | None:
    async with sessions.begin() as session:
        return await claim.take(session, download_id=number, places=2)


async def _queued(sessions: Sessions) -> list[int]:
    async with sessions() as session:
        found = await session.scalars(
            text("SELECT (args ->> 'download_id')::int FROM procrastinate_jobs ORDER BY id")
        )
        return list(found)


async def test_a_full_host_keeps_nobody_waiting_for_another(service: Service, sessions: Sessions) -> None:
    alice = await service.sign_in()
    full = [await submit(alice, f"https://full.example/{n}.mp3") for n in range(3)]
    other = await submit(alice, "https://other.example/song.mp3")
    assert [await _claim(sessions, number) is not None for number in (*full, other)] == [
        True,
        True,
        False,
        True,
    ]


async def test_whoever_leaves_a_host_calls_the_one_that_has_waited_longest(
    service: Service, sessions: Sessions
) -> None:
    alice = await service.sign_in()
    numbers = [await submit(alice, f"https://music.example/{n}.mp3") for n in range(4)]
    async with sessions.begin() as session:
        await session.execute(text("DELETE FROM procrastinate_jobs"))
    claims = [await _claim(sessions, number) for number in numbers]
    assert [claimed is not None for claimed in claims] == [True, True, False, False]
    first = claims[0]
    assert first is not None
    for _ in range(2):  # leaving twice frees one place
        async with sessions.begin() as session:
            await host.leave(session, download_id=first.download_id, fence=first.fence)
    assert await _queued(sessions) == [numbers[2]]
    assert await _claim(sessions, numbers[2]) is not None
    assert await _claim(sessions, numbers[3]) is None


async def test_a_single_track_neednt_wait_for_a_whole_collection(
    service: Service, sessions: Sessions
) -> None:
    alice = await service.sign_in()
    numbers = [await submit(alice, f"https://music.example/{n}.mp3") for n in range(6)]
    collection = await submit(alice, "https://elsewhere.example/album")
    async with sessions.begin() as session:
        await session.execute(
            text("UPDATE download_history SET parent_id = :parent WHERE id = ANY(:tracks)"),
            {"parent": collection, "tracks": numbers[:5]},
        )
        await session.execute(text("DELETE FROM procrastinate_jobs"))
    claims = [await _claim(sessions, number) for number in numbers]
    assert [claimed is not None for claimed in claims] == [True, True, False, False, False, False]
    assert claims[0] is not None
    async with sessions.begin() as session:
        await host.leave(session, download_id=claims[0].download_id, fence=claims[0].fence)
    assert await _queued(sessions) == [numbers[5]]


async def test_one_that_is_called_but_cancelled_passes_its_turn_on(
    service: Service, sessions: Sessions
) -> None:
    alice = await service.sign_in()
    numbers = [await submit(alice, f"https://music.example/{n}.mp3") for n in range(4)]
    claims = [await _claim(sessions, number) for number in numbers]
    assert claims[0] is not None
    async with sessions.begin() as session:
        await session.execute(text("DELETE FROM procrastinate_jobs"))
        await host.leave(session, download_id=claims[0].download_id, fence=claims[0].fence)
    assert await _queued(sessions) == [numbers[2]]
    assert (await alice.post(f"/api/downloads/{numbers[2]}/cancel")).status_code == 200
    assert await _claim(sessions, numbers[2]) is None
    assert await _queued(sessions) == [numbers[2], numbers[3]]


async def test_two_that_come_and_go_at_once_never_forget_a_third(
    service: Service, sessions: Sessions
) -> None:
    alice = await service.sign_in()
    for turn in range(10):
        numbers = [await submit(alice, f"https://music.example/{turn}/{n}.mp3") for n in range(3)]
        async with sessions.begin() as session:
            await session.execute(text("DELETE FROM procrastinate_jobs"))
        held = [claimed for claimed in [await _claim(sessions, n) for n in numbers[:2]] if claimed]

        async def leave(claimed: Claim) -> None:
            async with sessions.begin() as session:
                await host.leave(session, download_id=claimed.download_id, fence=claimed.fence)

        third, *_ = await asyncio.gather(_claim(sessions, numbers[2]), *(leave(claimed) for claimed in held))
        assert third is not None or await _queued(sessions) == [numbers[2]]
        async with sessions.begin() as session:
            await session.execute(text("UPDATE download_history SET fetching = false, parked = false"))


async def test_what_was_taken_from_the_queue_and_not_begun_keeps_its_turn(
    service: Service, sessions: Sessions
) -> None:
    alice = await service.sign_in()
    numbers = [await submit(alice, f"https://music.example/{n}.mp3") for n in range(2)]
    async with sessions.begin() as session:
        await session.execute(
            text("DELETE FROM procrastinate_jobs WHERE id = (SELECT min(id) FROM procrastinate_jobs)")
        )
        await claim.put_back(session, download_id=numbers[0])
    async with sessions.begin() as session:
        fetched = text(
            "SELECT (args ->> 'download_id')::int"
            " FROM procrastinate_fetch_job_v2(ARRAY['downloads']::varchar[], NULL)"
        )
        assert await session.scalar(fetched) == numbers[0]


async def test_a_collection_is_cancelled_while_a_track_of_it_leaves_its_host(
    service: Service, sessions: Sessions
) -> None:
    alice = await service.sign_in()
    number = await submit(alice, "https://music.example/song.mp3")
    collection = await submit(alice, "https://elsewhere.example/album")
    async with sessions.begin() as session:
        await session.execute(
            text("UPDATE download_history SET parent_id = :parent, host = 'music.example' WHERE id = :track"),
            {"parent": collection, "track": number},
        )
    claimed = await _claim(sessions, number)
    assert claimed is not None

    async def waiting(count: int) -> None:
        async def are_waiting() -> bool:
            waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            async with sessions() as session:
                return await session.scalar(text(waits)) == count

        await until_true(are_waiting)

    async def leave() -> None:
        async with sessions.begin() as session:
            await download.leave_host(session, claimed)

    async with sessions.begin() as session:  # somebody else is at the host
        await host.lock(session, "music.example")
        cancelling = asyncio.create_task(alice.post(f"/api/downloads/{collection}/cancel"))
        await waiting(1)
        leaving = asyncio.create_task(leave())
        await waiting(2)
    await leaving
    assert (await cancelling).status_code == 200


async def test_what_a_dead_worker_left_waiting_is_found(service: Service, sessions: Sessions) -> None:
    alice = await service.sign_in()
    numbers = [await submit(alice, f"https://music.example/{n}.mp3") for n in range(3)]
    for number in numbers:
        await _claim(sessions, number)
    async with sessions.begin() as session:
        await session.execute(
            text("DELETE FROM procrastinate_jobs WHERE (args ->> 'download_id')::int = :n"), {"n": numbers[2]}
        )
        assert await orphanage.find(session) == {}  # somebody will call it
        await session.execute(text("UPDATE download_history SET fetching = false"))
        assert await orphanage.find(session) == {numbers[2]: False}
        await orphanage.take_in(session, download_id=numbers[2])
    assert numbers[2] in await _queued(sessions)
