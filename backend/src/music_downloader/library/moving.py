"""Give a file its final name without ever overwriting another, on whatever disk or share the library lies.

Three ways, tried in this order: Linux's renameat2 (https://man7.org/linux/man-pages/man2/rename.2.html),
which NFS and some FUSE file systems lack; a second link, which SMB and exFAT lack; and a plain rename while
holding a claim, which keeps off every other download but not a stranger who writes the same name in the same
instant.
"""

import ctypes
import errno
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

CLAIM = ".nas-music.claim"
_DROPPING = f"{CLAIM}-dropping"
_STALE = 60.0  # seconds; a claim is held for milliseconds, so whoever held this one was killed
_PATIENCE = 5.0  # seconds to wait for a claim
_NOREPLACE = 1
_UNSUPPORTED = {
    errno.ENOSYS,
    errno.EINVAL,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.EACCES,
    errno.EMLINK,
    errno.ENOTTY,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A name in an open folder."""

    folder: int
    name: str


def move(source: Place, target: Place) -> None:
    """Rename `source`, whole or not at all.

    Raises FileExistsError if the name is taken, and OSError EXDEV if the two lie on different file systems.
    """
    *first, last = WAYS
    for way in first:
        try:
            return way(source, target)
        except OSError as fault:
            if fault.errno not in _UNSUPPORTED:
                raise
    return last(source, target)


def is_taken(place: Place) -> bool:
    """Whether anything has this name, as the file system itself compares names."""
    try:
        os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def by_renameat2(source: Place, target: Place) -> None:
    """Rename by a system call that fails if the name is taken."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    old, new = os.fsencode(source.name), os.fsencode(target.name)
    if renameat2(source.folder, old, target.folder, new, _NOREPLACE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target.name)


def by_link(source: Place, target: Place) -> None:
    """Add a second name, which fails if it is taken, and drop the first."""
    os.link(
        source.name,
        target.name,
        src_dir_fd=source.folder,
        dst_dir_fd=target.folder,
        follow_symlinks=False,
    )
    os.unlink(source.name, dir_fd=source.folder)


def by_claim(source: Place, target: Place) -> None:
    """Look, then rename, while every other download is kept from doing so in this folder."""
    with _claimed(target.folder):
        if is_taken(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target.name)
        os.rename(source.name, target.name, src_dir_fd=source.folder, dst_dir_fd=target.folder)


WAYS: tuple[Callable[[Place, Place], None], ...] = (by_renameat2, by_link, by_claim)


@contextmanager
def _claimed(folder: int) -> Iterator[None]:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            os.close(os.open(CLAIM, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666, dir_fd=folder))
            break
        except FileExistsError:
            _drop_stale_claim(folder)
            if time.monotonic() > deadline:
                raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT), CLAIM) from None
            time.sleep(0.02)
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            os.unlink(CLAIM, dir_fd=folder)


def _drop_stale_claim(folder: int) -> None:
    if not _is_stale(folder):
        return
    with suppress(FileExistsError):  # somebody else is at it, and may have a claim of their own by then
        os.close(os.open(_DROPPING, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666, dir_fd=folder))
        try:
            if _is_stale(folder):
                os.unlink(CLAIM, dir_fd=folder)
        finally:
            os.unlink(_DROPPING, dir_fd=folder)


def _is_stale(folder: int) -> bool:
    try:
        made = os.stat(CLAIM, dir_fd=folder, follow_symlinks=False).st_mtime
    except FileNotFoundError:
        return False
    return _now(folder) - made > _STALE


def _now(folder: int) -> float:
    """Ask the share itself what time it is: the clocks of those who write to it may differ."""
    name = f"{CLAIM}-{secrets.token_hex(8)}"
    descriptor = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666, dir_fd=folder)
    try:
        return os.fstat(descriptor).st_mtime
    finally:
        os.close(descriptor)
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
