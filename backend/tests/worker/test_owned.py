"""A track is in the library once, whoever asked for it, and goes with the last who uses it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tests import media
from tests.conftest import Serve, Service
from tests.following import ended, submit
from tests.source import Source

from music_downloader.config.settings import Settings
from music_downloader.model import Track
from music_downloader.worker import run_worker

Sessions = async_sessionmaker[AsyncSession]
TAGS = {"title": "A Song", "artist": "Somebody", "album": "An Album", "track": "3"}


async def _done(client: httpx.AsyncClient, url: str, **more: str) -> dict[str, Any]:
    shown = await ended(client, await submit(client, url, **more))
    assert shown["status"] == "completed", shown
    return shown


def _audio(library: Path) -> list[Path]:
    return [path for path in library.rglob("*") if path.suffix in {".mp3", ".opus", ".m4a", ".flac"}]


async def test_a_second_person_gets_the_same_file_without_a_fetch(working: Service, source: Source) -> None:
    alice, bob = await working.sign_in("alice"), await working.sign_in("bob")
    url = source.file("/song.opus", media.make("opus", **TAGS))
    first = await _done(alice, url)
    before = source.connections
    second = await _done(bob, url)
    assert source.connections == before
    same = ("file_path", "title", "artist", "album", "track_number", "duration", "codec")
    assert [second[name] for name in same] == [first[name] for name in same]
    assert len(_audio(working.library)) == 1


@pytest.mark.parametrize(
    ("kind", "first", "then", "fetches"),
    [
        ("mp3", "best", "mp3", 0),  # the source's own MP3 is what "mp3" asks for
        ("mp3", "mp3", "best", 0),  # and an MP3 that was never encoded again is the best
        ("opus", "mp3", "best", 1),
        ("opus", "best", "mp3", 1),
    ],
)
async def test_another_format_is_another_file_unless_it_is_the_same(
    working: Service, source: Source, kind: str, first: str, then: str, fetches: int
) -> None:
    alice = await working.sign_in()
    url = source.file(f"/song.{kind}", media.make(kind, **TAGS))
    await _done(alice, url, format=first)
    before = source.hits(f"/song.{kind}")
    await _done(alice, url, format=then)
    assert (source.hits(f"/song.{kind}") > before) == bool(fetches)
    assert len(_audio(working.library)) == 1 + fetches


async def test_a_file_that_has_vanished_is_fetched_again(
    working: Service, source: Source, sessions: Sessions
) -> None:
    alice = await working.sign_in()
    url = source.file("/song.mp3", media.make("mp3", **TAGS))
    first = await _done(alice, url)
    (working.library / first["file_path"]).unlink()
    second = await _done(alice, url)
    assert (working.library / second["file_path"]).is_file()
    async with sessions() as session:
        assert await session.scalar(select(func.count()).select_from(Track)) == 1


async def test_two_workers_at_the_same_track_make_one_file(
    serve: Serve, make_settings: Callable[..., Settings], source: Source, sessions: Sessions
) -> None:
    service = await serve()
    people = [await service.sign_in(f"person{n}") for n in range(4)]
    url = source.file("/song.flac", media.make("flac", **TAGS))
    numbers = [await submit(person, url, format="mp3") for person in people]
    workers = [asyncio.create_task(run_worker(make_settings(max_per_host=8))) for _ in range(2)]
    try:
        shown = [await ended(person, number) for person, number in zip(people, numbers, strict=True)]
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    assert {one["status"] for one in shown} == {"completed"}
    assert len({one["file_path"] for one in shown}) == 1
    assert len(_audio(service.library)) == 1
    async with sessions() as session:
        assert await session.scalar(select(func.count()).select_from(Track)) == 1


async def test_a_file_goes_when_the_last_who_uses_it_deletes_it(working: Service, source: Source) -> None:
    alice, bob = await working.sign_in("alice"), await working.sign_in("bob")
    url = source.file("/song.mp3", media.make("mp3", **TAGS))
    first, second = await _done(alice, url), await _done(bob, url)
    file = working.library / first["file_path"]
    answer = await alice.delete(f"/api/downloads/{first['id']}", params={"delete_file": "true"})
    assert answer.status_code == 204
    assert file.is_file()
    assert (await alice.get(f"/api/downloads/{first['id']}")).status_code == 404
    assert (await bob.get(f"/api/downloads/{second['id']}")).status_code == 200
    answer = await bob.delete(f"/api/downloads/{second['id']}", params={"delete_file": "true"})
    assert answer.status_code == 204
    assert not file.exists()
    assert not file.parent.exists()


async def test_out_of_the_history_is_not_out_of_the_library(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    url = source.file("/song.mp3", media.make("mp3", **TAGS))
    first = await _done(alice, url)
    assert (await alice.delete(f"/api/downloads/{first['id']}")).status_code == 204
    assert (working.library / first["file_path"]).is_file()
    before = source.connections
    again = await _done(alice, url)
    assert again["file_path"] == first["file_path"]
    assert source.connections == before


async def test_what_somebody_else_has_put_in_a_files_place_is_left_alone(
    working: Service, source: Source
) -> None:
    alice = await working.sign_in()
    shown = await _done(alice, source.file("/song.mp3", media.make("mp3", **TAGS)))
    file = working.library / shown["file_path"]
    file.unlink()
    file.mkdir()  # what lies there now is no file of ours
    (file / "kept").write_text("by somebody else")
    answer = await alice.delete(f"/api/downloads/{shown['id']}", params={"delete_file": "true"})
    assert answer.status_code == 204
    assert (await alice.get(f"/api/downloads/{shown['id']}")).status_code == 404
    assert (file / "kept").is_file()


async def test_another_song_of_the_same_name_never_takes_the_place_of_one_that_vanished(
    working: Service, source: Source
) -> None:
    alice = await working.sign_in()
    url = source.file("/first.mp3", media.make("mp3", frequency=300, **TAGS))
    first = await _done(alice, url)
    (working.library / first["file_path"]).unlink()
    second = await _done(alice, source.file("/second.mp3", media.make("mp3", frequency=600, **TAGS)))
    assert second["file_path"] == first["file_path"]
    assert (await alice.get(f"/api/downloads/{first['id']}/file")).status_code == 404
    again = await _done(alice, url)
    assert again["file_path"] != second["file_path"]


async def test_a_page_whose_players_have_changed_brings_the_new_ones(
    working: Service, source: Source
) -> None:
    alice = await working.sign_in()
    songs = [
        source.file(f"/{name}.mp3", media.make("mp3", frequency=300 + 50 * n, title=name, artist="Somebody"))
        for n, name in enumerate(("one", "two", "three"))
    ]
    url = source.album_page("/album", songs[:2], title="An Album")
    await _done(alice, url)
    source.album_page("/album", [songs[2], songs[0]], title="An Album")
    before = source.hits("/one.mp3")
    number = (await _done(alice, url))["id"]
    listed = (await alice.get("/api/downloads", params={"parent_id": number})).json()["downloads"]
    assert [one["title"] for one in listed] == ["three", "one"]
    assert source.hits("/one.mp3") - before <= 2


async def test_long_addresses_that_end_alike_are_two_tracks(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    signature = "x" * 600
    urls = [
        source.file(f"/{n}.mp3", media.make("mp3", frequency=300 + 50 * n, title=f"Song {n}")) for n in (1, 2)
    ]
    shown = [await _done(alice, f"{url}?{signature}") for url in urls]
    assert [one["title"] for one in shown] == ["Song 1", "Song 2"]
