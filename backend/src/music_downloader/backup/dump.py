"""Taking a backup: every table as of one moment, while the service goes on."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO, Any

import psycopg
from sqlalchemy import create_engine
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from music_downloader import version
from music_downloader.backup import tables
from music_downloader.backup.archive import ArchiveWriter
from music_downloader.backup.manifest import FORMAT, KEY_MEMBER, Manifest, TablePart
from music_downloader.errors import BackupError, ConfigurationError, NewerDatabaseError
from music_downloader.migration import known_revisions
from music_downloader.migration.whole import revision_of
from music_downloader.model.database import KEEPALIVE

# Rows are text, so they read the same whatever the server and whoever runs this.
PLAIN = (
    "-c client_encoding=UTF8 -c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c bytea_output=hex"
    " -c extra_float_digits=1 -c statement_timeout=0"
)
_LOCK_SECONDS = 60


def dump(url: URL, file: IO[bytes], *, key: str | None) -> Manifest:
    """Write a backup of a database that others may be using, and return what is in it.

    Raises ConfigurationError where it isn't a database of ours, NewerDatabaseError where a newer version has
    been at it, and SQLAlchemy's OperationalError where it is away.
    """
    engine = create_engine(
        url,
        poolclass=NullPool,
        isolation_level="REPEATABLE READ",
        connect_args={
            **KEEPALIVE,
            "application_name": "nas-music backup",
            "options": f"{PLAIN} -c default_transaction_read_only=on -c lock_timeout={_LOCK_SECONDS}s",
        },
    )
    try:
        with engine.connect() as connection, ArchiveWriter(file) as archive:
            revision = revision_of(connection)  # its statement is what takes the snapshot
            if revision is None:
                raise ConfigurationError("The database has no tables yet; run: nas-music migrate")
            if revision not in known_revisions():
                raise NewerDatabaseError
            driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
            wanted = tables.kept(driver)
            driver.execute(tables.lock(wanted, "ACCESS SHARE"))  # nobody changes their shape meanwhile
            found = [_write(driver, archive, table) for table in wanted]
            manifest = Manifest(
                format=FORMAT,
                service=version(),
                revision=revision,
                made_at=datetime.now(UTC),
                postgresql=driver.info.parameter_status("server_version") or "",
                tables=found,
                key=archive.add(KEY_MEMBER, [key.encode()]) if key else None,
            )
            archive.finish(manifest)
            return manifest
    except psycopg.Error as error:
        raise BackupError(f"The database broke off: {tables.reason(error)}.") from error
    finally:
        engine.dispose()


def _write(connection: psycopg.Connection[Any], archive: ArchiveWriter, table: tables.Table) -> TablePart:
    with connection.cursor() as cursor:
        with cursor.copy(table.copy_out) as copy:
            part = archive.add(f"tables/{table.name}", copy)
        return TablePart(
            **part.model_dump(),
            name=table.name,
            columns=list(table.columns),
            rows=cursor.rowcount,
            sequences=dict(_sequences(connection, table)),
        )


def _sequences(connection: psycopg.Connection[Any], table: tables.Table) -> Iterator[tuple[str, int]]:
    """Yield the last number of each sequence of a table; read after its rows, so never behind them."""
    last = "SELECT pg_sequence_last_value(pg_get_serial_sequence(%s, %s)::regclass)"
    for column in table.columns:
        found = connection.execute(last, [table.name, column]).fetchone()
        if found and found[0] is not None:
            yield column, found[0]
