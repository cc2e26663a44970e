"""From what a source sent to the file the library keeps: copied where possible, encoded where asked."""

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import structlog

from music_downloader.config.audio import AudioFormat
from music_downloader.engine import ffmpeg, wholeness
from music_downloader.engine.faults import too_long
from music_downloader.engine.loudness import MEASURING, Loudness, Meter
from music_downloader.engine.probe import Audio, probe
from music_downloader.engine.spawner import Spawner
from music_downloader.engine.watch import while_there_is_room
from music_downloader.errors import DownloadFailedError, ErrorCode

# A thirtieth of a busy processor is enough to be done in time, and whoever looks at the page comes first.
_NICE: Final = 15
_RELATIVE_TOLERANCE: Final = 0.05
_TOLERANCE: Final = 2.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Home:
    """Where a codec lives: the file's extension, the container as `Audio` names it, ffmpeg's muxer."""

    extension: str
    container: str
    muxer: str
    options: tuple[str, ...] = ()


_M4A: Final = _Home(extension="m4a", container="mp4", muxer="ipod", options=("-movflags", "+faststart"))
_HOMES: Final = {
    "mp3": _Home(extension="mp3", container="mp3", muxer="mp3"),
    "aac": _M4A,
    "alac": _M4A,
    "opus": _Home(extension="opus", container="ogg", muxer="opus"),
    "vorbis": _Home(extension="ogg", container="ogg", muxer="ogg"),
    "flac": _Home(extension="flac", container="flac", muxer="flac"),
}
# The codec of each format, and how it is encoded. V0 averages about 245 kbit/s; ffmpeg's own AAC encoder
# needs more than libopus does for the same ear.
_CODECS: Final = {
    AudioFormat.MP3: "mp3",
    AudioFormat.M4A: "aac",
    AudioFormat.OPUS: "opus",
    AudioFormat.FLAC: "flac",
}
_ENCODERS: Final = {
    "mp3": ("libmp3lame", "-q:a", "0"),
    "aac": ("aac", "-b:a", "256k"),
    "opus": ("libopus", "-b:a", "160k"),
    "flac": ("flac",),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Converted:
    """What became of a fetched file. `original`: nothing was encoded, only copied or renamed.

    `loudness` is there if it was asked for and something was encoded.
    """

    audio: Audio
    original: bool
    loudness: Loudness | None = None


async def to_audio(
    spawner: Spawner,
    path: Path,
    *,
    wanted: AudioFormat,
    deadline: float,
    max_bytes: int | None = None,
    max_duration: float | None = None,
    min_free: int = 0,
    measure: bool = False,
    turn: AbstractAsyncContextManager[None] | None = None,
) -> Converted:
    """Turn `path` into `audio.<ext>` beside it and say what that is; `path` itself is gone afterwards.

    `best` keeps the source's codec, except that uncompressed audio becomes FLAC. A source that already has
    the wanted codec is never encoded again, and one that is already in the right container is only renamed,
    byte for byte. Pictures, video, chapters and tags are dropped wherever ffmpeg writes. `deadline` is in
    seconds of ffmpeg's work; `turn` is entered for just that work, and so may make it wait. With `measure`,
    what is encoded is measured too; the file is the same either way.

    Raises DownloadFailedError: too_long for what lasts longer than `max_duration` seconds, which many sources
    don't tell before; no_space also while ffmpeg works and less than `min_free` bytes are left.
    """
    source = await probe(spawner, path)
    if await asyncio.to_thread(wholeness.breaks_off, path, source.container):
        raise DownloadFailedError(
            ErrorCode.BAD_MEDIA, "The audio is incomplete: it ends before what its header promises."
        )
    if not source.estimated:
        _refuse_longer(source, max_duration)
    codec = _target(source, wanted)
    home = _HOMES[codec]
    output = path.with_name(f"audio.{home.extension}")
    if source.codec == codec and source.container == home.container and not source.has_video:
        _refuse_longer(source, max_duration)
        path.rename(output)  # noqa: ASYNC240 - within one folder
        return Converted(audio=replace(source, path=output), original=True)
    original = source.codec == codec
    meter = Meter() if measure and not original else None
    coding = ("copy",) if original else _ENCODERS[codec]
    arguments = [
        *("-loglevel", "error", "-y"),
        *ffmpeg.guarded_input(path.name),
        *("-map", "0:a:0", "-map_metadata", "-1", "-map_chapters", "-1", "-vn", "-sn", "-dn"),
        *("-c:a", *coding, "-threads", "1", "-fflags", "+bitexact", "-flags:a", "+bitexact"),
        *(*home.options, "-f", home.muxer, f"file:{output.name}"),
        *(MEASURING if meter else ()),  # decoded once for both outputs
    ]
    async with turn or nullcontext():
        running = ffmpeg.run(
            spawner,
            arguments,
            directory=path.parent,
            deadline=deadline,
            max_bytes=max_bytes,
            nice=_NICE,
            on_output=meter.feed if meter else lambda _: None,
        )
        status, words = await while_there_is_room(running, directory=path.parent, min_free=min_free)
    if status != 0:
        log.warning("engine.ffmpeg_failed", status=status, words=words[-500:])
        output.unlink(missing_ok=True)
        raise ffmpeg.failure(words)
    try:
        result = await _checked(spawner, output, source, codec)
        _refuse_longer(result, max_duration)
    except DownloadFailedError:
        output.unlink(missing_ok=True)
        raise
    path.unlink(missing_ok=True)  # noqa: ASYNC240 - one file of the run's own
    return Converted(audio=result, original=original, loudness=meter.result() if meter else None)


def _refuse_longer(audio: Audio, limit: float | None) -> None:
    if limit is not None and audio.duration and audio.duration > limit:
        raise too_long(audio.duration, limit)


def _target(source: Audio, wanted: AudioFormat) -> str:
    """Return the codec to end with."""
    if wanted is AudioFormat.M4A and source.codec == "alac":
        return "alac"
    if wanted is not AudioFormat.BEST:
        return _CODECS[wanted]
    if source.codec == "pcm":
        return "flac"
    if source.codec not in _HOMES:
        raise DownloadFailedError(
            ErrorCode.BAD_MEDIA,
            "The source's audio is of a kind that can't be kept as it is; ask for the format mp3 instead.",
        )
    return source.codec


async def _checked(spawner: Spawner, output: Path, source: Audio, codec: str) -> Audio:
    """Return what `output` is, once it is known to hold all of `source`."""
    result = await probe(spawner, output)
    if result.codec != codec:
        raise DownloadFailedError(ErrorCode.INTERNAL, "The conversion ended in the wrong format.")
    if source.duration and result.duration and not source.estimated:
        allowed = max(_TOLERANCE, source.duration * _RELATIVE_TOLERANCE)
        if abs(source.duration - result.duration) > allowed:
            raise DownloadFailedError(
                ErrorCode.BAD_MEDIA, "The audio is damaged: only a part of it could be converted."
            )
    return result
