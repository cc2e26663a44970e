"""Music sense: which of the many things that are said about a track become its tags.

First what the source says in so many words, then the file's own tags, then what a bare title and the
channel's name let us guess. A title is never lost.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields

from music_downloader.library.names import UNKNOWN_ARTIST
from music_downloader.library.tags import TrackTags, clean_date, clean_names
from music_downloader.library.text import clean_text, folded
from music_downloader.library.titles import BareTitle, channel_artist, read_bare_title, split_artists

VARIOUS_ARTISTS = "Various Artists"
UNTITLED = "Untitled"
_LONGEST = 500  # characters
_OF_RELEASE = ("track_number", "track_total", "disc_number", "disc_total", "date", "compilation")


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFacts:
    """What a source says about a track; every fact may be missing.

    `track`, `artists`, `album` … are music facts; `title` is a page's heading, or only a file's name if
    `is_direct_file`. `release_date` is 'YYYYMMDD'.
    """

    title: str | None = None
    track: str | None = None
    artists: tuple[str, ...] = ()
    album: str | None = None
    album_artists: tuple[str, ...] = ()
    track_number: int | None = None
    disc_number: int | None = None
    release_date: str | None = None
    release_year: int | None = None
    genres: tuple[str, ...] = ()
    uploader: str | None = None
    channel: str | None = None
    webpage_url: str | None = None
    extractor: str | None = None
    source_id: str | None = None
    isrc: str | None = None
    is_direct_file: bool = False


class _Draft:
    """Fields as they are filled, the first word on each being the last, and whose word that was."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}
        self.origins: dict[str, str] = {}

    def offer(self, origin: str, **values: object) -> None:
        for name, value in values.items():
            if value and name not in self.values:
                self.values[name] = value
                self.origins[name] = origin


def describe(*, info: SourceFacts, file_tags: TrackTags | None) -> tuple[TrackTags, dict[str, str]]:
    """Decide on a track's tags, and say of each field whose word it is: 'source', 'file' or 'rule'."""
    own = file_tags or TrackTags(title="")
    draft = _Draft()
    draft.offer(
        "source",
        title=_clean(info.track),
        artists=_artists(info.artists),
        album=_clean(info.album),
        album_artists=clean_names(info.album_artists),
        track_number=info.track_number,
        disc_number=info.disc_number,
        date=clean_date(info.release_date) or clean_date(str(info.release_year or "")),
        genres=clean_names(info.genres),
        isrc=_clean(info.isrc),
        comment=info.webpage_url,
        source_id=_source_id(info),
    )
    draft.offer("file", artists=_artists(own.artists), genres=own.genres, isrc=own.isrc, lyrics=own.lyrics)
    _take_release(draft, own)
    _take_title(draft, info, own)
    _fill_gaps(draft, info)
    tags = TrackTags(**draft.values)  # type: ignore[arg-type]  # each value was offered under its field's name
    filled = {field.name for field in fields(tags) if getattr(tags, field.name)}
    return tags, {name: origin for name, origin in draft.origins.items() if name in filled}


def _take_release(draft: _Draft, own: TrackTags) -> None:
    """Rule: album, number and date belong together; those of another album than the source's are left."""
    album = draft.values.get("album")
    if album and own.album and folded(str(album)) != folded(own.album):
        return
    draft.offer("file", album=own.album, album_artists=own.album_artists)
    draft.offer("file", **{name: getattr(own, name) for name in _OF_RELEASE})


def _take_title(draft: _Draft, info: SourceFacts, own: TrackTags) -> None:
    """Rule: a file's title stands as it is if the artist is known; any other title is taken apart."""
    if "artists" in draft.values:
        draft.offer("file", title=own.title)
    if "title" in draft.values and "artists" in draft.values:
        return
    text = own.title or _clean(info.title)
    bare = _read_bare(text, draft, info, is_file_name=info.is_direct_file and not own.title)
    track = draft.values.get("title")
    if track and folded(str(track)) != folded(bare.title):
        bare = BareTitle(title=bare.title)  # the heading speaks of something else
    untouched = "file" if own.title else "source"
    draft.offer(untouched if bare.title == text and not info.is_direct_file else "rule", title=bare.title)
    channel = _channel(info)
    artists = bare.artists or ((channel,) if channel else (UNKNOWN_ARTIST,))
    draft.offer("rule", artists=artists, track_number=bare.track_number, disc_number=bare.disc_number)
    draft.values["artists"] = (*_names(draft, "artists"), *bare.featured)


def _read_bare(text: str, draft: _Draft, info: SourceFacts, *, is_file_name: bool) -> BareTitle:
    """Rule: artist and title may stand in either order if the artist or the channel is known."""
    known, channel = _names(draft, "artists"), _channel(info)
    if known or channel:
        bare = read_bare_title(text, known=known or (channel,), is_file_name=is_file_name)
        if known or bare.artists:
            return bare
    return read_bare_title(text, is_file_name=is_file_name)


def _fill_gaps(draft: _Draft, info: SourceFacts) -> None:
    """Rule: no track without a title, no album without an artist; Various Artists make a compilation."""
    draft.offer("rule", title=_clean(info.source_id) or UNTITLED)
    if "album" in draft.values:
        several = "compilation" in draft.values
        draft.offer("rule", album_artists=(VARIOUS_ARTISTS,) if several else _names(draft, "artists")[:1])
    if any(folded(name) == folded(VARIOUS_ARTISTS) for name in _names(draft, "album_artists")):
        draft.offer("rule", compilation=True)


def _channel(info: SourceFacts) -> str:
    """Rule: uploader or channel are the artist if nobody else is; YouTube marks those of music."""
    names = [name for name in (_clean(info.uploader), _clean(info.channel)) if name]
    of_music = [name for name in names if channel_artist(name) != name]
    return channel_artist((of_music or names or [""])[0])


def _names(draft: _Draft, field: str) -> tuple[str, ...]:
    found = draft.values.get(field, ())
    return found if isinstance(found, tuple) else ()


def _artists(texts: Iterable[str]) -> tuple[str, ...]:
    """Rule: 'A feat. B' are two artists; 'A & B' may be the name of one."""
    return clean_names(name for text in clean_names(texts) for name in split_artists(text))


def _clean(text: str | None) -> str:
    return clean_text(text or "", limit=_LONGEST)


def _source_id(info: SourceFacts) -> str | None:
    return f"{info.extractor}:{info.source_id}" if info.extractor and info.source_id else info.source_id
