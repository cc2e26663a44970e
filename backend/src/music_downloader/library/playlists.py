"""Playlists as files: extended M3U in UTF-8, which music servers read as .m3u8.

They lie in one folder of the library and name its tracks by relative paths, so that they hold wherever the
library is mounted.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from music_downloader.errors import DownloadFailedError, ErrorCode
from music_downloader.library.faults import storage_faults
from music_downloader.library.filing import unpublish
from music_downloader.library.folders import inside, open_folders, sync_folder
from music_downloader.library.moving import Place, move
from music_downloader.library.names import LONGEST_NAME, numbered, safe_part
from music_downloader.library.text import clean_text
from music_downloader.library.writing import is_file, is_same, place

FOLDER = "Playlists"
_SUFFIX = ".m3u8"
_ROOM = len(" (999)")
_MOST_OF_ONE_NAME = 999
_LONGEST = 500  # characters


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaylistTrack:
    """A track of a playlist: its path in the library, and its length in seconds where that is known."""

    path: PurePosixPath
    title: str
    artist: str = ""
    duration: float | None = None


def playlist_text(tracks: Sequence[PlaylistTrack], *, name: str) -> str:
    """Write a playlist, two lines a track, in the given order.

    A track whose path can't stand on one line is left out. Equal tracks give equal text.
    """
    lines = ["#EXTM3U", f"#PLAYLIST:{_line(name)}"]
    for track in tracks:
        path = str(inside(track.path))
        if path.splitlines() != [path]:
            continue
        seconds = -1 if track.duration is None else max(round(track.duration), 0)
        shown = " - ".join(filter(None, (_line(track.artist), _line(track.title))))
        lines += [f"#EXTINF:{seconds},{shown}", f"../{path}"]
    return "\n".join([*lines, ""])


def playlist_path(name: str) -> PurePosixPath:
    """Return where `write_playlist` wants to put a playlist of this name, unless it has a place already."""
    return PurePosixPath(FOLDER, f"{safe_part(name, limit=LONGEST_NAME - len(_SUFFIX) - _ROOM)}{_SUFFIX}")


def write_playlist(
    root: Path, name: str, text: str, *, previous: PurePosixPath | None = None
) -> PurePosixPath:
    """Write `text` as `Playlists/<name>.m3u8`, whole or not at all, and say where it is.

    `previous` is where this playlist has been before: if it is there still, it is replaced, whatever the name
    is now. Any other file stays: the same text is adopted, and a different one gives "… (2)". Raises as
    `publish`; ValueError if `previous` isn't a playlist of ours.
    """
    if previous is not None:
        _ours(previous)
    content = text.encode("utf-8", "replace")
    with storage_faults(), open_folders(root, (FOLDER,), create=True) as (*_, folder):
        old = Place(folder=folder, name=previous.name) if previous and _is_there(folder, previous) else None
        filed = (
            _keep(root, old, content)
            if old
            else _add(root, Place(folder=folder, name=playlist_path(name).name), content)
        )
        sync_folder(folder)
    return PurePosixPath(FOLDER, filed)


def remove_playlist(root: Path, path: PurePosixPath) -> bool:
    """Remove a playlist that `write_playlist` wrote, and the folder if it is empty then; False if it is gone.

    Raises ValueError if `path` is none of them, and OSError as the file system does.
    """
    return unpublish(root, _ours(path))


def _keep(root: Path, old: Place, content: bytes) -> str:
    """Replace our own playlist, unless it says the same already."""

    def settle(fresh: Place) -> None:
        os.rename(fresh.name, old.name, src_dir_fd=fresh.folder, dst_dir_fd=old.folder)

    if not is_same(old, size=len(content), digest=hashlib.sha256(content).hexdigest()):
        place(content, root, old.folder, settle)
    return old.name


def _add(root: Path, wanted: Place, content: bytes) -> str:
    """Take the first name that is free, or holds this very text already."""
    digest = hashlib.sha256(content).hexdigest()

    def settle(fresh: Place) -> str:
        for number in range(1, _MOST_OF_ONE_NAME + 1):
            name = wanted.name if number == 1 else numbered(wanted.name, number)
            target = Place(folder=wanted.folder, name=name)
            try:
                move(fresh, target)
            except FileExistsError:
                if not is_same(target, size=len(content), digest=digest):
                    continue
            return name
        raise DownloadFailedError(
            ErrorCode.INTERNAL, f"There are {_MOST_OF_ONE_NAME} playlists of this name already."
        )

    return place(content, root, wanted.folder, settle)


def _ours(path: PurePosixPath) -> PurePosixPath:
    if inside(path).parts[:-1] != (FOLDER,) or path.suffix != _SUFFIX:
        raise ValueError("a playlist of the library lies in its folder of playlists")
    return path


def _is_there(folder: int, path: PurePosixPath) -> bool:
    try:
        return is_file(Place(folder=folder, name=path.name))
    except FileNotFoundError:
        return False


def _line(text: str) -> str:
    return clean_text(text, limit=_LONGEST)
