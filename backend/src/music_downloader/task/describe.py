"""From what the engine learned to what the library writes: the two rooms don't know each other."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from music_downloader.engine.source import SourceInfo, Thumbnail
from music_downloader.errors import DownloadFailedError
from music_downloader.library.albums import AlbumFacts
from music_downloader.library.containers import check
from music_downloader.library.facts import SourceFacts, merged
from music_downloader.library.rules import describe
from music_downloader.library.tags import TrackTags, read_tags

# What extractors without a site of their own are called: the page or the file is all that they know.
NO_SITE = frozenset({"", "generic", "html5"})


def read_source_tags(path: Path) -> TrackTags | None:
    """Return the tags that the source's own file carries; None when it carries none that can be read.

    Raises DownloadFailedError BAD_MEDIA where looking at the file at all would take too much.
    """
    check(path)
    try:
        return read_tags(path)
    except DownloadFailedError:
        return None  # a container without tags of its own (webm, a stream); what the source says is enough


def source_facts(info: SourceInfo) -> SourceFacts:
    """Return the engine's words as the library's."""
    has_no_site = info.extractor.lower() in NO_SITE
    return SourceFacts(
        title=info.title,
        track=info.track,
        artists=info.artists,
        album=info.album,
        album_artists=info.album_artists,
        track_number=info.track_number,
        track_count=info.track_count,
        disc_number=info.disc_number,
        release_date=info.release_date,
        release_year=info.release_year,
        upload_date=info.upload_date,
        genres=info.genres,
        uploader=info.uploader,
        channel=info.channel,
        webpage_url=info.webpage_url,
        extractor="generic" if has_no_site else info.extractor,
        source_id=info.source_id,
        isrc=info.isrc,
        album_type=info.album_type,
        file_name=info.file_name if has_no_site and not info.is_direct else None,
        is_direct_file=has_no_site and info.is_direct,
    )


def describe_fetched(
    info: SourceInfo, file_tags: TrackTags | None, entry: Mapping[str, Any] | None
) -> tuple[TrackTags, dict[str, str]]:
    """Return the tags for a fetched track, and for each where it came from.

    `entry` is what the list told that the track is of: `said` (a SourceInfo), `album` and the `place` in it.
    """
    facts = source_facts(info)
    if entry is None:
        return describe(info=facts, file_tags=file_tags)
    said = said_of(entry)
    album = album_of(entry.get("album"))
    return describe(
        info=merged(facts, source_facts(said) if said is not None else None),
        file_tags=file_tags,
        album=album,
        position=entry.get("place"),
    )


def said_of(entry: Mapping[str, Any] | None) -> SourceInfo | None:
    """Return what a list told of a track; what another version of us wrote is taken as far as known."""
    said = (entry or {}).get("said")
    return SourceInfo.from_json(_known(said, SourceInfo)) if said else None


def album_of(kept: Mapping[str, Any] | None) -> AlbumFacts | None:
    """Return the facts of an album that a row keeps, read in the same way."""
    return AlbumFacts.from_json(_known(kept, AlbumFacts)) if kept else None


def _known(kept: Mapping[str, Any], kind: type) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in kept.items() if name in names}


def thumbnails(info: SourceInfo, entry: Mapping[str, Any] | None) -> tuple[Thumbnail, ...]:
    """Return the pictures that a track's page offers, or else its list."""
    said = said_of(entry)
    return info.thumbnails if info.thumbnails or said is None else said.thumbnails
