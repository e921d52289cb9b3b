"""Tax rates that an operator added to the built-in ones, or set in their place."""

from alembic import op

revision = "0012"
down_revision = "0011"

TABLES = """
"""


def upgrade() -> None:
    for statement in filter(str.strip, TABLES.split(";\n")):
        op.execute(statement)
