"""`nas-music worker`: a worker on its own, which needs nothing of the web."""

import asyncio

from music_downloader.command.loop import run
from music_downloader.config.settings import Settings
from music_downloader.config.tracing import start_tracing
from music_downloader.migration import upgrade_when_reachable
from music_downloader.stopping import stopping
from music_downloader.worker import run_worker


def work_on(settings: Settings) -> None:
    """Run a worker until told to stop."""
    run(_work(settings))


async def _work(settings: Settings) -> None:
    stop = asyncio.Event()
    tracing = start_tracing(settings.otel_exporter_otlp_endpoint)
    try:
        with stopping(stop.set):
            migrating = asyncio.create_task(upgrade_when_reachable(settings.sqlalchemy_url))
            asked = asyncio.create_task(stop.wait())
            await asyncio.wait({migrating, asked}, return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
            if migrating.done():
                await migrating
                await run_worker(settings, stop=stop, tracing=tracing)
            migrating.cancel()
    finally:
        await asyncio.to_thread(tracing.end)
