"""Collections: tracks of a list, places at a host, loudness, and word of every change."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Whoever listens hears of each change that a person can see, once it is committed.
_TELL = """
CREATE FUNCTION tell_of_download() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed download_history := COALESCE(NEW, OLD);
BEGIN
    PERFORM pg_notify('download_changed', json_build_object(
        'id', changed.id, 'user_id', changed.user_id, 'parent_id', changed.parent_id,
        'deleted', TG_OP = 'DELETE')::text);
    RETURN NULL;
END $$;
CREATE TRIGGER tell_of_download
    AFTER INSERT OR DELETE OR UPDATE OF status, kind, progress, title, file_size, error_message,
        items_total, items_completed, items_failed
    ON download_history FOR EACH ROW EXECUTE FUNCTION tell_of_download();
"""


def upgrade() -> None:
    """Move forward."""
    op.add_column(
        "download_history",
        sa.Column("attempts_forgiven", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )
    op.add_column(
        "download_history", sa.Column("host", sa.String(length=255), server_default="", nullable=False)
    )
    op.add_column(
        "download_history",
        sa.Column("fetching", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.add_column(
        "download_history", sa.Column("parked", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("download_history", sa.Column("position", sa.Integer(), nullable=True))
    op.add_column("download_history", sa.Column("item_position", sa.Integer(), nullable=True))
    op.add_column(
        "download_history",
        sa.Column("entry", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    )
    op.add_column(
        "download_history",
        sa.Column("listing", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    )
    op.add_column("download_history", sa.Column("listed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("download_history", sa.Column("note", sa.String(length=500), nullable=True))
    op.add_column("download_history", sa.Column("items_total", sa.Integer(), nullable=True))
    op.add_column("download_history", sa.Column("items_completed", sa.Integer(), nullable=True))
    op.add_column("download_history", sa.Column("items_failed", sa.Integer(), nullable=True))
    op.add_column("download_history", sa.Column("playlist_path", sa.String(length=1024), nullable=True))
    op.execute(
        "UPDATE download_history"
        r" SET host = COALESCE(left(lower(substring(url FROM '(?i)^https?://\[?([^]/:?#]+)')), 255), '')"
        " WHERE status <> 'completed'"
    )
    op.drop_index(
        op.f("ix_download_history_parent"),
        table_name="download_history",
        postgresql_where="(parent_id IS NOT NULL)",
    )
    op.create_index(
        "ix_download_history_parent",
        "download_history",
        ["parent_id", "status"],
        unique=False,
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    )
    op.create_index(
        "ix_download_history_fetching",
        "download_history",
        ["host"],
        unique=False,
        postgresql_where=sa.text("fetching"),
    )
    op.create_index(
        "ix_download_history_landed",
        "download_history",
        [sa.literal_column("md5(url)")],
        unique=False,
        postgresql_where=sa.text("track_id IS NOT NULL"),
    )
    op.create_index(
        "ix_download_history_parked",
        "download_history",
        ["host", sa.literal_column("(parent_id IS NOT NULL)"), "id"],
        unique=False,
        postgresql_where=sa.text("parked"),
    )
    op.create_index(
        "uq_download_history_list_entry",
        "download_history",
        ["parent_id", sa.literal_column("md5(url)"), sa.literal_column("coalesce(item_position, 0)")],
        unique=True,
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    )
    op.add_column(
        "tracks", sa.Column("original", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("tracks", sa.Column("cover_sha256", sa.String(length=64), nullable=True))
    op.add_column(
        "tracks",
        sa.Column("loudness", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    )
    op.create_index(
        "ix_tracks_unmeasured", "tracks", ["id"], unique=False, postgresql_where=sa.text("loudness IS NULL")
    )
    op.execute(
        "UPDATE tracks SET original = true WHERE EXISTS ("
        "SELECT FROM download_history WHERE track_id = tracks.id AND format = 'best') AND codec <> 'flac'"
    )
    op.execute(_TELL)


def downgrade() -> None:
    """Move back."""
    op.execute("DROP TRIGGER tell_of_download ON download_history")
    op.execute("DROP FUNCTION tell_of_download")
    op.drop_index("ix_tracks_unmeasured", table_name="tracks", postgresql_where=sa.text("loudness IS NULL"))
    op.drop_column("tracks", "loudness")
    op.drop_column("tracks", "cover_sha256")
    op.drop_column("tracks", "original")
    op.drop_index(
        "uq_download_history_list_entry",
        table_name="download_history",
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_download_history_parked", table_name="download_history", postgresql_where=sa.text("parked")
    )
    op.drop_index(
        "ix_download_history_landed",
        table_name="download_history",
        postgresql_where=sa.text("track_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_download_history_fetching", table_name="download_history", postgresql_where=sa.text("fetching")
    )
    op.drop_index(
        "ix_download_history_parent",
        table_name="download_history",
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_download_history_parent"),
        "download_history",
        ["parent_id"],
        unique=False,
        postgresql_where="(parent_id IS NOT NULL)",
    )
    op.drop_column("download_history", "playlist_path")
    op.drop_column("download_history", "items_failed")
    op.drop_column("download_history", "items_completed")
    op.drop_column("download_history", "items_total")
    op.drop_column("download_history", "note")
    op.drop_column("download_history", "listed_at")
    op.drop_column("download_history", "listing")
    op.drop_column("download_history", "entry")
    op.drop_column("download_history", "item_position")
    op.drop_column("download_history", "position")
    op.drop_column("download_history", "parked")
    op.drop_column("download_history", "fetching")
    op.drop_column("download_history", "host")
    op.drop_column("download_history", "attempts_forgiven")
