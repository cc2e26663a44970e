"""Lists: their entries one after the other, flattened and bounded, and what is told about each."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, Final, Self

from yt_dlp import YoutubeDL
from yt_dlp.utils import PlaylistEntries, sanitize_url, unsmuggle_url

from music_downloader.engine.order import Emit, Entry, Item
from music_downloader.engine.source import SourceInfo, is_web_address, text

LISTS: Final = frozenset({"playlist", "multi_video"})
_REFERENCES: Final = frozenset({"url", "url_transparent"})
_MAX_DEPTH: Final = 5
_LOOKS_PER_ITEM: Final = 3
_SPARE_LOOKS: Final = 100
_KEPT_PICTURES: Final = 3
_HARMLESS_CARGO: Final = frozenset({"force_videoid"})
_FIRST_BATCH: Final = 25
_BATCH: Final = 50
_FIRST_WAIT: Final = 1.0
_WAIT: Final = 0.5
_BATCH_BYTES: Final = 100 * 1024


class Flattened:
    """The entries of a list and of the lists inside it, in order, asked for only as they are taken.

    Whatever the source yields counts as a look, even an empty entry; after three looks for each of `most`
    entries (and some to spare) the iteration ends and `gave_up` is true.
    """

    def __init__(self, downloader: YoutubeDL, ie_result: dict[str, Any], *, most: int) -> None:
        self.gave_up = False
        self._downloader = downloader
        self._looks = _LOOKS_PER_ITEM * most + _SPARE_LOOKS
        self._walk = self._below(ie_result, 1)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._walk

    def _below(self, ie_result: dict[str, Any], depth: int) -> Iterator[dict[str, Any]]:
        if ie_result.get("entries") is None:
            return
        for _, entry in PlaylistEntries(self._downloader, ie_result).get_requested_items():
            self._looks -= 1
            if self._looks < 0 or depth > _MAX_DEPTH:
                self.gave_up = True
                return
            if not isinstance(entry, dict) or not entry:
                continue
            kind = entry.get("_type", "video")
            if kind in LISTS:
                yield from self._below(entry, depth + 1)
            elif kind not in _REFERENCES or isinstance(entry.get("url"), str):
                yield entry


def told_count(ie_result: dict[str, Any]) -> int | None:
    """Return how many entries a list has, where the source tells."""
    known = ie_result.get("playlist_count")
    if isinstance(known, int) and not isinstance(known, bool) and known > 0:
        return known
    entries = ie_result.get("entries")
    if not isinstance(entries, list):
        return None
    flat = (isinstance(entry, dict) and entry and entry.get("_type") not in LISTS for entry in entries)
    return len(entries) if all(flat) else None


def pick(item: Item, entries: Iterator[dict[str, Any]], *, list_id: object) -> dict[str, Any] | None:
    """Return the entry that `item` means: the one at its place, or else the first with its id.

    An id that is the list's own says nothing about an entry, so it counts at the item's place only.
    """
    first = None
    for position, entry in enumerate(entries, 1):
        found = entry_id(entry)
        if position == item.position and item.source_id in ("", found):
            return entry
        if first is None and found and found == item.source_id != text(list_id):
            first = entry
        if position >= item.position and (first is not None or not item.source_id):
            break
    return first


def entry_id(entry: dict[str, Any]) -> str:
    """Return the entry's own id, bounded; empty when it has none."""
    return text(entry.get("id")) or ""


def describe_list(downloader: YoutubeDL, ie_result: dict[str, Any]) -> SourceInfo:
    """Return what the source says about the list as a whole."""
    info = SourceInfo.from_yt_dlp(_filled(downloader, {**ie_result, "entries": None}))
    return replace(info, track_count=told_count(ie_result))


def describe_entry(downloader: YoutubeDL, position: int, entry: dict[str, Any], own: frozenset[str]) -> Entry:
    """Return what a list says about one entry; `own` are the list's own addresses."""
    info = SourceInfo.from_yt_dlp(_filled(downloader, dict(entry)))
    extractor = text(entry.get("ie_key")) or text(entry.get("extractor")) or ""
    info = replace(
        info,
        extractor=extractor.lower(),
        description=None,
        thumbnails=info.thumbnails[-_KEPT_PICTURES:],
        webpage_url=_plain(info.webpage_url),
    )
    return Entry(position=position, url=_address(entry, own), info=info)


def own_addresses(ie_result: dict[str, Any], asked: str) -> frozenset[str]:
    """Return the addresses that mean the list itself and none of its entries."""
    told = (asked, ie_result.get("webpage_url"), ie_result.get("original_url"))
    return frozenset(_without_fragment(url) for url in told if isinstance(url, str))


def _address(entry: dict[str, Any], own: frozenset[str]) -> str | None:
    """Return where the entry alone can be fetched from; None when it is only to be had through the list."""
    if entry.get("_type") in _REFERENCES:
        return _plain(sanitize_url(entry["url"], scheme="https"))
    pages = (_plain(entry.get(name)) for name in ("webpage_url", "original_url"))
    return next((page for page in pages if page and _without_fragment(page) not in own), None)


def _plain(url: object) -> str | None:
    """Return a web address without what yt-dlp hid in it; None where that is needed to fetch it."""
    if not isinstance(url, str):
        return None
    try:
        url, cargo = unsmuggle_url(url, {})
    except (ValueError, KeyError):
        return None
    if not isinstance(cargo, dict) or set(cargo) - _HARMLESS_CARGO or not isinstance(url, str):
        return None
    return url if is_web_address(url) else None


def _without_fragment(url: str) -> str:
    return url.partition("#")[0]


def _filled(downloader: YoutubeDL, info: dict[str, Any]) -> dict[str, Any]:
    """Let yt-dlp add what follows from other fields, such as dates from timestamps."""
    with suppress(Exception):  # what it can't make sense of stays as it is
        downloader._fill_common_fields(info, False)  # noqa: FBT003, SLF001 - as yt-dlp has it
    with suppress(Exception):
        downloader._sanitize_thumbnails(info)  # noqa: SLF001 - the same
    return info


class Batches:
    """Sends entries in batches, soon after the first is known even while the source is slow with the next.

    While a batch is being sent, adding waits: a reader who is slow makes the listing slow.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._changed = threading.Condition()
        self._waiting: list[dict[str, Any]] = []
        self._bytes = 0
        self._due: float | None = None
        self._sent = False
        self._closing = False
        self._clock = threading.Thread(target=self._watch_the_clock, daemon=True)

    def __enter__(self) -> Self:
        self._clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._clock.join()

    def add(self, entry: Entry) -> None:
        """Take one entry; returns when there is room for the next."""
        fact = asdict(entry)
        with self._changed:
            self._waiting.append(fact)
            self._bytes += len(json.dumps(fact))
            full = len(self._waiting) >= (_BATCH if self._sent else _FIRST_BATCH)
            if full or self._bytes >= _BATCH_BYTES:
                self._send()
            elif self._due is None:
                self._due = time.monotonic() + (_WAIT if self._sent else _FIRST_WAIT)
                self._changed.notify()

    def flush(self) -> None:
        """Send what is waiting."""
        with self._changed:
            self._send()

    def _send(self) -> None:
        if self._waiting:
            self._emit("entries", entries=self._waiting)
            self._sent = True
        self._waiting, self._bytes, self._due = [], 0, None

    def _watch_the_clock(self) -> None:
        with self._changed:
            while not self._closing:
                left = None if self._due is None else self._due - time.monotonic()
                if left is not None and left <= 0:
                    self._send()
                else:
                    self._changed.wait(left)
