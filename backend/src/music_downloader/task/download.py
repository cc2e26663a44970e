"""One download from its claim to its end."""

import asyncio
import errno
import hashlib
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import structlog
from procrastinate import App, JobContext
from sqlalchemy.exc import SQLAlchemyError

from music_downloader.egress.policy import EgressPolicy
from music_downloader.engine.order import Fetched, FetchOrder, Progress
from music_downloader.errors import DownloadFailedError, ErrorCode
from music_downloader.jobs import DOWNLOADS, RUN_DOWNLOAD
from music_downloader.library.filing import (
    free_space,
    longest_name,
    publish,
    remove_staging,
    sha256_of,
    staging_directory,
)
from music_downloader.library.names import relative_path
from music_downloader.library.tags import TrackTags, write_tags
from music_downloader.model import DownloadStatus
from music_downloader.service import download, library
from music_downloader.service.download import Claim, Landed
from music_downloader.task.describe import describe_fetched, read_source_tags
from music_downloader.task.state import WorkerState

log = structlog.stdlib.get_logger(__name__)

_QUIET_SECONDS = 0.4
_LIBRARY_FAULTS = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT),
    *(errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN),
}


def declare(app: App) -> None:
    """Tell the queue which of its jobs run here."""
    app.task(name=RUN_DOWNLOAD, queue=DOWNLOADS, pass_context=True)(run_download)


async def run_download(context: JobContext, download_id: int) -> None:
    """Run one attempt at a download. The job may come twice: only a pending row is ever claimed."""
    state = WorkerState.of(context)
    claimed: Claim | None = None
    try:
        async with state.fetches:
            async with state.sessionmaker.begin() as session:
                claimed = await download.claim(session, download_id=download_id)
            if claimed is None:
                return
            structlog.contextvars.bind_contextvars(
                request_id=claimed.request_id, download_id=download_id, attempt=claimed.attempt
            )
            log.info("download.started")
            staging = await asyncio.to_thread(staging_directory, _root(state), staging_name(claimed))
            fetched = await _fetch(state, claimed, staging)
        landed = await _convert_and_file(state, claimed, fetched)
        if landed is None:
            log.warning("download.lost_claim")  # whoever has it now works in the same folder
            return
        log.info("download.completed", path=landed.file_path, bytes=landed.file_size)
        await asyncio.to_thread(remove_staging, staging)
    except asyncio.CancelledError:
        if claimed is not None:
            await asyncio.shield(_hand_back(state, claimed))
        raise
    except Exception as error:
        if claimed is None:
            raise
        await _fail(state, claimed, _as_failure(error))


def staging_name(claimed: Claim) -> str:
    """Name the folder of a download's unfinished files: what an older database left is never resumed."""
    return f"{claimed.download_id}-{hashlib.sha256(claimed.url.encode()).hexdigest()[:12]}"


def _root(state: WorkerState) -> Path:
    return state.settings.output_directory


async def _fetch(state: WorkerState, claimed: Claim, staging: Path) -> Fetched:
    settings = state.settings
    free = await asyncio.to_thread(free_space, _root(state))
    if free < settings.min_free_space:
        raise DownloadFailedError(
            ErrorCode.NO_SPACE,
            f"The library has {free // 1024**2} MiB left, less than it must keep free; make room and retry.",
            transient=True,
            retry_after=60,
        )
    order = FetchOrder(
        url=claimed.url,
        directory=staging,
        policy=EgressPolicy(allowed=settings.allowed_networks),
        deadline=settings.download_timeout,
        max_bytes=settings.max_file_size,
        max_duration=settings.max_duration,
        proxy=settings.download_proxy,
    )
    async with _Reporter(state, claimed) as reporter:
        return await state.engine.fetch(order, on_progress=reporter.report)


async def _convert_and_file(state: WorkerState, claimed: Claim, fetched: Fetched) -> Landed | None:
    """Turn what was fetched into a file of the library; None when somebody else has taken over meanwhile."""
    file_tags = await asyncio.to_thread(read_source_tags, fetched.path)
    async with _Reporter(state, claimed) as reporter:
        audio = await state.engine.convert(
            fetched.path,
            wanted=claimed.audio_format,
            deadline=state.settings.download_timeout,
            max_bytes=state.settings.max_file_size,
            on_start=lambda: reporter.report(Progress(phase="converting")),
        )
    tags, origins = describe_fetched(fetched.info, file_tags)
    digest = await asyncio.to_thread(_tag_and_hash, audio.path, tags)
    size = audio.path.stat().st_size
    root = _root(state)
    wanted = relative_path(tags, audio.path.suffix, limit=longest_name(root))
    # The row is locked while the file is moved: whoever lost the claim publishes nothing. What lies between
    # is one rename and two flushes; everything slow is done.
    async with state.sessionmaker.begin() as session:
        if not await download.hold(session, claimed):
            return None
        filed = await asyncio.to_thread(publish, audio.path, root, wanted, digest=digest)
        track_id = await library.record_track(
            session,
            path=str(filed),
            sha256=digest,
            size=size,
            codec=audio.codec,
            bitrate=audio.bitrate,
            duration=audio.duration,
            source=fetched.info.extractor[:100],
            source_id=fetched.info.source_id[:500],
            tags={"values": asdict(tags), "origins": origins},
        )
        landed = Landed(
            track_id=track_id,
            title=tags.title,
            artist=tags.artist,
            album=tags.album,
            album_artist=tags.album_artist or None,
            track_number=tags.track_number,
            duration=audio.duration,
            codec=audio.codec,
            bitrate=audio.bitrate,
            file_path=str(filed),
            file_size=size,
        )
        await download.complete(session, claimed, landed)
    return landed


def _tag_and_hash(path: Path, tags: TrackTags) -> str:
    write_tags(path, tags)
    return sha256_of(path)


async def _fail(state: WorkerState, claimed: Claim, error: DownloadFailedError) -> None:
    async with state.sessionmaker.begin() as session:
        status = await download.fail(session, claimed, error, retry_delay=state.settings.retry_delay)
    log.warning("download.failed", code=error.code.value, detail=error.detail, status=status)
    if status is DownloadStatus.FAILED:  # otherwise the next attempt goes on from what is there
        with suppress(OSError):  # a library that is away keeps it until it is back
            staging = staging_directory(_root(state), staging_name(claimed))
            await asyncio.to_thread(remove_staging, staging)


async def _hand_back(state: WorkerState, claimed: Claim) -> None:
    async with state.sessionmaker.begin() as session:
        handed_back = await download.hand_back(session, claimed)
    log.info("download.handed_back", done=handed_back)


def _as_failure(error: Exception) -> DownloadFailedError:
    if isinstance(error, DownloadFailedError):
        return error
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DownloadFailedError(
            ErrorCode.NO_SPACE, "The library's disk is full; make room and retry.", transient=True
        )
    if isinstance(error, OSError) and error.errno in _LIBRARY_FAULTS:
        return DownloadFailedError(
            ErrorCode.INTERNAL,
            "The library can't be written to; see that its folder is there and writable for the service.",
            transient=True,
        )
    log.error("download.crashed", exc_info=error)
    return DownloadFailedError(
        ErrorCode.INTERNAL, "Something went wrong on our side; it has been logged.", transient=True
    )


class _Reporter:
    """Writes an attempt's progress into its row, one write at a time; what comes meanwhile is passed over.

    What is over within a moment is not worth a write: most tracks of a quick source never get one.
    """

    def __init__(self, state: WorkerState, claimed: Claim) -> None:
        self._state = state
        self._claimed = claimed
        self._writing: asyncio.Task[None] | None = None
        self._quiet_until = time.monotonic() + _QUIET_SECONDS

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._writing is not None:
            await asyncio.wait({self._writing})

    def report(self, progress: Progress) -> None:
        """Take note of how far it is; never blocks and never fails the download."""
        if time.monotonic() < self._quiet_until:
            return
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(asdict(progress)))

    async def _write(self, progress: dict[str, Any]) -> None:
        total, done = progress["total_bytes"], progress["downloaded_bytes"]
        progress["percent"] = round(min(100 * done / total, 100), 1) if total else None
        try:
            async with self._state.sessionmaker.begin() as session:
                await download.note_progress(session, self._claimed, progress)
        except SQLAlchemyError as error:
            log.warning("progress.lost", error=type(error).__name__)
