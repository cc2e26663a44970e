"""The tables as the migrations make them: the models' own, made once, and keeping what they promise."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from psycopg import errors
from sqlalchemy import Select, create_engine, event, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.pool import NullPool

from music_downloader.auth import session as tokens
from music_downloader.auth.token import TokenClaims
from music_downloader.errors import InvalidTokenError
from music_downloader.migration import upgrade
from music_downloader.model import AuditLog, Base
from music_downloader.service import cleanup, throttle

OURS = {
    *("users", "download_history", "token_blacklist", "audit_logs", "tracks", "throttles"),
    *("counted_blocks", "counted_changes", "filing_intents", "measurements"),
}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ENDED = "2026-01-01T00:00:00Z"
Rows = list[tuple[Any, ...]]


def address(url: str) -> URL:
    return make_url(url).set(drivername="postgresql+psycopg")


def ask(url: str, query: str) -> Rows:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def tables(url: str) -> set[str]:
    return {name for (name,) in ask(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}


def alembic(url: str, run: Callable[[Config], None]) -> None:
    """Run one of Alembic's commands with the project's own environment."""
    config = Config()
    config.set_main_option("script_location", "music_downloader:migration")
    engine = create_engine(address(url), poolclass=NullPool)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        run(config)
        connection.commit()


def test_an_empty_database_gets_every_table_and_the_queues(empty_database_url: str) -> None:
    assert upgrade(address(empty_database_url)) is True
    made = tables(empty_database_url)
    assert made >= OURS
    assert "procrastinate_jobs" in made


def test_a_second_upgrade_has_nothing_to_do(database_url: str) -> None:
    assert upgrade(address(database_url)) is False


def test_four_upgrades_at_once_do_it_once_and_none_fails(empty_database_url: str) -> None:
    starts = 4
    barrier = Barrier(starts)

    def start(_: int) -> bool:
        barrier.wait()
        return upgrade(address(empty_database_url))

    with ThreadPoolExecutor(starts) as pool:
        changed = list(pool.map(start, range(starts)))
    assert sorted(changed) == [False, False, False, True]
    assert tables(empty_database_url) >= OURS
    assert ask(empty_database_url, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


def test_an_upgrade_that_is_cut_short_leaves_nothing_and_can_be_repeated(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("CREATE TABLE procrastinate_jobs ()")  # the second revision will trip over it
    with pytest.raises(errors.DuplicateTable):
        upgrade(address(empty_database_url))
    assert not tables(empty_database_url) & OURS
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("DROP TABLE procrastinate_jobs")
    assert upgrade(address(empty_database_url)) is True


def test_a_database_that_is_away_is_an_operational_error_within_seconds(unused_tcp_port: int) -> None:
    with pytest.raises(OperationalError):
        upgrade(make_url(f"postgresql+psycopg://nobody@127.0.0.1:{unused_tcp_port}/nowhere"))


def test_downgrading_to_the_base_leaves_no_table_of_ours_and_the_way_up_open(database_url: str) -> None:
    alembic(database_url, lambda config: command.downgrade(config, "base"))
    assert tables(database_url) <= {"alembic_version"}
    left = ask(
        database_url,
        "SELECT proname FROM pg_proc WHERE proname LIKE 'procrastinate%'"
        " UNION SELECT typname FROM pg_type WHERE typname LIKE 'procrastinate%'",
    )
    assert left == []
    assert upgrade(address(database_url)) is True


def test_models_and_migrations_agree(database_url: str) -> None:
    alembic(database_url, command.check)


def test_models_and_migrations_agree_in_what_alembic_does_not_compare(
    database_url: str, empty_database_url: str
) -> None:
    engine = create_engine(address(empty_database_url), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE EXTENSION pg_trgm"))
    Base.metadata.create_all(engine)
    columns = "data_type, character_maximum_length, is_nullable, is_identity, column_default"
    queries = [
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint",
        "SELECT tablename, indexname, indexdef FROM pg_indexes",
        f"SELECT table_name, column_name, {columns} FROM information_schema.columns",  # noqa: S608
    ]
    for query in queries:
        migrated, modelled = (
            {row for row in ask(url, query) if row[0] in OURS} for url in (database_url, empty_database_url)
        )
        assert migrated == modelled
        assert migrated


@pytest.fixture
def people(database_url: str) -> str:
    """A database with two users: 1 and 2."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO users (username, email, password_hash)"
            " VALUES ('Alice', 'Alice@example.org', 'x'), ('bob', 'bob@example.org', 'x')"
        )
        connection.execute(
            "INSERT INTO download_history (user_id, url, format) VALUES (1, 'https://a.example/1', 'best')"
        )
        connection.execute("INSERT INTO token_blacklist (jti, user_id, expires_at) VALUES ('one', 1, now())")
        connection.execute(
            "INSERT INTO tracks (path, sha256, size, codec, tags) VALUES ('a.mp3', 'x', 1, 'mp3', '{}')"
        )
    return database_url


def download(**changed: object) -> str:
    row = {"user_id": 2, "url": "https://a.example/2", "format": "best", **changed}
    values = ", ".join("null" if value is None else repr(value) for value in row.values())
    return f"INSERT INTO download_history ({', '.join(row)}) VALUES ({values})"  # noqa: S608 - our own words


def user(name: str, email: str) -> str:
    return f"INSERT INTO users (username, email, password_hash) VALUES ('{name}', '{email}', 'x')"  # noqa: S608


AGAIN = {"user_id": 1, "url": "https://a.example/1"}
AUDIT = "INSERT INTO audit_logs (user_id, action, outcome) VALUES"
TRACK = "INSERT INTO tracks (path, sha256, size, codec, tags) VALUES"


def test_the_database_itself_refuses_what_can_not_be(people: str) -> None:
    forbidden = [
        (download(status="paused"), "ck_download_history_status"),
        (download(status="PENDING"), "ck_download_history_status"),
        (download(kind="film"), "ck_download_history_kind"),
        (download(format="wav"), "ck_download_history_format"),
        (
            download(status="failed", completed_at=ENDED, error_code="bad luck"),
            "ck_download_history_error_code",
        ),
        (download(status="failed", completed_at=ENDED), "ck_download_history_failed_has_code"),
        (download(status="completed"), "ck_download_history_ended_has_time"),
        (download(status="cancelled"), "ck_download_history_ended_has_time"),
        (download(status="failed", error_code="timeout"), "ck_download_history_ended_has_time"),
        (download(completed_at=ENDED), "ck_download_history_ended_has_time"),
        (download(status="in-progress", completed_at=ENDED), "ck_download_history_ended_has_time"),
        (download(attempts=-1), "ck_download_history_attempts_not_negative"),
        (download(user_id=99), "fk_download_history_user_id_users"),
        (download(parent_id=99), "fk_download_history_parent_id_download_history"),
        (download(track_id=99), "fk_download_history_track_id_tracks"),
        (download(**AGAIN), "uq_download_history_active_submission"),
        (download(**AGAIN, status="in-progress"), "uq_download_history_active_submission"),
        (user("ALICE", "other@example.org"), "uq_users_username_lower"),
        (user("carol", "aLiCe@EXAMPLE.org"), "uq_users_email_lower"),
        (
            "INSERT INTO token_blacklist (jti, user_id, expires_at) VALUES ('one', 2, now())",
            "uq_token_blacklist_jti",
        ),
        (f"{AUDIT} (1, 'x', 'maybe')", "ck_audit_logs_outcome"),
        (f"{AUDIT} (99, 'x', 'success')", "fk_audit_logs_user_id_users"),
        (f"{TRACK} ('a.mp3', 'y', 1, 'mp3', '{{}}')", "uq_tracks_path"),
        (f"{TRACK} ('b.mp3', 'y', 0, 'mp3', '{{}}')", "ck_tracks_size_positive"),
    ]
    with psycopg.connect(people) as connection:
        for statement, constraint in forbidden:
            with pytest.raises(errors.IntegrityError) as caught, connection.transaction():
                connection.execute(statement)
            assert caught.value.diag.constraint_name == constraint, statement


def test_the_database_takes_what_may_be(people: str) -> None:
    allowed = [
        download(**AGAIN, format="mp3"),
        download(**{**AGAIN, "user_id": 2}),
        download(**AGAIN, parent_id=1),
        download(**AGAIN, status="cancelled", completed_at=ENDED),
        download(status="failed", completed_at=ENDED, error_code="timeout"),
        download(error_code="timeout", attempts=1),  # waits for its next attempt
        download(url="https://a.example/" + "x" * 2030),
        f"{AUDIT} (null, 'x', 'refused')",
    ]
    with psycopg.connect(people) as connection:
        for statement in allowed:
            with connection.transaction(force_rollback=True):
                assert connection.execute(statement).rowcount == 1, statement


def test_a_users_downloads_and_tokens_go_with_them_but_what_was_audited_holds_them(people: str) -> None:
    with psycopg.connect(people) as connection:
        connection.execute("DELETE FROM users WHERE id = 1")
        for table in ("download_history", "token_blacklist"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)  # noqa: S608
        connection.execute(f"{AUDIT} (2, 'x', 'success')")
        with pytest.raises(errors.ForeignKeyViolation):
            connection.execute("DELETE FROM users WHERE id = 2")


async def plans(database: AsyncEngine, work: Callable[[AsyncSession], Any]) -> list[str]:
    """Explain each query that `work` really sends, with sequential scans as the last resort."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        sent.append((statement, parameters))

    event.listen(database.sync_engine, "before_cursor_execute", note)
    async with async_sessionmaker(database)() as session:
        await work(session)
    event.remove(database.sync_engine, "before_cursor_execute", note)
    async with database.connect() as connection:
        for way in ("seqscan", "bitmapscan", "sort"):
            await connection.execute(text(f"SET LOCAL enable_{way} = off"))
        return [
            "\n".join((await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)).scalars())
            for statement, parameters in sent
        ]


async def test_a_revoked_token_is_looked_up_by_its_jti(database: AsyncEngine) -> None:
    async def look(session: AsyncSession) -> None:
        claims = TokenClaims(user_id=1, jti="one", issued_at=NOW, expires_at=NOW)
        with pytest.raises(InvalidTokenError):
            await tokens.user_of(session, claims)

    [plan] = await plans(database, look)
    assert "uq_token_blacklist_jti" in plan
    assert "pk_users" in plan
    assert "Seq Scan" not in plan


async def test_expired_tokens_are_found_by_their_time(database: AsyncEngine) -> None:
    [plan] = await plans(database, cleanup.remove_expired_tokens)
    assert "ix_token_blacklist_expires_at" in plan
    assert "Index Cond" in plan


async def test_counts_whose_period_is_over_are_found_by_their_time(database: AsyncEngine) -> None:
    [plan] = await plans(database, throttle.remove_expired)
    assert "ix_throttles_ends_at" in plan
    assert "Index Cond" in plan


@pytest.mark.parametrize(
    ("rows", "index"),
    [
        (select(AuditLog), "ix_audit_logs_newest"),
        (select(AuditLog).where(AuditLog.user_id == 1), "ix_audit_logs_user"),
        (select(AuditLog).where(AuditLog.action == "auth.login"), "ix_audit_logs_action"),
        (select(AuditLog).where(AuditLog.created_at >= NOW), "ix_audit_logs_newest"),
        (select(AuditLog).where(AuditLog.user_id == 1, AuditLog.created_at >= NOW), "ix_audit_logs_user"),
    ],
)
async def test_the_audit_log_is_read_newest_first_from_an_index(
    database: AsyncEngine, rows: Select[Any], index: str
) -> None:
    newest = rows.order_by(AuditLog.created_at.desc(), AuditLog.id.desc()).limit(10)
    [plan] = await plans(database, lambda session: session.execute(newest))
    assert index in plan
    assert "Sort" not in plan
