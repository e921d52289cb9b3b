"""A request to the provider knows until when the provider can have received it, and whether its key still serves."""

from alembic import op

revision = "0007"
down_revision = "0006"

# What may have been under way when this runs is taken to have reached the provider as late as its lease allowed.
CHANGES = """
alter table provider_intent add column reached_until timestamptz;
alter table provider_intent add column spent boolean not null default false;
update provider_intent set reached_until = updated_at + interval '3 minutes'
  where sent_at is not null and unsure and status in ('OPEN', 'UNKNOWN', 'GAVE_UP', 'ABANDONED');
update provider_intent set spent = true
  where sent_at is not null and (last_error ->> 'status' = '500' or last_error ->> 'type' = 'idempotency_error');
"""


def upgrade() -> None:
    for statement in filter(str.strip, CHANGES.split(";\n")):
        op.execute(statement)
