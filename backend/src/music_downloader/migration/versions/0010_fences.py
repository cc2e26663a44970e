"""Fences: a number for each claim that never comes again, whatever becomes of the count of attempts."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# Until now the count of attempts was the fence. Those that are claimed keep theirs, and the new ones begin
# beyond all of them, since folders of unfinished files bear their numbers.
_KEEP = """
UPDATE download_history SET fence = attempts, fence_at_retry = attempts_forgiven
WHERE status IN ('pending', 'in-progress') AND attempts > 0
"""


def upgrade() -> None:
    """Move forward."""
    for name in ("fence", "fence_at_retry"):
        op.add_column(
            "download_history",
            sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        )
    # Owned by its column, so that a backup holds it.
    op.execute("CREATE SEQUENCE fences START WITH 100000 OWNED BY download_history.fence")
    op.execute(_KEEP)
    # Its name stays, since an older version that is still running writes it.
    op.alter_column("filing_intents", "attempt", type_=sa.BigInteger())


def downgrade() -> None:
    """Move back."""
    op.execute("DELETE FROM filing_intents WHERE attempt > 2147483647")
    op.alter_column("filing_intents", "attempt", type_=sa.Integer())
    for name in ("fence_at_retry", "fence"):
        op.drop_column("download_history", name)
