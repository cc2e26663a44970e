"""What one listener has yet to hear: the latest word on each download, and never too much of it."""

import asyncio
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass

_WAITING_LIMIT = 2_000  # notices; they are shared between listeners, and about a kilobyte each
_AT_ONCE = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """One event: its name, and its data as JSON in a single line."""

    event: str
    data: str


# Tells a listener that something may have been missed: what there is now has to be asked for.
RESET = Notice(event="reset", data="{}")


class Subscription:
    """One listener's place. Whoever tells never waits; a later word on a download replaces an earlier one."""

    def __init__(self, user_id: int, *, limit: int = _WAITING_LIMIT) -> None:
        self.user_id = user_id
        self.is_over = False
        self._limit = limit
        self._waiting: dict[int, Notice] = {}
        self._is_reset = False
        self._is_in_doubt = False
        self._stir = asyncio.Event()

    def tell(self, download_id: int, notice: Notice) -> None:
        """Leave the latest word on a download; where too many wait already, the listener must start anew."""
        if self.is_over:
            return
        if download_id not in self._waiting and len(self._waiting) >= self._limit:
            self.reset()
            self.end()
            return
        self._waiting[download_id] = notice
        self._stir.set()

    def reset(self) -> None:
        """Tell, instead of all that waits, that something may have been missed."""
        self._waiting.clear()
        self._is_reset = True
        self._stir.set()

    def doubt(self) -> None:
        """Ask the listener to show at once that its session still holds."""
        self._is_in_doubt = True
        self._stir.set()

    def end(self) -> None:
        """Tell nothing more, besides a reset that is due."""
        self.is_over = True
        self._waiting.clear()
        self._stir.set()

    async def wait(self, seconds: float) -> bool:
        """Wait for something to take, or so long; tell whether the session has come into doubt."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0)):
                await self._stir.wait()
        self._stir.clear()
        in_doubt, self._is_in_doubt = self._is_in_doubt, False
        return in_doubt

    def take(self) -> list[Notice]:
        """Return the next few notices, the longest waiting first; if more are left, the next wait ends."""
        taken = [RESET] if self._is_reset else []
        self._is_reset = False
        taken.extend(self._waiting.pop(download_id) for download_id in list(self._waiting)[:_AT_ONCE])
        if self._waiting:
            self._stir.set()
        return taken


class Pace:
    """Lets a download pass at once when its state is new, and once every `interval` seconds otherwise."""

    def __init__(self, *, interval: float) -> None:
        self._interval = interval
        self._passed: dict[int, tuple[Hashable, float]] = {}

    def hold(self, download_id: int, state: Hashable, *, now: float) -> float:
        """Return for how many more seconds to hold this change; 0 lets it pass, and counts as passed."""
        last_state, last_time = self._passed.get(download_id, (None, now - self._interval))
        remaining = last_time + self._interval - now
        if state == last_state and remaining > 0:
            return remaining
        self._passed[download_id] = (state, now)
        return 0.0

    def forget(self, *, now: float) -> None:
        """Drop what passed so long ago that it decides nothing any more."""
        self._passed = {
            download_id: (state, at)
            for download_id, (state, at) in self._passed.items()
            if at + self._interval > now
        }
