"""What an audio file really is, told by its content and never by its name."""

import asyncio
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

import mutagen
from mutagen.aac import AACInfo
from mutagen.flac import FLAC
from mutagen.mp3 import BitrateMode, MPEGInfo
from mutagen.mp4 import MP4
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis

from music_downloader.engine import ffmpeg, isobmff
from music_downloader.engine.spawner import Spawner
from music_downloader.errors import DownloadFailedError, ErrorCode

_HEAD: Final = 4096
_OGG_HEAD: Final = 64 * 1024
_ID3_HEADER: Final = 10
_MOST_ID3: Final = 16
_PAGE_HEADER: Final = 27  # the last byte counts the lengths that follow (RFC 3533, section 6)
_TEXT = re.compile(rb"(?i)\s*(?:\xef\xbb\xbf)?\s*(?:<|\{|\[|#extm3u|#!|%pdf|http/|event:|data:)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Audio:
    """An audio file: `bitrate` in kbit/s, `duration` in seconds, both None when unknown.

    `container` is one of mp3, mp4, ogg, flac, wav, aiff, aac, or ffmpeg's own name; an MP4 that is fragmented
    or odd in another way is `dash`. `estimated` says that the duration was reckoned from the size.
    """

    path: Path
    container: str
    codec: str
    bitrate: int | None = None
    duration: float | None = None
    has_video: bool = False
    estimated: bool = False


async def probe(spawner: Spawner, path: Path) -> Audio:
    """Look at `path`; ffmpeg is asked only about what mutagen doesn't read.

    Raises DownloadFailedError (bad_media) when it isn't audio.
    """
    audio = await asyncio.to_thread(read, path)
    return audio or await _ask_ffmpeg(spawner, path)


def read(path: Path) -> Audio | None:
    """Look at `path` without ffmpeg; None when that isn't enough.

    Tags are read only where they can't be told from what describes the audio (FLAC, MP4 and Ogg): whoever
    calls has seen that they are no more than music has. WAV and AIFF are left to ffmpeg.

    Raises DownloadFailedError (bad_media) when it can't be audio.
    """
    with path.open("rb") as file:
        head = _after_id3(file)
        if not head:
            raise DownloadFailedError(ErrorCode.BAD_MEDIA, "The source sent an empty file.")
        if _TEXT.match(head):
            raise DownloadFailedError(
                ErrorCode.BAD_MEDIA, "The source sent a page or a playlist instead of audio."
            )
        try:
            return _by_magic(path, file, head)
        except (mutagen.MutagenError, ValueError, IndexError, KeyError, EOFError, OverflowError):
            return None  # ffmpeg may be more patient with it


def _by_magic(path: Path, file: BinaryIO, head: bytes) -> Audio | None:
    readers = {
        "mp4": head[4:8] == b"ftyp",
        "ogg": head.startswith(b"OggS"),
        "flac": head.startswith(b"fLaC"),
        "aac": _sync(head, 0xFFF6, 0xFFF0),  # ADTS: twelve ones, layer 0 (ISO/IEC 13818-7)
        "mp3": _sync(head, 0xFFE6, 0xFFE2),  # eleven ones, layer III (ISO/IEC 11172-3)
    }
    container = next((name for name, matches in readers.items() if matches), None)
    if container == "mp4":
        return _mp4(path, file)
    if container == "ogg":
        return _ogg(path, file)
    return _plain(path, container) if container else None


def _sync(head: bytes, mask: int, expected: int) -> bool:
    return int.from_bytes(head[:2]) & mask == expected


def _plain(path: Path, container: str) -> Audio | None:
    """Read a container that holds one codec only, and is named after it."""
    if container == "flac":
        return _audio(path, container, container, FLAC(path).info)
    with path.open("rb") as file:
        info = AACInfo(file) if container == "aac" else MPEGInfo(file)
    if container == "mp3" and info.sketchy:
        return None
    guessed = container == "aac" or info.bitrate_mode == BitrateMode.UNKNOWN
    return replace(_audio(path, container, container, info), estimated=guessed)


def _info(kind: Any, path: Path) -> Any:  # noqa: ANN401 - mutagen has no types
    return kind(path).info


def _after_id3(file: BinaryIO) -> bytes:
    """Return the first bytes behind an ID3v2 tag, if there is one (its size is a synchsafe integer)."""
    head = file.read(_HEAD)
    for _ in range(_MOST_ID3):
        if not head.startswith(b"ID3") or len(head) < _ID3_HEADER:
            break
        size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        file.seek(file.tell() - len(head) + _ID3_HEADER + size)
        head = file.read(_HEAD)
        padding = len(head) - len(head.lstrip(b"\0"))
        if padding:
            head = head[padding:] + file.read(padding)
    return head


def _mp4(path: Path, file: BinaryIO) -> Audio | None:
    layout = isobmff.scan(file)
    info = _info(MP4, path)
    codec = {"mp4a.40": "aac", "alac": "alac", "fLaC": "flac", "Opus": "opus", "mp4a.6B": "mp3"}.get(
        info.codec[:7] if info.codec.startswith("mp4a") else info.codec
    )
    if codec is None or layout.fragmented or not info.length:
        return None
    return replace(_audio(path, "mp4", codec, info), has_video=layout.has_video)


def _ogg(path: Path, file: BinaryIO) -> Audio | None:
    file.seek(0)
    start = file.read(_OGG_HEAD)
    if b"\x80theora" in start or b"BBCD\0" in start or len(start) < _PAGE_HEADER:
        return None
    payload = start[_PAGE_HEADER + start[_PAGE_HEADER - 1] :]
    for mark, codec, kind in (
        (b"OpusHead", "opus", OggOpus),
        (b"\x01vorbis", "vorbis", OggVorbis),
        (b"\x7fFLAC", "flac", OggFLAC),
    ):
        if payload.startswith(mark):
            audio = _audio(path, "ogg", codec, _info(kind, path))
            size = path.stat().st_size
            rate = size * 8 / audio.duration / 1000 if audio.duration else None
            return replace(audio, bitrate=audio.bitrate or (round(rate) if rate else None))
    return None


def _audio(path: Path, container: str, codec: str, info: Any) -> Audio:  # noqa: ANN401 - mutagen has no types
    bitrate = getattr(info, "bitrate", 0)
    return Audio(
        path=path,
        container=container,
        codec=codec,
        bitrate=round(bitrate / 1000) or None,
        duration=float(info.length) or None,
    )


async def _ask_ffmpeg(spawner: Spawner, path: Path) -> Audio:
    described = await ffmpeg.describe(spawner, path)
    if described is None:
        raise DownloadFailedError(ErrorCode.BAD_MEDIA, "What the source sent can't be read as audio.")
    if described.codec is None:
        raise DownloadFailedError(ErrorCode.NO_AUDIO, "What the source sent holds no audio.")
    return Audio(
        path=path,
        container=described.container,
        codec=described.codec,
        bitrate=described.bitrate,
        duration=described.duration,
        has_video=described.has_video,
        estimated=described.container in ("mp3", "aac"),
    )
