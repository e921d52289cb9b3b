"""Disputes whose evidence is due are seen across platforms."""

from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.execute("grant select (status, due_by, answer) on dispute to marketbill_system")
