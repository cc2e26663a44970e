"""Downloads that nobody works on: unfinished rows for which the queue has no job, whatever the reason."""

from collections.abc import Collection

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from music_downloader.jobs import RUN_DOWNLOAD, enqueue_download
from music_downloader.model import ACTIVE, Download, DownloadStatus
from music_downloader.service import collection, download, host
from music_downloader.service.claim import Claim

_MOST_AT_ONCE = 1000
_ORPHANED = f"""
    SELECT id, status = 'in-progress' AS is_running FROM download_history
    WHERE status IN ('pending', 'in-progress') AND (kind = 'track' OR listed_at IS NULL)
    AND NOT held AND {host.FORGOTTEN} AND NOT EXISTS (
        SELECT FROM procrastinate_jobs
        WHERE task_name = :task AND status IN ('todo', 'doing')
        AND (args ->> 'download_id')::bigint = download_history.id
    )
"""  # noqa: S608 - constants of ours
_FIND = text(f"{_ORPHANED} ORDER BY id LIMIT :most")
_IS_ONE = text(f"{_ORPHANED} AND id = :id")


async def find(session: AsyncSession) -> dict[int, bool]:
    """Return the unfinished downloads without a job, by id, and whether one is running by what its row says.

    A new one always has its job.
    """
    found = await session.execute(_FIND, {"task": RUN_DOWNLOAD, "most": _MOST_AT_ONCE})
    return {row.id: row.is_running for row in found}


async def unfinished(session: AsyncSession, download_ids: Collection[int]) -> set[int]:
    """Return those of the downloads that haven't ended."""
    found = select(Download.id).where(Download.id.in_(download_ids), Download.status.in_(ACTIVE))
    return set(await session.scalars(found))


async def take_in(session: AsyncSession, *, download_id: int) -> DownloadStatus | None:
    """Queue one of them again; it fails when it has been the death of several workers.

    Returns the status it has now; None when somebody else was quicker.
    """
    parent_id = await session.scalar(select(Download.parent_id).where(Download.id == download_id))
    if parent_id is not None:
        await collection.lock(session, parent_id)
    row = await session.scalar(
        select(Download)
        .where(Download.id == download_id)
        .options(undefer(Download.entry))
        .with_for_update(skip_locked=True)
    )
    if row is None or not await session.scalar(_IS_ONE, {"task": RUN_DOWNLOAD, "id": download_id}):
        return None
    if row.status is DownloadStatus.PENDING:
        row.parked = False
        of_a_list = row.parent_id is not None
        await enqueue_download(session, download_id, of_a_list=of_a_list, cut_short=True)
        return DownloadStatus.PENDING
    return await download.lose(session, Claim.of(row, download_id=download_id))
