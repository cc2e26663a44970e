"""Which ffmpeg there is, and how it may be called: no network, no formats that name other files."""

import asyncio
import functools
import os
import re
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import imageio_ffmpeg

from music_downloader.engine import faults
from music_downloader.engine.containment import Limits
from music_downloader.engine.spawner import Spawner
from music_downloader.errors import DownloadFailedError, ErrorCode

_PROBE_DEADLINE: Final = 60.0
_KEPT_OUTPUT: Final = 64 * 1024
_MEMORY: Final = 1024**3
_ENDED_BY_OTHERS: Final = {None, -signal.SIGKILL, -signal.SIGTERM}
# Demuxers that read one file and nothing else; playlists (HLS, DASH, concat) would open what they name.
FORMATS: Final = (
    "mp3,aac,ac3,eac3,amr,ape,asf,avi,caf,flac,flv,ogg,tta,wav,w64,wv,aiff,mpegts,mpeg,"
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm"
)
_GUARDED_INPUT: Final = ("-protocol_whitelist", "file,pipe", "-format_whitelist", FORMATS)

_INPUT = re.compile(r"^Input #0, ([\w,]+), from ", re.MULTILINE)
_DURATION = re.compile(r"^  Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)", re.MULTILINE)
_OVERALL_BITRATE = re.compile(r"^  Duration: .*bitrate: (\d+) kb/s", re.MULTILINE)
_STREAM = re.compile(r"^  Stream #0:\d+\S*: (Audio|Video): (\w+)([^\n]*)", re.MULTILINE)
_STREAM_BITRATE = re.compile(r", (\d+) kb/s")
_CONTAINERS: Final = {"matroska,webm": "matroska", "mov,mp4,m4a,3gp,3g2,mj2": "dash"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """What ffmpeg sees in a file: kbit/s and seconds; `codec` is None where there is no audio."""

    container: str
    codec: str | None
    bitrate: int | None
    duration: float | None
    has_video: bool


@functools.cache
def executable() -> str:
    """Return the system's ffmpeg, or the one that comes with us."""
    return shutil.which("ffmpeg") or imageio_ffmpeg.get_ffmpeg_exe()


async def run(
    spawner: Spawner,
    arguments: list[str],
    *,
    directory: Path,
    deadline: float,
    max_bytes: int | None = None,
    nice: int = 0,
    idle: bool = False,
    reads: tuple[str, ...] = (),
    on_output: Callable[[bytes], None] = lambda _: None,
) -> tuple[int | None, str]:
    """Run ffmpeg in `directory` and return its exit status and the end of what it wrote to stderr.

    `on_output` hears what it writes to stdout. The nicer it is, the smaller is its share of busy processors;
    with `idle`, it runs only while nothing else wants to. `reads` are files elsewhere that it may read.

    Raises DownloadFailedError: timeout after `deadline` seconds, internal when somebody else ended it.
    """
    computing = int(deadline) * (os.cpu_count() or 1) + 1
    limits = Limits(file_bytes=max_bytes, data_bytes=_MEMORY, cpu_seconds=computing, nice=nice, idle=idle)
    argv = [executable(), "-nostdin", "-hide_banner", *arguments]
    async with spawner.child("exec", directory=directory, limits=limits, argv=argv, reads=reads) as child:
        try:
            async with asyncio.timeout(deadline):
                output, _ = await asyncio.gather(_tail(child.stderr), _hand_on(child.stdout, on_output))
                status = await asyncio.shield(child.ended)
        except TimeoutError as error:
            raise DownloadFailedError(
                ErrorCode.TIMEOUT, "Converting the audio took too long.", transient=True
            ) from error
    if status in _ENDED_BY_OTHERS:  # such as the kernel when memory is short: the audio isn't to blame
        raise DownloadFailedError(
            ErrorCode.INTERNAL, "The process that converts ended unexpectedly.", transient=True
        )
    return status, output


def guarded_input(name: str) -> list[str]:
    """Return the arguments that open `name`, a file of the working folder, as untrusted input."""
    return [*_GUARDED_INPUT, "-i", f"file:{name}"]


async def describe(spawner: Spawner, path: Path) -> Description | None:
    """Let ffmpeg look at `path`; None when it can't read it."""
    _, output = await run(spawner, guarded_input(path.name), directory=path.parent, deadline=_PROBE_DEADLINE)
    return parse(output)


def parse(output: str) -> Description | None:
    """Read what `ffmpeg -i` prints; tags are indented further, so none can pose as a stream."""
    container = _INPUT.search(output)
    if container is None:
        return None
    streams = [(kind, codec, rest) for kind, codec, rest in _STREAM.findall(output)]
    audio = next(((codec, rest) for kind, codec, rest in streams if kind == "Audio"), None)
    rate = _STREAM_BITRATE.search(audio[1]) if audio else None
    rate = rate or _OVERALL_BITRATE.search(output)
    length = _DURATION.search(output)
    seconds = int(length[1]) * 3600 + int(length[2]) * 60 + float(length[3]) if length else 0.0
    return Description(
        container=_CONTAINERS.get(container[1], container[1]),
        codec=None if audio is None else "pcm" if audio[0].startswith("pcm_") else audio[0],
        bitrate=int(rate[1]) if rate else None,
        duration=seconds or None,
        has_video=any(kind == "Video" and "(attached pic)" not in rest for kind, _, rest in streams),
    )


def failure(output: str) -> DownloadFailedError:
    """Return what ffmpeg's last words mean."""
    if "No space left on device" in output or "Disk quota exceeded" in output:
        return faults.NO_SPACE.error()
    if "File too large" in output:
        return faults.TOO_LARGE.error()
    return DownloadFailedError(
        ErrorCode.BAD_MEDIA, "The audio is damaged or of a kind that can't be converted."
    )


async def _tail(stream: asyncio.StreamReader) -> str:
    """Read to the end, keeping the last part."""
    kept = bytearray()
    while piece := await stream.read(_KEPT_OUTPUT):
        kept += piece
        del kept[:-_KEPT_OUTPUT]
    return kept.decode("utf-8", "replace")


async def _hand_on(stream: asyncio.StreamReader, on_output: Callable[[bytes], None]) -> None:
    while piece := await stream.read(_KEPT_OUTPUT):
        on_output(piece)
