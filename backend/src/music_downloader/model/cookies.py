"""What people have handed over to be somebody at a source."""

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from music_downloader.model.base import Base, CreatedAt, Moment


class SiteCookies(Base):
    """One person's cookies for one site. `sealed` opens with the service's key, for these two only.

    `count` and `earliest_expiry` are about the cookies when they were handed over.
    """

    __tablename__ = "site_cookies"

    user_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    site: Mapped[str] = mapped_column(String(253), primary_key=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    count: Mapped[int]
    earliest_expiry: Mapped[Moment | None]
    updated_at: Mapped[CreatedAt]
