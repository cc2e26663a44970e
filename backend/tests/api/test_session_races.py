"""Sessions that begin while the password changes or the account is closed: none slips through."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tests.conftest import Service

from music_downloader.auth import account
from music_downloader.model import User

OLD, NEW = "correct horse battery", "another horse entirely"
CHANGE = {"current_password": OLD, "new_password": NEW}
Work = Callable[..., Awaitable[Any]]


class Gate:
    """Slow work that ends only when it is told to."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.reached, self.opened = asyncio.Event(), asyncio.Event()

    async def __call__(self, *given: str) -> object:
        result = await self._work(*given)
        self.reached.set()
        await asyncio.wait_for(self.opened.wait(), 20)
        return result


async def log_in(service: Service) -> httpx.Response:
    return await service.http.post("/auth/login", json={"username": "alice", "password": OLD})


async def is_alive(service: Service, token: str) -> bool:
    answer = await service.http.get("/auth/me", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code == 200


async def test_a_session_begun_during_a_change_of_password_ends_with_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await service.sign_in()
    hashing = Gate(account.hash_password)
    monkeypatch.setattr(account, "hash_password", hashing)
    change = asyncio.create_task(alice.post("/auth/password", json=CHANGE))
    await hashing.reached.wait()
    token = (await log_in(service)).json()["access_token"]
    assert await is_alive(service, token)
    hashing.opened.set()
    assert (await change).status_code == 204
    assert not await is_alive(service, token)
    again = await service.log_in("alice", secret=NEW)
    assert (await again.get("/auth/me")).status_code == 200


@pytest.mark.parametrize("meanwhile", ["password", "deactivation"])
async def test_who_was_checked_before_a_change_does_not_get_in_after_it(
    service: Service,
    sessions: async_sessionmaker[AsyncSession],
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: str,
) -> None:
    alice = await service.sign_in()
    with monkeypatch.context() as patch:
        checking = Gate(account.verify_password)
        patch.setattr(account, "verify_password", checking)
        late = asyncio.create_task(log_in(service))
        await checking.reached.wait()
    if meanwhile == "password":
        assert (await alice.post("/auth/password", json=CHANGE)).status_code == 204
    else:
        async with sessions.begin() as session:
            await session.execute(update(User).values(is_active=False))
    checking.opened.set()
    assert (await late).status_code == 401


async def test_of_two_changes_of_one_password_the_later_finds_it_changed(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await service.sign_in(), await service.log_in("alice")
    with monkeypatch.context() as patch:
        hashing = Gate(account.hash_password)
        patch.setattr(account, "hash_password", hashing)
        late = asyncio.create_task(
            second.post("/auth/password", json={**CHANGE, "new_password": "a third one"})
        )
        await hashing.reached.wait()
    assert (await first.post("/auth/password", json=CHANGE)).status_code == 204
    hashing.opened.set()
    assert (await late).status_code == 403
    assert (await service.log_in("alice", secret=NEW)).headers["authorization"]


async def test_a_login_while_the_clock_was_years_ahead_keeps_nobody_out(
    service: Service, sessions: async_sessionmaker[AsyncSession]
) -> None:
    alice = await service.sign_in()
    ahead = datetime.now(UTC) + timedelta(days=4000)
    async with sessions.begin() as session:
        await session.execute(update(User).values(last_login=ahead))
    assert (await alice.post("/auth/password", json=CHANGE)).status_code == 204
    async with sessions() as session:
        valid_from = await session.scalar(select(User.tokens_valid_from))
    assert valid_from is not None
    assert valid_from < datetime.now(UTC) + timedelta(minutes=11)
    async with sessions.begin() as session:  # those minutes are over
        await session.execute(update(User).values(tokens_valid_from=datetime.now(UTC)))
    again = await service.log_in("alice", secret=NEW)
    shown = (await again.get("/auth/me")).json()
    assert datetime.fromisoformat(shown["last_login"]) < datetime.now(UTC) + timedelta(minutes=1)
