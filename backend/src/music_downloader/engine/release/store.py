"""The installed versions of one data folder, and which of them is to be used."""

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import structlog

from music_downloader.engine.release import ledger as ledgers
from music_downloader.engine.release import tree
from music_downloader.engine.release.ledger import Entry, Ledger
from music_downloader.engine.release.version import built_in, order

_FOLDER: Final = "engine"
INCOMING: Final = ".incoming-"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Confinement:
    """What a fork server may reach from before it imports anything: this folder, and this port."""

    directory: Path
    port: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """A tree to run. `confined` holds the whole fork server; `said` is where its complaints go.

    One that has `passed` has fetched something before, and is judged no more.
    """

    version: str
    folder: Path
    passed: bool = False
    confined: Confinement | None = None
    said: Path | None = None


class Releases(Protocol):
    """Says which yt-dlp to run, and hears of one that does or doesn't."""

    def choose(self) -> Installed | None:
        """Return what to run; None for the built-in version."""

    def reject(self, version: str, reason: str) -> None:
        """Never choose this version again."""

    def note_passed(self, version: str) -> None:
        """Remember that this version has fetched something."""


class BuiltIn:
    """Only what came with the service."""

    def choose(self) -> Installed | None:
        """Choose the built-in version."""
        return None

    def reject(self, version: str, reason: str) -> None:
        """Hear of nothing: there is nothing to reject."""

    def note_passed(self, version: str) -> None:
        """Hear of nothing: it needs no proof."""


class Store:
    """The versions below DATA_DIRECTORY; several processes may share it. All its calls block."""

    def __init__(self, data_directory: Path) -> None:
        self.folder = data_directory / _FOLDER

    def ledger(self) -> Ledger:
        """Return what is written of the versions."""
        return ledgers.read(self.folder)

    def stamp(self) -> tuple[int, int] | None:
        """Return what changes whenever the ledger does, at the price of one stat."""
        try:
            found = (self.folder / ledgers.LEDGER).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino

    def usable(self, entry: Entry | None, ledger: Ledger) -> bool:
        """Tell whether a version is newer than the built-in one, which is the floor, and not known as bad."""
        return (
            entry is not None
            and entry.version not in ledger.rejected
            and order(entry.version) > order(built_in())
        )

    def in_use(self) -> Entry | None:
        """Return what would be chosen, without looking through its files."""
        ledger = self.ledger()
        return next((e for e in (ledger.current, ledger.previous) if self.usable(e, ledger)), None)

    def version(self) -> str:
        """Return the version in use, which came with the service or later; empty where there is none."""
        entry = self.in_use()
        return entry.version if entry else built_in()

    def choose(self) -> Installed | None:
        """Return the newest version that is whole; a damaged one is given up, as the log and health tell."""
        ledger = self.ledger()
        for entry in (ledger.current, ledger.previous):
            if entry is None or not self.usable(entry, ledger):
                continue
            folder = self.folder / entry.version
            try:
                tree.check(folder, entry.seal)
            except tree.DamagedTreeError as error:
                log.warning("engine.version_damaged", version=entry.version, reason=str(error))
                self._give_up(entry.version, f"damaged ({error})", bad=False)
                continue
            return Installed(version=entry.version, folder=folder, passed=entry.passed)
        return None

    def reject(self, version: str, reason: str) -> None:
        """Go back to the version before, and don't take this one again by oneself."""
        log.error("engine.version_rejected", version=version, reason=reason)
        self._give_up(version, reason, bad=True)

    def note_passed(self, version: str) -> None:
        """Write down that this version has fetched something, so that no later start judges it again."""
        with suppress(OSError):  # it is judged again, then
            self.change(lambda ledger: ledger.with_passed(version))

    def _give_up(self, version: str, reason: str, *, bad: bool) -> None:
        with suppress(OSError):  # a data folder that can't be written: each process finds out for itself
            self.change(lambda ledger: ledger.without(version, reason=reason, bad=bad))

    def change(self, how: Callable[[Ledger], Ledger]) -> Ledger:
        """Replace the ledger by what `how` makes of it; raises OSError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with ledgers.locked(self.folder):
            changed = how(self.ledger())
            ledgers.write(self.folder, changed)
        return changed

    def adopt(self, incoming: Path, entry: Entry) -> None:
        """Take a tried tree into use; the one before stays for going back, all older ones go."""
        place = self.folder / entry.version
        if place.exists():  # given up before, or damaged
            place.rename(self.folder / f"{INCOMING}old-{time.time_ns()}")
        incoming.rename(place)

        def adopted(ledger: Ledger) -> Ledger:
            before = ledger.current if self.usable(ledger.current, ledger) else ledger.previous
            return replace(
                ledger,
                current=entry,
                previous=before if before is not None and before.version != entry.version else None,
                rejected={v: reason for v, reason in ledger.rejected.items() if v != entry.version},
                checked_at=time.time(),
                fault=None,
                note=None,
            )

        self.prune(self.change(adopted))

    def prune(self, ledger: Ledger) -> None:
        """Remove what neither is used nor was before."""
        kept = {entry.version for entry in (ledger.current, ledger.previous) if entry is not None}
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink() and path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)
