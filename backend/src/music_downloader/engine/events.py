"""What a fetching child tells the worker, event by event; nothing of it is trusted."""

import asyncio
import json
import signal
import stat
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog

from music_downloader.engine import faults
from music_downloader.engine.faults import Fault
from music_downloader.engine.order import Entry, Fetched, Listed, Progress
from music_downloader.engine.source import SourceInfo
from music_downloader.errors import DownloadFailedError, ErrorCode

_PLAIN: Final = 0o666
_BURST: Final = 100
_BURST_SECONDS: Final = 0.5

OnEntries = Callable[[SourceInfo, list[Entry]], Awaitable[None]]

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Told:
    """What one fetching child has told so far; of a list, `max_entries` at most."""

    on_progress: Callable[[Progress], None]
    on_entries: OnEntries | None = None
    max_entries: int = 0
    transferring: bool = False
    collection: SourceInfo | None = None
    _entries: int = 0
    _ending: dict[str, Any] | None = None
    _heard_at: float | None = field(default_factory=time.monotonic)

    def silent_since(self) -> float:
        """Return since when (monotonic) the child has told nothing new; never while we keep it waiting."""
        return time.monotonic() if self._heard_at is None else self._heard_at

    async def read(self, events: asyncio.StreamReader) -> None:
        """Take events until the child closes its pipe."""
        pace = _Pace()
        while line := await _next_line(events):
            await pace.keep()
            told = _parse(line)
            if isinstance(told, Progress):
                self.transferring = self.transferring or told.phase == "downloading"
                self.on_progress(told)
            elif told["event"] == "warning":
                log.debug("engine.warning", message=faults.sentence(str(told.get("message"))))
            elif told["event"] in ("list", "entries"):
                await self._hand_on(told)
            elif self._ending is None:
                self._ending = told

    async def _hand_on(self, told: dict[str, Any]) -> None:
        try:
            if told["event"] == "list":
                self.collection = SourceInfo.from_json(told["collection"])
                return
            entries = [Entry.from_json(entry) for entry in told["entries"]]
        except (ValueError, KeyError, TypeError) as error:
            raise _crashed(0) from error
        self._entries += len(entries)
        if self.collection is None or self.on_entries is None or self._entries > self.max_entries:
            raise _crashed(0)
        self._heard_at = None
        await self.on_entries(self.collection, entries)
        self._heard_at = time.monotonic()

    def track_or_list(self, directory: Path, status: int | None) -> Fetched | Listed:
        """Judge how the child ended, with exit status `status`; raises DownloadFailedError."""
        ending = self._good_ending(status)
        try:
            if ending["event"] == "listed" and self.collection is not None:
                left_out = ending["left_out"]
                return Listed(
                    collection=self.collection,
                    count=int(ending["count"]),
                    left_out=None if left_out is None else int(left_out),
                )
            info = SourceInfo.from_json(ending["info"])
        except (ValueError, KeyError, TypeError) as error:
            raise _crashed(status) from error
        return Fetched(path=self.file(directory, status), info=info)

    def file(self, directory: Path, status: int | None) -> Path:
        """Return the file that the child, which has ended, has left in `directory`.

        Raises DownloadFailedError.
        """
        name = self._good_ending(status).get("path")
        path = directory / Path(str(name)).name
        if path.is_symlink() or not path.is_file():
            raise _crashed(status)
        _make_plain(path)
        return path

    def _good_ending(self, status: int | None) -> dict[str, Any]:
        if self._ending is None:
            raise _crashed(status)
        if self._ending["event"] != "failed":
            return self._ending
        try:
            fault = Fault.from_json(self._ending)
        except (ValueError, KeyError, TypeError) as error:
            raise _crashed(status) from error
        raise fault.error()


def _make_plain(path: Path) -> None:
    """Take from a file what audio never has: to be run, and as somebody else. It is filed as it is."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & ~_PLAIN:
        with suppress(OSError):  # a share has modes of its own
            path.chmod(mode & _PLAIN)


class _Pace:
    """Keeps whoever tells more than any child of ours would from keeping us busy: it has to wait."""

    def __init__(self) -> None:
        self._count = 0
        self._since = time.monotonic()

    async def keep(self) -> None:
        """Take note of one event; after many at once, wait."""
        self._count += 1
        if self._count == _BURST:
            await asyncio.sleep(max(0.0, self._since + _BURST_SECONDS - time.monotonic()))
            self._count, self._since = 0, time.monotonic()


async def _next_line(events: asyncio.StreamReader) -> bytes:
    try:
        return await events.readline()
    except ValueError as error:  # a line longer than any of ours
        raise _crashed(0) from error


def _parse(line: bytes) -> Progress | dict[str, Any]:
    """Read one event; what isn't one means that the child is out of order."""
    try:
        facts: dict[str, Any] = dict(json.loads(line))
        if facts["event"] != "progress":
            return facts
        return Progress.from_json({name: value for name, value in facts.items() if name != "event"})
    except (ValueError, TypeError, KeyError) as error:
        raise _crashed(0) from error


def _crashed(status: int | None) -> DownloadFailedError:
    how = "ended without a result"
    if status is None:
        how = "could not be started"
    elif status < 0:
        how = f"was ended by {signal.strsignal(-status) or 'a signal'} (signal {-status})"
    return DownloadFailedError(ErrorCode.INTERNAL, f"The process that fetches {how}.", transient=True)
