"""Upkeep of the database."""

from datetime import timedelta

from sqlalchemy import delete, func
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.model import RevokedToken

# Clocks of several machines differ; a row outlives its token by more than any of them should.
MARGIN = timedelta(hours=1)


async def remove_expired_tokens(session: AsyncSession) -> int:
    """Remove blacklist rows whose token no clock would accept any more; return how many.

    The database's clock decides, so that one machine whose clock is wrong revives no token on the others.
    Idempotent, and safe in several workers at once: each row is removed by whoever comes first.
    """
    removed = await session.execute(
        delete(RevokedToken).where(RevokedToken.expires_at < func.now() - MARGIN).returning(RevokedToken.id)
    )
    return len(removed.all())
