"""Keep count of long lists: each row that comes or goes leaves a change, to be folded into blocks later."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Whoever writes only adds rows of their own, so counting never makes one transaction wait for another.
_COUNT = """
CREATE FUNCTION count_downloads() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO counted_changes (source, user_id, word, created_at, id, change)
        SELECT 'downloads', user_id, status, created_at, id, CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END
        FROM changed WHERE parent_id IS NULL;
    RETURN NULL;
END $$;
CREATE FUNCTION count_moved_download() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO counted_changes (source, user_id, word, created_at, id, change)
        SELECT 'downloads', user_id, word, created_at, id, change FROM (VALUES
            (OLD.user_id, OLD.status, OLD.created_at, OLD.id, -1, OLD.parent_id),
            (NEW.user_id, NEW.status, NEW.created_at, NEW.id, 1, NEW.parent_id)
        ) AS moved (user_id, word, created_at, id, change, parent_id) WHERE parent_id IS NULL;
    RETURN NULL;
END $$;
CREATE FUNCTION count_audit_logs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO counted_changes (source, user_id, word, created_at, id, change)
        SELECT 'audit', COALESCE(user_id, 0), action, created_at, id, 1 FROM changed;
    RETURN NULL;
END $$;
CREATE FUNCTION count_emptied_downloads() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM counted_changes WHERE source = 'downloads';
    UPDATE counted_blocks SET count = 0 WHERE source = 'downloads';
    RETURN NULL;
END $$;
CREATE TRIGGER count_new_downloads AFTER INSERT ON download_history
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_downloads();
CREATE TRIGGER count_removed_downloads AFTER DELETE ON download_history
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_downloads();
CREATE TRIGGER count_moved_download AFTER UPDATE ON download_history FOR EACH ROW
    WHEN ((OLD.user_id, OLD.status, OLD.created_at, OLD.id, OLD.parent_id)
        IS DISTINCT FROM (NEW.user_id, NEW.status, NEW.created_at, NEW.id, NEW.parent_id))
    EXECUTE FUNCTION count_moved_download();
CREATE TRIGGER count_emptied_downloads AFTER TRUNCATE ON download_history
    FOR EACH STATEMENT EXECUTE FUNCTION count_emptied_downloads();
CREATE TRIGGER count_audit_logs AFTER INSERT ON audit_logs
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_audit_logs();
"""
_TRIGGERS = {
    "download_history": (
        "count_new_downloads",
        "count_removed_downloads",
        "count_moved_download",
        "count_emptied_downloads",
    ),
    "audit_logs": ("count_audit_logs",),
}
_FUNCTIONS = ("count_downloads", "count_moved_download", "count_emptied_downloads", "count_audit_logs")


def upgrade() -> None:
    """Move forward."""
    op.create_table(
        "counted_blocks",
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("word", sa.String(length=50), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "source", "user_id", "word", "created_at", "id", name=op.f("pk_counted_blocks")
        ),
    )
    op.create_table(
        "counted_changes",
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("word", sa.String(length=50), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.SmallInteger(), nullable=False),
    )
    op.create_index("ix_counted_changes_list", "counted_changes", ["source", "user_id", "word"], unique=False)
    op.execute(_COUNT)


def downgrade() -> None:
    """Move back."""
    for table, triggers in _TRIGGERS.items():
        for trigger in triggers:
            op.execute(f"DROP TRIGGER {trigger} ON {table}")
    for function in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    op.drop_table("counted_changes")
    op.drop_table("counted_blocks")
