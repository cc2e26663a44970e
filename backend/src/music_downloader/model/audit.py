"""Who did what, when, from where, and how it ended."""

from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from music_downloader.model.base import Base, CreatedAt, Id, word_column


class Outcome(StrEnum):
    """How an action ended."""

    SUCCESS = "success"
    REFUSED = "refused"
    FAILURE = "failure"


class AuditLog(Base):
    """One action. Rows are only ever inserted; a trigger refuses all else, whoever asks."""

    __tablename__ = "audit_logs"
    __table_args__ = (
        Index("ix_audit_logs_newest", text("created_at DESC"), text("id DESC")),
        Index("ix_audit_logs_user", "user_id", text("created_at DESC"), text("id DESC")),
        Index("ix_audit_logs_action", "action", text("created_at DESC"), text("id DESC")),
        Index("ix_audit_logs_user_action", "user_id", "action", text("created_at DESC"), text("id DESC")),
    )

    id: Mapped[Id]
    user_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("users.id"))
    action: Mapped[str] = mapped_column(String(50))
    resource: Mapped[str | None] = mapped_column(String(100))
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    ip_address: Mapped[str | None] = mapped_column(String(45))
    user_agent: Mapped[str | None] = mapped_column(String(500))
    outcome: Mapped[Outcome] = mapped_column(word_column(Outcome, name="outcome"))
    created_at: Mapped[CreatedAt]
