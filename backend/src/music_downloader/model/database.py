"""Connections to PostgreSQL, bounded in number and in patience."""

from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

CONNECT_TIMEOUT_SECONDS = 3
_POOL_TIMEOUT_SECONDS = 4
_STATEMENT_TIMEOUT_MILLISECONDS = 15_000

# A database that vanished without a word is noticed within seconds; by default it would take minutes.
KEEPALIVE = {
    "connect_timeout": CONNECT_TIMEOUT_SECONDS,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 8_000,
}


def connect(url: URL, *, application_name: str, pool_size: int = 5) -> AsyncEngine:
    """Return an engine whose every wait ends: for a place in the pool, a connection, a statement."""
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=_POOL_TIMEOUT_SECONDS,
        pool_pre_ping=True,
        connect_args={
            **KEEPALIVE,
            "application_name": application_name,
            "options": f"-c statement_timeout={_STATEMENT_TIMEOUT_MILLISECONDS} -c timezone=UTC",
        },
    )
