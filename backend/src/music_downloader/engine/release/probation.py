"""Whether an updated yt-dlp holds what its trial promised: judged by its first fetches."""

from dataclasses import dataclass
from typing import Final

from music_downloader.engine import faults
from music_downloader.errors import DownloadFailedError, ErrorCode

_MOST_FAULTS: Final = 3
_NOT_ITS_OWN: Final = frozenset({faults.LIBRARY.detail, faults.WAY_OUT.detail})


@dataclass(slots=True)
class Probation:
    """Counts the faults of a version until the first fetch that ends otherwise, which it has passed by."""

    version: str | None = None
    faults: int = 0
    is_passed: bool = False
    has_fetched: bool = False

    def failed(self, version: str, error: DownloadFailedError) -> bool:
        """Take note of how a fetch failed; True when the version is to be given up."""
        self._turn_to(version)
        if error.code is ErrorCode.INTERNAL:
            self.faults += error.detail not in _NOT_ITS_OWN
        else:
            self.is_passed = True
        return not self.is_passed and self.faults >= _MOST_FAULTS

    def fetched(self, version: str) -> bool:
        """Take note of a fetch that succeeded; True for the first one of the version."""
        self._turn_to(version)
        is_first = not self.has_fetched
        self.is_passed = self.has_fetched = True
        return is_first

    def _turn_to(self, version: str) -> None:
        if version != self.version:
            self.version, self.faults, self.is_passed, self.has_fetched = version, 0, False, False
