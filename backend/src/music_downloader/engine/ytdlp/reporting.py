"""What yt-dlp says while it works, as events of ours."""

import time
from dataclasses import asdict
from typing import Any, Final

from music_downloader.engine.order import MAX_AMOUNT, ChildOrder, Emit, Progress
from music_downloader.errors import DownloadFailedError, ErrorCode

_PROGRESS_INTERVAL: Final = 0.5
_MAX_WARNINGS: Final = 20


class Meter:
    """Turns yt-dlp's progress into events, at most two a second besides the first and the last."""

    def __init__(self, order: ChildOrder, emit: Emit) -> None:
        self._emit = emit
        self._max_bytes = order.max_bytes
        self._sent_at: float | None = None
        self._last = Progress(phase="downloading")

    def begin(self) -> None:
        """Say that the transfer begins."""
        self._emit("progress", **asdict(self._last))

    def __call__(self, status: dict[str, Any]) -> None:
        """Take what yt-dlp tells its progress hooks."""
        progress = Progress(
            phase="downloading",
            downloaded_bytes=int(status.get("downloaded_bytes") or 0),
            total_bytes=_whole(status.get("total_bytes") or status.get("total_bytes_estimate")),
            speed=_amount(status.get("speed")),
            eta=_amount(status.get("eta")),  # negative where a source sends more than it announced
        )
        known = max(progress.downloaded_bytes, _whole(status.get("total_bytes")) or 0)
        if self._max_bytes is not None and known > self._max_bytes:
            raise DownloadFailedError(ErrorCode.TOO_LARGE, "The file is larger than downloads may be.")
        self._last = progress
        now = time.monotonic()
        if self._sent_at is None or now - self._sent_at >= _PROGRESS_INTERVAL:
            self._sent_at = now
            self._emit("progress", **asdict(progress))

    def finish(self) -> None:
        """Send the last state, whenever it was measured."""
        self._emit("progress", **asdict(self._last))


def _whole(value: object) -> int | None:
    amount = _amount(value)
    return int(amount) or None if amount is not None else None


def _amount(value: object) -> float | None:
    return value if isinstance(value, int | float) and 0 <= value <= MAX_AMOUNT else None


class Logger:
    """Forwards the first few warnings; all else that yt-dlp says reaches us as exceptions."""

    def __init__(self, emit: Emit | None) -> None:
        self._emit = emit
        self._left = _MAX_WARNINGS

    def debug(self, message: str) -> None:
        """Drop it."""

    def error(self, message: str) -> None:
        """Drop it: what matters is raised too."""

    def warning(self, message: str) -> None:
        """Send it on, bounded."""
        if self._emit is not None and self._left > 0:
            self._left -= 1
            self._emit("warning", message=message[:300])
