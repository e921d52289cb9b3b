"""What is watched: the schedule, how far the provider's events were caught up with, and the alarms."""

from alembic import op

revision = "0005"
down_revision = "0004"

TABLES = """
-- squawk-ignore ban-drop-table
drop table job_run;
create table schedule (
  job text primary key check (length(job) between 1 and 100),
  every_seconds integer not null check (every_seconds > 0),
  next_due_at timestamptz not null,
  last_run_at timestamptz,
  missed bigint not null default 0 check (missed >= 0)
);
grant select, insert, update, delete on schedule to marketbill_system;

create table event_cursor (
  platform_id uuid not null,
  account text not null,
  seen_until timestamptz not null,
  ran_at timestamptz,
  tried_at timestamptz not null,
  leased_until timestamptz,
  walk_newest timestamptz,
  walk_down_to timestamptz,
  failing_since timestamptz,
  error text,
  primary key (platform_id, account),
  check ((walk_newest is null) = (walk_down_to is null)),
  check ((failing_since is null) = (error is null))
);
select marketbill_protect('event_cursor', 'select, insert, update');
select marketbill_expose('event_cursor', 'select (platform_id, account, ran_at, tried_at, failing_since)');
create index event_cursor_failing_idx on event_cursor (platform_id, failing_since) where failing_since is not null;
create index event_cursor_walk_idx on event_cursor (platform_id, tried_at) where walk_newest is not null;

create table alarm (
  platform_id uuid not null,
  kind text not null check (length(kind) between 1 and 60),
  number bigint not null check (number > 0),
  since timestamptz not null,
  seen integer not null check (seen > 0),
  raised_at timestamptz,
  primary key (platform_id, kind)
);
select marketbill_protect('alarm', 'select');
select marketbill_expose('alarm', 'select, insert, update, delete');

alter table inbox_event add column dismissed_by text check (length(dismissed_by) between 1 and 200);
alter table inbox_event add column dismiss_reason text check (length(dismiss_reason) between 1 and 500);
alter table inbox_event add constraint inbox_event_dismissed_check
  check ((dismissed_by is null) = (dismiss_reason is null) and (dismissed_by is null or handled_at is not null));

create index inbox_event_parked_idx on inbox_event (platform_id, received_at)
  where handled_at is null and next_attempt_at is null;
create index inbox_event_received_idx on inbox_event using brin (received_at);
grant select (id, received_at, handled_at), delete on inbox_event to marketbill_system;

create index provider_intent_given_up_idx on provider_intent (platform_id, updated_at) where status = 'GAVE_UP';
grant select (id, status, held_for, created_at, updated_at) on provider_intent to marketbill_system;

create index transfer_refused_idx on transfer (platform_id, updated_at) where status = 'REFUSED';
grant select (created_at, updated_at, intent_id) on transfer to marketbill_system;

create index payout_may_return_idx on payout (platform_id, updated_at)
  where provider_payout is not null and status = 'PAID';
grant select (arrival_on, paid_at) on payout to marketbill_system;

grant select (created_at) on seller to marketbill_system;
select marketbill_expose('provider_credential', 'select (platform_id, created_at)');

grant select on alembic_version to marketbill_system;
"""


def upgrade() -> None:
    for statement in filter(str.strip, TABLES.split(";\n")):
        op.execute(statement)
