"""Accepting a URL: the row, its audit entry and its job, all or none."""

from sqlalchemy import BigInteger, Integer, String, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.config.audio import AudioFormat
from music_downloader.config.tracing import traceparent_now
from music_downloader.egress.policy import EgressPolicy, host_of
from music_downloader.errors import TooManyActiveError, UrlRefusedError
from music_downloader.jobs import enqueue_download
from music_downloader.model import ACTIVE, Download, User
from music_downloader.service import audit, measurement, throttle
from music_downloader.service.audit import Action, Origin

# Where no row comes back, and none is in its way (any more), the second try tells: what was has just ended.
_TRIES = 2
_LOCKS = 0x75736572  # keeps these advisory locks apart from others
_TURN = select(func.pg_advisory_xact_lock(_LOCKS, func.hashint8(bindparam("owner", type_=BigInteger))))

# One statement decides: no row comes back where the same submission is unfinished, or too many others of the
# user are. It is put together once, since that takes longer than running it.
_UNFINISHED = (
    select(func.count())
    .select_from(Download)
    .where(
        Download.user_id == bindparam("owner", type_=BigInteger),
        Download.parent_id.is_(None),
        Download.status.in_(ACTIVE),
    )
)
_INSERT = select(Download).from_statement(
    insert(Download)
    .from_select(
        ["user_id", "url", "host", "format", "request_id", "traceparent"],
        select(
            bindparam("owner", type_=BigInteger),
            bindparam("url", type_=String),
            bindparam("host", type_=String),
            bindparam("wanted", type_=Download.format.type),
            bindparam("request_id", type_=String),
            bindparam("traceparent", type_=String),
        ).where(bindparam("max_active", type_=Integer) > _UNFINISHED.scalar_subquery()),
    )
    .on_conflict_do_nothing(
        index_elements=[Download.user_id, Download.format, func.md5(Download.url)],
        index_where=text("status IN ('pending', 'in-progress') AND parent_id IS NULL"),
    )
    .returning(Download)
)


async def check(session: AsyncSession, policy: EgressPolicy, *, owner: User, url: str, origin: Origin) -> str:
    """Return the URL ready to be fetched; UrlRefusedError, audited, where the policy doesn't take it."""
    try:
        return policy.check_url(url)
    except UrlRefusedError as error:
        # Only the host is kept of the URL: what was refused may hold a password.
        await throttle.record_refusal(
            session,
            Action.SUBMIT,
            user_id=owner.id,
            details={"reason": error.detail, "host": host_of(url)},
            origin=origin,
        )
        await measurement.note(session, {(measurement.REFUSED_ADDRESSES, ""): 1})
        raise


async def submit(
    session: AsyncSession,
    *,
    owner: User,
    url: str,
    audio_format: AudioFormat,
    max_active: int,
    origin: Origin,
) -> tuple[Download, bool]:
    """Queue one URL; return its download and whether it is new.

    The same URL and format by the same user while one is still unfinished gives that one. Raises
    TooManyActiveError when the user has `max_active` unfinished submissions already, a collection being one.
    """
    await take_turn(session, owner=owner)
    for _ in range(_TRIES):
        download = await _insert(
            session, owner=owner, url=url, audio_format=audio_format, max_active=max_active, origin=origin
        )
        if download is not None:
            await enqueue_download(session, download.id)
            await audit.record(
                session,
                Action.SUBMIT,
                user_id=owner.id,
                resource=f"download:{download.id}",
                details={"url": url, "format": audio_format.value},
                origin=origin,
            )
            return download, True
        existing = await _unfinished(session, owner=owner, url=url, audio_format=audio_format)
        if existing is not None:
            return existing, False
    raise TooManyActiveError


async def _insert(
    session: AsyncSession,
    *,
    owner: User,
    url: str,
    audio_format: AudioFormat,
    max_active: int,
    origin: Origin,
) -> Download | None:
    inserted: Download | None = await session.scalar(
        _INSERT,
        {
            "owner": owner.id,
            "url": url,
            "host": host_of(url),
            "wanted": audio_format,
            "request_id": origin.request_id,
            "traceparent": traceparent_now(),
            "max_active": max_active,
        },
    )
    return inserted


async def _unfinished(
    session: AsyncSession, *, owner: User, url: str, audio_format: AudioFormat
) -> Download | None:
    found: Download | None = await session.scalar(
        select(Download).where(
            Download.user_id == owner.id,
            Download.format == audio_format,
            func.md5(Download.url) == func.md5(url),
            Download.url == url,
            Download.parent_id.is_(None),
            Download.status.in_(ACTIVE),
        )
    )
    return found


async def take_turn(session: AsyncSession, *, owner: User) -> None:
    """Lock a user's submissions for the rest of the transaction, so that nobody adds one to those counted."""
    await session.execute(_TURN, {"owner": owner.id})


async def count_unfinished(session: AsyncSession, *, owner: User) -> int:
    """Count a user's submissions that haven't ended; a collection is one. To be asked in one's turn."""
    return await session.scalar(_UNFINISHED, {"owner": owner.id}) or 0
