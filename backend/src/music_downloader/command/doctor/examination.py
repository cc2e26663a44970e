"""`nas-music doctor`: what is wrong with an installation, in plain words, and how to mend it."""

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
import typer
from sqlalchemy.exc import SQLAlchemyError

from music_downloader.command.doctor import database, folders, programs
from music_downloader.command.doctor.finding import Finding, problem, warning
from music_downloader.command.doctor.settings import settled
from music_downloader.command.installation import installation
from music_downloader.config.settings import Settings
from music_downloader.engine import landlock, seccomp
from music_downloader.service.health import Condition

_PATIENCE_SECONDS = 10.0
_WORDS = {
    Condition.HEALTHY: "ok",
    Condition.DEGRADED: "warning",
    Condition.UNHEALTHY: "problem",
}


def examine() -> None:
    """Look at everything, and tell; exit code 1 when something doesn't work."""
    # Now, as long as there is one thread only.
    lacking = [reason for reason in (landlock.missing(), seccomp.why_not()) if reason]
    with installation() as settings:
        findings = asyncio.run(_examine(settings))
    findings.append(("sandbox", programs.sandbox(lacking)))
    for name, finding in findings:
        typer.echo(f"{name:<10} {_WORDS[finding.status]:<8} {finding.detail}")
        if finding.mend and finding.status is not Condition.HEALTHY:
            typer.echo(f"{'':<20}To mend it: {finding.mend}")
    if any(finding.status is Condition.UNHEALTHY for _, finding in findings):
        raise typer.Exit(1)


async def _examine(settings: Settings) -> list[tuple[str, Finding]]:
    looks: list[tuple[str, Callable[[Settings], Awaitable[Finding]]]] = [
        ("settings", _threaded(settled)),
        ("database", _threaded(database.database)),
        ("tables", _threaded(database.tables)),
        ("clock", database.clock),
        ("notify", database.notifications),
        ("queue", database.queue),
        ("storage", folders.storage),
        ("filing", _threaded(folders.filing)),
        ("files", folders.files),
        ("data", _threaded(folders.data)),
        ("ffmpeg", _threaded(programs.converter)),
        ("yt_dlp", _threaded(programs.yt_dlp)),
        ("javascript", _threaded(programs.javascript)),
        ("egress", programs.egress),
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
        return problem(
            f"no answer within {_PATIENCE_SECONDS:.0f} seconds",
            "see whether the machine or the disk is stuck",
        )
    except (SQLAlchemyError, psycopg.Error):
        return warning("can't be told without the database", "")
