"""Reversals of transfers, debts of sellers and their write-off."""

from alembic import op

revision = "0018"
down_revision = "0017"

CHANGES = """
create table reversal (
  platform_id uuid not null,
  id uuid not null,
  transfer_id uuid not null,
  payment_id uuid not null,
  seller_id uuid not null,
  currency varchar(3) not null,
  amount bigint not null check (amount > 0),
  cause_type text not null,
  cause_id uuid not null,
  status text not null check (status in ('WAITING', 'PENDING', 'DONE', 'LOWERED', 'REFUSED')),
  reason text,
  claims jsonb not null default '[]',
  missed boolean not null default false,
  decided_at timestamptz,
  provider_reversal text,
  intent_id uuid,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  done_at timestamptz,
  primary key (platform_id, id),
  foreign key (platform_id, transfer_id) references transfer,
  check (status <> 'DONE' or done_at is not null)
);
create index reversal_cause_idx on reversal (platform_id, cause_type, cause_id);
create index reversal_transfer_idx on reversal (platform_id, transfer_id);
create index reversal_seller_idx on reversal (platform_id, seller_id, id);
create index reversal_waiting_idx on reversal (platform_id, id) where status = 'WAITING';
select marketbill_protect('reversal', 'select, insert, update');
select marketbill_expose('reversal', 'select (platform_id, status, created_at, decided_at)');

create table clawback (
  platform_id uuid not null,
  cause_type text not null,
  cause_id uuid not null,
  seller_id uuid not null,
  payment_id uuid not null,
  currency varchar(3) not null,
  amount bigint not null check (amount > 0),
  own bigint not null,
  pending bigint not null,
  payable bigint not null,
  reverse bigint not null,
  debt bigint not null,
  booked_at timestamptz,
  returned_at timestamptz,
  created_at timestamptz not null,
  primary key (platform_id, cause_type, cause_id, seller_id),
  foreign key (platform_id, payment_id, seller_id) references payment_share,
  check (least(own, pending, payable, reverse, debt) >= 0),
  check (amount = pending + payable + reverse + debt)
);
create index clawback_share_idx on clawback (platform_id, payment_id, seller_id);
select marketbill_protect('clawback', 'select, insert');
grant update (booked_at, returned_at) on clawback to marketbill_app;

create table debt (
  platform_id uuid not null,
  id uuid not null,
  seller_id uuid not null,
  currency varchar(3) not null,
  payment_id uuid,
  cause_type text not null,
  cause_id uuid not null,
  amount bigint not null check (amount > 0),
  remaining bigint not null check (remaining between 0 and amount),
  step text not null,
  next_step_at timestamptz,
  created_at timestamptz not null,
  closed_at timestamptz,
  primary key (platform_id, id),
  unique (platform_id, cause_type, cause_id, seller_id),
  foreign key (platform_id, seller_id) references seller,
  check ((remaining = 0) = (closed_at is not null))
);
create index debt_open_idx on debt (platform_id, seller_id, currency, created_at, id) where remaining > 0;
create index debt_step_idx on debt (platform_id, next_step_at) where next_step_at is not null;
select marketbill_protect('debt', 'select, insert');
grant update (remaining, step, next_step_at, closed_at) on debt to marketbill_app;
select marketbill_expose('debt', 'select (platform_id, next_step_at, remaining, created_at)');

create table debt_step (
  platform_id uuid not null,
  debt_id uuid not null,
  step text not null,
  due_at timestamptz not null,
  done_at timestamptz not null,
  outcome text not null,
  note text not null,
  primary key (platform_id, debt_id, step),
  foreign key (platform_id, debt_id) references debt
);
select marketbill_protect('debt_step', 'select, insert');

create table debt_policy (
  platform_id uuid not null references platform,
  version integer not null check (version > 0),
  steps jsonb not null,
  limits jsonb not null,
  published_by text not null,
  published_at timestamptz not null,
  primary key (platform_id, version)
);
select marketbill_protect('debt_policy', 'select, insert');

create table debt_payment (
  platform_id uuid not null,
  id uuid not null,
  seller_id uuid not null,
  currency varchar(3) not null,
  amount bigint not null check (amount > 0),
  method text not null check (method in ('TOP_UP', 'DEBIT')),
  reference text not null check (length(reference) between 1 and 100),
  recorded_by text not null,
  created_at timestamptz not null,
  primary key (platform_id, id),
  unique (platform_id, method, reference),
  foreign key (platform_id, seller_id) references seller
);
create index debt_payment_seller_idx on debt_payment (platform_id, seller_id, id);
select marketbill_protect('debt_payment', 'select, insert');

create table write_off (
  platform_id uuid not null,
  id uuid not null,
  debt_id uuid not null,
  seller_id uuid not null,
  currency varchar(3) not null,
  amount bigint not null check (amount > 0),
  status text not null check (status in ('PROPOSED', 'BOOKED', 'REJECTED')),
  reason text not null check (length(reason) between 1 and 1000),
  proposed_by text not null,
  proposed_at timestamptz not null,
  decided_by text,
  decided_at timestamptz,
  decision_reason text,
  booked bigint,
  primary key (platform_id, id),
  foreign key (platform_id, debt_id) references debt,
  check ((status = 'PROPOSED') = (decided_by is null)),
  check (decided_by <> proposed_by),
  check ((status = 'BOOKED') = (booked is not null))
);
create unique index write_off_proposed_idx on write_off (platform_id, debt_id) where status = 'PROPOSED';
create index write_off_seller_idx on write_off (platform_id, seller_id, id);
select marketbill_protect('write_off', 'select, insert');
grant update (status, decided_by, decided_at, decision_reason, booked) on write_off to marketbill_app;
"""


def upgrade() -> None:
    for statement in filter(str.strip, CHANGES.split(";\n")):
        op.execute(statement)
