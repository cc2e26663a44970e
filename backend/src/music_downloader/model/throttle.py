"""What has been counted lately, shared by every process."""

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from music_downloader.model.base import Base, Moment


class Throttle(Base):
    """How often something was tried since its period began; worth nothing once `ends_at` has passed.

    `key` is a digest: what people type where a name belongs is sometimes a password. `noted` says that the
    audit log tells of a refusal in this period already.
    """

    __tablename__ = "throttles"
    __table_args__ = (Index("ix_throttles_ends_at", "ends_at"),)

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    count: Mapped[int]
    noted: Mapped[bool] = mapped_column(server_default=text("false"))
    ends_at: Mapped[Moment]
