"""Reading what the library holds, and never anything that a link leads out of it to."""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from music_downloader.errors import DownloadFailedError, NoFileError, ServiceUnavailableError
from music_downloader.library.covers import read_embedded
from music_downloader.library.embedded import Cover, read_cover
from music_downloader.library.folders import inside, open_folders

# A pipe in a file's place must not hold the reader up, so nothing here waits at opening.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG}
_GONE = "The file isn't in the library any more; it was moved, renamed or deleted."


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenFile:
    """An open file: `size` in bytes, `modified` in nanoseconds since 1970. Whoever opened it closes it."""

    descriptor: int
    size: int
    modified: int


def open_file(root: Path, path: str) -> OpenFile:
    """Open the file at `path` below `root`.

    Raises NoFileError if there is none, or only a link or something that is no file;
    ServiceUnavailableError if the library itself can't be read.
    """
    try:
        relative = inside(PurePosixPath(path))
        with open_folders(root, relative.parent.parts) as folders:
            descriptor = os.open(relative.name, _FILE, dir_fd=folders[-1])
    except (ValueError, DownloadFailedError) as fault:
        raise NoFileError(_GONE) from fault
    except OSError as fault:
        if fault.errno in _ABSENT and root.is_dir() and any(root.iterdir()):  # an empty one isn't it
            raise NoFileError(_GONE) from fault
        raise ServiceUnavailableError(
            "The music library can't be read right now; check that its disk is there, and its permissions."
        ) from fault
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        os.close(descriptor)
        raise NoFileError(_GONE)
    return OpenFile(descriptor=descriptor, size=facts.st_size, modified=facts.st_mtime_ns)


def read_cover_of(root: Path, path: str) -> Cover | None:
    """Return the JPEG or PNG inside the file at `path`, None without one; raises as `open_file` does."""
    file = open_file(root, path)
    try:
        # By its descriptor: under its name there may be another file by now.
        return read_cover(read_embedded(Path(f"/proc/self/fd/{file.descriptor}")))
    finally:
        os.close(file.descriptor)
