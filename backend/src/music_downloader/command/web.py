"""`nas-music serve`: the web, until it is told to stop."""

import asyncio
import math
import signal

import structlog
import typer
import uvicorn
from pydantic import SecretStr

from music_downloader import version
from music_downloader.app import create_app
from music_downloader.command.loop import run
from music_downloader.config.settings import Settings
from music_downloader.errors import MusicDownloaderError
from music_downloader.postgres import EmbeddedPostgres
from music_downloader.serving.server import configuration

log = structlog.stdlib.get_logger(__name__)

_LOOK_EVERY_SECONDS = 1
_TRY_AGAIN_SECONDS = 5
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


def serve_web(settings: Settings, *, standalone: bool) -> None:
    """Serve until told to stop; `standalone` with a PostgreSQL of our own, unless the settings name one."""
    if not standalone or settings.names_a_database:
        run(_serve(settings, postgres=None, banner=standalone))
        return
    postgres = EmbeddedPostgres(settings.data_directory)
    postgres.start()
    try:
        own = settings.model_copy(update={"database_url": SecretStr(postgres.url)})
        run(_serve(own, postgres=postgres, banner=True))
    finally:
        postgres.stop()


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
        companions.append(asyncio.create_task(keep_running(postgres)))
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


async def keep_running(postgres: EmbeddedPostgres) -> None:
    """Start the embedded PostgreSQL again whenever it dies.

    In the main thread, though that holds the loop up: the kernel ties the server's life to the thread that
    started it, and without a database there is nothing to serve.
    """
    while True:
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
        if postgres.pid is not None and postgres.poll() is None:
            continue
        if postgres.pid is not None:
            log.error("postgres.died", status=postgres.poll())
        try:
            postgres.start()
        except MusicDownloaderError as error:  # a disk may be full for now
            log.error("postgres.not_started", reason=error.detail)  # noqa: TRY400 - it says it all
            await asyncio.sleep(_TRY_AGAIN_SECONDS)
