"""The five containers of the library, each read into and written from the same plain values.

Writing leaves nothing behind of the tags that were there before, and always the same padding, so that equal
audio and equal values give equal bytes. A container is known by its content, never by its file's name.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from pathlib import Path
from typing import Any, BinaryIO, Literal

import mutagen
from mutagen.flac import FLAC
from mutagen.id3 import PictureType
from mutagen.mp3 import HeaderNotFoundError, MPEGInfo
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis

from music_downloader.errors import DownloadFailedError, ErrorCode
from music_downloader.library import id3, mp4, vorbis
from music_downloader.library.bounds import check_tags
from music_downloader.library.embedded import Cover
from music_downloader.library.faults import storage_fault
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


@contextmanager
def opened(path: Path, mode: Literal["rb", "r+b"]) -> Iterator[tuple[BinaryIO, Kind]]:
    """Open an audio file; every fault inside becomes a DownloadFailedError.

    BAD_MEDIA if this is no audio that is known here or if it is damaged, else what the disk says.
    """
    try:
        with path.open(mode) as file:
            kind = _known(recognise(file))
            _check(file, kind)
            yield file, kind
    except DownloadFailedError:
        raise
    except Exception as fault:  # a hostile file reaches corners of mutagen where anything may be raised
        of_disk = _disk_fault(fault)
        if of_disk:
            raise storage_fault(of_disk) from fault
        raise DownloadFailedError(ErrorCode.BAD_MEDIA, "The audio file is damaged.") from fault


def check(path: Path) -> None:
    """Raise DownloadFailedError BAD_MEDIA where reading a file would take more memory than music does.

    Whatever else may be wrong with it, or that it is no audio that is known here, is another's to say.
    """
    with suppress(mutagen.MutagenError, ValueError, IndexError, KeyError, EOFError), path.open("rb") as file:
        check_tags(file)
        _check(file, recognise(file))


def _check(file: BinaryIO, kind: Kind | None) -> None:
    check_tags(file, is_flac=kind is Kind.FLAC, is_mp4=kind is Kind.MP4)


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
            return vorbis.read_opus(OggOpus(file).tags or {})
        case Kind.VORBIS:
            return vorbis.read(OggVorbis(file).tags or {})
        case Kind.OTHER:
            return {}


def read_front(file: BinaryIO, kind: Kind) -> bytes | None:
    """Give the front cover that the file carries, or else its first picture."""
    file.seek(0)
    match kind:
        case Kind.MP3:
            return _front(id3.read_pictures(file))
        case Kind.MP4:
            return next(iter(mp4.read_pictures(file)), None)
        case Kind.FLAC:
            return _front(FLAC(file).pictures)
        case Kind.OPUS:
            return _front(vorbis.read_pictures(OggOpus(file).tags or {}))
        case Kind.VORBIS:
            return _front(vorbis.read_pictures(OggVorbis(file).tags or {}))
        case Kind.OTHER:
            return None


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


def _front(pictures: Iterable[Any]) -> bytes | None:
    """Choose among pictures that have a `type` and `data`, by the types of ID3's APIC frame."""
    found = sorted(pictures, key=lambda picture: picture.type != PictureType.COVER_FRONT)
    return found[0].data if found else None


def _known(kind: Kind | None) -> Kind:
    if kind is None:
        raise DownloadFailedError(ErrorCode.BAD_MEDIA, "This is not an audio file that can be read.")
    return kind


def _disk_fault(fault: BaseException | None) -> OSError | None:
    """Find the OSError that `fault` is or stems from; mutagen wraps them."""
    while fault is not None:
        if isinstance(fault, OSError) and fault.errno:
            return fault
        fault = fault.__cause__ or fault.__context__
    return None
