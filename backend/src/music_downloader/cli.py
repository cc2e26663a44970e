"""The command `nas-music`."""

import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader import version
from music_downloader.command.backup import backup, restore
from music_downloader.command.doctor import doctor
from music_downloader.command.engine import engine
from music_downloader.command.installation import installation
from music_downloader.command.library import adopt, verify
from music_downloader.command.transaction import in_transaction
from music_downloader.command.user import users
from music_downloader.config.logging import configure_logging
from music_downloader.config.safety import check_folders
from music_downloader.config.secret import signing_key
from music_downloader.config.settings import load_settings
from music_downloader.engine.containment import die_with_parent
from music_downloader.errors import MusicDownloaderError
from music_downloader.service import cleanup as cleanup_service
from music_downloader.service import counting, throttle

_RECOUNT_SECONDS = 1800.0
_NO_SUCH_TABLE = "42P01"

cli = typer.Typer(
    name="nas-music",
    help="Self-hosted music downloader: hand it a URL, find a tagged file in the music library.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
cli.add_typer(users, name="user")
cli.add_typer(engine, name="engine")


def main() -> None:
    """Run the command; a fault that a person can mend is one sentence on standard error, and exit code 2."""
    try:
        cli()
    except MusicDownloaderError as error:
        sys.exit(_say(error.detail))
    except OperationalError as error:
        reason = " ".join(str(error.orig).split())[:300]
        sys.exit(_say(f"The database can't be reached: {reason}"))
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", "") != _NO_SUCH_TABLE:
            raise
        sys.exit(_say("The database has no tables yet; run: nas-music migrate"))


def _say(sentence: str) -> int:
    typer.echo(f"nas-music: {sentence}", err=True)
    return 2


@cli.callback(invoke_without_command=True)
def _root(
    *, show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if show_version:
        typer.echo(version())
        raise typer.Exit


@cli.command()
def serve(
    *,
    standalone: Annotated[
        bool,
        typer.Option(
            help="Keep everything below this folder: music in ./downloads, data in ./.data, and a PostgreSQL "
            "of our own unless DATABASE_URL names one."
        ),
    ] = False,
    with_parent: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Serve the API, and with EMBEDDED_WORKER the worker too."""
    from music_downloader.command.running import serve_web  # noqa: PLC0415 - slow, and only needed here

    if with_parent:
        die_with_parent(signal.SIGTERM)
    here = Path.cwd()
    proposed: dict[str, Any] = (
        {"output_directory": here / "downloads", "data_directory": here / ".data"} if standalone else {}
    )
    settings = load_settings(proposed)
    configure_logging(level=settings.least_level, log_format=settings.log_format)
    check_folders(settings)
    signing_key(settings)  # a bad one is told before anything is started
    serve_web(settings, standalone=standalone)


@cli.command()
def worker() -> None:
    """Run a worker on its own; as many as you like, on as many machines."""
    from music_downloader.command.running import work_on  # noqa: PLC0415 - the same

    settings = load_settings()
    configure_logging(level=settings.least_level, log_format=settings.log_format)
    check_folders(settings)
    work_on(settings)


@cli.command()
def migrate() -> None:
    """Bring the database to the shape this version needs; safe to run at any time, and twice at once."""
    from music_downloader.migration import upgrade  # noqa: PLC0415 - the same

    with installation() as settings:
        changed = upgrade(settings.sqlalchemy_url)
    typer.echo("The database has been brought up to date." if changed else "The database is up to date.")


@cli.command()
def cleanup(
    *,
    recount: Annotated[bool, typer.Option(help="Count all lists anew as well, from their rows.")] = False,
) -> None:
    """Remove expired tokens and counts, as the worker does every quarter of an hour."""
    if recount:
        in_transaction(counting.recount, patience=_RECOUNT_SECONDS)
        typer.echo("Counted every list anew.")

    async def remove(session: AsyncSession) -> int:
        await throttle.remove_expired(session)
        return await cleanup_service.remove_expired_tokens(session)

    typer.echo(f"Removed {in_transaction(remove)} expired tokens.")


cli.command()(doctor)
cli.command()(verify)
cli.command()(backup)
cli.command()(restore)
cli.command()(adopt)
