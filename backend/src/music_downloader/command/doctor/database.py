"""The database, and what goes by way of it: time, notifications, the queue."""

import secrets
import time

import psycopg
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from music_downloader.command.doctor.connections import NAME, connected
from music_downloader.command.doctor.connections import session as opened
from music_downloader.command.doctor.finding import Finding, ok, problem, warning
from music_downloader.config.settings import Settings
from music_downloader.migration import OLDEST_POSTGRES, is_current
from music_downloader.service import health

_CLOCK_SECONDS = 5.0


def database(settings: Settings) -> Finding:
    """See that it can be reached, and is new enough."""
    try:
        with connected(settings) as connection:
            version = connection.info.server_version // 10_000
            said = connection.execute("SHOW server_version").fetchone()
    except psycopg.Error as error:
        reason = " ".join(str(error).split())[:200]
        return problem(
            f"can't be reached: {reason}", "start PostgreSQL, and see that DATABASE_URL names it rightly"
        )
    if version < OLDEST_POSTGRES:
        return problem(
            f"PostgreSQL {version}", f"version {OLDEST_POSTGRES} or later is needed; update PostgreSQL"
        )
    return ok(f"PostgreSQL {said[0] if said else version}")


def tables(settings: Settings) -> Finding:
    """See that they are those of this version."""
    engine = create_engine(settings.sqlalchemy_url, poolclass=NullPool, connect_args={"connect_timeout": 5})
    try:
        with engine.connect() as connection:
            if is_current(connection):
                return ok("up to date")
            known = connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL"))
    finally:
        engine.dispose()
    return problem(
        "not of this version" if known else "there are none yet",
        "run: nas-music migrate; where a newer version has been here, use that one",
    )


async def clock(settings: Settings) -> Finding:
    """Compare the clock with ours."""
    async with opened(settings) as session:
        before = time.time()
        theirs = await session.scalar(text("SELECT extract(epoch FROM clock_timestamp())::float8"))
        apart = abs(float(theirs or 0) - (before + time.time()) / 2)
    if apart > _CLOCK_SECONDS:
        return warning(
            f"{apart:.0f} seconds apart from the database's",
            "let both machines take their time from the network (NTP); tokens and waits go by it",
        )
    return ok("as the database's")


async def notifications(settings: Settings) -> Finding:
    """See that what one connection notifies reaches another."""
    channel = f"doctor_{secrets.token_hex(4)}"
    listening = await psycopg.AsyncConnection.connect(
        settings.conninfo, autocommit=True, connect_timeout=5, application_name=NAME
    )
    async with listening, opened(settings) as session:
        await listening.execute(f"LISTEN {channel}".encode())
        await session.execute(text("SELECT pg_notify(:channel, '')"), {"channel": channel})
        await session.commit()
        async for _ in listening.notifies(timeout=3, stop_after=1):
            return ok("arrive")
    return problem(
        "don't arrive: downloads begin late, and nothing is told live",
        "connect to PostgreSQL itself, or to a pooler in session mode; transaction mode drops them",
    )


async def queue(settings: Settings) -> Finding:
    """See that somebody works on it."""
    async with opened(settings) as session:
        alive = await health.workers_alive(session)
    if not alive:
        return problem(
            "no worker is running, so downloads wait",
            "start the service: make run, nas-music serve with EMBEDDED_WORKER=true, or nas-music worker",
        )
    return ok("a worker is running")
