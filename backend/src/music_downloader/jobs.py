"""The queue's names, and the one way to put a job into it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from procrastinate import App, PsycopgConnector
from procrastinate.jobs import JobDeferrer
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

# Downloads may fill every slot for hours; upkeep has a queue of its own, so that it is never starved, and so
# has what may take its time behind everybody's back.
DOWNLOADS = "downloads"
QUIET = "quiet"
UPKEEP = "upkeep"
QUEUES = (DOWNLOADS, QUIET, UPKEEP)

RUN_DOWNLOAD = "music:run_download"
DISCARD = "music:discard"
MEASURE = "music:measure"
FINISH = "music:finish_collection"
MEASURE_ALBUMS = "music:measure_albums"
CLEAN_UP = "music:clean_up"
RESCUE = "music:rescue"
FOLD = "music:fold"
RECONCILE = "music:reconcile"
PERIODIC = (CLEAN_UP, RESCUE, FOLD, RECONCILE)  # they come by themselves, again and again

# Nobody waits for a gain. A burst of downloads has the machine for itself, and a file that has just come
# stays as it is for a moment.
MEASURE_AFTER_SECONDS = 30.0

# What is done behind everybody's back is brought again so often when it fails.
MOST_RETRIES = 5

# A worker writes its heartbeat every few seconds; one that has been silent this long is taken for dead.
SILENT_AFTER_SECONDS = 15

# A person who asks for one track needn't wait until somebody's thousand are through, and what was cut short
# doesn't go behind those that came after it.
_SUBMITTED, _OF_A_LIST = 10, 0
_CUT_SHORT = 1

# Never opened: a job rides on the connection of the transaction that it belongs to.
_deferrer = App(connector=PsycopgConnector())


async def enqueue(
    session: AsyncSession,
    name: str,
    *,
    queue: str = QUIET,
    priority: int = 0,
    delay: float = 0,
    arguments: Mapping[str, Any],
) -> None:
    """Add a job to the session's own transaction: it exists when, and only when, that commits.

    `delay` is in seconds; the arguments must fit into JSON.
    """
    await (await _configure(session, name, queue=queue, priority=priority, delay=delay)).defer_async(
        **arguments
    )


async def enqueue_download(
    session: AsyncSession,
    download_id: int,
    *,
    of_a_list: bool = False,
    cut_short: bool = False,
    delay: float = 0,
) -> None:
    """Add a job that runs one attempt at a download, at once if it was `cut_short` when it had its turn."""
    await enqueue(
        session,
        RUN_DOWNLOAD,
        queue=DOWNLOADS,
        priority=(_OF_A_LIST if of_a_list else _SUBMITTED) + (_CUT_SHORT if cut_short else 0),
        delay=delay,
        arguments={"download_id": download_id},
    )


async def enqueue_tracks(session: AsyncSession, download_ids: Sequence[int]) -> None:
    """Add the jobs of many tracks of a list at once, in their order."""
    if download_ids:
        job = await _configure(session, RUN_DOWNLOAD, queue=DOWNLOADS, priority=_OF_A_LIST)
        arguments: list[dict[str, Any]] = [{"download_id": download_id} for download_id in download_ids]
        await job.batch_defer_async(*arguments)


async def _configure(
    session: AsyncSession, name: str, *, queue: str, priority: int, delay: float = 0
) -> JobDeferrer:
    connection = await (await session.connection()).get_raw_connection()
    schedule: dict[str, Any] = {}
    if delay > 0:  # by the clock that decides when it is due
        now = (await session.execute(select(func.clock_timestamp()))).scalar_one()
        schedule = {"schedule_at": now + timedelta(seconds=delay)}
    return _deferrer.configure_task(
        name, queue=queue, priority=priority, connection=connection.driver_connection, **schedule
    )
