"""What a person does to a download: cancel it, retry it, delete it. On a collection, all of it."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from sqlalchemy import ARRAY, BigInteger, ColumnElement, Row, any_, func, or_, select, update
from sqlalchemy import cast as cast_to
from sqlalchemy import delete as delete_from
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.errors import (
    DownloadFailedError,
    NotActiveError,
    NotRetryableError,
    ServiceUnavailableError,
    StillActiveError,
    TooManyActiveError,
)
from music_downloader.jobs import DISCARD, UPKEEP, enqueue, enqueue_download, enqueue_tracks
from music_downloader.library.filing import unpublish_all
from music_downloader.library.playlists import remove_playlist
from music_downloader.library.presence import read_marker
from music_downloader.model import ACTIVE, Download, DownloadKind, DownloadStatus, Track, User
from music_downloader.service import audit, collection, history, host, recognition, tracklist
from music_downloader.service import library as library_rows
from music_downloader.service.audit import Action, Origin
from music_downloader.service.submission import count_unfinished, take_turn

_What = TypeVar("_What")
_ENDED_BADLY = (DownloadStatus.FAILED, DownloadStatus.CANCELLED)


async def cancel(session: AsyncSession, *, user: User, download_id: int, origin: Origin) -> Download:
    """End a download that hasn't ended, or all such of a collection; workers notice within a second.

    Raises DownloadNotFoundError and NotActiveError.
    """
    download = await _held(session, user=user, download_id=download_id)
    before = await _active_at_hosts(session, download)
    if not before:
        raise NotActiveError
    await session.execute(
        update(Download)
        .where(
            Download.parent_id == download.id if not _is_single(download) else _it_or_its_tracks(download),
            Download.status.in_(ACTIVE),
        )
        .values(
            status=DownloadStatus.CANCELLED,
            completed_at=func.clock_timestamp(),
            progress=None,
            fetching=False,
            parked=False,
            held=False,
        )
        .execution_options(synchronize_session=False)
    )
    for name in sorted(row.host for row in before if row.fetching):
        await host.call_next(session, name)
    begun = [row.id for row in before if row.started_at]
    if begun:  # a worker that is at one clears up too, but it may have died
        await enqueue(session, DISCARD, queue=UPKEEP, arguments={"download_ids": begun})
    await _settle(session, download)
    await _record(session, Action.CANCEL, user, download_id, origin)
    return await _now(session, download)


async def retry(
    session: AsyncSession, *, user: User, download_id: int, max_active: int, origin: Origin
) -> Download:
    """Queue a failed or cancelled download again, or those tracks of a collection; attempts count anew.

    Raises DownloadNotFoundError, NotRetryableError, and TooManyActiveError as for a new submission.
    """
    download = await _held(session, user=user, download_id=download_id)
    if download.status not in _ENDED_BADLY:
        raise NotRetryableError
    again = [download.id] if _is_single(download) else []
    tracks: Sequence[int] = ()
    if download.kind is DownloadKind.COLLECTION:
        ended = _ENDED_BADLY if download.status is DownloadStatus.CANCELLED else (DownloadStatus.FAILED,)
        found = await session.scalars(
            select(Download.id)
            .where(Download.parent_id == download.id, Download.status.in_(ended))
            .order_by(Download.position)
        )
        tracks = found.all()
    if not again and not tracks:
        raise NotRetryableError
    if download.parent_id is None:
        await take_turn(session, owner=user)
        if await count_unfinished(session, owner=user) >= max_active:
            raise TooManyActiveError
    try:
        async with session.begin_nested():
            await session.execute(
                update(Download)
                .where(Download.id == any_(cast_to([*again, *tracks], ARRAY(BigInteger))))
                .values(
                    status=DownloadStatus.PENDING,
                    completed_at=None,
                    error_code=None,
                    error_message=None,
                    attempts_forgiven=Download.attempts,
                    attempts_lost=0,
                    fence_at_retry=Download.fence,
                )
                .execution_options(synchronize_session=False)
            )
            await _settle(session, download)
    except IntegrityError as error:
        raise NotRetryableError("The same URL is being downloaded already.") from error
    for identity in again:
        await enqueue_download(session, identity, of_a_list=download.parent_id is not None)
    await enqueue_tracks(session, tracks)
    await _record(session, Action.RETRY, user, download_id, origin)
    return await _now(session, download)


async def delete(
    session: AsyncSession,
    *,
    user: User,
    download_id: int,
    delete_file: bool,
    library: Path,
    origin: Origin,
) -> None:
    """Take a download out of the history, with `delete_file` also each file that no other row uses.

    Raises DownloadNotFoundError, StillActiveError, and ServiceUnavailableError where the library can't be
    written to; nothing has changed then but files that are gone already.
    """
    download = await _held(session, user=user, download_id=download_id)
    if download.status in ACTIVE or await _active(session, download):
        raise StillActiveError
    found = await session.scalars(select(Download.track_id).where(_it_or_its_tracks(download)))
    used = sorted({track_id for track_id in found if track_id is not None})
    playlist = download.playlist_path
    if download.parent_id is not None:
        await tracklist.keep_gone(session, download)
    await session.execute(
        delete_from(Download).where(Download.id == download.id).execution_options(synchronize_session=False)
    )
    session.expunge(download)
    if download.parent_id is not None:
        await collection.settle(session, download.parent_id)
    await _record(session, Action.DELETE, user, download_id, origin, delete_file=delete_file, files=len(used))
    if delete_file and (used or playlist is not None):
        await _see_that_it_is_there(session, library)
        await _delete_files(session, used, library=library)
        if playlist is not None and not await _is_shared(session, playlist):
            await _unlink(remove_playlist, library, PurePosixPath(playlist))


async def _held(session: AsyncSession, *, user: User, download_id: int) -> Download:
    """Return the download as it is now, locked together with the collection that it belongs to."""
    download = await history.get(session, user=user, download_id=download_id)
    await collection.lock(session, download.parent_id or download.id)
    itself = select(Download.id).where(Download.id == download.id)
    await session.execute(itself.with_for_update(key_share=True))
    session.expire(download)
    return await history.get(session, user=user, download_id=download_id)


def _is_single(download: Download) -> bool:
    """Whether the row itself is worked on: a track, or a list that hasn't been read to its end."""
    return download.kind is DownloadKind.TRACK or download.listed_at is None


def _it_or_its_tracks(download: Download) -> ColumnElement[bool]:
    return or_(Download.id == download.id, Download.parent_id == download.id)


async def _active(session: AsyncSession, download: Download) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return what is to know of a download's rows that haven't ended: its own and its tracks'."""
    rows = await session.execute(
        select(Download.id, Download.status, Download.host, Download.fetching, Download.started_at)
        .where(_it_or_its_tracks(download), Download.status.in_(ACTIVE))
        .order_by(Download.id)
        .with_for_update(key_share=True)
    )
    return rows.all()


async def _active_at_hosts(session: AsyncSession, download: Download) -> Sequence[Row[*tuple[Any, ...]]]:
    """Lock what `_active` returns, and before it the hosts at which any of it has a place.

    Whoever claims a track, or leaves a host, locks in this order too. Rows that were claimed meanwhile are
    let go of until their host is locked.
    """
    locked: set[str] = set()
    while True:
        async with session.begin_nested() as attempt:
            found = await _active(session, download)
            others = {row.host for row in found if row.fetching} - locked
            if not others:
                return found
            await attempt.rollback()
        for name in sorted(others):
            await host.lock(session, name)
        locked |= others


async def _settle(session: AsyncSession, download: Download) -> None:
    if download.parent_id is not None:
        await collection.settle(session, download.parent_id)
    elif download.kind is DownloadKind.COLLECTION:
        await collection.settle(session, download.id)


async def _now(session: AsyncSession, download: Download) -> Download:
    await session.refresh(download)
    return download


async def _see_that_it_is_there(session: AsyncSession, library: Path) -> None:
    """Raise ServiceUnavailableError where the library isn't mounted: what isn't there can't be deleted."""
    known = await recognition.known_name(session)
    if known is not None and await asyncio.to_thread(_marker, library) != known:
        raise ServiceUnavailableError(
            "The music library isn't there just now, so the file can't be deleted. The history is as it was."
        )


async def _delete_files(session: AsyncSession, track_ids: Sequence[int], *, library: Path) -> None:
    among = cast_to(track_ids, ARRAY(BigInteger))
    tracks = await session.scalars(
        select(Track).where(Track.id == any_(among)).order_by(Track.id).with_for_update()
    )
    held = tracks.all()
    used = set(await session.scalars(select(Download.track_id).where(Download.track_id == any_(among))))
    unused = [track for track in held if track.id not in used]
    gone = cast_to([track.id for track in unused], ARRAY(BigInteger))
    files = [(PurePosixPath(track.path), track.cover_sha256) for track in unused]
    files.sort(key=lambda file: file[1] is not None)  # the last of a folder takes the cover along
    await session.execute(
        delete_from(Track).where(Track.id == any_(gone)).execution_options(synchronize_session=False)
    )
    for path, cover_sha256 in files:
        if cover_sha256 is not None:
            await library_rows.leave_cover(session, folder=path.parent, cover_sha256=cover_sha256)
    await _unlink(unpublish_all, library, files)


def _marker(library: Path) -> str | None:
    try:
        return read_marker(library)
    except OSError:  # a share that has broken
        return None


async def _unlink(remove: Callable[[Path, _What], object], library: Path, what: _What) -> None:
    try:
        await asyncio.to_thread(remove, library, what)
    except DownloadFailedError as error:
        raise ServiceUnavailableError(error.detail) from error
    except OSError as error:
        raise ServiceUnavailableError(
            "The library can't be written to, so the file can't be deleted. The history is as it was."
        ) from error


async def _is_shared(session: AsyncSession, playlist: str) -> bool:
    other = select(Download.id).where(Download.playlist_path == playlist).limit(1)
    return await session.scalar(other) is not None


async def _record(
    session: AsyncSession, action: Action, user: User, download_id: int, origin: Origin, **details: object
) -> None:
    await audit.record(
        session,
        action,
        user_id=user.id,
        resource=f"download:{download_id}",
        details=details,
        origin=origin,
    )
