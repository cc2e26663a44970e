"""Running the migrations so that any number of starts at once do it once."""

import asyncio
import time
from dataclasses import dataclass
from functools import cache

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool

from music_downloader.errors import ConfigurationError, NewerDatabaseError
from music_downloader.migration.search import is_searchable, make_searchable

log = structlog.stdlib.get_logger(__name__)

OLDEST_POSTGRES = 15
_LOCK = 0x6E61732D6D757369  # "nas-musi": one advisory lock for all starts on one database
_WAIT_SECONDS = 120
_RETRY_SECONDS = 2
_MAY_NOT = "42501"  # insufficient_privilege
_ASK_AGAIN_SECONDS = 0.2


def upgrade(url: URL, *, connect_timeout: int = 5) -> bool:
    """Bring the database to the newest revision; return whether anything had to be done.

    Blocks (call it off the event loop) for at most two minutes while another start migrates. Raises
    SQLAlchemy's OperationalError where the database is away, ConfigurationError where it is too old or too
    new, or where this role may not change it.
    """
    engine = create_engine(
        url,
        poolclass=NullPool,
        connect_args={"connect_timeout": connect_timeout, "application_name": "nas-music migrate"},
    )
    try:
        with engine.connect() as connection:
            _refuse_old(connection)
            _refuse_newer(connection)
            if is_current(connection) and is_searchable(connection):
                return False
            connection.rollback()
            connection.execute(text(f"SET lock_timeout = '{_WAIT_SECONDS}s'"))
            connection.commit()
            lock(connection)
            try:
                return _upgrade_under_lock(connection)
            except ProgrammingError as error:
                if getattr(error.orig, "sqlstate", "") != _MAY_NOT:
                    raise
                raise ConfigurationError(
                    "The database isn't up to date, and the role that DATABASE_URL names may not change it; "
                    "run nas-music migrate with the owner's DATABASE_URL first."
                ) from error
            finally:
                unlock(connection)
    finally:
        engine.dispose()


async def upgrade_when_reachable(url: URL) -> bool:
    """Bring the database up to date, waiting for it as long as it takes; the log says so."""
    while True:
        try:
            return await asyncio.to_thread(upgrade, url)
        except OperationalError as error:
            reason = str(error.orig).strip()[:300]
            log.warning("database.unreachable", reason=reason, again_in_seconds=_RETRY_SECONDS)
            await asyncio.sleep(_RETRY_SECONDS)


def is_current(connection: Connection) -> bool:
    """Tell whether the database already has the newest revision."""
    return set(MigrationContext.configure(connection).get_current_heads()) == _known().heads


def lock(connection: Connection) -> None:
    """Take the lock by asking for it again and again.

    Whoever waits in the database holds a snapshot, and an index that is built concurrently waits for those.
    """
    deadline = time.monotonic() + _WAIT_SECONDS
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK}):
        connection.rollback()
        if time.monotonic() > deadline:
            raise OperationalError(None, None, LockNotAvailable("another start is migrating the database"))
        time.sleep(_ASK_AGAIN_SECONDS)
    connection.commit()


def unlock(connection: Connection) -> None:
    """Give the lock back, whatever has become of the transaction."""
    connection.rollback()
    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
    connection.commit()


def _upgrade_under_lock(connection: Connection) -> bool:
    behind = not is_current(connection)
    connection.rollback()
    if behind:
        config = configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
    elif not is_searchable(connection):  # an extension that was missing may be there by now
        connection.rollback()
        make_searchable(connection.execution_options(isolation_level="AUTOCOMMIT"))
    return behind


def _refuse_old(connection: Connection) -> None:
    major = int(connection.scalar(text("SHOW server_version_num")) or 0) // 10_000
    if major < OLDEST_POSTGRES:
        raise ConfigurationError(
            f"The database is PostgreSQL {major}; version {OLDEST_POSTGRES} or later is needed."
        )


def _refuse_newer(connection: Connection) -> None:
    """Refuse a database that this version can't know; one of before goes on with it while it runs."""
    if set(MigrationContext.configure(connection).get_current_heads()) - known_revisions():
        raise NewerDatabaseError


def known_revisions() -> frozenset[str]:
    """Return every revision that this version knows."""
    return _known().all


@dataclass(frozen=True, slots=True)
class _Revisions:
    all: frozenset[str]
    heads: frozenset[str]


@cache
def _known() -> _Revisions:
    """Read the scripts once: they are this version's own, and each is compiled for that."""
    scripts = ScriptDirectory.from_config(configuration())
    revisions = frozenset(script.revision for script in scripts.walk_revisions())
    return _Revisions(revisions, frozenset(scripts.get_heads()))


def configuration() -> Config:
    """Tell Alembic where the migrations are."""
    config = Config()
    config.set_main_option("script_location", "music_downloader:migration")
    return config
