"""Take back what was filed by somebody who died before it got a row."""

import os
import re
from contextlib import suppress
from pathlib import Path, PurePosixPath

from music_downloader.library.folders import inside, open_folders
from music_downloader.library.moving import Place
from music_downloader.library.names import numbered
from music_downloader.library.writing import is_same

_NUMBER = re.compile(r" \((\d{1,3})\)$")


def filed_copies(root: Path, wanted: PurePosixPath, *, size: int, digest: str) -> list[PurePosixPath]:
    """Return where `publish` may have put these bytes when it wanted `wanted`: there, or at a numbered name.

    Raises OSError as the file system does.
    """
    found = []
    try:
        with open_folders(root, inside(wanted).parts[:-1]) as (*_, folder):
            for name in sorted(os.listdir(folder)):  # noqa: PTH208 - a descriptor
                if _may_be(name, wanted.name):
                    with suppress(FileNotFoundError):
                        if is_same(Place(folder=folder, name=name), size=size, digest=digest):
                            found.append(wanted.with_name(name))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return found


def remove_empty_folders(root: Path, folder: PurePosixPath) -> None:
    """Remove `folder` and those above it as long as they are empty; the library itself stays."""
    if not folder.parts:
        return
    inside(folder)
    with suppress(OSError), open_folders(root, folder.parts) as folders:
        for parent, name in zip(reversed(folders[:-1]), reversed(folder.parts), strict=True):
            os.rmdir(name, dir_fd=parent)


def _may_be(name: str, wanted: str) -> bool:
    if name == wanted:
        return True
    number = _NUMBER.search(PurePosixPath(name).stem)
    return number is not None and name == numbered(wanted, int(number[1]))
