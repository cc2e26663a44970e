"""Whether an audio file is all there: what its own headers promise against its size, nothing decoded.

Only a clear promise that is clearly broken counts. Files without one (no Xing header, no count of samples, a
recorded stream) are taken as they are.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from music_downloader.engine import isobmff

_ENOUGH: Final = 0.95
_ID3_HEADER: Final = 10
_MAX_TAGS: Final = 4
_MP3_HEAD: Final = 4096
_XING_BYTES: Final = 2  # flags of the Xing header: 1 frames, 2 bytes; each a word, in this order
_STREAMINFO: Final = struct.Struct(
    ">HH3s3sQ"
)  # block sizes, frame sizes, then rate, channels, depth, samples
_FLAC_TAIL: Final = 1024**2
_OGG_TAIL: Final = 2 * 65_307  # the largest page, twice
_OGG_HEADER: Final = 27
_OGG_FLAGS: Final = 7


def breaks_off(path: Path, container: str) -> bool:
    """Say whether `path`, a `container` as `Audio` names it, ends before the audio it promises."""
    judges = {"mp3": _mp3, "flac": _flac, "mp4": isobmff.breaks_off, "ogg": _ogg}
    judge = judges.get(container)
    if judge is None:
        return False
    with path.open("rb") as file:
        try:
            return judge(file)
        except (struct.error, IndexError):  # a broken header promises nothing
            return False


def _mp3(file: BinaryIO) -> bool:
    """Compare the size with the one in a Xing (or Info) or VBRI header, which sit in the first frame."""
    head = _behind_tags(file)
    size = file.seek(0, os.SEEK_END)
    promised = 0
    for mark in (b"Xing", b"Info"):
        at = head.find(mark, 0, 64)
        if at >= 0:
            flags, first, second = struct.unpack_from(">III", head, at + 4)
            promised = (second if flags & 1 else first) if flags & _XING_BYTES else 0
    if head[36:40] == b"VBRI":
        promised = struct.unpack_from(">I", head, 46)[0]
    return size < promised * _ENOUGH


def _behind_tags(file: BinaryIO) -> bytes:
    """Return what follows the ID3v2 tags and their padding."""
    head = file.read(_MP3_HEAD)
    position = 0
    for _ in range(_MAX_TAGS):
        if not head.startswith(b"ID3"):
            break
        length = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        position += _ID3_HEADER + length
        file.seek(position)
        head = file.read(_MP3_HEAD)
    return head.lstrip(b"\0")


def _flac(file: BinaryIO) -> bool:
    """Compare the last frame's place with the count of samples in STREAMINFO (RFC 9639, 8.2 and 9.1)."""
    head = _behind_tags(file)
    if head[:4] != b"fLaC":
        return False
    fixed, longest, _, _, packed = _STREAMINFO.unpack_from(head, 8)
    total = int(packed) & (2**36 - 1)
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _FLAC_TAIL))
    nothing = 0 if size <= _FLAC_TAIL else total  # behind a megabyte of something else, there may be frames
    reached = max(_flac_frames(file.read(), fixed, longest, total), default=nothing)
    return total - reached > int(longest)


def _flac_frames(data: bytes, fixed: int, longest: int, total: int) -> Iterator[int]:
    """Yield the sample behind each frame whose header is found in `data`, none of them beyond `total`."""
    start = data.find(b"\xff")
    while start >= 0:
        header = data[start : start + 16]
        if len(header) == 16 and header[1] in (0xF8, 0xF9) and header[3] & 1 == 0:  # noqa: PLR2004 - as cut
            number, length = _coded_number(header[4:])
            end = (
                4
                + length
                + {6: 1, 7: 2}.get(header[2] >> 4, 0)
                + {12: 1, 13: 2, 14: 2}.get(header[2] & 15, 0)
            )
            if length and _crc8(header[:end]) == header[end]:
                reached = number + longest if header[1] & 1 else (number + 1) * fixed
                if reached <= total + longest:
                    yield reached
        start = data.find(b"\xff", start + 1)


def _coded_number(data: bytes) -> tuple[int, int]:
    """Read a number coded like UTF-8, up to seven bytes; the length is 0 for what is none."""
    ones = 8 - (data[0] ^ 0xFF).bit_length()
    if ones == 0:
        return data[0], 1
    if ones == 1 or ones > 7 or any(byte >> 6 != 2 for byte in data[1:ones]):  # noqa: PLR2004 - the coding's own
        return 0, 0
    number = data[0] & (0x7F >> ones)
    for byte in data[1:ones]:
        number = number << 6 | byte & 0x3F
    return number, ones


def _crc8(data: bytes) -> int:
    """Return the CRC-8 with the polynomial x⁸ + x² + x + 1."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x107) if crc & 0x80 else crc << 1
    return crc


def _ogg(file: BinaryIO) -> bool:
    """Say whether the last page is cut (RFC 3533, 6); one that is whole is believed to be the last."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _OGG_TAIL))
    tail = file.read()
    at = tail.rfind(b"OggS\0")
    if at < 0 or tail[at + 5] > _OGG_FLAGS:
        return False
    segments = tail[at + _OGG_HEADER - 1] if len(tail) > at + _OGG_HEADER else 0
    table = tail[at + _OGG_HEADER : at + _OGG_HEADER + segments]
    return len(tail) < at + _OGG_HEADER + segments + sum(table)
