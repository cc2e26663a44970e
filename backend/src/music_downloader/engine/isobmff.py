"""The few facts about an MP4 file that need its atoms (ISO/IEC 14496-12), not its tags."""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

_MAX_ATOMS: Final = 10_000
_PARENTS: Final = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
_SHORT_HEADER: Final = 8
_LONG_HEADER: Final = 16
_CHUNK_TABLE: Final = 8  # version, flags and the count
_SLACK: Final = 1024
_HANDLER_TYPE: Final = 8  # behind version, flags and a reserved word


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Whether a track shows moving pictures, and whether the samples lie in `moof` fragments."""

    has_video: bool
    fragmented: bool


def scan(file: BinaryIO) -> Layout:
    """Walk the atoms of `file`; one that is broken ends the walk."""
    has_video = fragmented = False
    end = file.seek(0, os.SEEK_END)
    for kind, offset, size in _atoms(file, 0, end):
        if kind in (b"moof", b"mvex"):
            fragmented = True
        elif kind == b"hdlr" and size >= _HANDLER_TYPE + 4:
            file.seek(offset + _HANDLER_TYPE)
            has_video = has_video or file.read(4) == b"vide"
    return Layout(has_video=has_video, fragmented=fragmented)


def breaks_off(file: BinaryIO) -> bool:
    """Say whether samples lie behind the end of `file`: in an `mdat` cut short, or where `moov` points to."""
    end = file.seek(0, os.SEEK_END)
    start = 0
    for _ in range(_MAX_ATOMS):
        file.seek(start)
        head = file.read(16)
        if len(head) < _SHORT_HEADER:
            break
        size, kind = struct.unpack_from(">I4s", head)
        if size == 1 and len(head) == _LONG_HEADER:
            size = struct.unpack_from(">Q", head, 8)[0]
        if kind == b"mdat" and start + size > end + _SLACK:
            return True
        if size < _SHORT_HEADER or start + size > end:
            break
        start += size
    return any(offset >= end for offset in _chunks(file, end))


def _chunks(file: BinaryIO, end: int) -> Iterator[int]:
    """Yield the last place of each track's chunks (`stco` with 32 bits, `co64` with 64), which ascend."""
    for kind, offset, size in _atoms(file, 0, end):
        width = {b"stco": 4, b"co64": 8}.get(kind)
        if width is not None and size >= _CHUNK_TABLE + width:
            file.seek(offset + 4)
            count = struct.unpack(">I", file.read(4))[0]
            last = min(count * width, size - _CHUNK_TABLE) // width * width
            if last:
                file.seek(offset + _CHUNK_TABLE + last - width)
                yield int.from_bytes(file.read(width))


def _atoms(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind, the content's offset and the content's size of each atom, parents entered."""
    ranges = [(start, end)]
    for _ in range(_MAX_ATOMS):
        while ranges and ranges[-1][0] + 8 > ranges[-1][1]:
            ranges.pop()
        if not ranges:
            return
        start, end = ranges.pop()
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        header = 8
        if size == 1:
            size, header = struct.unpack(">Q", file.read(8).ljust(8, b"\0"))[0], 16
        elif size == 0:
            size = end - start
        if size < header or start + size > end:
            return
        ranges.append((start + size, end))
        yield kind, start + header, size - header
        if kind in _PARENTS:
            ranges.append((start + header, start + size))
        elif kind == b"moof":
            return
