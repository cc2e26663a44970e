"""Reading many rows at the least cost: plain rows from a pool of connections of its own, one statement each.

A session makes an object of every row and a transaction of every look. For long lists that are asked for all
day, both are most of what an answer costs. Statements are still written with the models, and rendered once.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import ColumnElement, Select
from sqlalchemy.dialects.postgresql.psycopg import dialect

from music_downloader.model.database import (
    FIRST_WORD_SECONDS,
    POOL_TIMEOUT_SECONDS,
    first_word_within,
    options,
    patient,
)

_PLACE = re.compile(r"%\((\w+)\)s")
_DIALECT = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it so
_SIZE = 8
# How long to go on trying by itself; after that, it is tried again whenever somebody asks.
_RECONNECT_SECONDS = 5
_AT_ONCE_SECONDS = 0.5


class Prepared:
    """A statement rendered for the driver, with the values that are always the same.

    The server plans it once, for whatever values: an account that has most of the rows must not mislead it
    into walking down everybody's. With `plan_anew`, it is planned for the very values of each call.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]], *, plan_anew: bool = False) -> None:
        self.statement = statement
        compiled = statement.compile(dialect=_DIALECT)
        self._constants = compiled.params
        self._names = list(dict.fromkeys(_PLACE.findall(str(compiled))))
        self.plan_anew = plan_anew
        # Numbered places need no parsing by the driver, which remembers short texts only.
        self.sql = (str(compiled) if plan_anew else self._numbered(str(compiled))).encode()

    def parameters(self, given: Mapping[str, object]) -> dict[str, object] | list[object]:
        """Return every value that a call needs; what isn't given stays NULL or as the statement has it."""
        values = {**self._constants, **given}
        return values if self.plan_anew else [values[name] for name in self._names]

    def _numbered(self, sql: str) -> str:
        numbers = {name: f"${number}" for number, name in enumerate(self._names, 1)}
        return _PLACE.sub(lambda found: numbers[found[1]], sql).replace("%%", "%")


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who asks: an account, and what has to hold for it to be answered, with the values of that.

    The statement that reads finds that out as well, since asking twice would cost nearly twice as much.
    """

    user_id: int
    condition: ColumnElement[bool]
    values: Mapping[str, object]


@lru_cache(maxsize=512)
def _only_if(statement: Prepared, condition: ColumnElement[bool]) -> Prepared:
    return Prepared(statement.statement.where(condition), plan_anew=statement.plan_anew)


class Reading:
    """Connections that only read, each statement in a snapshot of its own and with nothing to commit."""

    def __init__(self, conninfo: str, *, application_name: str) -> None:
        given = options(application_name=application_name)
        self._pool = AsyncConnectionPool(
            conninfo,
            connection_class=patient(),
            min_size=2,
            max_size=_SIZE,
            timeout=POOL_TIMEOUT_SECONDS,
            reconnect_timeout=_RECONNECT_SECONDS,
            open=False,
            kwargs={
                **given,
                "options": f"{given['options']} -c plan_cache_mode=force_generic_plan",
                "autocommit": True,
            },
        )

        self._checking: asyncio.Task[None] | None = None

    async def open(self) -> Self:
        """Begin to connect; a database that is away is no fault yet."""
        await self._pool.open()
        return self

    async def close(self) -> None:
        """Close every connection."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.wait({self._checking})
        await self._pool.close()

    @property
    def used(self) -> tuple[int, int]:
        """How many connections are in use, and how many there may be."""
        stats = self._pool.get_stats()
        return stats["pool_size"] - stats["pool_available"], _SIZE

    async def rows_for(self, caller: Caller, statement: Prepared, **parameters: object) -> list[DictRow]:
        """Return all rows; none at all where the caller's condition doesn't hold. Otherwise as `rows`."""
        return await self.rows(_only_if(statement, caller.condition), **parameters, **caller.values)

    async def rows(self, statement: Prepared, **parameters: object) -> list[DictRow]:
        """Return all rows, by the names of their columns, or raise psycopg's errors within five seconds.

        A connection that turns out to be closed, as all are once the database has restarted, is no error
        as long as that is found out at once: reading once more changes nothing.
        """
        values = statement.parameters(parameters)
        no_longer_than = asyncio.get_running_loop().time() + _AT_ONCE_SECONDS
        try:
            with first_word_within(FIRST_WORD_SECONDS):
                while True:
                    connection = await self._pool.getconn()  # not `connection()`: there is nothing to commit
                    try:
                        return await _read(connection, statement, values)
                    except psycopg.OperationalError:
                        if not connection.closed or asyncio.get_running_loop().time() > no_longer_than:
                            raise
                    finally:
                        await self._pool.putconn(connection)
        except psycopg.OperationalError as error:
            if error.sqlstate is None:  # no answer at all: the other connections may be dead
                self._check()
            raise

    def _check(self) -> None:
        """See to the other connections; whoever has just waited in vain doesn't wait for that as well."""
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._pool.check())


async def _read(
    connection: psycopg.AsyncConnection[Any], statement: Prepared, values: dict[str, object] | list[object]
) -> list[DictRow]:
    kind = psycopg.AsyncClientCursor[DictRow] if statement.plan_anew else psycopg.AsyncRawCursor[DictRow]
    cursor = kind(connection, row_factory=dict_row)
    await cursor.execute(statement.sql, values, prepare=None if statement.plan_anew else True)
    return await cursor.fetchall()
