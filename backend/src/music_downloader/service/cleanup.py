"""Upkeep of the database."""

from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.model import RevokedToken

# Clocks of several machines differ; a row outlives its token by more than any of them should.
MARGIN = timedelta(hours=1)


async def remove_expired_tokens(session: AsyncSession, *, now: datetime) -> int:
    """Remove blacklist rows whose token no clock would accept any more; return how many.

    Idempotent, and safe in several workers at once: each row is removed by whoever comes first.
    """
    removed = await session.execute(
        delete(RevokedToken).where(RevokedToken.expires_at < now - MARGIN).returning(RevokedToken.id)
    )
    return len(removed.all())
