"""What metrics add up: figures of every worker, noted in the transaction of what they tell of."""

from sqlalchemy import Column, Double, String, Table

from music_downloader.model.base import Base

# The sum of a name and label only ever grows. Rows are only added; now and then those of the same name and
# label are replaced by their sum, so whoever notes something waits for nobody.
measurements = Table(
    "measurements",
    Base.metadata,
    Column("name", String(32), nullable=False),
    Column("label", String(32), nullable=False),
    Column("value", Double, nullable=False),
)
