"""The title and the artists of a track where a heading, a file's name or a channel is all that tells them."""

import re
from dataclasses import replace

from music_downloader.library.albums import AlbumFacts, is_various
from music_downloader.library.facts import Draft, SourceFacts
from music_downloader.library.names import UNKNOWN_ARTIST
from music_downloader.library.tags import SHORT, TrackTags
from music_downloader.library.text import clean_text, folded, host_and_path
from music_downloader.library.titles import (
    BareTitle,
    channel_artist,
    is_topic,
    read_bare_title,
    without_place,
)

_NUMBERED_HEADING = re.compile(r"(?P<heading>.+) \((?P<number>\d{1,4})\)")


def clean_heading(text: str | None) -> str:
    """Give a name from a source on one line and bounded; '' for none."""
    return clean_text(text or "", limit=SHORT)


def take_title(
    draft: Draft, info: SourceFacts, own: TrackTags, album: AlbumFacts | None, position: int | None
) -> None:
    """Rule: a file's title stands as it is if the artist is known; any other title is taken apart."""
    if "artists" in draft.values:
        draft.offer("file", title=own.title)
    if "title" in draft.values and "artists" in draft.values:
        return
    said = own.title or clean_heading(info.title)
    text, is_file_name = said, info.is_direct_file and not own.title
    if album is not None and not own.title and _is_nameless(said, album, position):
        text, is_file_name = clean_heading(info.file_name) or f"Track {position}", bool(info.file_name)
    bare = _read_bare(text, draft, info, album, position, is_file_name=is_file_name)
    if album is not None:  # a place in the list may stand before the artist or after
        bare = replace(bare, title=without_place(bare.title, position))
    track = draft.values.get("title")
    if track and folded(str(track)) != folded(bare.title):
        bare = BareTitle(title=bare.title)  # the heading speaks of something else
    untouched = "file" if own.title else "source"
    draft.offer(untouched if bare.title == said and not info.is_direct_file else "rule", title=bare.title)
    draft.offer("rule", artists=bare.artists)
    if album is not None and not album.compilation:
        of_album = draft.names("album_artists")
        draft.offer(
            draft.origins.get("album_artists", "list"), artists=() if is_various(of_album) else of_album
        )
    channel = channel_of(info)
    draft.offer("rule", artists=(channel,) if channel else (UNKNOWN_ARTIST,))
    draft.offer("rule", track_number=bare.track_number, disc_number=bare.disc_number)
    draft.values["artists"] = (*draft.names("artists"), *bare.featured)


def _is_nameless(text: str, album: AlbumFacts, position: int | None) -> bool:
    """Rule: 'Heading (3)' is how the third audio of a page is called that has no name of its own."""
    heading = _NUMBERED_HEADING.fullmatch(text)
    if not (album.weak and heading and int(heading["number"]) == position):
        return False
    return folded(album.title) in folded(heading["heading"])


def _read_bare(
    text: str,
    draft: Draft,
    info: SourceFacts,
    album: AlbumFacts | None,
    position: int | None,
    *,
    is_file_name: bool,
) -> BareTitle:
    """Rule: artist and title may stand in either order if the artist or the channel is known.

    On an album by somebody, only their own name before a dash is an artist.
    """
    text = without_place(text, position) if album is not None else text
    known, channel = draft.names("artists"), channel_of(info)
    by = draft.names("album_artists") if album is not None and not album.compilation else ()
    by = () if is_various(by) else by
    if known or channel or by:
        names = known or tuple(name for name in (*by, channel) if name)
        bare = read_bare_title(text, known=names, is_file_name=is_file_name)
        if known or by or bare.artists or _is_topic(info):
            return bare
    return read_bare_title(text, is_file_name=is_file_name)


def _is_topic(info: SourceFacts) -> bool:
    """Rule: YouTube's topic channels give the title of each track by itself, dashes and all."""
    return any(is_topic(clean_heading(name)) for name in (info.uploader, info.channel))


def channel_of(info: SourceFacts) -> str:
    """Rule: uploader or channel are the artist if nobody else is; YouTube marks those of music."""
    names = [
        name
        for name in map(clean_heading, (info.uploader, info.channel))
        if name and not _is_host(name, info)
    ]
    of_music = [name for name in names if channel_artist(name) != name]
    return channel_artist((of_music or names or [""])[0])


def _is_host(name: str, info: SourceFacts) -> bool:
    """Rule: a page of no known site names its host as uploader, which is nobody's name."""
    host, _ = host_and_path(info.webpage_url)
    return bool(host) and name.casefold().partition(":")[0] in {host, host.removeprefix("www.")}
