"""Accounts and revoked tokens."""

from datetime import datetime, timedelta

from sqlalchemy import BigInteger, ColumnElement, DateTime, ForeignKey, Index, String, case, func, text
from sqlalchemy.orm import Mapped, mapped_column

from music_downloader.model.base import Base, CreatedAt, Id, Moment

_CLOCKS_APART = timedelta(minutes=10)  # of two machines that are looked after


class User(Base):
    """One person's account. Names and addresses are unique whatever their case."""

    __tablename__ = "users"

    id: Mapped[Id]
    username: Mapped[str] = mapped_column(String(50))
    email: Mapped[str] = mapped_column(String(254))
    password_hash: Mapped[str] = mapped_column(String(100))
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    is_admin: Mapped[bool] = mapped_column(server_default=text("false"))
    tokens_valid_from: Mapped[Moment | None]
    created_at: Mapped[CreatedAt]
    last_login: Mapped[Moment | None]


def after_every_session(now: datetime) -> ColumnElement[datetime]:
    """Return the value of `tokens_valid_from` that ends every session up to `now`, whatever is under way.

    A login notes its own moment in the transaction that lets somebody in. One that ended while whoever asks
    for this was still at work, or on a machine whose clock is ahead, is therefore behind it as well. A clock
    that was off by years is no reason to let nobody in for years; a token of such a time isn't valid yet.
    """
    noted = func.least(User.last_login + timedelta(microseconds=1), now + _CLOCKS_APART)
    return func.greatest(now, noted)


def login_at(now: datetime) -> ColumnElement[datetime]:
    """Return the value of `last_login` for a login `now`: the later one, unless that is yet to come."""
    is_credible = User.last_login <= now + _CLOCKS_APART
    return case((is_credible, func.greatest(User.last_login, now)), else_=now)


Index("uq_users_username_lower", func.lower(User.username), unique=True)
Index("uq_users_email_lower", func.lower(User.email), unique=True)
Index("ix_users_newest", User.created_at.desc(), User.id.desc())


class RevokedToken(Base):
    """A token that was logged out; its row may go once the token would have expired anyway."""

    __tablename__ = "token_blacklist"

    id: Mapped[Id]
    jti: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("users.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    revoked_at: Mapped[CreatedAt]
