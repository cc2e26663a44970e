"""A track that is in the library already isn't fetched again, whoever asked for it first."""

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.engine.source import SourceInfo
from music_downloader.errors import LostClaimError
from music_downloader.model import Track
from music_downloader.service import claim, download, library
from music_downloader.service.claim import Claim
from music_downloader.service.download import Landed
from music_downloader.task.describe import NO_SITE, said_of
from music_downloader.task.persistence import persist
from music_downloader.task.state import WorkerState

log = structlog.stdlib.get_logger(__name__)

_LONGEST = 500


def identity(claimed: Claim, info: SourceInfo | None) -> tuple[str, str]:
    """Return the name of a track at its source: the extractor's own, or else the address.

    Where a page has several tracks, that is its address, the place on it, and the file's name there: what
    stands at a place may change.
    """
    source = info.extractor.lower()[:100] if info is not None else ""
    if info is not None and source not in NO_SITE and info.source_id:
        return source, _short(info.source_id)
    if claimed.item_position is None:
        return "generic", _short(claimed.url)
    said = info or said_of(claimed.entry)
    name = said.file_name if said is not None else None
    return "generic", _short(f"{claimed.url}#{claimed.item_position} {name or ''}".rstrip())


def _short(name: str) -> str:
    """Return a name that fits into its column and is still no other's."""
    return name if len(name) <= _LONGEST else f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


async def complete_from_library(state: WorkerState, claimed: Claim) -> Landed | None:
    """Complete a download with a track that is there already; None, and all is as before, without one."""
    said = said_of(claimed.entry)
    source, source_id = identity(claimed, said)

    async def complete(session: AsyncSession) -> Landed | None:
        tracks = await library.had_before(
            session,
            url=claimed.url,
            item_position=claimed.item_position,
            file_name=said.file_name if said is not None else None,
            audio_format=claimed.audio_format,
        ) or await library.from_source(
            session, source=source, source_id=source_id, audio_format=claimed.audio_format
        )
        if not tracks:
            return None
        if not await claim.hold(session, claimed):
            raise LostClaimError
        landed = await first_there(session, state, tracks)
        if landed is not None:
            await download.complete(session, claimed, landed)
        return landed

    return await persist(state, complete)


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
