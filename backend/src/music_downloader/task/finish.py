"""What is done behind everybody's back once a track is there: gains, playlists, and clearing up."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from pathlib import PurePosixPath

import structlog
from procrastinate import App, JobContext, RetryDecision, RetryStrategy
from procrastinate.jobs import Job

from music_downloader.errors import DownloadFailedError, LostQueueError
from music_downloader.jobs import (
    DISCARD,
    FINISH,
    MEASURE,
    MEASURE_AFTER_SECONDS,
    MEASURE_ALBUMS,
    MOST_RETRIES,
    QUIET,
    UPKEEP,
    enqueue,
)
from music_downloader.library.playlists import PlaylistTrack, playlist_path, playlist_text, write_playlist
from music_downloader.library.staging import discard_staging
from music_downloader.model import Track
from music_downloader.service import collection, intent, library, orphanage, tracklist
from music_downloader.task.gains import measure, measure_albums
from music_downloader.task.state import WorkerState
from music_downloader.task.withdrawal import remove

log = structlog.stdlib.get_logger(__name__)

_PUT_OFF_SECONDS = 60.0
_Job = Callable[..., Awaitable[None]]


class _Retries(RetryStrategy):
    """Brings a job again, later each time, until it has failed for good; a stop never ends one."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if isinstance(exception, asyncio.CancelledError | LostQueueError):
            return RetryDecision(retry_in={"seconds": self.wait})
        return super().get_retry_decision(exception=exception, job=job)


# Each of them may run twice.
_RETRIES = _Retries(max_attempts=MOST_RETRIES, wait=30, exponential_wait=4)


def declare(app: App) -> None:
    """Tell the queue which of its jobs run here."""
    for name, queue, run in (
        (MEASURE, QUIET, measure),
        (MEASURE_ALBUMS, QUIET, measure_albums),
        (FINISH, UPKEEP, finish_collection),
        (DISCARD, UPKEEP, discard),
    ):
        task = app.task(name=name, queue=queue, pass_context=True, retry=_RETRIES)
        task(_when_there_is_a_library(name, queue, run))


def _when_there_is_a_library(name: str, queue: str, run: _Job) -> _Job:
    """Put a job off, at no cost, while the library is full or gone: before it, and when it fails by that.

    So is one that fails as the worker ends, which may have taken its processes away.
    """

    @wraps(run)
    async def run_or_put_off(context: JobContext, **arguments: object) -> None:
        state = WorkerState.of(context)
        if await state.storage.closed() is None:
            try:
                return await run(context, **arguments)
            except (OSError, DownloadFailedError):
                if not state.is_ending and await state.storage.closed(now=True) is None:
                    raise
        async with state.sessionmaker.begin() as session:
            await enqueue(session, name, queue=queue, delay=_PUT_OFF_SECONDS, arguments=arguments)
        return None

    return run_or_put_off


async def discard(context: JobContext, download_ids: Sequence[int]) -> None:
    """Remove what cancelled downloads had fetched, unless they have been queued again."""
    state = WorkerState.of(context)
    async with state.sessionmaker() as session:
        unfinished = await orphanage.unfinished(session, download_ids)
    for download_id in set(download_ids) - unfinished:
        root = state.settings.output_directory
        await asyncio.to_thread(discard_staging, root, f"{download_id}-")


async def finish_collection(context: JobContext, collection_id: int) -> None:
    """Write a playlist's file, and have the albums of a collection measured."""
    state = WorkerState.of(context)
    async with state.sessionmaker.begin() as session:
        listing = await tracklist.kept(session, collection_id)
        if state.settings.replaygain:
            arguments = {"collection_id": collection_id}
            await enqueue(session, MEASURE_ALBUMS, delay=MEASURE_AFTER_SECONDS, arguments=arguments)
    if listing is not None and listing.get("kind") == "playlist":
        await _write_playlist(state, collection_id, str(listing["name"]))


async def _write_playlist(state: WorkerState, collection_id: int, name: str) -> None:
    root = state.settings.output_directory
    said: tuple[int, str] | None = None
    while True:
        async with state.sessionmaker.begin() as session:
            row = await collection.lock(session, collection_id)
            tracks = await library.tracks_of(session, collection_id=collection_id)
            content = playlist_text([_line(track) for track in tracks], name=name)
            encoded = content.encode("utf-8", "replace")
            digest = hashlib.sha256(encoded).hexdigest()
            if said is None or said[1] != digest:
                # Said first, in a transaction of its own, as it is for tracks; earlier ones have died.
                for left in await intent.of_playlist(session, collection_id=collection_id):
                    await remove(session, root, left)
                if row is None or not tracks:
                    return
                announced = await intent.announce(
                    session,
                    download_id=collection_id,
                    fence=None,
                    path=str(playlist_path(name)),
                    sha256=digest,
                    size=len(encoded),
                )
                said = announced, digest
                continue
            if row is None:
                return  # deleted in this moment; the upkeep takes the word back
            known = await collection.own_playlist(session, row)
            previous = PurePosixPath(known) if known else None
            written = await asyncio.to_thread(write_playlist, root, name, content, previous=previous)
            row.playlist_path = str(written)
            await intent.take_back(session, said[0])
            break
    log.info("playlist.written", path=str(written), tracks=len(tracks))


def _line(track: Track) -> PlaylistTrack:
    landed = library.landed(track)
    return PlaylistTrack(
        path=PurePosixPath(track.path), title=landed.title, artist=landed.artist, duration=track.duration
    )
