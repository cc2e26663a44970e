"""Accounts: limits that every process shares, and an audit log that nobody rewrites."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# A statement is refused as such, even if it would touch no row, and even where triggers are asked to rest.
_PROTECT = """
CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Entries of the audit log are never changed or removed.'
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER refuse_audit_change
    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_logs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER refuse_audit_change;
"""


def upgrade() -> None:
    """Move forward."""
    op.create_table(
        "throttles",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("noted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_throttles")),
    )
    op.create_index("ix_throttles_ends_at", "throttles", ["ends_at"], unique=False)
    op.execute(_PROTECT)


def downgrade() -> None:
    """Move back."""
    op.execute("DROP TRIGGER refuse_audit_change ON audit_logs")
    op.execute("DROP FUNCTION refuse_audit_change")
    op.drop_index("ix_throttles_ends_at", table_name="throttles")
    op.drop_table("throttles")
