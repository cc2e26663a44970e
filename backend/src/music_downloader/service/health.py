"""Whether the service can do its work, asked of the real things and never for long."""

import asyncio
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from weakref import WeakKeyDictionary

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from music_downloader.engine import ffmpeg
from music_downloader.engine.release.store import Store
from music_downloader.engine.release.version import released
from music_downloader.jobs import SILENT_AFTER_SECONDS
from music_downloader.library import presence
from music_downloader.library.presence import Look
from music_downloader.service import recognition, reconciliation

STALE_DAYS = 60  # sites change by the week
_PATIENCE_SECONDS = 4
_DATABASE_SECONDS = 1.5  # it needs no disk to answer
_looking: dict[Path, asyncio.Future[Look]] = {}
_measuring: dict[Path, asyncio.Future[int | None]] = {}
_examining: "WeakKeyDictionary[async_sessionmaker[AsyncSession], asyncio.Future[dict[str, Check]]]" = (
    WeakKeyDictionary()
)
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
    sessionmaker: async_sessionmaker[AsyncSession],
    *,
    library: Path,
    min_free_space: int,
    data_directory: Path,
    engine_updates: str,
) -> dict[str, Check]:
    """Look at everything at once; a check that doesn't answer within seconds is unhealthy.

    Whoever asks meanwhile gets the same answer: nobody has to log in for it, and it isn't cheap.
    """
    checks: dict[str, Callable[[], Awaitable[Check]]] = {
        "database": lambda: _database(sessionmaker),
        "queue": lambda: _queue(sessionmaker),
        "storage": lambda: storage(sessionmaker, library=library, min_free_space=min_free_space),
        "ffmpeg": lambda: asyncio.to_thread(_ffmpeg),
        "yt_dlp": lambda: asyncio.to_thread(yt_dlp, data_directory, engine_updates),
    }
    running = _examining.get(sessionmaker)
    if running is None or running.done():
        running = _examining[sessionmaker] = asyncio.ensure_future(_at_once(checks))
    return await asyncio.shield(running)


async def _at_once(checks: Mapping[str, Callable[[], Awaitable[Check]]]) -> dict[str, Check]:
    results = await asyncio.gather(*(_bounded(name, check) for name, check in checks.items()))
    return dict(zip(checks, results, strict=True))


async def _bounded(name: str, check: Callable[[], Awaitable[Check]]) -> Check:
    seconds = _DATABASE_SECONDS if name in {"database", "queue"} else _PATIENCE_SECONDS
    try:
        async with asyncio.timeout(seconds):
            return await check()
    except TimeoutError:
        return Check(status=Condition.UNHEALTHY, detail=f"no answer within {seconds} seconds")


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


async def database_has_been_up(session: AsyncSession, *, seconds: float) -> bool:
    """Whether the database was started at least so long ago: nobody could write a heartbeat before."""
    started = text(  # a start that is yet to come says that the clock was set back
        "SELECT NOT pg_postmaster_start_time() BETWEEN now() - make_interval(secs => :seconds) AND now()"
    )
    return await session.scalar(started, {"seconds": seconds}) is True


async def storage(
    sessionmaker: async_sessionmaker[AsyncSession], *, library: Path, min_free_space: int
) -> Check:
    """Look at the library, and at what the database knows of it."""
    known, missing = None, 0
    with suppress(SQLAlchemyError, OSError, TimeoutError):  # what is on the disk can be told without it
        async with asyncio.timeout(_DATABASE_SECONDS), sessionmaker() as session:
            known = await recognition.known_name(session)
            missing = await reconciliation.count_missing(session)
    check = _judge_storage(await _look(library), library, known=known, min_free_space=min_free_space)
    if missing and check.status is not Condition.UNHEALTHY:
        said = f"{check.detail}; files that have vanished: {missing}"
        return Check(status=check.status, detail=said)
    return check


def _judge_storage(found: Look, library: Path, *, known: str | None, min_free_space: int) -> Check:
    """Say how the library is; `known` is the name that the database has for it, None before the first."""
    if found.fault is not None:
        reason = found.fault.strerror
        return Check(
            status=Condition.UNHEALTHY,
            detail=f"the library can't be written to ({reason}); make {library} writable",
        )
    if found.marker is None and known is not None:
        return Check(
            status=Condition.UNHEALTHY,
            detail=f"the library isn't there: {library} is empty or another folder; mount it again",
        )
    if found.marker is None and found.free == 0:
        return Check(
            status=Condition.UNHEALTHY, detail=f"{library} isn't there; a worker makes it at its first start"
        )
    if known is not None and found.marker != known:
        return Check(
            status=Condition.UNHEALTHY, detail=f"{library} is another library than the one in the database"
        )
    said = f"{found.free / _GIB:.1f} GiB free"
    if found.free < min_free_space:
        floor = f"less than the {min_free_space / _GIB:.1f} GiB to keep; downloads wait for room"
        return Check(status=Condition.DEGRADED, detail=f"{said}, {floor}")
    return Check(status=Condition.HEALTHY, detail=said)


async def _look(library: Path) -> Look:
    """Look at the library in a thread; where a share hangs, all who ask wait for the same one."""
    looking = _looking.get(library)
    if looking is None or looking.done():
        looking = _looking[library] = asyncio.ensure_future(asyncio.to_thread(presence.look, library))
    return await asyncio.shield(looking)


async def free_space(library: Path) -> int | None:
    """Return the bytes that are free where the library is, without writing; None where that can't be told."""
    measuring = _measuring.get(library)
    if measuring is None or measuring.done():
        measuring = _measuring[library] = asyncio.ensure_future(asyncio.to_thread(_free_space, library))
    try:
        async with asyncio.timeout(_DATABASE_SECONDS):
            return await asyncio.shield(measuring)
    except TimeoutError:
        return None


def _free_space(library: Path) -> int | None:
    try:
        return shutil.disk_usage(library).free
    except OSError:
        return None


def _ffmpeg() -> Check:
    try:
        program = ffmpeg.executable()
        return Check(status=Condition.HEALTHY, detail=_said_by(program, Path(program).stat().st_mtime_ns))
    except (OSError, RuntimeError, subprocess.SubprocessError):
        return Check(
            status=Condition.UNHEALTHY, detail="doesn't run; install ffmpeg or reinstall the service"
        )


@lru_cache(maxsize=1)
def _said_by(program: str, _changed: int) -> str:
    """Have ffmpeg say which version it is; that stays so unless the file has changed."""
    asked = subprocess.run(  # noqa: S603 - no shell, nothing from outside
        [program, "-version"], capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=True
    )
    return " ".join(asked.stdout.split()[:3])


def yt_dlp(data_directory: Path, updates: str) -> Check:
    """Name the version that fetches, where it comes from and its age; yt-dlp itself is never imported."""
    store = Store(data_directory)
    entry, ledger = store.in_use(), store.ledger()
    version = store.version()
    if not version:
        return Check(status=Condition.UNHEALTHY, detail="not installed; reinstall the service")
    day = released(version)
    days = max((datetime.now(UTC).date() - day).days, 0) if day else 0
    runtime = "deno" if shutil.which("deno") or _has_wheel("deno") else None
    source = "updated" if entry else "built in"
    said = f"{version}, {source}, {days} days old, with {runtime or 'no JavaScript runtime'}"
    ails = [] if runtime else ["YouTube may not work"]
    if days > STALE_DAYS and updates == "off":
        ails.append("stale, and ENGINE_UPDATES is off; run: nas-music engine update")
    elif days > STALE_DAYS and ledger.fault:
        ails.append(f"stale, and the last update failed: {ledger.fault}")
    notes = [*ails, *([ledger.note] if ledger.note else [])]
    return Check(status=Condition.DEGRADED if ails else Condition.HEALTHY, detail="; ".join([said, *notes]))


def _has_wheel(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
