"""Files that take shape beside their final place, under a name that music servers skip."""

import errno
import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO, TypeVar

from music_downloader.errors import DownloadFailedError
from music_downloader.library.folders import OWN_FOLDER, inside, open_folders
from music_downloader.library.moving import CLAIM, Place

Settled = TypeVar("Settled")

COPY = ".nas-music-"
_ABANDONED = 24 * 3600.0  # seconds
_CHUNK = 1024 * 1024  # bytes


@contextmanager
def copied(source: Place, folder: int) -> Iterator[Place]:
    """Copy a file into `folder`; the copy is gone again unless it was moved."""
    with _fresh(folder) as (copy, new), os.fdopen(open_file(source), "rb") as old:
        shutil.copyfileobj(old, new, _CHUNK)
        _finish(new)
        yield copy


def place(content: bytes, root: Path, folder: int, settle: Callable[[Place], Settled]) -> Settled:
    """Write a new file and have `settle` rename it into `folder`; return what that returns.

    It takes shape in our own folder below `root`, where nobody sees what a kill leaves of it, unless `folder`
    lies on another disk.
    """
    with open_folders(root, (OWN_FOLDER,)) as (*_, own):
        for beside in (own, folder):
            try:
                with _fresh(beside) as (fresh, new):
                    new.write(content)
                    _finish(new)
                    return settle(fresh)
            except OSError as fault:
                if fault.errno != errno.EXDEV or beside == folder:
                    raise
    raise AssertionError


def open_file(place: Place) -> int:
    """Open a file for reading: never through a link, and never waiting for a pipe."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return os.open(place.name, flags, dir_fd=place.folder)


def sync_file(place: Place) -> int:
    """Bring a file's bytes to the disk, and count them."""
    descriptor = open_file(place)
    try:
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def is_file(place: Place) -> bool:
    """Whether this is a plain file; raises FileNotFoundError if there is nothing."""
    return stat.S_ISREG(os.stat(place.name, dir_fd=place.folder, follow_symlinks=False).st_mode)


def is_same(place: Place, *, size: int, digest: str) -> bool:
    """Whether this is a plain file of `size` bytes and the SHA-256 `digest`; it is read only if it may be."""
    if not is_file(place):
        return False
    with os.fdopen(open_file(place), "rb") as file:
        if os.fstat(file.fileno()).st_size != size:
            return False
        return hashlib.file_digest(file, "sha256").hexdigest() == digest


@contextmanager
def _fresh(folder: int) -> Iterator[tuple[Place, BinaryIO]]:
    _sweep(folder, now=time.time())
    place = Place(folder=folder, name=f"{COPY}{secrets.token_hex(8)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(place.name, flags, 0o666, dir_fd=folder), "wb") as file:
            yield place, file
    finally:
        with suppress(OSError):
            os.unlink(place.name, dir_fd=folder)


def _finish(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()


def sweep(root: Path, folder: PurePosixPath) -> None:
    """Remove from a folder of the library what was left there when a process was killed, a day ago or longer.

    Nothing is done where the folder is away, or leads outside.
    """
    with suppress(OSError, DownloadFailedError, ValueError):
        names = inside(folder / COPY).parts[:-1]
        with open_folders(root, names) as (*_, opened):
            _sweep(opened, now=time.time())


def _sweep(folder: int, *, now: float) -> None:
    for name in os.listdir(folder):
        if name.startswith(CLAIM) or (name.startswith(COPY) and name.endswith(".part")):
            with suppress(OSError):
                if now - os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime > _ABANDONED:
                    os.unlink(name, dir_fd=folder)
