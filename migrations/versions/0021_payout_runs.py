"""Payout schedules, lines of payouts, bank files."""

from alembic import op

revision = "0021"
down_revision = "0020"

CHANGES = """
"""


def upgrade() -> None:
    for statement in filter(str.strip, CHANGES.split(";\n")):
        op.execute(statement)
