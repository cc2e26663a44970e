"""Music sense: which of the many things that are said about a track become its tags.

First what the source says in so many words, then the file's own tags, then what a bare title and the
channel's name let us guess. A title is never lost.
"""

from collections.abc import Iterable
from dataclasses import fields

from music_downloader.library.albums import VARIOUS_ARTISTS, AlbumFacts, is_same_release, is_various
from music_downloader.library.facts import Draft, SourceFacts
from music_downloader.library.genres import clean_genres
from music_downloader.library.tags import TrackTags, clean_date, clean_isrc, clean_names
from music_downloader.library.text import folded
from music_downloader.library.titles import read_bare_title, split_artists, without_artist, without_place
from music_downloader.library.titling import clean_heading, take_title

UNTITLED = "Untitled"
_OF_RELEASE = ("track_number", "track_total", "disc_number", "disc_total", "date", "compilation")


def describe(
    *,
    info: SourceFacts,
    file_tags: TrackTags | None,
    album: AlbumFacts | None = None,
    position: int | None = None,
) -> tuple[TrackTags, dict[str, str]]:
    """Decide on a track's tags, and say of each whose word it is: 'source', 'list', 'file' or 'rule'.

    `album` is what the track's list says about itself where the list is an album, and `position` the track's
    place there (1 is the first). The gain is never taken over: it was measured on other audio.
    """
    own = file_tags or TrackTags(title="")
    draft = Draft()
    if album is not None and not album.weak:
        _take_album(draft, album)
    if album is not None and album.compilation:
        _take_from_compilation(draft, info)
    _take_source(draft, info, album, position)
    draft.offer("file", artists=_artists(own.artists), isrc=own.isrc, lyrics=own.lyrics)
    _take_release(draft, own)
    if album is not None:
        _take_guesses(draft, album)
    draft.offer("file", genres=clean_genres(own.genres))
    draft.offer("list", genres=album.genres if album else ())
    take_title(draft, info, own, album, position)
    if album is not None:
        _take_place(draft, album, position)
    _fill_gaps(draft, info)
    tags = TrackTags(**draft.values)  # type: ignore[arg-type]  # each value was offered under its field's name
    filled = {field.name for field in fields(tags) if getattr(tags, field.name)}
    return tags, {name: origin for name, origin in draft.origins.items() if name in filled}


def _take_source(draft: Draft, info: SourceFacts, album: AlbumFacts | None, position: int | None) -> None:
    """Rule: numbers and album artists of another release than the list's are left, and so is its date."""
    track = clean_heading(info.track)
    known = (*info.artists, *info.album_artists, *(album.album_artists if album else ()))
    plain = _without_list(track, known, position) if album else without_artist(track, known)
    draft.offer("source" if plain == track else "rule", title=plain)
    draft.offer(
        "source",
        artists=_artists(info.artists),
        isrc=clean_isrc(info.isrc),
        comment=info.webpage_url,
        source_id=_source_id(info),
    )
    if album is not None and album.is_podcast:
        draft.offer("source", date=clean_date(info.release_date) or clean_date(info.upload_date))
        draft.offer("list", genres=album.genres)
    draft.offer("source", genres=clean_genres(info.genres))
    listed = draft.values.get("album")
    if listed and info.album and not is_same_release(str(listed), clean_heading(info.album)):
        return
    draft.offer(
        "source",
        album=clean_heading(info.album),
        album_artists=clean_names(info.album_artists),
        track_number=info.track_number,
        disc_number=info.disc_number,
        date=clean_date(info.release_date) or clean_date(str(info.release_year or "")),
    )


def _without_list(track: str, known: Iterable[str], position: int | None) -> str:
    """Rule: a track's name isn't its place in the album, nor the artist's name."""
    return without_place(without_artist(without_place(track, position), known), position)


def _take_album(draft: Draft, album: AlbumFacts) -> None:
    """Rule: an album's own words on itself come first; 'Various Artists' is only said if nobody is named."""
    artists = () if is_various(album.album_artists) else album.album_artists
    draft.offer("list", album=album.title, album_artists=artists, date=album.date)
    draft.offer("list", compilation=album.compilation)


def _take_guesses(draft: Draft, album: AlbumFacts) -> None:
    """Rule: what is only guessed about the list fills what is open, and never mixes with another album."""
    draft.offer("list", album=album.title)
    if not is_same_release(str(draft.values["album"]), album.title):
        return
    artists = (VARIOUS_ARTISTS,) if is_various(album.album_artists) else album.album_artists
    draft.offer("list", album_artists=artists, date=album.date, compilation=album.compilation)


def _take_from_compilation(draft: Draft, info: SourceFacts) -> None:
    """Rule: on a label's compilation the label stands for the artist, who is named in the title."""
    label = {folded(name) for name in (*info.album_artists, info.uploader or "", info.channel or "") if name}
    text = without_artist(clean_heading(info.track or info.title), (*info.album_artists,))
    bare = read_bare_title(text)
    if bare.artists and {folded(name) for name in info.artists} <= label and not info.is_direct_file:
        draft.offer("rule", title=bare.title, artists=(*bare.artists, *bare.featured))


def _take_place(draft: Draft, album: AlbumFacts, position: int | None) -> None:
    """Rule: a track's place in its album is its number, unless somebody else names one.

    Episodes have none: feeds begin with the newest. The list's length is the total of an album of one disc.
    """
    if album.is_podcast or not is_same_release(str(draft.values["album"]), album.title):
        return
    draft.offer("list", disc_total=album.disc_total if "disc_number" in draft.values else None)
    has_discs = {draft.values.get("disc_number", 1), draft.values.get("disc_total", 1)} != {1}
    if "disc_number" not in draft.values or not has_discs:
        draft.offer("list", track_number=position)
    if not has_discs:
        draft.offer("list", track_total=album.track_total)


def _take_release(draft: Draft, own: TrackTags) -> None:
    """Rule: album, number and date belong together; those of another album than the source's are left."""
    album = draft.values.get("album")
    if album and own.album and not is_same_release(str(album), own.album):
        return
    draft.offer("file", album=own.album, album_artists=own.album_artists)
    draft.offer("file", **{name: getattr(own, name) for name in _OF_RELEASE})


def _fill_gaps(draft: Draft, info: SourceFacts) -> None:
    """Rule: no track without a title, no album without an artist; Various Artists make a compilation."""
    draft.offer("rule", title=clean_heading(info.source_id) or UNTITLED)
    if "album" in draft.values:
        several = "compilation" in draft.values
        draft.offer("rule", album_artists=(VARIOUS_ARTISTS,) if several else draft.names("artists")[:1])
    if any(folded(name) == folded(VARIOUS_ARTISTS) for name in draft.names("album_artists")):
        draft.offer("rule", compilation=True)


def _artists(texts: Iterable[str]) -> tuple[str, ...]:
    """Rule: 'A feat. B' are two artists; 'A & B' may be the name of one."""
    return clean_names(name for text in clean_names(texts) for name in split_artists(text))


def _source_id(info: SourceFacts) -> str | None:
    return f"{info.extractor}:{info.source_id}" if info.extractor and info.source_id else info.source_id
