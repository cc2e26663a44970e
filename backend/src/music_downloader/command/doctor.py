"""`nas-music doctor`: what is wrong with an installation, in plain words, and how to mend it."""

import asyncio
import os
import secrets
import shutil
import subprocess
import sysconfig
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import typer
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.pool import NullPool

from music_downloader.command.installation import installation
from music_downloader.config.safety import check_folders, check_kept_secret
from music_downloader.config.secret import KEY_FILE, MIN_KEY_BYTES
from music_downloader.config.settings import PLACEHOLDER_SECRET_KEY, Settings
from music_downloader.egress.gate import Gate
from music_downloader.engine import ffmpeg, landlock, seccomp
from music_downloader.errors import ConfigurationError, MusicDownloaderError
from music_downloader.library import moving
from music_downloader.library.folders import OWN_FOLDER
from music_downloader.migration import OLDEST_POSTGRES, is_current
from music_downloader.model.database import connect
from music_downloader.service import health, reconciliation

_PATIENCE_SECONDS = 10.0
_CLOCK_SECONDS = 5.0
_ENCODERS = ("libmp3lame", "aac", "libopus", "flac")
_MOST_NAMED = 10
_WORDS = {
    health.Condition.HEALTHY: "ok",
    health.Condition.DEGRADED: "warning",
    health.Condition.UNHEALTHY: "problem",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What was found about one part, and how to mend it where it needs mending."""

    status: health.Condition
    detail: str
    mend: str = ""


def doctor() -> None:
    """Look at everything that the service needs; exit code 1 when something doesn't work."""
    # Now, as long as there is one thread only.
    lacking = [reason for reason in (landlock.missing(), seccomp.why_not()) if reason]
    with installation() as settings:
        findings = asyncio.run(_examine(settings))
    findings.append(("sandbox", _sandbox(lacking)))
    for name, finding in findings:
        typer.echo(f"{name:<10} {_WORDS[finding.status]:<8} {finding.detail}")
        if finding.mend and finding.status is not health.Condition.HEALTHY:
            typer.echo(f"{'':<20}To mend it: {finding.mend}")
    if any(finding.status is health.Condition.UNHEALTHY for _, finding in findings):
        raise typer.Exit(1)


async def _examine(settings: Settings) -> list[tuple[str, Finding]]:
    looks: list[tuple[str, Callable[[Settings], Awaitable[Finding]]]] = [
        ("settings", _threaded(_settings)),
        ("database", _threaded(_database)),
        ("tables", _threaded(_tables)),
        ("clock", _clock),
        ("notify", _notifications),
        ("queue", _queue),
        ("storage", _storage),
        ("filing", _threaded(_filing)),
        ("files", _files),
        ("data", _threaded(_data)),
        ("ffmpeg", _threaded(_ffmpeg)),
        ("yt_dlp", _threaded(_yt_dlp)),
        ("javascript", _threaded(_javascript)),
        ("egress", _egress),
    ]
    found = await asyncio.gather(*(_bounded(look, settings) for _, look in looks))
    return [(name, finding) for (name, _), finding in zip(looks, found, strict=True)]


def _threaded(look: Callable[[Settings], Finding]) -> Callable[[Settings], Awaitable[Finding]]:
    return lambda settings: asyncio.to_thread(look, settings)


async def _bounded(look: Callable[[Settings], Awaitable[Finding]], settings: Settings) -> Finding:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await look(settings)
    except TimeoutError:
        return _problem(
            f"no answer within {_PATIENCE_SECONDS:.0f} seconds",
            "see whether the machine or the disk is stuck",
        )
    except (SQLAlchemyError, psycopg.Error):
        return _warning("can't be told without the database", "")


def _ok(detail: str) -> Finding:
    return Finding(status=health.Condition.HEALTHY, detail=detail)


def _warning(detail: str, mend: str) -> Finding:
    return Finding(status=health.Condition.DEGRADED, detail=detail, mend=mend)


def _problem(detail: str, mend: str) -> Finding:
    return Finding(status=health.Condition.UNHEALTHY, detail=detail, mend=mend)


def _settings(settings: Settings) -> Finding:
    try:
        check_folders(settings)
        key = settings.secret_key.get_secret_value()
        kept = settings.data_directory / KEY_FILE
        if key != PLACEHOLDER_SECRET_KEY:
            if len(key.encode()) < MIN_KEY_BYTES:
                return _problem(
                    f"SECRET_KEY is shorter than {MIN_KEY_BYTES} bytes", "make one with: openssl rand -hex 32"
                )
            return _ok("they can be used; the key is SECRET_KEY")
        if not kept.exists():
            return _ok(f"they can be used; the first start makes a key in {kept}")
        check_kept_secret(kept)
    except ConfigurationError as error:
        return _problem("they would stop the start", error.detail)
    except OSError as error:
        return _problem(f"the key can't be looked at ({error.strerror})", "run this as the service's user")
    return _ok(f"they can be used; the key is in {kept}")


@contextmanager
def _connected(settings: Settings) -> Iterator[psycopg.Connection]:
    with psycopg.connect(
        settings.conninfo, autocommit=True, connect_timeout=5, application_name="nas-music doctor"
    ) as connection:
        yield connection


@asynccontextmanager
async def _sessions(settings: Settings) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    database = connect(settings.sqlalchemy_url, application_name="nas-music doctor", pool_size=2)
    try:
        yield async_sessionmaker(database)
    finally:
        await database.dispose()


@asynccontextmanager
async def _session(settings: Settings) -> AsyncIterator[AsyncSession]:
    async with _sessions(settings) as sessionmaker, sessionmaker() as session:
        yield session


def _database(settings: Settings) -> Finding:
    try:
        with _connected(settings) as connection:
            version = connection.info.server_version // 10_000
            said = connection.execute("SHOW server_version").fetchone()
    except psycopg.Error as error:
        reason = " ".join(str(error).split())[:200]
        return _problem(
            f"can't be reached: {reason}", "start PostgreSQL, and see that DATABASE_URL names it rightly"
        )
    if version < OLDEST_POSTGRES:
        return _problem(
            f"PostgreSQL {version}", f"version {OLDEST_POSTGRES} or later is needed; update PostgreSQL"
        )
    return _ok(f"PostgreSQL {said[0] if said else version}")


def _tables(settings: Settings) -> Finding:
    engine = create_engine(settings.sqlalchemy_url, poolclass=NullPool, connect_args={"connect_timeout": 5})
    try:
        with engine.connect() as connection:
            if is_current(connection):
                return _ok("up to date")
            known = connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL"))
    finally:
        engine.dispose()
    return _problem(
        "not of this version" if known else "there are none yet",
        "run: nas-music migrate; where a newer version has been here, use that one",
    )


async def _clock(settings: Settings) -> Finding:
    async with _session(settings) as session:
        before = time.time()
        theirs = await session.scalar(text("SELECT extract(epoch FROM clock_timestamp())::float8"))
        apart = abs(float(theirs or 0) - (before + time.time()) / 2)
    if apart > _CLOCK_SECONDS:
        return _warning(
            f"{apart:.0f} seconds apart from the database's",
            "let both machines take their time from the network (NTP); tokens and waits go by it",
        )
    return _ok("as the database's")


async def _notifications(settings: Settings) -> Finding:
    channel = f"doctor_{secrets.token_hex(4)}"
    listening = await psycopg.AsyncConnection.connect(
        settings.conninfo, autocommit=True, connect_timeout=5, application_name="nas-music doctor"
    )
    async with listening, _session(settings) as session:
        await listening.execute(f"LISTEN {channel}".encode())
        await session.execute(text("SELECT pg_notify(:channel, '')"), {"channel": channel})
        await session.commit()
        async for _ in listening.notifies(timeout=3, stop_after=1):
            return _ok("arrive")
    return _problem(
        "don't arrive: downloads begin late, and nothing is told live",
        "connect to PostgreSQL itself, or to a pooler in session mode; transaction mode drops them",
    )


async def _queue(settings: Settings) -> Finding:
    async with _session(settings) as session:
        alive = await health.workers_alive(session)
    if not alive:
        return _problem(
            "no worker is running, so downloads wait",
            "start the service: make run, nas-music serve with EMBEDDED_WORKER=true, or nas-music worker",
        )
    return _ok("a worker is running")


async def _storage(settings: Settings) -> Finding:
    async with _sessions(settings) as sessionmaker:
        check = await health.storage(
            sessionmaker, library=settings.output_directory, min_free_space=settings.min_free_space
        )
    mend = "make room, or lower MIN_FREE_SPACE"
    if check.status is health.Condition.UNHEALTHY:
        mend = (
            f"see that the disk or share is mounted at {settings.output_directory}, and that the service's "
            "user may write there; if the music was moved or given up on purpose, run: nas-music adopt"
        )
    return Finding(status=check.status, detail=check.detail, mend=mend)


def _filing(settings: Settings) -> Finding:
    """Try, in the library's own folder, what filing needs."""
    own = settings.output_directory / OWN_FOLDER
    if not own.is_dir():
        return _ok("nothing to try it on before the first start")
    try:
        ways = [way.__name__.removeprefix("by_") for way in moving.WAYS if _works(own, way)]
        descriptor = os.open(own, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with suppress(OSError):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        return _problem(f"files can't be moved into place ({error.strerror})", "make the library writable")
    if not ways:
        return _problem(
            "files can't be renamed without overwriting", "use a file system that can rename or link"
        )
    if ways[0] == "claim":
        return _warning(
            "this share neither links nor refuses to overwrite",
            "it works; only let no other program write into the same folders at the same time",
        )
    return _ok(f"files are moved into place by {ways[0]}, over nothing")


def _works(own: Path, way: Callable[[moving.Place, moving.Place], None]) -> bool:
    name = f"doctor.{secrets.token_hex(4)}"
    folder = os.open(own, os.O_RDONLY | os.O_DIRECTORY)
    try:
        (own / name).write_bytes(b"\n")
        way(moving.Place(folder=folder, name=name), moving.Place(folder=folder, name=f"{name}.moved"))
    except OSError:
        return False
    finally:
        os.close(folder)
        for left in (own / name, own / f"{name}.moved"):
            left.unlink(missing_ok=True)
    return True


async def _files(settings: Settings) -> Finding:
    async with _session(settings) as session:
        missing = await reconciliation.missing(session, most=_MOST_NAMED + 1)
    if not missing:
        return _ok("none is known to have vanished; nas-music verify reads each of them")
    named = ", ".join(missing[:_MOST_NAMED]) + (", …" if len(missing) > _MOST_NAMED else "")
    return _warning(f"vanished from the library: {named}", "put them back, or download them again")


def _data(settings: Settings) -> Finding:
    folder = settings.data_directory
    if not folder.exists():
        return _ok(f"{folder} isn't there yet, and is made when it is needed")
    if not os.access(folder, os.W_OK | os.X_OK):
        return _problem(f"{folder} can't be written to", f"give it to the service's user: chown … '{folder}'")
    free = shutil.disk_usage(folder).free
    if free < 100 * 1024**2:
        return _warning(f"{free // 1024**2} MiB left at {folder}", "make room: the database needs it")
    return _ok(f"{folder} can be written to")


def _ffmpeg(settings: Settings) -> Finding:
    del settings
    mend = "reinstall the service (make setup), or install ffmpeg"
    try:
        program = ffmpeg.executable()
        listed = subprocess.run(  # noqa: S603 - no shell, nothing from outside
            [program, "-hide_banner", "-encoders"], capture_output=True, text=True, timeout=8, check=True
        ).stdout.split()
    except (OSError, RuntimeError, subprocess.SubprocessError):
        return _problem("doesn't run", mend)
    lacking = [encoder for encoder in _ENCODERS if encoder not in listed]
    if lacking:
        return _problem(f"{program} can't write {', '.join(lacking)}", mend)
    return _ok(f"{program}, with all that is needed")


def _yt_dlp(settings: Settings) -> Finding:
    check = health.yt_dlp(settings.data_directory, settings.engine_updates)
    return Finding(status=check.status, detail=check.detail, mend="run: nas-music engine update")


def _javascript(settings: Settings) -> Finding:
    del settings
    program = shutil.which("deno") or str(Path(sysconfig.get_path("scripts")) / "deno")
    try:
        said = subprocess.run(  # noqa: S603 - no shell, nothing from outside
            [program, "--version"], capture_output=True, text=True, timeout=8, check=True
        ).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return _warning(
            "no deno: YouTube may not work", "reinstall the service (make setup), or install deno"
        )
    return _ok(" ".join(said[:2]))


def _sandbox(lacking: Sequence[str]) -> Finding:
    if lacking:
        return _warning(
            "; ".join(lacking),
            "use a kernel with Landlock (6.7 or later) and seccomp; without them it works, less safely",
        )
    return _ok("Landlock and seccomp hold the processes that fetch and convert")


async def _egress(settings: Settings) -> Finding:
    gate = Gate()
    try:
        await gate.start()
    except (MusicDownloaderError, OSError) as error:
        return _problem(f"the egress proxy doesn't start ({error})", "see whether 127.0.0.1 works here")
    finally:
        await gate.close()
    through = " and hands on to DOWNLOAD_PROXY" if settings.download_proxy else ""
    return _ok(f"the egress proxy starts{through}")
