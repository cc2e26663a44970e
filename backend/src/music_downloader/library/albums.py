"""What is the same on every track of an album, and how the tracks come to agree on it."""

import re
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from music_downloader.library.genres import PODCAST, clean_genres
from music_downloader.library.tags import MOST_VALUES, SHORT, TrackTags, clean_date, clean_names
from music_downloader.library.text import clean_text, folded

VARIOUS_ARTISTS = "Various Artists"
_VARIOUS = {"variousartists", "various", "va", "verschiedene", "variosartistas", "artistesvariés"}
_EDITION = re.compile(
    r"\s*[(\[][^()\[\]]*\b(?:edition|deluxe|expanded|remaster(?:ed)?|version|anniversary|reissue|bonus|explicit|"
    r"clean|ep|lp|single|album)\b[^()\[\]]*[)\]]|\s+-\s+(?:ep|single)$",
    re.IGNORECASE,
)
_HIGHEST = 9999
_TEXTS = {"title", "date"}
_LISTS = {"album_artists", "genres"}
_NUMBERS = {"track_total", "disc_total"}


@dataclass(frozen=True, kw_only=True, slots=True)
class AlbumFacts:
    """What a list says about itself as an album; always clean, however it was made.

    `date` is written as in TrackTags. `weak` facts are only guessed, from a page's heading or a feed's name:
    the tracks' own words on album and album artist win over them. Raises ValueError without a title.
    """

    title: str
    album_artists: tuple[str, ...] = ()
    date: str | None = None
    compilation: bool = False
    genres: tuple[str, ...] = ()
    track_total: int | None = None
    disc_total: int | None = None
    weak: bool = False

    def __post_init__(self) -> None:
        clean: dict[str, object] = {
            "title": clean_text(self.title, limit=SHORT),
            "album_artists": clean_names(self.album_artists),
            "date": clean_date(self.date),
            "genres": clean_genres(self.genres),
            "track_total": _bounded(self.track_total),
            "disc_total": _bounded(self.disc_total),
        }
        if not clean["title"]:
            raise ValueError("an album has a title")
        for name, value in clean.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Read what `dataclasses.asdict` and JSON made of one; ValueError for anything else."""
        if not isinstance(data, dict) or set(data) - {field.name for field in fields(cls)}:
            raise ValueError("these are no album's facts")
        if not all(_has_right_type(name, value) for name, value in data.items()) or "title" not in data:
            raise ValueError("an album's facts are of another type")
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        return cls(**values)

    @property
    def is_podcast(self) -> bool:
        """Whether the tracks are episodes: each with a date of its own, and without a number."""
        return PODCAST in self.genres


def album_key(title: str, album_artist: str = "") -> str:
    """Give what two spellings of an album's title have in common.

    Within an album's list the title is enough. In a playlist there may be two albums of one title, which
    only the album artist tells apart.
    """
    return f"{folded(title)}/{folded(album_artist)}" if album_artist else folded(title)


def settle(tags: TrackTags, settled: AlbumFacts | None) -> tuple[TrackTags, AlbumFacts | None]:
    """Let a track agree with those of its album that came before it.

    The first one comes with None, never with what the list said: its own facts become the album's. Each one
    after it takes over the title's spelling, the album artists, the date (or that there is none), the
    compilation and the totals, because music servers take an album apart where these differ. The episodes of
    a podcast keep their dates. Returns None for the album of a track without one.
    """
    if not tags.album:
        return tags, None
    is_podcast = PODCAST in tags.genres or (settled is not None and settled.is_podcast)
    if settled is None:
        first = AlbumFacts(
            title=tags.album,
            album_artists=tags.album_artists,
            date=None if is_podcast else tags.date,
            compilation=tags.compilation,
            genres=(PODCAST,) if is_podcast else (),
            track_total=tags.track_total,
            disc_total=tags.disc_total,
        )
        return tags, first
    learned = replace(
        settled,
        track_total=settled.track_total or tags.track_total,
        disc_total=settled.disc_total or tags.disc_total,
    )
    has_several_discs = (learned.disc_total or 1) > 1  # then the total is that of a disc
    agreed = replace(
        tags,
        album=learned.title,
        album_artists=learned.album_artists or tags.album_artists,
        date=tags.date if is_podcast else learned.date,
        compilation=learned.compilation,
        track_total=tags.track_total if has_several_discs else learned.track_total,
        disc_total=learned.disc_total,
    )
    return agreed, learned


def is_same_release(title: str, other: str) -> bool:
    """Whether two titles name one album, perhaps in different editions: 'X' and 'X (Deluxe Edition)'."""
    return folded(_EDITION.sub("", title)) == folded(_EDITION.sub("", other))


def is_various(names: tuple[str, ...]) -> bool:
    """Whether these album artists only say that there are many: 'Various Artists', 'V/A', 'VA', 'Various'."""
    return any(folded(name) in _VARIOUS for name in names)


def _bounded(number: int | None) -> int | None:
    return number if number is not None and 1 <= number <= _HIGHEST else None


def _has_right_type(name: str, value: object) -> bool:
    if name in _TEXTS:
        return (value is None and name != "title") or (isinstance(value, str) and len(value) <= SHORT)
    if name in _LISTS:
        if not isinstance(value, list | tuple) or len(value) > MOST_VALUES:
            return False
        return all(isinstance(text, str) and len(text) <= SHORT for text in value)
    if name in _NUMBERS:
        return value is None or (isinstance(value, int) and not isinstance(value, bool))
    return isinstance(value, bool)
