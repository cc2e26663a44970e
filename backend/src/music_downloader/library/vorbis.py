"""Vorbis comments, in FLAC (RFC 9639), Ogg Opus (RFC 7845) and Ogg Vorbis."""

import base64
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, BinaryIO

from mutagen.flac import Picture
from mutagen.flac import error as FLACError  # noqa: N812  # two kinds of one name
from mutagen.id3 import PictureType
from mutagen.ogg import OggPage, error
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis

from music_downloader.library.embedded import Cover
from music_downloader.library.fields import FIELDS, OPUS_GAINS, PADDING, Values
from music_downloader.library.gain import from_r128, to_r128

_BLOCKS_KEPT = {0, 3, 4}  # stream information, seek table, comments


def read(tags: Any) -> Values:  # noqa: ANN401  # mutagen has no types
    """Read the comments; names that other programs use are understood, too."""

    def first(names: Sequence[str]) -> list[str]:
        return next((list(tags[name]) for name in names if name in tags), [])

    values: Values = {}
    for name, field in FIELDS.items():
        texts = first((field.vorbis, *field.also))
        total = first(field.total)
        values[name] = [f"{texts[0]}/{total[0]}"] if texts and total and "/" not in texts[0] else texts
    return values


def read_opus(tags: Any) -> Values:  # noqa: ANN401  # as above
    """Read the comments of an Opus file, whose gains have names and numbers of their own."""
    values = read(tags)
    for name, opus_name in OPUS_GAINS.items():
        texts = tags[opus_name] if opus_name and opus_name in tags else []
        values[name] = [gain for gain in map(from_r128, texts) if gain]
    return values


def read_pictures(tags: Any) -> list[Picture]:  # noqa: ANN401  # as above
    """Read the pictures that stand in an Ogg stream's comments; a damaged one is left out."""
    found: list[Picture] = []
    for text in tags.get("METADATA_BLOCK_PICTURE", []):
        with suppress(ValueError, error, FLACError):
            found.append(Picture(base64.b64decode(text)))
    return found


def write_flac(flac: Any, file: BinaryIO, values: Values, cover: Cover | None) -> None:  # noqa: ANN401  # as above
    """Replace comments and pictures; drop every block that isn't needed to play, and foreign ID3 tags."""
    flac.cuesheet = None
    flac.metadata_blocks = [block for block in flac.metadata_blocks if block.code in _BLOCKS_KEPT]
    if flac.tags is None:
        flac.add_tags()
    _fill(flac.tags, values)
    if cover:
        flac.add_picture(_picture(cover))
    file.seek(0)
    flac.save(file, deleteid3=True, padding=lambda _: PADDING)


def write_ogg(ogg: OggOpus | OggVorbis, file: BinaryIO, values: Values, cover: Cover | None) -> None:
    """Replace the comments, the picture among them, and lay the header's pages out afresh.

    mutagen's own way to save keeps traces of the old layout, so that equal content wouldn't give equal bytes.
    """
    tags: Any = ogg.tags
    is_opus = isinstance(ogg, OggOpus)
    _fill(tags, {name: texts for name, texts in values.items() if not (is_opus and name in OPUS_GAINS)})
    if is_opus:
        _fill_opus_gains(tags, values)
    if cover:
        tags["METADATA_BLOCK_PICTURE"] = [base64.b64encode(_picture(cover).write()).decode("ascii")]
    old_pages = _header_pages(file, packets=1 if is_opus else 2)
    comments = b"OpusTags" + tags.write(framing=False) if is_opus else b"\x03vorbis" + tags.write()
    packets = [comments + bytes(PADDING), *OggPage.to_packets(old_pages)[1:]]
    OggPage.replace(file, old_pages, OggPage.from_packets(packets))


def _header_pages(file: BinaryIO, *, packets: int) -> list[OggPage]:
    """Read the pages of the header's second packet, and third if it has one; audio begins on a new page."""
    file.seek(0)
    serial = OggPage(file).serial
    pages: list[OggPage] = []
    while packets > 0:
        page = OggPage(file)
        if page.serial == serial:
            pages.append(page)
            packets -= len(page.packets) - (not page.complete)
    if packets < 0 or not pages[-1].complete:
        raise error("audio doesn't begin on a page of its own")
    return pages


def _fill(tags: Any, values: Values) -> None:  # noqa: ANN401  # as above
    tags.clear()
    for name, texts in values.items():
        field = FIELDS[name]
        if field.total:
            number, _, total = texts[0].partition("/")
            tags[field.vorbis] = [number]
            if total:
                tags[field.total[0]] = [total]
        else:
            tags[field.vorbis] = texts


def _fill_opus_gains(tags: Any, values: Values) -> None:  # noqa: ANN401  # as above
    for name, opus_name in OPUS_GAINS.items():
        gain = to_r128(values[name][0]) if opus_name and name in values else None
        if gain:
            tags[opus_name] = [gain]


def _picture(cover: Cover) -> Picture:
    picture = Picture()
    picture.mime, picture.data, picture.type = cover.mime, cover.data, PictureType.COVER_FRONT
    return picture
