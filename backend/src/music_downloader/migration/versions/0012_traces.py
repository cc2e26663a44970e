"""Which trace a submission belongs to, for the attempts that follow from it."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move forward."""
    op.add_column("download_history", sa.Column("traceparent", sa.String(length=64), nullable=True))


def downgrade() -> None:
    """Move back."""
    op.drop_column("download_history", "traceparent")
