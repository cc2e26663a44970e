"""Writing down what has become of an attempt: again while that may help, and no longer."""

from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from music_downloader.task import persistence


@pytest.mark.parametrize(
    ("statement", "sqlstate", "tries"),
    [
        ("SELECT repeat('x', 1073741823)", "54000", 1),  # beyond what PostgreSQL can hold
        ("SELECT pg_sleep(10)", "57014", 3),  # somebody may have held a lock
        ("SELECT 1 / 0", "22012", 1),
    ],
)
async def test_what_cannot_get_better_is_not_tried_for_ever(
    sessions: async_sessionmaker[AsyncSession],
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
    sqlstate: str,
    tries: int,
) -> None:
    monkeypatch.setattr(persistence, "_FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(persistence, "_MOST_OVERDUE", 2)
    state: Any = SimpleNamespace(sessionmaker=sessions)
    tried = 0

    async def write(session: AsyncSession) -> None:
        nonlocal tried
        tried += 1
        await session.execute(text("SET LOCAL statement_timeout = 50"))
        await session.execute(text(statement))

    with pytest.raises(DBAPIError) as raised:
        await persistence.persist(state, write)
    assert getattr(raised.value.orig, "sqlstate", None) == sqlstate
    assert tried == tries
