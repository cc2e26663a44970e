"""The engine as the service sees it: a URL goes in, an audio file comes out."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import structlog

from music_downloader.config.audio import AudioFormat
from music_downloader.engine import convert, faults
from music_downloader.engine.containment import Limits
from music_downloader.engine.faults import Fault
from music_downloader.engine.order import Fetched, FetchOrder, Progress
from music_downloader.engine.probe import Audio
from music_downloader.engine.source import SourceInfo
from music_downloader.engine.spawner import Spawner
from music_downloader.engine.watch import Watch, WatchRules
from music_downloader.errors import DownloadFailedError, ErrorCode

_FETCH_MEMORY: Final = 1024**3
_DRAIN_TIMEOUT: Final = 2.0

log = structlog.get_logger(__name__)


class Engine:
    """Fetches and converts in processes of their own; several runs at once are fine.

    Cancelling a call kills its whole process group before the cancellation propagates.
    """

    def __init__(self, *, encodes: int = 1, rules: WatchRules | None = None) -> None:
        """Encode at most `encodes` tracks at once; how many are fetched at once is up to the caller."""
        self.spawner = Spawner()
        self._encodes = asyncio.Semaphore(encodes)
        self._rules = rules or WatchRules()

    @property
    def yt_dlp_version(self) -> str | None:
        """The version of yt-dlp that fetches; None before the start."""
        return self.spawner.yt_dlp_version

    @property
    def template_pid(self) -> int | None:
        """The process id of the fork server while it runs."""
        return self.spawner.template_pid

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Start the fork server and wait until it is warm."""
        await self.spawner.start()

    async def close(self) -> None:
        """End every process of the engine; runs under way fail as transient."""
        await self.spawner.close()

    async def fetch(self, order: FetchOrder, *, on_progress: Callable[[Progress], None]) -> Fetched:
        """Fetch one track, in one pass; `on_progress` hears at most two states a second, first and last.

        Raises DownloadFailedError.
        """
        limits = Limits(file_bytes=order.max_bytes, data_bytes=_FETCH_MEMORY)
        run = _Run(on_progress)
        async with self.spawner.child(
            "fetch", directory=order.directory, limits=limits, order=order.to_json()
        ) as child:
            watch = Watch(order, self._rules, transferring=lambda: run.transferring)
            reading = asyncio.create_task(run.read(child.stdout))
            try:
                await watch.until(reading)
                status = await asyncio.wait_for(asyncio.shield(child.ended), _DRAIN_TIMEOUT)
            except TimeoutError:
                status = 0  # it closed its pipe but lingers; leaving the block kills it
            finally:
                reading.cancel()
            return run.result(order.directory, status)

    async def convert(
        self,
        path: Path,
        *,
        wanted: AudioFormat,
        deadline: float,
        max_bytes: int | None = None,
        on_start: Callable[[], None] = lambda: None,
    ) -> Audio:
        """Make what was fetched into the wanted format, beside it; see `convert.to_audio`.

        `on_start` is called when ffmpeg is about to run, which it doesn't where the file is right already.
        """
        return await convert.to_audio(
            self.spawner,
            path,
            wanted=wanted,
            deadline=deadline,
            max_bytes=max_bytes,
            turn=self._turn(on_start),
        )

    @asynccontextmanager
    async def _turn(self, on_start: Callable[[], None]) -> AsyncIterator[None]:
        async with self._encodes:
            on_start()
            yield


@dataclass(slots=True)
class _Run:
    """What one fetching child has told so far."""

    on_progress: Callable[[Progress], None]
    transferring: bool = False
    ending: dict[str, Any] | None = None

    async def read(self, events: asyncio.StreamReader) -> None:
        """Take events until the child closes its pipe."""
        try:
            while line := await events.readline():
                self._take(_parse(line))
        except ValueError as error:
            raise _crashed(0) from error  # a line too long, or not of ours

    def _take(self, told: Progress | dict[str, Any]) -> None:
        if isinstance(told, Progress):
            self.transferring = self.transferring or told.phase == "downloading"
            self.on_progress(told)
        elif told["event"] == "warning":
            log.debug("engine.warning", message=faults.sentence(str(told.get("message"))))
        elif self.ending is None:
            self.ending = told

    def result(self, directory: Path, status: int | None) -> Fetched:
        """Judge how the child ended."""
        if self.ending is None:
            raise _crashed(status)
        try:
            if self.ending["event"] == "failed":
                raise Fault.from_json(self.ending).error()
            path = directory / Path(self.ending["path"]).name
            info = SourceInfo.from_json(self.ending["info"])
        except (ValueError, KeyError, TypeError) as error:
            raise _crashed(status) from error
        if path.is_symlink() or not path.is_file():
            raise _crashed(status)
        return Fetched(path=path, info=info)


def _parse(line: bytes) -> Progress | dict[str, Any]:
    """Read one event; raises ValueError for what isn't one."""
    facts = json.loads(line)
    if not isinstance(facts, dict) or "event" not in facts:
        raise ValueError("not an event")
    if facts["event"] != "progress":
        return facts
    try:
        return Progress(**{name: value for name, value in facts.items() if name != "event"})
    except TypeError as error:
        raise ValueError("not a progress") from error


def _crashed(status: int | None) -> DownloadFailedError:
    how = "ended without a result"
    if status is None:
        how = "could not be started"
    elif status < 0:
        how = f"was ended by {signal.strsignal(-status) or 'a signal'} (signal {-status})"
    return DownloadFailedError(ErrorCode.INTERNAL, f"The process that fetches {how}.", transient=True)
