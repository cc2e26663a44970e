"""Crashes: attempts that a worker's death has ended, and what is about to be filed."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move forward."""
    op.add_column(
        "download_history",
        sa.Column("attempts_lost", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )
    op.create_table(
        "filing_intents",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("download_id", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("path", sa.String(length=1024), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("cover_sha256", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filing_intents")),
    )
    op.create_index("ix_filing_intents_download_id", "filing_intents", ["download_id"], unique=False)
    op.create_index("ix_filing_intents_sha256", "filing_intents", ["sha256"], unique=False)


def downgrade() -> None:
    """Move back."""
    op.drop_index("ix_filing_intents_sha256", table_name="filing_intents")
    op.drop_index("ix_filing_intents_download_id", table_name="filing_intents")
    op.drop_table("filing_intents")
    op.drop_column("download_history", "attempts_lost")
