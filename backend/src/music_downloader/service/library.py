"""The library's rows: one a file, whoever asked for it first."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.model import Track


async def record_track(
    session: AsyncSession,
    *,
    path: str,
    sha256: str,
    size: int,
    codec: str,
    bitrate: int | None,
    duration: float | None,
    source: str | None,
    source_id: str | None,
    tags: Mapping[str, Any],
) -> int:
    """Return the id of the row for the file at `path`, made or brought up to date."""
    facts = {
        "sha256": sha256,
        "size": size,
        "codec": codec,
        "bitrate": bitrate,
        "duration": duration,
        "source": source,
        "source_id": source_id,
        "tags": dict(tags),
    }
    statement = (
        insert(Track)
        .values(path=path, **facts)
        .on_conflict_do_update(index_elements=[Track.path], set_=facts)
        .returning(Track.id)
    )
    return (await session.scalars(statement)).one()
