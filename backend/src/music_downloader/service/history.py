"""Reading the history: what a user may see, one download, a page of them or of everybody's."""

import re
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Select,
    SQLColumnExpression,
    String,
    bindparam,
    case,
    func,
    literal_column,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.errors import DownloadNotFoundError
from music_downloader.model import Download, DownloadKind, DownloadStatus, User
from music_downloader.model.download import SEARCHED, SEPARATOR
from music_downloader.model.reading import Caller, Prepared, Reading
from music_downloader.service.counted import DOWNLOADS, Columns, found_for, of_rows, read, with_total
from music_downloader.service.page import Page, page_of

_ITEMS = case(
    (
        Download.kind == DownloadKind.COLLECTION,
        func.jsonb_build_object(
            "total",
            func.coalesce(Download.items_total, 0),
            "completed",
            func.coalesce(Download.items_completed, 0),
            "failed",
            func.coalesce(Download.items_failed, 0),
        ),
    )
)
_SHOWN: list[SQLColumnExpression[Any]] = [
    *(Download.id, Download.url, Download.kind, Download.parent_id, Download.status, Download.title),
    *(Download.artist, Download.album, Download.album_artist, Download.track_number, Download.duration),
    *(Download.format, Download.codec, Download.bitrate, Download.file_path, Download.file_size),
    *(Download.progress, _ITEMS.label("items"), Download.error_code, Download.error_message),
    *(Download.attempts, Download.created_at, Download.updated_at, Download.started_at),
    Download.completed_at,
]
_LIKE_SIGNS = re.compile(r"[\\%_]")
_downloads = Download.__table__
OWN = Columns(table=Download, chosen=_SHOWN, joined=_downloads)
EVERYBODYS = Columns(
    table=Download,
    chosen=[*_SHOWN, Download.user_id, User.username],
    joined=_downloads.join(User.__table__, Download.user_id == User.id),
)


def visible_to(user: User) -> Select[Download]:
    """Return the one statement that all reading starts from: a user sees their own downloads."""
    return select(Download).where(Download.user_id == user.id)


async def get(session: AsyncSession, *, user: User, download_id: int) -> Download:
    """Return one download; DownloadNotFoundError when it is absent or somebody else's."""
    download = await session.scalar(visible_to(user).where(Download.id == download_id))
    if download is None:
        raise DownloadNotFoundError
    return download


_ONE = Prepared(
    with_total(
        literal_column("1"),
        of_rows(
            OWN,
            select(Download.id).where(
                Download.user_id == bindparam("user_id", type_=BigInteger),
                Download.id == bindparam("download_id", type_=BigInteger),
            ),
        ),
    )
)


async def show(reading: Reading, *, caller: Caller, download_id: int) -> dict[str, Any]:
    """Return what people see of one download, in one statement: clients ask for it again and again.

    Raises InvalidTokenError where the caller's session has ended, DownloadNotFoundError as `get` does.
    """
    found = await found_for(reading, caller, _ONE, {"user_id": caller.user_id, "download_id": download_id})
    if found[0]["id"] is None:
        raise DownloadNotFoundError
    return found[0]


async def list_page(
    reading: Reading,
    columns: Columns,
    *,
    number: int,
    size: int,
    caller: Caller | None = None,
    user_id: int | None,
    status: DownloadStatus | None = None,
    search: str = "",
    parent_id: int | None = None,
) -> Page[dict[str, Any]]:
    """Return one page of a user's, newest first; beyond the last page it is empty.

    Without `parent_id` it holds what was submitted, with it the tracks of that collection. With None for
    `user_id`, which is for administrators, it is of everybody's. The `columns` are OWN, or EVERYBODYS for
    rows that also say whose they are: `user_id` and `username`. Raises InvalidTokenError
    where the session of a `caller` has ended.
    """
    word = status.value if status else None
    if not search and parent_id is None:
        return await read(
            reading,
            DOWNLOADS,
            columns,
            caller=caller,
            number=number,
            size=size,
            user_id=user_id,
            word=word,
        )
    statement = matching_statement(
        columns,
        by_user=user_id is not None,
        by_status=status is not None,
        by_search=bool(search),
        by_parent=parent_id is not None,
    )
    contains = "%" + _LIKE_SIGNS.sub(r"\\\g<0>", search) + "%"
    values = {
        "user_id": user_id,
        "status": word,
        "pattern": "" if SEPARATOR in search else contains,  # no text is empty
        "parent_id": parent_id,
        "size": size,
        "offset": (number - 1) * size,
    }
    found = await found_for(reading, caller, statement, values)
    return page_of(found, number=number, size=size)


@lru_cache
def matching_statement(
    columns: Columns, *, by_user: bool, by_status: bool, by_search: bool, by_parent: bool
) -> Prepared:
    """Return the statement for what can't be counted beforehand: it finds all that match, once.

    The server plans it anew each time: how many match a word is another question for every word.
    """
    matching = select(Download.id, Download.created_at)
    parent_id = bindparam("parent_id", type_=BigInteger)
    matching = matching.where(Download.parent_id == parent_id if by_parent else Download.parent_id.is_(None))
    if by_user:
        matching = matching.where(Download.user_id == bindparam("user_id", type_=BigInteger))
    if by_status:
        matching = matching.where(Download.status == bindparam("status", type_=String))
    if by_search:
        text = literal_column(SEARCHED, String)
        matching = matching.where(text.like(func.lower(bindparam("pattern", type_=String))))
    found = matching.cte("matching")
    ids = (
        select(found.c.id)
        .order_by(found.c.created_at.desc(), found.c.id.desc())
        .limit(bindparam("size", type_=BigInteger))
        .offset(bindparam("offset", type_=BigInteger))
    )
    total = select(func.count()).select_from(found).scalar_subquery()
    return Prepared(with_total(total, of_rows(columns, ids)), plan_anew=True)
