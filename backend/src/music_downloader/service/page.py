"""Long lists in pages, all alike: newest first, counted from 1, with the total over all pages."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.model import AuditLog, Download, User

Row = TypeVar("Row", User, Download, AuditLog)


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


async def read_page(
    session: AsyncSession, chosen: Select[Row], *, of: type[Row], number: int, size: int
) -> Page[Row]:
    """Return one page of what is chosen among the rows `of` a table; beyond the last page it is empty."""
    total = await session.scalar(select(func.count()).select_from(chosen.subquery()))
    rows = await session.scalars(
        chosen.order_by(of.created_at.desc(), of.id.desc()).limit(size).offset((number - 1) * size)
    )
    return Page(rows=list(rows), total=total or 0, number=number, size=size)
