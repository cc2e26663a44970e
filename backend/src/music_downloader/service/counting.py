"""How the blocks of long lists come about: changes are folded in, and those that have grown are split.

One process at a time does it, under an advisory lock. It never waits for those who add changes, nor they for
it: each statement looks at one snapshot, where the rows of a block are its count and what isn't folded yet.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.service.counted import BLOCK

_LOCK = 0x636F756E74  # "count"
_MOST_AT_ONCE = 5000
_MOST_TURNS = 100
_TABLES = {
    "downloads": ("download_history", "user_id", "status", "parent_id IS NULL"),
    "audit": ("audit_logs", "user_id", "action", "true"),
}
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:key)")
_WAIT_FOR_LOCK = text("SELECT pg_advisory_xact_lock(:key)")

# A change counts in up to four lists: everybody's and the account's, with any word and with its own.
_FOLD = text("""
    WITH taken AS (
        DELETE FROM counted_changes
        WHERE ctid = ANY (ARRAY(SELECT ctid FROM counted_changes LIMIT :most)) RETURNING *
    ), shares AS (
        SELECT source, list.user_id, list.word, created_at, id, change
        FROM taken CROSS JOIN LATERAL (
            SELECT 0, '' UNION SELECT 0, taken.word
            UNION SELECT taken.user_id, '' UNION SELECT taken.user_id, taken.word
        ) AS list (user_id, word)
    ), sums AS (
        SELECT source, user_id, word, COALESCE(block.created_at, '-infinity') AS created_at,
            COALESCE(block.id, 0) AS id, sum(change) AS change
        FROM shares LEFT JOIN LATERAL (
            SELECT known.created_at, known.id FROM counted_blocks AS known
            WHERE known.source = shares.source AND known.user_id = shares.user_id AND known.word = shares.word
            AND (known.created_at, known.id) <= (shares.created_at, shares.id)
            ORDER BY known.created_at DESC, known.id DESC LIMIT 1
        ) AS block ON true
        GROUP BY 1, 2, 3, 4, 5 HAVING sum(change) <> 0
    ), folded AS (
        INSERT INTO counted_blocks AS known (source, user_id, word, created_at, id, count)
        SELECT * FROM sums
        ON CONFLICT (source, user_id, word, created_at, id) DO UPDATE SET count = known.count + excluded.count
        RETURNING source, user_id, word, created_at::text AS created_at, id, count
    )
    SELECT (SELECT count(*) FROM taken) AS taken, folded.*
    FROM (SELECT) AS always LEFT JOIN folded ON folded.count > :most_in_block
""")
_NEXT = text("""
    SELECT created_at::text AS end_at, id AS end_id FROM counted_blocks
    WHERE source = :source AND user_id = :user_id AND word = :word
    AND (created_at, id) > (CAST(:created_at AS timestamptz), :id) ORDER BY created_at, id LIMIT 1
""")
_END = {"end_at": "infinity", "end_id": 0}
_REMOVE_ONE = text("""
    DELETE FROM counted_blocks WHERE source = :source AND user_id = :user_id AND word = :word
    AND created_at = CAST(:created_at AS timestamptz) AND id = :id
""")
_REMOVE_ALL = text("""
    DELETE FROM counted_blocks
    WHERE source = :source AND (user_id <> 0) = :by_user AND (word <> '') = :by_word
""")
_ADD_FIRST = text("""
    INSERT INTO counted_blocks (source, user_id, word, created_at, id, count)
    VALUES (:source, 0, '', '-infinity', 0, 0) ON CONFLICT DO NOTHING
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Folded:
    """What was done: changes folded, and blocks split."""

    changes: int
    blocks: int


async def fold(session: AsyncSession) -> Folded | None:
    """Fold what has changed into the blocks; None when another process is at it."""
    if not await session.scalar(_TRY_LOCK, {"key": _LOCK}):
        return None
    changes = blocks = 0
    for _ in range(_MOST_TURNS):
        rows = await session.execute(_FOLD, {"most": _MOST_AT_ONCE, "most_in_block": 2 * BLOCK})
        found = rows.mappings().all()
        for row in found:
            if row["source"] is not None:
                await _split(session, dict(row))
                blocks += 1
        changes += (taken := int(found[0]["taken"]))
        if taken < _MOST_AT_ONCE:
            break
    return Folded(changes=changes, blocks=blocks)


async def recount(session: AsyncSession) -> None:
    """Count every list anew from its rows; until the commit, readers have the counts of before."""
    await session.execute(_WAIT_FOR_LOCK, {"key": _LOCK})
    for statement, parameters in recounting():
        await session.execute(text(statement), parameters)


def recounting() -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the statements that count all lists anew; everybody's, which says that all is there, is last."""
    for source, by_user, by_word in product(_TABLES, (True, False), (True, False)):
        parameters = {"source": source, "by_user": by_user, "by_word": by_word}
        yield _REMOVE_ALL.text, parameters
        yield _blocks_of(source, by_user=by_user, by_word=by_word), {"source": source}
        if not by_user and not by_word:
            yield _ADD_FIRST.text, {"source": source}


async def _split(session: AsyncSession, block: dict[str, Any]) -> None:
    place = {name: block[name] for name in ("source", "user_id", "word", "created_at", "id")}
    pieces = _blocks_of(
        block["source"], by_user=block["user_id"] != 0, by_word=bool(block["word"]), within_one=True
    )
    following = (await session.execute(_NEXT, place)).mappings().one_or_none()
    await session.execute(_REMOVE_ONE, place)
    await session.execute(text(pieces), {**place, **(following or _END)})


def _blocks_of(source: str, *, by_user: bool, by_word: bool, within_one: bool = False) -> str:
    """Return the statement that counts rows into blocks: of all lists of a kind, or `within_one` block.

    What hasn't been folded yet is taken off, since it will be added. A row begins a block; changes belong to
    the row before them.
    """
    table, owner, named, condition = _TABLES[source]
    conditions = ["true"]
    if by_user:
        conditions.append("user_id <> 0")
    if within_one:
        conditions += ["user_id = :user_id"] if by_user else []
        conditions += ["word = :word"] if by_word else []
        conditions.append("(created_at, id) >= (CAST(:created_at AS timestamptz), :id)")
        conditions.append("(created_at, id) < (CAST(:end_at AS timestamptz), :end_id)")
    user, word = "user_id" if by_user else "0", "word" if by_word else "''"
    first_at, first_id = (
        ("CAST(:created_at AS timestamptz)", "CAST(:id AS bigint)") if within_one else ("'-infinity'", "0")
    )
    return f"""
        INSERT INTO counted_blocks (source, user_id, word, created_at, id, count)
        WITH known AS (
            SELECT {owner} AS user_id, {named} AS word, created_at, id, 1 AS n, 1 AS is_row
            FROM {table} WHERE {condition}
            UNION ALL
            SELECT user_id, word, created_at, id, -change, 0 FROM counted_changes WHERE source = :source
        ), marks AS (
            SELECT {user} AS user_id, {word} AS word, created_at, id, n, is_row FROM known
            WHERE {" AND ".join(conditions)}
        ), numbered AS (
            SELECT *, greatest(sum(is_row) OVER (
                PARTITION BY user_id, word ORDER BY created_at, id, is_row DESC) - 1, 0) AS number
            FROM marks
        )
        SELECT :source, user_id, word,
            CASE WHEN number / {BLOCK} < 1 THEN {first_at}
                ELSE min(created_at) FILTER (WHERE is_row = 1 AND number % {BLOCK} = 0) END,
            CASE WHEN number / {BLOCK} < 1 THEN {first_id}
                ELSE min(id) FILTER (WHERE is_row = 1 AND number % {BLOCK} = 0) END,
            sum(n)
        FROM numbered GROUP BY user_id, word, number / {BLOCK}
    """  # noqa: S608 - constants of ours
