"""File finished tracks: from a staging folder into the library, whole, safe on disk, and over nothing."""

import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from music_downloader.errors import DownloadFailedError, ErrorCode
from music_downloader.library.faults import storage_faults
from music_downloader.library.folders import OWN_FOLDER, inside, open_folders, sync_folder
from music_downloader.library.moving import Place, move
from music_downloader.library.names import LONGEST_NAME, numbered

STAGING = f"{OWN_FOLDER}/staging"

# What tells Navidrome, Android, Jellyfin and MPD to leave a folder alone.
_KEEP_OUT = {".ndignore": "", ".nomedia": "", ".ignore": "", ".mpdignore": "*\n"}
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOST_OF_ONE_NAME = 999
_COPY = ".nas-music-"
_ABANDONED = 24 * 3600.0  # seconds
_PATIENCE = 4  # more attempts
_CHUNK = 1024 * 1024  # bytes


def staging_directory(root: Path, download_id: str) -> Path:
    """Make the folder in which one download takes shape, on the library's disk: filing is a rename then."""
    if not _PLAIN.fullmatch(download_id):
        raise ValueError("a download's id is letters, digits, '-' and '_'")
    folder = root / STAGING / download_id
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in _KEEP_OUT.items():
        with suppress(FileExistsError), (root / OWN_FOLDER / name).open("x") as marker:
            marker.write(text)
    return folder


def staging_left_since(root: Path, moment: float) -> list[Path]:
    """List the staging folders in which nothing has changed since `moment` (seconds since the epoch)."""
    with suppress(FileNotFoundError):
        return [path for path in (root / STAGING).iterdir() if path.stat().st_mtime < moment]
    return []


def remove_staging(path: Path) -> None:
    """Remove what `staging_directory` made, and all in it; nothing if it is gone already."""
    if path.parts[-3:-1] != PurePosixPath(STAGING).parts:
        raise ValueError("this is no download's staging folder")
    with suppress(FileNotFoundError):
        shutil.rmtree(path)


def sha256_of(path: Path) -> str:
    """Digest a file in hexadecimal, reading it piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def publish(staged: Path, root: Path, wanted: PurePosixPath, *, digest: str) -> PurePosixPath:
    """Move a finished file to `wanted` below `root`, or beside it as "… (2)" if another file is there.

    A file of the same content that is there already is adopted instead, so this may be done again after a
    crash. `digest` is the staged file's SHA-256. Returns where the file is. Raises DownloadFailedError:
    NO_SPACE, or INTERNAL if the folder can't be written to; ValueError if `wanted` isn't in the library.
    """
    inside(wanted)
    with storage_faults():
        for _ in range(_PATIENCE):
            with suppress(FileNotFoundError):  # somebody else has just removed a folder because it was empty
                return _publish(staged, root, wanted, digest)
        return _publish(staged, root, wanted, digest)


def unpublish(root: Path, relative: PurePosixPath) -> bool:
    """Remove a file from the library, and folders that are empty then; False if there is no such file.

    Raises ValueError if `relative` isn't inside of the library, and OSError as the file system does.
    """
    *parents, name = inside(relative).parts
    try:
        with open_folders(root, parents) as folders:
            if not _is_file(Place(folder=folders[-1], name=name)):
                return False
            os.unlink(name, dir_fd=folders[-1])
            sync_folder(folders[-1])
            with suppress(OSError):  # not empty, or a link, or somebody else's: then it stays
                for folder, parent in zip(reversed(folders[:-1]), reversed(parents), strict=True):
                    os.rmdir(parent, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def free_space(root: Path) -> int:
    """Count the bytes that may still be written below `root`."""
    facts = os.statvfs(root)
    return facts.f_bavail * facts.f_frsize


def longest_name(root: Path) -> int:
    """Ask how many bytes a name may have: 255 nearly everywhere, 143 in the encrypted folders of some NAS."""
    return min(os.statvfs(root).f_namemax or LONGEST_NAME, LONGEST_NAME)


def check_writable(root: Path) -> None:
    """Write a byte into `root` and take it away again; OSError says why that isn't possible."""
    with tempfile.NamedTemporaryFile(dir=root, prefix=_COPY, suffix=".part") as file:
        file.write(b"\n")
        file.flush()


def _publish(staged: Path, root: Path, wanted: PurePosixPath, digest: str) -> PurePosixPath:
    with (
        open_folders(staged.parent, ()) as (staging,),
        open_folders(root, wanted.parts[:-1], create=True) as (*_, folder),
    ):
        source = Place(folder=staging, name=staged.name)
        size = _sync_file(source)
        try:
            name = _settle(source, folder, wanted.name, size=size, digest=digest)
        except OSError as fault:
            if fault.errno != errno.EXDEV:
                raise
            with _copied(source, folder) as copy:  # this part of the library lies on another disk
                name = _settle(copy, folder, wanted.name, size=size, digest=digest)
            os.unlink(source.name, dir_fd=source.folder)
        sync_folder(folder)
    return wanted.with_name(name)


def _settle(source: Place, folder: int, name: str, *, size: int, digest: str) -> str:
    """Move to the first name that is free, or is this very file's already."""
    for number in range(1, _MOST_OF_ONE_NAME + 1):
        target = Place(folder=folder, name=name if number == 1 else numbered(name, number))
        try:
            move(source, target)
        except FileExistsError:
            if not _is_same(target, size=size, digest=digest):
                continue
            os.unlink(source.name, dir_fd=source.folder)
        return target.name
    raise DownloadFailedError(
        ErrorCode.INTERNAL, f"There are {_MOST_OF_ONE_NAME} other files of this name in the library already."
    )


@contextmanager
def _copied(source: Place, folder: int) -> Iterator[Place]:
    """Copy a file beside its final place, under a name that music servers skip; gone again unless moved."""
    _sweep(folder, now=time.time())
    copy = Place(folder=folder, name=f"{_COPY}{secrets.token_hex(8)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with (
            os.fdopen(_open(source), "rb") as old,
            os.fdopen(os.open(copy.name, flags, 0o666, dir_fd=folder), "wb") as new,
        ):
            shutil.copyfileobj(old, new, _CHUNK)
            new.flush()
            os.fsync(new.fileno())
        yield copy
    finally:
        with suppress(OSError):
            os.unlink(copy.name, dir_fd=folder)


def _sweep(folder: int, *, now: float) -> None:
    """Remove copies that were left when a process was killed."""
    for name in os.listdir(folder):
        if name.startswith(_COPY) and name.endswith(".part"):
            with suppress(OSError):
                if now - os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime > _ABANDONED:
                    os.unlink(name, dir_fd=folder)


def _open(place: Place) -> int:
    return os.open(
        place.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place.folder
    )


def _sync_file(place: Place) -> int:
    """Bring a file's bytes to the disk, and count them."""
    descriptor = _open(place)
    try:
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def _is_file(place: Place) -> bool:
    return stat.S_ISREG(os.stat(place.name, dir_fd=place.folder, follow_symlinks=False).st_mode)


def _is_same(place: Place, *, size: int, digest: str) -> bool:
    if not _is_file(place):
        return False
    with os.fdopen(_open(place), "rb") as file:
        if os.fstat(file.fileno()).st_size != size:
            return False
        return hashlib.file_digest(file, "sha256").hexdigest() == digest
