"""Connections to PostgreSQL, bounded in number and in patience."""

import asyncio
import os
import socket
from contextlib import suppress
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

CONNECT_TIMEOUT_SECONDS = 3
POOL_TIMEOUT_SECONDS = 4
_PATIENCE_SECONDS = 5.0
_GRACE_SECONDS = 1.0  # the server itself ends a statement before

# A database that vanished without a word is noticed within seconds; by default it would take minutes.
KEEPALIVE = {
    "connect_timeout": CONNECT_TIMEOUT_SECONDS,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 8_000,
}


class _Connection(psycopg.AsyncConnection[Any]):
    """One that ends when the server accepts what is sent and never answers; libpq would wait for ever."""

    patience = _PATIENCE_SECONDS

    async def wait(self, gen: PQGen[RV], *arguments: Any, **options: Any) -> RV:  # noqa: ANN401 - handed on
        """Wait as psycopg does, but not beyond all patience; OperationalError then."""
        loop = asyncio.get_running_loop()
        hang_up = loop.call_later(self.patience + _GRACE_SECONDS, _hang_up, self.pgconn.socket)
        try:
            return await super().wait(gen, *arguments, **options)
        finally:
            hang_up.cancel()


def _hang_up(descriptor: int) -> None:
    with socket.socket(fileno=os.dup(descriptor)) as ours, suppress(OSError):
        ours.shutdown(socket.SHUT_RDWR)  # whoever waits for it hears at once that the connection is closed


def patient(patience: float = _PATIENCE_SECONDS) -> type[psycopg.AsyncConnection[Any]]:
    """Return the kind of connection that waits that many seconds for an answer, and no longer."""

    class Connection(_Connection):
        pass

    Connection.patience = patience
    return Connection


def options(*, application_name: str, patience: float = _PATIENCE_SECONDS) -> dict[str, Any]:
    """Return what every connection of ours is opened with."""
    return {
        **KEEPALIVE,
        "application_name": application_name,
        "options": f"-c statement_timeout={int(patience * 1000)} -c timezone=UTC",
    }


def connect(
    url: URL, *, application_name: str, pool_size: int = 5, patience: float = _PATIENCE_SECONDS
) -> AsyncEngine:
    """Return an engine whose every wait ends: for a place in the pool, a connection, a statement.

    `pool_size` is how many connections are used as a rule, and twice as many may be. `patience` is how many
    seconds a statement may take.

    Connections are not tried before each use: when the database has restarted, the first to find out throws
    all old connections away, at the price of its own 503.
    """
    return create_async_engine(
        url,
        pool_size=2 * pool_size,  # all are kept: opening one more and closing it again costs ten statements
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        hide_parameters=True,  # an error is logged, and what was in the statement may be a secret
        connect_args={
            **options(application_name=application_name, patience=patience),
            "async_creator_fn": patient(patience).connect,
        },
    )
