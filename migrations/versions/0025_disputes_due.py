"""Disputes whose evidence is due are seen across platforms."""

from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.execute("grant select (status, due_by, answer) on dispute to marketbill_system")
