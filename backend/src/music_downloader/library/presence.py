"""Whether the library is there: its own folder and disk, and not the empty place where it is mounted.

A marker in the library's own folder is what tells. It is made once, with a name of its own, by whoever makes
the library; nothing else makes that folder, and nothing is written where it is missing.
"""

import errno
import os
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from music_downloader.library.filing import check_writable, free_space, keep_out
from music_downloader.library.folders import OWN_FOLDER

MARKER = f"{OWN_FOLDER}/library"
_WORDS = "This marks the music library of NAS Music Downloader; without it, nothing is filed here.\n"
_MOST = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What was found: the marker's name or None, whether something is mounted there, bytes free, and a fault.

    `fault` is why nothing can be written; `free` is 0 then.
    """

    marker: str | None
    is_mount: bool
    free: int = 0
    fault: OSError | None = None


def look(root: Path) -> Look:
    """Look at the library, and try to write into it if it is there. Slow where its disk sleeps."""
    mounted = is_mount(root)
    try:
        marker = read_marker(root)
        if marker is None and not root.is_dir():
            _check_makeable(root)
            return Look(marker=None, is_mount=mounted)
        check_writable(root if marker is None else root / OWN_FOLDER)
        return Look(marker=marker, is_mount=mounted, free=free_space(root))
    except OSError as fault:
        known = None
        with suppress(OSError):
            known = read_marker(root)
        return Look(marker=known, is_mount=mounted, fault=fault)


def read_marker(root: Path) -> str | None:
    """Return the library's name for itself; None where there is no library. Raises OSError otherwise."""
    try:
        with (root / MARKER).open("rb") as file:
            name = file.read(_MOST).split(b"\n", 1)[0].decode("ascii", "replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return name or None


def make_library(root: Path, name: str | None = None) -> str:
    """Make a library of `root`, or find that it is one; return its name. Raises OSError."""
    root.mkdir(parents=True, exist_ok=True)
    own = root / OWN_FOLDER
    own.mkdir(exist_ok=True)
    keep_out(root)
    known = read_marker(root)
    if known is not None:
        return known
    made = name or str(uuid.uuid4())
    fresh = own / f"library.{uuid.uuid4().hex}"
    try:
        with fresh.open("x", encoding="ascii") as file:
            file.write(f"{made}\n{_WORDS}")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, root / MARKER)  # of two who make it at once, the first one's stays
        except FileExistsError:
            pass
        except OSError:  # a share without links
            if not (root / MARKER).exists():
                fresh.replace(root / MARKER)
    finally:
        fresh.unlink(missing_ok=True)
    return read_marker(root) or made


def _check_makeable(folder: Path) -> None:
    """Raise OSError where a folder that isn't there can't be made."""
    there = next(parent for parent in folder.parents if parent.exists())
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(there))
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(there))


def is_mount(root: Path) -> bool:
    """Whether another file system than that of the folder above lies here."""
    try:
        return root.stat().st_dev != root.parent.stat().st_dev
    except OSError as fault:
        return fault.errno not in {errno.ENOENT, errno.ENOTDIR}  # one that is broken is one
