"""The index that searching uses. It is of trigrams, so it needs an extension that not every role may add."""

import structlog
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from music_downloader.model.download import SEARCHED

log = structlog.stdlib.get_logger(__name__)

INDEX = "ix_download_history_search"
_REMEDY = (
    "Until this is mended, a long history is slow to search. As the database's owner or a superuser, run "
    "CREATE EXTENSION pg_trgm (of PostgreSQL's contrib package), then nas-music migrate as the owner."
)
EXTENSION = "CREATE EXTENSION IF NOT EXISTS pg_trgm"
_STANDS = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")


def is_searchable(connection: Connection) -> bool:
    """Tell whether the index stands, and is whole."""
    return connection.scalar(_STANDS, {"name": INDEX}) is True


def make_searchable(connection: Connection) -> bool:
    """Make the index unless it stands, on a connection that commits each statement; tell whether it stands.

    Without it, searching works and looks at every row. The log then says what to do.
    """
    stands = connection.scalar(_STANDS, {"name": INDEX})
    if stands:
        return True
    try:
        connection.execute(text(EXTENSION))
        if stands is False:
            connection.execute(text(f"DROP INDEX {INDEX}"))  # half of one, from a try that was cut short
        index = f"{INDEX} ON download_history USING gin (({SEARCHED}) gin_trgm_ops)"
        connection.execute(text(f"CREATE INDEX CONCURRENTLY {index}"))
    except DBAPIError as error:
        log.warning("search.slow", reason=str(error.orig).strip()[:300], remedy=_REMEDY)
        return False
    return True
