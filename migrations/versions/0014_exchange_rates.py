"""Exchange rates with their source and time."""

from alembic import op

revision = "0014"
down_revision = "0013"

TABLES = """
"""


def upgrade() -> None:
    for statement in filter(str.strip, TABLES.split(";\n")):
        op.execute(statement)
