"""Collections: how a list stands by its tracks, and what it leaves.

Whoever moves a track of a collection locks the collection first, so that each sees what the others did, and
settles it before the commit.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.errors import ErrorCode
from music_downloader.jobs import FINISH, UPKEEP, enqueue
from music_downloader.model import ACTIVE, Download, DownloadStatus, Outcome
from music_downloader.service import audit
from music_downloader.service.audit import Action

_ENDED_AS = {
    DownloadStatus.COMPLETED: (Action.COMPLETE, Outcome.SUCCESS),
    DownloadStatus.FAILED: (Action.FAIL, Outcome.FAILURE),
    DownloadStatus.CANCELLED: (Action.CANCEL, Outcome.SUCCESS),
}


async def lock(session: AsyncSession, collection_id: int) -> Download | None:
    """Lock a collection for the rest of the transaction and return it as it is now."""
    found: Download | None = await session.scalar(
        select(Download)
        .where(Download.id == collection_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return found


async def settle(session: AsyncSession, collection_id: int, *, locked: Download | None = None) -> None:
    """Bring a collection's counts and status in line with its tracks, and say once that it has ended.

    `locked` is its row, where the caller has just locked it.
    """
    collection = locked or await lock(session, collection_id)
    if collection is None:
        return
    counted = await session.execute(
        select(Download.status, func.count())
        .where(Download.parent_id == collection_id)
        .group_by(Download.status)
    )
    counts = {row[0]: row[1] for row in counted}
    values: dict[str, Any] = {
        "items_total": sum(counts.values()),
        "items_completed": counts.get(DownloadStatus.COMPLETED, 0),
        "items_failed": counts.get(DownloadStatus.FAILED, 0),
    }
    before = collection.status
    if collection.listed_at is not None and (counts or before in ACTIVE):
        values |= await _standing(session, collection, counts)
    status = values.get("status", before)
    if all(getattr(collection, name) == value for name, value in values.items() if name != "completed_at"):
        return
    await session.execute(update(Download).where(Download.id == collection_id).values(**values))
    if status not in _ENDED_AS or any(active in counts for active in ACTIVE):
        return
    if status is not before:
        await _tell(session, collection, status, values)
    if values["items_completed"]:
        await enqueue(session, FINISH, queue=UPKEEP, arguments={"collection_id": collection.id})


async def _standing(
    session: AsyncSession, collection: Download, counts: Mapping[DownloadStatus, int]
) -> dict[str, Any]:
    """Active while a track is; then cancelled if one is, failed if one is, completed otherwise."""
    if any(status in counts for status in ACTIVE):
        return {
            "status": DownloadStatus.IN_PROGRESS,
            "completed_at": None,
            "error_code": None,
            "error_message": collection.note,
        }
    values: dict[str, Any] = {
        "status": DownloadStatus.COMPLETED,
        "completed_at": func.clock_timestamp(),
        "error_code": None,
        "error_message": collection.note,
    }
    if not counts:
        values |= {
            "status": DownloadStatus.FAILED,
            "error_code": ErrorCode.NO_AUDIO,
            "error_message": "There is no track in this list.",
        }
    elif DownloadStatus.CANCELLED in counts:
        values["status"] = DownloadStatus.CANCELLED
    elif DownloadStatus.FAILED in counts:
        code, sentence = await _first_failure(session, collection.id)
        failed, total = counts[DownloadStatus.FAILED], sum(counts.values())
        sentences = (f"{failed} of {total} tracks failed. The first of them: {sentence}", collection.note)
        values |= {
            "status": DownloadStatus.FAILED,
            "error_code": code,
            "error_message": " ".join(filter(None, sentences))[:1000],
        }
    return values


async def _first_failure(session: AsyncSession, collection_id: int) -> tuple[ErrorCode, str]:
    row = (
        await session.execute(
            select(Download.error_code, Download.error_message)
            .where(Download.parent_id == collection_id, Download.status == DownloadStatus.FAILED)
            .order_by(Download.position, Download.id)
            .limit(1)
        )
    ).one()
    return row.error_code or ErrorCode.INTERNAL, row.error_message or ""


async def _tell(
    session: AsyncSession, collection: Download, status: DownloadStatus, values: Mapping[str, Any]
) -> None:
    action, outcome = _ENDED_AS[status]
    await audit.record(
        session,
        action,
        user_id=collection.user_id,
        resource=f"download:{collection.id}",
        outcome=outcome,
        details={
            "total": values["items_total"],
            "completed": values["items_completed"],
            "failed": values["items_failed"],
        },
        origin=audit.Origin(request_id=collection.request_id),
    )


async def own_playlist(session: AsyncSession, row: Download) -> str | None:
    """Return the playlist file that a collection may write anew: its own, or an earlier reading's.

    One that another person's collection uses too is nobody's to change.
    """
    path = row.playlist_path or await _earlier_playlist(session, row)
    others = select(Download.id).where(Download.playlist_path == path, Download.user_id != row.user_id)
    return None if path is None or await session.scalar(others.limit(1)) is not None else path


async def _earlier_playlist(session: AsyncSession, row: Download) -> str | None:
    path: str | None = await session.scalar(
        select(Download.playlist_path)
        .where(
            Download.user_id == row.user_id,
            Download.url == row.url,
            Download.parent_id.is_(None),
            Download.playlist_path.is_not(None),
        )
        .order_by(Download.id.desc())
        .limit(1)
    )
    return path
