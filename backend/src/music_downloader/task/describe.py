"""From what the engine learned to what the library writes: the two rooms don't know each other."""

from pathlib import Path

from music_downloader.engine.source import SourceInfo
from music_downloader.errors import DownloadFailedError
from music_downloader.library.rules import SourceFacts, describe
from music_downloader.library.tags import TrackTags, read_tags

_DIRECT = "generic"


def read_source_tags(path: Path) -> TrackTags | None:
    """Return the tags that the source's own file carries; None when it carries none that can be read."""
    try:
        return read_tags(path)
    except DownloadFailedError:
        return None  # a container without tags of its own (webm, a stream); what the source says is enough


def describe_fetched(info: SourceInfo, file_tags: TrackTags | None) -> tuple[TrackTags, dict[str, str]]:
    """Return the tags for a fetched track, and for each where it came from."""
    facts = SourceFacts(
        title=info.title,
        track=info.track,
        artists=info.artists,
        album=info.album,
        album_artists=info.album_artists,
        track_number=info.track_number,
        disc_number=info.disc_number,
        release_date=info.release_date,
        release_year=info.release_year,
        genres=info.genres,
        uploader=info.uploader,
        channel=info.channel,
        webpage_url=info.webpage_url,
        extractor=info.extractor,
        source_id=info.source_id,
        isrc=info.isrc,
        is_direct_file=info.extractor == _DIRECT,
    )
    return describe(info=facts, file_tags=file_tags)
