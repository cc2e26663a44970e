"""What long lists are counted by: blocks of their rows, and what has changed since.

A list is a source (`downloads` that were submitted, `audit` entries), of one account or of everybody
(`user_id` 0), with one word (a status, an action) or any (``). A block says how many rows there are from its
first one on, up to the next block's; the first block of a list begins before all time. In every snapshot, the
rows of a block are its count and the sum of those changes that fall into it.
"""

from sqlalchemy import BigInteger, Column, DateTime, Index, Integer, SmallInteger, String, Table

from music_downloader.model.base import Base

EVERYBODY = 0
ANY = ""

counted_blocks = Table(
    "counted_blocks",
    Base.metadata,
    Column("source", String(16), primary_key=True),
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("word", String(50), primary_key=True),
    Column("created_at", DateTime(timezone=True), primary_key=True),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("count", Integer, nullable=False),
)

# One row for each row that has come (1) or gone (-1), until it is folded into the blocks. Whoever changes a
# list only ever adds some, so nobody waits for anybody.
counted_changes = Table(
    "counted_changes",
    Base.metadata,
    Column("source", String(16), nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("word", String(50), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("id", BigInteger, nullable=False),
    Column("change", SmallInteger, nullable=False),
    Index("ix_counted_changes_list", "source", "user_id", "word"),
)
