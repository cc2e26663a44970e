"""Files in the library."""

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from music_downloader.model.base import Base, CreatedAt, Id


class Track(Base):
    """One file in the library: where it lies, what it is, and where it came from."""

    __tablename__ = "tracks"
    __table_args__ = (
        CheckConstraint("size > 0", name="size_positive"),
        Index("ix_tracks_source_source_id", "source", "source_id"),
        Index("ix_tracks_sha256", "sha256"),
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
    created_at: Mapped[CreatedAt]
