"""From what was fetched to a finished file: converted, described and tagged."""

import asyncio
import os
from dataclasses import asdict, replace
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.engine.order import Fetched, Progress
from music_downloader.library.albums import album_key, settle
from music_downloader.library.filing import longest_name, sha256_of
from music_downloader.library.loudness import gain
from music_downloader.library.names import relative_path
from music_downloader.library.tags import TrackTags, write_tags
from music_downloader.service import tracklist
from music_downloader.service.claim import Claim
from music_downloader.service.download import Landed
from music_downloader.service.measurement import CONVERTING, FILING
from music_downloader.task import owned
from music_downloader.task.describe import album_of, describe_fetched, read_source_tags
from music_downloader.task.fetch import Reporter
from music_downloader.task.persistence import persist
from music_downloader.task.publishing import Finished, publish_track
from music_downloader.task.state import WorkerState
from music_downloader.task.stopwatch import Stopwatch
from music_downloader.task.storage import least_room


async def file_track(
    state: WorkerState, claimed: Claim, fetched: Fetched, *, cover: bytes | None, watch: Stopwatch
) -> Landed:
    """Turn what was fetched into a file of the library; LostClaimError when somebody ended the attempt."""
    settings = state.settings
    watch.enter(FILING)
    file_tags = await asyncio.to_thread(read_source_tags, fetched.path)
    async with Reporter(state, claimed) as reporter:

        def begin_converting() -> None:
            watch.enter(CONVERTING)
            reporter.report(Progress(phase=CONVERTING))

        converted = await state.engine.convert(
            fetched.path,
            wanted=claimed.audio_format,
            deadline=settings.download_timeout,
            max_bytes=settings.max_file_size,
            max_duration=settings.max_duration,
            min_free=least_room(settings),
            measure=settings.replaygain,
            on_start=begin_converting,
        )
    watch.enter(FILING)
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
    wanted = relative_path(
        tags,
        path.suffix,
        template=settings.library_template,
        limit=await asyncio.to_thread(longest_name, settings.output_directory),
    )
    finished = Finished(path=path, wanted=wanted, cover=cover if tags.album else None, facts=facts)
    return await publish_track(state, claimed, finished)


async def _settled(state: WorkerState, claimed: Claim, tags: TrackTags) -> TrackTags:
    """Let a track of a list agree with those of its album that came before it."""
    if claimed.parent_id is None or not tags.album:
        return tags
    is_of_album = bool((claimed.entry or {}).get("album"))
    key = album_key(tags.album, "" if is_of_album else tags.album_artist)
    collection_id = claimed.parent_id

    async def agree(session: AsyncSession) -> TrackTags:
        known = album_of(await tracklist.album(session, collection_id=collection_id, key=key))
        settled, first = settle(tags, known)
        if known is None and first is not None:
            await tracklist.keep_album(
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
