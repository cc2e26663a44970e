"""Accepting a URL: the row, its audit entry and its job, all or none."""

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.config.audio import AudioFormat
from music_downloader.errors import ServiceUnavailableError, TooManyActiveError
from music_downloader.jobs import RUN_DOWNLOAD, enqueue
from music_downloader.model import ACTIVE, Download, User
from music_downloader.service import audit
from music_downloader.service.audit import Action, Origin

_TRIES = 3


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
    TooManyActiveError when the user has `max_active` unfinished downloads already.
    """
    for _ in range(_TRIES):
        existing = await _unfinished(session, owner=owner, url=url, audio_format=audio_format)
        if existing is not None:
            return existing, False
        await _refuse_more_than(max_active, session, owner=owner)
        download = await session.scalar(
            insert(Download)
            .values(user_id=owner.id, url=url, format=audio_format, request_id=origin.request_id)
            .on_conflict_do_nothing(
                index_elements=[Download.user_id, Download.format, func.md5(Download.url)],
                index_where=text("status IN ('pending', 'in-progress') AND parent_id IS NULL"),
            )
            .returning(Download)
        )
        if download is not None:
            await enqueue(session, RUN_DOWNLOAD, arguments={"download_id": download.id})
            await audit.record(
                session,
                Action.SUBMIT,
                user_id=owner.id,
                resource=f"download:{download.id}",
                details={"url": url, "format": audio_format.value},
                origin=origin,
            )
            return download, True
    raise ServiceUnavailableError


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


async def _refuse_more_than(limit: int, session: AsyncSession, *, owner: User) -> None:
    unfinished = await session.scalar(
        select(func.count())
        .select_from(Download)
        .where(Download.user_id == owner.id, Download.status.in_(ACTIVE))
    )
    if (unfinished or 0) >= limit:
        raise TooManyActiveError
