"""Folders that a child has filled: measured, and removed, whatever has been done in them."""

import errno
import os
import sys
from pathlib import Path
from typing import Final

# What a file takes at least: a million empty ones fill a disk as well.
_LEAST: Final = 4096


def folder_bytes(directory: Path | str, *, each: int = 0, most: int = sys.maxsize) -> int:
    """Return what is in and below `directory`, everything counting `each` bytes at least.

    It stops counting beyond `most`. Whatever vanishes meanwhile counts nothing; what lies so deep that it
    can't be named counts as more than anything, since nobody does so by accident.
    """
    total = 0
    waiting = [os.fspath(directory)]
    while waiting and total <= most:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
                            total += each
                        else:
                            total += max(entry.stat(follow_symlinks=False).st_size, each)
                    except FileNotFoundError:
                        continue
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return sys.maxsize
    return total


def home_bytes(home: str, *, most: int) -> int:
    """Return what a home holds, empty files and folders included; it stops counting beyond `most`."""
    return folder_bytes(home, each=_LEAST, most=most)


def is_short_of(room: int, directory: Path | str) -> bool:
    """Tell whether less than `room` bytes are left on the disk of `directory`; False where nobody can say."""
    try:
        found = os.statvfs(directory)
    except OSError:  # whoever writes there finds out why
        return False
    return found.f_bavail * found.f_frsize < room


def remove(folder: str) -> None:
    """Remove a folder that nobody uses any more; what can't be removed stays.

    `shutil.rmtree` ends with a RecursionError in one that is deep enough, so what lies deeper is moved up
    first here, and nothing is ever named by a long path.
    """
    waiting = [folder]
    try:
        while waiting:
            current = waiting[-1]
            below = _emptied(current, into=folder)
            if below:
                waiting += below
            else:
                os.rmdir(waiting.pop())  # noqa: PTH106 - the same
    except OSError:
        return


def _emptied(current: str, *, into: str) -> list[str]:
    """Remove the files in `current`; return its folders, which have been moved to `into`."""
    found: list[str] = []
    with os.scandir(current) as entries:
        listed = list(entries)
    for entry in listed:
        if not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.path)  # noqa: PTH108 - by what scandir gave
            continue
        os.chmod(entry.path, 0o700)  # noqa: PTH101 - the same; it may have been made unreadable
        moved = os.path.join(into, os.urandom(12).hex())  # noqa: PTH118 - the same
        os.rename(entry.path, moved)  # noqa: PTH104 - the same
        found.append(moved)
    return found
