"""How much of a file is tags, found without reading them: mutagen takes all of them into memory at once."""

import os
import struct
from typing import BinaryIO

from music_downloader.errors import DownloadFailedError, ErrorCode
from music_downloader.library import id3

MOST_TAGS = 128 * 1024 * 1024  # bytes; ten scans of the largest kind that FLAC takes are no more
_FLAC_MAGIC = 4  # bytes
_BLOCK_HEADER = 4  # bytes; the first bit marks the last block, seven tell its kind, 24 its length
_PAGE_HEADER = 27  # bytes (RFC 3533, section 6); the last of them counts the segments
_WHOLE = 255  # bytes in a segment that its packet goes on after
_SERIAL = slice(14, 18)  # where a page says which stream it belongs to
_AUDIO_MARKS = (b"OpusHead", b"\x01vorbis", b"\x7fFLAC")
_LONGEST_MARK = max(map(len, _AUDIO_MARKS))
_MOST_PAGES = 100_000
_ATOM_HEADER, _LONG_ATOM_HEADER, _META_HEADER = 8, 16, 4  # bytes (ISO/IEC 14496-12, sections 4.2 and 8.11)
_MOST_ATOMS = 400_000  # twenty hours in fragments of two seconds have fewer
# What mutagen looks into, and what it reads whole.
_PARENTS = {b"moov", b"udta", b"trak", b"mdia", b"meta", b"ilst", b"stbl", b"minf", b"moof", b"traf"}
_READ_WHOLE = {b"ilst", b"hdlr", b"mdhd", b"mvhd", b"stsd", b"chpl"}


def check_tags(file: BinaryIO, *, is_flac: bool = False, is_mp4: bool = False) -> None:
    """Raise DownloadFailedError BAD_MEDIA if the tags are larger than any that music has."""
    offsets = id3.tag_offsets(file)
    start = offsets[-1]
    size = start if len(offsets) <= id3.MOST_TAGS else MOST_TAGS + 1
    if is_flac:
        size = _flac_blocks(file, start)
    elif is_mp4:
        size = _mp4_parts(file)
    else:
        size = max(size, _ogg_headers(file))
    if size > MOST_TAGS:
        raise DownloadFailedError(ErrorCode.BAD_MEDIA, "The audio file carries more tags than music does.")


def _flac_blocks(file: BinaryIO, start: int) -> int:
    """Where the metadata blocks end (RFC 9639, section 8.1)."""
    position, is_last = start + _FLAC_MAGIC, False
    while not is_last and position <= MOST_TAGS:
        file.seek(position)
        head = file.read(_BLOCK_HEADER)
        if len(head) < _BLOCK_HEADER:
            break
        is_last = bool(head[0] & 0x80)
        position += _BLOCK_HEADER + int.from_bytes(head[1:], "big")
    return position


def _mp4_parts(file: BinaryIO) -> int:
    """How many bytes the atoms have that are read whole, found in the order in which mutagen walks them.

    More atoms than any music has are too much by themselves: each becomes an object. A broken one ends it.
    """
    end = file.seek(0, os.SEEK_END)
    ends, size, position = [end], 0, 0
    for _ in range(_MOST_ATOMS):
        while ends and position >= ends[-1]:
            ends.pop()
        if not ends or position >= end:  # a length may be any number of 64 bits
            return size
        file.seek(position)
        head = file.read(_LONG_ATOM_HEADER)
        if len(head) < _ATOM_HEADER:
            return size
        length, name = struct.unpack_from(">I4s", head)
        header = _ATOM_HEADER
        if length == 1 and len(head) == _LONG_ATOM_HEADER:
            length, header = struct.unpack_from(">Q", head, _ATOM_HEADER)[0], _LONG_ATOM_HEADER
        elif length == 0:
            length = end - position
        if length < header:
            return size
        if name in _READ_WHOLE:
            size += length
        if name in _PARENTS:
            ends.append(position + length)
            position += header + (_META_HEADER if name == b"meta" else 0)
        else:
            position += length
    return MOST_TAGS + 1


def _ogg_headers(file: BinaryIO) -> int:
    """Where the third packet of an Ogg stream ends: the tags are in the second, and Vorbis needs the third.

    Pages of other streams between them are read past one by one, so they count too. 0 where there is none.
    """
    position, packets, serial = 0, 0, None
    for _ in range(_MOST_PAGES):
        file.seek(position)
        head = file.read(_PAGE_HEADER)
        if packets >= 3 or position > MOST_TAGS or len(head) < _PAGE_HEADER or head[:4] != b"OggS":  # noqa: PLR2004
            break
        segments = file.read(head[-1])
        begins = file.read(_LONGEST_MARK)
        if serial is None and begins.startswith(_AUDIO_MARKS):
            serial = head[_SERIAL]
        if head[_SERIAL] == serial:
            packets += sum(length < _WHOLE for length in segments)
        position += _PAGE_HEADER + len(segments) + sum(segments)
    else:
        position = MOST_TAGS + 1
    return position if serial is not None else 0
