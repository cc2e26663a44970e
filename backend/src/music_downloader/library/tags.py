"""What a file says about its track, the same for every container."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date as calendar_date
from pathlib import Path

from music_downloader.errors import DownloadFailedError, ErrorCode
from music_downloader.library.containers import Kind, opened, read_front, read_values, write_values
from music_downloader.library.embedded import read_cover
from music_downloader.library.fields import Values
from music_downloader.library.gain import Gain, gain_texts, read_gain
from music_downloader.library.text import clean_text

SHORT, LONG = 500, 10_000  # characters of a name; of lyrics and comments
MOST_VALUES = 50  # of one field
_HIGHEST = 9999  # a track or disc beyond it is a mistake
_PAIR = re.compile(r"\s*(\d{1,6})(?:\s*(?:/|of)\s*(\d{1,6}))?\s*", re.IGNORECASE)
_ISRC = re.compile(r"[A-Z]{2}[A-Z0-9]{3}\d{7}")  # ISO 3901
_DATE = re.compile(r"\s*([12]\d{3})(?:[-./ ]?(\d{2})(?:[-./ ]?(\d{2}))?)?(?!\d)")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackTags:
    """One track's tags, always clean: whoever makes one gets texts normalised and impossible numbers dropped.

    `date` is 'YYYY', 'YYYY-MM' or 'YYYY-MM-DD'; `comment` the address of the source; `source_id` names the
    track there as "extractor:id". A total stands only beside its number.
    """

    title: str
    artists: tuple[str, ...] = ()
    album: str | None = None
    album_artists: tuple[str, ...] = ()
    track_number: int | None = None
    track_total: int | None = None
    disc_number: int | None = None
    disc_total: int | None = None
    date: str | None = None
    genres: tuple[str, ...] = ()
    compilation: bool = False
    isrc: str | None = None
    comment: str | None = None
    source_id: str | None = None
    lyrics: str | None = None
    gain: Gain | None = None

    def __post_init__(self) -> None:
        track_number, track_total = _numbers(self.track_number, self.track_total)
        disc_number, disc_total = _numbers(self.disc_number, self.disc_total)
        clean: dict[str, object] = {
            "title": clean_text(self.title, limit=SHORT),
            "artists": clean_names(self.artists),
            "album": _short(self.album),
            "album_artists": clean_names(self.album_artists),
            "track_number": track_number,
            "track_total": track_total,
            "disc_number": disc_number,
            "disc_total": disc_total,
            "date": clean_date(self.date),
            "genres": clean_names(self.genres),
            "isrc": clean_isrc(self.isrc),
            "comment": _long(self.comment),
            "source_id": _short(self.source_id),
            "lyrics": _long(self.lyrics),
        }
        for name, value in clean.items():
            object.__setattr__(self, name, value)

    @property
    def artist(self) -> str:
        """The artists as they are shown: 'A', 'A & B', 'A, B & C'; '' if there is none."""
        return _shown(self.artists)

    @property
    def album_artist(self) -> str:
        """The album's artists as they are shown; '' if there is none."""
        return _shown(self.album_artists)


def write_tags(path: Path, tags: TrackTags, *, cover: bytes | None = None) -> None:
    """Make `tags`, and `cover` if it is a JPEG or PNG, all that the file says about itself.

    The audio isn't touched. The same audio and the same tags give the same bytes, whatever tags were there
    before. Raises DownloadFailedError: BAD_MEDIA if this is no MP3, MP4, FLAC, Ogg Opus or Ogg Vorbis file,
    or what the disk says.
    """
    with opened(path, "r+b") as (file, kind):
        if kind is Kind.OTHER:
            raise DownloadFailedError(ErrorCode.BAD_MEDIA, "This kind of audio file can't carry tags.")
        write_values(file, kind, _to_values(tags), read_cover(cover))


def read_tags(path: Path) -> TrackTags | None:
    """Read what the file says about itself; None if that is nothing.

    Of WebM, WAV and other containers than the library's nothing is read. A missing title is ''. Raises
    DownloadFailedError BAD_MEDIA if this is no audio file.
    """
    with opened(path, "rb") as (file, kind):
        return _from_values(read_values(file, kind))


def retag(path: Path, gain: Gain | None) -> None:
    """Change the gain in a file that `write_tags` has written, and nothing else that it says.

    Gives the same bytes as writing all tags, the cover and this gain at once. Raises as `write_tags`.
    """
    with opened(path, "rb") as (file, kind):
        tags = _from_values(read_values(file, kind)) or TrackTags(title="")
        cover = read_front(file, kind)
    write_tags(path, replace(tags, gain=gain), cover=cover)


def clean_names(texts: Iterable[str]) -> tuple[str, ...]:
    """Keep the first fifty texts that aren't empty, each clean and once."""
    cleaned = (clean_text(text, limit=SHORT) for text, _ in zip(texts, range(4 * MOST_VALUES), strict=False))
    return tuple(dict.fromkeys(text for text in cleaned if text))[:MOST_VALUES]


def clean_isrc(text: str | None) -> str | None:
    """Read a recording's ISRC, which people also write with hyphens; None for anything else."""
    code = re.sub(r"[\s-]", "", text or "").upper()
    return code if _ISRC.fullmatch(code) else None


def clean_date(text: str | None) -> str | None:
    """Read '20210101', '2021-01-01T00:00:00' or '2021' as far as they name days that exist."""
    match = _DATE.match(text or "")
    if not match:
        return None
    year, month, day = match.groups()
    try:
        calendar_date(int(year), int(month or 1), int(day or 1))
    except ValueError:
        return f"{year}-{month}" if month and day and 1 <= int(month) <= 12 else year  # noqa: PLR2004  # a year's months
    return "-".join(part for part in (year, month, day) if part)


def _to_values(tags: TrackTags) -> Values:
    one = {
        "title": tags.title,
        "artist": tags.artist,
        "album": tags.album,
        "album_artist": tags.album_artist,
        "track": _pair(tags.track_number, tags.track_total),
        "disc": _pair(tags.disc_number, tags.disc_total),
        "date": tags.date,
        "compilation": "1" if tags.compilation else None,
        "isrc": tags.isrc,
        "comment": tags.comment,
        "source_id": tags.source_id,
        "lyrics": tags.lyrics,
    }
    gain = gain_texts(tags.gain) if tags.gain else {}
    many = {"artists": tags.artists, "album_artists": tags.album_artists, "genres": tags.genres}
    values = {name: [text] for name, text in (one | gain).items() if text}
    return values | {name: list(texts) for name, texts in many.items() if texts}


def _from_values(values: Values) -> TrackTags | None:
    def first(name: str) -> str | None:
        return next((text for text in values.get(name, []) if text.strip()), None)

    if not any(first(name) for name in values):
        return None
    track_number, track_total = _split_pair(first("track"))
    disc_number, disc_total = _split_pair(first("disc"))
    return TrackTags(
        title=first("title") or "",
        artists=tuple(values.get("artists") or values.get("artist") or ()),
        album=first("album"),
        album_artists=tuple(values.get("album_artists") or values.get("album_artist") or ()),
        track_number=track_number,
        track_total=track_total,
        disc_number=disc_number,
        disc_total=disc_total,
        date=first("date"),
        genres=tuple(values.get("genres", ())),
        compilation=(first("compilation") or "").strip().lower() in {"1", "true", "yes"},
        isrc=first("isrc"),
        comment=first("comment"),
        source_id=first("source_id"),
        lyrics=first("lyrics"),
        gain=read_gain(
            track_gain=first("track_gain"),
            track_peak=first("track_peak"),
            album_gain=first("album_gain"),
            album_peak=first("album_peak"),
        ),
    )


def _shown(names: tuple[str, ...]) -> str:
    return " & ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _short(text: str | None) -> str | None:
    return clean_text(text or "", limit=SHORT) or None


def _long(text: str | None) -> str | None:
    return clean_text(text or "", limit=LONG, lines=True) or None


def _numbers(number: int | None, total: int | None) -> tuple[int | None, int | None]:
    if number is None or not 1 <= number <= _HIGHEST:
        return None, None
    return number, total if total is not None and number <= total <= _HIGHEST else None


def _pair(number: int | None, total: int | None) -> str | None:
    if number is None:
        return None
    return str(number) if total is None else f"{number}/{total}"


def _split_pair(text: str | None) -> tuple[int | None, int | None]:
    match = _PAIR.fullmatch(text or "")
    return (int(match[1]), int(match[2]) if match[2] else None) if match else (None, None)
