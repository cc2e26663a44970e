"""Fetching a download's file: ranges, conditions, names, and nothing that lies outside the library."""

import asyncio
import email
import os
import threading
from email.policy import HTTP
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests import media
from tests.api.filed import Sessions, add, file
from tests.api.problems import assert_problem
from tests.conftest import Service
from tests.following import ended, submit
from tests.source import Source

from music_downloader.errors import NoFileError
from music_downloader.library.presence import make_library
from music_downloader.model import DownloadKind, DownloadStatus
from music_downloader.route import sending

CONTENT = bytes(range(256)) * 4  # not audio; nobody looks inside


@pytest.fixture
async def alice(service: Service) -> httpx.AsyncClient:
    return await service.sign_in("alice")


@pytest.fixture
async def song(service: Service, sessions: Sessions, alice: httpx.AsyncClient) -> str:
    """Where the file of a completed download is fetched."""
    return f"/api/downloads/{await file(service, sessions, alice, content=CONTENT)}/file"


async def test_what_was_downloaded_can_be_fetched(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    url = source.file("/song.opus", media.make("opus", title="A Song", artist="Somebody"))
    download = await ended(alice, await submit(alice, url))
    answer = await alice.get(f"/api/downloads/{download['id']}/file")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "audio/ogg"
    assert answer.content == (working.library / download["file_path"]).read_bytes()


async def test_a_file_comes_whole_with_all_that_a_player_asks_for(
    alice: httpx.AsyncClient, song: str
) -> None:
    answer = await alice.get(song)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.headers["content-length"] == "1024"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"] == 'inline; filename="A Song.mp3"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "private" in answer.headers["cache-control"]
    assert answer.headers["etag"].startswith('"')
    assert answer.headers["last-modified"].endswith(" GMT")


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.mp3", "audio/mpeg"),
        ("a.M4A", "audio/mp4"),
        ("a.opus", "audio/ogg"),
        ("a.ogg", "audio/ogg"),
        ("a.flac", "audio/flac"),
        ("a.html", "application/octet-stream"),
    ],
)
async def test_the_type_is_that_of_the_container_and_never_a_page(
    service: Service, sessions: Sessions, alice: httpx.AsyncClient, name: str, media_type: str
) -> None:
    download_id = await file(service, sessions, alice, content=b"<script>", path=name)
    answer = await alice.get(f"/api/downloads/{download_id}/file")
    assert answer.headers["content-type"] == media_type


async def test_head_tells_the_same_without_the_file(alice: httpx.AsyncClient, song: str) -> None:
    whole, head = await alice.get(song), await alice.head(song)
    assert (head.status_code, head.content) == (200, b"")
    changing = {"x-request-id", "date"}
    assert {k: v for k, v in head.headers.items() if k not in changing} == {
        k: v for k, v in whole.headers.items() if k not in changing
    }
    assert (await alice.head(song, headers={"Range": "bytes=0-1"})).status_code == 200


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=100-199", 100, 199),
        ("bytes=1000-", 1000, 1023),
        ("bytes=1000-999999", 1000, 1023),
        ("bytes=-24", 1000, 1023),
        ("bytes=-99999", 0, 1023),
        ("Bytes = 1-2", 1, 2),
        ("bytes=0-99,50-149", 0, 149),
        ("bytes=5-6,2000-3000", 5, 6),
    ],
)
async def test_one_range_is_206_with_just_that(
    alice: httpx.AsyncClient, song: str, asked: str, first: int, last: int
) -> None:
    answer = await alice.get(song, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == CONTENT[first : last + 1]
    assert answer.headers["content-range"] == f"bytes {first}-{last}/1024"
    assert answer.headers["content-length"] == str(last + 1 - first)


async def test_several_ranges_come_as_parts(alice: httpx.AsyncClient, song: str) -> None:
    answer = await alice.get(song, headers={"Range": "bytes=0-9, -10, 500-509"})
    assert answer.status_code == 206
    kind = answer.headers["content-type"]
    assert kind.startswith("multipart/byteranges; boundary=")
    assert int(answer.headers["content-length"]) == len(answer.content)
    message = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + answer.content, policy=HTTP)
    parts = [(part["content-range"], part.get_payload(decode=True)) for part in message.iter_parts()]
    assert parts == [
        ("bytes 0-9/1024", CONTENT[:10]),
        ("bytes 500-509/1024", CONTENT[500:510]),
        ("bytes 1014-1023/1024", CONTENT[-10:]),
    ]


@pytest.mark.parametrize(
    "asked", ["bytes=1024-", "bytes=5000-6000", "bytes=-0", f"bytes={10**40}-", "bytes=2000-,3000-"]
)
async def test_a_range_beyond_the_end_is_416_and_tells_the_size(
    alice: httpx.AsyncClient, song: str, asked: str
) -> None:
    answer = await alice.get(song, headers={"Range": asked})
    assert_problem(answer, 416)
    assert answer.headers["content-range"] == "bytes */1024"


@pytest.mark.parametrize(
    "asked",
    [
        *("bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=9-3", "bytes=1-2,x", "items=0-1", "bytes=1-2-3"),
        *("bytes=0x1-2", "bytes=+1-2", "bytes=" + "0-0," * 16 + "0-0", "bytes=0-" + "9" * 5000),
    ],
)
async def test_a_range_that_is_not_understood_is_ignored(
    alice: httpx.AsyncClient, song: str, asked: str
) -> None:
    answer = await alice.get(song, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, CONTENT)


async def test_what_the_client_has_already_is_not_sent_again(alice: httpx.AsyncClient, song: str) -> None:
    first = await alice.get(song)
    tag, time = first.headers["etag"], first.headers["last-modified"]
    for known in (
        {"If-None-Match": tag},
        {"If-None-Match": f'"other", W/{tag}'},
        {"If-None-Match": "*"},
        {"If-Modified-Since": time},
        {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
        {"If-None-Match": tag, "If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT", "Range": "bytes=0-1"},
    ):
        answer = await alice.get(song, headers=known)
        assert (answer.status_code, answer.content) == (304, b""), known
        assert answer.headers["etag"] == tag
    for unknown in (
        {"If-None-Match": '"other"'},
        {"If-None-Match": '"other"', "If-Modified-Since": time},
        {"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"If-Modified-Since": "yesterday"},
    ):
        assert (await alice.get(song, headers=unknown)).status_code == 200, unknown


async def test_a_part_is_only_sent_of_the_version_that_the_client_has(
    service: Service, alice: httpx.AsyncClient, song: str
) -> None:
    first = await alice.get(song)
    part = {"Range": "bytes=0-9"}
    for same in (first.headers["etag"], first.headers["last-modified"]):
        assert (await alice.get(song, headers={**part, "If-Range": same})).status_code == 206
    weak = {**part, "If-Range": f"W/{first.headers['etag']}"}
    assert (await alice.get(song, headers=weak)).status_code == 200
    # Somebody edits the file behind our back: what we know of it no longer holds, and its tag tells.
    (service.library / "Somebody" / "A Song.mp3").write_bytes(b"y" * 1024)
    answer = await alice.get(song, headers={**part, "If-Range": first.headers["etag"]})
    assert (answer.status_code, answer.content) == (200, b"y" * 1024)


@pytest.mark.parametrize(
    ("name", "plain", "encoded"),
    [
        ("01 - Song.mp3", "01 - Song.mp3", None),
        ("夜に駆ける.mp3", "track.mp3", "%E5%A4%9C%E3%81%AB%E9%A7%86%E3%81%91%E3%82%8B.mp3"),
        ('Say "Hi".mp3', "Say _Hi_.mp3", "Say%20%22Hi%22.mp3"),
        ("Déjà vu.mp3", "Deja vu.mp3", "D%C3%A9j%C3%A0%20vu.mp3"),
        ("100%25 ; a=b.mp3", "100_25 ; a=b.mp3", "100%2525%20%3B%20a%3Db.mp3"),
        ("a\\b.mp3", "a_b.mp3", "a%5Cb.mp3"),
        ("a\r\nX: y\x7f.mp3", "a__X_ y_.mp3", "a%0D%0AX%3A%20y%7F.mp3"),
        ("\N{MUSICAL NOTE}.mp3", "track.mp3", "%F0%9F%8E%B5.mp3"),
    ],
)
async def test_any_name_survives_in_the_header(
    service: Service,
    sessions: Sessions,
    alice: httpx.AsyncClient,
    name: str,
    plain: str,
    encoded: str | None,
) -> None:
    download_id = await file(service, sessions, alice, content=CONTENT, path=f"Somebody/{name}")
    told = (await alice.get(f"/api/downloads/{download_id}/file")).headers["content-disposition"]
    extended = f"; filename*=UTF-8''{encoded}" if encoded else ""
    assert told == f'inline; filename="{plain}"{extended}'


async def test_a_browser_can_be_asked_to_save_it(alice: httpx.AsyncClient, song: str) -> None:
    told = (await alice.get(song, params={"download": "true"})).headers["content-disposition"]
    assert told == 'attachment; filename="A Song.mp3"'
    assert_problem(await alice.get(song, params={"download": "perhaps"}), 422)


async def test_nobody_else_can_fetch_it(service: Service, alice: httpx.AsyncClient, song: str) -> None:
    bob = await service.sign_in("bob")
    theirs, absent = await bob.get(song), await bob.get("/api/downloads/999999/file")
    assert assert_problem(theirs, 404) == assert_problem(absent, 404)
    assert_problem(await service.http.get(song), 401)
    assert (await alice.get(song)).status_code == 200


async def test_without_a_file_it_is_404_and_says_so(sessions: Sessions, alice: httpx.AsyncClient) -> None:
    pending = await add(sessions, alice, status=DownloadStatus.PENDING)
    collection = await add(sessions, alice, kind=DownloadKind.COLLECTION)
    for download_id in (pending, collection):
        answer = await alice.get(f"/api/downloads/{download_id}/file")
        assert "no file" in assert_problem(answer, 404)["detail"]
        assert (await alice.head(f"/api/downloads/{download_id}/file")).status_code == 404


async def test_a_file_that_has_vanished_is_404_and_says_so(
    service: Service, alice: httpx.AsyncClient, song: str
) -> None:
    make_library(service.library)
    (service.library / "Somebody" / "A Song.mp3").unlink()
    assert "isn't in the library any more" in assert_problem(await alice.get(song), 404)["detail"]
    (service.library / "Somebody").rmdir()
    assert_problem(await alice.get(song), 404)


async def test_a_library_that_is_not_there_is_503(
    service: Service, alice: httpx.AsyncClient, song: str
) -> None:
    service.library.rename(service.library.with_name("elsewhere"))
    answer = await alice.get(song)
    assert "library" in assert_problem(answer, 503)["detail"]
    assert answer.headers["retry-after"]


async def test_no_link_leads_out_of_the_library(
    service: Service, sessions: Sessions, alice: httpx.AsyncClient, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.mp3").write_bytes(b"hunter2")

    def link_file(place: Path) -> None:
        place.symlink_to(outside / "secret.mp3")

    def link_folder(place: Path) -> None:
        place.parent.rmdir()
        place.parent.symlink_to(outside)

    def fifo(place: Path) -> None:
        os.mkfifo(place)

    def folder(place: Path) -> None:
        place.mkdir()

    for number, attack in enumerate((link_file, link_folder, fifo, folder)):
        path = f"Artist {number}/secret.mp3"
        download_id = await file(service, sessions, alice, content=CONTENT, path=path)
        (service.library / path).unlink()
        attack(service.library / path)
        async with asyncio.timeout(30):
            for what in ("file", "cover"):
                answer = await alice.get(f"/api/downloads/{download_id}/{what}")
                assert b"hunter2" not in answer.content, attack
                assert_problem(answer, 404)


@pytest.mark.parametrize(
    "path", ["../outside.mp3", "/etc/passwd", "a/../../outside.mp3", ".nas-music/staging/1/x", "a\x01b"]
)
async def test_no_path_in_a_row_leads_out_of_the_library(
    service: Service, sessions: Sessions, alice: httpx.AsyncClient, tmp_path: Path, path: str
) -> None:
    download_id = await file(service, sessions, alice, content=CONTENT)
    (tmp_path / "outside.mp3").write_bytes(b"hunter2")
    async with sessions.begin() as session:
        await session.execute(text("UPDATE tracks SET path = :path"), {"path": path})
    assert_problem(await alice.get(f"/api/downloads/{download_id}/file"), 404)


async def test_a_link_within_the_library_is_followed(
    service: Service, sessions: Sessions, alice: httpx.AsyncClient
) -> None:
    download_id = await file(service, sessions, alice, content=CONTENT, path="Here/a.mp3")
    (service.library / "Here").rename(service.library / "There")
    (service.library / "Here").symlink_to("There")
    assert (await alice.get(f"/api/downloads/{download_id}/file")).content == CONTENT


def _open_in(library: Path) -> list[str]:
    return [each.path for each in psutil.Process().open_files() if each.path.startswith(str(library))]


async def _until_closed(library: Path) -> None:
    async with asyncio.timeout(30):
        while _open_in(library):  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.02)


async def test_a_client_that_leaves_midway_leaves_nothing_open(
    service: Service, sessions: Sessions, alice: httpx.AsyncClient
) -> None:
    download_id = await file(service, sessions, alice, content=bytes(64 * 1024 * 1024))
    for _ in range(3):
        async with alice.stream("GET", f"/api/downloads/{download_id}/file") as answer:
            await anext(answer.aiter_raw())
            assert _open_in(service.library)
        await _until_closed(service.library)


async def test_a_stalled_client_is_given_up_and_holds_no_connection_to_the_database(
    service: Service,
    sessions: Sessions,
    alice: httpx.AsyncClient,
    database: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("music_downloader.route.sending._PATIENCE_SECONDS", 1.0)
    download_id = await file(service, sessions, alice, content=bytes(64 * 1024 * 1024))
    async with alice.stream("GET", f"/api/downloads/{download_id}/file") as answer:
        assert answer.status_code == 200
        async with database.connect() as connection:
            busy = await connection.scalar(
                text(
                    "SELECT count(*) FROM pg_stat_activity "
                    "WHERE application_name = 'nas-music web' AND state <> 'idle'"
                )
            )
        assert busy == 0
        assert _open_in(service.library)
        await _until_closed(service.library)


async def test_many_at_once_come_whole(
    service: Service, sessions: Sessions, alice: httpx.AsyncClient
) -> None:
    content = os.urandom(3 * 1024 * 1024 + 1)
    download_id = await file(service, sessions, alice, content=content)
    place = f"/api/downloads/{download_id}/file"
    before = _memory()
    answers: list[Any] = await asyncio.gather(*(alice.get(place) for _ in range(12)))
    assert all(answer.content == content for answer in answers)
    assert _memory() - before < 200 * 1024 * 1024
    assert not _open_in(service.library)


def _memory() -> int:
    return int(psutil.Process().memory_info().rss)


async def test_a_library_that_hangs_is_503_in_time_and_keeps_nobody_from_logging_in(
    service: Service, alice: httpx.AsyncClient, song: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = threading.Event()

    def hang(*_: object) -> None:
        back.wait(20)
        raise NoFileError

    monkeypatch.setattr(sending, "open_file", hang)
    monkeypatch.setattr(sending, "_OPENING_SECONDS", 1.0)
    try:
        asking = [asyncio.create_task(alice.get(song)) for _ in range(20)]  # more than there are threads
        await asyncio.sleep(0.2)
        async with asyncio.timeout(30):
            await service.log_in("alice")
        for answer in await asyncio.gather(*asking):
            assert "library doesn't answer" in assert_problem(answer, 503)["detail"]
            assert answer.headers["retry-after"]
    finally:
        back.set()
    monkeypatch.undo()
    assert (await alice.get(song)).content == CONTENT
