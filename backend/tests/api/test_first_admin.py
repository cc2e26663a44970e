"""The first administrator, as the settings name one."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tests.conftest import Serve

from music_downloader import app
from music_downloader.errors import ConfigurationError, ServiceUnavailableError
from music_downloader.model import AuditLog, User

ADMIN = {
    "admin_username": "root",
    "admin_email": "root@example.org",
    "admin_password": "correct horse battery",
}


async def test_the_settings_make_the_first_administrator_once(
    serve: Serve, sessions: async_sessionmaker[AsyncSession]
) -> None:
    for _ in range(2):
        service = await serve(**ADMIN)
        admin = await service.log_in("root")
        assert (await admin.get("/auth/me")).json()["is_admin"] is True
    async with sessions() as session:
        assert len((await session.scalars(select(User))).all()) == 1
        made = (await session.scalars(select(AuditLog).where(AuditLog.action == "user.create"))).all()
    assert [entry.details for entry in made] == [{"admin": True}]


async def test_an_account_that_is_there_already_is_left_as_it_is(serve: Serve) -> None:
    service = await serve()
    await service.sign_in("root", secret="somebody else's words")
    again = await serve(**ADMIN)
    root = await again.log_in("root", secret="somebody else's words")
    assert (await root.get("/auth/me")).json()["is_admin"] is False


@pytest.mark.parametrize(
    "change",
    [
        {"admin_password": "short"},
        {"admin_password": "password123"},
        {"admin_username": "a b@c"},
        {"admin_username": "x" * 60},
        {"admin_email": "nonsense"},
        {"admin_email": None},
        {"admin_password": None},
    ],
    ids=str,
)
async def test_an_administrator_that_cannot_be_an_account_stops_the_start(
    serve: Serve, change: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        await serve(**{**ADMIN, **change})
    assert refused.value.detail.endswith(".")
    assert "horse" not in refused.value.detail


async def test_a_database_that_goes_away_again_is_waited_for_again(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, failed = app.ensure_first_admin, []

    async def made_later(*given: Any, **named: Any) -> Any:
        if len(failed) < 2:
            failed.append(True)
            away = OperationalError("", None, Exception("the database is away"))
            raise away if failed[1:] else ServiceUnavailableError
        return await made(*given, **named)

    monkeypatch.setattr(app, "ensure_first_admin", made_later)
    monkeypatch.setattr(app, "_AGAIN_SECONDS", 0.05)
    service = await serve(**ADMIN)
    admin = await service.log_in("root")
    assert (await admin.get("/auth/me")).json()["is_admin"] is True
    assert len(failed) == 2
