"""One `YoutubeDL`, with its options fixed and its ways bounded.

The fork server builds it and warms it up; each forked child uses it exactly once, so cookies and caches never
pass from one download to the next.
"""

import itertools
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Final

import yt_dlp
from yt_dlp.downloader import get_suitable_downloader
from yt_dlp.downloader.dash import DashSegmentsFD
from yt_dlp.downloader.hls import HlsFD
from yt_dlp.downloader.http import HttpFD
from yt_dlp.downloader.ism import IsmFD
from yt_dlp.networking.exceptions import HTTPError, TransportError
from yt_dlp.utils import MEDIA_EXTENSIONS

from music_downloader.egress.verdict import Verdict
from music_downloader.engine.faults import Fault, too_long
from music_downloader.engine.order import ChildOrder, ChildPictureOrder, Emit, Item, Progress
from music_downloader.engine.source import SourceInfo
from music_downloader.engine.ytdlp import cookies, listing, pictures, verdicts
from music_downloader.engine.ytdlp.matching import Extractors
from music_downloader.engine.ytdlp.reporting import Logger, Meter
from music_downloader.errors import DownloadFailedError, ErrorCode

_MAX_DEPTH: Final = 5
_ASKED_FOR_NOTHING_MORE: Final = 2
_LEFT_THE_LIST: Final = Fault(code=ErrorCode.NOT_FOUND, detail="This track isn't in the list any more.")
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


class Downloader(yt_dlp.YoutubeDL):  # type: ignore[misc]  # yt-dlp has no types
    """A `YoutubeDL` that takes one track, in one pass, and refuses what it must before it downloads."""

    def __init__(self) -> None:
        super().__init__({**_OPTIONS, "logger": Logger(None), "match_filter": self._judge})
        self._order: ChildOrder | None = None
        self._emit: Emit = _nobody
        self._meter: Meter | None = None
        self._depth = 0
        self._sought: Item | None = None
        self._listed = False
        self.transfers_from_elsewhere = False
        self.last_refusal: HTTPError | None = None
        self.met_refusal = False
        self.taken: dict[str, Any] | None = None
        self._extractors: Extractors | None = None

    def warm_up(self) -> None:
        """Do before the fork what every child would do after it."""
        self._extractors = Extractors(self._ies)
        handler = self._request_director.handlers["Urllib"]
        handler._SUPPORTED_URL_SCHEMES = ("http", "https", "data")  # noqa: SLF001 - no FTP
        # Each fetch has a proxy of its own, and yt-dlp makes a TLS context for each proxy: reading all
        # certificates again would be a third of what a small fetch costs. Later versions may do it elsewhere.
        with suppress(AttributeError):
            handler._make_sslcontext = cache(handler._make_sslcontext)  # noqa: SLF001 - there is no other way
        # A rehearsal of a whole download: it compiles and imports what every fetch needs, builds the request
        # handlers and the TLS context, and opens no socket. Without it, a fetch is slower but no different.
        with suppress(Exception):
            self.extract_info("data:audio/mpeg,rehearsal")
        if self.taken is not None:
            Path(self.taken["filepath"]).unlink()
        self.taken = None
        self.transfers_from_elsewhere = False

    def fetch(self, order: ChildOrder | ChildPictureOrder, emit: Emit) -> None:
        """Fetch a track or a picture into the current folder, or tell the list it is, and emit it all.

        Raises what yt-dlp raises; the caller judges it.
        """
        self._use_proxy(order.proxy)
        if isinstance(order, ChildPictureOrder):
            pictures.save(self, order, emit)
        else:
            self._fetch_track(order, emit)

    def _fetch_track(self, order: ChildOrder, emit: Emit) -> None:
        self._order = order
        self._emit = emit
        self._sought = order.item
        self.params["logger"] = Logger(emit)
        self.params["noplaylist"] = order.single
        if not order.url.startswith(("http://", "https://")):
            raise DownloadFailedError(
                ErrorCode.UNSUPPORTED_URL, "Only http and https URLs can be downloaded."
            )
        cookies.take(self.cookiejar, order.cookies)
        emit("progress", **asdict(Progress(phase="resolving")))
        meter = self._meter = Meter(order, emit)
        self.add_progress_hook(meter)
        self.extract_info(order.url)
        if self._listed:
            return
        if self.taken is None or not self.taken.get("filepath"):
            raise DownloadFailedError(ErrorCode.NO_AUDIO, "There is no audio at this URL.")
        meter.finish()
        info = SourceInfo.from_yt_dlp(self.taken)
        emit("done", path=self.taken["filepath"], info=asdict(info))

    def extract_info(self, url: str, download: bool = True, ie_key: str | None = None, **more: Any) -> Any:  # noqa: ANN401, FBT001, FBT002 - as yt-dlp has it
        """Do as always, with the extractor that knows the address named beforehand."""
        if ie_key is None and self._extractors is not None:
            ie_key = self._extractors.find(url)
        return super().extract_info(url, download, ie_key, **more)

    def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:  # noqa: ANN401 - untyped
        """Leave requests to the standard library, whatever else is installed: others dial on their own."""
        return super().build_request_director([h for h in handlers if h.RH_KEY == "Urllib"], preferences)

    def urlopen(self, req: Any) -> Any:  # noqa: ANN401 - as yt-dlp has it
        """Send a request and remember the last answer that was a refusal, the source's or our own proxy's."""
        try:
            return super().urlopen(req)
        except (HTTPError, TransportError) as error:
            said = verdicts.verdict_of(error)
            if said is None:
                if isinstance(error, HTTPError):
                    self.last_refusal = error
                raise
        self.met_refusal = self.met_refusal or said is Verdict.BLOCKED
        raise verdicts.as_error(said)

    def process_ie_result(
        self,
        ie_result: dict[str, Any],
        download: bool = True,  # noqa: FBT001, FBT002 - as yt-dlp has it
        extra_info: Any = None,  # noqa: ANN401 - as yt-dlp has it
    ) -> Any:  # noqa: ANN401 - as yt-dlp has it
        """Take the entry that is wanted, or the only one, or tell the list; what isn't a list is as usual."""
        if ie_result.get("_type") not in listing.LISTS:
            return super().process_ie_result(ie_result, download, extra_info)
        self._depth += 1
        entry = self._one_of(ie_result)
        if entry is None:
            return ie_result
        extra = {**self._playlist_infodict(ie_result, n_entries=1), "playlist_index": 1}
        return self.process_ie_result(entry, download, {**extra, **(extra_info or {})})

    def _one_of(self, ie_result: dict[str, Any]) -> dict[str, Any] | None:
        """Return the entry to go on with; None when the list was told instead."""
        most = self._order.max_items if self._order else None
        reach = max(most or 0, self._sought.position if self._sought else 0, _ASKED_FOR_NOTHING_MORE)
        entries = listing.Flattened(self, ie_result, most=reach)
        first = list(itertools.islice(entries, 2))
        if not first or self._depth > _MAX_DEPTH:
            raise DownloadFailedError(ErrorCode.NO_AUDIO, "There is no audio at this URL.")
        everything = itertools.chain(first, entries)
        if self._sought is not None and (len(first) > 1 or self._is_sought(first[0])):
            entry = listing.pick(self._sought, everything, list_id=ie_result.get("id"))
            if entry is None:
                raise _LEFT_THE_LIST.error()
            self._sought = None
            return entry
        if len(first) == 1:
            return first[0]
        if most is None or (self._order and self._order.item):
            raise _several(listing.told_count(ie_result))
        self._tell(ie_result, everything, entries, most)
        return None

    def _tell(
        self,
        ie_result: dict[str, Any],
        everything: Iterator[dict[str, Any]],
        walk: listing.Flattened,
        most: int,
    ) -> None:
        """Emit a list: `list`, then `entries` in batches, at the end `listed`."""
        told = listing.told_count(ie_result)
        own = listing.own_addresses(ie_result, self._order.url if self._order else "")
        self._emit("list", collection=asdict(listing.describe_list(self, ie_result)))
        count = 0
        with listing.Batches(self._emit) as batches:
            for count, entry in enumerate(itertools.islice(everything, most), 1):
                batches.add(listing.describe_entry(self, count, entry, own))
            batches.flush()
        more = next(everything, None) is not None or walk.gave_up
        left_out = told - count if more and told is not None and told > count else None
        self._emit("listed", count=count, left_out=left_out if more else 0)
        self._listed = True

    def _is_sought(self, info: dict[str, Any]) -> bool:
        """Say whether this, being all there is, is the item that is sought."""
        sought = self._sought
        assert sought is not None  # noqa: S101 - asked for only while something is sought
        return listing.entry_id(info) == sought.source_id if sought.source_id else sought.position == 1

    def process_info(self, info_dict: dict[str, Any]) -> None:
        """Download the format that was chosen, if one of yt-dlp's own downloaders can."""
        if self._sought is not None and not self._is_sought(info_dict):
            raise _LEFT_THE_LIST.error()
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
            raise too_long(duration, limit)

    def _use_proxy(self, proxy: str) -> None:
        self.params["proxy"] = proxy
        self.proxies = {"all": proxy}  # a cached property, settled by the rehearsal
        self._request_director.handlers["Urllib"].proxies = self.proxies


def _several(count: int | None) -> DownloadFailedError:
    shown = f" ({count})" if count else ""
    return DownloadFailedError(
        ErrorCode.UNSUPPORTED_URL,
        f"This URL holds several tracks{shown}; hand in the URL of a single one.",
    )


def _nobody(event: str, **facts: object) -> None:
    """Tell nobody: there is no order yet."""
