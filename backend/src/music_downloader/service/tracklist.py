"""Tracklists: what is read of a list into its collection, and kept of it until all is there.

The list's own words and those of its albums are in the collection's `listing`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import ARRAY, String, delete, func, select, text, update
from sqlalchemy import cast as cast_to
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.config.audio import AudioFormat
from music_downloader.jobs import enqueue_tracks
from music_downloader.model import Download, DownloadKind
from music_downloader.service.collection import lock, settle

_GONE = "gone"  # of a list's tracks, those that a person has deleted before it was read to its end


@dataclass(frozen=True, kw_only=True, slots=True)
class NewTrack:
    """One track as a list tells of it; `item_position` where it has no address of its own."""

    url: str
    host: str
    position: int
    item_position: int | None
    title: str | None
    artist: str | None
    album: str | None
    duration: float | None
    entry: Mapping[str, Any]


async def begin(
    session: AsyncSession, *, collection_id: int, facts: Mapping[str, str | None], listing: Mapping[str, Any]
) -> None:
    """Make a download that turned out to be a list a collection; `facts` are columns that people see."""
    await session.execute(
        update(Download)
        .where(Download.id == collection_id)
        .values(
            kind=DownloadKind.COLLECTION,
            listing=func.coalesce(Download.listing, cast_to(dict(listing), JSONB)),
            items_total=func.coalesce(Download.items_total, 0),
            items_completed=func.coalesce(Download.items_completed, 0),
            items_failed=func.coalesce(Download.items_failed, 0),
            progress=None,
            **{name: value for name, value in facts.items() if value is not None},
        )
    )


async def add(
    session: AsyncSession,
    *,
    collection: Download,
    audio_format: AudioFormat,
    request_id: str | None,
    tracks: Sequence[NewTrack],
) -> int:
    """Add tracks of a list, each with its job; returns how many came.

    Those that are there already are left, and those that a person has deleted stay so.
    Their rows are as old as the collection's, the first the newest by a microsecond: so "newest first" is the
    list's own order.
    """
    deleted = select(Download.listing[_GONE]).where(Download.id == collection.id)
    gone = set(await session.scalar(deleted) or ())
    rows = [
        _row(track, collection, audio_format, request_id)
        for track in tracks
        if _identity(track.url, track.item_position) not in gone
    ]
    if not rows:
        return 0
    added = await session.scalars(
        insert(Download)
        .values(rows)
        .on_conflict_do_nothing(
            index_elements=[
                Download.parent_id,
                func.md5(Download.url),
                func.coalesce(Download.item_position, text("0")),
            ],
            index_where=text("parent_id IS NOT NULL"),
        )
        .returning(Download.id)
    )
    ids = sorted(added)
    await enqueue_tracks(session, ids)
    await settle(session, collection.id)
    return len(ids)


async def keep_gone(session: AsyncSession, track: Download) -> None:
    """Note that a person deletes this track, as long as its list may be read once more from its beginning.

    The caller has the collection locked.
    """
    gone = func.coalesce(Download.listing[_GONE], cast_to([], JSONB))
    identity = cast_to([_identity(track.url, track.item_position)], JSONB)
    await session.execute(
        update(Download)
        .where(Download.id == track.parent_id, Download.listed_at.is_(None), Download.listing.is_not(None))
        .values(
            listing=func.jsonb_set(Download.listing, cast_to([_GONE], ARRAY(String)), gone.op("||")(identity))
        )
        .execution_options(synchronize_session=False)
    )


async def end(session: AsyncSession, *, collection_id: int, note: str | None) -> None:
    """Say that all tracks are there, and with `note` what isn't."""
    await session.execute(
        update(Download)
        .where(Download.id == collection_id)
        .values(listed_at=func.clock_timestamp(), note=note, error_message=note, error_code=None)
    )
    await settle(session, collection_id)


async def replace(session: AsyncSession, *, placeholder_id: int, note: str | None) -> None:
    """Take a track that turned out to be a list out of its collection: its own tracks stand there now."""
    collection_id = await session.scalar(
        delete(Download).where(Download.id == placeholder_id).returning(Download.parent_id)
    )
    if collection_id is not None:
        if note is not None:
            await session.execute(
                update(Download).where(Download.id == collection_id).values(note=note, error_message=note)
            )
        await settle(session, collection_id)


async def next_position(session: AsyncSession, *, collection_id: int) -> int:
    """Return the place behind a collection's last track."""
    last = await session.scalar(
        select(func.max(Download.position)).where(Download.parent_id == collection_id)
    )
    return (last or 0) + 1


async def album(session: AsyncSession, *, collection_id: int, key: str) -> Mapping[str, Any] | None:
    """Return what the first track of an album said about it.

    While none has, the collection is locked: the caller is the first and has to keep its word.
    """
    known = select(Download.listing["albums"][key]).where(Download.id == collection_id)
    found = await session.scalar(known)
    if found is None:
        await lock(session, collection_id)
        found = await session.scalar(known)
    return cast("Mapping[str, Any] | None", found)


async def keep_album(
    session: AsyncSession, *, collection_id: int, key: str, facts: Mapping[str, Any], artist: str | None
) -> None:
    """Keep what the first track of an album said about it; the tracks after it follow.

    `artist` is whom people see the whole collection by, if its list named nobody.
    """
    albums = func.jsonb_set(
        func.coalesce(Download.listing, cast_to({"albums": {}}, JSONB)),
        cast_to(["albums", key], ARRAY(String)),
        cast_to(dict(facts), JSONB),
    )
    await session.execute(
        update(Download)
        .where(Download.id == collection_id)
        .values(
            listing=albums,
            artist=func.coalesce(Download.artist, artist),
            album_artist=func.coalesce(Download.album_artist, artist),
        )
        .execution_options(synchronize_session=False)
    )


async def kept(session: AsyncSession, collection_id: int) -> Mapping[str, Any] | None:
    """Return what is kept of a list; None where there is no such collection (any more)."""
    found = await session.scalar(select(Download.listing).where(Download.id == collection_id))
    return cast("Mapping[str, Any] | None", found)


def _identity(url: str, item_position: int | None) -> str:
    return f"{hashlib.sha256(url.encode()).hexdigest()[:16]}:{item_position or 0}"


def _row(
    track: NewTrack, collection: Download, audio_format: AudioFormat, request_id: str | None
) -> dict[str, Any]:
    created_at: datetime = collection.created_at - timedelta(microseconds=track.position)
    return {
        "user_id": collection.user_id,
        "parent_id": collection.id,
        "url": track.url,
        "host": track.host,
        "format": audio_format,
        "request_id": request_id,
        "traceparent": collection.traceparent,
        "position": track.position,
        "item_position": track.item_position,
        "title": track.title,
        "artist": track.artist,
        "album": track.album,
        "duration": track.duration,
        "entry": dict(track.entry),
        "created_at": created_at,
    }
