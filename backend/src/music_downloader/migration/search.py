"""The index that searching uses. It is of trigrams, so it needs an extension that not every role may add."""

import structlog
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from music_downloader.model.download import SEARCHED

log = structlog.stdlib.get_logger(__name__)

_NAME = "ix_download_history_search"
_STANDS = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")


def make_searchable(connection: Connection) -> bool:
    """Make the index unless it stands, on a connection that commits each statement; tell whether it stands.

    Without it, searching works and looks at every row. The log then says what to do.
    """
    stands = connection.scalar(_STANDS, {"name": _NAME})
    if stands:
        return True
    try:
        connection.execute(text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
    except DBAPIError as error:
        log.warning(
            "search.slow",
            reason=str(error.orig).strip()[:300],
            remedy="As the database's owner, run: CREATE EXTENSION pg_trgm; then start the service again. "
            "Until then, searching a long history takes seconds.",
        )
        return False
    if stands is False:
        connection.execute(text(f"DROP INDEX {_NAME}"))  # half of one, from a try that was cut short
    connection.execute(
        text(f"CREATE INDEX CONCURRENTLY {_NAME} ON download_history USING gin (({SEARCHED}) gin_trgm_ops)")
    )
    return True
