"""Rules of release, holds by reason, reserves."""

from alembic import op

revision = "0020"
down_revision = "0019"

CHANGES = """
"""


def upgrade() -> None:
    for statement in filter(str.strip, CHANGES.split(";\n")):
        op.execute(statement)
