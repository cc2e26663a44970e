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
_POOL_TIMEOUT_SECONDS = 4
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


# What another machine held goes soon after it has died, and what a frozen one holds, some time later.
_LETTING_GO = (
    "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"
    " -c idle_in_transaction_session_timeout=300s"
)


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


def connect(
    url: URL, *, application_name: str, pool_size: int = 5, patience: float = _PATIENCE_SECONDS
) -> AsyncEngine:
    """Return an engine whose every wait ends: for a place in the pool, a connection, a statement.

    `patience` is how many seconds a statement may take.

    Connections are not tried before each use: when the database has restarted, the first to find out throws
    all old connections away, at the price of its own 503.
    """

    class Connection(_Connection):
        pass

    Connection.patience = patience
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=_POOL_TIMEOUT_SECONDS,
        hide_parameters=True,  # an error is logged, and what was in the statement may be a secret
        connect_args={
            **KEEPALIVE,
            "async_creator_fn": Connection.connect,
            "application_name": application_name,
            "options": f"-c statement_timeout={int(patience * 1000)} -c timezone=UTC {_LETTING_GO}",
        },
    )
