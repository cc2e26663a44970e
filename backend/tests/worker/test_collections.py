"""Lists: what they become, how a collection stands by its tracks, and what a person can do to it."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tests import media
from tests.conftest import Serve, Service
from tests.family import below
from tests.following import PATIENCE, ended, submit, until
from tests.source import Source

from music_downloader.engine.order import Entry
from music_downloader.engine.source import SourceInfo
from music_downloader.library.filing import STAGING
from music_downloader.library.tags import read_tags
from music_downloader.model import AuditLog, Download
from music_downloader.task import download as task
from music_downloader.task.expansion import Expansion

Sessions = async_sessionmaker[AsyncSession]


def _page(source: Source, path: str, title: str, urls: list[str]) -> str:
    players = "".join(f'<audio src="{url}"></audio>' for url in urls)
    return source.page(path, f"<title>{title}</title>", players)


def _songs(source: Source, count: int, **more: str) -> list[str]:
    return [
        source.file(
            f"/{n:02}.mp3",
            media.make(
                "mp3", seconds=1, frequency=300 + 20 * n, title=f"Song {n}", artist="The Band", **more
            ),
        )
        for n in range(1, count + 1)
    ]


async def tracks(client: httpx.AsyncClient, number: int) -> list[dict[str, Any]]:
    answer = await client.get("/api/downloads", params={"parent_id": number, "per_page": 100})
    found: list[dict[str, Any]] = answer.raise_for_status().json()["downloads"]
    return found


async def test_a_page_with_several_tracks_becomes_an_album(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    url = _page(source, "/album", "The Band - An Album", _songs(source, 4))
    answer = await alice.post("/api/download", json={"url": url})
    number = answer.json()["id"]
    assert (answer.status_code, answer.json()["kind"], answer.json()["items"]) == (202, "track", None)
    shown = await ended(alice, number)
    assert (shown["status"], shown["kind"], shown["error_code"]) == ("completed", "collection", None), shown
    assert shown["items"] == {"total": 4, "completed": 4, "failed": 0}
    assert (shown["title"], shown["album_artist"]) == ("An Album", "The Band")
    listed = (await alice.get("/api/downloads")).json()
    assert [one["id"] for one in listed["downloads"]] == [number]
    of_it = await tracks(alice, number)
    assert [(one["title"], one["track_number"]) for one in of_it] == [(f"Song {n}", n) for n in range(1, 5)]
    assert {(one["kind"], one["parent_id"], one["status"]) for one in of_it} == {
        ("track", number, "completed")
    }
    newest = sorted(of_it, key=lambda one: (one["created_at"], one["id"]), reverse=True)
    assert newest == of_it
    files = sorted(path.relative_to(working.library) for path in working.library.rglob("*.mp3"))
    assert files == [Path(f"The Band/An Album/{n:02} - Song {n}.mp3") for n in range(1, 5)]
    said = {(t.album, t.album_artists, t.date) for f in files if (t := read_tags(working.library / f))}
    assert said == {("An Album", ("The Band",), None)}


async def test_one_bad_track_fails_alone_and_a_retry_mends_the_collection(
    working: Service, source: Source
) -> None:
    alice = await working.sign_in()
    songs = _songs(source, 3)
    missing = source.status("/02.mp3", 404)
    url = _page(source, "/album", "An Album", [songs[0], missing, songs[2]])
    number = await submit(alice, url)
    shown = await ended(alice, number)
    assert (shown["status"], shown["error_code"]) == ("failed", "not_found"), shown
    assert shown["items"] == {"total": 3, "completed": 2, "failed": 1}
    assert "1 of 3 tracks failed" in shown["error_message"]
    assert [one["status"] for one in await tracks(alice, number)] == ["completed", "failed", "completed"]
    source.file("/02.mp3", media.make("mp3", seconds=1, frequency=777, title="Song 2"))
    answer = await alice.post(f"/api/downloads/{number}/retry")
    assert (answer.status_code, answer.json()["status"]) == (202, "in-progress")
    shown = await ended(alice, number)
    assert (shown["status"], shown["error_code"], shown["error_message"]) == ("completed", None, None)
    assert shown["items"] == {"total": 3, "completed": 3, "failed": 0}
    assert [source.hits(f"/{n:02}.mp3") for n in (1, 3)] == [source.hits("/01.mp3")] * 2


async def test_a_long_list_is_cut_and_says_so(serve: Serve, source: Source) -> None:
    service = await serve(embedded_worker=True, max_collection_items=3)
    alice = await service.sign_in()
    number = await submit(alice, _page(source, "/album", "An Album", _songs(source, 5)))
    shown = await ended(alice, number)
    assert (shown["status"], shown["items"]["total"]) == ("completed", 3)
    assert "left out" in shown["error_message"]
    assert source.hits("/04.mp3") == source.hits("/05.mp3") == 0


async def test_a_list_of_lists_is_one_collection_of_all_their_tracks(
    working: Service, source: Source
) -> None:
    alice = await working.sign_in()
    songs = _songs(source, 4)
    albums = [
        _page(source, "/first", "The Band - First", songs[:2]),
        _page(source, "/second", "The Band - Second", songs[2:]),
    ]
    number = await submit(alice, source.feed("/feed.xml", albums))
    shown = await ended(alice, number)
    assert (shown["status"], shown["items"]["total"]) == ("completed", 4), shown
    assert len(list(working.library.rglob("*.mp3"))) == 4
    assert {one["title"] for one in await tracks(alice, number)} == {f"Song {n}" for n in range(1, 5)}


async def test_a_list_that_holds_itself_comes_to_an_end(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    itself = source.url("/feed.xml")
    source.feed("/feed.xml", [itself, f"{itself}?again", *_songs(source, 1)])
    number = await submit(alice, itself)
    shown = await ended(alice, number)
    assert shown["items"]["completed"] == 1, shown


async def test_tracks_begin_before_the_last_one_is_listed(
    serve: Serve, source: Source, sessions: Sessions
) -> None:
    service = await serve(embedded_worker=True, worker_concurrency=1)
    alice = await service.sign_in()
    songs = [source.url(f"/missing/{n}.mp3") for n in range(1000)]
    songs[0] = _songs(source, 1)[0]
    number = await submit(alice, source.feed("/feed.xml", songs))
    await until(alice, number, lambda d: d["items"] is not None and d["items"]["total"] == 1000)
    async with sessions() as session:
        first = await session.scalar(
            select(Download.started_at).where(Download.parent_id == number).order_by(Download.position)
        )
        listed = await session.scalar(select(Download.listed_at).where(Download.id == number))
    assert first is not None
    assert listed is None or first < listed
    cancelled = await alice.post(f"/api/downloads/{number}/cancel")
    assert cancelled.json()["status"] == "cancelled"


async def test_long_lists_leave_room_for_a_track_and_are_all_read_in_the_end(
    serve: Serve, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    take = Expansion.take

    async def take_long(self: Expansion, whole: SourceInfo, entries: list[Entry]) -> None:
        await take(self, whole, entries)
        if entries[0].position > 25:  # not the first batch
            begun.set()
            await go_on.wait()

    monkeypatch.setattr(Expansion, "take", take_long)
    monkeypatch.setattr(task, "_LISTED_AGAIN_SECONDS", 0.5)
    # Two places for jobs, and so one for a long list.
    service = await serve(embedded_worker=True, worker_concurrency=1, encode_concurrency=1)
    alice = await service.sign_in()
    lists = [
        await submit(alice, source.feed(f"/{name}.xml", [source.url(f"/{name}/{n}.mp3") for n in range(60)]))
        for name in ("first", "second")
    ]
    async with asyncio.timeout(90):
        await begun.wait()
    for number in lists:
        await until(alice, number, lambda one: one["items"] is not None)
    song = await ended(alice, await submit(alice, _songs(source, 1)[0]))
    assert song["status"] == "completed", song
    go_on.set()
    for number in lists:
        await until(alice, number, lambda one: one["items"]["total"] == 60)
        await alice.post(f"/api/downloads/{number}/cancel")


async def test_reading_a_list_again_doubles_nothing(
    working: Service, source: Source, sessions: Sessions
) -> None:
    alice = await working.sign_in()
    number = await submit(alice, _page(source, "/album", "An Album", _songs(source, 3)))
    await ended(alice, number)
    async with sessions.begin() as session:  # as if the worker had died before it came to the end
        await session.execute(
            text(
                "UPDATE download_history SET status = 'pending', listed_at = NULL, completed_at = NULL"
                " WHERE id = :id"
            ),
            {"id": number},
        )
    await until(alice, number, lambda d: d["attempts"] == 2)
    shown = await ended(alice, number)
    assert (shown["status"], shown["items"]["total"]) == ("completed", 3)


def _processes() -> list[int]:
    """The processes of the engine, which run below this one: the template, and what fetches or converts."""
    engine = below(psutil.Process(os.getpid()), "music_downloader.engine.template", recursive=True)
    return [one.pid for each in engine for one in (each, *each.children(recursive=True))]


async def _nothing_left(library: Path, *, within: float = PATIENCE) -> None:
    async with asyncio.timeout(within):
        while list((library / STAGING).iterdir()):  # noqa: ASYNC110 - a folder sends no events
            await asyncio.sleep(0.05)


async def test_cancelling_a_collection_ends_all_of_it_and_leaves_nothing(
    working: Service, source: Source
) -> None:
    alice = await working.sign_in()
    await ended(alice, await submit(alice, source.url("/nothing.mp3")))
    idle = len(_processes())
    slow = [source.dripping(f"/{n}.mp3", media.make("mp3"), piece=4000, interval=0.05) for n in range(6)]
    number = await submit(alice, _page(source, "/album", "An Album", slow))
    await until(alice, number, lambda d: d["items"] is not None and d["items"]["total"] == 6)
    first = (await tracks(alice, number))[0]
    await until(alice, first["id"], lambda d: d["status"] == "in-progress" and d["progress"] is not None)
    answer = await alice.post(f"/api/downloads/{number}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert {one["status"] for one in await tracks(alice, number)} == {"cancelled"}
    await _nothing_left(working.library)
    assert len(_processes()) == idle
    asked = len(source.requests)
    await asyncio.sleep(0.5)
    assert len(source.requests) == asked
    assert not list(working.library.rglob("*.mp3"))
    assert (await alice.post(f"/api/downloads/{number}/cancel")).status_code == 409


async def test_cancelling_one_track_leaves_the_others(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    songs = _songs(source, 2)
    slow = source.dripping("/slow.mp3", media.make("mp3"), piece=4000, interval=0.05)
    number = await submit(alice, _page(source, "/album", "An Album", [songs[0], slow, songs[1]]))
    await until(alice, number, lambda d: d["items"] is not None and d["items"]["completed"] == 2)
    one = (await tracks(alice, number))[1]
    answer = await alice.post(f"/api/downloads/{one['id']}/cancel")
    assert answer.json()["status"] == "cancelled"
    shown = await ended(alice, number)
    assert (shown["status"], shown["items"]) == ("cancelled", {"total": 3, "completed": 2, "failed": 0})
    await _nothing_left(working.library)


async def test_a_cancelled_download_that_is_queued_again_starts_anew(
    working: Service, source: Source
) -> None:
    alice = await working.sign_in()
    number = await submit(alice, source.dripping("/song.mp3", media.make("mp3"), piece=4000, interval=0.05))
    await until(
        alice, number, lambda d: d["status"] == "in-progress" and (d["progress"]["downloaded_bytes"] or 0) > 0
    )
    await alice.post(f"/api/downloads/{number}/cancel")
    source.file("/song.mp3", media.make("mp3", title="A Song"))
    answer = await alice.post(f"/api/downloads/{number}/retry")
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    shown = await ended(alice, number)
    assert (shown["status"], shown["title"]) == ("completed", "A Song"), shown
    await _nothing_left(working.library)


async def test_a_cancelled_download_that_waited_for_its_next_attempt_leaves_nothing(
    serve: Serve, source: Source
) -> None:
    service = await serve(embedded_worker=True, retry_delay=60)
    alice = await service.sign_in()
    number = await submit(alice, source.truncated("/song.mp3", media.make("mp3")))
    await until(alice, number, lambda d: d["status"] == "pending" and d["attempts"] == 1)
    assert list((service.library / STAGING).iterdir())
    assert (await alice.post(f"/api/downloads/{number}/cancel")).status_code == 200
    await _nothing_left(service.library)


async def test_deleting_a_collection_takes_its_files_along_if_asked(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    url = _page(source, "/album", "The Band - An Album", _songs(source, 3))
    number = await submit(alice, url)
    await ended(alice, number)
    of_it = await tracks(alice, number)
    answer = await alice.delete(f"/api/downloads/{number}", params={"delete_file": "true"})
    assert answer.status_code == 204
    assert {(await alice.get(f"/api/downloads/{one['id']}")).status_code for one in of_it} == {404}
    assert not list(working.library.rglob("*.mp3"))
    assert not (working.library / "The Band").exists()


async def test_deleting_one_track_settles_its_collection(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    songs = _songs(source, 2)
    number = await submit(alice, _page(source, "/album", "An Album", [*songs, source.status("/no.mp3", 404)]))
    assert (await ended(alice, number))["status"] == "failed"
    bad = (await tracks(alice, number))[2]
    assert (await alice.delete(f"/api/downloads/{bad['id']}")).status_code == 204
    shown = (await alice.get(f"/api/downloads/{number}")).json()
    assert (shown["status"], shown["items"]["total"]) == ("completed", 2)


async def test_what_is_active_cannot_be_deleted_and_what_ended_well_not_retried(
    working: Service, source: Source
) -> None:
    alice = await working.sign_in()
    slow = source.dripping("/slow.mp3", media.make("mp3"), piece=4000, interval=0.05)
    songs = _songs(source, 2)
    number = await submit(alice, _page(source, "/album", "An Album", [songs[0], slow]))
    await until(alice, number, lambda d: d["items"] is not None and d["items"]["completed"] == 1)
    assert (await alice.delete(f"/api/downloads/{number}")).status_code == 409
    done = await ended(alice, await submit(alice, songs[1]))
    assert (await alice.post(f"/api/downloads/{done['id']}/retry")).status_code == 409
    assert (await alice.post(f"/api/downloads/{done['id']}/cancel")).status_code == 409
    await alice.post(f"/api/downloads/{number}/cancel")


async def test_a_retry_counts_its_attempts_anew(serve: Serve, source: Source) -> None:
    service = await serve(embedded_worker=True, retry_delay=0.05)
    alice = await service.sign_in()
    number = await submit(alice, source.status("/song.mp3", 503))
    first = await ended(alice, number)
    assert (first["status"], first["attempts"]) == ("failed", 4)
    await alice.post(f"/api/downloads/{number}/retry")
    second = await ended(alice, number)
    assert (second["status"], second["attempts"]) == ("failed", 8)


async def test_a_retry_gives_way_to_the_same_submission(service: Service) -> None:
    alice = await service.sign_in()
    url = "https://music.example/song.mp3"
    first = await submit(alice, url)
    await alice.post(f"/api/downloads/{first}/cancel")
    second = await submit(alice, url)
    answer = await alice.post(f"/api/downloads/{first}/retry")
    assert answer.status_code == 409
    assert "already" in answer.json()["detail"]
    assert (await alice.get(f"/api/downloads/{second}")).json()["status"] == "pending"


async def test_a_collection_is_one_of_a_persons_unfinished_downloads(serve: Serve, source: Source) -> None:
    service = await serve(embedded_worker=True, max_active_per_user=2)
    alice = await service.sign_in()
    slow = [source.dripping(f"/{n}.mp3", media.make("mp3"), piece=4000, interval=0.05) for n in range(4)]
    number = await submit(alice, _page(source, "/album", "An Album", slow))
    await until(alice, number, lambda d: d["items"] is not None and d["items"]["total"] == 4)
    await submit(alice, source.url("/other.mp3"))
    refused = await alice.post("/api/download", json={"url": source.url("/third.mp3")})
    assert refused.status_code == 429
    await alice.post(f"/api/downloads/{number}/cancel")


async def test_each_doing_is_in_the_audit_log(working: Service, source: Source, sessions: Sessions) -> None:
    alice = await working.sign_in()
    number = await submit(
        alice, _page(source, "/album", "An Album", [*_songs(source, 2), source.url("/no.mp3")])
    )
    await ended(alice, number)
    await alice.post(f"/api/downloads/{number}/retry")
    await until(alice, number, lambda d: d["status"] == "failed")
    await alice.delete(f"/api/downloads/{number}")
    async with sessions() as session:
        found = await session.scalars(
            select(AuditLog.action).where(AuditLog.resource == f"download:{number}").order_by(AuditLog.id)
        )
        actions = list(found)
    assert actions == [
        *("download.submit", "download.start", "download.expand", "download.fail"),
        *("download.retry", "download.fail", "download.delete"),
    ]


@pytest.mark.parametrize("stop", ["cancel", "delete"])
async def test_another_persons_collection_does_not_exist(service: Service, stop: str) -> None:
    alice, bob = await service.sign_in("alice"), await service.sign_in("bob")
    number = await submit(alice, "https://music.example/album")
    calls: dict[str, Callable[[], Any]] = {
        "cancel": lambda: bob.post(f"/api/downloads/{number}/cancel"),
        "delete": lambda: bob.delete(f"/api/downloads/{number}"),
    }
    absent = (await bob.post("/api/downloads/999999/cancel")).json()
    answer = await calls[stop]()
    assert (answer.status_code, answer.json()) == (404, absent)
    assert (await alice.get(f"/api/downloads/{number}")).json()["status"] == "pending"


async def test_a_list_without_any_track_fails_and_says_so(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    others = [source.url("/b.xml"), source.url("/c.xml")]
    for path, url in zip(("/b.xml", "/c.xml"), others, strict=True):
        source.feed(path, [url, url])  # each holds nothing but itself
    shown = await ended(alice, await submit(alice, source.feed("/a.xml", list(others))), within=60)
    assert (shown["status"], shown["error_code"], shown["items"]["total"]) == ("failed", "no_audio", 0), shown


async def test_lists_are_followed_to_two_levels_only(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    songs = _songs(source, 4)
    third = source.feed("/c.xml", list(songs[2:]))
    second = source.feed("/b.xml", [third, songs[1]])
    number = await submit(alice, source.feed("/a.xml", [second, songs[0]]))
    shown = await ended(alice, number)
    assert (shown["status"], shown["error_code"]) == ("failed", "unsupported_url"), shown
    assert shown["items"] == {"total": 3, "completed": 2, "failed": 1}
    assert source.hits("/03.mp3") == source.hits("/04.mp3") == 0


async def test_one_entry_that_is_no_address_spoils_nothing(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    feed = source.feed("/feed.xml", ["http://[broken/x.mp3", "file:///etc/passwd", *_songs(source, 2)])
    shown = await ended(alice, await submit(alice, feed))
    assert shown["items"]["completed"] == 2, shown


async def test_a_collection_whose_list_broke_off_can_be_stopped_and_deleted(
    working: Service, source: Source, sessions: Sessions
) -> None:
    alice = await working.sign_in()
    slow = [source.dripping(f"/{n}.mp3", media.make("mp3"), piece=4000, interval=0.05) for n in range(3)]
    number = await submit(alice, _page(source, "/album", "An Album", slow))
    await until(alice, number, lambda d: d["items"] is not None and d["items"]["total"] == 3)
    async with sessions.begin() as session:
        await session.execute(
            text(
                "UPDATE download_history SET status = 'failed', error_code = 'not_found', listed_at = NULL,"
                " completed_at = now() WHERE id = :id"
            ),
            {"id": number},
        )
    assert (await alice.delete(f"/api/downloads/{number}")).status_code == 409
    answer = await alice.post(f"/api/downloads/{number}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "failed")
    assert {one["status"] for one in await tracks(alice, number)} == {"cancelled"}
    assert (await alice.delete(f"/api/downloads/{number}")).status_code == 204


async def test_a_collection_that_is_asked_for_anew_is_not_retried_besides(
    working: Service, source: Source
) -> None:
    alice = await working.sign_in()
    url = _page(source, "/album", "An Album", [*_songs(source, 1), source.url("/no.mp3")])
    first = await submit(alice, url)
    await ended(alice, first)
    source.dripping("/no.mp3", media.make("mp3"), piece=4000, interval=0.05)
    second = await submit(alice, url)
    await until(alice, second, lambda d: d["items"] is not None and d["items"]["completed"] == 1)
    for number in (first, (await tracks(alice, first))[1]["id"]):
        answer = await alice.post(f"/api/downloads/{number}/retry")
        assert (answer.status_code, "already" in answer.json()["detail"]) == (409, True), answer.text
    await alice.post(f"/api/downloads/{second}/cancel")


async def test_a_cancel_is_noticed_after_a_cancel_and_a_retry(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    number = await submit(alice, source.dripping("/song.mp3", media.make("mp3"), piece=4000, interval=0.05))
    for _ in range(3):
        await until(alice, number, lambda d: d["status"] == "in-progress")
        assert (await alice.post(f"/api/downloads/{number}/cancel")).status_code == 200
        assert (await alice.post(f"/api/downloads/{number}/retry")).status_code == 202
    await until(alice, number, lambda d: d["status"] == "in-progress")
    await alice.post(f"/api/downloads/{number}/cancel")
    await _nothing_left(working.library)
    asked = len(source.requests)
    await asyncio.sleep(0.5)
    assert len(source.requests) == asked


async def test_what_an_album_has_settled_outlives_a_second_reading(
    working: Service, source: Source, sessions: Sessions
) -> None:
    alice = await working.sign_in()
    number = await submit(alice, _page(source, "/album", "The Band - An Album", _songs(source, 2)))
    await ended(alice, number)
    settled = text("SELECT listing -> 'albums' FROM download_history WHERE id = :id")
    async with sessions.begin() as session:
        before = await session.scalar(settled, {"id": number})
        await session.execute(
            text(
                "UPDATE download_history SET status = 'pending', listed_at = NULL, completed_at = NULL"
                " WHERE id = :id"
            ),
            {"id": number},
        )
    await until(alice, number, lambda d: d["attempts"] == 2 and d["status"] == "completed")
    async with sessions() as session:
        assert before
        assert await session.scalar(settled, {"id": number}) == before


async def test_what_a_person_deletes_before_a_list_is_read_again_does_not_come_back(
    working: Service, source: Source, sessions: Sessions
) -> None:
    alice = await working.sign_in()
    number = await submit(alice, _page(source, "/album", "The Band - An Album", _songs(source, 3)))
    await ended(alice, number)
    async with sessions.begin() as session:  # as a long list that waits for its place
        await session.execute(
            text("UPDATE download_history SET listed_at = NULL WHERE id = :id"), {"id": number}
        )
    first = (await tracks(alice, number))[0]
    gone = await alice.delete(f"/api/downloads/{first['id']}", params={"delete_file": True})
    assert gone.status_code == 204, gone.text
    async with sessions.begin() as session:
        await session.execute(
            text("UPDATE download_history SET status = 'pending', completed_at = NULL WHERE id = :id"),
            {"id": number},
        )
    await until(alice, number, lambda d: d["attempts"] == 2 and d["status"] == "completed")
    assert [one["title"] for one in await tracks(alice, number)] == ["Song 2", "Song 3"]


async def test_a_row_that_another_version_wrote_is_read(
    service: Service, serve: Serve, source: Source, sessions: Sessions
) -> None:
    alice = await service.sign_in()
    number = await submit(alice, _songs(source, 1)[0])
    async with sessions.begin() as session:
        await session.execute(
            text("UPDATE download_history SET entry = CAST(:entry AS jsonb) WHERE id = :id"),
            {
                "entry": '{"said": {"extractor": "x", "source_id": "1", "newer": 1}, "newer": true}',
                "id": number,
            },
        )
    await serve(embedded_worker=True)
    assert (await ended(alice, number))["status"] == "completed"


async def test_whoever_cancels_and_retries_all_the_time_holds_nobody_up(
    working: Service, source: Source
) -> None:
    alice, bob = await working.sign_in("alice"), await working.sign_in("bob")
    number = await submit(alice, source.dripping("/song.mp3", media.make("mp3"), piece=4000, interval=0.05))
    for _ in range(8):
        await until(alice, number, lambda d: d["status"] in {"pending", "in-progress"})
        await alice.post(f"/api/downloads/{number}/cancel")
        await alice.post(f"/api/downloads/{number}/retry")
    shown = await ended(bob, await submit(bob, _songs(source, 1)[0]))
    assert shown["status"] == "completed"
    await alice.post(f"/api/downloads/{number}/cancel")


async def test_a_retry_is_a_submission_to_the_limit(serve: Serve) -> None:
    service = await serve(max_active_per_user=1)
    alice = await service.sign_in()
    first = await submit(alice, "https://music.example/1.mp3")
    await alice.post(f"/api/downloads/{first}/cancel")
    await submit(alice, "https://music.example/2.mp3")
    assert (await alice.post(f"/api/downloads/{first}/retry")).status_code == 429


async def test_an_emptied_collection_has_nothing_to_retry(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    page = _page(source, "/album", "An Album", [source.url("/1.mp3"), source.url("/2.mp3")])
    number = await submit(alice, page)
    await ended(alice, number)
    for one in await tracks(alice, number):
        assert (await alice.delete(f"/api/downloads/{one['id']}")).status_code == 204
    assert (await alice.post(f"/api/downloads/{number}/retry")).status_code == 409
