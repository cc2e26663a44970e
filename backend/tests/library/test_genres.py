import pytest

from music_downloader.library.facts import SourceFacts
from music_downloader.library.genres import clean_genres
from music_downloader.library.rules import describe
from music_downloader.library.tags import TrackTags, clean_isrc


@pytest.mark.parametrize(
    ("texts", "genres"),
    [
        (("Rock",), ("Rock",)),
        (("trip hop",), ("Trip Hop",)),
        (("hip-hop/rap",), ("Hip-Hop",)),
        (("Rock; Pop | Jazz",), ("Rock", "Pop", "Jazz")),
        (("Rock/Pop",), ("Rock/Pop",)),
        (("rock", "Rock", "ROCK"), ("Rock",)),
        (("Podcasts", "podcast"), ("Podcast",)),
        (("r&b", "IDM", "edm"), ("R&B", "IDM", "EDM")),
        (("Other", "unknown", "Misc", "Music", "n/a", " "), ()),
        (("Drum & Bass",), ("Drum & Bass",)),
        (("москва рок",), ("Москва Рок",)),
        (("J\u202ePop\x00Rock",), ("JPop", "Rock")),
        (("x" * 9000,), ("X" + "x" * 99,)),
    ],
)
def test_genres_are_told_apart_and_spelled_alike(texts: tuple[str, ...], genres: tuple[str, ...]) -> None:
    assert clean_genres(texts) == genres


def test_genres_are_few_whatever_a_source_sends() -> None:
    assert len(clean_genres(f"g{number};h{number}" for number in range(10**6))) == 50


@pytest.mark.parametrize(
    ("text", "isrc"),
    [
        ("GBBND9700033", "GBBND9700033"),
        ("gb-bnd-97-00033", "GBBND9700033"),
        ("GB BND 97 00033", "GBBND9700033"),
        ("QM4TX1752840", "QM4TX1752840"),
        ("GBBND970003", None),
        ("GBBND97000333", None),
        ("1BBND9700033", None),
        ("unknown", None),
        ("", None),
        (None, None),
    ],
)
def test_an_isrc_is_one_or_none(text: str | None, isrc: str | None) -> None:
    assert clean_isrc(text) == isrc
    assert TrackTags(title="T", isrc=text).isrc == isrc


def test_a_sources_isrc_that_is_none_leaves_room_for_the_files() -> None:
    own = TrackTags(title="T", isrc="GBBND9700033", genres=("rock", "Other"))
    tags, origins = describe(info=SourceFacts(track="T", isrc="n/a", genres=("music",)), file_tags=own)
    assert (tags.isrc, tags.genres) == ("GBBND9700033", ("Rock",))
    assert (origins["isrc"], origins["genres"]) == ("file", "file")
