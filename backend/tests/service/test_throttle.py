"""Whom a count belongs to, and how long its row stays."""

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from music_downloader.config.rate import Rate
from music_downloader.errors import ThrottledError
from music_downloader.model import Throttle
from music_downloader.service import throttle
from music_downloader.service.audit import Origin

Sessions = async_sessionmaker[AsyncSession]
ONCE = Rate(count=1, seconds=3600)


def registration(address: str | None) -> throttle.Guard:
    return throttle.of_registration(ONCE, origin=Origin(ip_address=address))


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8:0:0:ffff::1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        (None, None, True),
        ("testclient", "192.0.2.1", False),
    ],
)
async def test_an_address_stands_for_itself_and_in_ipv6_for_its_network(
    sessions: Sessions, one: str | None, other: str | None, is_same: bool
) -> None:
    async with sessions() as session:
        await throttle.count(session, registration(one))
        if is_same:
            with pytest.raises(ThrottledError):
                await throttle.refuse(session, registration(other))
        else:
            await throttle.refuse(session, registration(other))


async def test_rows_go_once_their_period_is_over_and_not_before(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        for address in ("192.0.2.1", "192.0.2.2"):
            await throttle.count(session, registration(address))
        oldest = select(Throttle.key).order_by(Throttle.ends_at).limit(1).scalar_subquery()
        past = update(Throttle).where(Throttle.key == oldest).values(ends_at=func.now())
        await session.execute(past.execution_options(synchronize_session=False))
    for removed in (1, 0):
        async with sessions.begin() as session:
            assert await throttle.remove_expired(session) == removed
    async with sessions() as session:
        assert len((await session.scalars(select(Throttle))).all()) == 1


async def test_a_count_that_is_over_begins_anew(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await throttle.count(session, registration("192.0.2.1"))
    async with sessions.begin() as session:
        with pytest.raises(ThrottledError):
            await throttle.count(session, registration("192.0.2.1"))
        await session.execute(update(Throttle).values(ends_at=func.now()))
        await throttle.count(session, registration("192.0.2.1"))
    async with sessions() as session:
        [row] = await session.scalars(select(Throttle))
    assert (row.count, row.noted) == (1, False)


async def test_names_of_any_length_make_rows_of_one_size(sessions: Sessions) -> None:
    async with sessions() as session:
        for name in ("a", "a" * 100_000, "\ud800", "\x00"):
            guard = throttle.of_login(ONCE, identifier=name, origin=Origin(ip_address="192.0.2.1"))
            await throttle.count(session, guard)
        keys = (await session.scalars(select(Throttle.key))).all()
    assert {len(key) for key in keys} == {64}
