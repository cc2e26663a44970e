"""Connections to PostgreSQL, bounded in number and in patience."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Self

import psycopg
from psycopg.abc import RV, PQGen
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

CONNECT_TIMEOUT_SECONDS = 3
POOL_TIMEOUT_SECONDS = 3
FIRST_WORD_SECONDS = 4.0  # with a database that has gone, everybody hears so within five
_PATIENCE_SECONDS = 4.0
_GRACE_SECONDS = 0.5  # the server itself ends a statement before
_LEAST_SECONDS = 0.5

_CANCELLED = "57014"  # by its timeout
_LIMIT_EXCEEDED = "54"  # the class of what is too much for PostgreSQL as it is

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

# Until when (on the loop's clock) whoever waits in this context wants the database's first word.
_first_word_by: ContextVar[float | None] = ContextVar("first_word_by", default=None)


@contextmanager
def first_word_within(seconds: float) -> Iterator[None]:
    """Bound the wait for a connection and its first answer together, in what is done by this task inside.

    A pool, a connection and a statement have each a limit of their own; one after the other they are too long
    for somebody who waits for an answer. Once the database has answered, each statement has its own limit.
    """
    before = _first_word_by.get()
    _first_word_by.set(asyncio.get_running_loop().time() + seconds)
    try:
        yield
    finally:
        _first_word_by.set(before)


def wait_anew() -> None:
    """Count the wait for the first word from now on: what was waited for until here wasn't the database."""
    if _first_word_by.get() is not None:
        _first_word_by.set(asyncio.get_running_loop().time() + FIRST_WORD_SECONDS)


def is_away(error: BaseException) -> bool:
    """Whether this says that the database can't be reached or can't work just now: it may be back later."""
    if isinstance(error, DBAPIError) and _sqlstate(error).startswith(_LIMIT_EXCEEDED):
        return False
    if isinstance(error, (OperationalError, InterfaceError, PoolTimeoutError)):
        return True
    return isinstance(error, DBAPIError) and error.connection_invalidated


def is_overdue(error: BaseException) -> bool:
    """Whether a statement took longer than it may: it waits for somebody, or will never be quicker."""
    return isinstance(error, DBAPIError) and _sqlstate(error) == _CANCELLED


def _sqlstate(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


class PatientConnection(psycopg.AsyncConnection[Any]):
    """One that ends when the server accepts what is sent and never answers; libpq would wait for ever."""

    patience = _PATIENCE_SECONDS

    @classmethod
    async def connect(cls, conninfo: str = "", **options: Any) -> Self:  # noqa: ANN401 - handed on
        """Connect as psycopg does, in what is left for the first word; OperationalError then."""
        left = _left(CONNECT_TIMEOUT_SECONDS)
        try:
            async with asyncio.timeout(left):
                return await super().connect(conninfo, **options)
        except TimeoutError as error:
            raise psycopg.OperationalError(f"no connection within {left:.1f} seconds") from error

    async def wait(self, gen: PQGen[RV], *arguments: Any, **options: Any) -> RV:  # noqa: ANN401 - handed on
        """Wait as psycopg does, but not beyond all patience; OperationalError then."""
        loop = asyncio.get_running_loop()
        hang_up = loop.call_later(_left(self.patience + _GRACE_SECONDS), _hang_up, self.pgconn.socket)
        try:
            answer = await super().wait(gen, *arguments, **options)
        finally:
            hang_up.cancel()
        _first_word_by.set(None)
        return answer


def _left(most: float) -> float:
    by = _first_word_by.get()
    if by is None:
        return most
    return min(most, max(by - asyncio.get_running_loop().time(), _LEAST_SECONDS))


def _hang_up(descriptor: int) -> None:
    with socket.socket(fileno=os.dup(descriptor)) as ours, suppress(OSError):
        ours.shutdown(socket.SHUT_RDWR)  # whoever waits for it hears at once that the connection is closed


def patient(patience: float = _PATIENCE_SECONDS) -> type[psycopg.AsyncConnection[Any]]:
    """Return the kind of connection that waits that many seconds for an answer, and no longer."""

    class Connection(PatientConnection):
        pass

    Connection.patience = patience
    return Connection


def options(*, application_name: str, patience: float = _PATIENCE_SECONDS) -> dict[str, Any]:
    """Return what every connection of ours is opened with."""
    return {
        **KEEPALIVE,
        "application_name": application_name,
        "options": f"-c statement_timeout={int(patience * 1000)} -c timezone=UTC {_LETTING_GO}",
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
