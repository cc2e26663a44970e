"""iTunes' metadata atoms of MP4 files."""

from typing import Any, BinaryIO

from mutagen.mp4 import MP4, MP4Cover, MP4FreeForm

from music_downloader.library.embedded import Cover
from music_downloader.library.fields import FIELDS, PADDING, Values


def read(file: BinaryIO) -> Values:
    """Read the atoms of `moov.udta.meta.ilst`."""
    tags: Any = MP4(file).tags or {}
    values: Values = {}
    for name, field in FIELDS.items():
        found = tags.get(field.mp4, [])
        if name in {"track", "disc"}:
            values[name] = [f"{number}/{total}" for number, total in found]
        elif name == "compilation":
            values[name] = ["1"] if found else []
        else:
            values[name] = [_text(value) for value in found]
    return values


def read_pictures(file: BinaryIO) -> list[bytes]:
    """Read the covers, of which the first is the front."""
    tags: Any = MP4(file).tags or {}
    return [bytes(cover) for cover in tags.get("covr", [])]


def write(file: BinaryIO, values: Values, cover: Cover | None) -> None:
    """Replace all atoms of `moov.udta.meta.ilst`."""
    MP4(file)  # refuses what is no MP4 before anything is changed
    tags = MP4.MP4Tags()  # a new one, because a loaded one writes back what it couldn't parse
    for name, texts in values.items():
        atom = FIELDS[name].mp4
        if name in {"track", "disc"}:
            number, _, total = texts[0].partition("/")
            tags[atom] = [(int(number), int(total or 0))]
        elif name == "compilation":
            tags[atom] = True
        elif atom.startswith("----"):
            tags[atom] = [MP4FreeForm(text.encode()) for text in texts]
        else:
            tags[atom] = texts
    if cover:
        layout = MP4Cover.FORMAT_PNG if cover.mime == "image/png" else MP4Cover.FORMAT_JPEG
        tags["covr"] = [MP4Cover(cover.data, imageformat=layout)]
    file.seek(0)
    tags.save(file, padding=lambda _: PADDING)


def _text(value: object) -> str:
    """Decode a freeform atom's value; every other text is decoded already."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
