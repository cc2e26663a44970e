"""Covers, the whole way: from what a source offers to the file, the album's folder, and the API."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import mutagen.id3
import pytest
from tests import media
from tests.conftest import Serve, Service
from tests.source import BandcampTrack, FeedItem, Source
from tests.worker.landing import files, land

from music_downloader.engine import images
from music_downloader.library.covers import read_embedded

HEADING = "The Band - An Album"
FOLDER = "The Band/An Album"


def _songs(source: Source, count: int, *, first: int = 1) -> list[str]:
    return [
        source.file(
            f"/{n}.mp3",
            media.make("mp3", seconds=1, frequency=300 + 20 * n, title=f"Song {n}", artist="The Band"),
        )
        for n in range(first, first + count)
    ]


def _size(jpeg: bytes) -> tuple[int, int]:
    """Read width and height out of the frame header of a JPEG (ITU-T T.81, B.2.2)."""
    assert images.kind_of(jpeg) == "jpg"
    offset = 2
    while True:
        marker, length = struct.unpack(">HH", jpeg[offset : offset + 4])
        if marker in {0xFFC0, 0xFFC2}:
            height, width = struct.unpack(">HH", jpeg[offset + 5 : offset + 9])
            return width, height
        offset += 2 + length


def _bomb() -> bytes:
    """Return a PNG that says it has 3.6 thousand million pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(2_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


async def test_every_picture_becomes_a_square_jpeg_in_the_file_and_beside_it(
    working: Service, source: Source
) -> None:
    alice = await working.sign_in()
    offered = {
        "still": (media.picture("jpg", width=1280, height=720), 720),
        "large": (media.picture("png", width=1500, height=1500), 1200),
        "webp": (media.picture("webp", width=640, height=640), 640),
    }
    for number, (name, (file, side)) in enumerate(offered.items()):
        shown = source.file(f"/{name}{file.suffix}", file)
        songs = _songs(source, 2, first=1 + 2 * number)
        page = source.album_page(f"/{name}", songs, title=f"The Band - {name}", picture=shown)
        whole, of_it = await land(alice, page)
        beside = (working.library / f"The Band/{name}/cover.jpg").read_bytes()
        assert _size(beside) == (side, side), name
        for one in of_it:
            assert read_embedded(working.library / one["file_path"]) == beside
        for asked in (whole, *of_it):
            answer = await alice.get(f"/api/downloads/{asked['id']}/cover")
            assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
            assert answer.content == beside


BAD: dict[str, Callable[[Source, str], str]] = {
    "nothing there": lambda source, path: source.status(path, 404),
    "a page": lambda source, path: source.page(path, "<title>No picture</title>"),
    "a page that says it is a JPEG": lambda source, path: source.body(path, b"<html></html>", "image/jpeg"),
    "empty": lambda source, path: source.body(path, b"", "image/jpeg"),
    "a bomb": lambda source, path: source.body(path, _bomb(), "image/png"),
    "half of one": lambda source, path: source.body(
        path, media.picture("png").read_bytes()[:3000], "image/png"
    ),
    "broken off": lambda source, path: source.truncated(path, media.picture("jpg")),
    "one that moves": lambda source, path: source.file(path, media.picture("animated.gif")),
    "endless": lambda source, path: source.endless(path, "image/jpeg", b"\xff\xd8\xff\xe0"),
    "the service's own machine": lambda source, path: source.redirect(path, "http://169.254.169.254/latest"),
    "a printer in the house": lambda _, path: f"http://192.168.0.9{path}",
    "a file of the service": lambda _, __: "file:///etc/hostname",
    "no address at all": lambda _, __: "http://[::1/cover",
}


async def test_no_bad_picture_ever_fails_a_track(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    songs = _songs(source, len(BAD))
    items = [
        FeedItem(url, f"Song {n}", image=bad(source, f"/bad/{n}"))
        for n, (url, bad) in enumerate(zip(songs, BAD.values(), strict=True))
    ]
    _, of_it = await land(alice, source.feed("/feed.xml", list(items), title="A Show", author="The Band"))
    for name, one in zip(BAD, of_it, strict=True):
        assert (one["status"], one["attempts"]) == ("completed", 1), name
        assert read_embedded(working.library / one["file_path"]) is None, name
        assert (await alice.get(f"/api/downloads/{one['id']}/cover")).status_code == 404, name
    assert not [path for path in files(working.library) if not path.endswith(".mp3")]


async def test_the_tracks_of_an_album_share_one_fetch_of_their_picture(serve: Serve, source: Source) -> None:
    service = await serve(
        embedded_worker=True, download_proxy=source.proxy, worker_concurrency=4, max_per_host=4
    )
    alice = await service.sign_in()
    tracks = [BandcampTrack(f"Song {n}", media.make("mp3", frequency=300 + n)) for n in range(5)]
    url = source.bandcamp(
        "band", "album", tracks, picture=media.picture("png"), title="An Album", name="The Band"
    )
    _, of_it = await land(alice, url)
    pictures = [request.path for request in source.requests if "bcbits.com/img" in request.path]
    assert len(pictures) == 1, pictures
    found = {read_embedded(service.library / one["file_path"]) for one in of_it}
    assert len(found) == 1
    assert None not in found


def _with_picture(folder: Path, picture: bytes) -> Path:
    path = folder / "song.mp3"
    path.write_bytes(media.make("mp3", title="A Song", artist="The Band", album="An Album").read_bytes())
    tags = mutagen.id3.ID3(path)
    tags.add(mutagen.id3.APIC(encoding=3, mime="image/png", type=3, desc="", data=picture))
    tags.save(path)
    return path


@pytest.mark.parametrize("offered", [None, "bad"])
async def test_the_picture_in_the_sources_own_file_is_kept_where_no_better_one_is_offered(
    working: Service, source: Source, tmp_path: Path, offered: str | None
) -> None:
    alice = await working.sign_in()
    file = _with_picture(tmp_path, media.picture("png", width=500, height=500).read_bytes())
    url = source.file("/song.mp3", file)
    if offered:
        url = source.json_ld_page("/page", url, name="A Song", thumbnailUrl=source.status("/bad.jpg", 404))
    shown, _ = await land(alice, url)
    kept = read_embedded(working.library / shown["file_path"])
    assert kept is not None
    assert _size(kept) == (500, 500)
    assert (await alice.get(f"/api/downloads/{shown['id']}/cover")).content == kept
    if offered:
        assert source.hits("/bad.jpg") == 1


@pytest.mark.parametrize("name", ["cover.jpg", "Folder.JPG", "cover.png"])
async def test_a_persons_own_cover_is_neither_overwritten_nor_doubled_nor_removed(
    working: Service, source: Source, name: str
) -> None:
    alice = await working.sign_in()
    own = working.library / FOLDER / name
    own.parent.mkdir(parents=True)
    own.write_bytes(b"my own picture")
    shown = source.file("/picture.jpg", media.picture())
    page = source.album_page("/album", _songs(source, 2), title=HEADING, picture=shown)
    whole, of_it = await land(alice, page)
    assert [path for path in files(working.library) if not path.endswith(".mp3")] == [f"{FOLDER}/{name}"]
    assert own.read_bytes() == b"my own picture"
    assert read_embedded(working.library / of_it[0]["file_path"])
    await alice.delete(f"/api/downloads/{whole['id']}", params={"delete_file": "true"})
    assert files(working.library) == [f"{FOLDER}/{name}"]
    assert own.read_bytes() == b"my own picture"


async def test_our_cover_goes_with_the_last_track_of_its_folder(working: Service, source: Source) -> None:
    alice = await working.sign_in()
    shown = source.file("/picture.jpg", media.picture())
    page = source.album_page("/album", _songs(source, 2), title=HEADING, picture=shown)
    whole, of_it = await land(alice, page)
    cover = working.library / FOLDER / "cover.jpg"
    for one, is_there in zip(of_it, (True, False), strict=True):
        assert cover.exists()
        answer = await alice.delete(f"/api/downloads/{one['id']}", params={"delete_file": "true"})
        assert answer.status_code == 204
        assert cover.exists() == is_there
    assert not cover.parent.exists()
    assert (await alice.get(f"/api/downloads/{whole['id']}/cover")).status_code == 404
