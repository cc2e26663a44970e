"""What a music server shows of a library, in the same terms for every server and for what is expected."""

from dataclasses import dataclass
from typing import Protocol

from music_downloader.library.tags import TrackTags


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One track as a person sees it in a list; '' where nothing is shown."""

    title: str
    artist: str
    number: int | None
    year: str


AlbumName = tuple[str, str]  # whose album, and what it is called; '' for what belongs to none


class Reader(Protocol):
    """A music server that has finished scanning a library."""

    def albums(self) -> list[AlbumName]:
        """List the albums as the server does, once or several times."""

    def tracks(self, name: AlbumName) -> list[Shown]:
        """List an album's tracks in the server's order."""

    def covers(self, name: AlbumName) -> list[bytes]:
        """Fetch the picture beside each of an album's tracks; b'' where there is none."""


def expected(tags: TrackTags) -> Shown:
    """What a list should show of a track with these tags."""
    return Shown(title=tags.title, artist=tags.artist, number=tags.track_number, year=(tags.date or "")[:4])


def shown(reader: Reader) -> list[tuple[AlbumName, list[Shown]]]:
    """Everything that the server lists by album, in the order of the albums' names."""
    return [(name, reader.tracks(name)) for name in sorted(reader.albums())]
