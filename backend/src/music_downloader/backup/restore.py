"""Restoring a backup: one transaction, after which everything is there, or nothing has been changed."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Connection, create_engine, insert, update
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from music_downloader import version
from music_downloader.backup import tables
from music_downloader.backup.archive import Archive
from music_downloader.backup.dump import PLAIN
from music_downloader.backup.manifest import Manifest, TablePart
from music_downloader.backup.occupancy import has_rows, holds_something, refuse_in_use
from music_downloader.errors import (
    BackupError,
    DatabaseInUseError,
    DatabaseNotEmptyError,
    InvalidBackupError,
    NewerDatabaseError,
)
from music_downloader.migration import OLDEST_POSTGRES, known_revisions, upgrade
from music_downloader.migration.whole import alone, move_up, remove_all, revision_of
from music_downloader.model import AuditLog, Outcome, User
from music_downloader.model.database import KEEPALIVE
from music_downloader.model.user import after_every_session
from music_downloader.service.audit import Action

_LOCK_SECONDS = 10
# Triggers count rows and tell others of them; what they would do is in the backup already. Those that always
# fire only refuse what isn't done here.
_TRIGGERS = """
    SELECT tgrelid::regclass::text, tgname FROM pg_trigger
    WHERE tgrelid = to_regclass(%s) AND NOT tgisinternal AND tgenabled = 'O'
"""
# With rows by the million, the server would note each of them to look it up later.
_REFERENCES = """
    SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = to_regclass(%s) AND contype = 'f'
"""


def refuse_newer(manifest: Manifest) -> None:
    """Raise InvalidBackupError for a backup that needs a later version of the service."""
    if manifest.revision not in known_revisions():
        raise InvalidBackupError(
            f"This backup was made by version {manifest.service}, newer than this one ({version()}): "
            "update the service first. Nothing has been changed."
        )


def restore(url: URL, archive: Archive, *, replace: bool) -> None:
    """Put a backup that has been checked into a database that nobody is using, and bring it up to date.

    With `replace`, what is in the database is given up; but for the same transaction, so that a fault leaves
    it as it was. Every session ends: one that was logged out after the backup must stay so.
    """
    engine = create_engine(
        url,
        poolclass=NullPool,
        connect_args={
            **KEEPALIVE,
            "application_name": "nas-music restore",
            "options": f"{PLAIN} -c lock_timeout={_LOCK_SECONDS}s",
        },
    )
    try:
        with engine.connect() as connection, alone(connection), connection.begin():
            _make_room(connection, replace=replace)
            move_up(connection, archive.manifest.revision)
            _load(_driver(connection), archive)
            move_up(connection, "head")
            _round_off(connection, archive.manifest)
    except (psycopg.Error, DBAPIError) as error:
        said = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(said, psycopg.errors.LockNotAvailable):
            raise DatabaseInUseError from error
        if not isinstance(said, psycopg.Error) or isinstance(error, OperationalError):
            raise
        raise BackupError(
            f"The database refuses: {tables.reason(said)}. Nothing has been changed."
        ) from error
    finally:
        engine.dispose()
    upgrade(url)  # what can only be done outside of a transaction


def _driver(connection: Connection) -> psycopg.Connection[Any]:
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    return driver


def _make_room(connection: Connection, *, replace: bool) -> None:
    """See that nobody is at it, and leave none of our tables. Nobody can begin to use it from here on."""
    driver = _driver(connection)
    if driver.info.server_version < OLDEST_POSTGRES * 10_000:
        raise InvalidBackupError(f"The database must be PostgreSQL {OLDEST_POSTGRES} or later.")
    refuse_in_use(driver)
    revision = revision_of(connection)
    if revision is None:
        return
    if revision not in known_revisions():
        raise NewerDatabaseError
    found = tables.kept(driver)
    driver.execute(tables.lock(found, "ACCESS EXCLUSIVE"))
    if holds_something(driver, found) and not replace:
        raise DatabaseNotEmptyError
    remove_all(connection)


def _load(connection: psycopg.Connection[Any], archive: Archive) -> None:
    known = {table.name for table in tables.kept(connection)}
    for part in archive.manifest.tables:
        if part.name not in known:
            raise InvalidBackupError(
                f"The backup is damaged: there is no table {part.name}. Nothing has been changed."
            )
    with _bare(connection, [part.name for part in archive.manifest.tables]):
        for part in archive.manifest.tables:
            _load_table(connection, archive, part)


def _load_table(connection: psycopg.Connection[Any], archive: Archive, part: TablePart) -> None:
    table = tables.Table(name=part.name, columns=tuple(part.columns))
    unknown = set(part.columns) - set(tables.columns_of(connection, part.name))
    if unknown:
        raise InvalidBackupError(
            f"The backup is damaged: revision {archive.manifest.revision} has no {part.name}."
            f"{min(unknown)}. Nothing has been changed."
        )
    if has_rows(connection, part.name):  # what a migration has begun with
        connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(part.name)))
    with connection.cursor() as cursor:
        with cursor.copy(table.copy_in) as copy:
            for block in archive.read(part.member):
                copy.write(block)
        if cursor.rowcount != part.rows:
            raise InvalidBackupError(
                f"The backup is damaged: {part.name} has {cursor.rowcount} rows, and {part.rows} were "
                "written. Nothing has been changed."
            )
    for column, last in part.sequences.items():
        connection.execute(
            "SELECT setval(pg_get_serial_sequence(%s, %s)::regclass, %s)", [part.name, column, last]
        )


@contextmanager
def _bare(connection: psycopg.Connection[Any], names: list[str]) -> Iterator[None]:
    """Load without triggers and references; the latter are looked at once, when all is there."""
    rest: list[sql.Composed] = []
    wake: list[sql.Composed] = []
    loosen: list[sql.Composed] = []
    tie: list[sql.Composed] = []
    for name in names:
        table = sql.Identifier(name)
        for _, trigger in connection.execute(_TRIGGERS, [name]):
            for statements, word in ((rest, "DISABLE"), (wake, "ENABLE")):
                statement = sql.SQL("ALTER TABLE {} {} TRIGGER {}")
                statements.append(statement.format(table, sql.SQL(word), sql.Identifier(trigger)))
        for reference, definition in connection.execute(_REFERENCES, [name]):
            constraint = sql.Identifier(reference)
            loosen.append(sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(table, constraint))
            again = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}")
            tie.append(again.format(table, constraint, sql.SQL(definition)))
    for before in (*rest, *loosen):
        connection.execute(before)
    yield
    for after in (*tie, *wake):
        connection.execute(after)


def _round_off(connection: Connection, manifest: Manifest) -> None:
    now = datetime.now(UTC)
    connection.execute(update(User).values(tokens_valid_from=after_every_session(now)))
    details = {"made_at": manifest.made_at.isoformat(), "version": manifest.service}
    connection.execute(
        insert(AuditLog).values(action=Action.RESTORE, details=details, outcome=Outcome.SUCCESS)
    )
    for table in tables.kept(_driver(connection)):  # or the first lists are slow
        _driver(connection).execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table.name)))
