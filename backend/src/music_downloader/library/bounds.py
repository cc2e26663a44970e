"""How much of a file is tags, found without reading them: mutagen takes all of them into memory at once."""

from typing import BinaryIO

from mutagen.mp4._atom import Atoms

from music_downloader.errors import DownloadFailedError, ErrorCode
from music_downloader.library import id3

MOST_TAGS = 128 * 1024 * 1024  # bytes; ten scans of the largest kind that FLAC takes are no more
_FLAC_MAGIC = 4  # bytes
_BLOCK_HEADER = 4  # bytes; the first bit marks the last block, seven tell its kind, 24 its length
_PAGE_HEADER = 27  # bytes (RFC 3533, section 6); the last of them counts the segments
_WHOLE = 255  # bytes in a segment that its packet goes on after


def check_tags(file: BinaryIO, *, is_flac: bool = False, is_mp4: bool = False, is_ogg: bool = False) -> None:
    """Raise DownloadFailedError BAD_MEDIA if the tags are larger than any that music has."""
    start = id3.tag_offsets(file)[-1]
    size = start
    if is_flac:
        size = _flac_blocks(file, start)
    elif is_mp4:
        size = _mp4_items(file)
    elif is_ogg:
        size = _ogg_headers(file)
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


def _mp4_items(file: BinaryIO) -> int:
    """How many bytes the list of tags has, by the sizes of the atoms."""
    file.seek(0)
    try:
        return int(Atoms(file).path(b"moov", b"udta", b"meta", b"ilst")[-1].length)
    except KeyError:
        return 0


def _ogg_headers(file: BinaryIO) -> int:
    """Where the third packet ends: the tags are in the second, and in Vorbis the third is needed as well."""
    position, packets = 0, 0
    while packets < 3 and position <= MOST_TAGS:  # noqa: PLR2004  # as said
        file.seek(position)
        head = file.read(_PAGE_HEADER)
        if len(head) < _PAGE_HEADER or not head.startswith(b"OggS"):
            break
        segments = file.read(head[-1])
        packets += sum(length < _WHOLE for length in segments)
        position += _PAGE_HEADER + len(segments) + sum(segments)
    return position
