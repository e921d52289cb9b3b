"""Issued statements, fee invoices, gap-free numbers."""

from alembic import op

revision = "0022"
down_revision = "0021"

CHANGES = """
"""


def upgrade() -> None:
    for statement in filter(str.strip, CHANGES.split(";\n")):
        op.execute(statement)
