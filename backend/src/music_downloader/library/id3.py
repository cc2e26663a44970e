"""ID3v2.4 tags of MP3 files (https://id3.org/id3v2.4.0-structure), and all that may surround them."""

import re
from itertools import pairwise
from typing import BinaryIO

from mutagen import apev2, id3

from music_downloader.library.embedded import Cover
from music_downloader.library.fields import FIELDS, PADDING, Values

_HEADER = 10  # bytes of a tag's and of a frame's header
MOST_TAGS = 16  # some programs put a new tag before the old one instead of replacing it
_COMPRESSED = {3: 0x80, 4: 0x08}  # the flag in a frame's tenth byte, by the tag's version
_FRAME_ID = re.compile(rb"(?=([A-Z][A-Z0-9]{3}))")
_UTF8 = id3.Encoding.UTF8


def tag_offsets(file: BinaryIO) -> list[int]:
    """Where the ID3v2 tags at the file's start begin; the last offset is where they have all ended."""
    offsets = [0]
    for _ in range(MOST_TAGS):
        file.seek(offsets[-1])
        head = file.read(_HEADER)
        if len(head) < _HEADER or not head.startswith(b"ID3"):
            break
        size = 0
        for byte in head[6:]:
            size = size << 7 | byte & 0x7F
        offsets.append(offsets[-1] + _HEADER + size)
    return offsets


def read(file: BinaryIO) -> Values:
    """Read ID3v2.2 to 2.4, or else ID3v1."""
    if _may_inflate(file):
        return {}
    file.seek(0)
    try:
        tags = id3.ID3(file)
    except id3.ID3NoHeaderError:
        return {}
    values: Values = {}
    for name, field in FIELDS.items():
        frames = tags.getall(field.id3)
        if name == "comment":  # programs keep settings of their own under described comments
            frames = [frame for frame in frames if not frame.desc]
        if name == "genres":  # resolves the numbers of ID3v1
            values[name] = [genre for frame in frames for genre in frame.genres]
        elif name == "lyrics":
            values[name] = [str(frame.text) for frame in frames]
        else:
            values[name] = [str(text) for frame in frames for text in frame.text]
    return values


def read_pictures(file: BinaryIO) -> list[id3.APIC]:
    """Read the attached pictures."""
    if _may_inflate(file):
        return []
    file.seek(0)
    try:
        return list(id3.ID3(file).getall("APIC"))
    except id3.ID3NoHeaderError:
        return []


def write(file: BinaryIO, values: Values, cover: Cover | None) -> None:
    """Put one ID3v2.4 tag in the place of every ID3v2, ID3v1 and APEv2 tag."""
    for _ in tag_offsets(file)[2:]:
        id3.delete(file, delete_v1=False)
        file.seek(0)
    apev2.delete(file)
    tags = id3.ID3()
    for name, texts in values.items():
        frame_id, _, description = FIELDS[name].id3.partition(":")
        if frame_id == "TXXX":
            tags.add(id3.TXXX(encoding=_UTF8, desc=description, text=texts))
        elif frame_id == "COMM":
            tags.add(id3.COMM(encoding=_UTF8, lang="XXX", desc="", text=texts))
        elif frame_id == "USLT":
            tags.add(id3.USLT(encoding=_UTF8, lang="XXX", desc="", text=texts[0]))
        else:
            tags.add(id3.Frames[frame_id](encoding=_UTF8, text=texts))
    if cover:
        front = id3.PictureType.COVER_FRONT
        tags.add(id3.APIC(encoding=_UTF8, mime=cover.mime, type=front, desc="", data=cover.data))
    file.seek(0)
    tags.save(file, v1=0, v2_version=4, padding=lambda _: PADDING)


def _may_inflate(file: BinaryIO) -> bool:
    """Whether a frame seems to be compressed: hardly a program does that, and 1 MiB may unfold into 1 GiB.

    Looked for at every offset and in both spellings of an unsynchronised tag, because a hostile file's sizes
    are not to be trusted.
    """
    offsets = tag_offsets(file)
    if len(offsets) < 2:  # noqa: PLR2004  # no tag: only the offset where none ended
        return False
    file.seek(0)
    tag = file.read(offsets[1])
    flag = _COMPRESSED.get(tag[3])
    if flag is None:
        return False
    return any(_has_compressed_frame(spelling, flag) for spelling in {tag, tag.replace(b"\xff\x00", b"\xff")})


def _has_compressed_frame(tag: bytes, flag: int) -> bool:
    for match in _FRAME_ID.finditer(tag):
        frame = tag[match.start() : match.start() + 2 * _HEADER]
        is_flagged = len(frame) == 2 * _HEADER and frame[9] & flag and match[1].decode() in id3.Frames
        if is_flagged and any(_begins_zlib(*pair) for pair in pairwise(frame[_HEADER:])):
            return True
    return False


def _begins_zlib(first: int, second: int) -> bool:
    """Check the two bytes of RFC 1950's header: deflate, a window of at most 32 KiB, divisible by 31."""
    deflate = 8
    return first & 0x0F == deflate and first >> 4 < deflate and (first << 8 | second) % 31 == 0
