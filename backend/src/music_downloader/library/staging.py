"""Where a download takes shape: a folder of its own, on the library's disk, one for each attempt."""

import re
import shutil
from contextlib import suppress
from pathlib import Path

from music_downloader.library.filing import STAGING, remove_staging, staging_directory

_NUMBERED = re.compile(r".+-(\d{1,9})")


def staging_for_attempt(root: Path, name: str, *, attempt: int, after: int) -> Path:
    """Make the folder of one attempt; what an earlier one behind `after` has fetched goes on from there.

    The earlier folder is taken over by a rename, so that an owner who comes back finds nothing of its own any
    more. Older ones are removed.
    """
    earlier = sorted(_attempts(root, name), reverse=True)
    own = root / STAGING / f"{name}-{attempt}"
    for number, folder in earlier:
        if number >= attempt:  # our own; or we are the stale one, and leave what isn't ours
            continue
        if after < number < attempt and not own.exists():
            with suppress(OSError):
                folder.rename(own)
        shutil.rmtree(folder, ignore_errors=True)
    return staging_directory(root, own.name)


def discard_staging(root: Path, prefix: str) -> None:
    """Remove all folders whose name begins with `prefix`; what can't be removed is left for the upkeep."""
    with suppress(FileNotFoundError):
        for folder in (root / STAGING).iterdir():
            if folder.name.startswith(prefix):
                with suppress(OSError):
                    remove_staging(folder)


def _attempts(root: Path, name: str) -> list[tuple[int, Path]]:
    found: list[tuple[int, Path]] = []
    with suppress(FileNotFoundError):
        for folder in (root / STAGING).iterdir():
            match = _NUMBERED.fullmatch(folder.name)
            if match and folder.name == f"{name}-{match[1]}":
                found.append((int(match[1]), folder))
    return found
