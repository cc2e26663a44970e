"""What `nas-music user …` does to accounts, each in a transaction of its own."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.auth import account
from music_downloader.command.transaction import in_transaction
from music_downloader.model import User
from music_downloader.schema.user import new_password, registration
from music_downloader.service import people
from music_downloader.service.audit import Action


def create(*, username: str, email: str, password: str, is_admin: bool) -> int:
    """Make an account; return its id. Raises InvalidInputError as the API does."""
    wanted = registration(username=username, email=email, password=password)

    async def make(session: AsyncSession) -> int:
        user = await account.create(
            session,
            username=wanted.username,
            email=wanted.email,
            password=wanted.password,
            is_admin=is_admin,
            action=Action.CREATE_USER,
        )
        return user.id

    return in_transaction(make)


def everybody() -> Sequence[User]:
    """Return every account, the oldest first."""

    async def read(session: AsyncSession) -> Sequence[User]:
        return (await session.scalars(select(User).order_by(User.id))).all()

    return in_transaction(read)


def reset_password(name: str, password: str) -> str:
    """Set a new password and end every session; return the username."""
    wanted = new_password(password)

    async def reset(session: AsyncSession) -> str:
        user = await people.find(session, name)
        await account.reset_password(session, user, new=wanted, now=datetime.now(UTC))
        return user.username

    return in_transaction(reset)


def change(name: str, *, is_active: bool | None, is_admin: bool | None) -> str:
    """Change what isn't None; return the username."""

    async def to(session: AsyncSession) -> str:
        user = await people.find(session, name)
        changed = await people.change(
            session, user_id=user.id, by=None, is_active=is_active, is_admin=is_admin, now=datetime.now(UTC)
        )
        return changed.username

    return in_transaction(to)
