"""Word of what is about to be filed, so that a crash between a rename and its commit leaves nothing behind.

It is written before anything is moved, and taken back in the transaction that gives the file its row. Whoever
files takes the turn of the file's bytes (`take_turn`), and so does whoever clears up after the dead.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.model import Download, DownloadKind, DownloadStatus, FilingIntent, Track

_LOCKS = 0x66696C65  # keeps these advisory locks apart from others
_PLAYLIST_TAKES = text("interval '10 minutes'")  # far longer than any takes to be written
_MOST_AT_ONCE = 100


async def announce(
    session: AsyncSession,
    *,
    download_id: int,
    fence: int | None,
    path: str,
    sha256: str,
    size: int,
    cover_sha256: str | None = None,
) -> int:
    """Say that something is about to be filed at `path`, or beside it; return what to take back."""
    said = FilingIntent(
        download_id=download_id,
        fence=fence,
        path=path,
        sha256=sha256,
        size=size,
        cover_sha256=cover_sha256,
    )
    session.add(said)
    await session.flush()
    return said.id


async def take_back(session: AsyncSession, intent_id: int) -> None:
    """Say that the file has its row now, or that nothing was filed."""
    await session.execute(delete(FilingIntent).where(FilingIntent.id == intent_id))


async def take_turn(session: AsyncSession, *, sha256: str) -> None:
    """Lock these bytes for the rest of the transaction: nobody files or removes their like meanwhile."""
    await session.execute(select(func.pg_advisory_xact_lock(_LOCKS, func.hashtext(sha256))))


async def left(session: AsyncSession) -> Sequence[FilingIntent]:
    """Return those whose attempt is over: their workers have died before the commit."""
    return (await session.scalars(_left().order_by(FilingIntent.id).limit(_MOST_AT_ONCE))).all()


async def of_playlist(session: AsyncSession, *, collection_id: int) -> Sequence[FilingIntent]:
    """Return what earlier writers of a playlist have left; the caller has its collection locked."""
    said = select(FilingIntent).where(FilingIntent.download_id == collection_id, FilingIntent.fence.is_(None))
    return (await session.scalars(said)).all()


async def is_left(session: AsyncSession, intent_id: int) -> bool:
    """Whether this one is still there, and its attempt over; it is locked then."""
    found = _left().where(FilingIntent.id == intent_id).with_for_update(of=FilingIntent)
    return await session.scalar(found) is not None


async def is_at_work(session: AsyncSession, intent: FilingIntent) -> bool:
    """Whether an attempt that isn't over is about to file the very same bytes: the file is its own then."""
    others = select(FilingIntent.id).where(
        FilingIntent.sha256 == intent.sha256,
        FilingIntent.id != intent.id,
        ~_is_over(),
    )
    return await session.scalar(others.limit(1)) is not None


async def is_said(session: AsyncSession, sha256: str) -> bool:
    """Whether anybody is about to file these bytes, or has died over it."""
    said = select(FilingIntent.id).where(FilingIntent.sha256 == sha256)
    return await session.scalar(said.limit(1)) is not None


async def is_owned(session: AsyncSession, path: str) -> bool:
    """Whether a row stands for the file at `path`."""
    tracks = select(Track.id).where(Track.path == path)
    playlists = select(Download.id).where(Download.playlist_path == path)
    return await session.scalar(select(or_(exists(tracks), exists(playlists)))) is True


def _left() -> Select[FilingIntent]:
    return select(FilingIntent).where(_is_over())


def _is_over() -> ColumnElement[bool]:
    current = exists().where(
        Download.id == FilingIntent.download_id,
        or_(
            and_(Download.status == DownloadStatus.IN_PROGRESS, Download.fence == FilingIntent.fence),
            and_(
                FilingIntent.fence.is_(None),
                Download.kind == DownloadKind.COLLECTION,
                FilingIntent.created_at > func.now() - _PLAYLIST_TAKES,
            ),
        ),
    )
    return ~current
