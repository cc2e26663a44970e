"""Where a download takes shape: a folder of its own, on the library's disk, one for each attempt."""

import re
import shutil
from contextlib import suppress
from pathlib import Path

from music_downloader.library.filing import STAGING, remove_staging, staging_directory

_NUMBERED = re.compile(r".+-(\d{1,18})")
_OF_DOWNLOAD = re.compile(r"(\d{1,18})-.+")
_FREE = "free"


def staging_for_attempt(root: Path, name: str, *, attempt: int, after: int) -> Path:
    """Make the folder of one attempt; what an earlier one behind `after` has fetched goes on from there.

    Attempts are told apart by their claims' numbers, which only grow.

    A folder that was given free is taken over by a rename. Any other may still be written to: its owner was
    taken for dead, but may only be frozen, and its processes go on. So its files are copied, and whoever has
    them open writes into what nobody reads. Older folders are removed.
    """
    earlier = sorted(_attempts(root, name), reverse=True)
    own = root / STAGING / f"{name}-{attempt}"
    for number, folder in earlier:
        if number >= attempt:  # our own; or we are the stale one, and leave what isn't ours
            continue
        if after < number < attempt and not own.exists():
            with suppress(OSError):
                _take_over(folder, own)
        shutil.rmtree(folder, ignore_errors=True)
    return staging_directory(root, own.name)


def holds_something(folder: Path) -> bool:
    """Tell whether an attempt goes on from what is there already."""
    return next(folder.iterdir(), None) is not None


def give_free(folder: Path) -> None:
    """Say that no process of this attempt is left, and that the next one may go on in its folder."""
    with suppress(OSError):
        (folder / _FREE).touch()


def discard_staging(root: Path, prefix: str) -> None:
    """Remove all folders whose name begins with `prefix`; what can't be removed is left for the upkeep."""
    with suppress(FileNotFoundError):
        for folder in (root / STAGING).iterdir():
            if folder.name.startswith(prefix):
                with suppress(OSError):
                    remove_staging(folder)


def staged_downloads(root: Path) -> dict[str, int]:
    """Return the folders of downloads that are there now: their names, and the downloads' ids."""
    with suppress(FileNotFoundError):
        matches = [_OF_DOWNLOAD.fullmatch(folder.name) for folder in (root / STAGING).iterdir()]
        return {match[0]: int(match[1]) for match in matches if match}
    return {}


def _take_over(folder: Path, own: Path) -> None:
    try:
        (folder / _FREE).unlink()
    except FileNotFoundError:
        # Under a name that is no attempt's until it is whole.
        copy = own.with_name(f"{own.name}.copy")
        shutil.rmtree(copy, ignore_errors=True)
        try:
            shutil.copytree(folder, copy, symlinks=True)
            copy.rename(own)
        except BaseException:  # on a full disk, what there is of it takes what is left
            shutil.rmtree(copy, ignore_errors=True)
            raise
    else:
        folder.rename(own)


def _attempts(root: Path, name: str) -> list[tuple[int, Path]]:
    found: list[tuple[int, Path]] = []
    with suppress(FileNotFoundError):
        for folder in (root / STAGING).iterdir():
            match = _NUMBERED.fullmatch(folder.name)
            if match and folder.name == f"{name}-{match[1]}":
                found.append((int(match[1]), folder))
    return found
