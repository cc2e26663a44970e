"""The other web processes, as the database sees them: by the names of their listening connections."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_OTHERS = text(
    "SELECT count(DISTINCT application_name) FROM pg_stat_activity"
    " WHERE datname = current_database() AND starts_with(application_name, :prefix)"
    " AND application_name <> :own"
)
_PREFIX = "nas-music events "


def connection_name(fingerprint: str) -> str:
    """Name a web process's listening connection by the key that it signs with."""
    return f"{_PREFIX}{fingerprint}"


async def with_other_keys(session: AsyncSession, *, fingerprint: str) -> int:
    """Count the keys, other than ours, that web processes sign with at this moment."""
    names = {"prefix": _PREFIX, "own": connection_name(fingerprint)}
    return int(await session.scalar(_OTHERS, names) or 0)
