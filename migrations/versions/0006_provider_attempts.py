"""Attempts of the provider intents are rows; an operator retries or abandons what was given up."""

from alembic import op

revision = "0006"
down_revision = "0005"

CHANGES = """
-- It is made again below, with one more status.
-- squawk-ignore ban-drop-constraint
alter table provider_intent drop constraint provider_intent_status_check;
alter table provider_intent add column forgiven integer not null default 0 check (forgiven >= 0);
alter table provider_intent add column unsure boolean not null default false;
alter table provider_intent add column decided_by text;
alter table provider_intent add column decided_at timestamptz;
alter table provider_intent add column decision_reason text;
update provider_intent set unsure = true where sent_at is not null;
update provider_intent set status = 'GAVE_UP' where status = 'ABANDONED';
alter table provider_intent add constraint provider_intent_status_check
  check (status in ('OPEN', 'UNKNOWN', 'SUCCEEDED', 'REFUSED', 'GAVE_UP', 'ABANDONED'));
alter table provider_intent add constraint provider_intent_abandoned_check
  check (status <> 'ABANDONED' or (decided_by is not null and decision_reason is not null));
create index provider_intent_failed_idx on provider_intent (platform_id, id)
  where status in ('REFUSED', 'GAVE_UP', 'ABANDONED');

create table provider_attempt (
  platform_id uuid not null,
  intent_id uuid not null,
  number integer not null check (number > 0),
  generation integer not null check (generation > 0),
  looked_up boolean not null,
  started_at timestamptz not null,
  ended_at timestamptz,
  outcome text check (outcome in ('SUCCEEDED', 'DECLINED', 'REFUSED', 'UNKNOWN', 'INTERRUPTED')),
  http_status integer,
  code text,
  message text check (length(message) <= 500),
  request_id text,
  primary key (platform_id, intent_id, number),
  check ((ended_at is null) = (outcome is null))
);
select marketbill_protect('provider_attempt', 'select, insert,
  update (generation, ended_at, outcome, http_status, code, message, request_id)');
"""


def upgrade() -> None:
    for statement in filter(str.strip, CHANGES.split(";\n")):
        op.execute(statement)
