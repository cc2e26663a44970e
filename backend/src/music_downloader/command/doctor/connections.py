"""Connections of the doctor's own, which tell the database whose they are."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import psycopg
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from music_downloader.config.settings import Settings
from music_downloader.model.database import connect

NAME = "nas-music doctor"


@contextmanager
def connected(settings: Settings) -> Iterator[psycopg.Connection]:
    """Open one connection, each statement a transaction."""
    with psycopg.connect(
        settings.conninfo, autocommit=True, connect_timeout=5, application_name=NAME
    ) as connection:
        yield connection


@asynccontextmanager
async def sessions(settings: Settings) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    """Open a small pool."""
    database = connect(settings.sqlalchemy_url, application_name=NAME, pool_size=2)
    try:
        yield async_sessionmaker(database)
    finally:
        await database.dispose()


@asynccontextmanager
async def session(settings: Settings) -> AsyncIterator[AsyncSession]:
    """Open one session."""
    async with sessions(settings) as sessionmaker, sessionmaker() as session:
        yield session
