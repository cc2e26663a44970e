"""Writing down what has become of an attempt, also when the database is away just then."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.model.database import is_away, is_overdue
from music_downloader.task.state import WorkerState

log = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")

_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 3.0
_MOST_OVERDUE = 7  # tries of a minute each, longer than anybody may hold a lock and say nothing


async def persist(state: WorkerState, write: Callable[[AsyncSession], Awaitable[T]]) -> T:
    """Do `write` in a transaction of its own; while the database is away, again and again until it is back.

    There is no other bound than the caller's being cancelled: what was fetched is kept in the meantime, and
    whether the attempt still counts when the database is back is for `write` to find out by its fence. A
    commit may have been done although its answer was lost, so `write` has to bear being done twice.

    What can't get better is raised: what is beyond PostgreSQL's limits at once, and what takes too long after
    a few tries, in which even a frozen worker has lost its locks.
    """
    wait = _FIRST_WAIT_SECONDS
    overdue = 0
    while True:
        try:
            async with state.sessionmaker.begin() as session:
                return await write(session)
        except SQLAlchemyError as error:
            overdue += is_overdue(error)
            if not is_away(error) or overdue > _MOST_OVERDUE:
                raise
            (log.warning if wait == _FIRST_WAIT_SECONDS else log.debug)(
                "database.waited_for", error=type(error).__name__
            )
        await asyncio.sleep(wait * random.uniform(0.7, 1))  # noqa: S311 - it spreads load and guards nothing
        wait = min(wait * 2, _LONGEST_WAIT_SECONDS)
