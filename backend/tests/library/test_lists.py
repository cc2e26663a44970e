# ruff: noqa: RUF001  # the dashes that look alike are what is tested
"""Lists as sites tell them, in the words of their extractors, and what kind of list each of them is."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_downloader.library.albums import AlbumFacts
from music_downloader.library.facts import SourceFacts, merged
from music_downloader.library.lists import is_feed, read_list

BANDCAMP = SourceFacts(extractor="Bandcamp:album", source_id="some-album", title="Some Album")
YOUTUBE = SourceFacts(extractor="youtube:tab", source_id="PLabc", channel="Somebody", uploader="Somebody")
MUSIC = SourceFacts(extractor="youtube:tab", source_id="OLAK5uy_abc", title="Album - Homogenic")
FEED = SourceFacts(extractor="generic", source_id="https://pod.example.org/rss", title="The Show")
PAGE = SourceFacts(extractor="generic", source_id="album", webpage_url="https://example.org/album")
SET = SourceFacts(
    extractor="soundcloud:set",
    source_id="1",
    title="First EP",
    album="First EP",
    album_artists=("The Band",),
    uploader="The Band",
    webpage_url="https://soundcloud.com/theband/sets/first-ep",
)


def titled(*titles: str, **facts: object) -> list[SourceFacts]:
    return [SourceFacts(title=title, **facts) for title in titles]  # type: ignore[arg-type]  # a test's own words


def album_of(whole: SourceFacts, first: Sequence[SourceFacts], count: int | None = None) -> AlbumFacts | None:
    sense = read_list(whole, first, count=count)
    assert sense.kind == ("album" if sense.album else "playlist")
    assert sense.name
    return sense.album


def test_a_bandcamp_page_is_an_album_whose_tracks_name_the_artist() -> None:
    entries = titled("Intro", "Song", "Outro", extractor="bandcamp")
    assert album_of(BANDCAMP, entries, 3) == AlbumFacts(title="Some Album", track_total=3)


def test_a_bandcamp_album_of_many_artists_is_a_compilation() -> None:
    entries = titled("A - One", "B - Two", "C - Three", "D - Four", "Hidden Track", extractor="bandcamp")
    found = album_of(BANDCAMP, entries, 5)
    assert found == AlbumFacts(
        title="Some Album", album_artists=("Various Artists",), compilation=True, track_total=5
    )


def test_an_artists_own_dashes_make_no_compilation() -> None:
    entries = titled("Suite - I", "Suite - II", "Suite - III", "Coda", extractor="bandcamp")
    found = album_of(BANDCAMP, entries, 4)
    assert found is not None
    assert not found.compilation


def test_a_discography_is_a_playlist_of_albums() -> None:
    whole = SourceFacts(extractor="Bandcamp:user", source_id="band", title="Discography of band")
    sense = read_list(whole, titled("One", "Two"), count=None)
    assert (sense.kind, sense.name) == ("playlist", "Discography of band")


def test_a_youtube_music_album_is_by_whose_topic_channel_it_is_on() -> None:
    entries = [
        SourceFacts(title="Hunter", channel="Björk - Topic"),
        SourceFacts(title="Jóga", channel="Björk - Topic"),
        SourceFacts(title="Guest", channel="Guest - Topic"),
    ]
    assert album_of(MUSIC, entries, 10) == AlbumFacts(
        title="Homogenic", album_artists=("Björk",), track_total=10
    )


def test_a_youtube_music_album_of_many_artists_is_a_compilation() -> None:
    entries = [SourceFacts(title="T", channel=f"{name} - Topic") for name in "ABCD"]
    whole = replace(MUSIC, title="Album - Hits (Deluxe Edition)", release_year=2003)
    assert album_of(whole, entries, 4) == AlbumFacts(
        title="Hits (Deluxe Edition)",
        album_artists=("Various Artists",),
        compilation=True,
        date="2003",
        track_total=4,
    )


@pytest.mark.parametrize(
    ("title", "channels"),
    [
        ("Road Trip", ["A", "B", "C"]),
        ("Best of Queen", ["Queen Official"] * 5),
        ("Queen", ["Queen - Topic"] * 5),
        ("Album - Sort Of", ["A - Topic"] * 5),
        ("Uploads from Somebody", ["Somebody"] * 5),
    ],
)
def test_any_other_youtube_list_is_a_playlist(title: str, channels: list[str]) -> None:
    entries = [SourceFacts(title="T", channel=channel) for channel in channels]
    sense = read_list(replace(YOUTUBE, title=title), entries, count=5)
    assert (sense.kind, sense.name, sense.album) == ("playlist", title, None)


@pytest.mark.parametrize(
    ("title", "album", "artists", "date"),
    [
        ("Radiohead - In Rainbows (Full Album)", "In Rainbows", ("Radiohead",), None),
        ("Radiohead - In Rainbows [2007] Full Album HD", "In Rainbows", ("Radiohead",), "2007"),
        ("In Rainbows - Full Album", "In Rainbows", (), None),
    ],
)
def test_a_playlist_that_says_full_album_is_taken_at_its_word_as_a_guess(
    title: str, album: str, artists: tuple[str, ...], date: str | None
) -> None:
    found = album_of(replace(YOUTUBE, title=title), titled("15 Step", "Bodysnatchers"), 2)
    assert found == AlbumFacts(title=album, album_artists=artists, date=date, track_total=2, weak=True)


def songs(*owners: str) -> list[SourceFacts]:
    return [
        SourceFacts(extractor="soundcloud", webpage_url=f"https://soundcloud.com/{owner}/song-{number}")
        for number, owner in enumerate(owners)
    ]


def test_a_soundcloud_set_is_an_album_if_soundcloud_says_so() -> None:
    whole = replace(SET, album_type="ep", release_date="20190503", genres=("Techno",))
    assert album_of(whole, songs("label", "theband"), 2) == AlbumFacts(
        title="First EP", album_artists=("The Band",), date="2019-05-03", genres=("Techno",), track_total=2
    )


def test_a_soundcloud_set_is_an_album_if_its_owner_made_all_of_it() -> None:
    assert album_of(SET, songs("theband", "theband"), 2) is not None
    assert album_of(SET, songs("theband", "other"), 2) is None
    assert album_of(SET, [SourceFacts(webpage_url="https://api-v2.soundcloud.com/tracks/1")] * 2, 2) is None
    assert album_of(replace(SET, title="My favorites"), songs("theband", "theband"), 2) is None
    assert album_of(replace(SET, title="The Band - First EP"), songs("theband", "theband"), 2) == AlbumFacts(
        title="First EP", album_artists=("The Band",), track_total=2
    )


def test_a_soundcloud_profile_is_a_playlist() -> None:
    whole = SourceFacts(extractor="soundcloud:user", title="The Band (All)", uploader="The Band")
    assert album_of(whole, songs("theband", "theband"), 2) is None


def test_a_feed_is_a_podcast_by_its_maker_or_by_itself() -> None:
    episodes = titled("3: Newest", "2: Middle", "1: Oldest")
    assert album_of(FEED, episodes, 3) == AlbumFacts(
        title="The Show", album_artists=("The Show",), genres=("Podcast",), weak=True
    )
    named = album_of(replace(FEED, uploader="The Host"), episodes, 3)
    assert named is not None
    assert named.album_artists == ("The Host",)
    nameless = read_list(replace(FEED, title=None, webpage_url=FEED.source_id), episodes, count=3)
    assert nameless.name == "pod.example.org"


def test_feeds_are_told_from_pages() -> None:
    assert is_feed(FEED)
    assert is_feed(SourceFacts(extractor="ApplePodcasts", source_id="1"))
    assert not is_feed(PAGE)
    assert not is_feed(SourceFacts(extractor="youtube:tab", source_id="https://example.org"))


@pytest.mark.parametrize(
    ("heading", "album", "artists", "date"),
    [
        ("Artist - Album", "Album", ("Artist",), None),
        ("Artist – Album (1997)", "Album", ("Artist",), "1997"),
        ("Artist - Album | Some Netlabel", "Album", ("Artist",), None),
        ("Artist - 1997 - Album", "Album", ("Artist",), "1997"),
        ("Album, by Artist", "Album", ("Artist",), None),
        ("Field Recordings", "Field Recordings", (), None),
        ("Stand by Me", "Stand by Me", (), None),
        ("Artist - Album (Full Album)", "Album", ("Artist",), None),
    ],
)
def test_several_audio_files_on_a_page_are_guessed_to_be_an_album(
    heading: str, album: str, artists: tuple[str, ...], date: str | None
) -> None:
    entries = titled(*(f"{heading} ({number})" for number in (1, 2, 3)))
    found = album_of(replace(PAGE, title=heading), entries, 3)
    assert found == AlbumFacts(title=album, album_artists=artists, date=date, track_total=3, weak=True)


def test_a_page_that_names_many_artists_is_a_playlist_unless_it_says_compilation() -> None:
    entries = titled("A - One", "B - Two", "C - Three")
    assert album_of(replace(PAGE, title="Our Favourites"), entries, 3) is None
    found = album_of(replace(PAGE, title="Summer Sampler"), entries, 3)
    assert found == AlbumFacts(
        title="Summer Sampler",
        album_artists=("Various Artists",),
        compilation=True,
        track_total=3,
        weak=True,
    )
    found = album_of(replace(PAGE, title="Various Artists - Summer"), entries, 3)
    assert found is not None
    assert (found.title, found.album_artists, found.compilation) == ("Summer", ("Various Artists",), True)


def test_the_players_of_other_sites_on_a_page_are_a_playlist() -> None:
    entries = [SourceFacts(extractor="youtube"), SourceFacts(extractor="bandcamp")]
    sense = read_list(replace(PAGE, title="Ten songs | A Blog"), entries, count=2)
    assert (sense.kind, sense.name) == ("playlist", "Ten songs | A Blog")


def test_a_page_without_a_heading_is_called_after_its_host() -> None:
    sense = read_list(PAGE, titled("1", "2"), count=2)
    assert (sense.kind, sense.name) == ("playlist", "example.org")
    file = replace(PAGE, webpage_url="https://example.org/lists/Summer Mix.xspf?x=1")
    assert read_list(file, titled("A - 1", "B - 2"), count=2).name == "Summer Mix"
    assert read_list(SourceFacts(), [], count=0).name == "Playlist"


def test_what_a_source_says_of_its_album_comes_first() -> None:
    whole = SourceFacts(
        extractor="somesite:album",
        title="Artist - Album",
        album="Album",
        album_artists=("Artist",),
        release_year=2001,
        genres=("rock",),
        track_count=12,
    )
    entries = [SourceFacts(title="T", artists=("Guest",)), SourceFacts(title="T", artists=("Other",))]
    assert album_of(whole, entries, 2) == AlbumFacts(
        title="Album", album_artists=("Artist",), date="2001", genres=("Rock",), track_total=12
    )


def test_an_album_whose_entries_name_different_artists_is_by_various_artists() -> None:
    whole = SourceFacts(extractor="somesite:album", title="Hits")
    entries = [SourceFacts(title="T", artists=(name,)) for name in "ABC"]
    found = album_of(whole, entries, 3)
    assert found is not None
    assert (found.album_artists, found.compilation) == (("Various Artists",), True)
    guests = [SourceFacts(title="T", artists=artists) for artists in (("A",), ("A", "B"), ("A",))]
    found = album_of(whole, guests, 3)
    assert found is not None
    assert (found.album_artists, found.compilation) == (("A",), False)


def test_entries_that_agree_on_an_album_make_one() -> None:
    entries = [
        SourceFacts(track=f"T{number}", album="Box Set", album_artists=("A",), disc_number=disc)
        for disc in (1, 2)
        for number in (1, 2)
    ]
    assert album_of(SourceFacts(extractor="archive.org"), entries, 4) == AlbumFacts(
        title="Box Set", album_artists=("A",), disc_total=2
    )
    assert album_of(SourceFacts(extractor="somesite:playlist"), entries, 4) is None
    assert album_of(SourceFacts(extractor="archive.org"), entries[:1], 1) is None


def test_an_entry_fills_what_the_tracks_own_page_leaves_open() -> None:
    own = SourceFacts(title="Own", extractor="site", source_id="1", webpage_url="https://example.org/1")
    entry = SourceFacts(
        title="Listed", artists=("A",), album="L", track_number=3, source_id="x", extractor="y"
    )
    assert merged(own, entry) == replace(own, artists=("A",), album="L", track_number=3)
    assert merged(own, None) == own


def test_a_lists_words_come_before_a_file_name() -> None:
    own = SourceFacts(
        title="ep_012_final-2",
        upload_date="20240105",
        source_id="f",
        extractor="generic",
        is_direct_file=True,
    )
    entry = SourceFacts(title="Episode 12", upload_date="20231224", source_id="guid")
    assert merged(own, entry) == replace(
        own, title="Episode 12", upload_date="20231224", is_direct_file=False, file_name="ep_012_final-2"
    )
    assert merged(own, replace(entry, title=None)).is_direct_file


def test_a_soundcloud_sets_name_is_not_taken_for_the_album_of_its_tracks() -> None:
    own = SourceFacts(title="Song", uploader="A", extractor="soundcloud")
    entry = SourceFacts(extractor="soundcloud", album="Late night mix", album_artists=("Somebody",))
    assert merged(own, entry) == own


WORDS = st.none() | st.sampled_from(
    ["", " ", "A", "A - B", "Full Album", "(1997)", "Album - ", "\u202e", "x" * 900]
)
NAMES = st.lists(st.sampled_from(["", "A", "Various", "\x00"]), max_size=3).map(tuple)
SITES = st.sampled_from([None, "generic", "youtube:tab", "soundcloud:set", "Bandcamp:album", "x:playlist"])
FACTS = st.builds(
    SourceFacts,
    title=WORDS,
    album=WORDS,
    artists=NAMES,
    album_artists=NAMES,
    uploader=WORDS,
    channel=WORDS,
    extractor=SITES,
    source_id=st.sampled_from(["", "OLAK5uy_x", "https://example.org/"]),
    webpage_url=st.sampled_from([None, "", "https://soundcloud.com/a/b", "http://[", "x:y"]),
    release_year=st.sampled_from([None, 0, 1997, 99999]),
    track_count=st.none() | st.integers(-1, 10**9),
    disc_number=st.none() | st.integers(-1, 10**9),
)


@given(FACTS, st.lists(FACTS, max_size=4), st.none() | st.integers(0, 10**6))
def test_any_list_has_a_name(whole: SourceFacts, first: list[SourceFacts], count: int | None) -> None:
    sense = read_list(whole, first, count=count)
    assert sense.name.strip()
    assert len(sense.name) <= 500
    assert (sense.kind == "album") == (sense.album is not None)
