"""Disks that are full and shares that are gone: which library it is, what waits, and what has vanished."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move forward."""
    op.create_table(
        "library_mark",
        sa.Column("id", sa.Integer(), autoincrement=False, server_default=sa.text("1"), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("is_mount", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_library_mark_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_library_mark")),
    )
    op.add_column(
        "download_history",
        sa.Column("held", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.create_index(
        "ix_download_history_held",
        "download_history",
        ["id"],
        unique=False,
        postgresql_where=sa.text("held"),
    )
    op.add_column("tracks", sa.Column("missing_since", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_tracks_missing",
        "tracks",
        ["id"],
        unique=False,
        postgresql_where=sa.text("missing_since IS NOT NULL"),
    )


def downgrade() -> None:
    """Move back."""
    op.drop_index("ix_tracks_missing", table_name="tracks")
    op.drop_column("tracks", "missing_since")
    op.drop_index("ix_download_history_held", table_name="download_history")
    op.drop_column("download_history", "held")
    op.drop_table("library_mark")
