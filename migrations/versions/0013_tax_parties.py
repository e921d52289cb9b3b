"""What is known of sellers' and the platform's tax: registrations, and VAT numbers with their evidence."""

from alembic import op

revision = "0013"
down_revision = "0012"

TABLES = """
"""


def upgrade() -> None:
    for statement in filter(str.strip, TABLES.split(";\n")):
        op.execute(statement)
