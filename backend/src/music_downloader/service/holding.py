"""Downloads that wait for the library: they stay pending, say why, have no job, and cost no attempt.

Whoever finds the library well again queues them. So a full disk is asked how it is by one look now and then,
however many downloads wait for it.
"""

from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.errors import DownloadFailedError
from music_downloader.jobs import enqueue_download, enqueue_tracks
from music_downloader.model import Download, DownloadStatus
from music_downloader.service import audit, download
from music_downloader.service.claim import Claim

_MOST_AT_ONCE = 500


async def hold(session: AsyncSession, *, download_id: int, reason: DownloadFailedError) -> None:
    """Let a pending download wait for the library; nothing happens to one that isn't pending."""
    await session.execute(
        update(Download)
        .where(Download.id == download_id, Download.status == DownloadStatus.PENDING)
        .values(held=True, parked=False, **_said(reason))
        .execution_options(synchronize_session=False)
    )


async def hold_back(session: AsyncSession, claimed: Claim, *, reason: DownloadFailedError) -> bool:
    """Give an attempt back, uncounted, to wait for the library; False when it isn't the current one."""
    return await download.hand_back(session, claimed, held=True, **_said(reason))


async def waits(session: AsyncSession) -> bool:
    """Whether any download waits for the library."""
    held = select(Download.id).where(Download.held, Download.status == DownloadStatus.PENDING).limit(1)
    return await session.scalar(held) is not None


async def release(session: AsyncSession) -> int:
    """Queue downloads that have waited for the library, in their order; return how many: at most 500."""
    waiting = (
        select(Download.id)
        .where(Download.held, Download.status == DownloadStatus.PENDING)
        .order_by(Download.id)
        .limit(_MOST_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    ids = list(await session.scalars(waiting))
    if not ids:
        return 0
    rows = await session.execute(
        update(Download)
        .where(Download.id.in_(ids))
        .values(held=False)
        .returning(Download.id, Download.parent_id)
        .execution_options(synchronize_session=False)
    )
    parents = {row.id: row.parent_id for row in rows}
    await enqueue_tracks(session, [number for number in ids if parents[number] is not None])
    for number in ids:
        if parents[number] is None:
            await enqueue_download(session, number)
    return len(ids)


def _said(reason: DownloadFailedError) -> dict[str, Any]:
    return {"error_code": reason.code, "error_message": audit.storable(reason.detail, limit=1000)}
