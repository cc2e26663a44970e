"""Whether a database may be written over: who is using it, and whether there is anything in it."""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from music_downloader.backup import tables
from music_downloader.errors import DatabaseInUseError
from music_downloader.jobs import SILENT_AFTER_SECONDS

# Made by the service itself, at each start or by and by; nobody would miss them.
_SAYS_NOTHING = {"library_mark", "throttles", "counted_blocks", "counted_changes", "measurements"}
# Of another role's sessions, an ordinary one isn't told the name.
_SESSIONS = """
    SELECT DISTINCT coalesce(application_name, '') FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND usesysid IS NOT NULL
    AND (application_name IS NULL OR application_name LIKE 'nas-music%')
"""
_WORKERS = """
    SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - make_interval(secs => %s)
"""


def refuse_in_use(connection: psycopg.Connection[Any]) -> None:
    """Raise DatabaseInUseError while a process of the service is connected, or a worker was lately."""
    names = sorted(str(name) for (name,) in connection.execute(_SESSIONS))
    if names:
        known = ", ".join(sorted({name.removeprefix("nas-music ").split()[0] for name in names if name}))
        who = f"the service ({known})" if known else "another role, which may be the service's,"
        raise DatabaseInUseError(
            f"The database is in use: {who} is connected. Stop the service and its workers first. "
            "Nothing has been changed."
        )
    if tables.columns_of(connection, "procrastinate_workers"):
        alive = connection.execute(_WORKERS, [SILENT_AFTER_SECONDS]).fetchone()
        if alive and alive[0]:
            raise DatabaseInUseError(
                f"The database is in use: a worker was at it within the last {SILENT_AFTER_SECONDS} seconds. "
                "Stop it, wait a moment, and try again. Nothing has been changed."
            )


def holds_something(connection: psycopg.Connection[Any], found: Sequence[tables.Table]) -> bool:
    """Whether there is anything in these tables that somebody would miss."""
    return any(
        table.name not in _SAYS_NOTHING and has_rows(connection, table.name)
        for table in found
        if table.name != tables.JOBS
    )


def has_rows(connection: psycopg.Connection[Any], table: str) -> bool:
    """Whether a table has any row."""
    row = connection.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier(table)))
    return row.fetchone() == (True,)
