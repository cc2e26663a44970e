"""One download from its claim to its end."""

import asyncio
import hashlib
from collections.abc import Sequence

import structlog
from procrastinate import App, JobContext

from music_downloader.engine.order import Listed
from music_downloader.errors import DownloadFailedError, ErrorCode, LostClaimError
from music_downloader.jobs import DOWNLOADS, RUN_DOWNLOAD
from music_downloader.library.faults import as_failure
from music_downloader.library.filing import remove_staging
from music_downloader.library.staging import discard_staging, staging_for_attempt
from music_downloader.model import DownloadKind, DownloadStatus, Track
from music_downloader.service import download, host
from music_downloader.service.download import Claim
from music_downloader.task import owned
from music_downloader.task.cover import find_cover
from music_downloader.task.describe import thumbnails
from music_downloader.task.expansion import Expansion
from music_downloader.task.fetch import fetch
from music_downloader.task.filing import file_track
from music_downloader.task.state import FetchPlace, Running, WorkerState

log = structlog.stdlib.get_logger(__name__)


def declare(app: App) -> None:
    """Tell the queue which of its jobs run here."""
    app.task(name=RUN_DOWNLOAD, queue=DOWNLOADS, pass_context=True)(run_download)


async def run_download(context: JobContext, download_id: int) -> None:
    """Run one attempt at a download. The job may come twice: only a pending row is ever claimed."""
    state = WorkerState.of(context)
    earlier = state.running.get(download_id)
    if earlier is not None:  # it was cancelled and queued again at once; its processes end first
        await asyncio.wait({earlier.work})
    place = FetchPlace(state.fetches)
    await place.take()
    try:
        async with state.sessionmaker.begin() as session:
            claimed = await download.claim(
                session, download_id=download_id, places=state.settings.max_per_host
            )
            tracks = await owned.candidates(session, claimed) if claimed is not None else ()
        if claimed is None:
            return
        structlog.contextvars.bind_contextvars(
            request_id=claimed.request_id, download_id=download_id, attempt=claimed.attempt
        )
        log.info("download.started")
        work = asyncio.create_task(_attempt(state, claimed, place, tracks))
        await _followed(state, claimed, work)
    finally:
        place.leave()


async def _followed(state: WorkerState, claimed: Claim, work: asyncio.Task[None]) -> None:
    """See an attempt to its end, whichever that is."""
    state.running[claimed.download_id] = Running(claimed=claimed, work=work)
    try:
        await work
    except asyncio.CancelledError:
        ours = asyncio.current_task()
        if ours is not None and ours.cancelling():  # the worker stops
            await asyncio.shield(_hand_back(state, claimed))
            raise
        await _clear(state, claimed)
    except LostClaimError:
        await _clear(state, claimed)
    except Exception as error:  # noqa: BLE001 - whatever it was, the row says so
        await _fail(state, claimed, _as_failure(error))
    finally:
        state.running.pop(claimed.download_id, None)


async def _attempt(state: WorkerState, claimed: Claim, place: FetchPlace, tracks: Sequence[Track]) -> None:
    landed = await owned.complete_from_library(state, claimed, tracks)
    if landed is not None:
        log.info("download.owned", path=landed.file_path)
        return
    root = state.settings.output_directory
    staging = await asyncio.to_thread(
        staging_for_attempt, root, staging_name(claimed), attempt=claimed.attempt, after=claimed.forgiven
    )
    expansion = Expansion(state, claimed, place)
    fetched = await fetch(
        state, claimed, staging, on_entries=expansion.take, max_items=await expansion.room()
    )
    if isinstance(fetched, Listed):
        await expansion.end(fetched)
    elif claimed.kind is DownloadKind.COLLECTION:
        raise DownloadFailedError(
            ErrorCode.UNAVAILABLE, "The list has changed: there is but one track in it now."
        )
    else:
        cover = await find_cover(
            state.engine,
            state.covers,
            state.settings,
            offered=thumbnails(fetched.info, claimed.entry),
            referer=fetched.info.webpage_url,
            audio=fetched.path,
        )
        async with state.sessionmaker.begin() as session:
            await host.leave(session, download_id=claimed.download_id, attempt=claimed.attempt)
        place.leave()
        landed = await file_track(state, claimed, fetched, cover=cover)
        log.info("download.completed", path=landed.file_path, bytes=landed.file_size)
    await asyncio.to_thread(remove_staging, staging)


def staging_name(claimed: Claim) -> str:
    """Name the folders of a download's unfinished files: what an older database left is never resumed."""
    return f"{claimed.download_id}-{hashlib.sha256(claimed.url.encode()).hexdigest()[:12]}"


async def _clear(state: WorkerState, claimed: Claim) -> None:
    """Leave nothing of an attempt that a person has cancelled, or that another worker has taken over."""
    log.info("download.stopped")
    root, own = state.settings.output_directory, f"{staging_name(claimed)}-{claimed.attempt}"
    await asyncio.to_thread(discard_staging, root, own)


async def _fail(state: WorkerState, claimed: Claim, error: DownloadFailedError) -> None:
    async with state.sessionmaker.begin() as session:
        status = await download.fail(session, claimed, error, retry_delay=state.settings.retry_delay)
    log.warning("download.failed", code=error.code.value, detail=error.detail, status=status)
    if status is not DownloadStatus.PENDING:  # otherwise the next attempt goes on from what is there
        await _clear(state, claimed)


async def _hand_back(state: WorkerState, claimed: Claim) -> None:
    async with state.sessionmaker.begin() as session:
        handed_back = await download.hand_back(session, claimed)
    log.info("download.handed_back", done=handed_back)


def _as_failure(error: Exception) -> DownloadFailedError:
    if isinstance(error, DownloadFailedError):
        return error
    of_library = as_failure(error) if isinstance(error, OSError) else None
    if of_library is not None:
        return of_library
    log.error("download.crashed", exc_info=error)
    return DownloadFailedError(
        ErrorCode.INTERNAL, "Something went wrong on our side; it has been logged.", transient=True
    )
