"""Gains: the loudness of tracks and albums measured, and written into their files."""

import asyncio
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import structlog
from procrastinate import JobContext

from music_downloader.errors import DownloadFailedError
from music_downloader.jobs import MOST_RETRIES
from music_downloader.library.albums import album_key
from music_downloader.library.filing import remove_staging, replace, sha256_of, staging_directory
from music_downloader.library.gain import Gain
from music_downloader.library.loudness import gain
from music_downloader.library.tags import retag
from music_downloader.model import Track
from music_downloader.service import library
from music_downloader.task.state import WorkerState

log = structlog.stdlib.get_logger(__name__)

_Loudness = tuple[Mapping[int, int], float]


async def measure(context: JobContext, track_id: int) -> None:
    """Measure a track that was taken over as it is, and write its gain into the file."""
    state = WorkerState.of(context)
    async with state.sessionmaker() as session:
        track = await library.measured(session, track_id=track_id)
    if track is None:
        return
    found = await _loudness(state, track, is_last=_is_last(context))
    if found is not None:
        await _write_gain(state, track, gain(found))


async def measure_albums(context: JobContext, collection_id: int) -> None:
    """Measure the albums of a collection, and write their gain into each of their tracks."""
    state = WorkerState.of(context)
    async with state.sessionmaker() as session:
        tracks = await library.tracks_of(session, collection_id=collection_id)
    fault = None
    for album in _albums(tracks):
        try:
            await _measure_album(state, album, is_last=_is_last(context))
        except DownloadFailedError as error:  # the other albums needn't wait for this one
            fault = error
    if fault is not None:
        raise fault


def _is_last(context: JobContext) -> bool:
    """Whether the queue won't bring the job again, should it fail."""
    return context.job.attempts >= MOST_RETRIES


def _albums(tracks: Sequence[Track]) -> list[list[Track]]:
    """Put the tracks of each album together; those of none aren't asked for."""
    albums: dict[str, list[Track]] = {}
    for track in tracks:
        landed = library.landed(track)
        if landed.album:
            albums.setdefault(album_key(landed.album, landed.album_artist or ""), []).append(track)
    return list(albums.values())


async def _measure_album(state: WorkerState, tracks: Sequence[Track], *, is_last: bool) -> None:
    """Write the gains of an album; none while a track may still be measured, which is raised."""
    measured: list[tuple[Track, _Loudness | None]] = []
    fault = None
    for track in tracks:
        try:
            measured.append((track, await _loudness(state, track, is_last=is_last)))
        except DownloadFailedError as error:  # what the others are found to be is kept for the next time
            fault = error
    if fault is not None:
        raise fault
    known = [loudness for _, loudness in measured if loudness is not None]
    for track, loudness in measured:
        if loudness is not None:
            await _write_gain(state, track, gain(loudness, album=known))


async def _loudness(state: WorkerState, track: Track, *, is_last: bool) -> _Loudness | None:
    """Return what is known of a track's loudness, measured now if nothing is; None where it can't be.

    A fault that may pass is raised, but for the last attempt.
    """
    kept = track.loudness
    if kept is None:
        kept = await _measured(state, track, is_last=is_last)
        if kept is None:
            return None
        async with state.sessionmaker.begin() as session:
            await library.note_loudness(session, track_id=track.id, loudness=kept)
    if not kept:
        return None
    return {int(level): int(count) for level, count in kept["blocks"].items()}, float(kept["peak"])


async def _measured(state: WorkerState, track: Track, *, is_last: bool) -> dict[str, Any] | None:
    """Measure a file; {} where that can't be done, None where there is none just now."""
    path = state.settings.output_directory / track.path
    staging = await asyncio.to_thread(_staging, state, track)
    try:
        found = await state.engine.measure(path, directory=staging, deadline=state.settings.download_timeout)
    except DownloadFailedError as error:
        log.info("loudness.unknown", path=track.path, detail=error.detail)
        if await state.storage.closed(now=True) is not None:
            raise  # whatever was found says nothing of the track
        if await asyncio.to_thread(_is_gone, path):
            return None
        if not error.transient:
            return {}
        if state.is_ending or not is_last:
            raise
        log.warning("loudness.given_up", path=track.path, detail=error.detail)
        return {}
    finally:
        await asyncio.to_thread(remove_staging, staging)
    return {"blocks": found.blocks, "peak": found.peak}


def _is_gone(path: Path) -> bool:
    """Whether nothing lies there; what the disk doesn't say is no reason to think so."""
    try:
        path.lstat()
    except OSError as error:
        return isinstance(error, FileNotFoundError | NotADirectoryError)
    return False


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
