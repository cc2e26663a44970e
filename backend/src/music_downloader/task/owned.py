"""A track that is in the library already isn't fetched again, whoever asked for it first."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.engine.source import SourceInfo
from music_downloader.errors import LostClaimError
from music_downloader.model import Track
from music_downloader.service import download, library
from music_downloader.service.download import Claim, Landed
from music_downloader.task.describe import NO_SITE
from music_downloader.task.state import WorkerState

log = structlog.stdlib.get_logger(__name__)

_LONGEST = 500


def identity(claimed: Claim, info: SourceInfo | None) -> tuple[str, str]:
    """Return the name of a track at its source: the extractor's own, or else the address."""
    source = info.extractor.lower()[:100] if info is not None else ""
    if info is not None and source not in NO_SITE and info.source_id:
        return source, info.source_id[:_LONGEST]
    place = f"#{claimed.item_position}" if claimed.item_position is not None else ""
    return "generic", f"{claimed.url}{place}"[-_LONGEST:]


async def candidates(session: AsyncSession, claimed: Claim) -> Sequence[Track]:
    """Return the tracks that may be what a download asks for, before anything is fetched."""
    found = await library.had_before(
        session,
        url=claimed.url,
        item_position=claimed.item_position,
        audio_format=claimed.audio_format,
    )
    if found:
        return found
    said = (claimed.entry or {}).get("said")
    source, source_id = identity(claimed, SourceInfo.from_json(said) if said else None)
    return await library.from_source(
        session, source=source, source_id=source_id, audio_format=claimed.audio_format
    )


async def complete_from_library(state: WorkerState, claimed: Claim, tracks: Sequence[Track]) -> Landed | None:
    """Complete a download with the first of `tracks` whose file is there; None when none is."""
    if not tracks:
        return None
    async with state.sessionmaker.begin() as session:
        if not await download.hold(session, claimed):
            raise LostClaimError
        landed = await first_there(session, state, tracks)
        if landed is not None:
            await download.complete(session, claimed, landed)
    return landed


async def first_there(session: AsyncSession, state: WorkerState, tracks: Sequence[Track]) -> Landed | None:
    """Return the first of `tracks` whose file lies in the library; it stays as it is in this transaction."""
    for track in tracks:
        kept = await library.keep(session, track.id)
        if kept is not None and await asyncio.to_thread(_is_there, state.settings.output_directory, kept):
            return library.landed(kept)
    return None


def _is_there(root: Path, track: Track) -> bool:
    """Whether a track's file lies in the library, as large as it should be."""
    try:
        return (root / track.path).stat(follow_symlinks=False).st_size == track.size
    except OSError:
        return False
