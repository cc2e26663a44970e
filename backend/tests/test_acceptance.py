"""The main job, as a person's client does it: real service, real PostgreSQL, real source, real files."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import httpx
import mutagen
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tests import media
from tests.conftest import Serve, Service
from tests.following import ended, submit, until
from tests.source import Source

from music_downloader.library.filing import STAGING, sha256_of
from music_downloader.library.tags import read_tags
from music_downloader.model import AuditLog, Track

Sessions = async_sessionmaker[AsyncSession]
TAGS = {"title": "A Song", "artist": "The Band", "album": "First", "track": "3/9", "date": "2021-04-05"}


async def left_behind(library: Path) -> list[Path]:
    """What a finished download has not taken away within a moment: it ends first and tidies up then."""
    left: list[Path] = []
    for _ in range(100):
        left = list((library / STAGING).iterdir())
        if not left:
            break
        await asyncio.sleep(0.05)
    return left


async def test_the_whole_way_from_registering_to_a_tagged_file_and_out(
    working: Service, source: Source, sessions: Sessions
) -> None:
    alice = await working.sign_in()
    url = source.file("/song.mp3", media.make("mp3", **TAGS))
    submitted = await alice.post(
        "/api/download", json={"url": url}, headers={"X-Request-ID": "the-whole-way"}
    )
    assert submitted.status_code == 202
    download = await ended(alice, submitted.json()["id"])

    assert download["status"] == "completed", download
    assert download["file_path"] == "The Band/2021 - First/03 - A Song.mp3"
    landed = working.library / download["file_path"]
    expected = {"title": "A Song", "artist": "The Band", "album": "First", "album_artist": "The Band"}
    assert {name: download[name] for name in expected} == expected
    assert download["track_number"] == 3
    assert download["codec"] == "mp3"
    assert download["bitrate"] in range(90, 105)
    assert download["duration"] == pytest.approx(media.SECONDS, abs=0.2)
    assert download["file_size"] == landed.stat().st_size
    assert download["attempts"] == 1
    assert download["progress"] is None
    assert download["error_code"] is None
    assert download["created_at"] <= download["started_at"] <= download["completed_at"]

    tags = read_tags(landed)
    assert tags is not None
    assert (tags.title, tags.artists, tags.album, tags.track_number) == ("A Song", ("The Band",), "First", 3)
    assert tags.comment == url
    assert await left_behind(working.library) == []

    async with sessions() as session:
        track = (await session.scalars(select(Track))).one()
        actions = (await session.scalars(select(AuditLog.action).order_by(AuditLog.id))).all()
        details = (await session.scalars(select(AuditLog.details).order_by(AuditLog.id))).all()
    assert (track.path, track.size, track.codec) == (
        download["file_path"],
        download["file_size"],
        "mp3",
    )
    assert track.sha256 == sha256_of(landed)
    assert track.tags["values"]["title"] == "A Song"
    assert list(actions) == [
        "auth.register",
        "auth.login",
        "download.submit",
        "download.start",
        "download.complete",
    ]
    assert [entry["request_id"] for entry in details[2:]] == ["the-whole-way"] * 3

    assert (await alice.post("/auth/logout")).status_code == 200
    assert (await alice.get("/api/downloads")).status_code == 401


@pytest.mark.parametrize(
    ("kind", "codec"),
    [("mp3", "mp3"), ("m4a", "aac"), ("opus", "opus"), ("flac", "flac"), ("ogg", "vorbis")],
)
async def test_best_keeps_the_sources_own_audio(
    working: Service, source: Source, kind: str, codec: str, tmp_path: Path
) -> None:
    alice = await working.sign_in()
    made = media.make(kind, **TAGS)
    download = await ended(alice, await submit(alice, source.file(f"/song.{kind}", made)))
    assert (download["status"], download["codec"]) == ("completed", codec), download
    landed = working.library / download["file_path"]
    assert landed.suffix == f".{kind}"
    assert _audio(landed, tmp_path) == _audio(made, tmp_path)
    opened: Any = mutagen.File(landed)
    assert opened.info.length == pytest.approx(media.SECONDS, abs=0.2)


def _audio(path: Path, folder: Path) -> bytes:
    """Return the encoded packets themselves, without any container or tag."""
    packets = folder / "packets"
    media.ffmpeg("-i", path, "-map", "0:a", "-c", "copy", "-f", "data", packets)
    return packets.read_bytes()


@pytest.mark.parametrize(
    ("wanted", "codec"), [("mp3", "mp3"), ("m4a", "aac"), ("opus", "opus"), ("flac", "flac")]
)
async def test_another_format_is_converted_to(
    working: Service, source: Source, wanted: str, codec: str
) -> None:
    alice = await working.sign_in()
    url = source.file("/song.wav", media.make("wav"))
    download = await ended(alice, await submit(alice, url, format=wanted))
    assert (download["status"], download["codec"], download["format"]) == ("completed", codec, wanted), (
        download
    )
    assert (working.library / download["file_path"]).suffix == f".{wanted}"


async def test_a_page_that_describes_its_audio_is_read(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    song = source.file("/files/0815.mp3", media.make("mp3"))
    url = source.json_ld_page("/page", song, name="The Band - A Song (Official Audio)")
    download = await ended(alice, await submit(alice, url))
    assert download["status"] == "completed", download
    assert (download["title"], download["artist"]) == ("A Song", "The Band")
    assert download["file_path"] == "The Band/A Song.mp3"


async def test_a_redirect_is_followed(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    url = source.redirect("/old.mp3", source.file("/new.mp3", media.make("mp3", **TAGS)))
    assert (await ended(alice, await submit(alice, url)))["status"] == "completed"


@pytest.mark.parametrize(("status", "code"), [(404, "not_found"), (410, "not_found")])
async def test_a_missing_file_fails_at_once_and_says_so(
    working: Service, source: Source, status: int, code: str
) -> None:
    alice = await working.sign_in()
    download = await ended(alice, await submit(alice, source.status("/gone.mp3", status)))
    assert (download["status"], download["error_code"], download["attempts"]) == ("failed", code, 1)
    assert download["error_message"].endswith(".")
    assert download["completed_at"] is not None
    assert await left_behind(working.library) == []


async def test_a_source_that_recovers_is_tried_again(
    working: Service, source: Source, sessions: Sessions
) -> None:
    alice = await working.sign_in()
    url = source.flaky("/song.mp3", media.make("mp3", **TAGS), failures=3, status=500)
    number = await submit(alice, url)
    waiting = await until(alice, number, lambda d: d["attempts"] == 1 and d["status"] == "pending")
    assert waiting["error_code"] == "unavailable"
    download = await ended(alice, number)
    assert download["status"] == "completed", download
    assert download["attempts"] > 1
    assert download["error_code"] is None
    async with sessions() as session:
        actions = set(await session.scalars(select(AuditLog.action)))
    assert "download.postpone" in actions


async def test_a_source_that_stays_broken_fails_when_its_attempts_are_spent(
    working: Service, source: Source
) -> None:
    alice = await working.sign_in()
    download = await ended(alice, await submit(alice, source.status("/song.mp3", 503)))
    assert (download["status"], download["error_code"]) == ("failed", "unavailable")
    assert download["attempts"] == 4
    assert await left_behind(working.library) == []


async def test_a_slow_source_is_seen_to_progress(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    made = media.make("flac", seconds=10)
    url = source.dripping("/song.flac", made, piece=20_000, interval=0.1, announced=made.stat().st_size)
    number = await submit(alice, url)
    seen = await until(
        alice, number, lambda d: bool(d["progress"]) and d["progress"]["total_bytes"] is not None
    )
    assert (seen["status"], seen["progress"]["phase"]) == ("in-progress", "downloading")
    assert seen["progress"]["total_bytes"] == made.stat().st_size
    assert 0 <= seen["progress"]["percent"] <= 100
    further = await until(
        alice,
        number,
        lambda d: (
            d["status"] != "in-progress"
            or d["progress"]["downloaded_bytes"] > seen["progress"]["downloaded_bytes"]
        ),
    )
    assert further["id"] == number


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/page.mp3", "audio/mpeg", b"<!doctype html><html><body>Not music</body></html>"),
        ("/list.mp3", "audio/mpeg", b"#EXTM3U\n#EXTINF:10,\nfile:///etc/hostname\n"),
        ("/noise.mp3", "audio/mpeg", bytes(range(256)) * 64),
        ("/empty.mp3", "audio/mpeg", b""),
    ],
)
async def test_a_source_that_lies_leaves_a_failure_and_no_file(
    working: Service, source: Source, path: str, kind: str, body: bytes
) -> None:
    alice = await working.sign_in()
    download = await ended(alice, await submit(alice, source.body(path, body, kind)))
    assert download["status"] == "failed", download
    assert download["error_code"] in {"bad_media", "unsupported_url", "no_audio", "unavailable"}
    assert [p for p in working.library.rglob("*") if p.is_file() and ".nas-music" not in p.parts] == []


async def test_the_bounds_of_the_settings_hold(serve: Serve, source: Source) -> None:
    service = await serve(embedded_worker=True, max_file_size="50KB", download_timeout="2s")
    alice = await service.sign_in()
    endless = await submit(alice, source.endless("/endless.mp3"))
    silent = await submit(alice, source.silent("/silent.mp3"))
    assert (await ended(alice, endless))["error_code"] == "too_large"
    assert (await until(alice, silent, lambda d: d["attempts"] >= 1 and d["error_code"] is not None))[
        "error_code"
    ] == "timeout"


async def test_an_address_inside_the_network_is_never_dialled(serve: Serve, source: Source) -> None:
    service = await serve(embedded_worker=True, allowed_networks="127.0.0.2/32")
    alice = await service.sign_in()
    refused = await alice.post("/api/download", json={"url": source.url("/song.mp3")})
    assert refused.status_code == 422
    assert source.connections == 0


async def test_a_file_that_is_there_already_is_not_filed_twice(
    working: Service, source: Source, sessions: Sessions
) -> None:
    alice, bob = await working.sign_in("alice"), await working.sign_in("bob")
    url = source.file("/song.opus", media.make("opus", **TAGS))
    first = await ended(alice, await submit(alice, url))
    second = await ended(bob, await submit(bob, url))
    assert first["file_path"] == second["file_path"]
    assert len(list(working.library.rglob("*.opus"))) == 1
    async with sessions() as session:
        assert len((await session.scalars(select(Track))).all()) == 1


async def test_another_recording_of_the_same_name_lies_beside_it(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    for n, frequency in enumerate((440, 880)):
        made = media.make("opus", frequency=frequency, **TAGS)
        await ended(alice, await submit(alice, source.file(f"/{n}.opus", made)))
    names = sorted(path.name for path in working.library.rglob("*.opus"))
    assert names == ["03 - A Song (2).opus", "03 - A Song.opus"]


async def test_a_library_that_cannot_be_written_to_says_so_and_loses_nothing(
    serve: Serve, source: Source, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the library should be")
    service = await serve(embedded_worker=True, output_directory=blocked / "library", retry_delay=0.5)
    alice = await service.sign_in()
    number = await submit(alice, source.file("/song.mp3", media.make("mp3", **TAGS)))
    waiting = await until(alice, number, lambda d: d["error_message"] is not None)
    assert "library" in waiting["error_message"].lower()
    assert (await service.http.get("/health")).status_code == 503
    blocked.unlink()
    assert (await ended(alice, number))["status"] == "completed"


async def test_too_little_space_is_a_reason_to_wait(serve: Serve, source: Source, tmp_path: Path) -> None:
    more_than_there_is = shutil.disk_usage(tmp_path).total * 2
    service = await serve(embedded_worker=True, min_free_space=more_than_there_is)
    alice = await service.sign_in()
    number = await submit(alice, source.file("/song.mp3", media.make("mp3", **TAGS)))
    waiting = await until(alice, number, lambda d: d["error_code"] is not None)
    assert (waiting["status"], waiting["error_code"]) == ("pending", "no_space")
    assert source.connections == 0


async def test_many_people_at_once_get_each_their_own(working: Service, source: Source) -> None:
    people = [await working.sign_in(f"person{n}") for n in range(3)]

    async def one(client: httpx.AsyncClient, n: int) -> str:
        tags = {**TAGS, "title": f"Song {n}"}
        url = source.file(f"/{n}.mp3", media.make("mp3", frequency=300 + 50 * n, **tags))
        return str((await ended(client, await submit(client, url)))["title"])

    titles = await asyncio.gather(*(one(client, n) for n, client in enumerate(people * 3)))
    assert titles == [f"Song {n}" for n in range(9)]
    for n, client in enumerate(people):
        page = (await client.get("/api/downloads")).json()
        assert {d["title"] for d in page["downloads"]} == {f"Song {i}" for i in range(9) if i % 3 == n}
