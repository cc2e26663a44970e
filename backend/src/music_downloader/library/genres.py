"""Genres as people write them in their libraries."""

import re
from collections.abc import Iterable

from music_downloader.library.text import clean_text

PODCAST = "Podcast"
_LONGEST = 100  # characters
_MOST = 50
_BETWEEN = re.compile(r"\s*[;\x00|]\s*")
_SAYS_NOTHING = {
    "other",
    "unknown",
    "unknown genre",
    "misc",
    "misc.",
    "none",
    "n/a",
    "undefined",
    "genre",
} | {
    "music"  # what a video site calls everything that isn't spoken
}
_SPELLED = {
    "podcasts": PODCAST,
    "r&b": "R&B",
    "rnb": "R&B",
    "idm": "IDM",
    "edm": "EDM",
    "dnb": "Drum & Bass",
    "hip-hop/rap": "Hip-Hop",
    "hiphop": "Hip-Hop",
}


def clean_genres(texts: Iterable[str]) -> tuple[str, ...]:
    """Tell several genres of one text apart, and keep each once; 'Other' and its like aren't kept.

    'Rock; Pop' are two, 'Rock/Pop' may be the name of one. A genre without a capital letter gets some.
    """
    found: dict[str, str] = {}
    for text, _ in zip(texts, range(_MOST), strict=False):
        for part in _BETWEEN.split(text[: _LONGEST * 4]):
            genre = clean_text(part, limit=_LONGEST)
            key = genre.casefold()
            if genre and key not in _SAYS_NOTHING:
                found.setdefault(_spelled(key).casefold(), _spelled(genre))
    return tuple(found.values())[:_MOST]


def _spelled(genre: str) -> str:
    known = _SPELLED.get(genre.casefold())
    if known:
        return known
    return re.sub(r"(?<![^\s\-/&])\w", lambda m: m[0].upper(), genre) if genre.islower() else genre
