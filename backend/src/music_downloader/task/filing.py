"""From what was fetched to a file of the library: converted, described, tagged, and moved there."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.engine.order import Fetched, Progress
from music_downloader.errors import DownloadFailedError, LostClaimError
from music_downloader.jobs import MEASURE, MEASURE_AFTER_SECONDS, enqueue
from music_downloader.library.albums import album_key, settle
from music_downloader.library.covers import place_cover
from music_downloader.library.filing import longest_name, publish, sha256_of
from music_downloader.library.loudness import gain
from music_downloader.library.names import relative_path
from music_downloader.library.tags import TrackTags, write_tags
from music_downloader.service import collection, download, library
from music_downloader.service.download import Claim, Landed
from music_downloader.task import owned
from music_downloader.task.describe import album_of, describe_fetched, read_source_tags
from music_downloader.task.fetch import Reporter
from music_downloader.task.persistence import persist
from music_downloader.task.state import WorkerState

_COMMIT_SECONDS = 10.0

log = structlog.stdlib.get_logger(__name__)


async def file_track(state: WorkerState, claimed: Claim, fetched: Fetched, *, cover: bytes | None) -> Landed:
    """Turn what was fetched into a file of the library; LostClaimError when somebody ended the attempt."""
    settings = state.settings
    file_tags = await asyncio.to_thread(read_source_tags, fetched.path)
    async with Reporter(state, claimed) as reporter:
        converted = await state.engine.convert(
            fetched.path,
            wanted=claimed.audio_format,
            deadline=settings.download_timeout,
            max_bytes=settings.max_file_size,
            measure=settings.replaygain,
            on_start=lambda: reporter.report(Progress(phase="converting")),
        )
    tags, origins = describe_fetched(fetched.info, file_tags, claimed.entry)
    tags = await _settled(state, claimed, tags)
    loudness = converted.loudness
    if loudness is not None:
        tags = replace(tags, gain=gain((loudness.blocks, loudness.peak)))
    path = converted.audio.path
    digest = await asyncio.to_thread(_tag_and_hash, path, tags, cover)
    source, source_id = owned.identity(claimed, fetched.info)
    facts = {
        "sha256": digest,
        "size": path.stat().st_size,
        "codec": converted.audio.codec,
        "bitrate": converted.audio.bitrate,
        "duration": converted.audio.duration,
        "original": converted.original,
        "source": source,
        "source_id": source_id,
        "tags": {"values": asdict(replace(tags, gain=None)), "origins": origins},
        "loudness": asdict(loudness) if loudness else None,
    }
    publishing = asyncio.create_task(_publish(state, claimed, path, tags=tags, cover=cover, facts=facts))
    try:
        return await asyncio.shield(publishing)
    except asyncio.CancelledError:
        # A rename that has begun is not left without its commit, unless the database is away.
        await asyncio.wait({publishing}, timeout=_COMMIT_SECONDS)
        publishing.cancel()
        await asyncio.wait({publishing})
        raise


async def _settled(state: WorkerState, claimed: Claim, tags: TrackTags) -> TrackTags:
    """Let a track of a list agree with those of its album that came before it."""
    if claimed.parent_id is None or not tags.album:
        return tags
    is_of_album = bool((claimed.entry or {}).get("album"))
    key = album_key(tags.album, "" if is_of_album else tags.album_artist)
    collection_id = claimed.parent_id

    async def agree(session: AsyncSession) -> TrackTags:
        known = album_of(await collection.album(session, collection_id=collection_id, key=key))
        settled, first = settle(tags, known)
        if known is None and first is not None:
            await collection.keep_album(
                session,
                collection_id=collection_id,
                key=key,
                facts=asdict(first),
                artist=settled.album_artist if is_of_album else None,
            )
        return settled

    return await persist(state, agree)


def _tag_and_hash(path: Path, tags: TrackTags, cover: bytes | None) -> str:
    """Finish the file and bring it to the disk, so that nobody waits for that while rows are locked."""
    write_tags(path, tags, cover=cover)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return sha256_of(path)


async def _publish(
    state: WorkerState,
    claimed: Claim,
    path: Path,
    *,
    tags: TrackTags,
    cover: bytes | None,
    facts: Mapping[str, Any],
) -> Landed:
    """Move the file into the library and complete the download, unless the same track is there by now.

    The rows are locked while the file is moved: whoever lost the claim publishes nothing. What lies between
    is a rename and a flush of the folder; everything slow is done.
    """
    source, source_id = facts["source"], facts["source_id"]
    moved: list[PurePosixPath] = []

    async def publish_once(session: AsyncSession) -> Landed:
        if not await download.hold(session, claimed):
            raise LostClaimError
        await library.take_turn(session, source=source, source_id=source_id)
        landed = await _owned_meanwhile(session, state, claimed, source=source, source_id=source_id)
        if landed is None:
            landed = await _move(
                session, state, claimed, path, tags=tags, cover=cover, facts=facts, moved=moved
            )
        await download.complete(session, claimed, landed)
        return landed

    return await persist(state, publish_once)


async def _owned_meanwhile(
    session: AsyncSession, state: WorkerState, claimed: Claim, *, source: str, source_id: str
) -> Landed | None:
    """Return what another worker, or another address of the same track, has filed in the meantime."""
    tracks = await library.from_source(
        session, source=source, source_id=source_id, audio_format=claimed.audio_format
    )
    return await owned.first_there(session, state, tracks)


async def _move(
    session: AsyncSession,
    state: WorkerState,
    claimed: Claim,
    path: Path,
    *,
    tags: TrackTags,
    cover: bytes | None,
    facts: Mapping[str, Any],
    moved: list[PurePosixPath],
) -> Landed:
    """Move the file into the library, with its cover beside it where it belongs to an album.

    `moved` is where it went in an earlier try whose commit the database hasn't taken.
    """
    settings = state.settings
    root = settings.output_directory
    wanted = relative_path(tags, path.suffix, template=settings.library_template, limit=longest_name(root))
    filed = moved[0] if moved else None
    if filed is None:
        filed = await asyncio.to_thread(publish, path, root, wanted, digest=facts["sha256"])
        moved.append(filed)
    beside = None
    if cover is not None and tags.album:
        try:
            beside = await asyncio.to_thread(place_cover, root, filed.parent, cover)
        except DownloadFailedError as error:  # the file is there, and has the picture in it
            log.warning("cover.not_placed", path=str(filed), detail=error.detail)
    track = await library.record_track(session, path=str(filed), cover_sha256=beside, **facts)
    belongs_to_album = claimed.parent_id is not None and tags.album
    if settings.replaygain and facts["loudness"] is None and not belongs_to_album:
        arguments = {"track_id": track.id}
        await enqueue(session, MEASURE, delay=MEASURE_AFTER_SECONDS, arguments=arguments)
    return library.landed(track)
