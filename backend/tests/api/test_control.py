"""Cancelling, retrying and deleting through the API: what is answered, and to whom."""

import hashlib

import httpx
import pytest
from sqlalchemy import select, text, update
from tests import media
from tests.api.filed import Sessions, add, file
from tests.api.problems import assert_problem
from tests.conftest import Service
from tests.following import ended, submit, until
from tests.source import Source

from music_downloader.errors import ErrorCode
from music_downloader.library.presence import make_library
from music_downloader.model import AuditLog, Download, DownloadKind, DownloadStatus, LibraryMark, Track
from music_downloader.service import claim

SONG = "https://music.example/song.mp3"
CALLS = [("POST", "/cancel"), ("POST", "/retry"), ("DELETE", ""), ("GET", "/file"), ("GET", "/cover")]


@pytest.fixture
async def alice(service: Service) -> httpx.AsyncClient:
    return await service.sign_in("alice")


async def _actions(sessions: Sessions, download_id: int) -> list[str]:
    chosen = select(AuditLog.action).where(AuditLog.resource == f"download:{download_id}")
    async with sessions() as session:
        return list(await session.scalars(chosen.order_by(AuditLog.id)))


async def test_a_pending_download_is_cancelled_once(alice: httpx.AsyncClient, sessions: Sessions) -> None:
    download_id = await submit(alice, SONG)
    answer = await alice.post(f"/api/downloads/{download_id}/cancel")
    assert answer.status_code == 200
    assert answer.json()["status"] == "cancelled"
    assert answer.json()["completed_at"]
    assert answer.json() == (await alice.get(f"/api/downloads/{download_id}")).json()
    again = await alice.post(f"/api/downloads/{download_id}/cancel")
    assert "ended already" in assert_problem(again, 409)["detail"]
    assert await _actions(sessions, download_id) == ["download.submit", "download.cancel"]


async def test_a_running_download_is_cancelled_and_leaves_nothing(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    url = source.dripping("/slow.mp3", media.make("mp3"))
    download_id = await submit(alice, url)
    await until(alice, download_id, lambda _: source.hits("/slow.mp3") > 0)
    assert (await alice.post(f"/api/downloads/{download_id}/cancel")).json()["status"] == "cancelled"
    download = await ended(alice, download_id)
    assert (download["status"], download["progress"], download["file_path"]) == ("cancelled", None, None)


async def test_what_a_dead_workers_download_has_left_goes_as_it_is_cancelled(
    service: Service, sessions: Sessions
) -> None:
    alice = await service.sign_in()
    download_id = await submit(alice, "https://music.example/song.mp3")
    async with sessions.begin() as session:
        assert await claim.take(session, download_id=download_id, places=2)
    assert (await alice.post(f"/api/downloads/{download_id}/cancel")).status_code == 200
    async with sessions() as session:
        left = text("SELECT args -> 'download_ids' FROM procrastinate_jobs WHERE task_name = 'music:discard'")
        assert (await session.scalars(left)).all() == [[download_id]]


async def test_a_cancelled_download_can_be_tried_again(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    url = source.flaky("/song.mp3", media.make("mp3", title="A Song"), failures=1, status=404)
    download_id = await submit(alice, url)
    assert (await ended(alice, download_id))["status"] == "failed"
    answer = await alice.post(f"/api/downloads/{download_id}/retry")
    assert answer.status_code == 202
    assert (answer.json()["id"], answer.json()["error_code"]) == (download_id, None)
    download = await ended(alice, download_id)
    assert (download["status"], download["title"]) == ("completed", "A Song")


async def test_only_what_ended_badly_can_be_tried_again(alice: httpx.AsyncClient, sessions: Sessions) -> None:
    pending, completed = await submit(alice, SONG), await add(sessions, alice, url=f"{SONG}?done")
    for download_id in (pending, completed):
        assert_problem(await alice.post(f"/api/downloads/{download_id}/retry"), 409)
    failed = await add(
        sessions,
        alice,
        status=DownloadStatus.FAILED,
        error_code=ErrorCode.NOT_FOUND,
        url=f"{SONG}?failed",
    )
    answer = await alice.post(f"/api/downloads/{failed}/retry")
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    assert await _actions(sessions, failed) == ["download.retry"]


async def test_a_download_is_deleted_once_it_has_ended(
    service: Service, alice: httpx.AsyncClient, sessions: Sessions
) -> None:
    active = await submit(alice, SONG)
    assert "cancel it first" in assert_problem(await alice.delete(f"/api/downloads/{active}"), 409)["detail"]
    done = await file(service, sessions, alice, content=b"a song")
    answer = await alice.delete(f"/api/downloads/{done}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert_problem(await alice.get(f"/api/downloads/{done}"), 404)
    assert_problem(await alice.delete(f"/api/downloads/{done}"), 404)
    assert (service.library / "Somebody" / "A Song.mp3").read_bytes() == b"a song"
    assert (await alice.get("/api/downloads")).json()["total"] == 1


async def test_the_file_goes_with_the_last_download_that_uses_it_if_that_is_wanted(
    service: Service, alice: httpx.AsyncClient, sessions: Sessions
) -> None:
    bob = await service.sign_in("bob")
    hers = await file(service, sessions, alice, content=b"a song")
    async with sessions() as session:
        track_id = (await session.scalars(select(Track.id))).one()
    his = await add(sessions, bob)
    async with sessions.begin() as session:
        (await session.get_one(Download, his)).track_id = track_id
    song = service.library / "Somebody" / "A Song.mp3"
    wanted = {"delete_file": "true"}
    assert (await alice.delete(f"/api/downloads/{hers}", params=wanted)).status_code == 204
    assert song.exists()
    assert (await bob.get(f"/api/downloads/{his}/file")).content == b"a song"
    assert (await bob.delete(f"/api/downloads/{his}", params=wanted)).status_code == 204
    assert not song.exists()


async def test_what_lies_in_a_library_that_is_away_cannot_be_deleted_and_the_rest_can(
    service: Service, alice: httpx.AsyncClient, sessions: Sessions
) -> None:
    whole = await add(
        sessions, alice, kind=DownloadKind.COLLECTION, playlist_path="Playlists/A List.m3u8", items_total=0
    )
    nothing = await add(sessions, alice, status=DownloadStatus.FAILED, error_code=ErrorCode.NOT_FOUND)
    async with sessions.begin() as session:
        session.add(LibraryMark(name="library-elsewhere", is_mount=True))
    wanted = {"delete_file": "true"}
    refused = await alice.delete(f"/api/downloads/{whole}", params=wanted)
    assert "isn't there" in assert_problem(refused, 503)["detail"]
    assert (await alice.get(f"/api/downloads/{whole}")).status_code == 200
    assert (await alice.delete(f"/api/downloads/{nothing}", params=wanted)).status_code == 204
    make_library(service.library, "library-elsewhere")
    assert (await alice.delete(f"/api/downloads/{whole}", params=wanted)).status_code == 204


async def test_a_collection_shows_how_its_tracks_stand(alice: httpx.AsyncClient, sessions: Sessions) -> None:
    counts = {"items_total": 12, "items_completed": 9, "items_failed": 1}
    collection = await add(sessions, alice, kind=DownloadKind.COLLECTION, **counts)
    track = await add(sessions, alice, parent_id=collection, url=f"{SONG}?1")
    shown = (await alice.get(f"/api/downloads/{collection}")).json()
    assert (shown["kind"], shown["items"]) == ("collection", {"total": 12, "completed": 9, "failed": 1})
    shown = (await alice.get(f"/api/downloads/{track}")).json()
    assert (shown["kind"], shown["items"], shown["parent_id"]) == ("track", None, collection)


@pytest.mark.parametrize(("method", "call"), CALLS)
async def test_somebody_elses_download_is_as_absent_as_one_that_never_was(
    service: Service, alice: httpx.AsyncClient, sessions: Sessions, method: str, call: str
) -> None:
    bob = await service.sign_in("bob")
    theirs = await submit(alice, SONG)
    answers = [
        await bob.request(method, f"/api/downloads/{number}{call}") for number in (theirs, 999_999, 2**63 - 1)
    ]
    assert (
        assert_problem(answers[0], 404) == assert_problem(answers[1], 404) == assert_problem(answers[2], 404)
    )
    async with sessions() as session:
        untouched = text("SELECT count(*) FROM download_history WHERE status = 'pending'")
        assert await session.scalar(untouched) == 1


@pytest.mark.parametrize(("method", "call"), CALLS)
async def test_each_call_needs_a_token_and_a_sane_id(
    service: Service, alice: httpx.AsyncClient, method: str, call: str
) -> None:
    assert_problem(await service.http.request(method, f"/api/downloads/1{call}"), 401)
    for odd in ("0", "-1", "x", str(2**63), "1e3"):
        assert_problem(await alice.request(method, f"/api/downloads/{odd}{call}"), 422)


async def test_what_to_delete_is_never_guessed(alice: httpx.AsyncClient, sessions: Sessions) -> None:
    done = await add(sessions, alice)
    assert_problem(await alice.delete(f"/api/downloads/{done}", params={"delete_file": "perhaps"}), 422)
    assert (await alice.get(f"/api/downloads/{done}")).status_code == 200


async def test_an_albums_cover_goes_with_its_last_file_whichever_brought_it(
    service: Service, sessions: Sessions, alice: httpx.AsyncClient
) -> None:
    picture = b"a picture"
    numbers = []
    for number in range(3):
        path = f"Band/Album/{number}.mp3"
        numbers.append(await file(service, sessions, alice, content=bytes([number]) * 9, path=path))
    other = await file(service, sessions, alice, content=b"deeper", path="Band/Album/CD 2/0.mp3")
    cover = service.library / "Band/Album/cover.jpg"
    cover.write_bytes(picture)
    async with sessions.begin() as session:
        await session.execute(
            update(Track)
            .where(Track.path == "Band/Album/0.mp3")
            .values(cover_sha256=hashlib.sha256(picture).hexdigest())
        )
    for number in numbers:  # the one that brought it first
        assert cover.exists()
        answer = await alice.delete(f"/api/downloads/{number}", params={"delete_file": True})
        assert answer.status_code == 204
    assert not cover.exists()
    assert (service.library / "Band/Album/CD 2/0.mp3").exists()
    assert (await alice.get(f"/api/downloads/{other}/file")).status_code == 200
