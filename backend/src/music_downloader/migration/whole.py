"""Migrations as a part of the caller's transaction: all of them happen with it, or none."""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from music_downloader.migration.online import WHOLE
from music_downloader.migration.run import configuration, lock, unlock


def revision_of(connection: Connection) -> str | None:
    """Return the database's revision; None where it has none of our tables."""
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    return MigrationContext.configure(connection).get_current_revision()


def move_up(connection: Connection, revision: str) -> None:
    """Make or change the tables up to that revision, or `head`."""
    command.upgrade(_within(connection), revision)


def remove_all(connection: Connection) -> None:
    """Remove every table of ours and of the queue's, with all that is in them."""
    command.downgrade(_within(connection), "base")


@contextmanager
def alone(connection: Connection) -> Iterator[None]:
    """Keep every start from migrating while the block runs; it waits for one that is at it."""
    lock(connection)
    try:
        yield
    finally:
        unlock(connection)


def _within(connection: Connection) -> Config:
    config = configuration()
    config.attributes |= {"connection": connection, WHOLE: True}
    return config
