"""Limits on guessing, and on what refusals write: how often an address may fail to log in or may register.

Counts live in the database, on the database's clock, so every process sees the same ones. A count that is
full is found before any work is done (`refuse`). What fails is counted by one statement that asks again
(`count`): of many tries at once, no more than the limit learn whether they were right.
"""

import hashlib
import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import NoReturn

import structlog
from sqlalchemy import and_, case, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.config.rate import Rate
from music_downloader.errors import ThrottledError
from music_downloader.model import Outcome, Throttle
from music_downloader.service import audit
from music_downloader.service.audit import Action, Origin

log = structlog.stdlib.get_logger(__name__)

_ACCOUNTS_PER_ADDRESS = 5  # one address may fail at so many accounts to the full
_TAKEN_PER_REGISTRATION = 5  # nobody needs so many tries to find a free name
_REFUSALS_WRITTEN = Rate(count=30, seconds=3600)  # of each kind, for each person
_IDENTIFIER_LIMIT = 254


@dataclass(frozen=True, kw_only=True, slots=True)
class Guard:
    """One kind of try by one address: what is counted, in order, and what is said beyond a limit."""

    action: Action
    sentence: str
    counts: Sequence[tuple[str, Rate]]
    origin: Origin
    user_id: int | None = None


def of_login(limit: Rate | None, *, identifier: str, origin: Origin) -> Guard:
    """Guard logins: for each account and address, and more loosely for each address.

    The account is what was typed, whether or not it exists. Another address has counts of its own, so nobody
    can keep somebody else out.
    """
    network = _network(origin.ip_address)
    account, address = _key("account", _folded(identifier), network), _key("address", network)
    return Guard(
        action=Action.LOGIN,
        sentence="Too many logins from here have failed; wait a while, then try again.",
        counts=[(account, limit), (address, limit.times(_ACCOUNTS_PER_ADDRESS))] if limit else [],
        origin=origin,
    )


def of_password(limit: Rate | None, *, user_id: int, origin: Origin) -> Guard:
    """Guard changes of password: whoever holds somebody's token can't guess the password with it."""
    key = _key("password", str(user_id), _network(origin.ip_address))
    return Guard(
        action=Action.CHANGE_PASSWORD,
        sentence="A wrong password was given too often; wait a while, then try again.",
        counts=[(key, limit)] if limit else [],
        origin=origin,
        user_id=user_id,
    )


def of_registration(limit: Rate | None, *, origin: Origin) -> Guard:
    """Guard the making of accounts."""
    return Guard(
        action=Action.REGISTER,
        sentence="Too many accounts were made from here; wait a while, then try again.",
        counts=[(_key("registration", _network(origin.ip_address)), limit)] if limit else [],
        origin=origin,
    )


def of_taken_names(limit: Rate | None, *, origin: Origin) -> Guard:
    """Guard what a registration tells of others: that a name or an address is taken. It makes no account."""
    key = _key("taken", _network(origin.ip_address))
    return Guard(
        action=Action.REGISTER,
        sentence="Too many names were tried from here that are taken; wait a while, then try again.",
        counts=[(key, limit.times(_TAKEN_PER_REGISTRATION))] if limit else [],
        origin=origin,
    )


async def refuse(session: AsyncSession, guard: Guard) -> None:
    """Raise ThrottledError while one of the counts is full."""
    if not guard.counts:
        return
    is_full = or_(*(and_(Throttle.key == key, Throttle.count >= rate.count) for key, rate in guard.counts))
    latest = (
        select(Throttle.key)
        .where(is_full, Throttle.ends_at > func.clock_timestamp())
        .order_by(Throttle.ends_at.desc())
        .limit(1)
    )
    full = await session.scalar(latest)
    if full is not None:
        await _refuse_for(session, guard, full)


async def count(session: AsyncSession, guard: Guard) -> None:
    """Count one more; ThrottledError where others were quicker and the count is full by now."""
    for key, rate in guard.counts:
        if not await _count(session, key, rate):
            await _refuse_for(session, guard, key)


async def record_refusal(
    session: AsyncSession,
    action: Action,
    *,
    user_id: int,
    origin: Origin,
    details: Mapping[str, object],
    resource: str | None = None,
) -> None:
    """Audit what a person was refused: of each action thirty an hour, then once that there are more.

    The answer is the same either way; a log that nobody may trim can't grow as fast as somebody can ask.
    """
    key = _key("refusal", action.value, str(user_id))
    if not await _count(session, key, _REFUSALS_WRITTEN):
        if not await _is_first_refusal(session, key):
            return
        log.warning("refusals_unwritten", action=action.value, user_id=user_id)
        resource, details = None, {"reason": "throttled"}
    await audit.record(
        session,
        action,
        user_id=user_id,
        resource=resource,
        outcome=Outcome.REFUSED,
        details=details,
        origin=origin,
    )


async def remove_expired(session: AsyncSession) -> int:
    """Remove counts whose period is over; return how many. Idempotent, and safe in several workers."""
    removed = await session.execute(
        delete(Throttle).where(Throttle.ends_at <= func.now()).returning(Throttle.key)
    )
    return len(removed.all())


async def _refuse_for(session: AsyncSession, guard: Guard, key: str) -> NoReturn:
    """Raise ThrottledError; the first of a period is audited, since a flood must not fill the log."""
    remaining = await session.scalar(
        select(func.extract("epoch", Throttle.ends_at - func.clock_timestamp())).where(Throttle.key == key)
    )
    if await _is_first_refusal(session, key):
        log.warning("throttled", action=guard.action.value, ip_address=guard.origin.ip_address)
        await audit.record(
            session,
            guard.action,
            user_id=guard.user_id,
            outcome=Outcome.REFUSED,
            details={"reason": "throttled"},
            origin=guard.origin,
        )
    raise ThrottledError(guard.sentence, retry_after=max(math.ceil(remaining or 0), 1))


async def _count(session: AsyncSession, key: str, rate: Rate) -> bool:
    """Count one more, or begin anew once the period is over; False where the count is full. One statement."""
    ends_at = func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, rate.seconds)
    is_over = Throttle.ends_at <= func.clock_timestamp()
    counted = await session.scalar(
        insert(Throttle)
        .values(key=key, count=1, ends_at=ends_at)
        .on_conflict_do_update(
            index_elements=[Throttle.key],
            set_={
                "count": case((is_over, 1), else_=Throttle.count + 1),
                "noted": and_(~is_over, Throttle.noted),
                "ends_at": case((is_over, ends_at), else_=Throttle.ends_at),
            },
            where=or_(is_over, Throttle.count < rate.count),
        )
        .returning(Throttle.key)
    )
    return counted is not None


async def _is_first_refusal(session: AsyncSession, key: str) -> bool:
    noted = update(Throttle).where(Throttle.key == key, ~Throttle.noted).values(noted=True)
    return await session.scalar(noted.returning(Throttle.key)) is not None


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _folded(identifier: str) -> str:
    """Return what was typed as a name, so that no other way to write it has a count of its own."""
    plain = unicodedata.normalize("NFKD", identifier[:_IDENTIFIER_LIMIT]).casefold()
    return "".join(character for character in plain if not unicodedata.combining(character))


def _network(address: str | None) -> str:
    """Return whom an address stands for: itself, or its /64, since whoever has one IPv6 address has many."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return address or ""
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed), 64), strict=False))
