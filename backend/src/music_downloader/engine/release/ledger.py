"""What is installed beside the built-in yt-dlp: a small file, always replaced as a whole."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from music_downloader.engine.release.version import is_version

LEDGER: Final = "engine.json"
_LOCK: Final = ".lock"
_MOST_REJECTED: Final = 20
_MOST_BYTES: Final = 64 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A version that was installed, and its tree's seal; `passed` once it has fetched something."""

    version: str
    seal: str
    channel: str = "stable"
    passed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Ledger:
    """What is used and what was used before; None stands for the built-in version.

    `rejected` are versions that turned out bad, with the reason. `checked_at` (seconds since 1970) is when
    the index was last asked, `fault` what came of it if it failed; `note` is what last went wrong.
    """

    current: Entry | None = None
    previous: Entry | None = None
    rejected: dict[str, str] = field(default_factory=dict)
    checked_at: float | None = None
    fault: str | None = None
    note: str | None = None

    def without(self, version: str, *, reason: str, bad: bool) -> "Ledger":
        """Return the ledger after `version` was given up; a bad one isn't taken again by itself."""
        rejected = {**self.rejected, version: reason} if bad else self.rejected
        entries = [e for e in (self.current, self.previous) if e is not None and e.version != version]
        current, previous = (*entries, None, None)[:2]
        return replace(
            self,
            current=current,
            previous=previous,
            rejected=dict(list(rejected.items())[-_MOST_REJECTED:]),
            note=f"{version} was given up: {reason}",
        )

    def with_passed(self, version: str) -> "Ledger":
        """Return the ledger after `version` has fetched something."""
        current, previous = (
            replace(entry, passed=True) if entry is not None and entry.version == version else entry
            for entry in (self.current, self.previous)
        )
        return replace(self, current=current, previous=previous)


def read(folder: Path) -> Ledger:
    """Read the ledger; an empty one where there is none, or none that makes sense."""
    try:
        with (folder / LEDGER).open("rb") as file:
            said = json.loads(file.read(_MOST_BYTES))
        return Ledger(
            current=_entry(said["current"]),
            previous=_entry(said["previous"]),
            rejected={str(v): str(reason) for v, reason in said["rejected"].items()},
            checked_at=None if said["checked_at"] is None else float(said["checked_at"]),
            fault=None if said["fault"] is None else str(said["fault"]),
            note=None if said["note"] is None else str(said["note"]),
        )
    except (FileNotFoundError, NotADirectoryError):
        return Ledger()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Ledger(note="the list of installed versions is damaged; the built-in one is used")


def _entry(said: Any) -> Entry | None:  # noqa: ANN401 - whatever stood in a file
    if said is None:
        return None
    entry = Entry(
        version=str(said["version"]),
        seal=str(said["seal"]),
        channel=str(said["channel"]),
        passed=said.get("passed") is True,  # which older ledgers don't tell
    )
    if not is_version(entry.version):
        raise ValueError("not a version")
    return entry


@contextmanager
def locked(folder: Path, *, name: str = _LOCK, wait: bool = True) -> Iterator[None]:
    """Hold a lock that all processes of this data folder share; raises BlockingIOError without `wait`."""
    with (folder / name).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


def write(folder: Path, ledger: Ledger) -> None:
    """Replace the ledger, so that whoever reads finds the old one or the new one."""
    new = folder / f".{LEDGER}-{secrets.token_hex(4)}"
    try:
        with new.open("x", encoding="utf-8") as file:
            json.dump(asdict(ledger), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.replace(folder / LEDGER)
    finally:
        new.unlink(missing_ok=True)
