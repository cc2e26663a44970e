import base64
import hashlib
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import mutagen
import pytest
from mutagen import id3
from mutagen.flac import FLAC
from mutagen.flac import Picture as Block
from mutagen.mp4 import MP4
from tests.library.shelf import WANTED, Stage, file_it, listing, remove_tree
from tests.library.test_publish import WAYS, use
from tests.library.test_tags import FULL, JPEG, PNG

from music_downloader.errors import DownloadFailedError, ErrorCode
from music_downloader.library import covers, moving
from music_downloader.library.covers import Picture, place_cover, ranked, read_embedded
from music_downloader.library.filing import unpublish
from music_downloader.library.tags import write_tags

CopyOf = Callable[..., Path]
ALBUM = WANTED.parent
DIGEST = hashlib.sha256(JPEG).hexdigest()


def urls(*pictures: Picture) -> list[str]:
    return [picture.url for picture in ranked(pictures)]


def sized(url: str, width: int, height: int | None = None) -> Picture:
    return Picture(url=url, width=width, height=height or width)


@pytest.mark.parametrize(
    ("pictures", "best"),
    [
        ([], []),
        ([Picture(url="a")], ["a"]),
        ([Picture(url="a"), Picture(url="b")], ["b", "a"]),
        ([sized("square", 300), sized("still", 1280, 720)], ["square", "still"]),
        ([sized("s", 300), sized("l", 1200), sized("m", 600)], ["l", "m", "s"]),
        ([sized("huge", 9000), sized("right", 1500)], ["right", "huge"]),
        ([sized("first", 3000), sized("second", 1400)], ["second", "first"]),
        ([sized("nearly", 1000, 980), sized("still", 1920, 1080)], ["nearly", "still"]),
        (
            [sized("still", 1920, 1080), Picture(url="unknown"), sized("tiny", 60)],
            ["tiny", "unknown", "still"],
        ),
        ([Picture(url="half", width=500), sized("still", 400, 300)], ["half", "still"]),
        ([sized("a", 10), sized("b", 20), sized("c", 30), sized("d", 40)], ["d", "c", "b"]),
        ([sized("a", 10), sized("b", 10), sized("a", 10)], ["a", "b"]),
    ],
)
def test_the_best_pictures_come_first(pictures: list[Picture], best: list[str]) -> None:
    assert urls(*pictures) == best


@pytest.mark.parametrize("cover", [JPEG, PNG])
def test_the_cover_that_a_file_carries_is_read(container: str, copy_of: CopyOf, cover: bytes) -> None:
    song = copy_of(container)
    assert read_embedded(song) is None
    write_tags(song, FULL, cover=cover)
    assert read_embedded(song) == cover


def block(kind: int, data: bytes) -> Any:
    picture: Any = Block()
    picture.type, picture.mime, picture.data = kind, "image/webp", data
    return picture


def test_the_front_is_chosen_among_several_pictures(copy_of: CopyOf) -> None:
    mp3, flac, opus = copy_of("mp3"), copy_of("flac"), copy_of("opus")
    tags: Any = id3.ID3()
    for kind, data in ((4, b"back"), (3, b"front")):
        tags.add(id3.APIC(encoding=3, mime="image/webp", type=kind, desc=str(kind), data=data))
    tags.save(mp3)
    file: Any = FLAC(flac)
    for picture in (block(4, b"back"), block(3, b"front")):
        file.add_picture(picture)
    file.save()
    comments: Any = mutagen.File(opus)
    comments["METADATA_BLOCK_PICTURE"] = [
        "!",
        "AAAA",
        *(base64.b64encode(picture.write()).decode() for picture in (block(0, b"other"), block(3, b"front"))),
    ]
    comments.save()
    assert [read_embedded(song) for song in (mp3, flac, opus)] == [b"front"] * 3


def test_an_only_picture_counts_whatever_it_shows(copy_of: CopyOf) -> None:
    song = copy_of("flac")
    file: Any = FLAC(song)
    file.add_picture(block(4, b"back"))
    file.save()
    assert read_embedded(song) == b"back"


def test_what_cannot_be_read_has_no_cover(copy_of: CopyOf, tmp_path: Path) -> None:
    page = tmp_path / "page.mp3"
    page.write_bytes(b"<html>")
    assert read_embedded(page) is None
    assert read_embedded(tmp_path / "missing.mp3") is None
    assert read_embedded(copy_of("wav")) is None
    song = copy_of("m4a")
    file: Any = MP4(song)
    file["covr"] = [bytes(20 * 1024 * 1024 + 1)]
    file.save()
    assert read_embedded(song) is None


@pytest.mark.parametrize("way", WAYS)
def test_a_cover_is_placed_beside_the_tracks_once(
    way: str, monkeypatch: pytest.MonkeyPatch, root: Path, stage: Stage
) -> None:
    file_it(stage(), root)
    use(monkeypatch, way)
    assert place_cover(root, ALBUM, JPEG) == DIGEST
    assert (root / ALBUM / "cover.jpg").read_bytes() == JPEG
    assert place_cover(root, ALBUM, JPEG) == DIGEST
    assert place_cover(root, ALBUM, b"another") is None
    assert (root / ALBUM / "cover.jpg").read_bytes() == JPEG
    assert sorted(listing(root / ALBUM)) == ["01 - Title.mp3", "cover.jpg"]


@pytest.mark.parametrize(
    "name", ["Cover.JPG", "cover.png", "folder.jpg", "Folder.jpeg", "front.webp", "FRONT.gif", "cover.jpg"]
)
def test_a_picture_of_somebody_else_stays(name: str, root: Path, stage: Stage) -> None:
    file_it(stage(), root)
    (root / ALBUM / name).write_bytes(b"theirs")
    assert place_cover(root, ALBUM, JPEG) is None
    assert (root / ALBUM / name).read_bytes() == b"theirs"
    assert len(listing(root / ALBUM)) == 2


def test_a_link_or_a_folder_of_the_covers_name_stays(root: Path, stage: Stage, tmp_path: Path) -> None:
    file_it(stage(), root)
    (tmp_path / "theirs").write_bytes(JPEG)
    (root / ALBUM / "cover.jpg").symlink_to(tmp_path / "theirs")
    assert place_cover(root, ALBUM, JPEG) is None
    (root / ALBUM / "cover.jpg").unlink()
    (root / ALBUM / "cover.jpg").mkdir()
    assert place_cover(root, ALBUM, JPEG) is None


@pytest.mark.parametrize(("theirs", "digest"), [(JPEG, DIGEST), (b"theirs", None)])
def test_of_two_tracks_that_bring_a_cover_at_once_one_places_it(
    theirs: bytes, digest: str | None, root: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_it(stage(), root)

    def late(*places: moving.Place) -> None:
        (root / ALBUM / "cover.jpg").write_bytes(theirs)
        moving.move(*places)

    monkeypatch.setattr(covers, "move", late)
    assert place_cover(root, ALBUM, JPEG) == digest
    assert (root / ALBUM / "cover.jpg").read_bytes() == theirs
    assert len(listing(root / ALBUM)) == 2


def test_an_album_that_is_removed_meanwhile_gets_no_cover(
    root: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_it(stage(), root)

    def late(*places: moving.Place) -> None:
        remove_tree(root / "Artist")
        moving.move(*places)

    monkeypatch.setattr(covers, "move", late)
    assert place_cover(root, ALBUM, JPEG) is None
    assert listing(root) == []


def test_no_cover_is_placed_where_no_album_is(root: Path) -> None:
    assert place_cover(root, PurePosixPath(), JPEG) is None
    assert place_cover(root, ALBUM, JPEG) is None
    assert listing(root) == []
    with pytest.raises(ValueError, match="library"):
        place_cover(root, PurePosixPath("../elsewhere"), JPEG)


def test_a_full_disk_leaves_no_piece_of_a_cover(tiny_disk: Path | None) -> None:
    if tiny_disk is None:
        return
    (tiny_disk / ALBUM).mkdir(parents=True)
    with pytest.raises(DownloadFailedError) as caught:
        place_cover(tiny_disk, ALBUM, bytes(200_000))
    assert caught.value.code is ErrorCode.NO_SPACE
    assert listing(tiny_disk / ALBUM) == []


def test_the_cover_goes_with_the_last_track_of_its_folder(root: Path, stage: Stage) -> None:
    second = WANTED.with_name("02 - Other.mp3")
    file_it(stage(), root)
    file_it(stage(b"other"), root, second)
    place_cover(root, ALBUM, JPEG)
    assert unpublish(root, WANTED, cover_sha256=DIGEST)
    assert (root / ALBUM / "cover.jpg").exists()
    assert unpublish(root, second, cover_sha256=DIGEST)
    assert listing(root) == []


@pytest.mark.parametrize("digest", [None, "0" * 64])
def test_a_cover_that_is_not_ours_stays(digest: str | None, root: Path, stage: Stage) -> None:
    file_it(stage(), root)
    place_cover(root, ALBUM, JPEG)
    assert unpublish(root, WANTED, cover_sha256=digest)
    assert listing(root / ALBUM) == ["cover.jpg"]


def test_a_cover_stays_with_music_of_somebody_else(root: Path, stage: Stage) -> None:
    file_it(stage(), root)
    place_cover(root, ALBUM, JPEG)
    (root / ALBUM / "Ripped.WAV").write_bytes(b"x")
    assert unpublish(root, WANTED, cover_sha256=DIGEST)
    assert sorted(listing(root / ALBUM)) == ["Ripped.WAV", "cover.jpg"]


def test_a_pipe_of_the_covers_name_is_not_waited_for(root: Path, stage: Stage) -> None:
    file_it(stage(), root)
    os.mkfifo(root / ALBUM / "cover.jpg")
    assert place_cover(root, ALBUM, JPEG) is None
    assert unpublish(root, WANTED, cover_sha256=DIGEST)
    assert listing(root / ALBUM) == ["cover.jpg"]
