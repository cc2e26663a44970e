"""One transaction for a command that does one thing and ends."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from music_downloader.command.installation import installation
from music_downloader.config.settings import Settings
from music_downloader.errors import RecordedError
from music_downloader.model.database import connect

T = TypeVar("T")
PATIENCE = 5.0


def in_transaction(
    work: Callable[[AsyncSession], Awaitable[T]],
    settings: Settings | None = None,
    *,
    patience: float = PATIENCE,
) -> T:
    """Do the work on the installation's database; commit it, or only what tells of its refusal.

    A statement may take `patience` seconds.
    """
    if settings is not None:
        return asyncio.run(_work(work, settings, patience))
    with installation() as found:
        return asyncio.run(_work(work, found, patience))


async def _work(work: Callable[[AsyncSession], Awaitable[T]], settings: Settings, patience: float) -> T:
    url = settings.sqlalchemy_url
    database = connect(url, application_name="nas-music", pool_size=1, patience=patience)
    try:
        async with async_sessionmaker(database, expire_on_commit=False)() as session:
            try:
                result = await work(session)
            except RecordedError:
                await session.commit()
                raise
            await session.commit()
            return result
    finally:
        await database.dispose()
