# ruff: noqa: ASYNC240 - small local files
"""Audio that breaks off is told from odd but whole files, without decoding it."""

import shutil
import struct
from pathlib import Path

import pytest
from tests import media

from music_downloader.config.audio import AudioFormat
from music_downloader.engine.probe import read
from music_downloader.engine.run import Engine
from music_downloader.engine.wholeness import breaks_off
from music_downloader.errors import DownloadFailedError, ErrorCode

CONTAINERS = {"mp3": "mp3", "flac": "flac", "m4a": "mp4", "alac.m4a": "mp4", "opus": "ogg", "ogg": "ogg"}
NOISE = ("-f", "lavfi", "-i", "anoisesrc=color=pink:seed=1:d=20")
# How else a whole file may be made.
ODD = {
    "vbr.mp3": ("-c:a", "libmp3lame", "-q:a", "0"),
    "no-header.mp3": ("-c:a", "libmp3lame", "-b:a", "128k", "-write_xing", "0"),
    "low-rate.mp3": ("-c:a", "libmp3lame", "-ar", "16000", "-ac", "1"),
    "faststart.m4a": ("-c:a", "aac", "-movflags", "+faststart"),
    "silent.flac": ("-af", "volume=0", "-c:a", "flac"),
    "large-blocks.flac": ("-c:a", "flac", "-frame_size", "65535"),
    "small-blocks.flac": ("-c:a", "flac", "-frame_size", "192", "-compression_level", "0"),
    "hi-res.flac": ("-c:a", "flac", "-ar", "96000", "-sample_fmt", "s32"),
    "flac.ogg": ("-c:a", "flac", "-f", "ogg"),
    "small-pages.ogg": ("-c:a", "libvorbis", "-page_duration", "1000"),
    "large-pages.opus": ("-c:a", "libopus", "-page_duration", "20000000"),
}  # fmt: skip


@pytest.fixture(params=list(ODD))
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    media.ffmpeg(*NOISE, *ODD[request.param], path)
    return path


def container(path: Path) -> str:
    audio = read(path)
    assert audio
    return audio.container


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_whole_file_is_whole(kind: str) -> None:
    assert not breaks_off(media.make(kind, seconds=20), CONTAINERS[kind])
    assert not breaks_off(media.make(kind, seconds=0.05), CONTAINERS[kind])


def test_an_odd_file_is_whole(odd: Path) -> None:
    assert not breaks_off(odd, container(odd))


def test_tags_and_junk_at_the_end_do_no_harm(odd: Path) -> None:
    kind = container(odd)
    with odd.open("ab") as file:
        file.write(b"TAG" + bytes(125))
    assert not breaks_off(odd, kind)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_half_of_an_odd_file_breaks_off(odd: Path, share: float) -> None:
    kind = container(odd)
    if odd.name == "no-header.mp3":
        assert not breaks_off(cut(odd, share), kind)  # it promises nothing
    elif odd.name != "large-blocks.flac" or share < 0.9:  # there, one block more or less is 1.5 seconds
        assert breaks_off(cut(odd, share), kind)


@pytest.mark.parametrize("kind", CONTAINERS)
@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("wanted", [AudioFormat.BEST, AudioFormat.MP3])
@pytest.mark.asyncio(loop_scope="session")
async def test_half_a_file_is_bad_media_in_any_format(
    engine: Engine, tmp_path: Path, kind: str, share: float, wanted: AudioFormat
) -> None:
    path = cut(Path(shutil.copy(media.make(kind, seconds=20), tmp_path / "source")), share)
    with pytest.raises(DownloadFailedError) as caught:
        await engine.convert(path, wanted=wanted, deadline=120)
    assert (caught.value.code, caught.value.transient) == (ErrorCode.BAD_MEDIA, False)
    assert list(tmp_path.iterdir()) == [path]


def test_an_mp3_before_which_a_tag_was_put_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    size = 500_000
    length = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3\4\0\0" + length + bytes(size) + media.make("mp3").read_bytes())
    assert not breaks_off(path, "mp3")


def test_a_vbri_header_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    frame = b"\xff\xfb\x90\x00".ljust(36, b"\0") + b"VBRI" + bytes(6) + struct.pack(">II", 100_000, 250)
    path.write_bytes(frame.ljust(417, b"\0") + bytes(99_600))
    assert not breaks_off(path, "mp3")
    path.write_bytes(frame.ljust(417, b"\0") + bytes(50_000))
    assert breaks_off(path, "mp3")


@pytest.mark.parametrize("kind", ["mp3", "flac", "mp4", "ogg", "wav", "matroska"])
@pytest.mark.parametrize(
    "content", [b"", b"fLaC", b"OggS\0", b"ID3\4\0\0\x7f\x7f\x7f\x7f", b"\0\0\0\x01mdat", bytes(99)]
)
def test_a_broken_header_promises_nothing(tmp_path: Path, kind: str, content: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    assert breaks_off(path, kind) in (False, kind == "ogg")
