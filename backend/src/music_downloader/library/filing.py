"""File finished tracks: from a staging folder into the library, whole, safe on disk, and over nothing."""

import errno
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from music_downloader.errors import DownloadFailedError, ErrorCode
from music_downloader.library.faults import storage_faults
from music_downloader.library.folders import OWN_FOLDER, inside, open_folders, sync_folder
from music_downloader.library.moving import Place, is_taken, move
from music_downloader.library.names import LONGEST_NAME, numbered
from music_downloader.library.writing import COPY, copied, is_file, is_same, open_file, sync_file

STAGING = f"{OWN_FOLDER}/staging"

# What tells Navidrome, Android, Jellyfin and MPD to leave a folder alone.
_KEEP_OUT = {".ndignore": "", ".nomedia": "", ".ignore": "", ".mpdignore": "*\n"}
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOST_OF_ONE_NAME = 999
COVER = "cover.jpg"
# What keeps a folder's cover: whatever plays.
_AUDIO = {
    ".mp3",
    ".m4a",
    ".m4b",
    ".mp4",
    ".aac",
    ".opus",
    ".ogg",
    ".oga",
    ".flac",
    ".wav",
    ".aif",
    ".aiff",
} | {*(".wma", ".ape", ".wv", ".mka", ".webm", ".dsf", ".mpc")}
_PATIENCE = 4  # more attempts


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    """A file's SHA-256, and what about it changes when somebody writes it."""

    digest: str
    traits: tuple[int, ...]


def staging_directory(root: Path, download_id: str) -> Path:
    """Make the folder in which one download takes shape, on the library's disk: filing is a rename then.

    Raises FileNotFoundError where there is no library; see `presence`.
    """
    if not _PLAIN.fullmatch(download_id):
        raise ValueError("a download's id is letters, digits, '-' and '_'")
    folder = root / STAGING / download_id
    # The library's own folder is made with the library, and never where that is missing.
    folder.parent.mkdir(exist_ok=True)
    folder.mkdir(exist_ok=True)
    keep_out(root)
    return folder


def keep_out(root: Path) -> None:
    """Have music servers leave the library's own folder alone."""
    for name, text in _KEEP_OUT.items():
        with suppress(FileExistsError), (root / OWN_FOLDER / name).open("x") as marker:
            marker.write(text)


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
    crash; the staged file stays then, since who owns the other may be about to remove it. `digest` is the
    staged file's SHA-256. Returns where the file is. Raises DownloadFailedError:
    NO_SPACE, or INTERNAL if the folder can't be written to; ValueError if `wanted` isn't in the library.
    """
    inside(wanted)
    with storage_faults():
        for _ in range(_PATIENCE):
            with suppress(FileNotFoundError):  # somebody else has just removed a folder because it was empty
                return _publish(staged, root, wanted, digest)
        return _publish(staged, root, wanted, digest)


def is_filed(root: Path, relative: PurePosixPath, *, size: int, digest: str) -> bool:
    """Whether the library has this very file at `relative`; it is read to its end."""
    with storage_faults():
        try:
            with open_folders(root, inside(relative).parts[:-1]) as (*_, folder):
                return is_same(Place(folder=folder, name=relative.name), size=size, digest=digest)
        except (FileNotFoundError, NotADirectoryError):
            return False


def replace(staged: Path, root: Path, relative: PurePosixPath, *, expected: str, digest: str) -> bool:
    """Put `staged` in the place of the library's file, provided that this still has the SHA-256 `expected`.

    `digest` is the staged file's own: a file that has it already is left as it is, so this may be done again
    after a crash. False if something else lies there, or nothing; the staged file stays then. Whoever reads
    the old file meanwhile reads it to its end. What a stranger writes in the instant between the last look
    and the rename is lost. Raises as `publish`.
    """
    inside(relative)
    with storage_faults():
        try:
            with (
                open_folders(staged.parent, ()) as (staging,),
                open_folders(root, relative.parts[:-1]) as (*_, folder),
            ):
                source = Place(folder=staging, name=staged.name)
                return _replace(source, Place(folder=folder, name=relative.name), expected, digest)
        except (FileNotFoundError, NotADirectoryError):
            if not staged.exists():
                raise
            return False


def unpublish(root: Path, relative: PurePosixPath, *, cover_sha256: str | None = None) -> bool:
    """Remove a file from the library, and folders that are empty then; False if there is no such file.

    With the last audio file of a folder goes its cover.jpg, if that has the SHA-256 `cover_sha256`. Raises
    ValueError if `relative` isn't inside of the library, and OSError as the file system does.
    """
    return _unpublish(root, relative, cover_sha256, is_synced=True)


def unpublish_all(root: Path, files: Sequence[tuple[PurePosixPath, str | None]]) -> None:
    """Remove many files, each with the digest of its cover: `unpublish` that waits once for each folder."""
    last = {path.parent: number for number, (path, _) in enumerate(files)}
    for number, (path, cover_sha256) in enumerate(files):
        _unpublish(root, path, cover_sha256, is_synced=last[path.parent] == number)


def free_space(root: Path) -> int:
    """Count the bytes that may still be written below `root`."""
    facts = os.statvfs(root)
    return facts.f_bavail * facts.f_frsize


def longest_name(root: Path) -> int:
    """Ask how many bytes a name may have: 255 nearly everywhere, 143 in the encrypted folders of some NAS."""
    return min(os.statvfs(root).f_namemax or LONGEST_NAME, LONGEST_NAME)


def check_writable(root: Path) -> None:
    """Write a byte into `root` and take it away again; OSError says why that isn't possible."""
    own = root / OWN_FOLDER  # where what a kill leaves is seen by nobody, and swept
    with tempfile.NamedTemporaryFile(dir=own if own.is_dir() else root, prefix=COPY, suffix=".part") as file:
        file.write(b"\n")
        file.flush()


def _unpublish(root: Path, relative: PurePosixPath, cover_sha256: str | None, *, is_synced: bool) -> bool:
    *parents, name = inside(relative).parts
    try:
        with open_folders(root, parents) as folders:
            if not is_file(Place(folder=folders[-1], name=name)):
                return False
            os.unlink(name, dir_fd=folders[-1])
            if parents and cover_sha256:
                _remove_lonely_cover(folders[-1], cover_sha256)
            if is_synced:
                sync_folder(folders[-1])
            with suppress(OSError):  # not empty, or a link, or somebody else's: then it stays
                for folder, parent in zip(reversed(folders[:-1]), reversed(parents), strict=True):
                    os.rmdir(parent, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _publish(staged: Path, root: Path, wanted: PurePosixPath, digest: str) -> PurePosixPath:
    with (
        open_folders(staged.parent, ()) as (staging,),
        open_folders(root, wanted.parts[:-1], create=True) as (*_, folder),
    ):
        source = Place(folder=staging, name=staged.name)
        size = sync_file(source)
        try:
            name = _settle(source, folder, wanted.name, size=size, digest=digest)
        except OSError as fault:
            if fault.errno != errno.EXDEV:
                raise
            with copied(source, folder) as copy:  # this part of the library lies on another disk
                name = _settle(copy, folder, wanted.name, size=size, digest=digest)
                if not is_taken(copy):  # it has moved, and wasn't found there already
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
            if not is_same(target, size=size, digest=digest):
                continue
        return target.name
    raise DownloadFailedError(
        ErrorCode.INTERNAL, f"There are {_MOST_OF_ONE_NAME} other files of this name in the library already."
    )


def _replace(source: Place, target: Place, expected: str, digest: str) -> bool:
    sync_file(source)
    seen = _look(target)
    if seen is None or seen.digest not in {expected, digest}:
        return False
    if seen.digest == digest:
        os.unlink(source.name, dir_fd=source.folder)
        return True
    try:
        done = _rename_over(source, target, seen)
    except OSError as fault:
        if fault.errno != errno.EXDEV:
            raise
        with copied(source, target.folder) as copy:  # this part of the library lies on another disk
            done = _rename_over(copy, target, seen)
        if done:
            os.unlink(source.name, dir_fd=source.folder)
    sync_folder(target.folder)
    return done


def _rename_over(source: Place, target: Place, seen: _Seen) -> bool:
    facts = os.stat(target.name, dir_fd=target.folder, follow_symlinks=False)
    if _traits(facts) != seen.traits:
        return False
    with suppress(OSError):  # a share may refuse it
        os.chmod(source.name, stat.S_IMODE(facts.st_mode), dir_fd=source.folder)
    os.rename(source.name, target.name, src_dir_fd=source.folder, dst_dir_fd=target.folder)
    return True


def _look(place: Place) -> _Seen | None:
    """Digest a plain file, and take note of what tells whether it is changed later; None if it is none."""
    if not is_file(place):
        return None
    with os.fdopen(open_file(place), "rb") as file:
        traits = _traits(os.fstat(file.fileno()))
        return _Seen(digest=hashlib.file_digest(file, "sha256").hexdigest(), traits=traits)


def _traits(facts: os.stat_result) -> tuple[int, ...]:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _remove_lonely_cover(folder: int, digest: str) -> None:
    if any(PurePosixPath(name).suffix.lower() in _AUDIO for name in os.listdir(folder)):
        return
    cover = Place(folder=folder, name=COVER)
    with suppress(FileNotFoundError):
        seen = _look(cover)
        if seen is not None and seen.digest == digest:
            os.unlink(cover.name, dir_fd=folder)
