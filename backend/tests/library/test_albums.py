# ruff: noqa: RUF001  # the dashes that look alike are what is tested
"""Tracks of a list: what the list adds to each, and how those of one album come to agree."""

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from music_downloader.library.albums import AlbumFacts, album_key, is_same_release, settle
from music_downloader.library.facts import SourceFacts
from music_downloader.library.rules import describe
from music_downloader.library.tags import TrackTags

ALBUM = AlbumFacts(title="Dummy", album_artists=("Portishead",), date="1994", track_total=11)
GUESS = replace(ALBUM, weak=True)
SHOW = AlbumFacts(title="The Show", album_artists=("The Host",), genres=("Podcast",), weak=True)
SAMPLER = AlbumFacts(title="Sampler", compilation=True, track_total=9)


def tags_of(
    info: SourceFacts,
    album: AlbumFacts | None = ALBUM,
    position: int | None = 3,
    own: TrackTags | None = None,
) -> TrackTags:
    return describe(info=info, file_tags=own, album=album, position=position)[0]


def test_a_track_takes_over_what_its_list_says_of_the_album() -> None:
    tags, origins = describe(info=SourceFacts(title="Strangers"), file_tags=None, album=ALBUM, position=3)
    assert tags == TrackTags(
        title="Strangers",
        artists=("Portishead",),
        album="Dummy",
        album_artists=("Portishead",),
        track_number=3,
        track_total=11,
        date="1994",
    )
    assert origins == {"title": "source"} | dict.fromkeys(
        ("artists", "album", "album_artists", "track_number", "track_total", "date"), "list"
    )


def test_a_tracks_own_number_comes_before_its_place_in_the_list() -> None:
    assert tags_of(SourceFacts(track="T", track_number=7)).track_number == 7
    assert tags_of(SourceFacts(track="T"), own=TrackTags(title="", track_number=8)).track_number == 8
    assert tags_of(SourceFacts(track="T"), position=None).track_number is None
    assert tags_of(SourceFacts(track="T"), album=None).track_number is None


def test_a_number_from_another_release_is_left() -> None:
    info = SourceFacts(
        track="T", album="Greatest Hits", album_artists=("X",), track_number=17, release_year=2009
    )
    tags = tags_of(info)
    assert (tags.album, tags.album_artists, tags.track_number, tags.date) == (
        "Dummy",
        ("Portishead",),
        3,
        "1994",
    )


def test_an_edition_of_the_album_is_the_album() -> None:
    info = SourceFacts(track="T", album="Dummy (Deluxe Edition)", track_number=17)
    tags = tags_of(info)
    assert (tags.album, tags.track_number) == ("Dummy", 17)


def test_discs_are_numbered_by_themselves() -> None:
    album = replace(ALBUM, track_total=None, disc_total=2)
    tags = tags_of(SourceFacts(track="T", track_number=4, disc_number=2), album, 15)
    assert (tags.track_number, tags.track_total, tags.disc_number, tags.disc_total) == (4, None, 2, 2)
    tags = tags_of(SourceFacts(track="T", disc_number=2), ALBUM, 11)
    assert (tags.track_number, tags.track_total, tags.disc_number) == (None, None, 2)
    tags = tags_of(SourceFacts(track="T", disc_number=1), ALBUM, 11)
    assert (tags.track_number, tags.track_total) == (11, 11)


@pytest.mark.parametrize(
    ("title", "artists", "expected"),
    [
        ("03 Strangers", ("Portishead",), "Strangers"),
        ("03. Strangers", ("Portishead",), "Strangers"),
        ("3 - Strangers", ("Portishead",), "Strangers"),
        ("Portishead - Strangers", ("Portishead",), "Strangers"),
        ("Portishead – 03 - Strangers", ("Portishead",), "Strangers"),
        ("Strangers - Portishead", ("Portishead",), "Strangers"),
        ("Strangers (feat. Somebody)", ("Portishead", "Somebody"), "Strangers"),
        ("Strangers (Official Audio)", ("Portishead",), "Strangers"),
        ("Wandering - Star", ("Portishead",), "Wandering - Star"),
        ("99 Luftballons", ("Portishead",), "99 Luftballons"),
        ("04 Strangers", ("Portishead",), "04 Strangers"),
        ("Dummy", ("Portishead",), "Dummy"),
    ],
)
def test_a_title_in_an_album_is_told_from_artist_and_place(
    title: str, artists: tuple[str, ...], expected: str
) -> None:
    tags = tags_of(SourceFacts(title=title))
    assert (tags.title, tags.artists, tags.track_number) == (expected, artists, 3)


@pytest.mark.parametrize(
    ("track", "expected"),
    [
        ("03. Strangers", "Strangers"),
        ("Portishead - Strangers", "Strangers"),
        ("Strangers - Live", "Strangers - Live"),
        ("Portishead - Live", "Portishead - Live"),
        ("Third - Part Two", "Third - Part Two"),
    ],
)
def test_a_named_track_loses_only_what_the_album_says_already(track: str, expected: str) -> None:
    tags = tags_of(SourceFacts(track=track, artists=("Portishead",)))
    assert (tags.title, tags.artists) == (expected, ("Portishead",))


def test_a_bandcamp_track_names_what_the_albums_page_did_not() -> None:
    info = SourceFacts(
        title="Band - Song",
        track="Song",
        artists=("Band",),
        album="Some Album",
        album_artists=("Band",),
        track_number=2,
        release_date="20200515",
    )
    tags = tags_of(info, AlbumFacts(title="Some Album", track_total=9), 2)
    assert tags == TrackTags(
        title="Song",
        artists=("Band",),
        album="Some Album",
        album_artists=("Band",),
        track_number=2,
        track_total=9,
        date="2020-05-15",
    )


def test_on_a_labels_compilation_the_artist_stands_in_the_title() -> None:
    info = SourceFacts(
        title="Label - Somebody - Song",
        track="Somebody - Song",
        artists=("Label",),
        album="Sampler",
        album_artists=("Label",),
        uploader="Label",
    )
    tags, origins = describe(info=info, file_tags=None, album=SAMPLER, position=2)
    assert (tags.title, tags.artists, tags.album_artists, tags.compilation) == (
        "Song",
        ("Somebody",),
        ("Label",),
        True,
    )
    assert (origins["title"], origins["artists"], origins["compilation"]) == ("rule", "rule", "list")


def test_a_compilation_that_nobody_claims_is_by_various_artists() -> None:
    for album in (SAMPLER, replace(SAMPLER, album_artists=("Various Artists",))):
        tags = tags_of(SourceFacts(title="Somebody - Song (feat. Other)"), album)
        assert (tags.title, tags.artists) == ("Song", ("Somebody", "Other"))
        assert (tags.album_artists, tags.compilation) == (("Various Artists",), True)
    named = tags_of(SourceFacts(track="Song", artists=("Somebody",), album_artists=("V/A",)), SAMPLER)
    assert named.artists == ("Somebody",)
    assert named.compilation


def test_what_is_only_guessed_gives_way_to_the_tracks_own_words() -> None:
    own = TrackTags(title="T", artists=("A",), album="Real Name", album_artists=("B",), date="1999")
    tags = tags_of(SourceFacts(title="file_03"), GUESS, own=own)
    assert (tags.album, tags.album_artists, tags.date) == ("Real Name", ("B",), "1999")
    assert (tags.track_number, tags.track_total) == (None, None)
    tags = tags_of(SourceFacts(title="file"), GUESS, own=replace(own, album="dummy!", album_artists=()))
    assert (tags.album, tags.album_artists, tags.track_number, tags.track_total) == (
        "dummy!",
        ("Portishead",),
        3,
        11,
    )


@pytest.mark.parametrize("heading", ["Dummy (3)", "Portishead - Dummy (3)"])
def test_the_third_nameless_audio_of_a_page_is_called_by_its_file_or_its_place(heading: str) -> None:
    info = SourceFacts(title=heading, is_direct_file=True, extractor="generic")
    tags = tags_of(info, GUESS)
    assert (tags.title, tags.artists, tags.album, tags.track_number) == (
        "Track 3",
        ("Portishead",),
        "Dummy",
        3,
    )
    tags = tags_of(replace(info, file_name="03 - Strangers.mp3"), GUESS)
    assert (tags.title, tags.artists) == ("Strangers", ("Portishead",))
    tags = tags_of(info, GUESS, own=TrackTags(title="Strangers"))
    assert tags.title == "Strangers"


def test_an_episode_has_a_date_and_no_number() -> None:
    info = SourceFacts(
        title="#12 - About Music - Part 1", upload_date="20240131", webpage_url="https://x.org/12.mp3"
    )
    tags, origins = describe(info=info, file_tags=None, album=SHOW, position=1)
    assert tags == TrackTags(
        title="#12 - About Music - Part 1",
        artists=("The Host",),
        album="The Show",
        album_artists=("The Host",),
        date="2024-01-31",
        genres=("Podcast",),
        comment="https://x.org/12.mp3",
    )
    assert (origins["date"], origins["genres"], origins["album"]) == ("source", "list", "list")


def test_an_episodes_own_file_may_know_better_and_is_a_podcast_all_the_same() -> None:
    own = TrackTags(
        title="x", artists=("Guest",), album="Show (Radio 1)", genres=("Speech",), track_number=12
    )
    tags = tags_of(SourceFacts(title="Episode", upload_date="20240131"), SHOW, 1, own)
    assert (tags.album, tags.genres, tags.track_number, tags.date) == (
        "Show (Radio 1)",
        ("Podcast",),
        12,
        "2024-01-31",
    )


def test_the_gain_of_other_audio_is_not_taken_over() -> None:
    from music_downloader.library.gain import Gain

    own = TrackTags(title="T", gain=Gain(track_gain=-3.0, track_peak=1.0))
    assert tags_of(SourceFacts(title="T"), None, own=own).gain is None


def test_the_first_track_of_an_album_says_what_the_others_take_over() -> None:
    first = TrackTags(
        title="1",
        artists=("A", "Guest"),
        album="Album",
        album_artists=("A",),
        date="2001-02-03",
        track_number=1,
        track_total=9,
    )
    tags, settled = settle(first, None)
    assert tags == first
    other = TrackTags(
        title="2",
        artists=("B",),
        album="ALBUM",
        album_artists=("B",),
        date="2002",
        compilation=True,
        track_number=2,
        track_total=10,
    )
    tags, again = settle(other, settled)
    assert again == settled
    assert tags == replace(
        other, album="Album", album_artists=("A",), date="2001-02-03", compilation=False, track_total=9
    )


def test_an_album_without_a_date_stays_without_one_and_learns_its_totals() -> None:
    _, settled = settle(TrackTags(title="1", album="L", album_artists=("A",), track_number=1), None)
    tags, settled = settle(
        TrackTags(
            title="2", album="L", date="2001", track_number=2, track_total=9, disc_number=1, disc_total=2
        ),
        settled,
    )
    assert tags.date is None
    assert tags.album_artists == ("A",)
    assert settled is not None
    assert (settled.track_total, settled.disc_total) == (9, 2)
    tags, _ = settle(TrackTags(title="3", album="L", track_number=1, disc_number=2), settled)
    assert (tags.track_total, tags.disc_total) == (None, 2)


def test_episodes_keep_their_dates() -> None:
    first = TrackTags(title="1", album="Show", album_artists=("H",), date="2024-01-31", genres=("Podcast",))
    _, settled = settle(first, None)
    tags, settled = settle(replace(first, title="2", date="2024-01-24", album="show"), settled)
    assert (tags.album, tags.date) == ("Show", "2024-01-24")
    assert settled is not None
    assert settled.date is None


def test_a_track_without_an_album_settles_nothing() -> None:
    single = TrackTags(title="T", artists=("A",))
    assert settle(single, None) == (single, None)
    assert settle(single, ALBUM) == (single, None)


def test_two_albums_of_one_title_are_told_apart_by_their_artist() -> None:
    assert album_key("Greatest Hits!") == album_key("greatest  hits")
    assert album_key("Greatest Hits", "Queen") != album_key("Greatest Hits", "ABBA")
    assert album_key("桜") != album_key("椿")


@pytest.mark.parametrize(
    ("title", "other", "expected"),
    [
        ("X", "X (Deluxe Edition)", True),
        ("X [2011 Remaster]", "X", True),
        ("X - EP", "x", True),
        ("X (Part 1)", "X (Part 2)", False),
        ("X", "Y", False),
    ],
)
def test_editions_are_one_release(title: str, other: str, expected: bool) -> None:
    assert is_same_release(title, other) is expected


@pytest.mark.parametrize("facts", [ALBUM, GUESS, SHOW, SAMPLER, AlbumFacts(title="L", disc_total=2)])
def test_an_albums_facts_survive_json(facts: AlbumFacts) -> None:
    assert AlbumFacts.from_json(json.loads(json.dumps(asdict(facts)))) == facts


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "Dummy",
        {},
        {"title": None},
        {"title": ""},
        {"title": " \u202e"},
        {"title": 1},
        {"title": "x" * 501},
        {"title": "T", "unknown": 1},
        {"title": "T", "album_artists": "A"},
        {"title": "T", "album_artists": ["A"] * 51},
        {"title": "T", "album_artists": [1]},
        {"title": "T", "genres": ["x" * 501]},
        {"title": "T", "date": 1994},
        {"title": "T", "track_total": "11"},
        {"title": "T", "track_total": True},
        {"title": "T", "weak": 1},
    ],
)
def test_anything_else_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="album"):
        AlbumFacts.from_json(data)


def test_an_albums_facts_are_clean_however_they_are_made() -> None:
    facts = AlbumFacts(
        title=" A\u202e  b ",
        album_artists=("", "A", "A"),
        date="19941301",
        genres=("trip hop; Other", "Trip Hop"),
        track_total=0,
        disc_total=99999,
    )
    assert facts == AlbumFacts(title="A b", album_artists=("A",), date="1994", genres=("Trip Hop",))
