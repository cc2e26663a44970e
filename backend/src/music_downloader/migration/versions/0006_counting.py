"""Count the rows that are there, and index them for pages, filters and search, while all goes on."""

from alembic import op
from sqlalchemy import text

from music_downloader.migration.online import online
from music_downloader.migration.search import make_searchable
from music_downloader.service.counting import recounting

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_NEWEST = "created_at DESC, id DESC"
_SUBMITTED = "WHERE parent_id IS NULL"
_INDEXES = {
    "ix_download_history_user_status": f"download_history (user_id, status, {_NEWEST}) {_SUBMITTED}",
    "ix_download_history_newest": f"download_history ({_NEWEST}) {_SUBMITTED}",
    "ix_download_history_status": f"download_history (status, {_NEWEST}) {_SUBMITTED}",
    "ix_audit_logs_user_action": f"audit_logs (user_id, action, {_NEWEST})",
    "ix_users_newest": f"users ({_NEWEST})",
}
_SEARCH_INDEX = "ix_download_history_search"


def upgrade() -> None:
    """Move forward, in statements of their own: none keeps anybody from writing, and each may be repeated."""
    with online() as concurrently:
        connection = op.get_bind()
        for name, columns in _INDEXES.items():
            op.execute(f"DROP INDEX IF EXISTS {name}")  # half an index, where an earlier try was cut short
            op.execute(f"CREATE INDEX {concurrently} {name} ON {columns}")
        for statement, parameters in recounting():
            connection.execute(text(statement), parameters)
        if concurrently:  # otherwise whoever migrates in one transaction does it afterwards
            make_searchable(connection)


def downgrade() -> None:
    """Move back; the extension stays, since others may use it."""
    for name in (*_INDEXES, _SEARCH_INDEX):
        op.execute(f"DROP INDEX IF EXISTS {name}")
    op.execute("DELETE FROM counted_blocks")
