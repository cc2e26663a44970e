"""The queue's names, and the one way to put a job into it."""

from collections.abc import Mapping
from typing import Any

from procrastinate import App, PsycopgConnector
from sqlalchemy.ext.asyncio import AsyncSession

# Downloads may fill every slot for hours; upkeep has a queue of its own, so that it is never starved.
DOWNLOADS = "downloads"
UPKEEP = "upkeep"

RUN_DOWNLOAD = "music:run_download"
CLEAN_UP = "music:clean_up"
RESCUE = "music:rescue"

# Never opened: a job rides on the connection of the transaction that it belongs to.
_deferrer = App(connector=PsycopgConnector())


async def enqueue(
    session: AsyncSession,
    name: str,
    *,
    delay: float = 0,
    arguments: Mapping[str, Any],
) -> None:
    """Add a download's job to the session's own transaction: it exists when, and only when, that commits.

    `delay` is in seconds; the arguments must fit into JSON.
    """
    connection = await (await session.connection()).get_raw_connection()
    schedule: dict[str, Any] = {"schedule_in": {"seconds": delay}} if delay > 0 else {}
    deferrer = _deferrer.configure_task(
        name, queue=DOWNLOADS, connection=connection.driver_connection, **schedule
    )
    await deferrer.defer_async(**arguments)
