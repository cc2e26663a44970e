"""The audit log: nobody rewrites it, its values are bounded, and the service needs no right to."""

import json
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tests.conftest import Serve

from music_downloader.model import AuditLog
from music_downloader.service import audit
from music_downloader.service.audit import Action, Origin

Sessions = async_sessionmaker[AsyncSession]
GUIDE = Path(__file__).resolve().parents[3] / "docs" / "database-role.md"
ENTRY = "INSERT INTO audit_logs (user_id, action, outcome) VALUES (null, 'x', 'success')"
UPSERT = (
    "INSERT INTO audit_logs (id, action, outcome) OVERRIDING SYSTEM VALUE"
    " SELECT id, 'y', 'success' FROM audit_logs ON CONFLICT (id) DO UPDATE SET action = 'y'"
)
FORBIDDEN = (
    "UPDATE audit_logs SET action = 'y'",
    "DELETE FROM audit_logs",
    "TRUNCATE audit_logs",
    "ALTER TABLE audit_logs DISABLE TRIGGER ALL",
    "DROP TRIGGER refuse_audit_change ON audit_logs",
    "DROP TABLE audit_logs",
)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_logs SET action = 'y'",
        "UPDATE audit_logs SET action = action WHERE false",
        "DELETE FROM audit_logs",
        "TRUNCATE audit_logs",
        "TRUNCATE users CASCADE",
        "SET session_replication_role = replica; DELETE FROM audit_logs",
        UPSERT,
        "MERGE INTO audit_logs USING (SELECT 1) AS s ON true WHEN MATCHED THEN DELETE",
    ],
)
def test_not_even_the_owner_rewrites_the_log(database_url: str, statement: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(ENTRY)
        with pytest.raises(errors.InsufficientPrivilege, match=r"never changed or removed\."):
            connection.execute(statement)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT action FROM audit_logs").fetchall() == [("x",)]


def test_a_user_that_the_log_tells_of_stays(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO users (username, email, password_hash) VALUES ('a', 'b', 'c')")
        connection.execute("INSERT INTO audit_logs (user_id, action, outcome) VALUES (1, 'x', 'success')")
        with pytest.raises(errors.ForeignKeyViolation):
            connection.execute("DELETE FROM users")


async def test_values_are_bounded_and_made_storable(sessions: Sessions) -> None:
    long: dict[str, Any] = {
        "text": "x" * 5000,
        "controls": "a\x00b\r\nc\x1b[31m",
        "list": ["y" * 5000] * 500,
        "object": {str(n): "\ud800" for n in range(500)},
        "number": 7,
    }
    origin = Origin(ip_address="z" * 100, user_agent="agent\n" * 500, request_id="r")
    async with sessions.begin() as session:
        await audit.record(
            session, Action.SUBMIT, user_id=None, resource="r" * 500, details=long, origin=origin
        )
    async with sessions() as session:
        [row] = await session.scalars(select(AuditLog))
    assert len(row.details["text"]) == 2048
    assert row.details["controls"] == "a\ufffdb\ufffd\ufffdc\ufffd[31m"
    assert len(row.details["list"]) == len(row.details["object"]) == 50
    assert row.details["number"] == 7
    assert len(json.dumps(row.details)) < 200_000
    assert (len(row.resource or ""), len(row.ip_address or ""), len(row.user_agent or "")) == (100, 45, 500)


async def test_the_service_runs_with_a_role_that_can_only_add_to_the_log(
    serve: Serve, database_url: str, sessions: Sessions
) -> None:
    [sql] = re.findall(r"^```sql\n(.*?)^```$", GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    role = f"app_{abs(hash(database_url))}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.replace("nas_music_app", role).replace("choose-a-password", "pw").encode())
    try:
        restricted = make_url(database_url).set(username=role, password="pw")
        url = restricted.render_as_string(hide_password=False)
        service = await serve(database_url=url, embedded_worker=True)
        alice = await service.sign_in()
        queued = await alice.post("/api/download", json={"url": "https://a.example/song.mp3"})
        assert queued.status_code == 202
        cancelled = await alice.post(f"/api/downloads/{queued.json()['id']}/cancel")
        assert cancelled.status_code in {200, 409}  # there is nothing at that address
        assert (await alice.post("/auth/logout")).status_code == 200
        async with sessions() as session:
            assert {"auth.register", "download.submit"} <= set(await session.scalars(select(AuditLog.action)))
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in FORBIDDEN:
                with pytest.raises(errors.InsufficientPrivilege):
                    connection.execute(statement.encode())
    finally:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(f'DROP OWNED BY "{role}"')
            connection.execute(f'DROP ROLE "{role}"')
