"""What is about to be put into the library, said before it is done."""

from sqlalchemy import BigInteger, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from music_downloader.model.base import Base, CreatedAt, Id


class FilingIntent(Base):
    """One attempt's word that it is about to file something of these bytes at `path`, or beside it.

    It is taken back in the transaction that gives the file its row. Where it outlives its attempt, whoever
    filed has died in between, and the file goes. `fence` is that of its claim, and None for a collection's
    playlist. There is no foreign key: the word outlives a history that is deleted.
    """

    __tablename__ = "filing_intents"
    __table_args__ = (
        Index("ix_filing_intents_download_id", "download_id"),
        Index("ix_filing_intents_sha256", "sha256"),
    )

    id: Mapped[Id]
    download_id: Mapped[int] = mapped_column(BigInteger)
    fence: Mapped[int | None] = mapped_column("attempt", BigInteger)
    path: Mapped[str] = mapped_column(String(1024))
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    cover_sha256: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[CreatedAt]
