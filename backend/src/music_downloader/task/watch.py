"""Looking after a worker's attempts: one that was cancelled, or taken over by another worker, is ended."""

import asyncio

import structlog
from sqlalchemy.exc import SQLAlchemyError

from music_downloader.service import claim
from music_downloader.task.state import WorkerState

log = structlog.stdlib.get_logger(__name__)

_EVERY_SECONDS = 1.0


async def watch_claims(state: WorkerState) -> None:
    """Compare, once a second, what runs here with what the database says, until cancelled."""
    while True:
        await asyncio.sleep(_EVERY_SECONDS)
        running = list(state.running.values())
        if not running:
            continue
        try:
            async with state.sessionmaker() as session:
                held = await claim.still_held(session, [one.claimed for one in running])
        except (SQLAlchemyError, OSError) as error:
            log.debug("watch.failed", error=type(error).__name__)
            continue
        for one in running:
            if one.claimed.download_id not in held and not one.work.cancelling():
                one.work.cancel()
