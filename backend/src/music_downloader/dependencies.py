"""What routes ask for: a transaction, the settings, and who is calling from where."""

from collections.abc import AsyncIterator
from typing import Annotated, cast

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.config.settings import Settings
from music_downloader.errors import RecordedError
from music_downloader.model.database import FIRST_WORD_SECONDS, first_word_within
from music_downloader.model.reading import Reading
from music_downloader.service.audit import Origin


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """One transaction a request: committed before the answer leaves, rolled back on any error.

    The exception are refusals that have been written down (RecordedError): those records stay.
    """
    with first_word_within(FIRST_WORD_SECONDS):
        async with request.state.sessionmaker() as session:
            try:
                yield session
            except RecordedError:
                await session.commit()
                raise
            await session.commit()


async def get_reading(request: Request) -> Reading:
    """Return the connections for statements that only read."""
    return cast("Reading", request.state.reading)


async def get_settings(request: Request) -> Settings:
    """Return the settings that the application was built with."""
    return cast("Settings", request.state.settings)


async def get_origin(request: Request) -> Origin:
    """Return where the request came from, bounded for the audit log."""
    return Origin(
        ip_address=request.client.host if request.client else None,
        user_agent=request.headers.get("user-agent"),
        request_id=request.scope.get("request_id"),
    )


SessionDep = Annotated[AsyncSession, Depends(get_session, scope="function")]
ReadingDep = Annotated[Reading, Depends(get_reading)]
SettingsDep = Annotated[Settings, Depends(get_settings)]
OriginDep = Annotated[Origin, Depends(get_origin)]
