"""Refunds, by line and seller, and the policy of who bears them."""

from alembic import op

revision = "0017"
down_revision = "0016"

CHANGES = """
"""


def upgrade() -> None:
    for statement in filter(str.strip, CHANGES.split(";\n")):
        op.execute(statement)
