"""The rows and the disk compared: what has vanished, what came back, and what somebody else has changed.

Nothing is ever deleted. What a row says is corrected, and corrected again should the file come back.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.errors import DownloadFailedError
from music_downloader.jobs import RUN_DOWNLOAD
from music_downloader.library.filing import sha256_of
from music_downloader.library.tags import read_tags
from music_downloader.model import Track
from music_downloader.service import library

_PAGE = 500
_ENDED_JOBS = text(
    "SELECT id FROM procrastinate_jobs WHERE task_name = :task AND status = 'todo' AND NOT EXISTS ("
    " SELECT FROM download_history WHERE id = (args ->> 'download_id')::bigint"
    " AND status IN ('pending', 'in-progress')) ORDER BY id LIMIT 1000"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Filed:
    """What a row says of a file."""

    id: int
    path: str
    size: int
    sha256: str
    is_missing: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What lies there now: None where nothing does. `sha256` where it had to be read to know, and can be."""

    size: int | None
    sha256: str | None = None


async def page(session: AsyncSession, *, after: int) -> Sequence[Filed]:
    """Return the next rows of the library behind the id `after`, in the order of their ids."""
    rows = await session.execute(
        select(Track.id, Track.path, Track.size, Track.sha256, Track.missing_since)
        .where(Track.id > after)
        .order_by(Track.id)
        .limit(_PAGE)
    )
    return [
        Filed(
            id=row.id,
            path=row.path,
            size=row.size,
            sha256=row.sha256,
            is_missing=row.missing_since is not None,
        )
        for row in rows
    ]


def find(root: Path, filed: Filed) -> Found:
    """Look for a file; one of another size is read, if it is audio still. Raises OSError as the disk does."""
    path = root / filed.path
    try:
        size = path.stat(follow_symlinks=False).st_size
    except (FileNotFoundError, NotADirectoryError):
        return Found(size=None)
    if size == filed.size:
        return Found(size=size)
    try:
        read_tags(path)
    except DownloadFailedError:
        return Found(size=size)
    return Found(size=size, sha256=sha256_of(path))


async def correct(
    session: AsyncSession, filed: Filed, found: Found, *, root: Path, now: datetime
) -> str | None:
    """Let a row say what was found, if that is still news; return what it was: a word for the log.

    A file that has vanished is no download's any more, and doesn't keep its track from being fetched again.
    One that somebody has given other tags is the track's as before, but nothing is written into it any more:
    what they say in it would be lost.
    """
    track = await library.held(session, track_id=filed.id)
    if track is None or (track.path, track.size) != (filed.path, filed.size):
        return None
    if found.size is None:  # it may have been filed again before its row was ours, or its share be back
        with suppress(OSError):
            found = await asyncio.to_thread(find, root, filed)
    if found.size is None:
        if track.missing_since is not None:
            return None
        track.missing_since = now
        await library.tell(session, track.id, path=None, size=None)
        return "vanished"
    if found.size != track.size and found.sha256 is None:
        return "damaged"
    word = "came back" if track.missing_since is not None else None
    if found.sha256 is not None:
        track.size, track.sha256, word = found.size, found.sha256, word or "changed"
        track.loudness = {}  # as if it couldn't be measured
    if word is not None:
        track.missing_since = None
        await library.tell(session, track.id, path=track.path, size=track.size)
    return word


async def count_missing(session: AsyncSession) -> int:
    """Return how many files of the library have been found gone."""
    counted = select(func.count()).select_from(Track).where(Track.missing_since.is_not(None))
    return await session.scalar(counted) or 0


async def missing(session: AsyncSession, *, most: int) -> Sequence[str]:
    """Return the paths of files that have been found gone, those that went last first."""
    gone = select(Track.path).where(Track.missing_since.is_not(None))
    return (await session.scalars(gone.order_by(Track.missing_since.desc()).limit(most))).all()


async def jobs_without_download(session: AsyncSession) -> Sequence[int]:
    """Return the queue's jobs whose download is gone, or has ended."""
    return (await session.scalars(_ENDED_JOBS, {"task": RUN_DOWNLOAD})).all()
