"""The library's rows: one a file, whoever asked for it first."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import PurePosixPath
from typing import Any, cast

from sqlalchemy import Select, Text, bindparam, delete, exists, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased, undefer

from music_downloader.config.audio import AudioFormat
from music_downloader.errors import NoFileError
from music_downloader.jobs import MEASURE, enqueue
from music_downloader.library.tags import TrackTags
from music_downloader.model import Download, DownloadStatus, Track, User
from music_downloader.service import history
from music_downloader.service.download import Landed

_LOCKS = 0x736F6E67  # keeps these advisory locks apart from others
_MOST_CANDIDATES = 5
# A track in one of these codecs is what a format asks for; `best` asks for the source's own, whichever it is.
_CODECS = {
    AudioFormat.MP3: ("mp3",),
    AudioFormat.M4A: ("aac", "alac"),
    AudioFormat.OPUS: ("opus",),
    AudioFormat.FLAC: ("flac",),
}


@cache
def _brought_before(audio_format: AudioFormat, *, at_a_place: bool) -> Select[Track]:
    earlier = aliased(Download)
    url = bindparam("url", type_=Text)
    brought = exists().where(
        earlier.track_id == Track.id, func.md5(earlier.url) == func.md5(url), earlier.url == url
    )
    if at_a_place:
        brought = brought.where(
            earlier.item_position == bindparam("item_position"),
            earlier.entry["said"]["file_name"].astext.is_not_distinct_from(
                bindparam("file_name", type_=Text)
            ),
        )
    else:
        brought = brought.where(earlier.item_position.is_(None))
    return _candidates(audio_format).where(brought)


@cache
def _of_source(audio_format: AudioFormat) -> Select[Track]:
    return _candidates(audio_format).where(
        Track.source == bindparam("source"), Track.source_id == bindparam("source_id")
    )


def _candidates(audio_format: AudioFormat) -> Select[Track]:
    codecs = _CODECS.get(audio_format)
    fits = Track.original if codecs is None else Track.codec.in_(codecs)
    return select(Track).where(fits).order_by(Track.id.desc()).limit(_MOST_CANDIDATES)


_STANDING = select(Track.id).where(Track.path == bindparam("standing"))
_HOLD_PATH = (
    select(Track)
    .where(Track.path == bindparam("standing"))
    .with_for_update()
    .execution_options(populate_existing=True)
)


async def had_before(
    session: AsyncSession,
    *,
    url: str,
    item_position: int | None,
    file_name: str | None,
    audio_format: AudioFormat,
) -> Sequence[Track]:
    """Return the tracks that this URL brought before in what `audio_format` asks for, the newest first.

    At a place on a page, the file's name has to be the same still.
    """
    brought = _brought_before(audio_format, at_a_place=item_position is not None)
    asked = {"url": url, "item_position": item_position, "file_name": file_name}
    return (await session.scalars(brought, asked)).all()


async def from_source(
    session: AsyncSession, *, source: str, source_id: str, audio_format: AudioFormat
) -> Sequence[Track]:
    """Return the tracks with this identity at their source, in what `audio_format` asks for, newest first."""
    named = {"source": source, "source_id": source_id}
    return (await session.scalars(_of_source(audio_format), named)).all()


async def take_turn(session: AsyncSession, *, source: str, source_id: str) -> None:
    """Lock a track's identity for the rest of the transaction: two workers don't file it twice."""
    await session.execute(select(func.pg_advisory_xact_lock(_LOCKS, func.hashtext(f"{source} {source_id}"))))


async def keep(session: AsyncSession, track_id: int) -> Track | None:
    """Return a track, neither deleted nor written anew in this transaction; None if it is gone."""
    track: Track | None = await session.scalar(
        select(Track)
        .where(Track.id == track_id)
        .with_for_update(read=True)
        .execution_options(populate_existing=True)
    )
    return track


def landed(track: Track) -> Landed:
    """Return what a download's row says when it points at this track."""
    values = track.tags.get("values", {})
    tags = TrackTags(
        title=values.get("title") or "",
        artists=tuple(values.get("artists") or ()),
        album=values.get("album"),
        album_artists=tuple(values.get("album_artists") or ()),
        track_number=values.get("track_number"),
    )
    return Landed(
        track_id=track.id,
        title=tags.title,
        artist=tags.artist,
        album=tags.album,
        album_artist=tags.album_artist or None,
        track_number=tags.track_number,
        duration=track.duration,
        codec=track.codec,
        bitrate=track.bitrate,
        file_path=track.path,
        file_size=track.size,
    )


async def hold_path(session: AsyncSession, path: str) -> Track | None:
    """Lock the row that stands for `path`, once whoever changes or removes it is done.

    The downloads that point at it are locked before it, as everywhere.
    """
    standing = await session.scalar(_STANDING, {"standing": path})
    if standing is not None:
        await _lock_pointing(session, standing)
    track: Track | None = await session.scalar(_HOLD_PATH, {"standing": path})
    return track


async def record_track(
    session: AsyncSession, *, path: str, before: Track | None, is_adopted: bool, **facts: object
) -> Track:
    """Return the row for the file at `path`, made or brought up to date with `facts`, its columns.

    `before` is what `hold_path` has given. Where the file has been there before and is adopted, its row is
    shared, though it may be of another address. Where the file is new, another track that was filed there has
    lost its own, and makes room: downloads that pointed at it have no file any more. Where a file that had
    vanished is there again, so it is for the downloads that brought it before.
    """
    if before is not None and (before.source, before.source_id) != (facts["source"], facts["source_id"]):
        if is_adopted:
            before.sha256, before.size = str(facts["sha256"]), cast("int", facts["size"])
            before.missing_since = None
            await tell(session, before.id, path=path, size=before.size)
            return before
        await session.execute(
            update(Download)
            .where(Download.track_id == before.id)
            .values(track_id=None, file_path=None, file_size=None)
        )
        await session.execute(delete(Track).where(Track.id == before.id))
        session.expunge(before)
        before = None
    facts["missing_since"] = None
    statement = (
        insert(Track)
        .values(path=path, **facts)
        .on_conflict_do_update(index_elements=[Track.path], set_=facts)
        .returning(Track)
    )
    recorded = select(Track).from_statement(statement).execution_options(populate_existing=True)
    track: Track = (await session.scalars(recorded)).one()
    if before is not None:
        await tell(session, track.id, path=path, size=track.size)
    return track


async def tell(session: AsyncSession, track_id: int, *, path: str | None, size: int | None) -> None:
    """Let the downloads that point at a track say where its file is, or None where it isn't any more."""
    await session.execute(
        update(Download)
        .where(
            Download.track_id == track_id,
            or_(Download.file_path.is_distinct_from(path), Download.file_size.is_distinct_from(size)),
        )
        .values(file_path=path, file_size=size)
        .execution_options(synchronize_session=False)
    )


async def _lock_pointing(session: AsyncSession, track_id: int) -> None:
    pointing = select(Download.id).where(Download.track_id == track_id).order_by(Download.id)
    await session.execute(pointing.with_for_update(key_share=True))


async def rewritten(session: AsyncSession, *, track_id: int, **facts: object) -> None:
    """Note that a track's file was written anew, here and in every download that points at it."""
    await session.execute(update(Track).where(Track.id == track_id).values(**facts))
    if "size" in facts:
        await session.execute(
            update(Download).where(Download.track_id == track_id).values(file_size=facts["size"])
        )


async def held(session: AsyncSession, *, track_id: int) -> Track | None:
    """Lock a track, and the downloads that point at it before it, and return it as it is now."""
    await _lock_pointing(session, track_id)
    track: Track | None = await session.scalar(
        select(Track).where(Track.id == track_id).with_for_update(key_share=True)
    )
    return track


async def measured(session: AsyncSession, *, track_id: int) -> Track | None:
    """Return a track with what is known of its loudness."""
    track: Track | None = await session.scalar(
        select(Track).where(Track.id == track_id).options(undefer(Track.loudness))
    )
    return track


async def tracks_of(session: AsyncSession, *, collection_id: int) -> Sequence[Track]:
    """Return the tracks that a collection has brought so far, in its order, with their loudness."""
    tracks = await session.scalars(
        select(Track)
        .join(Download, Download.track_id == Track.id)
        .where(Download.parent_id == collection_id, Download.status == DownloadStatus.COMPLETED)
        .options(undefer(Track.loudness))
        .order_by(Download.position, Download.id)
    )
    return tracks.all()


async def queue_unmeasured(session: AsyncSession, *, before: datetime, most: int) -> int:
    """Queue the measuring of tracks that nobody has got to since `before`; return how many.

    None are while others wait still, or are at it; and none whose file is known to be gone.
    """
    waiting = await session.scalar(
        text(
            "SELECT 1 FROM procrastinate_jobs WHERE task_name = :name AND status IN ('todo', 'doing') LIMIT 1"
        ),
        {"name": MEASURE},
    )
    if waiting is not None:
        return 0
    unmeasured = await session.scalars(
        select(Track.id)
        .where(Track.loudness.is_(None), Track.missing_since.is_(None), Track.created_at < before)
        .order_by(Track.id)
        .limit(most)
    )
    found = unmeasured.all()
    for track_id in found:
        await enqueue(session, MEASURE, arguments={"track_id": track_id})
    return len(found)


async def note_loudness(session: AsyncSession, *, track_id: int, loudness: Mapping[str, Any]) -> None:
    """Keep what was measured; {} says that it can't be."""
    await session.execute(update(Track).where(Track.id == track_id).values(loudness=dict(loudness)))


async def file_of(session: AsyncSession, *, user: User, download_id: int) -> Track:
    """Return the track that a download of the user's has brought; NoFileError while there is none."""
    download = await history.get(session, user=user, download_id=download_id)
    track = await session.get(Track, download.track_id) if download.track_id is not None else None
    if track is None:
        raise NoFileError
    return track


async def cover_of(session: AsyncSession, *, user: User, download_id: int) -> Track:
    """Return the track whose cover a download shows: of a collection, its first completed one."""
    download = await history.get(session, user=user, download_id=download_id)
    if download.items is None:
        return await file_of(session, user=user, download_id=download_id)
    first = await session.scalar(
        select(Track)
        .join(Download, Download.track_id == Track.id)
        .where(Download.parent_id == download.id, Download.status == DownloadStatus.COMPLETED)
        .order_by(Download.position)
        .limit(1)
    )
    if first is None:
        raise NoFileError
    return first


async def leave_cover(session: AsyncSession, *, folder: PurePosixPath, cover_sha256: str) -> None:
    """Have another track of the folder remember its cover, which goes with the last one that does."""
    if folder == PurePosixPath():
        return
    beside = select(Track.id).where(
        func.starts_with(Track.path, f"{folder}/"),
        func.strpos(func.substr(Track.path, len(f"{folder}/") + 1), "/") == 0,
    )
    if await session.scalar(beside.where(Track.cover_sha256 == cover_sha256).limit(1)) is not None:
        return
    heir = beside.where(Track.cover_sha256.is_(None)).order_by(Track.id).limit(1).scalar_subquery()
    await session.execute(
        update(Track)
        .where(Track.id == heir)
        .values(cover_sha256=cover_sha256)
        .execution_options(synchronize_session=False)
    )
