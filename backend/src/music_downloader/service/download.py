"""How an attempt goes on and ends; a claim that is no longer the current one changes nothing."""

import random
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.errors import DownloadFailedError, ErrorCode
from music_downloader.jobs import enqueue_download
from music_downloader.model import Download, DownloadStatus, Outcome
from music_downloader.service import collection, host
from music_downloader.service.audit import Action, storable
from music_downloader.service.claim import COMPLETED, FAILED, IN_PROGRESS, PENDING, Claim, move, record

MAX_LOST = 3  # attempts that end with their worker's death are counted by themselves
_LONGEST_DELAY = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Landed:
    """What a completed download's row says about its file."""

    track_id: int
    title: str
    artist: str
    album: str | None
    album_artist: str | None
    track_number: int | None
    duration: float | None
    codec: str
    bitrate: int | None
    file_path: str
    file_size: int


async def unhurried(session: AsyncSession) -> None:
    """Let the commit not wait for the disk, where nothing is lost with what a crash takes back."""
    await session.execute(text("SET LOCAL synchronous_commit = off"))


async def leave_host(session: AsyncSession, claimed: Claim) -> None:
    """Give the place at the host back before the attempt's end, which gives it back too."""
    await unhurried(session)
    if claimed.parent_id is not None:  # in the order in which a collection is cancelled
        await host.take_turn(session, download_id=claimed.download_id)
    await host.leave(session, download_id=claimed.download_id, fence=claimed.fence)


async def note_progress(session: AsyncSession, claimed: Claim, progress: dict[str, Any]) -> None:
    """Write how far the attempt is; nothing happens when it is no longer the current one."""
    await unhurried(session)
    await session.execute(
        update(Download)
        .where(
            Download.id == claimed.download_id,
            Download.status == IN_PROGRESS,
            Download.fence == claimed.fence,
        )
        .values(progress=progress)
    )


async def complete(session: AsyncSession, claimed: Claim, landed: Landed) -> bool:
    """End the attempt with a file; False when it is no longer the current one."""
    moved = await _end(
        session,
        claimed,
        COMPLETED,
        completed_at=func.clock_timestamp(),
        progress=None,
        **{name: getattr(landed, name) for name in Landed.__slots__},
    )
    if moved:
        await host.leave(session, download_id=claimed.download_id, fence=claimed.fence)
        facts = {"path": landed.file_path, "size": landed.file_size, "attempt": claimed.attempt}
        await record(session, claimed, Action.COMPLETE, Outcome.SUCCESS, facts)
    return moved


async def fail(
    session: AsyncSession, claimed: Claim, error: DownloadFailedError, *, retry_delay: float
) -> DownloadStatus | None:
    """End the attempt with an error, or queue the next one if the fault may pass and attempts are left.

    Returns the status it has now; None when the attempt is no longer the current one.
    """
    if error.transient and not claimed.is_last:
        jitter = random.random()  # noqa: S311 - it spreads load and guards nothing
        delay = backoff(max(claimed.counted, 1), base=retry_delay, asked=error.retry_after, jitter=jitter)
        return await _postpone(session, claimed, error, delay=delay)
    return await _give_up(session, claimed, error)


async def lose(session: AsyncSession, claimed: Claim) -> DownloadStatus | None:
    """End an attempt whose worker has died with it, and queue the next one.

    What has cost MAX_LOST workers their lives fails, since it may well be to blame. Returns as `fail`.
    """
    lost = claimed.lost + 1
    if lost < MAX_LOST:
        died = DownloadFailedError(ErrorCode.INTERNAL, "The worker died while it was at this download.")
        return await _postpone(session, claimed, died, delay=0, cut_short=True, attempts_lost=lost)
    sentence = (
        f"The worker died {lost} times while it was at this download, so it isn't tried again by itself. "
        "See whether the machine runs out of memory, and what the worker's log says; then retry it."
    )
    error = DownloadFailedError(ErrorCode.INTERNAL, sentence)
    return await _give_up(session, claimed, error, attempts_lost=lost)


async def hand_back(
    session: AsyncSession, claimed: Claim, *, held: bool = False, delay: float = 0, **values: object
) -> bool:
    """Give an attempt back that was cut short through nobody's fault, without counting it.

    It is queued at once, or after `delay` seconds, unless it is to be `held`.
    """
    uncounted = claimed.attempt - 1
    if not await _end(session, claimed, PENDING, progress=None, attempts=uncounted, held=held, **values):
        return False
    await host.leave(session, download_id=claimed.download_id, fence=claimed.fence)
    if not held:
        await _enqueue(session, claimed, cut_short=True, delay=delay)
    return True


def backoff(attempt: int, *, base: float, asked: float | None, jitter: float) -> float:
    """Return the seconds to wait before the next attempt.

    It triples with each attempt, never beyond an hour, never less than the source asked for, and `jitter`
    (0 to 1) adds up to a quarter, so that many failures don't come back in one moment.
    """
    delay = max(base * 3 ** (attempt - 1), asked or 0)
    return float(min(delay, _LONGEST_DELAY) * (1 + jitter / 4))


async def _postpone(
    session: AsyncSession,
    claimed: Claim,
    error: DownloadFailedError,
    *,
    delay: float,
    cut_short: bool = False,
    **values: object,
) -> DownloadStatus | None:
    if not await _end(session, claimed, PENDING, progress=None, **_said(error), **values):
        return None
    await host.leave(session, download_id=claimed.download_id, fence=claimed.fence)
    await _enqueue(session, claimed, cut_short=cut_short, delay=delay)
    facts = {**_facts(claimed, error), "delay": round(delay, 1)}
    await record(session, claimed, Action.POSTPONE, Outcome.FAILURE, facts)
    return PENDING


async def _give_up(
    session: AsyncSession, claimed: Claim, error: DownloadFailedError, **values: object
) -> DownloadStatus | None:
    ended = {"completed_at": func.clock_timestamp(), "progress": None, **_said(error), **values}
    if not await _end(session, claimed, FAILED, **ended):
        return None
    await host.leave(session, download_id=claimed.download_id, fence=claimed.fence)
    await record(session, claimed, Action.FAIL, Outcome.FAILURE, _facts(claimed, error))
    return FAILED


def _said(error: DownloadFailedError) -> dict[str, object]:
    return {"error_code": error.code, "error_message": storable(error.detail, limit=1000)}


def _facts(claimed: Claim, error: DownloadFailedError) -> dict[str, object]:
    return {"code": error.code.value, "detail": error.detail, "attempt": claimed.attempt}


async def _end(session: AsyncSession, claimed: Claim, to: DownloadStatus, **values: object) -> bool:
    parent = await collection.lock(session, claimed.parent_id) if claimed.parent_id is not None else None
    statement = move(claimed.download_id, to, **values).where(
        Download.status == IN_PROGRESS, Download.fence == claimed.fence
    )
    if await session.scalar(statement.returning(Download.id)) is None:
        return False
    if parent is not None:
        await collection.settle(session, parent.id, locked=parent)
    return True


async def _enqueue(
    session: AsyncSession, claimed: Claim, *, cut_short: bool = False, delay: float = 0
) -> None:
    of_a_list = claimed.parent_id is not None
    await enqueue_download(
        session, claimed.download_id, of_a_list=of_a_list, cut_short=cut_short, delay=delay
    )
