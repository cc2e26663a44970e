"""The queue's connections, which say at once when the database is gone."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from procrastinate import PsycopgConnector
from procrastinate.connector import Notify
from procrastinate.exceptions import ConnectorException
from psycopg_pool import AsyncConnectionPool

from music_downloader.model.database import KEEPALIVE, PatientConnection

_CONNECTION_LOST = ("08", "57P")  # connection exceptions; the server is being shut down or started
_FOR_EVER = 1e8  # seconds
_MOST = 8
_TIMEOUT_SECONDS = 5.0


class _Connection(PatientConnection):
    """One that may be silent for as long as it only listens."""

    async def notifies(self, **options: Any) -> AsyncIterator[psycopg.Notify]:  # type: ignore[override]  # noqa: ANN401 - handed on
        before, self.patience = self.patience, _FOR_EVER
        try:
            async for notification in super().notifies(**options):
                yield notification
        finally:
            self.patience = before


class Connector(PsycopgConnector):
    """Sets `lost` with the first statement that finds the database gone, long before the queue has ended."""

    def __init__(self, conninfo: str, *, lost: asyncio.Event) -> None:
        super().__init__(conninfo=conninfo)
        self._lost = lost

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:  # noqa: ANN401
        """Run a statement."""
        with self._watched():
            await super().execute_query_async(query, **arguments)

    async def execute_query_one_async(self, query: LiteralString, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401
        """Run a statement that gives one row."""
        with self._watched():
            row: dict[str, Any] = await super().execute_query_one_async(query, **arguments)
            return row

    async def execute_query_all_async(self, query: LiteralString, **arguments: Any) -> list[dict[str, Any]]:  # noqa: ANN401
        """Run a statement that gives rows."""
        with self._watched():
            rows: list[dict[str, Any]] = await super().execute_query_all_async(query, **arguments)
            return rows

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Listen until cancelled, or until there is no connection any more."""
        with self._watched():
            await super().listen_notify(on_notification, channels)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except ConnectorException as error:
            if _is_gone(error.__cause__):
                self._lost.set()
            raise


def _is_gone(error: BaseException | None) -> bool:
    """Whether it is the connection that failed, and not what it was asked to do."""
    if not isinstance(error, psycopg.OperationalError):
        return False
    return error.sqlstate is None or error.sqlstate.startswith(_CONNECTION_LOST)


def pool(conninfo: str) -> AsyncConnectionPool[Any]:
    """Return a pool of our own, still closed, since the connector would try each connection before each use.

    A broken one ends the worker's round, and the next begins with new ones.
    """
    return AsyncConnectionPool(
        conninfo,
        connection_class=_Connection,
        min_size=1,
        max_size=_MOST,
        timeout=_TIMEOUT_SECONDS,
        open=False,
        kwargs={
            **KEEPALIVE,
            "application_name": "nas-music queue",
            # What a crash of the database may take back is that a job was begun or ended, and that is decided
            # by the download's own row.
            "options": "-c synchronous_commit=off",
        },
        configure=_one_statement_each,
    )


async def _one_statement_each(connection: psycopg.AsyncConnection[Any]) -> None:
    """Spare the queue a BEGIN and a COMMIT around each of its single statements."""
    await connection.set_autocommit(True)
