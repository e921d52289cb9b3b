"""Disputes, their evidence, and fraud warnings."""

from alembic import op

revision = "0019"
down_revision = "0018"

CHANGES = """
"""


def upgrade() -> None:
    for statement in filter(str.strip, CHANGES.split(";\n")):
        op.execute(statement)
