"""`nas-music cleanup`: what the worker does every quarter of an hour, and counting anew."""

from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.command.transaction import in_transaction
from music_downloader.service import cleanup, counting, throttle

_RECOUNT_SECONDS = 1800.0


def recount() -> None:
    """Count all lists from their rows."""
    in_transaction(counting.recount, patience=_RECOUNT_SECONDS)


def remove_expired() -> int:
    """Remove expired tokens and counts; return how many tokens."""

    async def remove(session: AsyncSession) -> int:
        await throttle.remove_expired(session)
        return await cleanup.remove_expired_tokens(session)

    return in_transaction(remove)
