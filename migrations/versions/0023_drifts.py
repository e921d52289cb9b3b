"""What reconciliation found to differ."""

from alembic import op

revision = "0023"
down_revision = "0022"

CHANGES = """
"""


def upgrade() -> None:
    for statement in filter(str.strip, CHANGES.split(";\n")):
        op.execute(statement)
