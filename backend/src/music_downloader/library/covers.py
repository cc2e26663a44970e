"""Covers: which picture of a source is the best, which one a file carries, and cover.jpg beside an album."""

import errno
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from music_downloader.errors import DownloadFailedError
from music_downloader.library.containers import opened, read_front
from music_downloader.library.faults import storage_faults
from music_downloader.library.filing import COVER
from music_downloader.library.folders import inside, open_folders, sync_folder
from music_downloader.library.moving import Place, move
from music_downloader.library.writing import is_same, place

_MOST = 3
_ENOUGH = 1200  # pixels on the shorter side; a cover is never made larger
_TOO_MUCH = 4000  # pixels on the longer side; beyond it, only the transfer grows
_SQUARE = 1.1  # of the longer side to the shorter one
_LARGEST_EMBEDDED = 20 * 1024 * 1024  # bytes
_SHOWN = {"cover", "folder", "front"}  # the names by which music servers know an album's picture


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A picture that a source offers; its size in pixels where the source tells it."""

    url: str
    width: int | None = None
    height: int | None = None


def ranked(pictures: Sequence[Picture]) -> tuple[Picture, ...]:
    """Choose the best pictures, at most three, the best one first.

    A square one comes before a video's still, then what is large enough for a cover without being absurdly
    large, and then what the source prefers, which is what it names later. A picture of unknown size stands
    between the square ones and the stills: whoever keeps covers seldom tells their size.
    """
    once = {picture.url: (place, picture) for place, picture in enumerate(pictures)}
    best = sorted(once.values(), key=lambda pair: (_merit(pair[1]), pair[0]), reverse=True)
    return tuple(picture for _, picture in best[:_MOST])


def read_embedded(path: Path) -> bytes | None:
    """Give the front cover in a file's own tags as it stands there, of whatever kind of picture.

    None if there is none, if it has more than 20 MiB, or if the file can't be read.
    """
    try:
        with opened(path, "rb") as (file, kind):
            picture = read_front(file, kind)
    except DownloadFailedError:
        return None
    return picture if picture and len(picture) <= _LARGEST_EMBEDDED else None


def place_cover(root: Path, folder: PurePosixPath, jpeg: bytes) -> str | None:
    """Write cover.jpg into an album's folder, whole or not at all.

    A picture that stands for the album there already stays, whoever put it there. Returns the SHA-256 of
    `jpeg` if that is what cover.jpg is now, or was before; else None, also if the folder isn't there any
    more or is the library itself. Raises as `publish`.
    """
    if not folder.parts:
        return None
    inside(folder)
    digest = hashlib.sha256(jpeg).hexdigest()
    with storage_faults():
        try:
            with open_folders(root, folder.parts) as (*_, album):
                return digest if _place(root, album, jpeg, digest) else None
        except FileNotFoundError:
            return None


def _place(root: Path, album: int, jpeg: bytes, digest: str) -> bool:
    target = Place(folder=album, name=COVER)
    taken = [name for name in os.listdir(album) if _stands_for_an_album(name)]
    if taken:
        return COVER in taken and is_same(target, size=len(jpeg), digest=digest)
    try:
        place(jpeg, root, album, lambda fresh: move(fresh, target))
    except FileExistsError:
        return is_same(target, size=len(jpeg), digest=digest)
    except OSError as fault:
        if fault.errno == errno.ENOENT:  # the folder was removed meanwhile
            return False
        raise
    sync_folder(album)
    return True


def _stands_for_an_album(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.suffix) and path.stem.casefold() in _SHOWN


def _merit(picture: Picture) -> tuple[int, int]:
    if not picture.width or not picture.height:
        return 1, 0
    shorter, longer = sorted((picture.width, picture.height))
    is_square = longer <= shorter * _SQUARE
    size = 0 if longer > _TOO_MUCH else min(shorter, _ENOUGH)
    return 2 if is_square else 0, size
