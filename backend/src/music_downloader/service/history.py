"""Reading the history: what a user may see, one download, a page of them or of everybody's."""

from sqlalchemy import Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.errors import DownloadNotFoundError
from music_downloader.model import Download, DownloadStatus, User
from music_downloader.service.page import Page, read_page


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
) -> Page[Download]:
    """Return one page of a user's, newest first; beyond the last page it is empty.

    Without `parent_id` it holds what was submitted, with it the tracks of that collection.
    """
    chosen = _chosen(visible_to(user), status=status, search=search, parent_id=parent_id)
    return await read_page(session, chosen, of=Download, number=number, size=size)


async def list_everybodys(
    session: AsyncSession,
    *,
    number: int,
    size: int,
    user_id: int | None = None,
    status: DownloadStatus | None = None,
    search: str = "",
    parent_id: int | None = None,
) -> Page[Download]:
    """Return one page of everybody's, or of one user's, for an administrator; otherwise as `list_page`."""
    everybodys = select(Download)
    if user_id is not None:
        everybodys = everybodys.where(Download.user_id == user_id)
    chosen = _chosen(everybodys, status=status, search=search, parent_id=parent_id)
    return await read_page(session, chosen, of=Download, number=number, size=size)


def _chosen(
    among: Select[Download], *, status: DownloadStatus | None, search: str, parent_id: int | None
) -> Select[Download]:
    chosen = among.where(
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
    return chosen
