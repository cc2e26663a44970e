"""Downloads on the wire."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from music_downloader.config.audio import AudioFormat
from music_downloader.errors import ErrorCode
from music_downloader.model import DownloadKind, DownloadStatus
from music_downloader.schema.base import Incoming, Outgoing, Text, example, storable
from music_downloader.schema.paging import PageQuery

URL_LIMIT = 2048


class DownloadCreate(Incoming):
    """What to download, and as what."""

    model_config = example({"url": "https://artist.example/track/song", "format": "best"})

    url: Annotated[
        str,
        Field(min_length=1, max_length=URL_LIMIT, description="An http or https URL"),
        AfterValidator(storable),
    ]
    format: AudioFormat | None = Field(default=None, description="Left out: the service's AUDIO_FORMAT")


class ProgressRead(Outgoing):
    """How far a running download is; sizes in bytes, `speed` in bytes a second, `eta` in seconds."""

    phase: Literal["resolving", "downloading", "converting"]
    percent: float | None = None
    downloaded_bytes: int | None = None
    total_bytes: int | None = None
    speed: float | None = None
    eta: float | None = None


class ItemsRead(Outgoing):
    """How many tracks a collection has, and how they ended."""

    total: int
    completed: int
    failed: int


class DownloadRead(Outgoing):
    """One download. `duration` is in seconds, `bitrate` in kbit/s, `file_size` in bytes."""

    model_config = example(
        {
            "id": 7,
            "url": "https://artist.example/track/song",
            "kind": "track",
            "status": "completed",
            "title": "Song",
            "artist": "Artist",
            "album": "Album",
            "album_artist": "Artist",
            "track_number": 1,
            "duration": 215.4,
            "format": "best",
            "codec": "opus",
            "bitrate": 160,
            "file_path": "Artist/2026 - Album/01 - Song.opus",
            "file_size": 4318208,
            "attempts": 1,
            "created_at": "2026-01-02T18:30:00Z",
            "updated_at": "2026-01-02T18:30:09Z",
            "started_at": "2026-01-02T18:30:00Z",
            "completed_at": "2026-01-02T18:30:09Z",
        }
    )

    id: int
    url: str
    kind: DownloadKind
    parent_id: int | None
    status: DownloadStatus
    title: str | None
    artist: str | None
    album: str | None
    album_artist: str | None
    track_number: int | None
    duration: float | None
    format: AudioFormat
    codec: str | None
    bitrate: int | None
    file_path: str | None = Field(description="Relative to the music library")
    file_size: int | None
    progress: ProgressRead | None
    items: ItemsRead | None = Field(default=None, description="Only for a collection")
    error_code: ErrorCode | None
    error_message: str | None
    attempts: int
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


class DownloadPage(Outgoing):
    """One page of the history, newest first."""

    downloads: list[DownloadRead]
    total: int
    page: int
    per_page: int
    pages: int


def _searchable(value: str) -> str:
    return value.strip()


def none_if_empty(value: object) -> object:
    """Take a query parameter without a value as one that was left out."""
    return None if value == "" else value


class DownloadQuery(PageQuery):
    """Which part of the history to show."""

    status: Annotated[DownloadStatus | None, BeforeValidator(none_if_empty)] = None
    q: Annotated[
        Text,
        Field(max_length=200, description="Part of a title, artist, album or URL"),
        AfterValidator(_searchable),
    ] = ""
    parent_id: Annotated[int | None, Field(ge=1, le=2**63 - 1), BeforeValidator(none_if_empty)] = None
