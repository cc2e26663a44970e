"""The five containers of the library, each read into and written from the same plain values.

Writing leaves nothing behind of the tags that were there before, and always the same padding, so that equal
audio and equal values give equal bytes. A container is known by its content, never by its file's name.
"""

import re
from enum import Enum, auto
from typing import BinaryIO

from mutagen.flac import FLAC
from mutagen.mp3 import HeaderNotFoundError, MPEGInfo
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis

from music_downloader.library import id3, mp4, vorbis
from music_downloader.library.covers import Cover
from music_downloader.library.fields import Values

_HEAD = 128  # bytes; an Ogg stream names its codec in its first page


class Kind(Enum):
    """The containers; OTHER is audio whose tags nobody here reads."""

    MP3 = auto()
    MP4 = auto()
    FLAC = auto()
    OPUS = auto()
    VORBIS = auto()
    OTHER = auto()


_BEGINNINGS = {
    Kind.FLAC: re.compile(rb"fLaC"),
    Kind.MP4: re.compile(rb".{4}ftyp", re.DOTALL),
    Kind.OPUS: re.compile(rb"OggS.*OpusHead", re.DOTALL),
    Kind.VORBIS: re.compile(rb"OggS.*\x01vorbis", re.DOTALL),
    # Other Ogg, Matroska, WAV, AIFF, CAF, ASF, WavPack, Musepack, Monkey's Audio, DSD, bare AAC.
    Kind.OTHER: re.compile(
        rb"OggS|\x1aE\xdf\xa3|RIFF|FORM|caff|0&\xb2u|wvPk|MPCK|MAC |DSD |\xff[\xf0\xf1\xf8\xf9]"
    ),
}


def recognise(file: BinaryIO) -> Kind | None:
    """Tell the container by its first bytes; None if this is no audio that is known here."""
    start = id3.tag_offsets(file)[-1]
    file.seek(start)
    head = file.read(_HEAD)
    for kind, beginning in _BEGINNINGS.items():
        if beginning.match(head):
            return kind
    try:
        return Kind.MP3 if not MPEGInfo(file, start).sketchy else None
    except HeaderNotFoundError:
        return None


def read_values(file: BinaryIO, kind: Kind) -> Values:
    """Give the texts of every known field that the file carries."""
    file.seek(0)
    match kind:
        case Kind.MP3:
            return id3.read(file)
        case Kind.MP4:
            return mp4.read(file)
        case Kind.FLAC:
            return vorbis.read(FLAC(file).tags or {})
        case Kind.OPUS:
            return vorbis.read(OggOpus(file).tags or {})
        case Kind.VORBIS:
            return vorbis.read(OggVorbis(file).tags or {})
        case Kind.OTHER:
            return {}


def write_values(file: BinaryIO, kind: Kind, values: Values, cover: Cover | None) -> None:
    """Replace everything that the file says about itself; an OTHER file is left alone."""
    file.seek(0)
    match kind:
        case Kind.MP3:
            id3.write(file, values, cover)
        case Kind.MP4:
            mp4.write(file, values, cover)
        case Kind.FLAC:
            vorbis.write_flac(FLAC(file), file, values, cover)
        case Kind.OPUS:
            vorbis.write_ogg(OggOpus(file), file, values, cover)
        case Kind.VORBIS:
            vorbis.write_ogg(OggVorbis(file), file, values, cover)
        case Kind.OTHER:
            return
