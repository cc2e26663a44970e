"""Metrics for Prometheus: nothing of them is about a person, so they are open unless a token is set."""

import asyncio
import hmac
from collections.abc import Iterator
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from music_downloader import version
from music_downloader.dependencies import ReadingDep, SettingsDep
from music_downloader.engine.release.store import Store
from music_downloader.errors import ErrorCode, InvalidMetricsTokenError
from music_downloader.jobs import QUEUES
from music_downloader.metrics import MEDIA_TYPE, Told, exposition
from music_downloader.model import DownloadStatus
from music_downloader.model.reading import Reading
from music_downloader.schema.problem import responses
from music_downloader.service import health, measurement
from music_downloader.service.measurement import Figures

router = APIRouter(tags=["System"])

_ENDED = (DownloadStatus.COMPLETED, DownloadStatus.CANCELLED)
_QUEUED = (DownloadStatus.PENDING, DownloadStatus.IN_PROGRESS)


async def check_token(request: Request, settings: SettingsDep) -> None:
    """Let nobody in without the token, where there is one."""
    if settings.metrics_token is None:
        return
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    token = settings.metrics_token.get_secret_value().encode()
    if scheme.lower() != "bearer" or not hmac.compare_digest(sent.strip().encode(), token):
        raise InvalidMetricsTokenError


@router.get(
    "/metrics",
    summary="Tell Prometheus the metrics",
    operation_id="getMetrics",
    response_class=PlainTextResponse,
    responses={
        200: {"description": "Prometheus' text format", "content": {"text/plain": {}}},
        **responses(401),
    },
)
async def get_metrics(
    request: Request,
    settings: SettingsDep,
    reading: ReadingDep,
    _: Annotated[None, Depends(check_token)],
) -> Response:
    """Read what is true over all processes off the database; without it, tell what this process knows."""
    figures = await measurement.read(request.state.sessionmaker)
    told = Told()
    yt_dlp = await asyncio.to_thread(Store(settings.data_directory).version)
    _tell_of_here(told, request.state.database, reading, yt_dlp=yt_dlp)
    told.gauge("database_up", "Whether the database has answered", [((), figures is not None)])
    free = await health.free_space(settings.output_directory)
    told.gauge("library_free_bytes", "Bytes free where the library is", [] if free is None else [((), free)])
    if figures is not None:
        _tell_of_all(told, figures)
    # Hundreds of series take some milliseconds to write, and others needn't wait for that.
    content = await asyncio.to_thread(exposition, request.state.requests, told)
    return Response(content, media_type=MEDIA_TYPE)


def _tell_of_here(told: Told, database: AsyncEngine, reading: Reading, *, yt_dlp: str) -> None:
    versions = [version(), yt_dlp]
    told.gauge("build_info", "What runs here", [(versions, 1)], labels=("version", "yt_dlp"))
    pool = cast("QueuePool", database.pool)
    pools = {"writing": (pool.checkedout(), pool.size()), "reading": reading.used}
    used = [((name,), used) for name, (used, _) in pools.items()]
    limits = [((name,), limit) for name, (_, limit) in pools.items()]
    told.gauge("database_connections_used", "Connections of this process in use", used, labels=("pool",))
    told.gauge("database_connections_limit", "Connections that it may have", limits, labels=("pool",))


def _tell_of_all(told: Told, figures: Figures) -> None:
    def alone(name: str) -> list[tuple[tuple[str, ...], float]]:
        return [((), figures.get((name, ""), 0))]

    queued = [((status,), figures.get((measurement.QUEUE, status), 0)) for status in _QUEUED]
    told.gauge("queue", "Tracks and lists that haven't ended", queued, labels=("status",))
    told.gauge(
        "queue_oldest_seconds",
        "The longest time that nothing has happened to a pending submission",
        alone(measurement.OLDEST),
    )
    submitted = [((each,), figures.get((measurement.SUBMISSIONS, each), 0)) for each in DownloadStatus]
    told.gauge("submissions", "What was submitted and is in the history", submitted, labels=("status",))
    told.counter(
        "downloads_ended", "Tracks that have ended", _ended(figures), labels=("result", "error_code")
    )
    told.counter("filed_bytes", "Bytes of files put into the library", alone(measurement.FILED_BYTES))
    told.counter(
        "addresses_refused",
        "Submissions whose URL was refused at once",
        alone(measurement.REFUSED_ADDRESSES),
    )
    # A worker has a heartbeat for each of its queues, and one more while attempts outlive the queue.
    beats = figures.get((measurement.HEARTBEATS, ""), 0)
    told.gauge("workers", "Workers that are alive", [((), max(beats // len(QUEUES), min(beats, 1)))])
    phases = [
        (
            phase,
            int(figures.get((measurement.PHASES, phase), 0)),
            figures.get((measurement.PHASE_SECONDS, phase), 0),
        )
        for phase in measurement.PHASE_NAMES
    ]
    told.summary("phase_seconds", "What attempts spend their time with", phases, labels=("phase",))


def _ended(figures: Figures) -> Iterator[tuple[tuple[str, str], float]]:
    for status in _ENDED:
        yield (status.value, ""), figures.get((status.value, ""), 0)
    for code in ErrorCode:
        yield (DownloadStatus.FAILED.value, code.value), figures.get((measurement.FAILED, code.value), 0)
