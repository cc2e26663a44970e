"""What is done behind everybody's back once a track is there: loudness, playlists, and clearing up."""

import asyncio
import hashlib
import secrets
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path, PurePosixPath

import structlog
from procrastinate import App, JobContext, RetryStrategy

from music_downloader.errors import DownloadFailedError
from music_downloader.jobs import (
    DISCARD,
    FINISH,
    MEASURE,
    MEASURE_AFTER_SECONDS,
    MEASURE_ALBUMS,
    QUIET,
    UPKEEP,
    enqueue,
)
from music_downloader.library.albums import album_key
from music_downloader.library.filing import remove_staging, replace, sha256_of, staging_directory
from music_downloader.library.gain import Gain
from music_downloader.library.loudness import gain
from music_downloader.library.playlists import PlaylistTrack, playlist_path, playlist_text, write_playlist
from music_downloader.library.staging import discard_staging
from music_downloader.library.tags import retag
from music_downloader.model import Track
from music_downloader.service import collection, intent, library, orphanage, tracklist
from music_downloader.task.state import WorkerState
from music_downloader.task.withdrawal import remove

log = structlog.stdlib.get_logger(__name__)

# Each of them may run twice; the queue brings one again that failed, or that a stop cut short.
_RETRIES = RetryStrategy(max_attempts=5, wait=30, exponential_wait=4)
_PUT_OFF_SECONDS = 60.0
_Job = Callable[..., Awaitable[None]]
_Loudness = tuple[Mapping[int, int], float]


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
    """Put a job off, at no cost, while the library is full or gone: before it, and when it fails by that."""

    @wraps(run)
    async def run_or_put_off(context: JobContext, **arguments: object) -> None:
        state = WorkerState.of(context)
        if await state.storage.closed() is None:
            try:
                return await run(context, **arguments)
            except (OSError, DownloadFailedError):
                if await state.storage.closed(now=True) is None:
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


async def measure(context: JobContext, track_id: int) -> None:
    """Measure a track that was taken over as it is, and write its gain into the file."""
    state = WorkerState.of(context)
    async with state.sessionmaker() as session:
        track = await library.measured(session, track_id=track_id)
    if track is None:
        return
    found = await _loudness(state, track)
    if found is not None:
        await _write_gain(state, track, gain(found))


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


async def measure_albums(context: JobContext, collection_id: int) -> None:
    """Measure the albums of a collection, and write their gain into each of their tracks."""
    state = WorkerState.of(context)
    async with state.sessionmaker() as session:
        tracks = await library.tracks_of(session, collection_id=collection_id)
    for album in _albums(tracks):
        await _measure_album(state, album)


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


def _albums(tracks: Sequence[Track]) -> list[list[Track]]:
    """Put the tracks of each album together; those of none aren't asked for."""
    albums: dict[str, list[Track]] = {}
    for track in tracks:
        landed = library.landed(track)
        if landed.album:
            albums.setdefault(album_key(landed.album, landed.album_artist or ""), []).append(track)
    return list(albums.values())


async def _measure_album(state: WorkerState, tracks: Sequence[Track]) -> None:
    measured = [(track, await _loudness(state, track)) for track in tracks]
    known = [loudness for _, loudness in measured if loudness is not None]
    for track, loudness in measured:
        if loudness is not None:
            await _write_gain(state, track, gain(loudness, album=known))


async def _loudness(state: WorkerState, track: Track) -> _Loudness | None:
    """Return what is known of a track's loudness, measured now if nothing is; None where it can't be."""
    kept = track.loudness
    if kept is None:
        path = state.settings.output_directory / track.path
        staging = await asyncio.to_thread(_staging, state, track)
        try:
            found = await state.engine.measure(
                path, directory=staging, deadline=state.settings.download_timeout
            )
            kept = {"blocks": found.blocks, "peak": found.peak}
        except DownloadFailedError as error:
            log.info("loudness.unknown", path=track.path, detail=error.detail)
            if error.transient and path.exists():
                return None
            kept = {}
        finally:
            await asyncio.to_thread(remove_staging, staging)
        async with state.sessionmaker.begin() as session:
            await library.note_loudness(session, track_id=track.id, loudness=kept)
    if not kept:
        return None
    return {int(level): int(count) for level, count in kept["blocks"].items()}, float(kept["peak"])


async def _write_gain(state: WorkerState, track: Track, found: Gain | None) -> None:
    """Put a copy with its gain in the file's place: whole or not at all, and never over another file."""
    if found is None:
        return
    root = state.settings.output_directory
    staging = await asyncio.to_thread(_staging, state, track)
    try:
        copied = await asyncio.to_thread(tagged_copy, root / track.path, staging, found)
        if copied is None:
            return
        async with state.sessionmaker.begin() as session:
            row = await library.held(session, track_id=track.id)
            if row is None or row.path != track.path or copied.digest == row.sha256:
                return
            if not copied.is_unchanged and copied.before != row.sha256:
                return  # somebody has written to the file since it was filed, or since it was copied
            size = copied.path.stat().st_size
            # It has the gain already where an earlier try was cut off between the rename and its commit.
            if copied.is_unchanged or await asyncio.to_thread(
                replace,
                copied.path,
                root,
                PurePosixPath(row.path),
                expected=row.sha256,
                digest=copied.digest,
            ):
                await library.rewritten(session, track_id=row.id, sha256=copied.digest, size=size)
    except DownloadFailedError as error:
        log.warning("gain.not_written", path=track.path, detail=error.detail)
        if error.transient and await state.storage.closed(now=True) is not None:
            raise  # it is written when the library is well again
    finally:
        await asyncio.to_thread(remove_staging, staging)


def _staging(state: WorkerState, track: Track) -> Path:
    """Make a folder that is nobody else's: two albums that share a track may end at once, on two workers."""
    return staging_directory(state.settings.output_directory, f"gain-{track.id}-{secrets.token_hex(4)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Copy:
    """A file's copy with its gain; `before` is what the file's digest was, and it may have had the gain."""

    path: Path
    before: str
    digest: str

    @property
    def is_unchanged(self) -> bool:
        """Whether the file has the gain already."""
        return self.digest == self.before


def tagged_copy(original: Path, staging: Path, found: Gain) -> _Copy | None:
    """Copy a file and write its gain into the copy; None where it is gone, or a link to somewhere else."""
    copy = staging / "copy.part"
    try:
        shutil.copyfile(original, copy, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if copy.is_symlink():
        return None
    before = sha256_of(copy)
    retag(copy, found)
    digest = sha256_of(copy)
    return _Copy(path=copy, before=before, digest=digest)
