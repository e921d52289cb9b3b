"""The doors: provider intents, the outbox of jobs, the inbox of provider events, the slots of the schedule."""

from alembic import op

revision = "0003"
down_revision = "0002"

# No foreign keys to platform: these are queues, written for every sale, and a reference would lock the platform's row.
TABLES = """
create table provider_intent (
  platform_id uuid not null,
  id uuid not null,
  kind text not null check (length(kind) between 1 and 60),
  subject_id uuid not null,
  generation integer not null check (generation > 0),
  request jsonb not null,
  status text not null check (status in ('OPEN', 'SUCCEEDED', 'REFUSED', 'UNKNOWN', 'ABANDONED')),
  attempts integer not null check (attempts >= 0),
  provider_id text,
  last_error jsonb,
  held_for text,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  sent_at timestamptz,
  next_attempt_at timestamptz,
  primary key (platform_id, id),
  check (next_attempt_at is null or status in ('OPEN', 'UNKNOWN')),
  check (provider_id is not null or status <> 'SUCCEEDED')
);
create index provider_intent_due_idx on provider_intent (platform_id, kind, next_attempt_at)
  where next_attempt_at is not null;
create index provider_intent_due_anywhere_idx on provider_intent (next_attempt_at) where next_attempt_at is not null;
create index provider_intent_subject_idx on provider_intent (platform_id, kind, subject_id);
create index provider_intent_held_idx on provider_intent (platform_id, held_for) where held_for is not null;
select marketbill_protect('provider_intent', 'select, insert, update');
select marketbill_expose('provider_intent', 'select (platform_id, kind, next_attempt_at)');

create table outbox_message (
  platform_id uuid not null,
  id uuid not null,
  actor text not null check (length(actor) between 1 and 100),
  arguments jsonb not null,
  available_at timestamptz not null,
  created_at timestamptz not null,
  primary key (platform_id, id)
);
create index outbox_message_available_at_idx on outbox_message (available_at);
select marketbill_protect('outbox_message', 'select, insert');
select marketbill_expose('outbox_message', 'select, insert, update (available_at), delete');

create table inbox_event (
  platform_id uuid not null,
  id text not null check (length(id) between 1 and 255),
  type text not null,
  account text,
  object_id text not null,
  raw bytea not null,
  occurred_at timestamptz not null,
  received_at timestamptz not null,
  handled_at timestamptz,
  attempts integer not null check (attempts >= 0),
  error text,
  next_attempt_at timestamptz,
  primary key (platform_id, id),
  check (handled_at is null or next_attempt_at is null)
);
create index inbox_event_due_idx on inbox_event (platform_id, occurred_at, id) where next_attempt_at is not null;
create index inbox_event_due_anywhere_idx on inbox_event (next_attempt_at) where next_attempt_at is not null;
create index inbox_event_object_idx on inbox_event (platform_id, object_id);
select marketbill_protect('inbox_event', 'select, insert, update');
select marketbill_expose('inbox_event', 'select (platform_id, next_attempt_at)');

create table job_run (
  job text not null,
  due_at timestamptz not null,
  claimed_at timestamptz not null,
  primary key (job, due_at)
);
grant select, insert, delete on job_run to marketbill_system;

create index idempotency_key_claimed_anywhere_idx on idempotency_key (claimed_at);
"""


def upgrade() -> None:
    for statement in filter(str.strip, TABLES.split(";\n")):
        op.execute(statement)
