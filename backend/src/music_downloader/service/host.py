"""Politeness: how many tracks are fetched from one host at a time, counted over all workers.

A download that finds no place is parked: it stays pending without a job, and whoever leaves the host queues
the next: a track that was asked for by itself before those of a list. All of this happens under a lock of the
host's own, so nobody is passed over.
"""

from sqlalchemy import ColumnElement, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from music_downloader.jobs import enqueue_download
from music_downloader.model import Download, DownloadStatus

_LOCKS = 0x686F7374  # keeps these advisory locks apart from others
_busy = aliased(Download)
_TAKE_TURN = select(func.pg_advisory_xact_lock(_LOCKS, func.hashtext(Download.host))).where(
    Download.id == bindparam("download_id")
)
_LOCK = select(func.pg_advisory_xact_lock(_LOCKS, func.hashtext(bindparam("host"))))
_LEAVE = (
    update(Download)
    .where(
        Download.id == bindparam("download_id"), Download.fence == bindparam("of_attempt"), Download.fetching
    )
    .values(fetching=False)
    .returning(Download.host)
    .execution_options(synchronize_session=False)
)
# Single tracks first, then who has waited longest.
_CALL_NEXT = (
    update(Download)
    .where(
        Download.id
        == select(Download.id)
        .where(
            Download.parked,
            Download.host == bindparam("left"),
            Download.status == DownloadStatus.PENDING,
        )
        .order_by(Download.parent_id.is_not(None), Download.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    .values(parked=False)
    .returning(Download.id, Download.parent_id)
    .execution_options(synchronize_session=False)
)


def has_place(places: int | ColumnElement[int]) -> ColumnElement[bool]:
    """Return the condition that fewer than `places` tracks are fetched from a row's host."""
    fetching = (
        select(func.count()).select_from(_busy).where(_busy.fetching, _busy.host == Download.host)
    ).scalar_subquery()
    return fetching < places


async def take_turn(session: AsyncSession, *, download_id: int) -> None:
    """Lock the host of a download for the rest of the transaction; nobody else counts or parks meanwhile."""
    await session.execute(_TAKE_TURN, {"download_id": download_id})


async def park(session: AsyncSession, *, download_id: int) -> None:
    """Let a pending download wait until somebody leaves its host; one that isn't pending leaves its turn."""
    parked = await session.scalar(
        update(Download)
        .where(Download.id == download_id, Download.status == DownloadStatus.PENDING)
        .values(parked=True)
        .returning(Download.id)
    )
    if parked is None:
        left = await session.scalar(select(Download.host).where(Download.id == download_id))
        if left is not None:
            await call_next(session, left)


async def leave(session: AsyncSession, *, download_id: int, fence: int) -> None:
    """Give an attempt's place at its host to the download that has waited longest, if it has one still."""
    host = await session.scalar(_LEAVE, {"download_id": download_id, "of_attempt": fence})
    if host is not None:
        await call_next(session, host)


async def lock(session: AsyncSession, host: str) -> None:
    """Lock a host for the rest of the transaction."""
    await session.execute(_LOCK, {"host": host})


async def call_next(session: AsyncSession, host: str) -> None:
    """Queue who comes next for a place at `host`."""
    await lock(session, host)
    row = (await session.execute(_CALL_NEXT, {"left": host})).one_or_none()
    if row is not None:
        await enqueue_download(session, row.id, of_a_list=row.parent_id is not None)


# All but those that are parked while somebody is at their host, who will call the next.
FORGOTTEN = (
    "NOT (parked AND EXISTS (SELECT FROM download_history busy"
    " WHERE busy.fetching AND busy.host = download_history.host))"
)
