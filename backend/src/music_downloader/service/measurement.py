"""Figures for metrics that are true over all processes: what was noted, and what the tables tell."""

import asyncio
from collections.abc import Mapping

from sqlalchemy import insert, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from music_downloader.jobs import SILENT_AFTER_SECONDS
from music_downloader.model import measurements

REFUSED_ADDRESSES = "refused_addresses"
FILED_BYTES = "filed_bytes"
PHASE_SECONDS = "phase_seconds"
PHASES = "phases"
PHASE_NAMES = RESOLVING, DOWNLOADING, CONVERTING, FILING = "resolving", "downloading", "converting", "filing"
# A trigger notes these, whoever ends the download; the label of `failed` is the error's code.
COMPLETED, FAILED, CANCELLED = "completed", "failed", "cancelled"
# These are read off the tables.
QUEUE, OLDEST, SUBMISSIONS, HEARTBEATS = "queue", "oldest", "submissions", "heartbeats"

Figures = Mapping[tuple[str, str], float]

_PATIENCE_SECONDS = 1.5
_under_way: set[asyncio.Task[Figures | None]] = set()  # the loop itself would let go of them
_FOLD = text("""
    WITH taken AS (
        DELETE FROM measurements
        WHERE (SELECT count(*) FROM (SELECT FROM measurements LIMIT 1001) AS first) > 1000 RETURNING *
    )
    INSERT INTO measurements SELECT name, label, sum(value) FROM taken GROUP BY name, label
""")
# What is unfinished has a small index of its own; all that has ended is counted by its blocks.
_FIGURES = text("""
    SELECT 'queue' AS name, status AS label, CAST(count(*) AS float8) AS value FROM download_history
    WHERE status IN ('pending', 'in-progress') GROUP BY status
    UNION ALL
    SELECT 'oldest', '', GREATEST(extract(epoch FROM now() - min(updated_at)), 0) FROM download_history
    WHERE status = 'pending' AND parent_id IS NULL
    UNION ALL
    SELECT 'submissions', word, sum(change) FROM (
        SELECT word, count AS change FROM counted_blocks
        WHERE source = 'downloads' AND user_id = 0 AND word <> ''
        UNION ALL SELECT word, change FROM counted_changes WHERE source = 'downloads'
    ) AS counted GROUP BY word
    UNION ALL
    SELECT 'heartbeats', '', count(*) FROM procrastinate_workers
    WHERE last_heartbeat > now() - make_interval(secs => :silent)
    UNION ALL
    SELECT name, label, sum(value) FROM measurements GROUP BY name, label
""")


async def note(session: AsyncSession, figures: Figures) -> None:
    """Add to the figures, in the transaction of what they tell of; nobody waits for anybody."""
    rows = [{"name": name, "label": label, "value": value} for (name, label), value in figures.items()]
    await session.execute(insert(measurements), rows)


async def fold(session: AsyncSession) -> None:
    """Replace many notes by their sums; two at once would find nothing left for the second."""
    await session.execute(_FOLD)


async def read(sessionmaker: async_sessionmaker[AsyncSession]) -> Figures | None:
    """Return all figures by name and label; None where the database doesn't answer at once.

    A connection that is silent takes its own time to end, so nobody waits for that.
    """
    reading = asyncio.create_task(_read(sessionmaker))
    _under_way.add(reading)
    reading.add_done_callback(_under_way.discard)
    await asyncio.wait({reading}, timeout=_PATIENCE_SECONDS)
    return reading.result() if reading.done() else None


async def _read(sessionmaker: async_sessionmaker[AsyncSession]) -> Figures | None:
    try:
        async with sessionmaker() as session:
            rows = await session.execute(_FIGURES, {"silent": SILENT_AFTER_SECONDS})
            return {(row.name, row.label): row.value for row in rows}
    except (SQLAlchemyError, OSError):
        return None
