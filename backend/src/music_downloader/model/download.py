"""The history: one row a submitted URL or a track of a collection."""

from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, func, literal_column, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from music_downloader.config.audio import AudioFormat
from music_downloader.errors import ErrorCode
from music_downloader.model.base import Base, CreatedAt, Id, Moment, word_column


class DownloadStatus(StrEnum):
    """Where a download stands."""

    PENDING = "pending"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class DownloadKind(StrEnum):
    """One audio file, or several that belong together."""

    TRACK = "track"
    COLLECTION = "collection"


ACTIVE = (DownloadStatus.PENDING, DownloadStatus.IN_PROGRESS)
# What people search in, in one text. The character between the parts can't be searched for.
SEPARATOR = "\x1f"
SEARCHED = (
    "lower(url || chr(31) || coalesce(title, '') || chr(31) || coalesce(artist, '')"
    " || chr(31) || coalesce(album, ''))"
)
_ACTIVE_SUBMISSION = text("status IN ('pending', 'in-progress') AND parent_id IS NULL")


class Download(Base):
    """One download of one user, from submission to its end.

    A collection is a row whose URL turned out to hold several tracks; each of them is a row with this one as
    its parent, at a `position`. Where such a track has no address of its own, `url` is the list's and
    `item_position` its place there. `fetching` rows have a place at their `host`, `parked` ones wait for it,
    `held` ones for the library. `attempts_lost` of the attempts ended with their worker's death. `fence` is
    the last claim's number, which no other claim ever has; `fence_at_retry` was it when a person retried.
    `traceparent` is the submission's place in a trace (W3C Trace Context), where somebody collects them.
    What only the worker needs is not loaded with a row: `entry` is what the list told of a track, `listing`
    what it told of itself.
    """

    __tablename__ = "download_history"
    __table_args__ = (
        CheckConstraint("attempts >= 0", name="attempts_not_negative"),
        CheckConstraint("(status = 'failed') <= (error_code IS NOT NULL)", name="failed_has_code"),
        CheckConstraint(
            "(status IN ('completed', 'failed', 'cancelled')) = (completed_at IS NOT NULL)",
            name="ended_has_time",
        ),
        Index(
            "ix_download_history_user_newest",
            "user_id",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("parent_id IS NULL"),
        ),
        Index(
            "ix_download_history_user_status",
            "user_id",
            "status",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("parent_id IS NULL"),
        ),
        Index(
            "ix_download_history_newest",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("parent_id IS NULL"),
        ),
        Index(
            "ix_download_history_status",
            "status",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("parent_id IS NULL"),
        ),
        Index(
            "ix_download_history_search",
            literal_column(SEARCHED).label("searched"),
            postgresql_using="gin",
            postgresql_ops={"searched": "gin_trgm_ops"},
        ),
        Index(
            "ix_download_history_parent",
            "parent_id",
            "status",
            postgresql_where=text("parent_id IS NOT NULL"),
        ),
        Index("ix_download_history_track", "track_id", postgresql_where=text("track_id IS NOT NULL")),
        Index(
            "ix_download_history_active",
            "user_id",
            "status",
            postgresql_where=text("status IN ('pending', 'in-progress')"),
        ),
        Index("ix_download_history_fetching", "host", postgresql_where=text("fetching")),
        Index(
            "ix_download_history_parked",
            "host",
            text("(parent_id IS NOT NULL)"),
            "id",
            postgresql_where=text("parked"),
        ),
        Index("ix_download_history_held", "id", postgresql_where=text("held")),
    )

    id: Mapped[Id]
    user_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("users.id", ondelete="CASCADE"))
    parent_id: Mapped[int | None] = mapped_column(
        BigInteger, ForeignKey("download_history.id", ondelete="CASCADE")
    )
    track_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("tracks.id"))
    url: Mapped[str] = mapped_column(String(2048))
    kind: Mapped[DownloadKind] = mapped_column(
        word_column(DownloadKind, name="kind"), server_default=DownloadKind.TRACK.value
    )
    status: Mapped[DownloadStatus] = mapped_column(
        word_column(DownloadStatus, name="status"), server_default=DownloadStatus.PENDING.value
    )
    format: Mapped[AudioFormat] = mapped_column(word_column(AudioFormat, name="format"))
    title: Mapped[str | None] = mapped_column(String(500))
    artist: Mapped[str | None] = mapped_column(String(500))
    album: Mapped[str | None] = mapped_column(String(500))
    album_artist: Mapped[str | None] = mapped_column(String(500))
    track_number: Mapped[int | None]
    duration: Mapped[float | None]
    codec: Mapped[str | None] = mapped_column(String(16))
    bitrate: Mapped[int | None]
    file_path: Mapped[str | None] = mapped_column(String(1024))
    file_size: Mapped[int | None] = mapped_column(BigInteger)
    progress: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    error_code: Mapped[ErrorCode | None] = mapped_column(word_column(ErrorCode, name="error_code"))
    error_message: Mapped[str | None] = mapped_column(String(1000))
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    attempts_forgiven: Mapped[int] = mapped_column(server_default=text("0"))
    attempts_lost: Mapped[int] = mapped_column(server_default=text("0"))
    fence: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    fence_at_retry: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    request_id: Mapped[str | None] = mapped_column(String(128))
    traceparent: Mapped[str | None] = mapped_column(String(64))
    host: Mapped[str] = mapped_column(String(255), server_default="")
    fetching: Mapped[bool] = mapped_column(server_default=text("false"))
    parked: Mapped[bool] = mapped_column(server_default=text("false"))
    held: Mapped[bool] = mapped_column(server_default=text("false"))
    position: Mapped[int | None]
    item_position: Mapped[int | None]
    entry: Mapped[dict[str, Any] | None] = mapped_column(
        JSONB(none_as_null=True), deferred=True, deferred_raiseload=True
    )
    listing: Mapped[dict[str, Any] | None] = mapped_column(
        JSONB(none_as_null=True), deferred=True, deferred_raiseload=True
    )
    listed_at: Mapped[Moment | None]
    note: Mapped[str | None] = mapped_column(String(500))
    items_total: Mapped[int | None]
    items_completed: Mapped[int | None]
    items_failed: Mapped[int | None]
    playlist_path: Mapped[str | None] = mapped_column(String(1024))
    created_at: Mapped[CreatedAt]
    # Not now(), which is when the transaction began: whoever writes last has the later time.
    updated_at: Mapped[CreatedAt] = mapped_column(onupdate=func.clock_timestamp())
    started_at: Mapped[Moment | None]
    completed_at: Mapped[Moment | None]

    @property
    def items(self) -> dict[str, int] | None:
        """How a collection's tracks stand; None for a single track."""
        if self.kind is not DownloadKind.COLLECTION:
            return None
        return {
            "total": self.items_total or 0,
            "completed": self.items_completed or 0,
            "failed": self.items_failed or 0,
        }


# One unfinished download of a URL and format per user. The digest keeps long URLs within a B-tree's limit.
Index(
    "uq_download_history_active_submission",
    Download.user_id,
    Download.format,
    func.md5(Download.url),
    unique=True,
    postgresql_where=_ACTIVE_SUBMISSION,
)
# A track of a list is there once, however often the list is read.
Index(
    "uq_download_history_list_entry",
    Download.parent_id,
    func.md5(Download.url),
    func.coalesce(Download.item_position, 0),
    unique=True,
    postgresql_where=text("parent_id IS NOT NULL"),
)
# Who has had this URL before, to own a track once.
Index("ix_download_history_landed", func.md5(Download.url), postgresql_where=text("track_id IS NOT NULL"))
