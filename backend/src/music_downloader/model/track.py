"""Files in the library."""

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from music_downloader.model.base import Base, CreatedAt, Id, Moment


class Track(Base):
    """One file in the library: where it lies, what it is, and where it came from.

    `original` says that the audio is the source's own, never encoded again. `cover_sha256` is the digest of
    the cover.jpg beside it if that one is ours. `loudness` is what was measured (`blocks`, `peak`), {} where
    that isn't possible, and None while it hasn't been tried. `missing_since` is when the file was found gone.
    """

    __tablename__ = "tracks"
    __table_args__ = (
        CheckConstraint("size > 0", name="size_positive"),
        Index("ix_tracks_source_source_id", "source", "source_id"),
        Index("ix_tracks_sha256", "sha256"),
        Index("ix_tracks_missing", "id", postgresql_where=text("missing_since IS NOT NULL")),
        Index("ix_tracks_unmeasured", "id", postgresql_where=text("loudness IS NULL")),
    )

    id: Mapped[Id]
    path: Mapped[str] = mapped_column(String(1024), unique=True)
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    codec: Mapped[str] = mapped_column(String(16))
    bitrate: Mapped[int | None]
    duration: Mapped[float | None]
    source: Mapped[str | None] = mapped_column(String(100))
    source_id: Mapped[str | None] = mapped_column(String(500))
    tags: Mapped[dict[str, Any]] = mapped_column(JSONB)
    original: Mapped[bool] = mapped_column(server_default=text("false"))
    cover_sha256: Mapped[str | None] = mapped_column(String(64))
    loudness: Mapped[dict[str, Any] | None] = mapped_column(
        JSONB(none_as_null=True), deferred=True, deferred_raiseload=True
    )
    missing_since: Mapped[Moment | None]
    created_at: Mapped[CreatedAt]
