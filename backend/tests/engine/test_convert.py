# ruff: noqa: ASYNC240 - small local files
"""What the library keeps of what a source sent."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import mutagen
import psutil
import pytest
from tests import media
from tests.family import below

from music_downloader.config.audio import AudioFormat
from music_downloader.engine.probe import Audio, read
from music_downloader.engine.run import Engine
from music_downloader.errors import DownloadFailedError, ErrorCode

pytestmark = pytest.mark.asyncio(loop_scope="session")
Stage = Callable[[Path], Path]

RIGHT_ALREADY = {
    "mp3": (".mp3", "mp3"),
    "m4a": (".m4a", "aac"),
    "alac.m4a": (".m4a", "alac"),
    "opus": (".opus", "opus"),
    "ogg": (".ogg", "vorbis"),
    "flac": (".flac", "flac"),
}
REMUXED = {
    "webm": (".opus", "opus"),
    "mp4": (".m4a", "aac"),
    "fragmented.m4a": (".m4a", "aac"),
    "aac": (".m4a", "aac"),
    "ts": (".m4a", "aac"),
    "wav": (".flac", "flac"),
    "aiff": (".flac", "flac"),
}
CODECS = {
    AudioFormat.MP3: (".mp3", "mp3"),
    AudioFormat.M4A: (".m4a", "aac"),
    AudioFormat.OPUS: (".opus", "opus"),
    AudioFormat.FLAC: (".flac", "flac"),
}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Put a copy of a file where a fetch would have left it, under a name that says nothing."""
    return lambda file: Path(shutil.copyfile(file, tmp_path / "source.unknown_video"))


async def convert(engine: Engine, path: Path, wanted: AudioFormat = AudioFormat.BEST) -> Audio:
    audio = (await engine.convert(path, wanted=wanted, deadline=120.0)).audio
    assert audio.path.parent == path.parent
    assert [file.name for file in path.parent.iterdir()] == [audio.path.name]
    return audio


@pytest.mark.parametrize("wanted", [AudioFormat.BEST, AudioFormat.OPUS])
@pytest.mark.parametrize("kind", ["mp3", "flac", "aac", "wav"])
async def test_what_turns_out_to_last_too_long_is_refused(
    engine: Engine, stage: Stage, kind: str, wanted: AudioFormat
) -> None:
    path = stage(media.make(kind, seconds=9))
    with pytest.raises(
        DownloadFailedError, match="lasts 9 seconds, more than the 7 seconds allowed"
    ) as caught:
        await engine.convert(path, wanted=wanted, deadline=60.0, max_duration=7.0)
    assert (caught.value.code, caught.value.transient) == (ErrorCode.TOO_LONG, False)
    assert not [file for file in path.parent.iterdir() if file.name.startswith("audio.")]
    shutil.copyfile(media.make(kind, seconds=9), path)
    assert (await engine.convert(path, wanted=wanted, deadline=60.0, max_duration=10.0)).audio.duration


@pytest.mark.parametrize(("kind", "expected"), RIGHT_ALREADY.items())
async def test_best_leaves_every_byte_where_the_container_is_right(
    engine: Engine, stage: Stage, kind: str, expected: tuple[str, str]
) -> None:
    file = media.make(kind, title="A Song")
    audio = await convert(engine, stage(file))
    assert (audio.path.suffix, audio.codec) == expected
    assert audio.path.read_bytes() == file.read_bytes()
    assert audio.duration == pytest.approx(media.SECONDS, abs=0.1)
    assert audio.bitrate


@pytest.mark.parametrize(("kind", "expected"), REMUXED.items())
async def test_best_moves_the_codec_into_its_usual_container(
    engine: Engine, stage: Stage, kind: str, expected: tuple[str, str]
) -> None:
    audio = await convert(engine, stage(media.make(kind, title="A Song")))
    assert (audio.path.suffix, audio.codec) == expected
    assert not audio.has_video
    assert audio.duration == pytest.approx(media.SECONDS, abs=0.2)
    assert read(audio.path) == audio


@pytest.mark.parametrize("wanted", CODECS)
@pytest.mark.parametrize("kind", ["mp3", "flac", "webm"])
async def test_a_wanted_format_is_what_comes_out(
    engine: Engine, stage: Stage, kind: str, wanted: AudioFormat
) -> None:
    audio = await convert(engine, stage(media.make(kind)), wanted)
    assert (audio.path.suffix, audio.codec) == CODECS[wanted]
    assert audio.duration == pytest.approx(media.SECONDS, abs=0.2)


async def test_the_wanted_codec_is_not_encoded_again(engine: Engine, stage: Stage) -> None:
    file = media.make("mp3")
    audio = await convert(engine, stage(file), AudioFormat.MP3)
    assert audio.path.read_bytes() == file.read_bytes()


async def test_a_kind_that_has_no_container_here_suggests_mp3(engine: Engine, stage: Stage) -> None:
    path = stage(media.make("ac3.mkv"))
    with pytest.raises(DownloadFailedError, match="mp3") as caught:
        await engine.convert(path, wanted=AudioFormat.BEST, deadline=120.0)
    assert caught.value.code is ErrorCode.BAD_MEDIA
    assert (await convert(engine, path, AudioFormat.MP3)).codec == "mp3"


async def test_a_video_without_sound_holds_no_audio(engine: Engine, stage: Stage) -> None:
    with pytest.raises(DownloadFailedError) as caught:
        await engine.convert(stage(media.make("silent.mp4")), wanted=AudioFormat.BEST, deadline=120.0)
    assert caught.value.code is ErrorCode.NO_AUDIO


async def test_the_same_input_gives_the_same_bytes_without_its_tags(engine: Engine, stage: Stage) -> None:
    file = media.make("webm", title="Secret", artist="Nobody")
    first = (await convert(engine, stage(file))).path
    content = first.read_bytes()
    assert mutagen.File(first).tags.get("title") is None
    first.unlink()
    assert (await convert(engine, stage(file))).path.read_bytes() == content


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!doctype html><html><body>Not audio</body></html>",
        b"\n\n  <html>",
        b'{"error": "gone"}',
        b"#EXTM3U\n#EXTINF:10,\nfile:///etc/hostname\n",
        b"\xef\xbb\xbf#EXTM3U\n/etc/hostname\n",
        b"ID3\x04\x00\x00\x00\x00\x00\x00#EXTM3U\n#EXTINF:10,\nfile:///etc/hostname\n",
        b"ffconcat version 1.0\nfile /etc/hostname\n",
        b"[playlist]\nFile1=/etc/hostname\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
        b"\xff\xfb\x90\x00" + b"\0" * 5000,
        b"OggS" + b"\0" * 500,
        b"\0\0\0\x20ftypM4A " + b"\xff" * 500,
        b"\x1aE\xdf\xa3" + b"\0" * 500,
        b"RIFF\xff\xff\xff\xffWAVE" + b"x" * 500,
        b"just some words\n" * 100,
    ],
    ids=range(16),
)
@pytest.mark.parametrize("wanted", [AudioFormat.BEST, AudioFormat.MP3])
async def test_what_is_not_audio_is_bad_media_and_leaks_nothing(
    engine: Engine, tmp_path: Path, content: bytes, wanted: AudioFormat
) -> None:
    path = tmp_path / "source.mp3"
    path.write_bytes(content)
    with pytest.raises(DownloadFailedError) as caught:
        await engine.convert(path, wanted=wanted, deadline=120.0)
    assert caught.value.code is ErrorCode.BAD_MEDIA
    assert Path("/etc/hostname").read_text().strip() not in caught.value.detail
    assert list(tmp_path.iterdir()) == [path]


async def test_a_conversion_that_takes_too_long_is_given_up(engine: Engine, stage: Stage) -> None:
    with pytest.raises(DownloadFailedError) as caught:
        await engine.convert(stage(media.make("wav", seconds=300)), wanted=AudioFormat.OPUS, deadline=0.1)
    assert (caught.value.code, caught.value.transient) == (ErrorCode.TIMEOUT, True)


async def test_a_conversion_ends_before_its_disk_is_full(engine: Engine, stage: Stage) -> None:
    path = stage(media.make("wav", seconds=300))
    with pytest.raises(DownloadFailedError) as caught:
        await engine.convert(path, wanted=AudioFormat.OPUS, deadline=120.0, min_free=2**60)
    assert (caught.value.code, caught.value.transient) == (ErrorCode.NO_SPACE, True)


@pytest.mark.priority
async def test_a_conversion_takes_what_others_leave_of_the_processors(engine: Engine, stage: Stage) -> None:
    path = stage(media.make("wav", seconds=300))
    converting = asyncio.create_task(engine.convert(path, wanted=AudioFormat.OPUS, deadline=120.0))
    template = psutil.Process(engine.template_pid)
    async with asyncio.timeout(60):
        while not any(child.nice() == 15 for child in below(template, "libopus")):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    converting.cancel()
    await asyncio.wait({converting})


async def test_a_killed_conversion_is_transient(engine: Engine, stage: Stage) -> None:
    path = stage(media.make("wav", seconds=300))
    converting = asyncio.create_task(engine.convert(path, wanted=AudioFormat.OPUS, deadline=120.0))
    template = psutil.Process(engine.template_pid)
    while not (running := below(template, "libopus")):  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.01)
    running[0].kill()
    with pytest.raises(DownloadFailedError) as caught:
        await converting
    assert (caught.value.code, caught.value.transient) == (ErrorCode.INTERNAL, True)


async def test_a_result_above_the_limit_is_too_large(engine: Engine, stage: Stage) -> None:
    path = stage(media.make("mp3"))
    with pytest.raises(DownloadFailedError) as caught:
        await engine.convert(path, wanted=AudioFormat.FLAC, deadline=120.0, max_bytes=20_000)
    assert caught.value.code is ErrorCode.TOO_LARGE
