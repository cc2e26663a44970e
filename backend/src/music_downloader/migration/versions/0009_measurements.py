"""What metrics add up over all processes; a trigger counts every end of a download."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_MEASURE = """
CREATE FUNCTION measure_ended_download() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO measurements (name, label, value)
    VALUES (NEW.status, CASE WHEN NEW.status = 'failed' THEN NEW.error_code ELSE '' END, 1);
    RETURN NULL;
END $$;
CREATE TRIGGER measure_ended_download AFTER UPDATE OF status ON download_history FOR EACH ROW
    WHEN (OLD.status <> NEW.status AND NEW.kind = 'track' AND NEW.completed_at IS NOT NULL)
    EXECUTE FUNCTION measure_ended_download();
"""


def upgrade() -> None:
    """Move forward."""
    op.create_table(
        "measurements",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("label", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
    )
    op.execute(_MEASURE)


def downgrade() -> None:
    """Move back."""
    op.execute("DROP TRIGGER measure_ended_download ON download_history")
    op.execute("DROP FUNCTION measure_ended_download")
    op.drop_table("measurements")
