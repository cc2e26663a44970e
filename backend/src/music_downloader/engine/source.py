"""What a source says about a track, bounded and typed."""

import math
from dataclasses import dataclass, fields
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

_MAX_TEXT: Final = 500
_MAX_URL: Final = 2048
_MAX_DESCRIPTION: Final = 1000
_MAX_VALUES: Final = 50
_MAX_THUMBNAILS: Final = 20
_MAX_NUMBER: Final = 2**31 - 1
_MAX_YEAR: Final = 9999
_KEPT: Final = "\n\u200c\u200d"  # what holds emoji and some scripts together isn't printable by itself
_ISO_DATE_DIGITS: Final = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Thumbnail:
    """A picture that the source offers for the track."""

    url: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceInfo:
    """The source's own words about a track; every text is bounded, nothing is trusted.

    Dates are eight digits (`20240131`), `duration` is in seconds, `abr` in kbit/s; `thumbnails` are ordered
    from the least to the most preferred, as the source ranks them. `is_direct` says that the URL itself is
    the audio; `file_name` is the last part of the audio's address.
    """

    extractor: str
    source_id: str
    webpage_url: str | None = None
    title: str | None = None
    track: str | None = None
    artists: tuple[str, ...] = ()
    album: str | None = None
    album_artists: tuple[str, ...] = ()
    track_number: int | None = None
    track_count: int | None = None
    disc_number: int | None = None
    release_date: str | None = None
    release_year: int | None = None
    upload_date: str | None = None
    genres: tuple[str, ...] = ()
    duration: float | None = None
    uploader: str | None = None
    channel: str | None = None
    thumbnails: tuple[Thumbnail, ...] = ()
    description: str | None = None
    isrc: str | None = None
    ext: str | None = None
    acodec: str | None = None
    abr: float | None = None
    has_video: bool = False
    is_live: bool = False
    is_direct: bool = False
    file_name: str | None = None
    album_type: str | None = None

    @classmethod
    def from_yt_dlp(cls, info: dict[str, Any]) -> Self:
        """Read yt-dlp's info dict, whose fields may each be missing or of any type."""
        return cls(
            extractor=text(info.get("extractor")) or "generic",
            source_id=text(info.get("id")) or "",
            webpage_url=text(info.get("webpage_url"), _MAX_URL),
            title=text(info.get("title")),
            track=text(info.get("track")),
            artists=_texts(info.get("artists") or info.get("artist")),
            album=text(info.get("album")),
            album_artists=_texts(info.get("album_artists") or info.get("album_artist")),
            track_number=_count(info.get("track_number")),
            track_count=_count(info.get("track_count")),
            disc_number=_count(info.get("disc_number")),
            release_date=_date(info.get("release_date")),
            release_year=_count(info.get("release_year"), _MAX_YEAR),
            upload_date=_date(info.get("upload_date")),
            genres=_texts(info.get("genres") or info.get("genre")),
            duration=_amount(info.get("duration")),
            uploader=text(info.get("uploader")),
            channel=text(info.get("channel")),
            thumbnails=_thumbnails(info.get("thumbnails")),
            description=text(info.get("description"), _MAX_DESCRIPTION),
            isrc=text(info.get("isrc"), 20),
            ext=text(info.get("ext"), 20),
            acodec=_codec(info.get("acodec")),
            abr=_amount(info.get("abr")),
            has_video=_codec(info.get("vcodec")) is not None,
            is_live=info.get("is_live") is True,
            is_direct=info.get("direct") is True,
            file_name=_file_name(info.get("url") or _last_format(info)),
            album_type=text(info.get("album_type"), 50),
        )

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read what `dataclasses.asdict` and JSON made of one; raises ValueError for anything else."""
        if not isinstance(data, dict) or unknown(data, cls):
            raise ValueError("not a SourceInfo")
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        values["thumbnails"] = tuple(Thumbnail(**picture) for picture in values.get("thumbnails", ()))
        return cls(**values)


def unknown(data: dict[str, Any], kind: type) -> set[str]:
    """Return the keys of `data` that the dataclass `kind` doesn't have."""
    return set(data) - {field.name for field in fields(kind)}


def text(value: object, limit: int = _MAX_TEXT) -> str | None:
    """Return `value` as one clean, bounded string; None when nothing is left of it."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    value = value[: 4 * limit].encode("utf-8", "replace").decode()
    kept = "".join(char if char.isprintable() or char in _KEPT else " " for char in value)
    return kept.strip()[:limit].rstrip() or None


def is_web_address(url: str) -> bool:
    """Say whether this is an http or https URL that can be kept and asked for."""
    if len(url) > _MAX_URL or not url.startswith(("http://", "https://")) or not url.isprintable():
        return False
    try:
        url.encode()
        return bool(urlsplit(url).hostname)
    except ValueError:
        return False


def _texts(value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list | tuple) else [value]
    cleaned = (text(item) for item in values[:_MAX_VALUES])
    return tuple(dict.fromkeys(item for item in cleaned if item))


def _count(value: object, highest: int = _MAX_NUMBER) -> int | None:
    amount = _amount(value)
    return int(amount) if amount is not None and 1 <= amount <= highest else None


def _amount(value: object) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value) if 0 < value <= _MAX_NUMBER else None


def _date(value: object) -> str | None:
    date = text(value, _ISO_DATE_DIGITS + 2)
    return date if date and date.isascii() and date.isdigit() and len(date) == _ISO_DATE_DIGITS else None


def _last_format(info: dict[str, Any]) -> object:
    """Return the address of the best format, which yt-dlp puts last, of an entry that has several."""
    formats = info.get("formats")
    last = formats[-1] if isinstance(formats, list) and formats else None
    return last.get("url") if isinstance(last, dict) else None


def _file_name(url: object) -> str | None:
    """Return the last part of a web address's path; None where there is none."""
    if not isinstance(url, str) or not is_web_address(url):
        return None
    return text(unquote(urlsplit(url).path.rpartition("/")[2]))


def _codec(value: object) -> str | None:
    codec = text(value, 50)
    return None if codec == "none" else codec


def _thumbnails(value: object) -> tuple[Thumbnail, ...]:
    """Keep the most preferred pictures, which yt-dlp puts last."""
    pictures: list[Thumbnail] = []
    for item in reversed(value if isinstance(value, list) else []):
        url = item.get("url") if isinstance(item, dict) else None
        if isinstance(url, str) and is_web_address(url):
            picture = Thumbnail(url=url, width=_count(item.get("width")), height=_count(item.get("height")))
            pictures.append(picture)
        if len(pictures) == _MAX_THUMBNAILS:
            break
    return tuple(reversed(pictures))
