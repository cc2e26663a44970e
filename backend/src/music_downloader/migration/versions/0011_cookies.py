"""The cookies that people hand over for a site, sealed."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move forward."""
    op.create_table(
        "site_cookies",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("site", sa.String(length=253), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("earliest_expiry", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_site_cookies_user_id_users", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "site", name="pk_site_cookies"),
    )


def downgrade() -> None:
    """Move back."""
    op.drop_table("site_cookies")
