"""Music sense for lists: album or playlist, what it is called, and what that says of its tracks.

What the source says outright comes first: its word for the list, an album's name, the kind of page. Where it
says nothing, a list is a playlist; its tracks keep the albums that they are from.
"""

# ruff: noqa: RUF001  # the dashes that look alike are what some rules are about

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import unquote

from music_downloader.library.albums import VARIOUS_ARTISTS, AlbumFacts, is_various
from music_downloader.library.facts import SourceFacts, family
from music_downloader.library.genres import PODCAST, clean_genres
from music_downloader.library.tags import clean_date, clean_names
from music_downloader.library.text import folded, host_and_path
from music_downloader.library.titles import channel_artist, read_bare_title, split_artists
from music_downloader.library.titling import clean_heading

_NAMELESS = "Playlist"
_PLAYLIST_FILES = {".m3u", ".m3u8", ".pls", ".xspf", ".asx"}
_ALBUM_TYPES = {"album", "ep", "single", "compilation", "lp", "mixtape"}
_MUSIC_ALBUM = "OLAK5uy_"  # how the ids of YouTube Music's albums begin
_ALBUM_PREFIX = re.compile(r"^(?:album|ep|single|álbum|アルバム)\s+[-–—:]\s+", re.IGNORECASE)
_FULL_ALBUM = re.compile(
    r"\s*[-–|(\[]*\s*\bfull\s+(?:album|ep|lp)\b(?:\s+(?:hd|hq|stream))?\s*[)\]]*", re.IGNORECASE
)
_YEAR_AT_END = re.compile(r"\s*[(\[]\s*((?:19|20)\d{2})\s*[)\]]$")
_YEAR_FIRST = re.compile(r"^((?:19|20)\d{2})\s+[-–—]\s+(?=\S)")
_BY = re.compile(r"^(?P<title>.+), by (?P<artist>.+)$")
_SITE = re.compile(r"\s+[|•·»«]\s+|\s+::\s+")
_MANY = re.compile(r"\b(?:various(?: artists)?|v/a|compilation|sampler|va)\b", re.IGNORECASE)
_OF_MANY_SOURCES = re.compile(
    r"\b(?:playlist|favou?rites?|likes?|uploads?|all (?:my )?tracks|discography|reposts?|radio|"
    r"top \d+)\b",
    re.IGNORECASE,
)
_PODCASTS = re.compile(r"podcast|podbay|acast|spreaker|podchaser|audioboom|simplecast|megaphone")
_LISTS = re.compile(
    r":(?:playlist|user|channel|tab|search|artist|label|tag|related|trackstation|weekly|favou?rites)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ListSense:
    """What a list is: its `name` is never empty, and `album` is there for the kind 'album' only."""

    kind: Literal["album", "playlist"]
    name: str
    album: AlbumFacts | None = None


def read_list(whole: SourceFacts, first: Sequence[SourceFacts], *, count: int | None) -> ListSense:
    """Decide what a list is from its own words and those on its first entries.

    `count` is how many entries it has, as far as that is known. An entry's `webpage_url` is the address that
    it is fetched from.
    """
    album = _read_album(whole, first, count)
    if album is not None:
        return ListSense(kind="album", name=album.title, album=album)
    return ListSense(kind="playlist", name=_name(whole))


def is_feed(whole: SourceFacts) -> bool:
    """Rule: yt-dlp names a feed by its whole address, and any other page by a part of it."""
    extractor = (whole.extractor or "").casefold()
    if _PODCASTS.search(extractor):
        return True
    return family(whole) == "generic" and (whole.source_id or "").startswith(("http://", "https://"))


def _read_album(whole: SourceFacts, first: Sequence[SourceFacts], count: int | None) -> AlbumFacts | None:
    if is_feed(whole):
        return _feed(whole)
    return _READERS.get(family(whole), _named)(whole, first, count)


def _feed(whole: SourceFacts) -> AlbumFacts:
    """Rule: a feed's episodes are an album by whoever makes the feed, or by the feed itself."""
    title = clean_heading(whole.album) or _name(whole)
    makers = (*whole.album_artists, *whole.artists) or (whole.uploader or whole.channel or title,)
    return AlbumFacts(title=title, album_artists=clean_names(makers), genres=(PODCAST,), weak=True)


def _youtube(whole: SourceFacts, first: Sequence[SourceFacts], count: int | None) -> AlbumFacts | None:
    """Rule: YouTube Music's albums have ids of their own, and '(Full Album)' says it; the rest are playlists.

    The artist is whose topic channel the tracks are on.
    """
    title = clean_heading(whole.title)
    if (whole.source_id or "").startswith(_MUSIC_ALBUM):
        album = clean_heading(whole.album) or _ALBUM_PREFIX.sub("", title)
        if not album:
            return None
        named = whole.album_artists or whole.artists
        artists, several = (named, is_various(named)) if named else _shared(_performers(first))
        return _facts(whole, first, count, title=album, artists=artists, compilation=several)
    if _FULL_ALBUM.search(title):
        return _guessed(whole, first, _FULL_ALBUM.sub("", title), count)
    return None


def _soundcloud(whole: SourceFacts, first: Sequence[SourceFacts], count: int | None) -> AlbumFacts | None:
    """Rule: a set is an album if SoundCloud says so, or if all of it is its owner's (by name, too)."""
    title = clean_heading(whole.title) or clean_heading(whole.album)
    owner = _owner(whole)
    all_own = bool(owner) and len(first) > 1 and all(_owner(entry) == owner for entry in first)
    is_set = ":set" in (whole.extractor or "").casefold() or whole.album is not None
    said = (whole.album_type or "").casefold()
    if not title or not (said in _ALBUM_TYPES or (is_set and all_own and not _OF_MANY_SOURCES.search(title))):
        return None
    by = whole.album_artists or whole.artists or ((whole.uploader,) if whole.uploader else ())
    heading = read_bare_title(title, known=by)
    title = heading.title if heading.artists and by else title
    return _facts(whole, first, count, title=title, artists=by, compilation=is_various(by))


def _page(whole: SourceFacts, first: Sequence[SourceFacts], count: int | None) -> AlbumFacts | None:
    """Rule: several audio files on one page are an album by its heading, unless they name many artists.

    Players of other sites on a page are a playlist: they come from anywhere.
    """
    title = clean_heading(whole.album or whole.title)
    if not title or any(entry.extractor and family(entry) != "generic" for entry in first):
        return None
    if _names_many(first) and not _MANY.search(title):
        return None
    return _guessed(whole, first, _SITE.split(_FULL_ALBUM.sub("", title))[0], count)


def _named(whole: SourceFacts, first: Sequence[SourceFacts], count: int | None) -> AlbumFacts | None:
    """Rule: a page for albums, an album's name or a word for it make an album; so do entries of one album."""
    extractor = (whole.extractor or "").casefold()
    said = (whole.album_type or "").casefold()
    title = clean_heading(whole.album)
    if "album" in extractor.partition(":")[2] or said in _ALBUM_TYPES:
        title = title or _ALBUM_PREFIX.sub("", clean_heading(whole.title))
    elif not title and not _LISTS.search(extractor) and said != "playlist":
        title = _agreed_album(first)
    if not title:
        return None
    artists = whole.album_artists or whole.artists or _same_album_artists(first)
    several = is_various(artists)
    if not artists:
        artists, several = _shared([entry.artists[0] for entry in first if entry.artists])
        several = several or _names_many(first)
    heading = read_bare_title(title, known=artists)
    title = heading.title if artists and heading.artists else title
    return _facts(whole, first, count, title=title, artists=artists, compilation=several)


_READERS: dict[str, Callable[[SourceFacts, Sequence[SourceFacts], int | None], AlbumFacts | None]] = {
    "youtube": _youtube,
    "soundcloud": _soundcloud,
    "generic": _page,
}


def _guessed(
    whole: SourceFacts, first: Sequence[SourceFacts], heading: str, count: int | None
) -> AlbumFacts | None:
    """Read 'Artist - Album (1997)', 'Album, by Artist', 'Artist - 1997 - Album' as a guess."""
    heading = clean_heading(heading)
    year = _YEAR_AT_END.search(heading)
    by = _BY.match(heading)
    bare = read_bare_title(_YEAR_AT_END.sub("", heading))
    title, artists = (by["title"], (by["artist"],)) if by else (bare.title, bare.artists)
    year_first = _YEAR_FIRST.match(title)
    title = _YEAR_FIRST.sub("", title)
    if not clean_heading(title):
        return None
    artists = whole.album_artists or whole.artists or artists
    several = (
        is_various(artists)
        or (not artists and _names_many(first))
        or bool(_MANY.fullmatch(" ".join(artists)))
    )
    facts = _facts(whole, first, count, title=title, artists=artists, compilation=several)
    said = year or year_first
    return replace(facts, date=facts.date or (said[1] if said else None), weak=True)


def _facts(
    whole: SourceFacts,
    first: Sequence[SourceFacts],
    count: int | None,
    *,
    title: str,
    artists: Sequence[str],
    compilation: bool,
) -> AlbumFacts:
    """Put an album's facts together; many artists without a name for them all are Various Artists."""
    named = clean_names(artists)
    discs = max((entry.disc_number or 1 for entry in first), default=1)
    return AlbumFacts(
        title=title,
        album_artists=(VARIOUS_ARTISTS,) if compilation and (not named or is_various(named)) else named,
        date=clean_date(whole.release_date) or clean_date(str(whole.release_year or "")),
        compilation=compilation,
        genres=clean_genres(whole.genres),
        track_total=None if discs > 1 else whole.track_count or count,
        disc_total=discs if discs > 1 else None,
    )


def _shared(names: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """Rule: whoever made more than half of an album is its artist; else there are several."""
    if not names:
        return (), False
    spelled = {folded(name): name for name in reversed(names)}
    (key, times), *others = Counter(folded(name) for name in names).most_common()
    if not others or times * 2 > len(names):
        return (spelled[key],), False
    return (), True


def _performers(first: Sequence[SourceFacts]) -> list[str]:
    """Name the main artist of each entry: the first one that it names, or whose channel it is on."""
    found: list[str] = []
    for entry in first:
        if entry.artists:
            found += split_artists(entry.artists[0])[:1]
        elif entry.channel or entry.uploader:
            found.append(channel_artist(entry.channel or entry.uploader or ""))
    return [name for name in found if name]


def _names_many(first: Sequence[SourceFacts]) -> bool:
    """Rule: nearly every title begins with 'Somebody - ', and there are at least three of them."""
    titles = [clean_heading(entry.track or entry.title) for entry in first]
    named = [bare.artists[0] for bare in map(read_bare_title, titles) if bare.artists]
    if any(entry.artists for entry in first):
        return _shared([entry.artists[0] for entry in first if entry.artists])[1]
    return len(named) * 5 >= len(titles) * 4 and len({folded(name) for name in named}) >= 3  # noqa: PLR2004  # as said


def _agreed_album(first: Sequence[SourceFacts]) -> str:
    albums = {folded(entry.album or "") for entry in first}
    is_agreed = len(first) > 1 and len(albums) == 1 and first[0].album
    return clean_heading(first[0].album) if is_agreed else ""


def _same_album_artists(first: Sequence[SourceFacts]) -> tuple[str, ...]:
    named = {entry.album_artists for entry in first}
    return first[0].album_artists if len(named) == 1 else ()


def _owner(facts: SourceFacts) -> str:
    """Whose page of SoundCloud this is, by its address; '' if that doesn't tell."""
    host, path = host_and_path(facts.webpage_url)
    owner, _, rest = path.lstrip("/").partition("/")
    return owner.casefold() if rest and not host.startswith("api") else ""


def _name(whole: SourceFacts) -> str:
    """Rule: a list is called what it says, or else after whose it is, its file, or where it is."""
    host, path = host_and_path(whole.webpage_url)
    file = PurePosixPath(path)
    stem = unquote(file.stem) if file.suffix.lower() in _PLAYLIST_FILES else None
    names = (whole.title, whole.album, whole.uploader, whole.channel, stem, host)
    return next(filter(None, map(clean_heading, names)), _NAMELESS)
