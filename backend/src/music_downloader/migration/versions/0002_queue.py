"""Create the queue's tables, functions and triggers, as the queue's own library ships them."""

from alembic import op
from procrastinate.schema import SchemaManager

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_DROP = """
DO $$
DECLARE thing record;
BEGIN
    FOR thing IN SELECT tablename FROM pg_tables
        WHERE schemaname = current_schema() AND tablename LIKE 'procrastinate\\_%'
    LOOP EXECUTE format('DROP TABLE %I CASCADE', thing.tablename); END LOOP;
    FOR thing IN SELECT oid::regprocedure AS name FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace AND proname LIKE 'procrastinate\\_%'
    LOOP EXECUTE format('DROP FUNCTION %s CASCADE', thing.name); END LOOP;
    FOR thing IN SELECT typname FROM pg_type
        WHERE typnamespace = current_schema()::regnamespace
        AND typname LIKE 'procrastinate\\_%' AND typtype IN ('e', 'c')
    LOOP EXECUTE format('DROP TYPE %I CASCADE', thing.typname); END LOOP;
END $$
"""


def upgrade() -> None:
    """Run the script through psycopg itself: it holds several statements and bare percent signs."""
    connection = op.get_bind().connection.driver_connection
    if connection is None:
        raise RuntimeError("the queue's tables can't be made without a live connection")
    connection.execute(SchemaManager.get_schema())


def downgrade() -> None:
    """Drop whatever the queue made."""
    op.execute(_DROP)
