# ruff: noqa: RUF001  # the letters that look alike are what is tested
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_downloader.library.facts import SourceFacts
from music_downloader.library.names import UNKNOWN_ARTIST
from music_downloader.library.rules import describe
from music_downloader.library.tags import TrackTags
from music_downloader.library.titles import channel_artist, read_bare_title

# a page's heading, its channel, and what becomes of them
PAGES = [
    ("Queen - Bohemian Rhapsody (Official Video Remastered)", None, ("Queen",), "Bohemian Rhapsody"),
    ("Queen – Innuendo [Official Audio]", None, ("Queen",), "Innuendo"),
    ("Björk — Jóga", None, ("Björk",), "Jóga"),
    (
        "Daft Punk - Get Lucky (Official Audio) ft. Pharrell Williams, Nile Rodgers",
        None,
        ("Daft Punk", "Pharrell Williams", "Nile Rodgers"),
        "Get Lucky",
    ),
    (
        "Eminem ft. Rihanna - Love The Way You Lie [Official Music Video] HD",
        None,
        ("Eminem", "Rihanna"),
        "Love The Way You Lie",
    ),
    ("Artist - Title (feat. A, B & C) [Lyrics]", None, ("Artist", "A", "B", "C"), "Title"),
    ("Artist - Title featuring Somebody Else", None, ("Artist", "Somebody Else"), "Title"),
    ("Title feat. B (Someone Remix)", "A", ("A", "B"), "Title (Someone Remix)"),
    ("Luis Fonsi - Despacito ft. Daddy Yankee", "LuisFonsiVEVO", ("Luis Fonsi", "Daddy Yankee"), "Despacito"),
    ("AC/DC - Thunderstruck (Official 4K Video)", "acdcVEVO", ("AC/DC",), "Thunderstruck"),
    (
        "Simon & Garfunkel - The Sound of Silence (Audio)",
        None,
        ("Simon & Garfunkel",),
        "The Sound of Silence",
    ),
    ("Earth, Wind & Fire - September (Official HD Video)", None, ("Earth, Wind & Fire",), "September"),
    ("Tyler, The Creator - EARFQUAKE", None, ("Tyler, The Creator",), "EARFQUAKE"),
    ("Ólafur Arnalds x Nils Frahm - 20:17", None, ("Ólafur Arnalds", "Nils Frahm"), "20:17"),
    ("Lil Nas X - Panini (Official Video)", None, ("Lil Nas X",), "Panini"),
    (
        "Major Lazer & DJ Snake - Lean On (feat. MØ) (Official Music Video)",
        None,
        ("Major Lazer & DJ Snake", "MØ"),
        "Lean On",
    ),
    ('David Bowie - "Heroes" (Official Video)', None, ("David Bowie",), "Heroes"),
    ("Artist - Title | Official Video", None, ("Artist",), "Title"),
    ("Artist - Title Official Music Video HD", None, ("Artist",), "Title"),
    ("Artist - Title (Official Visualizer)", None, ("Artist",), "Title"),
    ("Artist - Title (Lyric Video)", None, ("Artist",), "Title"),
    ("Artist - Title with lyrics", None, ("Artist",), "Title"),
    ("Artist - Title [4K Remaster]", None, ("Artist",), "Title"),
    ("Artist - Title (Clip officiel)", None, ("Artist",), "Title"),
    ("Artist - Title (Videoclip Oficial)", None, ("Artist",), "Title"),
    ("Artist - Title [Free Download]", None, ("Artist",), "Title"),
    ("【MV】Artist - Title", None, ("Artist",), "Title"),
    ("YOASOBI「アイドル」 Official Music Video", "Ayase / YOASOBI", ("YOASOBI",), "アイドル"),
    ("Artist - Title (Live at Wembley 1986)", None, ("Artist",), "Title (Live at Wembley 1986)"),
    ("Artist - Title (Remix) [Official Video]", None, ("Artist",), "Title (Remix)"),
    ("Artist - Title (2004 Remaster)", None, ("Artist",), "Title (2004 Remaster)"),
    ("Artist - Title (Radio Edit)", None, ("Artist",), "Title (Radio Edit)"),
    ("Artist - Title - Live", None, ("Artist",), "Title - Live"),
    ("Comfortably Numb - Live", "Pink Floyd", ("Pink Floyd",), "Comfortably Numb - Live"),
    ("Heroes - 2017 Remaster", "David Bowie - Topic", ("David Bowie",), "Heroes - 2017 Remaster"),
    ("Oasis - Live Forever (Official HD Remastered Video)", None, ("Oasis",), "Live Forever"),
    ("Hurt - Johnny Cash", "Johnny Cash - Topic", ("Johnny Cash",), "Hurt"),
    ("Song - Official Video", "Some Artist", ("Some Artist",), "Song"),
    ("Shake It Off", "TaylorSwiftVEVO", ("Taylor Swift",), "Shake It Off"),
    ("Hello", "Adele Official", ("Adele",), "Hello"),
    (
        "Halo (Music Video)",
        "Some Uploader",
        ("Some Uploader",),
        "Halo (Music Video)".removesuffix(" (Music Video)"),
    ),
    ("Video", "India.Arie", ("India.Arie",), "Video"),
    ("Video Killed the Radio Star", "The Buggles", ("The Buggles",), "Video Killed the Radio Star"),
    ("Self-Esteem", "The Offspring", ("The Offspring",), "Self-Esteem"),
    ("99 Luftballons", "Nena", ("Nena",), "99 Luftballons"),
    ("7 rings", None, (UNKNOWN_ARTIST,), "7 rings"),
    ("(Official Video)", None, (UNKNOWN_ARTIST,), "(Official Video)"),
    (" - ", None, (UNKNOWN_ARTIST,), "-"),
    ("HD", None, (UNKNOWN_ARTIST,), "HD"),
]

# a file's name, and what becomes of it
FILES = [
    ("01 - Title", None, "Title", 1, None),
    ("01. Title", None, "Title", 1, None),
    ("1. Title", None, "Title", 1, None),
    ("01_title.mp3", None, "title", 1, None),
    ("07 Nightcall.flac", None, "Nightcall", 7, None),
    ("Track 05 - Foo", None, "Foo", 5, None),
    ("1-02 Song", None, "Song", 2, 1),
    ("01 - 99 Problems", None, "99 Problems", 1, None),
    ("03 - Artist - Title", "Artist", "Title", 3, None),
    ("Artist - 03 - Song", "Artist", "Song", 3, None),
    ("Artist - Album - 03 - Song", "Artist", "Song", 3, None),
    ("Artist_-_Title.mp3", "Artist", "Title", None, None),
    ("my_great_song.opus", None, "my great song", None, None),
    ("50 Cent - In Da Club", "50 Cent", "In Da Club", None, None),
    ("99 Luftballons", None, "99 Luftballons", None, None),
    ("3.14", None, "3.14", None, None),
    ("1999", None, "1999", None, None),
    ("01", None, "01", None, None),
    (".mp3", None, ".mp3", None, None),
    ("___", None, "___", None, None),
]


@pytest.mark.parametrize(("heading", "channel", "artists", "title"), PAGES)
def test_a_heading_is_taken_apart(
    heading: str, channel: str | None, artists: tuple[str, ...], title: str
) -> None:
    tags, origins = describe(info=SourceFacts(title=heading, channel=channel), file_tags=None)
    assert (tags.artists, tags.title) == (artists, title)
    assert origins["artists"] == "rule"
    assert origins["title"] == ("source" if title == heading.strip() else "rule")


@pytest.mark.parametrize(("name", "artist", "title", "track", "disc"), FILES)
def test_a_file_name_is_taken_apart(
    name: str, artist: str | None, title: str, track: int | None, disc: int | None
) -> None:
    tags, _ = describe(info=SourceFacts(title=name, is_direct_file=True), file_tags=None)
    assert (tags.artists, tags.title) == ((artist or UNKNOWN_ARTIST,), title)
    assert (tags.track_number, tags.disc_number) == (track, disc)


@pytest.mark.parametrize(
    ("channel", "artist"),
    [
        ("Portishead - Topic", "Portishead"),
        ("TaylorSwiftVEVO", "Taylor Swift"),
        ("50CentVEVO", "50 Cent"),
        ("Guns N' Roses VEVO", "Guns N' Roses"),
        ("Adele Official", "Adele"),
        ("Official Artist", "Artist"),
        ("VEVO", "VEVO"),
        ("Official", "Official"),
        ("Nobody", "Nobody"),
    ],
)
def test_a_channel_is_read_as_an_artist(channel: str, artist: str) -> None:
    assert channel_artist(channel) == artist


def test_what_the_source_says_outright_comes_first() -> None:
    info = SourceFacts(
        title="Whatever - Heading (Official Video)",
        track="Track (feat. B)",
        artists=("A feat. B",),
        album="Album",
        album_artists=("A",),
        track_number=2,
        disc_number=1,
        release_date="20210304",
        release_year=2020,
        genres=("Pop",),
        uploader="Somebody",
        webpage_url="https://example.org/1",
        extractor="example",
        source_id="1",
        isrc="GBBND9700033",
    )
    own = TrackTags(
        title="File",
        artists=("File",),
        album="album!",
        album_artists=("File",),
        track_number=9,
        track_total=12,
        date="1999",
        genres=("Rock",),
        isrc="X",
        lyrics="La la",
        comment="junk",
    )
    tags, origins = describe(info=info, file_tags=own)
    assert tags == TrackTags(
        title="Track (feat. B)",
        artists=("A", "B"),
        album="Album",
        album_artists=("A",),
        track_number=2,
        track_total=12,
        disc_number=1,
        date="2021-03-04",
        genres=("Pop",),
        isrc="GBBND9700033",
        lyrics="La la",
        comment="https://example.org/1",
        source_id="example:1",
    )
    assert {name for name, origin in origins.items() if origin == "file"} == {"lyrics", "track_total"}
    assert set(origins.values()) == {"source", "file"}


def test_the_files_own_tags_come_before_guesses() -> None:
    own = TrackTags(title="Own - Title (Official Video)", artists=("Own",), album="Own Album", date="2001")
    info = SourceFacts(title="Guess - Other", uploader="Somebody", release_year=2002)
    tags, origins = describe(info=info, file_tags=own)
    assert (tags.title, tags.artists, tags.date) == ("Own - Title (Official Video)", ("Own",), "2002")
    assert tags.album_artists == ("Own",)
    assert origins == {
        "title": "file",
        "artists": "file",
        "album": "file",
        "date": "source",
        "album_artists": "rule",
    }


def test_a_number_on_another_album_is_not_taken() -> None:
    own = TrackTags(title="T", artists=("A",), album="Hits", track_number=17, track_total=20, date="2009")
    tags, _ = describe(info=SourceFacts(track="T", album="First"), file_tags=own)
    assert (tags.album, tags.track_number, tags.track_total, tags.date) == ("First", None, None, None)


def test_known_artists_are_taken_off_the_title_and_unknown_ones_stay() -> None:
    known = SourceFacts(title="A - T (Official Audio) ft. B", artists=("A",))
    unknown = SourceFacts(title="Other - T", artists=("A",))
    assert [
        (tags.title, tags.artists) for tags, _ in (describe(info=i, file_tags=None) for i in (known, unknown))
    ] == [
        ("T", ("A", "B")),
        ("Other - T", ("A",)),
    ]


def test_the_artist_of_a_named_track_is_found_in_the_heading() -> None:
    tags, origins = describe(
        info=SourceFacts(title="A - T [HD]", track="T", uploader="Label"), file_tags=None
    )
    assert (tags.title, tags.artists) == ("T", ("A",))
    assert (origins["title"], origins["artists"]) == ("source", "rule")
    tags, _ = describe(
        info=SourceFacts(title="Great Mix - Part 1", track="T", uploader="Label"), file_tags=None
    )
    assert (tags.title, tags.artists) == ("T", ("Label",))


@pytest.mark.parametrize(
    ("own", "album_artists"),
    [
        (TrackTags(title="T", artists=("A", "B"), album="L"), ("A",)),
        (TrackTags(title="T", artists=("A",), album="L", compilation=True), ("Various Artists",)),
        (
            TrackTags(title="T", artists=("A",), album="L", album_artists=("various artists",)),
            ("various artists",),
        ),
    ],
)
def test_an_album_has_an_artist(own: TrackTags, album_artists: tuple[str, ...]) -> None:
    tags, _ = describe(info=SourceFacts(), file_tags=own)
    assert tags.album_artists == album_artists
    assert tags.compilation is (album_artists != ("A",))


@pytest.mark.parametrize(
    ("info", "title"),
    [
        (SourceFacts(), "Untitled"),
        (SourceFacts(source_id="abc"), "abc"),
        (SourceFacts(title=" \u202e ", source_id="abc"), "abc"),
        (SourceFacts(track="\x00", title="T", source_id="abc"), "T"),
    ],
)
def test_a_title_is_never_lost(info: SourceFacts, title: str) -> None:
    tags, origins = describe(info=info, file_tags=TrackTags(title=""))
    assert tags.title == title
    assert tags.artists == (UNKNOWN_ARTIST,)
    assert origins["artists"] == "rule"


NOISE = ["(Official Video)", " HD", "lyrics", " ft. ", "feat. ", " x ", " & ", "- Topic", "VEVO", ".mp3"]
PARTS = st.sampled_from(["A", "B c", "01", " - ", " – ", "—", *'()[]|_「」". ', *NOISE])


@given(
    st.lists(PARTS, max_size=12).map("".join) | st.text(), st.booleans(), st.sampled_from(["", "A", "AVEVO"])
)
def test_any_heading_gives_a_title_and_an_artist(text: str, is_file: bool, channel: str) -> None:
    tags, origins = describe(
        info=SourceFacts(title=text, channel=channel, is_direct_file=is_file), file_tags=None
    )
    assert tags.title
    assert tags.artists
    assert set(origins.values()) <= {"source", "file", "rule"}


@pytest.mark.parametrize(
    "part", ["(", "[", " - ", " ft. ", "official video ", "| HD", "feat. (", "hd ", " x ", "「", "0 "]
)
def test_no_heading_takes_long(part: str) -> None:
    start = time.thread_time()
    read_bare_title((part * 500)[:500])
    read_bare_title((part * 500)[:500], is_file_name=True, known=("x",))
    assert time.thread_time() - start < 2
