"""Whose an attempt is: that of the worker whose heartbeat its job is tied to."""

from collections.abc import Collection

from sqlalchemy import BigInteger, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.jobs import DOWNLOADS, RUN_DOWNLOAD
from music_downloader.service import claim
from music_downloader.service.claim import Claim

_RELEASE = text(
    "DELETE FROM procrastinate_jobs WHERE task_name = :task AND status = 'doing' AND worker_id = :worker"
    " AND NOT (args ->> 'download_id')::bigint = ANY(:kept)"
).bindparams(bindparam("kept", type_=ARRAY(BigInteger)))
_DROP = text(
    "DELETE FROM procrastinate_jobs WHERE task_name = :task AND status = 'doing'"
    " AND (args ->> 'download_id')::bigint = :download"
)
# Begun from the start: nobody is to fetch it.
_ADD = text(
    "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status, worker_id, attempts)"
    " VALUES (:queue, :task, jsonb_build_object('download_id', CAST(:download AS bigint)), 'doing', :worker,"
    " 0)"
)


async def take_over(session: AsyncSession, claimed: Claim, *, worker_id: int) -> bool:
    """Tie an attempt that is under way to this heartbeat; False when it is no longer the current one."""
    if not await claim.hold(session, claimed):
        return False
    values = {"task": RUN_DOWNLOAD, "download": claimed.download_id}
    await session.execute(_DROP, values)
    await session.execute(_ADD, {**values, "queue": DOWNLOADS, "worker": worker_id})
    return True


async def release(session: AsyncSession, *, worker_id: int, kept: Collection[int]) -> None:
    """Drop the jobs that are tied to this heartbeat, but those of the downloads in `kept`."""
    await session.execute(_RELEASE, {"task": RUN_DOWNLOAD, "worker": worker_id, "kept": list(kept)})
