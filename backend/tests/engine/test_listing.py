# ruff: noqa: SLF001 - a site of the test's own is put before the known ones
"""How entries are taken from a list, whatever a site makes of it."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.running import eventually
from tests.following import PATIENCE
from yt_dlp.extractor.common import InfoExtractor
from yt_dlp.utils import smuggle_url

from music_downloader.egress.policy import EgressPolicy
from music_downloader.engine.order import ChildOrder, Entry, Item
from music_downloader.engine.source import SourceInfo
from music_downloader.engine.watch import Watch, WatchRules
from music_downloader.engine.ytdlp import Downloader, listing
from music_downloader.engine.ytdlp.listing import Batches
from music_downloader.errors import DownloadFailedError, ErrorCode

PAGE = "https://site.invalid/list"
Told = list[tuple[str, dict[str, Any]]]


class SiteIE(InfoExtractor):  # type: ignore[misc]  # yt-dlp has no types
    """A site whose answer the test decides."""

    _VALID_URL = r"https?://site\.invalid/"
    answer: dict[str, Any]

    def _real_extract(self, url: str) -> dict[str, Any]:
        return {"id": "a-list", "_type": "playlist", "title": "A List", "page": url, **self.answer}


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Told]:
    """Run one order for a list with these entries and return the events."""
    monkeypatch.chdir(tmp_path)

    def run(entries: Any, *, max_items: int | None = 1000, item: Item | None = None, **facts: object) -> Told:
        downloader = Downloader()
        site = SiteIE(downloader)
        site.answer = {"entries": entries, **facts}
        downloader._ies = {"Site": site, **downloader._ies}
        downloader._ies_instances["Site"] = site
        told: Told = []
        order = ChildOrder(
            url=PAGE,
            proxy="http://127.0.0.1:9",
            max_bytes=None,
            max_duration=None,
            single=True,
            item=item,
            max_items=max_items,
        )
        downloader.fetch(order, lambda event, **what: told.append((event, what)))
        return told

    return run


def entries_of(told: Told) -> list[dict[str, Any]]:
    return [entry for event, facts in told if event == "entries" for entry in facts["entries"]]


def track(number: int, **facts: object) -> dict[str, Any]:
    return {"_type": "url", "url": f"https://site.invalid/track/{number}", "id": str(number), **facts}


def test_lists_inside_a_list_are_flattened_where_they_stand(listed: Callable[..., Told]) -> None:
    inner = {"_type": "playlist", "entries": iter([track(2), {"_type": "playlist", "entries": [track(3)]}])}
    told = listed([track(1), inner, track(4)])
    assert [(e["position"], e["info"]["source_id"]) for e in entries_of(told)] == [
        (1, "1"),
        (2, "2"),
        (3, "3"),
        (4, "4"),
    ]
    assert told[-1] == ("listed", {"count": 4, "left_out": 0})


def test_a_list_without_an_end_is_asked_for_no_more_than_is_wanted(listed: Callable[..., Told]) -> None:
    asked = 0

    def endless() -> Iterator[dict[str, Any]]:
        nonlocal asked
        for asked in itertools.count(1):  # noqa: B007 - counts what was taken
            yield track(1)

    told = listed(endless(), max_items=60)
    assert len(entries_of(told)) == 60
    assert told[-1] == ("listed", {"count": 60, "left_out": None})
    assert asked == 61


@pytest.mark.parametrize(
    "nothing", [None, {}, {"_type": "url"}, "text", {"_type": "playlist", "entries": []}]
)
def test_a_list_that_yields_nothing_for_ever_is_given_up(
    listed: Callable[..., Told], nothing: object
) -> None:
    with pytest.raises(DownloadFailedError) as caught:
        listed(itertools.repeat(nothing), max_items=10)
    assert caught.value.code is ErrorCode.NO_AUDIO
    told = listed(itertools.chain([track(1), track(2)], itertools.repeat(nothing)), max_items=10)
    assert told[-1] == ("listed", {"count": 2, "left_out": None})


def test_lists_inside_lists_without_an_end_are_given_up(listed: Callable[..., Told]) -> None:
    def nested() -> dict[str, Any]:
        return {"_type": "playlist", "entries": (nested() for _ in range(9))}

    with pytest.raises(DownloadFailedError) as caught:
        listed([nested()], max_items=10)
    assert caught.value.code is ErrorCode.NO_AUDIO


def test_the_sources_own_count_says_what_is_left_out(listed: Callable[..., Told]) -> None:
    told = listed(map(track, itertools.count(1)), max_items=5, playlist_count=123)
    assert told[-1] == ("listed", {"count": 5, "left_out": 118})
    told = listed(map(track, range(4)), max_items=5, playlist_count=123)  # some of them hidden
    assert told[-1] == ("listed", {"count": 4, "left_out": 0})
    told = listed(map(track, itertools.count(1)), max_items=5, playlist_count=3)  # a lie
    assert told[-1] == ("listed", {"count": 5, "left_out": None})


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        (track(1), "https://site.invalid/track/1"),
        (track(1, _type="url_transparent", title="X"), "https://site.invalid/track/1"),
        (track(1, url="//site.invalid/x"), "https://site.invalid/x"),
        (track(1, url="dQw4w9WgXcQ", ie_key="Youtube"), None),
        (track(1, url="ftp://site.invalid/x"), None),
        (track(1, url="https://site.invalid/" + "x" * 2048), None),
        (track(1, url=smuggle_url("https://site.invalid/x", {"force_videoid": "7"})), "https://site.invalid/x"),
        (track(1, url=smuggle_url("https://site.invalid/x", {"referer": PAGE})), None),
        (track(1, url="https://site.invalid/x#__youtubedl_smuggle=nonsense"), None),
        ({"id": "1", "url": "https://cdn.invalid/1.mp3"}, None),
        ({"id": "1", "formats": [{"url": "https://cdn.invalid/1.mp3"}], "webpage_url": PAGE}, None),
        ({"id": "1", "formats": [], "webpage_url": f"{PAGE}#1"}, None),
        ({"id": "1", "formats": [], "webpage_url": "https://site.invalid/1"}, "https://site.invalid/1"),
    ],
    ids=range(13),
)  # fmt: skip
def test_an_entry_has_an_address_only_where_it_can_be_fetched_from_it(
    listed: Callable[..., Told], entry: dict[str, Any], url: str | None
) -> None:
    told = entries_of(listed([entry, track(2)]))
    assert Entry.from_json(told[0]).url == url


def test_what_a_list_says_about_an_entry_is_bounded(listed: Callable[..., Told]) -> None:
    pictures = [{"url": f"https://site.invalid/{n}.jpg", "preference": n} for n in range(9)]
    entry = track(1, ie_key="Youtube", title="A" * 900, description="words", thumbnails=pictures, timestamp=0)
    info = Entry.from_json(entries_of(listed([entry, track(2)]))[0]).info
    assert (info.extractor, info.source_id, info.description) == ("youtube", "1", None)
    assert len(info.title or "") == 500
    assert info.upload_date == "19700101"
    assert [picture.url[-5:] for picture in info.thumbnails] == ["6.jpg", "7.jpg", "8.jpg"]


def test_a_list_is_refused_where_nobody_would_hear_it(listed: Callable[..., Told]) -> None:
    with pytest.raises(DownloadFailedError, match="several tracks") as caught:
        listed([track(1), track(2)], max_items=None)
    assert caught.value.code is ErrorCode.UNSUPPORTED_URL


def test_an_item_beyond_an_endless_list_is_given_up(listed: Callable[..., Told]) -> None:
    with pytest.raises(DownloadFailedError) as caught:
        listed(map(track, itertools.count(1)), item=Item(position=3, source_id="none of them"))
    assert caught.value.code is ErrorCode.NOT_FOUND


class Clock:
    """A clock that the test sets, and that knows how often it has been looked at."""

    def __init__(self) -> None:
        self.now = 0.0
        self.looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return self.now

    def show(self, now: float) -> None:
        """Set it, and wait until somebody has seen that, and has looked again after whatever he did then."""
        self.now = now
        enough = self.looks + 2
        eventually(lambda: self.looks >= enough, within=PATIENCE, what="somebody looks at the clock")


def test_what_is_known_is_told_though_the_source_is_slow_with_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(listing, "time", clock)
    told: list[tuple[float, int]] = []

    def emit(_: str, **facts: Any) -> None:
        told.append((clock.now, len(facts["entries"])))

    def add(position: int) -> None:
        batches.add(Entry(position=position, url=None, info=SourceInfo(extractor="", source_id="")))

    with Batches(emit) as batches:
        add(1)
        add(2)
        clock.show(0.75)
        assert told == []
        clock.now = 1.0
        eventually(lambda: told, within=PATIENCE, what="the first are told")
        add(3)
        clock.show(1.25)
        assert told == [(1.0, 2)]
        clock.now = 1.5
        eventually(lambda: len(told) > 1, within=PATIENCE, what="the rest is told")
    assert told == [(1.0, 2), (1.5, 1)]


@pytest.mark.parametrize("silent", [True, False])
async def test_a_listing_may_take_its_time_but_not_fall_silent(tmp_path: Path, silent: bool) -> None:
    began = time.monotonic()
    watch = Watch(
        _bounds(tmp_path),
        WatchRules(interval=0.05, resolve=0.3),
        transferring=lambda: False,
        silent_since=lambda: began if silent else time.monotonic(),
    )
    under_way = asyncio.create_task(asyncio.sleep(3600 if silent else 0.8))
    if not silent:
        await watch.until(under_way)
        return
    with pytest.raises(DownloadFailedError, match="took too long to answer") as caught:
        await watch.until(under_way)
    assert caught.value.code is ErrorCode.TIMEOUT
    under_way.cancel()


def _bounds(directory: Path) -> Any:
    from music_downloader.engine.order import FetchOrder

    return FetchOrder(url=PAGE, directory=directory, policy=EgressPolicy(), deadline=120)
