"""Whether what lies in the library's folder is the library that this database knows."""

import asyncio
from pathlib import Path

import structlog
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.library import presence
from music_downloader.model import LibraryMark, Track

log = structlog.stdlib.get_logger(__name__)

_SAMPLE = 50


async def known_name(session: AsyncSession) -> str | None:
    """Return the name in the marker of the library that this database knows; None before there is any."""
    name: str | None = await session.scalar(select(LibraryMark.name))
    return name


async def recognise(session: AsyncSession, root: Path, *, force: bool = False) -> str | None:
    """Return the library's name if this is it, and make or mend its marker; None if it isn't.

    It is when its marker says so; when some of its tracks lie there, whatever became of the marker; and when
    there are no tracks yet, unless something was mounted there before and isn't now. With `force`, it is
    whatever lies there. Raises OSError.
    """
    mark = await session.scalar(select(LibraryMark).with_for_update())
    name = await asyncio.to_thread(presence.read_marker, root)
    if mark is not None and name == mark.name:
        mounted = await asyncio.to_thread(presence.is_mount, root)
        if mark.is_mount != mounted:
            mark.is_mount = mounted
        return name
    if not force and not await _may_be(session, root, mark):
        return None
    name = await asyncio.to_thread(presence.make_library, root, mark.name if mark is not None else None)
    mounted = await asyncio.to_thread(presence.is_mount, root)
    facts = {"name": name, "is_mount": mounted}
    statement = insert(LibraryMark).values(**facts)
    await session.execute(statement.on_conflict_do_update(index_elements=[LibraryMark.id], set_=facts))
    log.info("library.recognised", path=str(root), is_mount=mounted, is_new=mark is None)
    return name


async def _may_be(session: AsyncSession, root: Path, mark: LibraryMark | None) -> bool:
    some = (
        await session.scalars(
            select(Track.path).where(Track.missing_since.is_(None)).order_by(func.random()).limit(_SAMPLE)
        )
    ).all()
    if some:
        return await asyncio.to_thread(lambda: any((root / path).is_file() for path in some))
    was_mount = mark is not None and mark.is_mount
    return not was_mount or await asyncio.to_thread(presence.is_mount, root)
