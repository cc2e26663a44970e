import base64
import hashlib
import shutil
import subprocess
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import mutagen
import pytest
from mutagen import apev2, id3
from mutagen.flac import FLAC, Picture
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4

from music_downloader.engine import probe
from music_downloader.errors import DownloadFailedError, ErrorCode
from music_downloader.library.containers import check
from music_downloader.library.tags import TrackTags, clean_date, read_tags, write_tags

CopyOf = Callable[..., Path]

FULL = TrackTags(
    title="Jóga — 桜 🎵",
    artists=("Björk", "Simon & Garfunkel", "AC/DC"),
    album="Homogenic; the Album",
    album_artists=("Björk", "Guðrún"),
    track_number=3,
    track_total=12,
    disc_number=1,
    disc_total=2,
    date="1997-09-22",
    genres=("Electronic", "Art Pop"),
    compilation=True,
    isrc="GBBND9700033",
    comment="https://example.org/watch?v=1&list=2",
    source_id="example:abc123",
    lyrics="First line\nSecond line\n\nAfter a pause",
)
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 200


def audio_digest(path: Path) -> bytes:
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-i",
        str(path),
        "-map",
        "0:a",
        "-f",
        "md5",
        "-",
    ]
    return subprocess.run(command, check=True, capture_output=True).stdout


def pictures(path: Path) -> list[tuple[str, bytes]]:
    """What any reader finds, asked of mutagen itself."""
    file: Any = mutagen.File(path)
    if isinstance(file, MP3):
        return [(frame.mime, frame.data) for frame in file.tags.getall("APIC")]
    if isinstance(file, MP4):
        kinds = {13: "image/jpeg", 14: "image/png"}
        return [(kinds[cover.imageformat], bytes(cover)) for cover in file.tags.get("covr", [])]
    if isinstance(file, FLAC):
        return [(picture.mime, picture.data) for picture in file.pictures]
    blocks = [Picture(base64.b64decode(text)) for text in file.tags.get("METADATA_BLOCK_PICTURE", [])]
    return [(picture.mime, picture.data) for picture in blocks]


def soil(path: Path, word: str) -> None:
    """Fill a file with the rubbish that other programs leave in it."""
    file: Any = mutagen.File(path)
    if isinstance(file, MP3):
        tags: Any = id3.ID3()
        tags.add(id3.TXXX(encoding=3, desc="junk", text=[word]))
        tags.add(id3.TPE1(encoding=3, text=[word]))
        tags.add(id3.TCOM(encoding=3, text=[word]))
        tags.add(id3.APIC(encoding=3, mime="image/jpeg", type=3, desc=word, data=JPEG))
        tags.save(path, v1=2)
        ape: Any = apev2.APEv2()
        ape["Artist"] = word
        ape.save(path)
    elif isinstance(file, MP4):
        file["\xa9wrt"] = [word]
        file["\xa9ART"] = [word]
        file["----:com.apple.iTunes:junk"] = [word.encode()]
        file["covr"] = [JPEG]
        file.save()
    else:
        file["ARTIST"] = [word]
        file["COMPOSER"] = [word, word]
        file["METADATA_BLOCK_PICTURE"] = ["AAAA" * 500]
        if isinstance(file, FLAC):
            picture: Any = Picture()
            picture.data, picture.mime, picture.type = JPEG, "image/jpeg", 3
            file.add_picture(picture)
        file.save()


def test_every_field_survives_in_every_container(container: str, copy_of: CopyOf) -> None:
    song = copy_of(container)
    write_tags(song, FULL)
    assert read_tags(song) == FULL


def test_a_track_with_a_title_alone_reads_back_the_same(container: str, copy_of: CopyOf) -> None:
    song = copy_of(container, artist="Stale", title="Stale", album="Stale")
    write_tags(song, TrackTags(title="Only this"))
    assert read_tags(song) == TrackTags(title="Only this")


def test_the_audio_is_untouched(container: str, copy_of: CopyOf) -> None:
    song = copy_of(container)
    before = audio_digest(song)
    write_tags(song, FULL, cover=JPEG)
    assert audio_digest(song) == before
    write_tags(song, TrackTags(title="x"))
    assert audio_digest(song) == before


def test_nothing_that_was_there_before_is_left(container: str, copy_of: CopyOf) -> None:
    song = copy_of(container)
    soil(song, "leftover-of-another-program")
    write_tags(song, FULL)
    assert read_tags(song) == FULL
    assert b"leftover-of-another-program" not in song.read_bytes()
    assert pictures(song) == []


def test_equal_audio_and_equal_tags_give_equal_bytes(container: str, copy_of: CopyOf) -> None:
    songs = [copy_of(container, name) for name in ("first", "second", "third")]
    for song in songs[1:]:
        soil(song, "short" if song.stem == "second" else "long" * 2000)
    write_tags(songs[2], TrackTags(title="Something else"), cover=JPEG * 3)
    for cover in (PNG, JPEG, None):
        digests = set()
        for song in songs:
            for _ in range(2):
                write_tags(song, FULL, cover=cover)
                digests.add(hashlib.sha256(song.read_bytes()).hexdigest())
        assert len(digests) == 1


@pytest.mark.parametrize(("cover", "mime"), [(JPEG, "image/jpeg"), (PNG, "image/png")])
def test_a_cover_is_embedded(container: str, copy_of: CopyOf, cover: bytes, mime: str) -> None:
    song = copy_of(container)
    write_tags(song, FULL, cover=cover)
    assert pictures(song) == [(mime, cover)]
    assert read_tags(song) == FULL


@pytest.mark.parametrize(
    "cover", [b"", b"RIFF\x00\x00\x00\x00WEBP", b"<svg/>", b"\xff\xd8\xff" + bytes(11_000_000)]
)
def test_what_players_do_not_show_is_no_cover(container: str, copy_of: CopyOf, cover: bytes) -> None:
    song = copy_of(container)
    write_tags(song, FULL, cover=cover)
    assert pictures(song) == []


def test_a_fragmented_mp4_keeps_its_audio(copy_of: CopyOf) -> None:
    song = copy_of("fragmented.m4a")
    before = audio_digest(song)
    write_tags(song, FULL, cover=JPEG)
    assert audio_digest(song) == before
    assert read_tags(song) == FULL


def test_the_names_are_those_that_music_servers_read(copy_of: CopyOf) -> None:
    mp3, m4a, opus = copy_of("mp3"), copy_of("m4a"), copy_of("opus")
    for song in (mp3, m4a, opus):
        write_tags(song, FULL)
    frames: Any = id3.ID3(mp3)
    assert frames.version == (2, 4, 0)
    assert [str(frames[name]) for name in ("TIT2", "TRCK", "TPOS", "TDRC", "TCMP")] == [
        FULL.title,
        "3/12",
        "1/2",
        "1997-09-22",
        "1",
    ]
    assert frames["TPE1"].text == ["Björk, Simon & Garfunkel & AC/DC"]
    assert frames["TXXX:ARTISTS"].text == list(FULL.artists)
    atoms: Any = MP4(m4a).tags
    assert atoms["trkn"] == [(3, 12)]
    assert atoms["aART"] == ["Björk & Guðrún"]
    assert atoms["cpil"] is True
    comments: Any = mutagen.File(opus)
    assert comments["ARTISTS"] == list(FULL.artists)
    assert comments["TRACKNUMBER"] == ["3"]
    assert comments["TRACKTOTAL"] == ["12"]


@pytest.mark.parametrize("version", [3, 4])
def test_older_id3_tags_are_read(copy_of: CopyOf, version: int) -> None:
    song = copy_of("mp3")
    frames: Any = id3.ID3()
    frames.add(id3.TIT2(encoding=1, text=["Titel"]))
    frames.add(id3.TPE1(encoding=1, text=["AC/DC"]))
    frames.add(id3.TCON(encoding=0, text=["(17)"]))
    frames.add(id3.TDRC(encoding=0, text=["2001-02-03T04:05:06"]))
    frames.add(id3.TRCK(encoding=0, text=["03/12"]))
    frames.add(id3.COMM(encoding=0, lang="eng", desc="iTunNORM", text=["0000 0000"]))
    if version == 3:
        frames.update_to_v23()
    frames.save(song, v2_version=version)
    assert read_tags(song) == TrackTags(
        title="Titel", artists=("AC/DC",), genres=("Rock",), date="2001-02-03", track_number=3, track_total=12
    )


def test_id3v22_and_id3v1_are_read(copy_of: CopyOf) -> None:
    old, oldest = copy_of("mp3", "old"), copy_of("mp3", "oldest")
    frame = b"TT2\x00\x00\x06\x00Title"
    audio = old.read_bytes()[id3.ID3(old).size :]
    old.write_bytes(b"ID3\x02\x00\x00\x00\x00\x00" + bytes([len(frame)]) + frame + audio)
    assert read_tags(old) == TrackTags(title="Title")
    oldest.write_bytes(audio + b"TAG" + b"Title".ljust(30, b"\0") + b"Artist".ljust(30, b"\0") + bytes(65))
    found = read_tags(oldest)
    assert found is not None
    assert (found.title, found.artists) == ("Title", ("Artist",))


def test_stacked_id3_tags_all_go(copy_of: CopyOf) -> None:
    plain, stacked = copy_of("mp3", "plain"), copy_of("mp3", "stacked")
    header = b"ID3\x04\x00\x00\x00\x00\x00\x14" + b"\x00" * 20
    stacked.write_bytes(header * 3 + stacked.read_bytes())
    for song in (plain, stacked):
        write_tags(song, FULL)
    assert plain.read_bytes() == stacked.read_bytes()


@pytest.mark.parametrize("version", [3, 4])
def test_a_tag_that_unfolds_into_a_gigabyte_is_not_unfolded(copy_of: CopyOf, version: int) -> None:
    song = copy_of("mp3")
    bomb = zlib.compress(b"\x00" + b"A" * 50_000_000, 9)
    body = (50_000_001).to_bytes(4, "big") + bomb
    flags = b"\x00\x80" if version == 3 else b"\x00\x09"

    def size(number: int) -> bytes:
        bits = 8 if version == 3 else 7
        return bytes(number >> bits * place & (1 << bits) - 1 for place in (3, 2, 1, 0))

    frame = b"TIT2" + size(len(body)) + flags + body
    header = b"ID3" + bytes([version, 0, 0]) + bytes(len(frame) >> 7 * place & 0x7F for place in (3, 2, 1, 0))
    song.write_bytes(header + frame + song.read_bytes())
    assert read_tags(song) is None
    tracemalloc.start()
    try:
        assert probe.read(song) is not None
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    write_tags(song, FULL)
    assert read_tags(song) == FULL


def sparse(path: Path, *pieces: bytes | int) -> None:
    """Write bytes, and holes of so many bytes that take no room on the disk."""
    with path.open("wb") as file:
        for piece in pieces:
            if isinstance(piece, int):
                file.seek(piece, 1)
            else:
                file.write(piece)


def big(number: int) -> bytes:
    return number.to_bytes(4, "big")


def endless_tags(kind: str, whole: bytes) -> list[bytes | int]:
    gap = 250 * 1024 * 1024
    if kind == "mp3":
        return [b"ID3\x04\x00\x00\x77\x7f\x7f\x7f", 0x77 << 21 | 0x1FFFFF, whole]
    if kind == "flac":
        block = 0xFFFFFF
        return [
            whole[:42],
            *[part for _ in range(15) for part in (b"\x06" + block.to_bytes(3, "big"), block)],
        ]
    if kind == "m4a":
        sizes = [gap + 8 * depth for depth in (5, 4, 3, 2, 1)]
        moov, udta, meta, ilst, cover = (
            big(size) + name
            for size, name in zip(sizes, (b"moov", b"udta", b"meta", b"ilst", b"covr"), strict=True)
        )
        return [big(16) + b"ftypM4A " + big(0), moov, udta, meta, b"\x00" * 4, ilst, cover, gap]
    first = whole[: 27 + whole[26] + sum(whole[27 : 27 + whole[26]])]
    page = b"OggS\x00\x00" + bytes(8) + first[14:18] + bytes(8) + b"\xff" + b"\xff" * 255
    return [first, *[part for _ in range(2200) for part in (page, 255 * 255)]]


@pytest.mark.parametrize("kind", ["mp3", "flac", "m4a", "opus", "ogg"])
def test_tags_that_fill_the_memory_are_not_read(copy_of: CopyOf, kind: str) -> None:
    song = copy_of(kind)
    sparse(song, *endless_tags(kind, song.read_bytes()))
    tracemalloc.start()
    try:
        for attempt in (lambda: check(song), lambda: read_tags(song), lambda: write_tags(song, FULL)):
            with pytest.raises(DownloadFailedError) as caught:
                attempt()
            assert (caught.value.code, "more tags" in caught.value.detail) == (ErrorCode.BAD_MEDIA, True)
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()


def parts(kind: str, whole: bytes) -> bytes:
    """A file of hardly any size whose parts are too many, or lie where nobody counts them."""
    if kind == "stacked":
        return (b"ID3\x04\x00\x00\x00\x00\x00\x01\x00") * 100_000 + whole
    if kind == "m4a":
        return whole + (big(8) + b"free") * 500_000
    first = whole[: 27 + whole[26] + sum(whole[27 : 27 + whole[26]])]
    foreign = b"OggS\x00\x00" + bytes(8) + b"ZZZZ" + bytes(8) + b"\x01\x00"
    return first + foreign * 200_000 + whole[len(first) :]


@pytest.mark.parametrize("kind", ["stacked", "m4a", "opus"])
def test_parts_without_number_are_not_read(copy_of: CopyOf, kind: str) -> None:
    song = copy_of("mp3" if kind == "stacked" else kind)
    song.write_bytes(parts(kind, song.read_bytes()))
    with pytest.raises(DownloadFailedError) as caught:
        check(song)
    assert "more tags" in caught.value.detail


def test_what_is_looked_at_first_lets_all_else_pass(copy_of: CopyOf, tmp_path: Path) -> None:
    for kind in ("mp3", "m4a", "flac", "opus", "ogg", "webm", "wav", "aiff", "aac"):
        check(copy_of(kind, kind))
    far = big(16) + b"ftypM4A " + big(0) + big(1) + b"moov" + b"\xff" * 8 + big(1) + b"free" + b"\xfe" * 8
    starts = (b"fLaC", b"OggS", b"\0\0\0\x18ftyp", b"ID3\x04\x00\x00\x00\x00\x00\x00")
    for content in (b"", far, *starts):
        (tmp_path / "odd").write_bytes(content)
        check(tmp_path / "odd")


@pytest.mark.parametrize("kind", ["webm", "wav", "aiff", "aac"])
def test_other_audio_has_no_tags_that_are_read_and_takes_none(copy_of: CopyOf, kind: str) -> None:
    song = copy_of(kind, title="Titled")
    assert read_tags(song) is None
    before = song.read_bytes()
    with pytest.raises(DownloadFailedError) as caught:
        write_tags(song, FULL)
    assert caught.value.code is ErrorCode.BAD_MEDIA
    assert song.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"", b"<html>no audio</html>", b"ID3\x04\x00\x00\x00\x00\x00\x00", b"fLaC", b"\0" * 9999]
)
def test_what_is_no_audio_is_bad_media(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "song.mp3"
    file.write_bytes(content)
    for attempt in (lambda: read_tags(file), lambda: write_tags(file, FULL)):
        with pytest.raises(DownloadFailedError) as caught:
            attempt()
        assert caught.value.code is ErrorCode.BAD_MEDIA
    assert file.read_bytes() == content


def test_damaged_files_never_raise_anything_else(container: str, copy_of: CopyOf) -> None:
    song = copy_of(container)
    write_tags(song, FULL, cover=PNG)
    whole = song.read_bytes()
    for step in range(60):
        broken = bytearray(whole[: len(whole) * (step + 1) // 61])
        for index in range(step, min(len(broken), 2000), 61):
            broken[index] ^= 0xFF
        song.write_bytes(broken)
        try:
            read_tags(song)
            write_tags(song, FULL)
        except DownloadFailedError as fault:
            assert fault.code is ErrorCode.BAD_MEDIA  # noqa: PT017  # raising nothing is as good


def test_what_a_file_carries_is_bounded_and_cleaned(copy_of: CopyOf) -> None:
    song = copy_of("flac")
    file: Any = FLAC(song)
    file["TITLE"] = ["  A\u202e\u200b\x00 ti\ttle\r\n" + "x" * 9000]
    file["GENRE"] = [f"Genre {number}" for number in range(1000)]
    file["LYRICS"] = ["line \n" * 9000]
    file["ARTIST"] = ["Bjo\u0308rk", "Björk", " "]
    file["TRACKNUMBER"] = ["99999999"]
    file["DISCNUMBER"] = ["2"]
    file["DISCTOTAL"] = ["1"]
    file["DATE"] = ["20210101"]
    file.save()
    found = read_tags(song)
    assert found is not None
    assert found.title.startswith("A ti tle xxx")
    assert len(found.title) == 500
    assert len(found.genres) == 50
    assert found.lyrics is not None
    assert len(found.lyrics) <= 10_000
    assert found.artists == ("Björk",)
    assert (found.track_number, found.disc_number, found.disc_total) == (None, 2, None)
    assert found.date == "2021-01-01"


def test_a_missing_file_is_not_bad_media(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailedError) as caught:
        read_tags(tmp_path / "missing.mp3")
    assert caught.value.code is ErrorCode.INTERNAL


def test_a_full_disk_is_not_bad_media(container: str, copy_of: CopyOf, tiny_disk: Path | None) -> None:
    if tiny_disk is None:
        return
    song = Path(shutil.copy(copy_of(container), tiny_disk))
    with pytest.raises(DownloadFailedError) as caught:
        write_tags(song, FULL, cover=JPEG * 2)
    assert caught.value.code is ErrorCode.NO_SPACE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2021", "2021"),
        ("20210101", "2021-01-01"),
        ("2021-01-01T10:00:00", "2021-01-01"),
        ("2021-13-01", "2021"),
        ("2021-02-30", "2021-02"),
        ("2021-00-00", "2021"),
        ("202107", "2021-07"),
        ("0000", None),
        ("12021", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_dates_are_days_that_exist(text: str | None, expected: str | None) -> None:
    assert clean_date(text) == expected


@pytest.mark.parametrize(
    ("artists", "shown"), [((), ""), (("A",), "A"), (("A", "B"), "A & B"), (("A", "B", "C"), "A, B & C")]
)
def test_artists_are_shown_as_people_write_them(artists: tuple[str, ...], shown: str) -> None:
    assert TrackTags(title="x", artists=artists, album_artists=artists).artist == shown
    assert TrackTags(title="x", album_artists=artists).album_artist == shown


def test_tags_are_clean_however_they_are_made(container: str, copy_of: CopyOf) -> None:
    song = copy_of(container)
    tags = TrackTags(title="\ud800 a\x00b ", artists=("", "\u202e", "x" * 900), track_number=0, track_total=4)
    assert (tags.title, tags.artists, tags.track_total) == ("ab", ("x" * 500,), None)
    write_tags(song, tags)
    assert read_tags(song) == tags
