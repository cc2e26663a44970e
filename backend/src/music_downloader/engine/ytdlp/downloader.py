"""One `YoutubeDL`, with its options fixed and its ways bounded.

The fork server builds it and warms it up; each forked child uses it exactly once, so cookies and caches never
pass from one download to the next.
"""

import itertools
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Protocol

import yt_dlp
from yt_dlp.downloader import get_suitable_downloader
from yt_dlp.downloader.dash import DashSegmentsFD
from yt_dlp.downloader.hls import HlsFD
from yt_dlp.downloader.http import HttpFD
from yt_dlp.downloader.ism import IsmFD
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.utils import MEDIA_EXTENSIONS, PlaylistEntries

from music_downloader.engine.order import ChildOrder, Progress
from music_downloader.engine.source import SourceInfo
from music_downloader.errors import DownloadFailedError, ErrorCode

_PROGRESS_INTERVAL: Final = 0.5
_MAX_WARNINGS: Final = 20
_MAX_DEPTH: Final = 5
_NATIVE: Final = (HttpFD, HlsFD, DashSegmentsFD, IsmFD)
_SAFE_EXTENSIONS: Final = frozenset({*MEDIA_EXTENSIONS.audio, *MEDIA_EXTENSIONS.video, "ts"})
_OPTIONS: Final[dict[str, Any]] = {
    "format": "bestaudio/best",
    "outtmpl": "source.%(ext)s",
    "quiet": True,
    "noprogress": True,
    "color": "never",
    "cachedir": False,
    "default_search": "error",
    "socket_timeout": 20,
    "retries": 2,
    "fragment_retries": 3,
    "extractor_retries": 1,
    "file_access_retries": 0,
    "skip_unavailable_fragments": False,
    "continuedl": True,
    "updatetime": False,
    "buffersize": 64 * 1024,
    "allow_playlist_files": False,
    "lazy_playlist": True,
    # ffmpeg dials by itself, outside every guard: yt-dlp must not find one.
    "ffmpeg_location": "/nonexistent",
    "fixup": "never",
    "hls_prefer_native": True,
    "external_downloader": {"default": "native"},
}


class Emit(Protocol):
    """Sends one event to whoever ordered the download."""

    def __call__(self, event: str, **facts: object) -> None:
        """Send `event` with its facts, which are JSON types."""


class Downloader(yt_dlp.YoutubeDL):  # type: ignore[misc]  # yt-dlp has no types
    """A `YoutubeDL` that takes one track, in one pass, and refuses what it must before it downloads."""

    def __init__(self) -> None:
        super().__init__({**_OPTIONS, "logger": _Logger(None), "match_filter": self._judge})
        self._order: ChildOrder | None = None
        self._meter: _Meter | None = None
        self._depth = 0
        self.transfers_from_elsewhere = False
        self.last_refusal: HTTPError | None = None
        self.taken: dict[str, Any] | None = None

    def warm_up(self) -> None:
        """Do before the fork what every child would do after it."""
        for extractor in self._ies.values():
            extractor.suitable("https://nobody.invalid/no-such-path.mp3")  # compiles its pattern
        # A rehearsal of a whole download: it compiles and imports what every fetch needs, builds the request
        # handlers and the TLS context, and opens no socket. Without it, a fetch is slower but no different.
        with suppress(Exception):
            self.extract_info("data:audio/mpeg,rehearsal")
        if self.taken is not None:
            Path(self.taken["filepath"]).unlink()
        self.taken = None
        self.transfers_from_elsewhere = False
        handler = self._request_director.handlers["Urllib"]
        handler._SUPPORTED_URL_SCHEMES = ("http", "https", "data")  # noqa: SLF001 - no FTP

    def fetch(self, order: ChildOrder, emit: Emit) -> None:
        """Extract and download `order.url` into the current folder and emit what happens.

        Raises what yt-dlp raises; the caller judges it.
        """
        self._order = order
        self.params["logger"] = _Logger(emit)
        self.params["noplaylist"] = order.single
        self._use_proxy(order.proxy)
        if not order.url.startswith(("http://", "https://")):
            raise DownloadFailedError(
                ErrorCode.UNSUPPORTED_URL, "Only http and https URLs can be downloaded."
            )
        emit("progress", **asdict(Progress(phase="resolving")))
        meter = self._meter = _Meter(order, emit)
        self.add_progress_hook(meter)
        self.extract_info(order.url)
        if self.taken is None or not self.taken.get("filepath"):
            raise DownloadFailedError(ErrorCode.NO_AUDIO, "There is no audio at this URL.")
        meter.finish()
        info = SourceInfo.from_yt_dlp(self.taken)
        emit("done", path=self.taken["filepath"], info=asdict(info))

    def urlopen(self, req: Any) -> Any:  # noqa: ANN401 - as yt-dlp has it
        """Send a request and remember the last answer that was a refusal."""
        try:
            return super().urlopen(req)
        except HTTPError as error:
            self.last_refusal = error
            raise

    def process_ie_result(
        self,
        ie_result: dict[str, Any],
        download: bool = True,  # noqa: FBT001, FBT002 - as yt-dlp has it
        extra_info: Any = None,  # noqa: ANN401 - as yt-dlp has it
    ) -> Any:  # noqa: ANN401 - as yt-dlp has it
        """Take the only entry of a list that has one; anything else goes on as usual."""
        if ie_result.get("_type") not in ("playlist", "multi_video"):
            return super().process_ie_result(ie_result, download, extra_info)
        self._depth += 1
        entry = _only_entry(self, ie_result, self._depth)
        extra = {**self._playlist_infodict(ie_result, n_entries=1), "playlist_index": 1}
        return self.process_ie_result(entry, download, {**extra, **(extra_info or {})})

    def process_info(self, info_dict: dict[str, Any]) -> None:
        """Download the format that was chosen, if one of yt-dlp's own downloaders can."""
        if get_suitable_downloader(info_dict, self.params) not in _NATIVE:
            raise DownloadFailedError(
                ErrorCode.UNSUPPORTED_URL, "This source streams in a way that can't be downloaded."
            )
        if info_dict.get("ext") not in _SAFE_EXTENSIONS:
            info_dict["ext"] = "unknown_video"  # yt-dlp's own name for it; the content is looked at later
        self.transfers_from_elsewhere = not info_dict.get("direct")
        if self._meter is not None:
            self._meter.begin()
        super().process_info(info_dict)
        self.taken = dict(info_dict)  # yt-dlp empties its own copy

    def run_all_pps(self, key: str, info: dict[str, Any], *, additional_pps: Any = None) -> dict[str, Any]:  # noqa: ANN401, ARG002 - as yt-dlp has it
        """Run only what the download itself asks for: there are no post-processors and nothing to print."""
        for processor in additional_pps or ():
            info = self.run_pp(processor, info)
        return info

    def _judge(self, info: dict[str, Any], *, incomplete: object = False) -> None:  # noqa: ARG002 - yt-dlp passes it
        """Refuse what can be refused before any format is chosen."""
        limit = self._order.max_duration if self._order else None
        duration = info.get("duration")
        if info.get("is_live") or info.get("live_status") in ("is_live", "is_upcoming"):
            raise DownloadFailedError(
                ErrorCode.UNSUPPORTED_URL, "Live streams can't be downloaded; try again when it is over."
            )
        if limit is not None and isinstance(duration, int | float) and duration > limit:
            raise DownloadFailedError(
                ErrorCode.TOO_LONG,
                f"This track lasts {duration / 60:.0f} minutes, more than the {limit / 60:.0f} allowed.",
            )

    def _use_proxy(self, proxy: str | None) -> None:
        if proxy is None:
            return
        self.params["proxy"] = proxy
        self.proxies = {"all": proxy}  # a cached property, settled by the rehearsal
        self._request_director.handlers["Urllib"].proxies = self.proxies


def _only_entry(downloader: Downloader, ie_result: dict[str, Any], depth: int) -> dict[str, Any]:
    """Return the only entry of a list, having asked the source for no more than two."""
    items = PlaylistEntries(downloader, ie_result).get_requested_items()
    entries = list(itertools.islice((entry for _, entry in items if isinstance(entry, dict)), 2))
    if not entries or depth > _MAX_DEPTH:
        raise DownloadFailedError(ErrorCode.NO_AUDIO, "There is no audio at this URL.")
    if len(entries) > 1:
        known = ie_result.get("playlist_count")
        if known is None and isinstance(ie_result.get("entries"), list):
            known = len(ie_result["entries"])
        count = f" ({known})" if known else ""
        raise DownloadFailedError(
            ErrorCode.UNSUPPORTED_URL,
            f"This URL holds several tracks{count}; hand in the URL of a single one.",
        )
    return entries[0]


class _Meter:
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
        progress = Progress(
            phase="downloading",
            downloaded_bytes=int(status.get("downloaded_bytes") or 0),
            total_bytes=_whole(status.get("total_bytes") or status.get("total_bytes_estimate")),
            speed=status.get("speed"),
            eta=status.get("eta"),
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
    return int(value) if isinstance(value, int | float) and value > 0 else None


class _Logger:
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
