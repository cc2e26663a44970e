"""One download from its claim to its end."""

import asyncio
import hashlib
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from opentelemetry.trace import Span, SpanKind, StatusCode, get_current_span, use_span
from procrastinate import App, JobContext
from sqlalchemy.exc import SQLAlchemyError

from music_downloader.config.tracing import context_after
from music_downloader.engine.order import Listed
from music_downloader.errors import BusyListingError, DownloadFailedError, ErrorCode, LostClaimError
from music_downloader.jobs import DOWNLOADS, RUN_DOWNLOAD
from music_downloader.library.faults import as_failure
from music_downloader.library.filing import STAGING, remove_staging
from music_downloader.library.staging import give_free, holds_something, staging_for_attempt
from music_downloader.model import DownloadKind, DownloadStatus
from music_downloader.model.database import is_away
from music_downloader.service import claim, download, holding
from music_downloader.service.claim import Claim
from music_downloader.service.measurement import RESOLVING
from music_downloader.task import custody, owned
from music_downloader.task.cover import find_cover
from music_downloader.task.describe import thumbnails
from music_downloader.task.expansion import Expansion
from music_downloader.task.fetch import fetch
from music_downloader.task.filing import file_track
from music_downloader.task.persistence import persist
from music_downloader.task.state import FetchPlace, Running, WorkerState
from music_downloader.task.stopwatch import Stopwatch

log = structlog.stdlib.get_logger(__name__)

# What a disk that is full or gone may look like, whoever was the one to find out.
_MAY_BE_OF_STORAGE = {
    ErrorCode.NO_SPACE,
    ErrorCode.INTERNAL,
    ErrorCode.BAD_MEDIA,
    ErrorCode.UNAVAILABLE,
    ErrorCode.TIMEOUT,
}
_LISTED_AGAIN_SECONDS = 30.0
_RESULT = "nas_music.download.result"
_GOODBYE_SECONDS = 3.0  # for a worker that is told to stop while the database is away


def declare(app: App) -> None:
    """Tell the queue which of its jobs run here."""
    app.task(name=RUN_DOWNLOAD, queue=DOWNLOADS, pass_context=True)(run_download)


async def run_download(context: JobContext, download_id: int) -> None:
    """Run one attempt at a download. The job may come twice: only a pending row is ever claimed."""
    state = WorkerState.of(context)
    if not await _is_free(state, download_id):
        return
    place = FetchPlace(state.fetches)
    if not await _is_begun(state, place):
        await asyncio.shield(_put_back(state, download_id))
        return
    try:
        if (reason := await state.storage.closed()) is not None:
            async with state.sessionmaker.begin() as session:
                await holding.hold(session, download_id=download_id, reason=reason)
            place.leave()
            return
        claimed = await _claim(state, download_id)
        if claimed is None:
            place.leave()
            return
        structlog.contextvars.bind_contextvars(
            request_id=claimed.request_id, download_id=download_id, attempt=claimed.attempt
        )
    except BaseException:
        place.leave()
        raise
    log.info("download.started")
    watch = Stopwatch(state.tracer)
    span = _begin_span(state, claimed)
    with use_span(span):  # for both tasks, which take it over
        work = asyncio.create_task(_attempt(state, claimed, place, watch))
        attempt = asyncio.create_task(_followed(state, claimed, work, watch))
    attempt.add_done_callback(lambda _: place.leave())
    attempt.add_done_callback(lambda _: span.end())
    await custody.outlast(state, claimed, attempt)


def _begin_span(state: WorkerState, claimed: Claim) -> Span:
    return state.tracer.start_span(
        "download",
        context=context_after(claimed.traceparent),
        kind=SpanKind.CONSUMER,
        attributes={
            "nas_music.download.id": claimed.download_id,
            "nas_music.download.attempt": claimed.attempt,
            "nas_music.download.format": claimed.audio_format.value,
        },
    )


async def _claim(state: WorkerState, download_id: int) -> Claim | None:
    """Claim a download; once more where the first try finds that the pool's connections are all old.

    They are new after that. Otherwise the job would be gone, and the download wait for the rescue. A claim
    whose commit isn't answered may have been made: the attempt begins by finding that out.
    """
    for is_last in (False, True):
        claimed = None
        try:
            async with state.sessionmaker.begin() as session:
                claimed = await claim.take(
                    session, download_id=download_id, places=state.settings.max_per_host
                )
        except SQLAlchemyError as error:
            if not is_away(error):
                raise
            if claimed is not None:
                return replace(claimed, is_certain=False)
            if is_last:
                raise
        else:
            return claimed
    return None


async def _is_begun(state: WorkerState, place: FetchPlace) -> bool:
    """Wait for a place; False where the worker is asked to stop, or loses its queue, before there is one.

    A lost queue waits for its jobs before it is replaced, and its heart doesn't beat meanwhile.
    """
    try:
        return await place.take(state.stopping, state.queue.lost)
    except asyncio.CancelledError:
        return False


async def _put_back(state: WorkerState, download_id: int) -> None:
    async with state.sessionmaker.begin() as session:
        await claim.put_back(session, download_id=download_id)


async def _is_free(state: WorkerState, download_id: int) -> bool:
    """See that no attempt at the download runs here; one that was cancelled and queued again ends first."""
    earlier = state.running.get(download_id)
    if earlier is None:
        return True
    async with state.sessionmaker() as session:
        if await claim.still_held(session, [earlier.claimed]):
            return False
    if not earlier.work.cancelling():
        earlier.work.cancel()
    await asyncio.wait({earlier.work})
    return True


async def _followed(state: WorkerState, claimed: Claim, work: asyncio.Task[None], watch: Stopwatch) -> None:
    """See an attempt to its end, whichever that is."""
    mine = state.running[claimed.download_id] = Running(claimed=claimed, work=work)
    try:
        await work
        get_current_span().set_attribute(_RESULT, DownloadStatus.COMPLETED.value)
        watch.add_to(state.taken)
    except asyncio.CancelledError:
        ours = asyncio.current_task()
        if ours is not None and ours.cancelling():  # the worker stops
            await asyncio.shield(_hand_back(state, claimed))
            raise
        await _clear(state, claimed)
    except LostClaimError:
        await _clear(state, claimed)
    except BusyListingError:  # what is listed already is fetched meanwhile, and isn't added twice
        waits = partial(download.hand_back, claimed=claimed, delay=_LISTED_AGAIN_SECONDS)
        await _to_its_end(state, claimed, persist(state, waits))
        log.info("download.list_waits")
    except Exception as error:  # noqa: BLE001 - whatever it was, the row says so
        watch.stop()
        await _to_its_end(state, claimed, _fail(state, claimed, _as_failure(error)))
        watch.add_to(state.taken)
    finally:
        watch.stop()
        if state.running.get(claimed.download_id) is mine:
            del state.running[claimed.download_id]
            state.listing.discard(claimed.download_id)


async def _attempt(state: WorkerState, claimed: Claim, place: FetchPlace, watch: Stopwatch) -> None:
    if not claimed.is_certain and not await persist(state, partial(claim.confirm, claimed=claimed)):
        raise LostClaimError
    landed = await owned.complete_from_library(state, claimed)
    if landed is not None:
        log.info("download.owned", path=landed.file_path)
        return
    root = state.settings.output_directory
    staging = await asyncio.to_thread(
        staging_for_attempt, root, staging_name(claimed), attempt=claimed.fence, after=claimed.fence_at_retry
    )
    goes_on = await asyncio.to_thread(holds_something, staging)
    try:
        await _landed(state, claimed, staging, place, watch)
    except DownloadFailedError as error:
        if error.code is not ErrorCode.BAD_MEDIA or not goes_on:
            raise
        # What the source sent this time may not fit to what it sent before; the next attempt begins anew.
        await asyncio.to_thread(remove_staging, staging)
        raise DownloadFailedError(error.code, error.detail, transient=True) from error
    await asyncio.to_thread(remove_staging, staging)


async def _landed(
    state: WorkerState, claimed: Claim, staging: Path, place: FetchPlace, watch: Stopwatch
) -> None:
    """Fetch what the download is, and file it; or list what is in it."""
    expansion = Expansion(state, claimed, place)
    watch.enter(RESOLVING)
    fetched = await fetch(state, claimed, staging, on_entries=expansion.take, watch=watch)
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
        await persist(state, partial(download.leave_host, claimed=claimed))
        place.leave()
        landed = await file_track(state, claimed, fetched, cover=cover, watch=watch)
        log.info("download.completed", path=landed.file_path, bytes=landed.file_size)
    watch.stop()


def staging_name(claimed: Claim) -> str:
    """Name the folders of a download's unfinished files: what an older database left is never resumed."""
    return f"{claimed.download_id}-{hashlib.sha256(claimed.url.encode()).hexdigest()[:12]}"


async def _clear(state: WorkerState, claimed: Claim) -> None:
    """Leave nothing of an attempt that a person has cancelled, or that another worker has taken over."""
    log.info("download.stopped")
    with suppress(OSError):  # a library that is away keeps it until it is back
        await asyncio.to_thread(remove_staging, _own_staging(state, claimed))


def _own_staging(state: WorkerState, claimed: Claim) -> Path:
    return state.settings.output_directory / STAGING / f"{staging_name(claimed)}-{claimed.fence}"


async def _fail(state: WorkerState, claimed: Claim, error: DownloadFailedError) -> None:
    with suppress(OSError):  # a library that is away has no folders
        await asyncio.to_thread(give_free, _own_staging(state, claimed))
    if error.code in _MAY_BE_OF_STORAGE and await _held_back(state, claimed, error):
        return
    fail = partial(download.fail, claimed=claimed, error=error, retry_delay=state.settings.retry_delay)
    status = await persist(state, fail)
    log.warning("download.failed", code=error.code.value, detail=error.detail, status=status)
    if status is not None:
        span = get_current_span()
        span.set_attributes({_RESULT: DownloadStatus.FAILED.value, "error.type": error.code.value})
        span.set_status(StatusCode.ERROR)  # the sentence may quote the source's own
    if status is not DownloadStatus.PENDING:  # otherwise the next attempt goes on from what is there
        await _clear(state, claimed)


async def _to_its_end(state: WorkerState, claimed: Claim, ending: Coroutine[Any, Any, object]) -> None:
    """Write an end down, also when the worker is told to stop meanwhile; what can't be is handed back."""
    writing = asyncio.create_task(ending)
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait({writing}, timeout=_GOODBYE_SECONDS)
        if not writing.done():
            writing.cancel()
            await asyncio.wait({writing})
        if writing.cancelled() or writing.exception() is not None:
            await asyncio.shield(_hand_back(state, claimed))
        raise


async def _held_back(state: WorkerState, claimed: Claim, error: DownloadFailedError) -> bool:
    """Let an attempt wait for the library instead, where that is what it failed by; it costs nothing then."""
    if error.code is ErrorCode.NO_SPACE:  # there may be room for others now
        await _clear(state, claimed)
    reason = await state.storage.closed(now=True)
    if reason is None:
        return False
    await persist(state, partial(holding.hold_back, claimed=claimed, reason=reason))
    log.warning("download.held", code=reason.code.value, detail=reason.detail, failed_by=error.detail)
    return True


async def _hand_back(state: WorkerState, claimed: Claim) -> None:
    with suppress(OSError):
        await asyncio.to_thread(give_free, _own_staging(state, claimed))
    try:
        async with asyncio.timeout(_GOODBYE_SECONDS):
            handed_back = await persist(state, partial(download.hand_back, claimed=claimed))
    except TimeoutError:  # the database is away; the rescue finds it
        handed_back = False
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
