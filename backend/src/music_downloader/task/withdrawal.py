"""Clearing up after whoever died between a rename and its commit."""

import asyncio
from pathlib import Path, PurePosixPath

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.library.filing import unpublish
from music_downloader.library.presence import read_marker
from music_downloader.library.withdrawal import filed_copies, remove_empty_folders
from music_downloader.model import FilingIntent
from music_downloader.service import intent

log = structlog.stdlib.get_logger(__name__)


async def withdraw(session: AsyncSession, root: Path, said: FilingIntent) -> None:
    """Remove what an attempt that is over has filed without a row, and forget its word."""
    await intent.take_turn(session, sha256=said.sha256)
    if await intent.is_left(session, said.id):
        await remove(session, root, said)


async def remove(session: AsyncSession, root: Path, said: FilingIntent) -> None:
    """Do so for one whose turn the caller has, and whose writer is known to be gone.

    The word stays, for another time, while somebody is at work on the same bytes: they may go elsewhere. It
    does too where the library has gone, since nothing is found then.
    """
    if await intent.is_at_work(session, said):
        return
    wanted = PurePosixPath(said.path)
    for copy in await asyncio.to_thread(filed_copies, root, wanted, size=said.size, digest=said.sha256):
        if not await intent.is_owned(session, str(copy)):
            await asyncio.to_thread(unpublish, root, copy, cover_sha256=said.cover_sha256)
            log.warning("filing.withdrawn", path=str(copy))
    await asyncio.to_thread(remove_empty_folders, root, wanted.parent)
    if await asyncio.to_thread(read_marker, root) is not None:
        await intent.take_back(session, said.id)
