"""What bounds a run from outside: time, bytes in its folder, and the least speed worth waiting for."""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from music_downloader.engine import faults
from music_downloader.engine.order import FetchOrder
from music_downloader.errors import DownloadFailedError, ErrorCode


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchRules:
    """`interval` between two looks, `resolve` for finding the media or the next entries: seconds.

    A transfer must bring `least_rate` bytes a second over every `window` seconds.
    """

    interval: float = 1.0
    resolve: float = 300.0
    least_rate: float = 1024.0
    window: float = 60.0


class Watch:
    """Watches one run; `silent_since` tells since when (monotonic) nothing has been found."""

    def __init__(
        self,
        order: FetchOrder,
        rules: WatchRules,
        *,
        transferring: Callable[[], bool],
        silent_since: Callable[[], float],
    ) -> None:
        self._order = order
        self._rules = rules
        self._transferring = transferring
        self._silent_since = silent_since
        self._began = time.monotonic()
        self._samples: deque[tuple[float, int]] = deque()

    async def until(self, done: asyncio.Task[None]) -> None:
        """Return when `done` is, or raise DownloadFailedError when the run breaks a rule."""
        while not done.done():
            left = self._began + self._order.deadline - time.monotonic()
            if left <= 0:
                raise DownloadFailedError(
                    ErrorCode.TIMEOUT,
                    f"The download took longer than the {_duration(self._order.deadline)} allowed.",
                    transient=True,
                )
            await asyncio.wait({done}, timeout=min(left, self._rules.interval))
            if not done.done():
                size = await asyncio.to_thread(folder_bytes, self._order.directory)
                self._judge(size, time.monotonic())
        done.result()

    def _judge(self, size: int, now: float) -> None:
        if self._order.max_bytes is not None and size > self._order.max_bytes:
            raise faults.TOO_LARGE.error()
        if not self._transferring():
            if now - self._silent_since() > self._rules.resolve:
                raise faults.TIMEOUT.error()
            return
        self._samples.append((now, size))
        while len(self._samples) > 1 and self._samples[1][0] <= now - self._rules.window:
            self._samples.popleft()
        since, before = self._samples[0]
        if now - since >= self._rules.window and size - before < self._rules.least_rate * self._rules.window:
            raise DownloadFailedError(
                ErrorCode.TIMEOUT, "The source sends too slowly to go on.", transient=True
            )


def folder_bytes(directory: Path) -> int:
    """Return what the files in and below `directory` hold; whatever vanishes meanwhile counts nothing."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118 - a hot path
            except OSError:
                continue
    return total


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"  # noqa: PLR2004 - two minutes
