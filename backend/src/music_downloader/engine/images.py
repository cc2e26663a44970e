"""What a picture is, told by its first bytes: only kinds that ffmpeg reads without following anything."""

import re
from typing import Final

HEAD: Final = 4096
# Each kind's magic bytes, extension and the one demuxer of ffmpeg that may read it.
_MAGIC: Final = (
    (re.compile(rb"\xff\xd8\xff"), "jpg"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "png"),
    (re.compile(rb"(?s)RIFF....WEBP"), "webp"),
    (re.compile(rb"GIF8[79]a"), "gif"),
    (re.compile(rb"(?s)BM.{4}\0\0\0\0.{4}[\x0c\x28\x6c\x7c]\0\0\0"), "bmp"),  # the sizes a DIB header has
)
DEMUXERS: Final = {
    "jpg": "jpeg_pipe",
    "png": "png_pipe",
    "webp": "webp_pipe",
    "gif": "gif",
    "bmp": "bmp_pipe",
}
_WEBP_ANIMATED: Final = 0x02  # a flag of the VP8X chunk, whose content begins at byte 20
_GIF_EXTENSION: Final = 0x21
_GIF_IMAGE: Final = 0x2C
_GIF_TRAILER: Final = 0x3B
_GIF_HAS_TABLE: Final = 0x80


def kind_of(head: bytes) -> str | None:
    """Return the usual extension of the picture that begins with `head`; None for anything else."""
    return next((kind for magic, kind in _MAGIC if magic.match(head)), None)


def moves(picture: bytes) -> bool:
    """Say whether a GIF, PNG or WebP is animated; ValueError for a GIF that breaks off."""
    match kind_of(picture):
        case "gif":
            return _frames(picture) > 1
        case "png":
            return b"acTL" in picture[:HEAD].partition(b"IDAT")[0]
        case "webp":
            return picture[12:16] == b"VP8X" and bool(int.from_bytes(picture[20:21]) & _WEBP_ANIMATED)
        case _:
            return False


def _frames(gif: bytes) -> int:
    """Count the pictures in a GIF by walking its blocks (GIF89a, appendix A)."""
    try:
        offset = 13 + _table(gif[10])
        frames = 0
        while gif[offset] != _GIF_TRAILER:
            if gif[offset] == _GIF_IMAGE:
                frames += 1
                offset += 11 + _table(gif[offset + 9])  # the descriptor, its colours, the least code size
            elif gif[offset] == _GIF_EXTENSION:
                offset += 2
            else:
                raise ValueError("not a GIF")
            while gif[offset]:
                offset += 1 + gif[offset]
            offset += 1
    except IndexError as error:
        raise ValueError("the GIF breaks off") from error
    return frames


def _table(flags: int) -> int:
    """Return how many bytes of colours follow."""
    return 3 << ((flags & 7) + 1) if flags & _GIF_HAS_TABLE else 0
