"""What a sale's tax was decided to be, by line, for reports by jurisdiction and period."""

from alembic import op

revision = "0015"
down_revision = "0014"

TABLES = """
"""


def upgrade() -> None:
    for statement in filter(str.strip, TABLES.split(";\n")):
        op.execute(statement)
