"""A collection of records that is hard to read: what each is, and how it gets into a library.

The records are written with the library's own functions, so that a music server's word on them is a word on
our tags, names and covers alone.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from tests import media
from tests.readers.covers import RGB, make_cover
from tests.readers.reader import AlbumName, Shown, expected

from music_downloader.library.covers import place_cover
from music_downloader.library.filing import publish, remove_staging, sha256_of, staging_directory
from music_downloader.library.gain import Gain
from music_downloader.library.names import relative_path
from music_downloader.library.playlists import PlaylistTrack, playlist_text, write_playlist
from music_downloader.library.presence import make_library
from music_downloader.library.tags import TrackTags, write_tags

GAIN = Gain(track_gain=-7.89, track_peak=0.987654, album_gain=1.5, album_peak=1.0)


@dataclass(frozen=True, kw_only=True)
class Record:
    """An album, or a single: the files' kind, the tags of each in order, and the colour of its cover."""

    kind: str
    colour: RGB
    tracks: tuple[TrackTags, ...]

    @property
    def name(self) -> AlbumName:
        tags = self.tracks[0]
        return tags.album_artist or tags.artist, tags.album or ""

    @property
    def paths(self) -> list[PurePosixPath]:
        """Where in the library its tracks belong."""
        return [relative_path(tags, self.kind) for tags in self.tracks]


def _album(kind: str, colour: RGB, common: TrackTags, *tracks: tuple[str, tuple[str, ...]]) -> Record:
    """Make an album of one disc: `common` is what all tracks share, the rest their titles and artists."""
    tags = [
        replace(common, title=title, artists=artists, track_number=number, track_total=len(tracks))
        for number, (title, artists) in enumerate(tracks, 1)
    ]
    return Record(kind=kind, colour=colour, tracks=tuple(tags))


def _by(artist: str, album: str, date: str, genre: str) -> TrackTags:
    return TrackTags(title="", album=album, album_artists=(artist,), date=date, genres=(genre,), gain=GAIN)


# Titles run against the alphabet, so that an order by name can't pass for the order of the record; eleven of
# them, so that 10 coming before 2 shows.
_WORDS = ("Zenith", "Year", "Xylem", "Wane", "Veil", "Umbra", "Tide", "Star", "Rise", "Quiet", "Path")

TWO_DISCS = Record(
    kind="mp3",
    colour=(200, 30, 30),
    tracks=tuple(
        TrackTags(
            title=f"{word} of the {side}",
            artists=("Hedda Lund",),
            album="Two Sides",
            album_artists=("Hedda Lund",),
            track_number=number,
            track_total=11,
            disc_number=disc,
            disc_total=2,
            date="2001-02-03",
            genres=("Folk", "Chamber Pop"),
            gain=GAIN,
        )
        for disc, side in enumerate(("Sun", "Moon"), 1)
        for number, word in enumerate(_WORDS, 1)
    ),
)
FEATURING = _album(
    "flac",
    (30, 160, 30),
    _by("Anna Berg", "With Friends", "2002", "Jazz"),
    ("Trio", ("Anna Berg", "Bert", "Cora & the Crows")),
    ("Duo", ("Anna Berg", "Simon & Garfunkel")),
    ("Alone", ("Anna Berg",)),
)
COMPILATION = _album(
    "m4a",
    (30, 30, 200),
    replace(_by("Various Artists", "Sampler Nº 3", "2003-11-30", "Electronic"), compilation=True),
    ("Zulu", ("Xavier",)),
    ("Yankee", ("Ørjan Åse",)),
    ("X-Ray", ("Hedda Lund", "Zoë")),
)
VORBIS = _album(
    "ogg", (200, 200, 30), _by("Ola", "Free Format", "2004-05", "Ambient"), ("B", ("Ola",)), ("A", ("Ola",))
)
OPUS = _album(
    "opus", (30, 200, 200), _by("Ola", "Low Delay", "2012", "Ambient"), ("D", ("Ola",)), ("C", ("Ola",))
)
HITS = tuple(
    _album(
        "mp3",
        colour,
        _by(artist, "Greatest Hits", "2005", "Pop"),
        ("Second Wind", (artist,)),
        ("First Light", (artist,)),
    )
    for artist, colour in (("Ada", (200, 30, 200)), ("Ida", (120, 120, 120)))
)
ODD = _album(
    "mp3",
    (240, 140, 20),
    _by("AC/DC; Björk, Inc.", '"Quotes" & <Brackets>: 100% [C:\\]?', "1999", "R&B"),
    ("…And <b>Just</b> &amp; so", ("Sigur Rós", "AC/DC")),
    ("../../etc/passwd", ("$(reboot)",)),
    ("Say \"Hello\" \\ 'Bye'", ("A; B",)),
    ("桜の森 🎵", ("宇多田ヒカル",)),
    ("שלום עולם", ("أم كلثوم",)),
    ("Cafe\u0301 %s %n _%", ("Пётр",)),
    ("CON", ("nul",)),
    ("T" * 300, ("Long",)),
)
SINGLES = (
    Record(
        kind="mp3",
        colour=(90, 40, 10),
        tracks=(TrackTags(title="Kerosene: Live?", artists=("Solveig",), date="2020-07-01"),),
    ),
    Record(
        kind="m4a",
        colour=(10, 40, 90),
        tracks=(TrackTags(title="Lone Wolf", artists=("Solveig", "Tor"), date="2021"),),
    ),
)
PLAYLIST = "Songs from everywhere"
UNFINISHED = "Not Yet"  # the title of what is still being downloaded
ALBUMS = (TWO_DISCS, FEATURING, COMPILATION, VORBIS, OPUS, *HITS, ODD)


def as_meant(records: Sequence[Record]) -> list[tuple[AlbumName, list[Shown]]]:
    """What `shown` should give of a library that holds these albums."""
    meant = [(record.name, [expected(tags) for tags in record.tracks]) for record in records]
    return sorted(meant, key=lambda album: album[0])


def file_records(library: Path, *records: Record) -> None:
    """Put records into a library as the service does: tagged in the staging folder, then published."""
    make_library(library)
    for number, record in enumerate(records):
        staging = staging_directory(library, f"{number}-record")
        cover = make_cover(staging / "picture.jpg", record.colour)
        for tags, path in zip(record.tracks, record.paths, strict=True):
            staged = Path(shutil.copy(media.make(record.kind, seconds=1), staging))
            write_tags(staged, tags, cover=cover)
            publish(staged, library, path, digest=sha256_of(staged))
        if record.name[1]:
            place_cover(library, record.paths[0].parent, cover)
        remove_staging(staging)


def file_playlist(library: Path, *records: Record) -> None:
    """Put a playlist of these records' tracks, in this order, into a library that holds them."""
    tracks = [
        PlaylistTrack(path=path, title=tags.title, artist=tags.artist, duration=1)
        for record in records
        for path, tags in zip(record.paths, record.tracks, strict=True)
    ]
    write_playlist(library, PLAYLIST, playlist_text(tracks, name=PLAYLIST))
