"""What bounds a run from outside: time, bytes in its folder, room on its disk, and the least speed."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from music_downloader.engine import faults
from music_downloader.engine.folder import folder_bytes, home_bytes, is_short_of
from music_downloader.engine.order import FetchOrder
from music_downloader.errors import DownloadFailedError, ErrorCode

T = TypeVar("T")
_LOOK_AGAIN: Final = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchRules:
    """`interval` between two looks, `resolve` for finding the media or the next entries: seconds.

    A transfer must bring `least_rate` bytes a second over every `window` seconds. `home` bounds the bytes in
    the child's own home, which holds no more than what a JavaScript runtime keeps.
    """

    interval: float = 1.0
    resolve: float = 300.0
    least_rate: float = 1024.0
    window: float = 60.0
    home: int = 256 * 1024**2


class Watch:
    """Watches one run; `silent_since` tells since when (monotonic) nothing has been found.

    `home` tells where the child's home is, as soon as that is known.
    """

    def __init__(
        self,
        order: FetchOrder,
        rules: WatchRules,
        *,
        transferring: Callable[[], bool],
        silent_since: Callable[[], float],
        home: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._order = order
        self._rules = rules
        self._transferring = transferring
        self._silent_since = silent_since
        self._home = home
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
                size, is_short = await asyncio.to_thread(self._measure)
                if is_short:
                    raise faults.NO_SPACE.error()
                self._judge(size, time.monotonic())
                await self._judge_home()
        done.result()

    def _measure(self) -> tuple[int, bool]:
        directory = self._order.directory
        return folder_bytes(directory), is_short_of(self._order.min_free, directory)

    async def _judge_home(self) -> None:
        home, most = self._home(), self._rules.home
        if home and await asyncio.to_thread(home_bytes, home, most=most) > most:
            raise faults.TOO_LARGE.error()

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


async def while_there_is_room(
    work: Coroutine[Any, Any, T], *, directory: Path, min_free: int, interval: float = _LOOK_AGAIN
) -> T:
    """Return what `work` does, or raise no_space once less than `min_free` bytes are left on the disk."""
    working = asyncio.create_task(work)
    try:
        while not working.done():
            if await asyncio.to_thread(is_short_of, min_free, directory):
                raise faults.NO_SPACE.error()
            await asyncio.wait({working}, timeout=interval)
        return working.result()
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"  # noqa: PLR2004 - two minutes
