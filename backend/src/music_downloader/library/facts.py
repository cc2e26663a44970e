"""What is said about a track or a list, and how words on one field come one after another."""

from dataclasses import dataclass, fields, replace

_OF_THE_FILE = {"extractor", "source_id", "webpage_url", "is_direct_file", "file_name"}


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFacts:
    """What a source says about a track, or about a list of them; every fact may be missing.

    `track`, `artists`, `album` … are music facts; `title` is a page's heading, or only a file's name if
    `is_direct_file`. Dates are 'YYYYMMDD'. `file_name` is the name in the audio's own address, if that isn't
    the page's. Of a list, `track_count` is how many it has in all, and `album_type` the source's own word
    for it: 'album', 'ep', 'single', 'compilation', 'playlist' …
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
    upload_date: str | None = None
    track_count: int | None = None
    album_type: str | None = None
    file_name: str | None = None


def merged(info: SourceFacts, entry: SourceFacts | None) -> SourceFacts:
    """Fill what a track's own page leaves open with what its list said about it.

    A direct file's page says hardly more than the file's name: there the list's words come first. SoundCloud
    tells the set's name as the album of each track in it, so these two facts are never taken from an entry.
    """
    if entry is None:
        return info
    if family(entry) == "soundcloud" or family(info) == "soundcloud":
        entry = replace(entry, album=None, album_artists=())
    over_file = info.is_direct_file
    values: dict[str, object] = {}
    for field in fields(info):
        said, listed = getattr(info, field.name), getattr(entry, field.name)
        list_first = over_file and field.name not in _OF_THE_FILE
        values[field.name] = (listed or said) if list_first else (said or listed)
    has_title = bool((entry.title or "").strip()) and entry.title != info.title
    if over_file and has_title:
        values |= {"is_direct_file": False, "file_name": info.file_name or info.title}
    return SourceFacts(**values)  # type: ignore[arg-type]  # each value is of the field of its name


def family(facts: SourceFacts) -> str:
    """Name the site that the facts are from, without the kind of its page: 'bandcamp' of 'Bandcamp:album'."""
    return (facts.extractor or "").casefold().partition(":")[0]


class Draft:
    """Fields as they are filled, the first word on each being the last, and whose word that was."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}
        self.origins: dict[str, str] = {}

    def offer(self, origin: str, **values: object) -> None:
        """Fill the fields that are open with what isn't empty."""
        for name, value in values.items():
            if value and name not in self.values:
                self.values[name] = value
                self.origins[name] = origin

    def names(self, field: str) -> tuple[str, ...]:
        """Give the names in a field of several; () if nobody filled it."""
        found = self.values.get(field, ())
        return found if isinstance(found, tuple) else ()
