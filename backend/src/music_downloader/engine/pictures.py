"""Cover pictures: fetched by a child like everything else, and made into what players show."""

import asyncio
from pathlib import Path
from typing import Final

import structlog

from music_downloader.engine import ffmpeg, images
from music_downloader.engine.spawner import Spawner
from music_downloader.errors import DownloadFailedError, ErrorCode

_LONGEST_SIDE: Final = 1200
_MAX_PIXELS: Final = 40_000_000
_MAX_COVER: Final = 8 * 1024**2
_MAX_WALKED: Final = 20 * 1024**2
# Whatever is not nearly square is a video's still, or has a square picture in its middle.
_STILL: Final = "gt(max(iw,ih),1.2*min(iw,ih))"
_SQUARE: Final = f"crop=w='if({_STILL},min(iw,ih),iw)':h='if({_STILL},min(iw,ih),ih)':exact=1"
_SMALLER: Final = (
    f"scale=w='min(iw,{_LONGEST_SIDE})':h='min(ih,{_LONGEST_SIDE})'"
    ":force_original_aspect_ratio=decrease:flags=lanczos,setsar=1"
)
_ON_WHITE: Final = "format=rgba,split[a][b];[a]drawbox=c=white:t=fill:replace=1[w];[w][b]overlay=format=rgb"

log = structlog.get_logger(__name__)


async def make_cover(spawner: Spawner, path: Path, *, deadline: float) -> bytes:
    """Return the picture in `path` as a cover: see `Engine.make_cover`."""
    kind = await asyncio.to_thread(_checked, path)
    output = path.with_name(f".{path.name}.cover")
    filters = [_SQUARE, _SMALLER, *([] if kind == "jpg" else [_ON_WHITE]), "format=yuvj420p"]
    arguments = [
        *("-loglevel", "error", "-y", "-xerror", "-err_detect", "explode"),
        *("-protocol_whitelist", "file", "-format_whitelist", images.DEMUXERS[kind]),
        *("-max_pixels", str(_MAX_PIXELS), "-threads", "1", "-f", images.DEMUXERS[kind]),
        *("-i", f"file:{path.name}", "-map", "0:v:0", "-frames:v", "1", "-map_metadata", "-1"),
        *("-vf", ",".join(filters), "-filter_threads", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact"),
        *("-c:v", "mjpeg", "-threads", "1", "-q:v", "3", "-f", "mjpeg", f"file:{output.name}"),
    ]
    try:
        status, words = await ffmpeg.run(
            spawner, arguments, directory=path.parent, deadline=deadline, max_bytes=_MAX_COVER
        )
        cover = await asyncio.to_thread(_taken, output)
    finally:
        await asyncio.to_thread(output.unlink, missing_ok=True)
    if status != 0 or images.kind_of(cover) != "jpg":
        log.info("engine.bad_picture", status=status, words=words[-300:])
        raise _bad("The picture is damaged, or larger than pictures may be.")
    return cover


def _checked(path: Path) -> str:
    """Return the kind of a picture that is worth a try."""
    with path.open("rb") as file:
        head = file.read(images.HEAD)
        kind = images.kind_of(head)
        if kind is None:
            raise _bad("What was to be a picture is none.")
        try:
            moving = images.moves(head + file.read(_MAX_WALKED) if kind == "gif" else head)
        except ValueError as error:
            raise _bad("The picture is damaged.") from error
    if moving:
        raise _bad("The picture moves.")
    return kind


def _taken(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _bad(detail: str) -> DownloadFailedError:
    return DownloadFailedError(ErrorCode.BAD_MEDIA, detail)
