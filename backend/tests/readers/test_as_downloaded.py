"""Music servers as judges of what the service itself has brought: albums, feeds, playlists and singles."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import httpx
import pytest
from tests import media
from tests.conftest import Serve
from tests.following import ended, submit
from tests.readers import minidlna, mpd
from tests.readers.covers import RGB, is_of, make_cover
from tests.readers.reader import AlbumName, Reader, Shown
from tests.source import BandcampTrack, FeedItem, Source
from tests.worker.landing import Sessions, quiet, tracks

RED, GREEN, BLUE, GREY = (200, 30, 30), (30, 160, 30), (30, 30, 200), (120, 120, 120)


@dataclass(frozen=True, kw_only=True)
class Meant:
    """An album as it should be shown: whose and what, its tracks in order, the colour of its cover."""

    name: AlbumName
    tracks: tuple[Shown, ...]
    colour: RGB
    only_mpd: bool = False  # minidlna knows no .opus


def _tracks(*shown: tuple[str, str], year: str = "") -> tuple[Shown, ...]:
    return tuple(
        Shown(title=title, artist=artist, number=number, year=year)
        for number, (title, artist) in enumerate(shown, 1)
    )


# Titles run against the alphabet, so that an order by name can't pass for the order of the record.
SHOP = Meant(
    name=("Hedda Lund", "Two Sides"),
    tracks=_tracks(("Zenith", "Hedda Lund"), ("Year", "Hedda Lund"), ("Xylem", "Hedda Lund"), year="2021"),
    colour=RED,
)
SAMPLER = Meant(
    name=("Various Artists", "Label Sampler"),
    tracks=_tracks(("Wane", "Anna"), ("Veil", "Bert"), ("Umbra", "Cora"), year="2019"),
    colour=GREEN,
)
PAGE = Meant(
    name=("The Band", "At Home"),
    tracks=_tracks(("Tide", "The Band"), ("Star", "The Band"), ("Rise", "The Band"), year="1997"),
    colour=BLUE,
)
CONVERTED = Meant(
    name=("Ola", "Made Smaller"),
    tracks=_tracks(("Quiet", "Ola"), ("Path", "Ola")),
    colour=GREY,
)
SMALLEST = Meant(
    name=("Ida", "Low Delay"), tracks=_tracks(("B", "Ida"), ("A", "Ida")), colour=GREY, only_mpd=True
)
ALBUMS = (SHOP, SAMPLER, PAGE, CONVERTED, SMALLEST)
SHOW: AlbumName = ("A Show", "A Show")  # yt-dlp tells nothing of who makes a feed
EPISODES = {"Episode Two", "Episode One"}
MIXED = ("Solveig", "Tor", "Vera")


@dataclass(frozen=True, kw_only=True)
class Downloaded:
    """The library after all of it, and the tracks of the mixed playlist in its order, by path."""

    library: Path
    playlist: list[str]


class _Shop:
    """The sources: each method gives the URL of one record."""

    def __init__(self, source: Source, folder: Path) -> None:
        self._source = source
        self._folder = folder
        self._pitch = 300

    def shop(self, artist: str, slug: str, record: Meant, *, released: str, name: str) -> str:
        tracks = [
            BandcampTrack(shown.title, self._audio("mp3"), None if shown.artist == name else shown.artist)
            for shown in record.tracks
        ]
        return self._source.bandcamp(
            artist,
            slug,
            tracks,
            picture=self._cover(record.colour),
            title=record.name[1],
            name=name,
            released=released,
        )

    def page(self, path: str, record: Meant, heading: str, kind: str) -> str:
        urls = [
            self._site(f"{path}/{n}.{kind}", self._audio(kind, title=shown.title, artist=shown.artist))
            for n, shown in enumerate(record.tracks)
        ]
        cover = self._site(f"{path}.jpg", self._cover(record.colour))
        players = "".join(f'<audio src="{url}"></audio>' for url in urls)
        head = f'<title>{heading}</title><meta property="og:image" content="{cover}">'
        page = f"<!doctype html><html><head>{head}</head><body>{players}</body></html>"
        return self._site(path, page)

    def single(self, path: str, **tags: str) -> str:
        return self._site(path, self._audio(path.rpartition(".")[2], **tags))

    def feed(self) -> str:
        cover = self._site("/show.jpg", self._cover(GREY))
        dates = ("Tue, 09 Jan 2024 10:00:00 GMT", "Tue, 02 Jan 2024 10:00:00 GMT")
        items = [
            FeedItem(self._site(f"/show/{n}.mp3", self._audio("mp3")), title, f"guid-{n}", date, image=cover)
            for n, (title, date) in enumerate(zip(("Episode Two", "Episode One"), dates, strict=True))
        ]
        self._source.feed("/show.xml", list(items), title="A Show", image=cover)
        return "http://music.example/show.xml"

    def mixed(self) -> str:
        tracks = [
            (
                name,
                self._site(
                    f"/mixed/{n}.mp3",
                    self._audio("mp3", title=f"By {name}", artist=name, album=f"{name}'s Own"),
                ),
            )
            for n, name in enumerate(MIXED)
        ]
        self._source.xspf("/Evening.xspf", tracks)
        return "http://music.example/Evening.xspf"

    def _site(self, path: str, content: str | Path) -> str:
        return self._source.site("music.example", path, content)

    def _audio(self, kind: str, **tags: str) -> Path:
        self._pitch += 10
        return media.make(kind, seconds=1, frequency=self._pitch, **tags)

    def _cover(self, colour: RGB) -> Path:
        path = self._folder / f"{colour}.jpg"
        make_cover(path, colour)
        return path


async def _completed(client: httpx.AsyncClient, number: int) -> list[dict[str, Any]]:
    shown = await ended(client, number)
    assert shown["status"] == "completed", shown
    return await tracks(client, number)


@pytest.fixture
async def downloaded(
    serve: Serve,
    source: Source,
    sessions: Sessions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Downloaded:
    """A library that the service has filled, through a proxy, and has come to rest."""
    for module in ("publishing", "finish"):
        monkeypatch.setattr(f"music_downloader.task.{module}.MEASURE_AFTER_SECONDS", 0)
    service = await serve(embedded_worker=True, download_proxy=source.proxy, max_per_host=4)
    alice = await service.sign_in()
    shop = _Shop(source, tmp_path)
    wanted = [
        (
            shop.shop("hedda", "two-sides", SHOP, released="14 May 2021 00:00:00 GMT", name="Hedda Lund"),
            "best",
        ),
        (
            shop.shop(
                "label", "sampler", SAMPLER, released="01 Feb 2019 00:00:00 GMT", name="Various Artists"
            ),
            "best",
        ),
        (shop.page("/live", PAGE, "The Band - At Home (1997)", "mp3"), "best"),
        (shop.page("/smaller", CONVERTED, "Ola - Made Smaller", "flac"), "m4a"),
        (shop.page("/delay", SMALLEST, "Ida - Low Delay", "opus"), "best"),
        (shop.feed(), "best"),
        (shop.single("/kerosene.mp3", title="Kerosene", artist="Nils"), "best"),
        (shop.single("/lone.flac", title="Lone Wolf", artist="Nils"), "mp3"),
        (shop.mixed(), "best"),
    ]
    numbers = [await submit(alice, url, format=form) for url, form in wanted]
    landed = [await _completed(alice, number) for number in numbers]
    await quiet(sessions)
    return Downloaded(library=service.library, playlist=[one["file_path"] for one in landed[-1]])


def _assert_shown(reader: Reader, albums: Sequence[Meant]) -> None:
    """Every album is there once, its tracks in order, with their artists and the right cover."""
    owned = {(f"{name}", f"{name}'s Own") for name in MIXED}
    assert sorted(reader.albums()) == sorted([*(album.name for album in albums), SHOW, *owned])
    for album in albums:
        assert reader.tracks(album.name) == list(album.tracks)
        covers = reader.covers(album.name)
        assert len(covers) == len(album.tracks)
        assert all(is_of(cover, album.colour) for cover in set(covers)), album.name
    assert {shown.title for shown in reader.tracks(SHOW)} == EPISODES
    assert all(is_of(cover, GREY) for cover in reader.covers(SHOW))
    for title in ("Kerosene", "Lone Wolf"):
        assert ("Nils", title) in {(shown.artist, shown.title) for shown in reader.tracks(("Nils", ""))}


async def test_mpd_and_minidlna_show_what_was_downloaded_as_it_was_meant(downloaded: Downloaded) -> None:
    await asyncio.to_thread(_ask_mpd, downloaded)
    await asyncio.to_thread(_ask_minidlna, downloaded)


def _ask_mpd(downloaded: Downloaded) -> None:
    with mpd.reading(downloaded.library) as reader:
        _assert_shown(reader, ALBUMS)
        for album in ALBUMS:
            beside = {reader.picture("albumart", song[0][1]) for song in reader.songs_of(album.name)}
            assert len(beside) == 1
            assert is_of(beside.pop(), album.colour)
        gains = {
            reader.comments(PurePosixPath(song[0][1]))["REPLAYGAIN_ALBUM_GAIN"]
            for song in reader.songs_of(PAGE.name)
        }
        assert len(gains) == 1
        assert reader.playlist("Playlists/Evening.m3u8") == downloaded.playlist
        reader.ask("load", "Playlists/Evening.m3u8")
        assert [value for name, value in reader.ask("playlistinfo") if name == "Title"] == [
            f"By {name}" for name in MIXED
        ]
        reader.ask("play", "0")
        state = dict(reader.ask("status"))
        assert "error" not in state
        assert state["state"] == "play"


def _ask_minidlna(downloaded: Downloaded) -> None:
    with minidlna.reading(downloaded.library) as reader:
        _assert_shown(reader, [album for album in ALBUMS if not album.only_mpd])
        titles = reader.album_titles()
        assert len(titles) == len(set(titles))
