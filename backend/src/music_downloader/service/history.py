"""Reading the history: what a user may see, one download, a page of them."""

from dataclasses import dataclass

from sqlalchemy import Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.errors import DownloadNotFoundError
from music_downloader.model import Download, DownloadStatus, User


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Some rows of many: `number` counts from 1, `total` is over all pages."""

    downloads: list[Download]
    total: int
    number: int
    size: int

    @property
    def count(self) -> int:
        """How many pages there are; 0 when nothing matches."""
        return -(-self.total // self.size)


def visible_to(user: User) -> Select[Download]:
    """Return the one statement that all reading starts from: a user sees their own downloads."""
    return select(Download).where(Download.user_id == user.id)


async def get(session: AsyncSession, *, user: User, download_id: int) -> Download:
    """Return one download; DownloadNotFoundError when it is absent or somebody else's."""
    download = await session.scalar(visible_to(user).where(Download.id == download_id))
    if download is None:
        raise DownloadNotFoundError
    return download


async def list_page(
    session: AsyncSession,
    *,
    user: User,
    number: int,
    size: int,
    status: DownloadStatus | None = None,
    search: str = "",
    parent_id: int | None = None,
) -> Page:
    """Return one page, newest first; beyond the last page it is empty.

    Without `parent_id` it holds what was submitted, with it the tracks of that collection.
    """
    chosen = visible_to(user).where(
        Download.parent_id.is_(None) if parent_id is None else Download.parent_id == parent_id
    )
    if status is not None:
        chosen = chosen.where(Download.status == status)
    if search:
        chosen = chosen.where(
            or_(
                *(
                    column.icontains(search, autoescape=True)
                    for column in (Download.title, Download.artist, Download.album, Download.url)
                )
            )
        )
    total = await session.scalar(select(func.count()).select_from(chosen.subquery()))
    rows = await session.scalars(
        chosen.order_by(Download.created_at.desc(), Download.id.desc())
        .limit(size)
        .offset((number - 1) * size)
    )
    return Page(downloads=list(rows), total=total or 0, number=number, size=size)
