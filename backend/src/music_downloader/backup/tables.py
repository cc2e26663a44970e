"""What of the database a backup holds."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, LiteralString

from psycopg import Connection, Error, sql

from music_downloader.jobs import PERIODIC, RUN_DOWNLOAD
from music_downloader.model import Base

# Word of what is about to be filed is about a moment that is over. Brought back, it would have files removed
# that were filed after the backup.
_LEFT_OUT = {"filing_intents"}
JOBS = "procrastinate_jobs"
_JOB_COLUMNS = ("queue_name", "task_name", "priority", "args", "scheduled_at")
# Periodic jobs come by themselves, and what a worker was at is begun anew by whoever finds it without a job.
_KEPT = sql.SQL(
    " WHERE status IN ('todo', 'doing') AND task_name <> ALL ({periodic})"
    " AND (status = 'todo' OR task_name <> {download}) ORDER BY id"
).format(
    periodic=sql.Literal([*PERIODIC]),
    download=sql.Literal(RUN_DOWNLOAD),
)
_COLUMNS = """
    SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0
    AND NOT attisdropped AND attgenerated = '' ORDER BY attnum
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table, its columns, and which of its rows are kept."""

    name: str
    columns: tuple[str, ...]
    condition: sql.Composed = field(default_factory=lambda: sql.Composed([]))

    @property
    def columns_sql(self) -> sql.Composed:
        """The columns, for a statement."""
        return sql.SQL(", ").join(map(sql.Identifier, self.columns))

    @property
    def copy_in(self) -> sql.Composed:
        """The statement that reads rows as such text."""
        return sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(self.name), self.columns_sql)

    @property
    def copy_out(self) -> sql.Composed:
        """The statement that writes its rows as text."""
        return sql.SQL("COPY (SELECT {} FROM {}{}) TO STDOUT").format(
            self.columns_sql, sql.Identifier(self.name), self.condition
        )


def lock(wanted: Iterable[Table], mode: LiteralString) -> sql.Composed:
    """Return the statement that locks these tables for the rest of the transaction."""
    names = sql.SQL(", ").join(sql.Identifier(table.name) for table in wanted)
    return sql.SQL("LOCK TABLE {} IN {} MODE").format(names, sql.SQL(mode))


def kept(connection: Connection[Any]) -> list[Table]:
    """Return what of this database belongs into a backup, with the columns that its revision has."""
    found = [
        Table(name=table.name, columns=columns)
        for table in Base.metadata.sorted_tables
        if table.name not in _LEFT_OUT and (columns := columns_of(connection, table.name))
    ]
    if columns_of(connection, JOBS):
        found.append(Table(name=JOBS, columns=_JOB_COLUMNS, condition=_KEPT))
    return found


def columns_of(connection: Connection[Any], table: str) -> tuple[str, ...]:
    """Return a table's columns in their order; none where there is no such table."""
    return tuple(str(name) for (name,) in connection.execute(_COLUMNS, [table]))


def reason(error: Error) -> str:
    """Return what the server said, in one line."""
    return " ".join((error.diag.message_primary or str(error)).split())[:300].rstrip(".")
