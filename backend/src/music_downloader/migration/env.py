"""Alembic's environment: a connection that is handed in, or one made from the settings."""

from alembic import context
from sqlalchemy import Connection, create_engine

from music_downloader.config.settings import load_settings
from music_downloader.migration.search import INDEX
from music_downloader.model import Base


def include_name(name: str | None, kind: str, _parents: object) -> bool:
    """Leave the queue's own tables alone."""
    return not (kind == "table" and (name or "").startswith("procrastinate_"))


def include_object(_thing: object, name: str | None, kind: str, _reflected: object, _other: object) -> bool:
    """Leave out the index for searching: it may be missing, and PostgreSQL words its expression otherwise."""
    return not (kind == "index" and name == INDEX)


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_name=include_name,
        include_object=include_object,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


handed_in = context.config.attributes.get("connection")
if handed_in is not None:
    _migrate(handed_in)
else:
    with create_engine(load_settings().sqlalchemy_url).connect() as own:
        _migrate(own)
