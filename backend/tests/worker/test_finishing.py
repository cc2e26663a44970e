"""What is done once a track is there: loudness, playlists, and clearing up after what was cancelled."""

import asyncio
import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mutagen.id3
import psycopg
import pytest
from sqlalchemy import select, text
from tests import media
from tests.conftest import Serve, Service
from tests.following import ended, submit, until, until_true
from tests.source import Source
from tests.worker.landing import Sessions, eventually, files, gains, land, quiet, tracks

from music_downloader import worker
from music_downloader.config.settings import Settings
from music_downloader.jobs import MEASURE
from music_downloader.library.filing import STAGING, sha256_of
from music_downloader.library.tags import retag
from music_downloader.model import Download, Track
from music_downloader.task import finish, publishing
from music_downloader.task.gains import tagged_copy
from music_downloader.worker import run_worker

KINDS = ("mp3", "m4a", "flac", "opus", "ogg")


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with what is done behind everybody's back without the usual moment's wait."""
    for module in (publishing, finish):
        monkeypatch.setattr(module, "MEASURE_AFTER_SECONDS", 0)


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with it only when the test says so; it is noticed at once then."""
    for module in (publishing, finish):
        monkeypatch.setattr(module, "MEASURE_AFTER_SECONDS", 3600)
    monkeypatch.setattr(worker, "_QUIET_POLL_SECONDS", 0.1)


async def _now(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await session.execute(
            text("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE queue_name = 'quiet'")
        )


def _tone(kind: str, number: int) -> Path:
    """Tones of one level, but the higher, the louder to the ear."""
    return media.make(kind, frequency=100 * 3**number, title=f"Song {number}", artist="The Band")


async def _rows(sessions: Sessions) -> list[tuple[Track, int]]:
    """Return each track of the library with the size that a download says it has."""
    async with sessions() as session:
        found = await session.execute(
            select(Track, Download.file_size)
            .join(Download, Download.track_id == Track.id)
            .order_by(Track.path, Download.id)
        )
        return [(row[0], row[1]) for row in found]


async def _assert_rows_are_true(sessions: Sessions, library: Path) -> None:
    rows = await _rows(sessions)
    assert rows
    for track, said in rows:
        path = library / track.path
        assert (track.sha256, track.size, said) == (sha256_of(path), path.stat().st_size, path.stat().st_size)


def _decibels(fields: dict[str, str], which: str) -> float:
    """Read a gain as ReplayGain has it, also where Opus writes it in steps from another reference."""
    if (steps := fields.get(f"R128_{which}_GAIN")) is not None:
        return int(steps) / 256 + 5
    return float(fields[f"REPLAYGAIN_{which}_GAIN"].removesuffix(" dB"))


@pytest.mark.usefixtures("soon")
async def test_an_album_that_is_taken_over_as_it_is_gets_its_gain_in_every_kind_of_file(
    working: Service, source: Source, sessions: Sessions
) -> None:
    alice = await working.sign_in()
    urls = [source.file(f"/{n}.{kind}", _tone(kind, n)) for n, kind in enumerate(KINDS)]
    shown, of_it = await land(alice, source.album_page("/album", urls, title="The Band - An Album"))
    await quiet(sessions)
    found = [gains(working.library / one["file_path"]) for one in of_it]
    of_tracks = [_decibels(fields, "TRACK") for fields in found]
    of_album = {round(_decibels(fields, "ALBUM"), 1) for fields in found}
    assert len(of_album) == 1
    assert len(set(of_tracks)) == len(KINDS)
    assert min(of_tracks) < of_album.pop() < max(of_tracks)
    said = {kind: set(fields) for kind, fields in zip(KINDS, found, strict=True)}
    assert said.pop("opus") == {"R128_TRACK_GAIN", "R128_ALBUM_GAIN"}
    replaygain = {f"REPLAYGAIN_{of}_{what}" for of in ("TRACK", "ALBUM") for what in ("GAIN", "PEAK")}
    assert all(fields == replaygain for fields in said.values())
    peaks = {fields["REPLAYGAIN_ALBUM_PEAK"] for fields in found if "REPLAYGAIN_ALBUM_PEAK" in fields}
    assert len(peaks) == 1
    await _assert_rows_are_true(sessions, working.library)
    for one in of_it:
        there = (await alice.get(f"/api/downloads/{one['id']}")).json()
        served = await alice.get(f"/api/downloads/{one['id']}/file")
        assert there["file_size"] == len(served.content)
        assert served.content == (working.library / one["file_path"]).read_bytes()
    assert (await alice.get(f"/api/downloads/{shown['id']}")).json()["status"] == "completed"
    assert list((working.library / STAGING).iterdir()) == []


@pytest.mark.usefixtures("late")
async def test_what_is_converted_has_its_gain_from_the_start(
    working: Service, source: Source, sessions: Sessions
) -> None:
    alice = await working.sign_in()
    urls = [source.file(f"/{n}.flac", _tone("flac", n)) for n in range(3)]
    single, _ = await land(alice, urls[0], format="opus")
    assert set(gains(working.library / single["file_path"])) == {"R128_TRACK_GAIN"}
    _, of_it = await land(alice, source.album_page("/album", urls, title="An Album"), format="mp3")
    before = [gains(working.library / one["file_path"]) for one in of_it]
    assert all(set(fields) == {"REPLAYGAIN_TRACK_GAIN", "REPLAYGAIN_TRACK_PEAK"} for fields in before)
    await _now(sessions)
    await quiet(sessions)
    after = [gains(working.library / one["file_path"]) for one in of_it]
    assert [fields["REPLAYGAIN_TRACK_GAIN"] for fields in after] == [
        fields["REPLAYGAIN_TRACK_GAIN"] for fields in before
    ]
    assert len({fields["REPLAYGAIN_ALBUM_GAIN"] for fields in after}) == 1
    await _assert_rows_are_true(sessions, working.library)


@pytest.mark.usefixtures("soon")
async def test_a_single_gets_the_gain_of_a_track_and_says_what_it_said_otherwise(
    working: Service, source: Source, sessions: Sessions
) -> None:
    alice = await working.sign_in()
    paths = {}
    for n, kind in enumerate(KINDS):
        shown, _ = await land(alice, source.file(f"/{n}.{kind}", _tone(kind, n)))
        paths[kind] = working.library / shown["file_path"]
    await quiet(sessions)
    for kind, path in paths.items():
        wanted = {"REPLAYGAIN_TRACK_GAIN", "REPLAYGAIN_TRACK_PEAK"}
        assert set(gains(path)) == ({"R128_TRACK_GAIN"} if kind == "opus" else wanted)
        easy: Any = mutagen.File(path, easy=True)
        assert easy["artist"] == ["The Band"]
    await _assert_rows_are_true(sessions, working.library)


@pytest.mark.usefixtures("soon")
async def test_the_setting_turns_all_of_it_off(serve: Serve, source: Source, sessions: Sessions) -> None:
    service = await serve(embedded_worker=True, replaygain=False)
    alice = await service.sign_in()
    urls = [source.file(f"/{n}.flac", _tone("flac", n)) for n in range(2)]
    landed = [
        *(await land(alice, source.album_page("/album", urls)))[1],
        (await land(alice, source.file("/one.mp3", _tone("mp3", 1))))[0],
        (await land(alice, urls[1], format="opus"))[0],
    ]
    await quiet(sessions)
    assert [gains(service.library / one["file_path"]) for one in landed] == [{}] * 4
    await _assert_rows_are_true(sessions, service.library)


@pytest.mark.usefixtures("late")
async def test_a_file_that_somebody_has_changed_or_removed_is_left_alone(
    working: Service, source: Source, sessions: Sessions
) -> None:
    alice = await working.sign_in()
    changed, removed, plain = [
        working.library / (await land(alice, source.file(f"/{n}.mp3", _tone("mp3", n))))[0]["file_path"]
        for n in range(3)
    ]
    tags = mutagen.id3.ID3(changed)
    tags.add(mutagen.id3.TIT2(encoding=3, text=["My own words"]))
    tags.save(changed)
    removed.unlink()
    content = changed.read_bytes()
    await _now(sessions)
    await quiet(sessions)
    assert changed.read_bytes() == content
    assert not removed.exists()
    assert gains(plain)
    assert list((working.library / STAGING).iterdir()) == []


@pytest.mark.usefixtures("late")
async def test_no_gain_is_written_by_way_of_a_link_or_over_what_another_has_written(
    working: Service, source: Source, sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await working.sign_in()
    linked, raced = [
        working.library / (await land(alice, source.file(f"/{n}.mp3", _tone("mp3", n))))[0]["file_path"]
        for n in range(2)
    ]
    elsewhere = tmp_path / "elsewhere.mp3"
    shutil.move(linked, elsewhere)
    linked.symlink_to(elsewhere)
    content = elsewhere.read_bytes()
    stagings: list[Path] = []

    def copied_late(original: Path, staging: Path, found: Any) -> Any:
        stagings.append(staging)
        result = tagged_copy(original, staging, found)
        if original == raced:  # another album has just given it its own gain, and its row says so
            retag(raced, dataclasses.replace(found, album_gain=1.23))
            with psycopg.connect(working.settings.conninfo) as connection:
                connection.execute(
                    "UPDATE tracks SET sha256 = %s, size = %s WHERE path = %s",
                    [sha256_of(raced), raced.stat().st_size, str(raced.relative_to(working.library))],
                )
        return result

    monkeypatch.setattr("music_downloader.task.gains.tagged_copy", copied_late)
    await _now(sessions)
    await quiet(sessions)
    assert elsewhere.read_bytes() == content
    assert gains(raced)["REPLAYGAIN_ALBUM_GAIN"] == "1.23 dB"
    assert len(set(stagings)) == len(stagings) > 1


def _listed(playlist: Path) -> list[Path]:
    """Return the files that a playlist names, as a player resolves them."""
    lines = playlist.read_text("utf-8").splitlines()
    assert lines[0] == "#EXTM3U"
    return [(playlist.parent / line).resolve() for line in lines if not line.startswith("#")]


async def test_a_playlist_names_its_tracks_and_follows_what_becomes_of_them(
    working: Service, source: Source
) -> None:
    alice = await working.sign_in()
    made = [
        media.make("mp3", seconds=1, frequency=300 + n, title=f"Song {n}", artist=f"Band {n}", album=album)
        for n, album in enumerate(("First: Part / One", "Second", "Third"))
    ]
    source.status("/1.mp3", 404)
    for n in (0, 2):
        source.file(f"/{n}.mp3", made[n])
    url = source.xspf("/Summer.xspf", [(f"Song {n}", source.url(f"/{n}.mp3")) for n in (2, 1, 0)])
    number = await submit(alice, url)
    assert (await ended(alice, number))["status"] == "failed"
    playlist = working.library / "Playlists/Summer.m3u8"
    await eventually(playlist.exists)
    paths = {one["title"]: one["file_path"] for one in await tracks(alice, number)}
    root = working.library.resolve()
    assert _listed(playlist) == [root / paths["Song 2"], root / paths["Song 0"]]
    assert "#EXTINF:1,Band 2 - Song 2" in playlist.read_text("utf-8")
    assert ".." not in Path(paths["Song 0"]).parts

    source.file("/1.mp3", made[1])
    await alice.post(f"/api/downloads/{number}/retry")
    assert (await ended(alice, number))["status"] == "completed"
    await eventually(lambda: len(_listed(playlist)) == 3)
    whole = _listed(playlist)
    assert [path.relative_to(root).parts[0] for path in whole] == ["Band 2", "Band 1", "Band 0"]
    assert all(path.is_file() for path in whole)

    answer = await alice.delete(f"/api/downloads/{number}", params={"delete_file": "true"})
    assert answer.status_code == 204
    assert files(working.library) == []


async def test_a_playlist_stays_as_long_as_another_download_has_it(
    working: Service, source: Source, sessions: Sessions
) -> None:
    alice, bob = await working.sign_in("alice"), await working.sign_in("bob")
    urls = [source.file(f"/{n}.mp3", _tone("mp3", n)) for n in range(2)]
    url = source.xspf("/mix.xspf", [(f"Song {n}", url) for n, url in enumerate(urls)])
    numbers = [(await land(client, url))[0]["id"] for client in (alice, bob)]
    playlists = working.library / "Playlists"

    async def are_written() -> bool:
        async with sessions() as session:
            rows = await session.scalars(select(Download.playlist_path).where(Download.parent_id.is_(None)))
            return None not in rows.all()

    await until_true(are_written)
    kept = files(playlists)
    await alice.delete(f"/api/downloads/{numbers[0]}", params={"delete_file": "true"})
    assert files(playlists) == kept == ["mix.m3u8"]
    assert all(path.is_file() for path in _listed(playlists / "mix.m3u8"))
    await bob.delete(f"/api/downloads/{numbers[1]}", params={"delete_file": "true"})
    assert files(working.library) == []


async def test_a_cancelled_collection_leaves_nothing_of_the_tracks_that_waited(
    serve: Serve, source: Source
) -> None:
    service = await serve(embedded_worker=True, retry_delay=60)
    alice = await service.sign_in()
    broken = [source.truncated(f"/{n}.mp3", media.make("mp3")) for n in range(3)]
    number = await submit(alice, source.feed("/feed.xml", list(broken)))
    for n in range(3):
        await until(alice, number, lambda d: d["items"] is not None)
        await until(alice, (await tracks(alice, number))[n]["id"], lambda d: d["error_code"] is not None)
    staging = service.library / STAGING
    assert len(list(staging.iterdir())) == 3
    assert (await alice.post(f"/api/downloads/{number}/cancel")).status_code == 200
    await eventually(lambda: list(staging.iterdir()) == [])


@pytest.mark.usefixtures("soon")
async def test_a_worker_that_is_stopped_while_it_measures_loses_nothing(
    serve: Serve,
    make_settings: Callable[..., Settings],
    source: Source,
    sessions: Sessions,
) -> None:
    service = await serve()
    alice = await service.sign_in()
    number = await submit(alice, source.file("/long.flac", media.make("flac", seconds=300)))
    first = asyncio.create_task(run_worker(make_settings(shutdown_grace=1)))
    shown = await ended(alice, number)
    path = service.library / shown["file_path"]
    digest = sha256_of(path)
    await eventually(lambda: any((service.library / STAGING).glob("gain-*")))
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert (sha256_of(path), gains(path)) == (digest, {})
    async with sessions() as session:
        waiting = await session.scalars(
            text("SELECT args FROM procrastinate_jobs WHERE task_name = :name AND status = 'todo'"),
            {"name": MEASURE},
        )
        assert waiting.all()
    assert not list((service.library / STAGING).glob("gain-*"))
    await _now(sessions)
    second = asyncio.create_task(run_worker(make_settings()))
    try:
        await quiet(sessions)
    finally:
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
    assert gains(path)
    await _assert_rows_are_true(sessions, service.library)
