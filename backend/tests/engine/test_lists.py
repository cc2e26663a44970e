"""A URL that holds several tracks is told as a list, and each of its entries can be fetched."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from tests import media
from tests.source import BandcampTrack, FeedItem, Source

from music_downloader.egress.policy import EgressPolicy
from music_downloader.engine.order import Entry, Fetched, FetchOrder, Item, Listed
from music_downloader.engine.run import Engine
from music_downloader.engine.source import SourceInfo
from music_downloader.errors import DownloadFailedError, ErrorCode

pytestmark = pytest.mark.asyncio(loop_scope="session")
Order = Callable[..., FetchOrder]


class Listing:
    """What was heard while a URL was fetched that may be a list."""

    def __init__(self) -> None:
        self.collection: SourceInfo | None = None
        self.batches: list[list[Entry]] = []

    async def hear(self, collection: SourceInfo, entries: list[Entry]) -> None:
        self.collection = collection
        self.batches.append(entries)

    @property
    def entries(self) -> list[Entry]:
        return [entry for batch in self.batches for entry in batch]

    async def of(self, engine: Engine, order: FetchOrder) -> Fetched | Listed:
        return await engine.fetch(order, on_progress=lambda _: None, on_entries=self.hear)


async def fetch_item(engine: Engine, order: FetchOrder) -> bytes:
    fetched = await engine.fetch(order, on_progress=lambda _: None)
    content: bytes = await asyncio.to_thread(fetched.path.read_bytes)
    await asyncio.to_thread(fetched.path.unlink)
    return content


@pytest.fixture
def songs(source: Source) -> list[str]:
    """Four different songs."""
    return [source.file(f"/{n}.mp3", media.make("mp3", frequency=400 + n)) for n in range(4)]


def content(number: int) -> bytes:
    return media.make("mp3", frequency=400 + number).read_bytes()


async def test_a_feed_is_told_without_asking_for_any_of_its_items(
    engine: Engine, source: Source, order: Order, songs: list[str]
) -> None:
    picture = source.file("/cover.jpg", media.picture())
    items = [
        FeedItem(url, f"Song {n}", f"guid-{n}", "Tue, 02 Jan 2024 10:00:00 GMT", "Me", picture, "3:00")
        for n, url in enumerate(songs, 1)
    ]
    listing = Listing()
    ended = await listing.of(engine, order(source.feed("/feed.xml", items, title="A Show")))
    assert isinstance(ended, Listed)
    assert (ended.count, ended.left_out) == (4, 0)
    assert ended.collection == listing.collection
    assert (ended.collection.title, ended.collection.track_count) == ("A Show", 4)
    assert ended.collection.webpage_url == source.url("/feed.xml")
    assert [(entry.position, entry.url) for entry in listing.entries] == list(enumerate(songs, 1))
    first = listing.entries[0].info
    assert (first.title, first.upload_date, first.duration) == ("Song 1", "20240102", 180.0)
    assert [shown.url for shown in first.thumbnails] == [picture]
    assert (first.extractor, first.source_id, first.description) == ("", "", None)
    assert {request.path for request in source.requests} == {"/feed.xml"}


async def test_players_on_one_page_have_no_address_and_are_fetched_by_their_place(
    engine: Engine, source: Source, order: Order, songs: list[str]
) -> None:
    picture = source.url("/cover.jpg")
    page = source.album_page("/album", songs, title="An Album", picture=picture)
    listing = Listing()
    ended = await listing.of(engine, order(page))
    assert isinstance(ended, Listed)
    assert ended.collection.title == "An Album"
    assert [shown.url for shown in ended.collection.thumbnails] == [picture]
    assert [entry.url for entry in listing.entries] == [None] * 4
    for number, entry in enumerate(listing.entries):
        item = Item(position=entry.position, source_id=entry.info.source_id)
        source.requests.clear()
        assert await fetch_item(engine, order(page, item=item)) == content(number)
        assert {request.path for request in source.requests} == {"/album", f"/{number}.mp3"}


@pytest.mark.parametrize(
    ("item", "found"),
    [
        (Item(position=3, source_id=""), 2),
        (Item(position=9, source_id="album-2"), 1),
        (Item(position=1, source_id="album-4"), 3),
        (Item(position=9, source_id=""), None),
        (Item(position=1, source_id="another"), None),
    ],
)
async def test_an_item_is_the_one_at_its_place_or_else_the_one_with_its_id(
    engine: Engine, source: Source, order: Order, songs: list[str], item: Item, found: int | None
) -> None:
    wanted = order(source.album_page("/album", songs), item=item)
    if found is not None:
        assert await fetch_item(engine, wanted) == content(found)
        return
    with pytest.raises(DownloadFailedError, match="isn't in the list any more") as caught:
        await engine.fetch(wanted, on_progress=lambda _: None)
    assert (caught.value.code, caught.value.transient) == (ErrorCode.NOT_FOUND, False)
    assert {request.path for request in source.requests} == {"/album"}


async def test_an_item_of_a_list_that_has_shrunk_to_another_track_is_not_mistaken_for_it(
    engine: Engine, source: Source, order: Order, songs: list[str]
) -> None:
    for url in (source.album_page("/album", songs[:1]), source.feed("/feed.xml", songs[:1]), songs[0]):
        with pytest.raises(DownloadFailedError) as caught:
            await engine.fetch(
                order(url, item=Item(position=3, source_id="album-3")), on_progress=lambda _: None
            )
        assert caught.value.code is ErrorCode.NOT_FOUND
    page = order(source.url("/album"), item=Item(position=3, source_id="album-1"))
    assert await fetch_item(engine, page) == content(0)


async def test_entries_that_all_bear_the_same_id_are_told_apart_by_their_place(
    engine: Engine, source: Source, order: Order, songs: list[str]
) -> None:
    playlist = source.xspf("/list.xspf", [(f"Song {n}", url) for n, url in enumerate(songs)])
    listing = Listing()
    await listing.of(engine, order(playlist))
    assert [entry.info.title for entry in listing.entries] == ["Song 0", "Song 1", "Song 2", "Song 3"]
    assert len({entry.info.source_id for entry in listing.entries}) == 1
    third = listing.entries[2]
    item = Item(position=third.position, source_id=third.info.source_id)
    assert await fetch_item(engine, order(playlist, item=item)) == content(2)
    with pytest.raises(DownloadFailedError) as caught:
        await fetch_item(engine, order(playlist, item=Item(position=7, source_id=third.info.source_id)))
    assert caught.value.code is ErrorCode.NOT_FOUND


async def test_an_album_of_a_known_site_is_told_and_its_tracks_are_fetched(
    engine: Engine, source: Source, order: Order
) -> None:
    tracks = [BandcampTrack(f"Song {n}", media.make("mp3", frequency=400 + n)) for n in range(3)]
    picture = media.picture("jpg", width=700, height=700)
    album = source.bandcamp("artist", "an-album", tracks, picture=picture, title="An Album", name="Somebody")
    through = {"policy": EgressPolicy(), "proxy": source.proxy}
    listing = Listing()
    ended = await listing.of(engine, order(album, **through))
    assert isinstance(ended, Listed)
    assert (ended.collection.title, ended.collection.extractor) == ("An Album", "Bandcamp:album")
    assert [entry.info.extractor for entry in listing.entries] == ["bandcamp"] * 3
    assert [entry.info.title for entry in listing.entries] == ["Song 0", "Song 1", "Song 2"]
    second = listing.entries[1]
    fetched = await engine.fetch(order(second.url or "", **through), on_progress=lambda _: None)
    assert fetched.path.read_bytes() == content(1)
    assert fetched.info.source_id == second.info.source_id
    assert (fetched.info.track, fetched.info.album, fetched.info.track_number) == ("Song 1", "An Album", 2)
    assert fetched.info.album_artists == ("Somebody",)


async def test_only_as_many_entries_as_asked_for_are_told(
    engine: Engine, source: Source, order: Order, songs: list[str]
) -> None:
    listing = Listing()
    ended = await listing.of(engine, order(source.feed("/feed.xml", songs), max_items=3))
    assert isinstance(ended, Listed)
    assert (ended.count, ended.left_out, len(listing.entries)) == (3, 1, 3)


async def test_a_single_track_is_fetched_though_a_list_would_be_told(
    engine: Engine, source: Source, order: Order, songs: list[str]
) -> None:
    for url in (songs[0], source.album_page("/album", songs[:1]), source.feed("/feed.xml", songs[:1])):
        listing = Listing()
        fetched = await listing.of(engine, order(url))
        assert isinstance(fetched, Fetched)
        assert fetched.path.read_bytes() == content(0)
        assert listing.batches == []


async def test_a_list_that_leads_to_a_list_is_told(
    engine: Engine, source: Source, order: Order, songs: list[str]
) -> None:
    listing = Listing()
    ended = await listing.of(engine, order(source.feed("/outer.xml", [source.feed("/inner.xml", songs)])))
    assert isinstance(ended, Listed)
    assert [entry.url for entry in listing.entries] == songs


async def test_a_list_that_leads_to_itself_ends(engine: Engine, source: Source, order: Order) -> None:
    url = source.url("/feed.xml")
    with pytest.raises(DownloadFailedError) as caught:
        await Listing().of(engine, order(source.feed("/feed.xml", [url])))
    assert caught.value.code is ErrorCode.NO_AUDIO
    assert source.hits("/feed.xml") < 10


async def test_an_empty_list_holds_no_audio(engine: Engine, source: Source, order: Order) -> None:
    with pytest.raises(DownloadFailedError) as caught:
        await Listing().of(engine, order(source.feed("/feed.xml", [])))
    assert caught.value.code is ErrorCode.NO_AUDIO


async def test_a_list_that_is_gone_is_not_found(engine: Engine, source: Source, order: Order) -> None:
    with pytest.raises(DownloadFailedError) as caught:
        await Listing().of(engine, order(source.status("/feed.xml", 404)))
    assert caught.value.code is ErrorCode.NOT_FOUND


async def test_batches_come_one_at_a_time_and_the_next_waits_for_whoever_stores_it(
    engine: Engine, source: Source, order: Order
) -> None:
    storing = 0
    sizes: list[int] = []

    async def store(_: SourceInfo, entries: list[Entry]) -> None:
        nonlocal storing
        storing += 1
        assert storing == 1
        await asyncio.sleep(0.02)
        sizes.append(len(entries))
        storing -= 1

    url = source.feed("/feed.xml", [f"https://music.example/{n}.mp3" for n in range(1000)])
    ended = await engine.fetch(order(url), on_progress=lambda _: None, on_entries=store)
    assert isinstance(ended, Listed)
    assert (ended.count, sum(sizes)) == (1000, 1000)
    assert sizes[0] == 25
    assert max(sizes) <= 50


async def test_long_texts_fit_through_the_pipe(engine: Engine, source: Source, order: Order) -> None:
    items = [FeedItem(f"https://music.example/{n}.mp3", "\N{MUSICAL SYMBOL G CLEF}" * 900) for n in range(60)]
    listing = Listing()
    ended = await listing.of(engine, order(source.feed("/feed.xml", items)))
    assert isinstance(ended, Listed)
    assert {entry.info.title for entry in listing.entries} == {"\N{MUSICAL SYMBOL G CLEF}" * 500}


async def test_what_goes_wrong_with_storing_ends_the_listing_and_its_process(
    engine: Engine, source: Source, order: Order, songs: list[str]
) -> None:
    async def fail(_: SourceInfo, __: list[Entry]) -> None:
        raise TimeoutError("the database is away")

    with pytest.raises(TimeoutError, match="the database is away"):
        await engine.fetch(
            order(source.feed("/feed.xml", songs)), on_progress=lambda _: None, on_entries=fail
        )
    assert psutil.Process(engine.template_pid).children() == []


@pytest.mark.parametrize("stream", ["hls", "dash"])
async def test_a_segmented_stream_is_one_track(
    engine: Engine, source: Source, order: Order, stream: str
) -> None:
    manifest: Path = getattr(media, stream)()
    fetched = await Listing().of(engine, order(source.folder("/stream", manifest)))
    assert isinstance(fetched, Fetched)
    assert fetched.path.stat().st_size > 5000
