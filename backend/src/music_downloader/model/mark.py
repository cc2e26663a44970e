"""Which library this database belongs to."""

from sqlalchemy import CheckConstraint, String, text
from sqlalchemy.orm import Mapped, mapped_column

from music_downloader.model.base import Base, CreatedAt


class LibraryMark(Base):
    """The name in the library's marker. There is one row at most.

    `is_mount` says that something was mounted there when it was last seen.
    """

    __tablename__ = "library_mark"
    __table_args__ = (CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(primary_key=True, server_default=text("1"), autoincrement=False)
    name: Mapped[str] = mapped_column(String(100))
    is_mount: Mapped[bool]
    created_at: Mapped[CreatedAt]
