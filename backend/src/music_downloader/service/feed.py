"""Live changes: one connection that listens to the database, fanned out to everybody who follows downloads.

A trigger notifies at each commit that changes a download. Here the changes of a moment are gathered, the rows
are read once, rendered once, and left with each listener of their owner.
"""

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import LiteralString

import psycopg
import structlog
from psycopg.conninfo import make_conninfo
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from music_downloader.errors import ServiceUnavailableError, TooManyStreamsError
from music_downloader.model import Download
from music_downloader.model.database import KEEPALIVE
from music_downloader.service.subscription import Notice, Pace, Subscription

DOWNLOAD_CHANGED = "download_changed"
SESSION_ENDED = "session_ended"
STREAMS_PER_USER = 10

_GATHER_SECONDS = 0.05
_INTERVAL_SECONDS = 0.5  # between two words on the same download, unless its status is another
_BATCH = 200  # rows in one SELECT
_CHANGES_LIMIT = 20_000
_LOOK_SECONDS = 5.0  # how long the connection may be silent before it is asked whether it is there
_ANSWER_SECONDS = 5.0
_FIRST_BACKOFF_SECONDS = 0.2
_LONGEST_BACKOFF_SECONDS = 10.0
_AFTER_FAULT_SECONDS = 1.0

log = structlog.stdlib.get_logger(__name__)


async def announce_session_end(session: AsyncSession, *, user_id: int) -> None:
    """Let every process look again, at the commit, at whom it streams this user's changes to."""
    await session.execute(select(func.pg_notify(SESSION_ENDED, str(user_id))))


class Feed:
    """Who listens in this process, and what they have yet to be told.

    `conninfo` is libpq's; `render` makes one line of JSON of a row, `name` is what the connection is
    called.
    """

    def __init__(
        self,
        conninfo: str,
        sessionmaker: async_sessionmaker[AsyncSession],
        *,
        render: Callable[[Download], str],
        name: str = "nas-music events",
    ) -> None:
        self._conninfo = make_conninfo(conninfo, application_name=name, **KEEPALIVE)
        self._sessionmaker = sessionmaker
        self._render = render
        self._listeners: dict[int, list[Subscription]] = {}
        self._changed: dict[int, None] = {}
        self._deleted: dict[int, int] = {}  # with their owners
        self._held: dict[int, float] = {}  # until when, on the loop's clock
        self._pace = Pace(interval=_INTERVAL_SECONDS)
        self._stir = asyncio.Event()
        self._is_closed = False

    @contextmanager
    def subscribe(self, user_id: int) -> Iterator[Subscription]:
        """Listen to a user's downloads inside the block; TooManyStreamsError beyond ten at once."""
        if self._is_closed:
            raise ServiceUnavailableError("The service is about to stop; try again shortly.")
        listeners = self._listeners.setdefault(user_id, [])
        if len(listeners) >= STREAMS_PER_USER:
            raise TooManyStreamsError
        subscription = Subscription(user_id)
        listeners.append(subscription)
        try:
            yield subscription
        finally:
            listeners.remove(subscription)
            if not listeners:
                del self._listeners[user_id]

    def close(self) -> None:
        """End every subscription, and take no more."""
        self._is_closed = True
        for subscription in self._everybody():
            subscription.end()

    async def run(self) -> None:
        """Listen and tell until cancelled; a database that goes away is waited for."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_listening())
            group.create_task(self._keep_telling())

    def _everybody(self) -> list[Subscription]:
        return [subscription for listeners in self._listeners.values() for subscription in listeners]

    # What the database says

    async def _keep_listening(self) -> None:
        backoff = _FIRST_BACKOFF_SECONDS
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
                try:
                    await self._ask(connection, f"LISTEN {DOWNLOAD_CHANGED}; LISTEN {SESSION_ENDED}")
                    backoff = _FIRST_BACKOFF_SECONDS
                    self._start_over()
                    await self._hear(connection)
                finally:
                    await connection.close()
            except (psycopg.Error, OSError) as error:
                is_news = backoff == _FIRST_BACKOFF_SECONDS
                (log.warning if is_news else log.debug)("events.interrupted", error=type(error).__name__)
            await asyncio.sleep(backoff * random.uniform(0.5, 1))  # noqa: S311 - spreads load, hides nothing
            backoff = min(backoff * 2, _LONGEST_BACKOFF_SECONDS)

    async def _hear(self, connection: psycopg.AsyncConnection) -> None:
        while True:
            async for notification in connection.notifies(timeout=_LOOK_SECONDS):
                self._take_note(notification.channel, notification.payload)
            if self._listeners:
                await self._ask(connection, "SELECT 1")

    async def _ask(self, connection: psycopg.AsyncConnection, statement: LiteralString) -> None:
        async with asyncio.timeout(_ANSWER_SECONDS):
            await connection.execute(statement)

    def _take_note(self, channel: str, payload: str) -> None:
        try:
            if channel == SESSION_ENDED:
                for subscription in self._listeners.get(int(payload), ()):
                    subscription.doubt()
                return
            change = json.loads(payload)
            download_id, user_id, is_deleted = int(change["id"]), int(change["user_id"]), change["deleted"]
        except (ValueError, TypeError, KeyError, RecursionError):
            log.warning("events.not_understood", channel=channel)
            return
        if user_id not in self._listeners:
            return
        if is_deleted:
            self._changed.pop(download_id, None)
            self._deleted[download_id] = user_id
        else:
            self._changed[download_id] = None
        if len(self._changed) + len(self._deleted) > _CHANGES_LIMIT:
            self._start_over()
        self._stir.set()

    def _start_over(self) -> None:
        """Forget what is still to be told; every listener has to ask for what there is now."""
        for waiting in (self._changed, self._deleted, self._held):
            waiting.clear()
        for subscription in self._everybody():
            subscription.reset()

    # What the listeners are told

    async def _keep_telling(self) -> None:
        while True:
            await self._wait_for_something()
            try:
                await self._tell()
            except (SQLAlchemyError, OSError) as error:
                log.warning("events.not_read", error=type(error).__name__)
                await asyncio.sleep(_AFTER_FAULT_SECONDS)
            except Exception:
                log.exception("events.failed")  # a fault of ours in one row must not silence all others
                self._start_over()
            if self._changed:
                self._stir.set()

    async def _wait_for_something(self) -> None:
        """Wait for a change, and a moment longer for those that come with it; or until a held one is due."""
        now = asyncio.get_running_loop().time()
        with suppress(TimeoutError):
            async with asyncio.timeout(min(self._held.values()) - now if self._held else None):
                await self._stir.wait()
                await asyncio.sleep(_GATHER_SECONDS)
        self._stir.clear()

    async def _tell(self) -> None:
        deleted, self._deleted = self._deleted, {}
        for download_id, user_id in deleted.items():
            self._held.pop(download_id, None)
            notice = Notice(event="deleted", data=json.dumps({"id": download_id}))
            self._leave(user_id, download_id, notice)
        now = asyncio.get_running_loop().time()
        due = [download_id for download_id, until in self._held.items() if until <= now]
        chosen = list(dict.fromkeys([*due, *self._changed]))[:_BATCH]
        for download_id in chosen:
            self._held.pop(download_id, None)
            self._changed.pop(download_id, None)
        if not chosen:
            return
        try:
            downloads = await self._read(chosen)
        except BaseException:
            self._changed.update(dict.fromkeys(chosen))
            raise
        self._pace.forget(now=now)
        for download in downloads:
            self._tell_of(download)

    async def _read(self, ids: list[int]) -> list[Download]:
        async with self._sessionmaker() as session:
            rows = await session.scalars(select(Download).where(Download.id.in_(ids)).order_by(Download.id))
            return list(rows)

    def _tell_of(self, download: Download) -> None:
        if download.user_id not in self._listeners or download.id in self._deleted:
            return
        now = asyncio.get_running_loop().time()
        wait = self._pace.hold(download.id, (download.status, download.kind), now=now)
        if wait > 0:
            self._held[download.id] = now + wait
        else:
            notice = Notice(event="download", data=self._render(download))
            self._leave(download.user_id, download.id, notice)

    def _leave(self, user_id: int, download_id: int, notice: Notice) -> None:
        for subscription in self._listeners.get(user_id, ()):
            subscription.tell(download_id, notice)
