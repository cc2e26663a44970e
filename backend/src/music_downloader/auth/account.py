"""Accounts: registering, proving who one is, changing the password."""

from datetime import datetime

import structlog
from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.auth.password import hash_password, place, verify_password
from music_downloader.auth.strength import weakness
from music_downloader.config.rate import Rate
from music_downloader.errors import (
    EmailTakenError,
    InactiveUserError,
    InvalidCredentialsError,
    UsernameTakenError,
    WeakPasswordError,
    WrongPasswordError,
)
from music_downloader.model import Outcome, User, after_every_session, login_at
from music_downloader.service import audit, feed, throttle
from music_downloader.service.audit import Action, Origin
from music_downloader.service.throttle import Guard

log = structlog.stdlib.get_logger(__name__)

_UNSYNCHRONIZED = {"synchronize_session": False}  # nobody reads the object again


async def create(
    session: AsyncSession,
    *,
    username: str,
    email: str,
    password: str,
    is_admin: bool = False,
    action: Action = Action.REGISTER,
    limit: Rate | None = None,
    origin: Origin = audit.HERE,
) -> User:
    """Make an account; UsernameTakenError or EmailTakenError where it clashes, whatever the case.

    ThrottledError when `limit` accounts were made from there lately, or far more clashed.
    """
    guard, clashes = (
        each(limit, origin=origin) for each in (throttle.of_registration, throttle.of_taken_names)
    )
    async with place():
        await throttle.refuse(session, guard)
        await throttle.refuse(session, clashes)
        await _refuse_taken(session, clashes, username=username, email=email)  # before the work of hashing
        password_hash = await hash_password(password)
    await throttle.count(session, guard)  # before the account: this refusal is kept, and nothing else may be
    user: User | None = await session.scalar(
        insert(User)
        .values(username=username, email=email, password_hash=password_hash, is_admin=is_admin)
        .on_conflict_do_nothing()
        .returning(User)
    )
    if user is None:  # somebody else was quicker by the time of a hash
        await _refuse_taken(session, clashes, username=username, email=email)
        raise UsernameTakenError
    await audit.record(
        session,
        action,
        user_id=user.id,
        resource=f"user:{user.id}",
        origin=origin,
        details={"admin": is_admin},
    )
    return user


async def _refuse_taken(session: AsyncSession, clashes: Guard, *, username: str, email: str) -> None:
    found = await session.execute(
        select(func.lower(User.username) == func.lower(username)).where(
            or_(
                func.lower(User.username) == func.lower(username), func.lower(User.email) == func.lower(email)
            )
        )
    )
    matches = found.scalars().all()
    if matches:
        await throttle.count(session, clashes)
        raise UsernameTakenError if any(matches) else EmailTakenError


async def authenticate(
    session: AsyncSession,
    *,
    identifier: str,
    password: str,
    limit: Rate | None,
    now: datetime,
    origin: Origin,
) -> User:
    """Return the user that this username or email and password belong to, and note the login.

    Raises InvalidCredentialsError after the same work whether or not the user exists; InactiveUserError only
    after the right password; ThrottledError, without that work, after `limit` failures. All are audited.
    """
    guard = throttle.of_login(limit, identifier=identifier, origin=origin)
    async with place():
        await throttle.refuse(session, guard)
        user = await session.scalar(
            select(User).where(
                or_(
                    func.lower(User.username) == func.lower(identifier),
                    func.lower(User.email) == func.lower(identifier),
                )
            )
        )
        matches = await verify_password(password, user.password_hash if user else None)
    if user is None or not matches:
        await throttle.count(session, guard)
        await _note_refusal(session, user, reason="credentials" if user else "unknown_user", origin=origin)
        raise InvalidCredentialsError
    await throttle.refuse(session, guard)  # others may have failed meanwhile
    if not user.is_active:
        await _note_refusal(session, user, reason="inactive", origin=origin)
        raise InactiveUserError
    if not await _begin_session(session, user, now=now):
        await _note_refusal(session, user, reason="changed_meanwhile", origin=origin)
        raise InvalidCredentialsError
    await audit.record(session, Action.LOGIN, user_id=user.id, resource=f"user:{user.id}", origin=origin)
    return user


async def _begin_session(session: AsyncSession, user: User, *, now: datetime) -> bool:
    """Note the login; False where the password was replaced or the account deactivated during the check."""
    noted = (
        update(User)
        .where(User.id == user.id, User.password_hash == user.password_hash, User.is_active)
        .values(last_login=login_at(now))
        .returning(User.id)
    )
    return await session.scalar(noted, execution_options=_UNSYNCHRONIZED) is not None


async def _note_refusal(session: AsyncSession, user: User | None, *, reason: str, origin: Origin) -> None:
    # What was typed as a name is not kept: people type passwords there, and these rows stay for good.
    await audit.record(
        session,
        Action.LOGIN,
        user_id=user.id if user else None,
        outcome=Outcome.REFUSED,
        details={"reason": reason},
        origin=origin,
    )


async def change_password(
    session: AsyncSession,
    user: User,
    *,
    current: str,
    new: str,
    limit: Rate | None,
    now: datetime,
    origin: Origin,
) -> None:
    """Replace the password and end every session that began before `now`.

    Raises WeakPasswordError, WrongPasswordError, and ThrottledError after `limit` wrong ones.
    """
    _refuse_weak(user, new)
    guard = throttle.of_password(limit, user_id=user.id, origin=origin)
    async with place():
        await throttle.refuse(session, guard)
        matches = await verify_password(current, user.password_hash)
        password_hash = await hash_password(new) if matches else ""
    await (throttle.refuse if matches else throttle.count)(session, guard)
    replaced = matches and await _set_password(
        session, user, password_hash=password_hash, now=now, instead_of=user.password_hash
    )
    if not replaced:
        await audit.record(
            session,
            Action.CHANGE_PASSWORD,
            user_id=user.id,
            resource=f"user:{user.id}",
            outcome=Outcome.REFUSED,
            origin=origin,
        )
        raise WrongPasswordError
    await audit.record(
        session, Action.CHANGE_PASSWORD, user_id=user.id, resource=f"user:{user.id}", origin=origin
    )


async def reset_password(session: AsyncSession, user: User, *, new: str, now: datetime) -> None:
    """Replace a password that was forgotten, and end every session; WeakPasswordError."""
    _refuse_weak(user, new)
    async with place():
        password_hash = await hash_password(new)
    await _set_password(session, user, password_hash=password_hash, now=now)
    await audit.record(session, Action.RESET_PASSWORD, user_id=None, resource=f"user:{user.id}")


def _refuse_weak(user: User, password: str) -> None:
    if reason := weakness(password, username=user.username, email=user.email):
        raise WeakPasswordError(reason)


async def _set_password(
    session: AsyncSession, user: User, *, password_hash: str, now: datetime, instead_of: str | None = None
) -> bool:
    """Replace the password and end every session; False where it isn't `instead_of` any more."""
    replaced = update(User).where(User.id == user.id)
    if instead_of is not None:
        replaced = replaced.where(User.password_hash == instead_of)
    replaced = replaced.values(password_hash=password_hash, tokens_valid_from=after_every_session(now))
    if await session.scalar(replaced.returning(User.id), execution_options=_UNSYNCHRONIZED) is None:
        return False
    await feed.announce_session_end(session, user_id=user.id)
    return True


async def ensure_first_admin(session: AsyncSession, *, username: str, email: str, password: str) -> None:
    """Make the administrator that the settings name, once: an account that exists is left as it is."""
    try:
        await create(
            session,
            username=username,
            email=email,
            password=password,
            is_admin=True,
            action=Action.CREATE_USER,
        )
    except (UsernameTakenError, EmailTakenError):
        exists = await session.scalar(
            select(User.is_admin).where(func.lower(User.username) == func.lower(username))
        )
        if not exists:
            log.warning("admin.not_made", reason="the name or the address belongs to somebody else already")
