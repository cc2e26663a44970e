"""The command `nas-music`."""

import asyncio
import gc
import math
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
import uvicorn
import uvloop
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader import version
from music_downloader.app import create_app
from music_downloader.command.doctor import doctor
from music_downloader.command.installation import installation
from music_downloader.command.library import adopt, verify
from music_downloader.command.transaction import in_transaction
from music_downloader.command.user import users
from music_downloader.config.logging import configure_logging
from music_downloader.config.safety import check_folders
from music_downloader.config.secret import signing_key
from music_downloader.config.settings import Settings, load_settings
from music_downloader.engine.containment import die_with_parent
from music_downloader.errors import MusicDownloaderError
from music_downloader.migration import upgrade, upgrade_when_reachable
from music_downloader.postgres import EmbeddedPostgres
from music_downloader.service import cleanup as cleanup_service
from music_downloader.service import counting, throttle
from music_downloader.serving.server import configuration
from music_downloader.stopping import stopping
from music_downloader.worker import run_worker

log = structlog.stdlib.get_logger(__name__)

_LOOK_EVERY_SECONDS = 1
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

_BANNER = """
  NAS Music Downloader {version} is running at {address}
  Music goes to {library}. Interactive documentation: {address}/docs

  Try, in another terminal:

  curl -s {address}/auth/register -H 'Content-Type: application/json' \\
    -d '{{"username": "alice", "email": "alice@example.org", "password": "correct horse battery"}}'

  TOKEN=$(curl -s {address}/auth/login -d username=alice -d 'password=correct horse battery' \\
    | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')

  curl -s {address}/api/download -H "Authorization: Bearer $TOKEN" \\
    -H 'Content-Type: application/json' -d '{{"url": "https://artist.bandcamp.com/track/song"}}'
"""


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
    if not standalone or settings.names_a_database:
        _run(_serve(settings, postgres=None, banner=standalone))
        return
    postgres = EmbeddedPostgres(settings.data_directory)
    postgres.start()
    try:
        own = settings.model_copy(update={"database_url": SecretStr(postgres.url)})
        _run(_serve(own, postgres=postgres, banner=True))
    finally:
        postgres.stop()


def _run(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop, which answers sooner than the standard library's loop."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main)
    finally:
        gc.freeze()  # or the interpreter looks through all that was loaded once more, for seconds on a NAS


async def _serve(settings: Settings, *, postgres: EmbeddedPostgres | None, banner: bool) -> None:
    application = create_app(settings)
    server = uvicorn.Server(
        configuration(
            application,
            host=settings.host,
            port=settings.port,
            graceful_seconds=max(math.ceil(settings.shutdown_grace), 1),
        )
    )
    # uvicorn hands each signal on once it has stopped; by then there is nothing left for it to do.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    companions = [asyncio.create_task(_greet(server, settings))] if banner else []
    if postgres is not None:
        companions.append(asyncio.create_task(_keep_running(postgres)))
    try:
        await server.serve()
    except SystemExit:
        if refused := getattr(application.state, "refused", None):
            raise refused from None
        raise
    finally:
        for companion in companions:
            companion.cancel()
        await asyncio.gather(*companions, return_exceptions=True)
    if not server.started:
        raise typer.Exit(1)


async def _greet(server: uvicorn.Server, settings: Settings) -> None:
    while not server.started:  # noqa: ASYNC110 - uvicorn tells it by a flag
        await asyncio.sleep(0.05)
    host = "localhost" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 - a comparison
    port = server.servers[0].sockets[0].getsockname()[1]
    address = f"http://{host}:{port}{settings.root_path}"
    typer.echo(_BANNER.format(version=version(), address=address, library=settings.output_directory))


async def _keep_running(postgres: EmbeddedPostgres) -> None:
    """Start the embedded PostgreSQL again whenever it dies.

    In the main thread, though that holds the loop up: the kernel ties the server's life to the thread that
    started it, and without a database there is nothing to serve.
    """
    while True:
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
        if postgres.poll() is not None:
            log.error("postgres.died", status=postgres.poll())
            try:
                postgres.start()
            except MusicDownloaderError as error:
                log.error("postgres.not_started", reason=error.detail)  # noqa: TRY400 - it says it all


@cli.command()
def worker() -> None:
    """Run a worker on its own; as many as you like, on as many machines."""
    settings = load_settings()
    configure_logging(level=settings.least_level, log_format=settings.log_format)
    check_folders(settings)
    _run(_work(settings))


async def _work(settings: Settings) -> None:
    stop = asyncio.Event()
    with stopping(stop.set):
        migrating = asyncio.create_task(upgrade_when_reachable(settings.sqlalchemy_url))
        asked = asyncio.create_task(stop.wait())
        await asyncio.wait({migrating, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if migrating.done():
            await migrating
            await run_worker(settings, stop=stop)
        migrating.cancel()


@cli.command()
def migrate() -> None:
    """Bring the database to the shape this version needs; safe to run at any time, and twice at once."""
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
cli.command()(adopt)
