"""Open folders below the library's root, and none that a link leads out of it."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath

from music_downloader.errors import DownloadFailedError, ErrorCode

OWN_FOLDER = ".nas-music"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NO_SYNC = {errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF, errno.EACCES}  # some shares refuse to sync a folder


def inside(relative: PurePosixPath) -> PurePosixPath:
    """Give `relative` back if it names something in the library, not in our own folder; else ValueError."""
    parts = relative.parts
    if not parts or relative.is_absolute() or ".." in parts or "\x00" in str(relative):
        raise ValueError("a path in the library is relative and doesn't climb")
    if parts[0].casefold() == OWN_FOLDER:
        raise ValueError("the folder of unfinished downloads is no part of the library")
    return relative


@contextmanager
def open_folders(root: Path, names: Sequence[str], *, create: bool = False) -> Iterator[list[int]]:
    """Open the root and each folder on the way down, the last being the deepest; closed again on exit.

    What is done by these descriptors stays in these folders, whatever happens to their names meanwhile.
    Raises DownloadFailedError if a link leads outside, FileNotFoundError if a folder is missing and not made,
    or is to be made where there is no library.
    """
    with ExitStack() as stack:

        def keep(descriptor: int) -> int:
            stack.callback(os.close, descriptor)
            return descriptor

        opened = [keep(os.open(root, _FOLDER))]
        if create:
            os.stat(
                OWN_FOLDER, dir_fd=opened[0]
            )  # what isn't the library, but its empty place, gets no folders
        for depth, name in enumerate(names, start=1):
            if create:
                _make(name, opened[-1])
            try:
                descriptor = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=opened[-1])
            except OSError as fault:
                if fault.errno not in {errno.ELOOP, errno.ENOTDIR}:
                    raise
                descriptor = _open_linked(root, root.joinpath(*names[:depth]))
            opened.append(keep(descriptor))
        yield opened


def sync_folder(descriptor: int) -> None:
    """Make the names in a folder survive a loss of power, where the file system offers that."""
    try:
        os.fsync(descriptor)
    except OSError as fault:
        if fault.errno not in _NO_SYNC:
            raise


def _make(name: str, parent: int) -> None:
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=parent)
        sync_folder(parent)


def _open_linked(root: Path, path: Path) -> int:
    """Open a folder that is reached by a link to another folder of the library."""
    real_root = Path(
        os.path.realpath(root)
    )  # where Path.resolve() would raise RuntimeError on a circle of links
    target = Path(os.path.realpath(path))
    if not target.is_relative_to(real_root):
        sentence = "A folder of the library is a link that leads out of it; nothing is filed there."
        raise DownloadFailedError(ErrorCode.INTERNAL, sentence)
    with ExitStack() as stack:
        descriptor = os.open(real_root, _FOLDER)
        for name in target.relative_to(real_root).parts:
            stack.callback(os.close, descriptor)
            descriptor = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
        return descriptor
