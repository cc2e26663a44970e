"""Whether the service can do its work, asked of the real things and never for long."""

import asyncio
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import metadata
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from music_downloader.engine import ffmpeg
from music_downloader.library.filing import check_writable, free_space

# A worker writes its heartbeat every few seconds; one that has been silent this long is taken for dead.
SILENT_AFTER_SECONDS = 15
_PATIENCE_SECONDS = 4
_GIB = 1024**3


class Condition(StrEnum):
    """How well something is; `degraded` still works."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that was looked at, with a word of why."""

    status: Condition
    detail: str


def worst(checks: dict[str, Check]) -> Condition:
    """Return the condition of the whole: that of its worst part."""
    order = list(Condition)
    return max((check.status for check in checks.values()), key=order.index)


async def examine(
    sessionmaker: async_sessionmaker[AsyncSession], *, library: Path, min_free_space: int
) -> dict[str, Check]:
    """Look at everything at once; a check that doesn't answer within seconds is unhealthy."""
    checks: dict[str, Callable[[], Awaitable[Check]]] = {
        "database": lambda: _database(sessionmaker),
        "queue": lambda: _queue(sessionmaker),
        "storage": lambda: asyncio.to_thread(_storage, library, min_free_space),
        "ffmpeg": lambda: asyncio.to_thread(_ffmpeg),
        "yt_dlp": lambda: asyncio.to_thread(_yt_dlp),
    }
    results = await asyncio.gather(*(_bounded(check) for check in checks.values()))
    return dict(zip(checks, results, strict=True))


async def _bounded(check: Callable[[], Awaitable[Check]]) -> Check:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await check()
    except TimeoutError:
        return Check(status=Condition.UNHEALTHY, detail=f"no answer within {_PATIENCE_SECONDS} seconds")


async def _database(sessionmaker: async_sessionmaker[AsyncSession]) -> Check:
    try:
        async with sessionmaker() as session:
            version = await session.scalar(text("SHOW server_version"))
    except (SQLAlchemyError, OSError) as error:
        return Check(status=Condition.UNHEALTHY, detail=f"can't be reached ({type(error).__name__})")
    return Check(status=Condition.HEALTHY, detail=f"PostgreSQL {version}")


async def _queue(sessionmaker: async_sessionmaker[AsyncSession]) -> Check:
    try:
        async with sessionmaker() as session:
            alive = await workers_alive(session)
            waiting = await session.scalar(
                text("SELECT count(*) FROM download_history WHERE status IN ('pending', 'in-progress')")
            )
    except (SQLAlchemyError, OSError) as error:
        return Check(status=Condition.UNHEALTHY, detail=f"can't be read ({type(error).__name__})")
    if not alive:
        return Check(
            status=Condition.UNHEALTHY, detail=f"no worker is running; {waiting} unfinished downloads wait"
        )
    return Check(status=Condition.HEALTHY, detail=f"a worker is running; {waiting} unfinished downloads")


async def workers_alive(session: AsyncSession) -> int:
    """Return how many of the queue's workers wrote a heartbeat lately."""
    return (
        await session.scalar(
            text(
                "SELECT count(*) FROM procrastinate_workers"
                " WHERE last_heartbeat > now() - make_interval(secs => :seconds)"
            ),
            {"seconds": SILENT_AFTER_SECONDS},
        )
    ) or 0


def _storage(library: Path, min_free_space: int) -> Check:
    try:
        check_writable(library)
        free = free_space(library)
    except OSError as error:
        return Check(
            status=Condition.UNHEALTHY,
            detail=f"the library can't be written to ({error.strerror}); make {library} writable",
        )
    said = f"{free / _GIB:.1f} GiB free"
    if free < min_free_space:
        return Check(
            status=Condition.DEGRADED, detail=f"{said}, less than the {min_free_space / _GIB:.1f} GiB to keep"
        )
    return Check(status=Condition.HEALTHY, detail=said)


def _ffmpeg() -> Check:
    try:
        program = ffmpeg.executable()
        asked = subprocess.run(  # noqa: S603 - no shell, nothing from outside
            [program, "-version"], capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=True
        )
    except (OSError, RuntimeError, subprocess.SubprocessError):
        return Check(
            status=Condition.UNHEALTHY, detail="doesn't run; install ffmpeg or reinstall the service"
        )
    return Check(status=Condition.HEALTHY, detail=" ".join(asked.stdout.split()[:3]))


@cache
def _yt_dlp() -> Check:
    """Name the version without importing yt-dlp: the web process never needs its sixty megabytes."""
    try:
        version = metadata.version("yt-dlp")
    except metadata.PackageNotFoundError:
        return Check(status=Condition.UNHEALTHY, detail="not installed; reinstall the service")
    runtime = "deno" if shutil.which("deno") or _has_wheel("deno") else None
    if runtime is None:
        return Check(
            status=Condition.DEGRADED, detail=f"{version}, without a JavaScript runtime: YouTube may not work"
        )
    return Check(status=Condition.HEALTHY, detail=f"{version}, with {runtime}")


def _has_wheel(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
