"""A picture as it stands inside an audio file."""

from dataclasses import dataclass

LARGEST_COVER = 10 * 1024 * 1024  # bytes; a FLAC picture block holds less than 16 MiB


@dataclass(frozen=True, kw_only=True, slots=True)
class Cover:
    """A JPEG or PNG and its media type."""

    mime: str
    data: bytes


def read_cover(data: bytes | None) -> Cover | None:
    """Recognise a JPEG or PNG by its first bytes; None for anything else and what is too large to embed."""
    if data is None or len(data) > LARGEST_COVER:
        return None
    if data.startswith(b"\xff\xd8\xff"):
        return Cover(mime="image/jpeg", data=data)
    return Cover(mime="image/png", data=data) if data.startswith(b"\x89PNG\r\n\x1a\n") else None
