"""What an administrator does with accounts: list them, let them in, keep them out, hand the role on."""

from datetime import datetime

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.errors import LastAdminError, UserNotFoundError
from music_downloader.model import Outcome, User, after_every_session
from music_downloader.service import audit, cookies, feed
from music_downloader.service.audit import Action, Origin
from music_downloader.service.page import Page, read_page

_ACTIONS = {
    ("is_active", True): Action.ACTIVATE_USER,
    ("is_active", False): Action.DEACTIVATE_USER,
    ("is_admin", True): Action.PROMOTE_USER,
    ("is_admin", False): Action.DEMOTE_USER,
}
_FRESH = {"populate_existing": True}


async def list_page(session: AsyncSession, *, number: int, size: int) -> Page[User]:
    """Return one page of all accounts, newest first; beyond the last page it is empty."""
    return await read_page(session, number=number, size=size)


async def find(session: AsyncSession, name: str) -> User:
    """Return whom a username or an email address means, whatever its case; UserNotFoundError."""
    if audit.storable(name) != name:  # what the database can't hold is nobody's name
        raise UserNotFoundError
    folded = func.lower(name)
    user = await session.scalar(
        select(User).where(or_(func.lower(User.username) == folded, func.lower(User.email) == folded))
    )
    if user is None:
        raise UserNotFoundError
    return user


async def change(
    session: AsyncSession,
    *,
    user_id: int,
    by: User | None,
    is_active: bool | None = None,
    is_admin: bool | None = None,
    now: datetime,
    origin: Origin = audit.HERE,
) -> User:
    """Activate or deactivate an account, give it the administrator's role or take it; None leaves as it is.

    Whoever is deactivated has no session and no cookies any more, also after a later activation. `by` is None
    for the command line. Raises UserNotFoundError, and LastAdminError where nobody would be left to
    administer.
    """
    admins = await _locked_admins(session)
    user = await session.scalar(
        select(User).where(User.id == user_id).with_for_update(key_share=True), execution_options=_FRESH
    )
    if user is None:
        raise UserNotFoundError
    wanted = {"is_active": is_active, "is_admin": is_admin}
    changes = {
        name: value for name, value in wanted.items() if value is not None and value != getattr(user, name)
    }
    if admins == {user.id} and not all(changes.values()):
        await _record(session, changes, user, by=by, outcome=Outcome.REFUSED, origin=origin)
        raise LastAdminError
    if not changes:
        return user
    ends = {} if changes.get("is_active", True) else {"tokens_valid_from": after_every_session(now)}
    await session.execute(update(User).where(User.id == user.id).values(**changes, **ends))
    if ends:
        await feed.announce_session_end(session, user_id=user.id)
        await cookies.forget(session, user_id=user.id)
    await _record(session, changes, user, by=by, outcome=Outcome.SUCCESS, origin=origin)
    await session.refresh(user)
    return user


async def _locked_admins(session: AsyncSession) -> set[int]:
    """Return the active administrators, locked in one order: whoever comes second sees what is left."""
    admins = select(User.id).where(User.is_admin, User.is_active).order_by(User.id)
    return set((await session.scalars(admins.with_for_update(key_share=True))).all())


async def _record(
    session: AsyncSession,
    changes: dict[str, bool],
    user: User,
    *,
    by: User | None,
    outcome: Outcome,
    origin: Origin,
) -> None:
    for name, value in changes.items():
        await audit.record(
            session,
            _ACTIONS[name, value],
            user_id=by.id if by else None,
            resource=f"user:{user.id}",
            outcome=outcome,
            details={"username": user.username},
            origin=origin,
        )
