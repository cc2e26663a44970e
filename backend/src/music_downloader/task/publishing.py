"""From a finished file to one of the library with its row, or to neither, whoever dies when.

What is about to be filed is said first, in a transaction of its own. The one that gives the file its row
takes the word back. Where it never commits, the upkeep finds the word, and removes the file.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.errors import DownloadFailedError, ErrorCode, LostClaimError
from music_downloader.jobs import MEASURE, MEASURE_AFTER_SECONDS, enqueue
from music_downloader.library.covers import place_cover
from music_downloader.library.filing import is_filed, publish
from music_downloader.model import Track
from music_downloader.service import claim, download, intent, library, measurement
from music_downloader.service.claim import Claim
from music_downloader.service.download import Landed
from music_downloader.task import owned
from music_downloader.task.persistence import persist
from music_downloader.task.state import WorkerState

log = structlog.stdlib.get_logger(__name__)

_COMMIT_SECONDS = 10.0
_PATIENCE = 4  # more looks at a file of others that goes just when it is adopted


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """A tagged file in its staging folder, where it is to go, and the columns of its row.

    `cover` is what is to lie beside it, for a track of an album.
    """

    path: Path
    wanted: PurePosixPath
    cover: bytes | None
    facts: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        """The digest of the whole file."""
        return str(self.facts["sha256"])

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return int(self.facts["size"])


async def publish_track(state: WorkerState, claimed: Claim, finished: Finished) -> Landed:
    """Move the file into the library and complete the download; LostClaimError when the attempt was ended.

    Cancelled, it ends with the transaction whole or not begun, as far as the database is there.
    """
    said = await _announce(state, claimed, finished)
    publishing = asyncio.create_task(_publish(state, claimed, finished, said))
    try:
        return await asyncio.shield(publishing)
    except asyncio.CancelledError:
        # A rename that has begun isn't left without its commit, unless the database is away: then the word
        # that was said leads to the file.
        await asyncio.wait({publishing}, timeout=_COMMIT_SECONDS)
        publishing.cancel()
        await asyncio.wait({publishing})
        raise


async def _announce(state: WorkerState, claimed: Claim, finished: Finished) -> int | None:
    """Say what is about to be filed; None where a file of these very bytes lies there without us."""
    root = state.settings.output_directory
    is_there = await asyncio.to_thread(
        is_filed, root, finished.wanted, size=finished.size, digest=finished.sha256
    )

    async def announce(session: AsyncSession) -> int | None:
        if is_there and not await intent.is_said(session, finished.sha256):
            return None
        return await _say(session, claimed=claimed, finished=finished)

    return await persist(state, announce)


async def _publish(state: WorkerState, claimed: Claim, finished: Finished, said: int | None) -> Landed:
    """Complete the download with the file, unless the same track is there by now.

    The rows are locked while the file is moved: whoever lost the claim publishes nothing. What lies between
    is a rename and a flush of the folder; everything slow is done.
    """
    source, source_id = finished.facts["source"], finished.facts["source_id"]
    moved: list[PurePosixPath] = []

    async def publish_once(session: AsyncSession) -> Landed:
        if not await claim.hold(session, claimed):
            raise LostClaimError
        await library.take_turn(session, source=source, source_id=source_id)
        await intent.take_turn(session, sha256=finished.sha256)
        tracks = await library.from_source(
            session, source=source, source_id=source_id, audio_format=claimed.audio_format
        )
        # Another worker, or another address of the same track, may have filed it in the meantime.
        landed = await owned.first_there(session, state, tracks)
        is_left = landed is not None and bool(moved)  # what an earlier try has moved is nobody's now
        if landed is None:
            landed = await _move(session, state, claimed, finished, moved)
        if said is not None and not is_left:
            await intent.take_back(session, said)
        await download.complete(session, claimed, landed)
        return landed

    try:
        return await persist(state, publish_once)
    except LostClaimError:
        # Whoever took this attempt for dead may have looked for its file before that was there, and forgotten
        # its word.
        if moved and said is not None:
            await persist(state, partial(_say, claimed=claimed, finished=finished))
        raise


async def _say(session: AsyncSession, *, claimed: Claim, finished: Finished) -> int:
    return await intent.announce(
        session,
        download_id=claimed.download_id,
        fence=claimed.fence,
        path=str(finished.wanted),
        sha256=finished.sha256,
        size=finished.size,
        cover_sha256=hashlib.sha256(finished.cover).hexdigest() if finished.cover else None,
    )


async def _move(
    session: AsyncSession,
    state: WorkerState,
    claimed: Claim,
    finished: Finished,
    moved: list[PurePosixPath],
) -> Landed:
    """Move the file into the library, with its cover beside it where it belongs to an album.

    `moved` is where it went in an earlier try whose commit the database hasn't taken.
    """
    settings = state.settings
    root = settings.output_directory
    filed, before, is_adopted = await _filed(session, root, finished, moved)
    beside = None
    if finished.cover is not None:
        try:
            beside = await asyncio.to_thread(place_cover, root, filed.parent, finished.cover)
        except DownloadFailedError as error:  # the file is there, and has the picture in it
            log.warning("cover.not_placed", path=str(filed), detail=error.detail)
    track = await library.record_track(
        session,
        path=str(filed),
        before=before,
        is_adopted=is_adopted,
        cover_sha256=beside,
        **finished.facts,
    )
    if not is_adopted:
        await measurement.note(session, {(measurement.FILED_BYTES, ""): finished.size})
    belongs_to_album = claimed.parent_id is not None and finished.facts["tags"]["values"].get("album")
    if settings.replaygain and finished.facts["loudness"] is None and not belongs_to_album:
        arguments = {"track_id": track.id}
        await enqueue(session, MEASURE, delay=MEASURE_AFTER_SECONDS, arguments=arguments)
    return library.landed(track)


async def _filed(
    session: AsyncSession, root: Path, finished: Finished, moved: list[PurePosixPath]
) -> tuple[PurePosixPath, Track | None, bool]:
    """Return where the file is, whose row stands there already, and whether it was there already.

    Whoever removes or rewrites a file has its row locked. So once we have it, a file that was adopted is
    looked at again: if it is gone, ours is filed instead.
    """
    for _ in range(_PATIENCE):
        filed = moved[0] if moved else await asyncio.to_thread(_published, root, finished)
        is_adopted = await asyncio.to_thread(finished.path.exists)
        moved[:] = [] if is_adopted else [filed]
        before = await library.hold_path(session, str(filed))
        if await asyncio.to_thread(_is_there, root, filed, finished, is_adopted=is_adopted):
            return filed, before, is_adopted
        if not is_adopted:
            break
    raise DownloadFailedError(
        ErrorCode.INTERNAL, "The file was removed from the library while it was being filed.", transient=True
    )


def _published(root: Path, finished: Finished) -> PurePosixPath:
    return publish(finished.path, root, finished.wanted, digest=finished.sha256)


def _is_there(root: Path, filed: PurePosixPath, finished: Finished, *, is_adopted: bool) -> bool:
    if is_adopted:
        return is_filed(root, filed, size=finished.size, digest=finished.sha256)
    return (root / filed).is_file()
