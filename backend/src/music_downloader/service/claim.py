"""Taking a download for an attempt, and holding it. Whoever loses a race sees no row and leaves it at that.

Each claim has a number that never comes again, the fence: a worker that was believed dead, and comes back,
holds an old one and changes nothing. Who ends an attempt locks the collection, its track, and the host; who
begins one, or leaves the host before its end, the host and then the track, which is no other attempt's then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Integer, Row, Update, bindparam, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.config.audio import AudioFormat
from music_downloader.jobs import enqueue_download
from music_downloader.model import Download, DownloadKind, DownloadStatus, Outcome, SiteCookies
from music_downloader.service import audit, collection, host
from music_downloader.service.audit import Action

MAX_ATTEMPTS = 4

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

    `attempt` is its number for people; `fence` is what tells it from every other claim. `has_cookies` unless
    its owner is known to have none for any site. One that `is_certain` not was made by a transaction whose
    end nobody has told us.
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
    traceparent: str | None = None
    has_cookies: bool = True
    is_certain: bool = True

    @classmethod
    def of(
        cls, row: Download | Row[*tuple[Any, ...]], *, download_id: int, has_cookies: bool = True
    ) -> "Claim":
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
            traceparent=row.traceparent,
            has_cookies=has_cookies,
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


def move(download_id: int | BindParameter[int], to: DownloadStatus, **values: object) -> Update:
    """Return the statement that moves a download, where the table of moves lets it."""
    sources = [source for source, targets in MAY_BECOME.items() if to in targets]
    return (
        update(Download)
        .where(Download.id == download_id, Download.status.in_(sources))
        .values(status=to, **values)
        .execution_options(synchronize_session=False)
    )


# Between a submission and its start stands little else than the database. Putting a statement together takes
# as long as running it, so those that each track needs are put together once, here and in other services.
_CLAIM = (
    move(
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
        Download.traceparent,
        exists().where(SiteCookies.user_id == Download.user_id).label("has_cookies"),
    )
)

_HOLD = (
    select(Download.id)
    .where(
        Download.id == bindparam("download_id"),
        Download.status == IN_PROGRESS,
        Download.fence == bindparam("fence"),
    )
    .with_for_update()
)


async def take(session: AsyncSession, *, download_id: int, places: int) -> Claim | None:
    """Take a pending download for one attempt; None when it isn't pending (any more), or is parked now.

    At most `places` tracks are fetched from one host at a time.
    """
    await host.take_turn(session, download_id=download_id)
    row = (await session.execute(_CLAIM, {"download_id": download_id, "places": places})).one_or_none()
    if row is None:
        await host.park(session, download_id=download_id)
        return None
    claimed = Claim.of(row, download_id=download_id, has_cookies=row.has_cookies)
    await record(session, claimed, Action.START, Outcome.SUCCESS, {"attempt": claimed.attempt})
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
        of_a_list = row.parent_id is not None
        await enqueue_download(session, download_id, of_a_list=of_a_list, cut_short=True)


async def still_held(session: AsyncSession, claims: Sequence[Claim]) -> set[int]:
    """Return the ids of those downloads whose attempt is still the current one."""
    held = await session.execute(
        select(Download.id, Download.fence).where(
            Download.id.in_([claimed.download_id for claimed in claims]), Download.status == IN_PROGRESS
        )
    )
    current = {(row.id, row.fence) for row in held}
    return {claimed.download_id for claimed in claims if (claimed.download_id, claimed.fence) in current}


async def hold(session: AsyncSession, claimed: Claim) -> bool:
    """Lock the row for the rest of the transaction, and its collection before it.

    False when the attempt is no longer the current one.
    """
    if claimed.parent_id is not None:
        await collection.lock(session, claimed.parent_id)
    current = {"download_id": claimed.download_id, "fence": claimed.fence}
    return await session.scalar(_HOLD, current) is not None


async def record(
    session: AsyncSession, claimed: Claim, action: Action, outcome: Outcome, details: dict[str, object]
) -> None:
    """Write down what became of an attempt, under the request that asked for the download."""
    await audit.record(
        session,
        action,
        user_id=claimed.user_id,
        resource=claimed.resource,
        outcome=outcome,
        details=details,
        origin=audit.Origin(request_id=claimed.request_id),
    )
