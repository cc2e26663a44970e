"""Pages of long lists that are counted as they grow: any page costs what the first one costs.

The total is the sum of a list's blocks and of the changes since. A page far down is found by the block in
which it begins, and read from there. Total and rows come from one statement, so from one snapshot: they
agree, whatever happens meanwhile. How the blocks come about is told in `service.counting`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    DateTime,
    FromClause,
    Integer,
    ScalarSelect,
    Select,
    SQLColumnExpression,
    String,
    Subquery,
    bindparam,
    case,
    exists,
    false,
    func,
    literal,
    literal_column,
    select,
    true,
    tuple_,
    union_all,
)

from music_downloader.errors import InvalidTokenError
from music_downloader.model import ANY, EVERYBODY, AuditLog, Download, counted_blocks, counted_changes
from music_downloader.model.reading import Caller, Prepared, Reading
from music_downloader.service.page import Page, page_of

BLOCK = 2000  # rows: what is walked over at most, and a thousandth of a long list
# Further down than this, it is quicker to find the block than to walk from the newest row on.
_NEAR = 200

_blocks, _changes = counted_blocks.c, counted_changes.c
_user: Final = bindparam("user_id", type_=BigInteger)
_word: Final = bindparam("word", type_=String)
_since: Final = bindparam("since", type_=DateTime(timezone=True))
_until: Final = bindparam("until", type_=DateTime(timezone=True))
_offset: Final = bindparam("offset", type_=BigInteger)


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What lists are made of: rows of a table, each of an account and with one word."""

    name: str
    table: type[Download | AuditLog]
    word: SQLColumnExpression[Any]
    condition: ColumnElement[bool]


DOWNLOADS = Source(
    name="downloads", table=Download, word=Download.status, condition=Download.parent_id.is_(None)
)
AUDIT = Source(name="audit", table=AuditLog, word=AuditLog.action, condition=true())


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What makes one statement another: what is asked for, not the values."""

    by_user: bool
    by_word: bool
    since: bool
    until: bool
    is_near: bool
    size: int


async def read(
    reading: Reading,
    source: Source,
    columns: "Columns",
    *,
    number: int,
    size: int,
    caller: Caller | None = None,
    user_id: int | None = None,
    word: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Page[dict[str, Any]]:
    """Return one page of a list, newest first: from `since` on, and before `until`.

    Beyond the last page it is empty. The `word` is a download's status, or an entry's action. Raises
    InvalidTokenError where the condition of a `caller` doesn't hold.
    """
    offset = (number - 1) * size
    shape = Shape(
        by_user=user_id is not None,
        by_word=word is not None,
        since=since is not None,
        until=until is not None,
        is_near=offset <= _NEAR,
        size=size,
    )
    values = {"user_id": user_id, "word": word, "since": since, "until": until, "offset": offset}
    found = await found_for(reading, caller, page_statement(source, columns, shape), values)
    if found[0]["total"] is None:  # the blocks aren't there yet: an update is still at it
        found = await reading.rows(_uncounted(source, columns, shape), **values)
    return page_of(found, number=number, size=size)


async def found_for(
    reading: Reading, caller: Caller | None, statement: Prepared, values: Mapping[str, object]
) -> list[dict[str, Any]]:
    """Return the rows of a page's statement; InvalidTokenError where the caller's condition doesn't hold."""
    if caller is None:
        return await reading.rows(statement, **values)
    found = await reading.rows_for(caller, statement, **values)
    if not found:
        raise InvalidTokenError
    return found


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Columns:
    """What is read of each row, from `table` and what is `joined` to it."""

    table: type[Download | AuditLog]
    chosen: Sequence[SQLColumnExpression[Any]]
    joined: FromClause


def of_rows(columns: Columns, ids: Select[int] | Subquery) -> FromClause:
    """Return the columns of those rows, in no particular order."""
    wanted = ids if isinstance(ids, Subquery) else ids.subquery("wanted")
    whole = select(*columns.chosen).select_from(columns.joined.join(wanted, columns.table.id == wanted.c.id))
    return whole.subquery("page")


def with_total(total: ColumnElement[Any] | ScalarSelect[Any], page: FromClause) -> Select[Any]:
    """Return a statement for a page and the total: at least one row, for an empty page without an id."""
    said = select(total.label("total")).subquery("said")
    return (
        select(said.c.total, *page.c)
        .select_from(said.outerjoin(page, true()))
        .order_by(page.c.created_at.desc(), page.c.id.desc())
    )


@lru_cache(maxsize=512)
def page_statement(source: Source, columns: Columns, shape: Shape) -> Prepared:
    """Return the one statement that finds a page and the total, which is NULL until the rows are counted."""
    table, marks = source.table, _marks(source, shape)
    everything = select(func.coalesce(func.sum(marks.c.n), 0)).scalar_subquery()
    upper = _rank(source, shape, marks, _until) if shape.until else everything
    lower = _rank(source, shape, marks, _since) if shape.since else literal(0)
    is_counted = exists().where(*_is_list(source, by_user=False, by_word=False))
    span = select(
        case((is_counted, func.greatest(upper - lower, 0))).label("total"),
        lower.label("lower"),
        upper.label("upper"),
    ).cte("span")
    chosen = select(table.id).where(*_is_chosen(source, shape)).limit(literal_column(str(shape.size)))
    if shape.is_near:
        ids = chosen.order_by(table.created_at.desc(), table.id.desc()).offset(_offset)
    else:
        place = _place(marks, span, shape.size)
        from_there = tuple_(table.created_at, table.id) >= tuple_(
            select(place.c.created_at).scalar_subquery(), select(place.c.id).scalar_subquery()
        )
        whole = dataclasses.replace(shape, since=False, until=False)  # ranks tell where they begin and end
        chosen = select(table.id).where(*_is_chosen(source, whole)).limit(literal_column(str(shape.size)))
        upwards = chosen.add_columns(table.created_at).where(from_there).order_by(table.created_at, table.id)
        following = upwards.offset(select(place.c.skipped).scalar_subquery()).subquery("following")
        ids = (
            select(following.c.id)
            .order_by(following.c.created_at, following.c.id)
            .limit(select(place.c.taken).scalar_subquery())
        )
    total = select(span.c.total).scalar_subquery()
    return Prepared(with_total(total, of_rows(columns, ids)))


@lru_cache(maxsize=512)
def _uncounted(source: Source, columns: Columns, shape: Shape) -> Prepared:
    table = source.table
    chosen = select(table.id).where(*_is_chosen(source, shape))
    total = select(func.count()).select_from(chosen.subquery()).scalar_subquery()
    ids = chosen.order_by(table.created_at.desc(), table.id.desc()).limit(literal_column(str(shape.size)))
    return Prepared(with_total(total, of_rows(columns, ids.offset(_offset))))


def _is_list(source: Source, *, by_user: bool, by_word: bool) -> tuple[ColumnElement[bool], ...]:
    return (
        _blocks.source == source.name,
        _blocks.user_id == (_user if by_user else EVERYBODY),
        _blocks.word == (_word if by_word else ANY),
    )


def _is_chosen(source: Source, shape: Shape) -> list[ColumnElement[bool]]:
    table = source.table
    asked = {
        source.condition: True,
        table.user_id == _user: shape.by_user,
        source.word == _word: shape.by_word,
        table.created_at >= _since: shape.since,
        table.created_at < _until: shape.until,
    }
    return [condition for condition, is_asked in asked.items() if is_asked]


def _marks(source: Source, shape: Shape) -> CTE:
    """Return a list's blocks, each with its count, and the changes since.

    An empty block is put before all, since a list that is new has none yet.
    """
    blocks = select(_blocks.created_at, _blocks.id, _blocks["count"].label("n"), true().label("is_block"))
    changes = select(_changes.created_at, _changes.id, _changes.change, false()).where(
        _changes.source == source.name
    )
    if shape.by_user:
        changes = changes.where(_changes.user_id == _user)
    if shape.by_word:
        changes = changes.where(_changes.word == _word)
    blocks = blocks.where(*_is_list(source, by_user=shape.by_user, by_word=shape.by_word))
    first: Select[*tuple[Any, ...]] = select(
        literal_column("'-infinity'::timestamptz").label("created_at"),
        literal_column("-1").label("id"),
        literal(0).label("n"),
        true().label("is_block"),
    )
    return union_all(first, blocks, changes).cte("marks")


def _rank(source: Source, shape: Shape, marks: CTE, moment: ColumnElement[datetime]) -> ScalarSelect[Any]:
    """Return how many rows of a list are older than a moment: all before its block, and some of that."""
    table = source.table
    block = (
        select(marks.c.created_at, marks.c.id)
        .where(marks.c.is_block, marks.c.created_at < moment)
        .order_by(marks.c.created_at.desc(), marks.c.id.desc())
        .limit(1)
        .subquery()
    )
    bound = tuple_(
        select(block.c.created_at).scalar_subquery(),
        select(block.c.id).scalar_subquery(),
    )
    before = select(func.coalesce(func.sum(marks.c.n), 0)).where(
        tuple_(marks.c.created_at, marks.c.id) < bound
    )
    whole = dataclasses.replace(shape, since=False, until=False)
    within = select(func.count(table.id)).where(
        *_is_chosen(source, whole), tuple_(table.created_at, table.id) >= bound, table.created_at < moment
    )
    return select(before.scalar_subquery() + within.scalar_subquery()).scalar_subquery()


def _place(marks: CTE, span: CTE, size: int) -> CTE:
    """Return where a page begins, told from the oldest row on: a block, and how far behind its first row."""
    order = (marks.c.created_at, marks.c.id, marks.c.is_block.desc())
    sums = select(
        marks.c.created_at,
        marks.c.id,
        marks.c.is_block,
        (func.sum(marks.c.n).over(order_by=order) - marks.c.n).label("before"),
    ).subquery("sums")
    begins = func.greatest(span.c.upper - _offset - size, span.c.lower)
    return (
        select(
            sums.c.created_at,
            sums.c.id,
            func.greatest(begins - sums.c.before, 0).cast(BigInteger).label("skipped"),
            func.greatest(span.c.upper - _offset - begins, 0).cast(Integer).label("taken"),
        )
        .where(sums.c.is_block, sums.c.before <= begins)
        .order_by(sums.c.created_at.desc(), sums.c.id.desc())
        .limit(1)
        .cte("place")
    )
