"""How a download moves from state to state. Whoever loses a race sees no row and leaves it at that.

Each claim has a number that never comes again, the fence: a worker that was believed dead, and comes back,
holds an old one and changes nothing. Locks are taken in one order: a collection, its track, the host.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Integer, Row, Update, bindparam, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.config.audio import AudioFormat
from music_downloader.errors import DownloadFailedError, ErrorCode
from music_downloader.jobs import enqueue_download
from music_downloader.model import Download, DownloadKind, DownloadStatus, Outcome
from music_downloader.service import audit, collection, host
from music_downloader.service.audit import Action

MAX_ATTEMPTS = 4
MAX_LOST = 3  # attempts that end with their worker's death are counted by themselves
_LONGEST_DELAY = 3600.0

PENDING, IN_PROGRESS = DownloadStatus.PENDING, DownloadStatus.IN_PROGRESS
COMPLETED, FAILED, CANCELLED = DownloadStatus.COMPLETED, DownloadStatus.FAILED, DownloadStatus.CANCELLED

MAY_BECOME: dict[DownloadStatus, frozenset[DownloadStatus]] = {
    PENDING: frozenset({IN_PROGRESS, CANCELLED}),
    IN_PROGRESS: frozenset({COMPLETED, FAILED, CANCELLED, PENDING}),
    COMPLETED: frozenset(),
    FAILED: frozenset({PENDING}),
    CANCELLED: frozenset({PENDING}),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """One worker's right to one attempt at one download.

    `attempt` is its number for people; `fence` is what tells it from every other claim. One that `is_certain`
    not was made by a transaction whose end nobody has told us.
    """

    download_id: int
    user_id: int
    parent_id: int | None
    kind: DownloadKind
    attempt: int
    forgiven: int
    lost: int
    fence: int
    fence_at_retry: int
    url: str
    item_position: int | None
    position: int | None
    audio_format: AudioFormat
    entry: Mapping[str, Any] | None
    request_id: str | None
    is_certain: bool = True

    @classmethod
    def of(cls, row: Download | Row[*tuple[Any, ...]], *, download_id: int) -> "Claim":
        """Read the attempt that a row stands at."""
        return cls(
            download_id=download_id,
            user_id=row.user_id,
            parent_id=row.parent_id,
            kind=row.kind,
            attempt=row.attempts,
            forgiven=row.attempts_forgiven,
            lost=row.attempts_lost,
            fence=row.fence,
            fence_at_retry=row.fence_at_retry,
            url=row.url,
            item_position=row.item_position,
            position=row.position,
            audio_format=row.format,
            entry=row.entry,
            request_id=row.request_id,
        )

    @property
    def is_last(self) -> bool:
        """Whether no other attempt follows by itself."""
        return self.counted >= MAX_ATTEMPTS

    @property
    def counted(self) -> int:
        """How many attempts there were: those before a person's own retry and those lost don't count."""
        return self.attempt - self.forgiven - self.lost

    @property
    def resource(self) -> str:
        """The name that the audit log uses."""
        return f"download:{self.download_id}"


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


def _move(download_id: int | BindParameter[int], to: DownloadStatus, **values: object) -> Update:
    sources = [source for source, targets in MAY_BECOME.items() if to in targets]
    return (
        update(Download)
        .where(Download.id == download_id, Download.status.in_(sources))
        .values(status=to, **values)
        .execution_options(synchronize_session=False)
    )


# Between a submission and its start stands little else than this, so it is put together once.
_CLAIM = (
    _move(
        bindparam("download_id"),
        IN_PROGRESS,
        attempts=Download.attempts + 1,
        fence=func.nextval("fences"),
        started_at=func.coalesce(Download.started_at, func.now()),
        progress={"phase": "resolving", "percent": 0},
        error_code=None,
        error_message=None,
        fetching=True,
        parked=False,
        held=False,
    )
    .where(host.has_place(bindparam("places", type_=Integer)))
    .returning(
        Download.user_id,
        Download.parent_id,
        Download.kind,
        Download.attempts,
        Download.attempts_forgiven,
        Download.attempts_lost,
        Download.fence,
        Download.fence_at_retry,
        Download.url,
        Download.item_position,
        Download.position,
        Download.format,
        Download.entry,
        Download.request_id,
    )
)


async def claim(session: AsyncSession, *, download_id: int, places: int) -> Claim | None:
    """Take a pending download for one attempt; None when it isn't pending (any more), or is parked now.

    At most `places` tracks are fetched from one host at a time.
    """
    await host.take_turn(session, download_id=download_id)
    row = (await session.execute(_CLAIM, {"download_id": download_id, "places": places})).one_or_none()
    if row is None:
        await host.park(session, download_id=download_id)
        return None
    claimed = Claim.of(row, download_id=download_id)
    await _record(session, claimed, Action.START, Outcome.SUCCESS, {"attempt": claimed.attempt})
    return claimed


async def confirm(session: AsyncSession, claimed: Claim) -> bool:
    """Whether a claim was made whose commit nobody has answered; if not, the download is queued again."""
    if claimed.parent_id is not None:
        await collection.lock(session, claimed.parent_id)
    itself = select(Download.id).where(Download.id == claimed.download_id)
    await session.execute(itself.with_for_update())  # the server may be at that commit still
    if await hold(session, claimed):
        return True
    await put_back(session, download_id=claimed.download_id)
    return False


async def put_back(session: AsyncSession, *, download_id: int) -> None:
    """Queue a download again that was taken from the queue and not begun, if it is pending still."""
    waiting = select(Download.parent_id).where(Download.id == download_id, Download.status == PENDING)
    row = (await session.execute(waiting)).one_or_none()
    if row is not None:
        await enqueue_download(session, download_id, of_a_list=row.parent_id is not None)


async def still_held(session: AsyncSession, claims: Sequence[Claim]) -> set[int]:
    """Return the ids of those downloads whose attempt is still the current one."""
    held = await session.execute(
        select(Download.id, Download.fence).where(
            Download.id.in_([claimed.download_id for claimed in claims]), Download.status == IN_PROGRESS
        )
    )
    current = {(row.id, row.fence) for row in held}
    return {claimed.download_id for claimed in claims if (claimed.download_id, claimed.fence) in current}


async def unhurried(session: AsyncSession) -> None:
    """Let the commit not wait for the disk, where nothing is lost with what a crash takes back."""
    await session.execute(text("SET LOCAL synchronous_commit = off"))


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


async def hold(session: AsyncSession, claimed: Claim) -> bool:
    """Lock the row for the rest of the transaction, and its collection before it.

    False when the attempt is no longer the current one.
    """
    if claimed.parent_id is not None:
        await collection.lock(session, claimed.parent_id)
    statement = select(Download.id).where(
        Download.id == claimed.download_id,
        Download.status == IN_PROGRESS,
        Download.fence == claimed.fence,
    )
    return await session.scalar(statement.with_for_update()) is not None


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
        await _record(session, claimed, Action.COMPLETE, Outcome.SUCCESS, facts)
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
        return await _postpone(session, claimed, died, delay=0, attempts_lost=lost)
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
        await _enqueue(session, claimed, delay=delay)
    return True


def backoff(attempt: int, *, base: float, asked: float | None, jitter: float) -> float:
    """Return the seconds to wait before the next attempt.

    It triples with each attempt, never beyond an hour, never less than the source asked for, and `jitter`
    (0 to 1) adds up to a quarter, so that many failures don't come back in one moment.
    """
    delay = max(base * 3 ** (attempt - 1), asked or 0)
    return float(min(delay, _LONGEST_DELAY) * (1 + jitter / 4))


async def _postpone(
    session: AsyncSession, claimed: Claim, error: DownloadFailedError, *, delay: float, **values: object
) -> DownloadStatus | None:
    if not await _end(session, claimed, PENDING, progress=None, **_said(error), **values):
        return None
    await host.leave(session, download_id=claimed.download_id, fence=claimed.fence)
    await _enqueue(session, claimed, delay=delay)
    facts = {**_facts(claimed, error), "delay": round(delay, 1)}
    await _record(session, claimed, Action.POSTPONE, Outcome.FAILURE, facts)
    return PENDING


async def _give_up(
    session: AsyncSession, claimed: Claim, error: DownloadFailedError, **values: object
) -> DownloadStatus | None:
    ended = {"completed_at": func.clock_timestamp(), "progress": None, **_said(error), **values}
    if not await _end(session, claimed, FAILED, **ended):
        return None
    await host.leave(session, download_id=claimed.download_id, fence=claimed.fence)
    await _record(session, claimed, Action.FAIL, Outcome.FAILURE, _facts(claimed, error))
    return FAILED


def _said(error: DownloadFailedError) -> dict[str, object]:
    return {"error_code": error.code, "error_message": audit.storable(error.detail, limit=1000)}


def _facts(claimed: Claim, error: DownloadFailedError) -> dict[str, object]:
    return {"code": error.code.value, "detail": error.detail, "attempt": claimed.attempt}


async def _end(session: AsyncSession, claimed: Claim, to: DownloadStatus, **values: object) -> bool:
    parent = await collection.lock(session, claimed.parent_id) if claimed.parent_id is not None else None
    statement = _move(claimed.download_id, to, **values).where(
        Download.status == IN_PROGRESS, Download.fence == claimed.fence
    )
    if await session.scalar(statement.returning(Download.id)) is None:
        return False
    if parent is not None:
        await collection.settle(session, parent.id, locked=parent)
    return True


async def _enqueue(session: AsyncSession, claimed: Claim, *, delay: float = 0) -> None:
    await enqueue_download(session, claimed.download_id, of_a_list=claimed.parent_id is not None, delay=delay)


async def _record(
    session: AsyncSession, claimed: Claim, action: Action, outcome: Outcome, details: dict[str, object]
) -> None:
    await audit.record(
        session,
        action,
        user_id=claimed.user_id,
        resource=claimed.resource,
        outcome=outcome,
        details=details,
        origin=audit.Origin(request_id=claimed.request_id),
    )
