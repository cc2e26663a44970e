"""Submitting URLs and reading the history, without a worker: what is accepted, what is shown, to whom."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tests.conftest import Serve, Service
from tests.following import submit

from music_downloader.config.audio import AudioFormat
from music_downloader.model import AuditLog, Download, DownloadStatus, User
from music_downloader.service import audit, submission

Sessions = async_sessionmaker[AsyncSession]
SONG = "https://music.example/song.mp3"
FIELDS = {
    *("id", "url", "kind", "parent_id", "status", "title", "artist", "album", "album_artist", "track_number"),
    *("duration", "format", "codec", "bitrate", "file_path", "file_size", "progress", "items", "error_code"),
    *("error_message", "attempts", "created_at", "updated_at", "started_at", "completed_at"),
}


async def _count(sessions: Sessions, table: str) -> int:
    async with sessions() as session:
        return int(await session.scalar(text(f"SELECT count(*) FROM {table}")) or 0)  # noqa: S608 - our own words


async def test_a_submission_is_accepted_with_its_place(service: Service) -> None:
    alice = await service.sign_in()
    answer = await alice.post("/api/download", json={"url": SONG})
    assert answer.status_code == 202
    download = answer.json()
    assert set(download) == FIELDS
    assert answer.headers["location"] == f"/api/downloads/{download['id']}"
    assert (download["status"], download["kind"], download["format"]) == ("pending", "track", "best")
    assert (await alice.get(answer.headers["location"])).json() == download


async def test_a_submission_commits_its_row_its_audit_entry_and_its_job(
    service: Service, sessions: Sessions
) -> None:
    alice = await service.sign_in()
    answer = await alice.post("/api/download", json={"url": SONG}, headers={"X-Request-ID": "a-test"})
    async with sessions() as session:
        job = (
            await session.execute(text("SELECT task_name, queue_name, status, args FROM procrastinate_jobs"))
        ).one()
        entry = await session.scalar(select(AuditLog).where(AuditLog.action == "download.submit"))
        row = await session.get(Download, answer.json()["id"])
    assert (job.task_name, job.queue_name, job.status) == ("music:run_download", "downloads", "todo")
    assert job.args == {"download_id": answer.json()["id"]}
    assert entry is not None
    assert entry.resource == f"download:{answer.json()['id']}"
    assert entry.details == {"url": SONG, "format": "best", "request_id": "a-test"}
    assert row is not None
    assert row.request_id == "a-test"


async def test_a_submission_that_fails_leaves_neither_row_nor_audit_entry_nor_job(
    service: Service, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await service.sign_in()

    async def fail(*_: object, **__: object) -> None:
        raise OSError("broken")

    monkeypatch.setattr(audit, "record", fail)
    assert (await alice.post("/api/download", json={"url": SONG})).status_code == 500
    assert await _count(sessions, "download_history") == 0
    assert await _count(sessions, "procrastinate_jobs") == 0


async def test_a_rolled_back_transaction_leaves_no_job(service: Service, sessions: Sessions) -> None:
    await service.sign_in()
    async with sessions() as session:
        owner = (await session.scalars(select(User))).one()
        await submission.submit(
            session,
            owner=owner,
            url=SONG,
            audio_format=AudioFormat.BEST,
            max_active=10,
            origin=audit.HERE,
        )
        await session.rollback()
    assert await _count(sessions, "download_history") == 0
    assert await _count(sessions, "procrastinate_jobs") == 0


async def test_the_same_url_and_format_while_unfinished_is_the_same_download(service: Service) -> None:
    alice, bob = await service.sign_in("alice"), await service.sign_in("bob")
    first = await submit(alice, SONG)
    again = await alice.post("/api/download", json={"url": SONG})
    assert (again.status_code, again.json()["id"]) == (200, first)
    assert await submit(alice, SONG, format="mp3") != first
    assert await submit(bob, SONG) != first


async def test_twelve_submissions_of_one_url_at_once_are_one_download(
    service: Service, sessions: Sessions
) -> None:
    alice = await service.sign_in()
    answers = await asyncio.gather(*(alice.post("/api/download", json={"url": SONG}) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [200] * 11 + [202]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await _count(sessions, "procrastinate_jobs") == 1


async def test_the_same_url_after_its_end_is_a_new_download(service: Service, sessions: Sessions) -> None:
    alice = await service.sign_in()
    first = await submit(alice, SONG)
    async with sessions.begin() as session:
        await session.execute(text("UPDATE download_history SET status = 'cancelled', completed_at = now()"))
    assert await submit(alice, SONG) != first


LONG = "https://music.example/" + "a" * (2048 - 22)


async def test_a_url_of_2048_characters_is_accepted_and_found_again(service: Service) -> None:
    alice = await service.sign_in()
    first = await submit(alice, LONG)
    answer = await alice.post("/api/download", json={"url": LONG})
    assert (answer.status_code, answer.json()["id"]) == (200, first)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": ""},
        {"url": None},
        {"url": 5},
        {"url": [SONG]},
        {"url": "music.example/song.mp3"},
        {"url": "ftp://music.example/song.mp3"},
        {"url": "file:///etc/passwd"},
        {"url": "javascript:alert(1)"},
        {"url": "ytsearch:song"},
        {"url": "http://"},
        {"url": "http:///song.mp3"},
        {"url": "http://alice:secret@music.example/song.mp3"},
        {"url": "http://10.0.0.1/song.mp3"},
        {"url": "http://192.168.1.1/song.mp3"},
        {"url": "http://169.254.169.254/latest/meta-data"},
        {"url": "http://[::ffff:10.0.0.1]/song.mp3"},
        {"url": "http://167772161/song.mp3"},
        {"url": "http://music.example:22/song.mp3"},
        {"url": "http://music.example:0/song.mp3"},
        {"url": "http://music.example:99999/song.mp3"},
        {"url": "http://music.example/a b"},
        {"url": "http://music.example/a\nb"},
        {"url": "http://music.example/\x00"},
        {"url": "http://music.example/\ud800"},
        {"url": LONG + "a"},
        {"url": SONG, "format": "wav"},
        {"url": SONG, "format": ""},
        {"url": SONG, "quality": "best"},
    ],
    ids=lambda body: repr(body)[:60],
)
async def test_a_malformed_submission_is_refused_in_a_sentence(
    service: Service, body: dict[str, Any], sessions: Sessions
) -> None:
    alice = await service.sign_in()
    sent = json.dumps(body)  # with escapes: a lone surrogate has no other form
    answer = await alice.post("/api/download", content=sent, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].endswith(".")
    assert "secret" not in answer.text
    assert await _count(sessions, "download_history") == 0


async def test_too_many_unfinished_downloads_are_refused_with_a_time_to_come_back(serve: Serve) -> None:
    service = await serve(max_active_per_user=2)
    alice, bob = await service.sign_in("alice"), await service.sign_in("bob")
    for n in range(2):
        await submit(alice, f"{SONG}?{n}")
    answer = await alice.post("/api/download", json={"url": SONG})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    await submit(bob, SONG)


async def test_somebody_elses_download_is_as_absent_as_one_that_never_was(service: Service) -> None:
    alice, bob = await service.sign_in("alice"), await service.sign_in("bob")
    hers = await submit(alice, SONG)
    theirs, absent = await bob.get(f"/api/downloads/{hers}"), await bob.get("/api/downloads/999999")
    assert theirs.status_code == absent.status_code == 404
    assert theirs.content == absent.content
    assert _without_ids(theirs) == _without_ids(absent)
    assert (await bob.get("/api/downloads")).json()["total"] == 0
    assert (await bob.get("/api/downloads", params={"parent_id": hers})).json()["total"] == 0


def _without_ids(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in {"x-request-id", "date"}}


async def test_every_call_needs_a_token(service: Service) -> None:
    for method, path in (("POST", "/api/download"), ("GET", "/api/downloads"), ("GET", "/api/downloads/1")):
        answer = await service.http.request(method, path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_pages_are_newest_first_and_linked(service: Service) -> None:
    alice = await service.sign_in()
    ids = [await submit(alice, f"{SONG}?{n}") for n in range(7)]
    seen: list[int] = []
    path: str | None = "/api/downloads?per_page=3&status=pending"
    while path:
        answer = await alice.get(path)
        page = answer.json()
        assert (page["total"], page["pages"], page["per_page"]) == (7, 3, 3)
        seen += [download["id"] for download in page["downloads"]]
        assert "status=pending" in answer.links["first"]["url"]
        assert "page=3" in answer.links["last"]["url"]
        assert ("prev" in answer.links) == (page["page"] > 1)
        path = answer.links.get("next", {}).get("url")
    assert seen == sorted(ids, reverse=True)
    beyond = (await alice.get("/api/downloads", params={"page": 99})).json()
    assert (beyond["downloads"], beyond["total"], beyond["page"]) == ([], 7, 99)


async def test_an_empty_history_is_an_empty_page(service: Service) -> None:
    alice = await service.sign_in()
    answer = await alice.get("/api/downloads")
    assert answer.json() == {"downloads": [], "total": 0, "page": 1, "per_page": 10, "pages": 0}


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "page=-1",
        "page=x",
        "page=99999999999999999999",
        "per_page=0",
        "per_page=101",
        "status=done",
        "parent_id=0",
        "parent_id=99999999999999999999",
        "q=" + "x" * 201,
        "q=%00",
    ],
)
async def test_a_malformed_query_is_refused(service: Service, query: str) -> None:
    alice = await service.sign_in()
    answer = await alice.get(f"/api/downloads?{query}")
    assert answer.status_code == 422, answer.text


async def test_empty_filters_are_no_filters(service: Service) -> None:
    alice = await service.sign_in()
    await submit(alice, SONG)
    assert (await alice.get("/api/downloads?status=&q=&parent_id=")).json()["total"] == 1


@pytest.mark.parametrize(
    ("searched", "found"),
    [
        ("love", {"Love Song"}),
        ("LOVE", {"Love Song"}),
        ("ünder", {"Ünder"}),
        ("100%", {"100% Pure"}),
        ("%", {"100% Pure"}),
        ("_", {"Snake_Case"}),
        ("\\", {"Back\\slash"}),
        ("' OR 1=1 --", set()),
        ("the band", {"Love Song", "100% Pure", "Snake_Case", "Back\\slash", "Ünder"}),
        ("music.example", {"Love Song", "100% Pure", "Snake_Case", "Back\\slash", "Ünder"}),
        ("  love  ", {"Love Song"}),
    ],
)
async def test_a_search_takes_every_character_literally(
    service: Service, sessions: Sessions, searched: str, found: set[str]
) -> None:
    alice = await service.sign_in()
    async with sessions.begin() as session:
        owner = await session.scalar(select(func.min(User.id)))
        for title in ("Love Song", "100% Pure", "Snake_Case", "Back\\slash", "Ünder"):
            session.add(
                Download(
                    user_id=owner,
                    url=f"https://music.example/{len(title)}{ord(title[0])}",
                    format=AudioFormat.BEST,
                    title=title,
                    artist="The Band",
                    status=DownloadStatus.COMPLETED,
                    completed_at=func.now(),
                )
            )
    answer = await alice.get("/api/downloads", params={"q": searched})
    assert {download["title"] for download in answer.json()["downloads"]} == found


@pytest.mark.parametrize("name", ["0", "-1", "x", "1.5", "99999999999999999999", "%00", "1%2f2"])
async def test_a_malformed_id_is_refused(service: Service, name: str) -> None:
    alice = await service.sign_in()
    assert (await alice.get(f"/api/downloads/{name}")).status_code in {404, 422}


async def test_a_prefix_is_part_of_every_link(serve: Serve) -> None:
    service = await serve(root_path="/music/")
    alice = await service.sign_in()
    answer = await alice.post("/api/download", json={"url": SONG})
    assert answer.headers["location"].startswith("/music/api/downloads/")
    page = await alice.get("/api/downloads")
    assert page.links["first"]["url"].startswith("/music/api/downloads?")
