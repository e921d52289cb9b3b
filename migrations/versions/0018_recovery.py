"""Reversals of transfers, debts of sellers and their write-off."""

from alembic import op

revision = "0018"
down_revision = "0017"

CHANGES = """
"""


def upgrade() -> None:
    for statement in filter(str.strip, CHANGES.split(";\n")):
        op.execute(statement)
