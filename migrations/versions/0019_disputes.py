"""Disputes, their evidence, and fraud warnings."""

from alembic import op

revision = "0019"
down_revision = "0018"

CHANGES = """
alter table payment add column disputed boolean not null default false;

create table dispute_policy (
  platform_id uuid not null,
  version integer not null check (version > 0),
  recover_at text not null check (recover_at in ('OPENED', 'LOST')),
  hold text not null check (hold in ('SELLER', 'PAYMENT', 'NOTHING')),
  countered_fees jsonb not null,
  on_fraud_warning text not null check (on_fraud_warning in ('NOTHING', 'HOLD', 'REFUND_BELOW')),
  refund_below jsonb not null,
  note text not null check (length(note) between 1 and 500),
  published_by text not null,
  published_at timestamptz not null,
  primary key (platform_id, version)
);
select marketbill_protect('dispute_policy', 'select, insert');

create table dispute (
  platform_id uuid not null,
  id uuid not null,
  payment_id uuid not null,
  provider_dispute text not null check (length(provider_dispute) between 1 and 255),
  charge text not null,
  currency varchar(3) not null,
  amount bigint not null check (amount >= 0),
  reason text not null,
  network_reason text,
  status text not null check (status in ('INQUIRY', 'INQUIRY_ANSWERED', 'INQUIRY_CLOSED', 'NEEDS_RESPONSE',
    'UNDER_REVIEW', 'WON', 'PARTLY_WON', 'LOST', 'PREVENTED')),
  provider_status text not null,
  due_by timestamptz,
  submissions integer not null default 0 check (submissions >= 0),
  settlement_currency varchar(3),
  withdrawn bigint not null default 0,
  reinstated bigint not null default 0,
  won bigint not null default 0,
  fees bigint not null default 0,
  fees_returned bigint not null default 0,
  policy_version integer not null,
  recover_at text not null check (recover_at in ('OPENED', 'LOST')),
  answer text check (answer in ('CONTESTING', 'CONTESTED', 'ACCEPTING', 'ACCEPTED', 'REFUSED')),
  answered_by text,
  answered_at timestamptz,
  explanation text,
  opened_at timestamptz not null,
  closed_at timestamptz,
  settle_since timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (platform_id, id),
  unique (platform_id, provider_dispute),
  foreign key (platform_id, payment_id) references payment
);
create index dispute_payment_idx on dispute (platform_id, payment_id);
create index dispute_settle_idx on dispute (platform_id, settle_since) where settle_since is not null;
create index dispute_due_idx on dispute (platform_id, due_by) where status in ('INQUIRY', 'NEEDS_RESPONSE');
select marketbill_protect('dispute', 'select, insert, update');
select marketbill_expose('dispute', 'select (platform_id, settle_since)');

create table dispute_movement (
  platform_id uuid not null,
  balance_transaction text not null,
  dispute_id uuid not null,
  currency varchar(3) not null,
  amount bigint not null,
  disputed bigint not null,
  fee bigint not null,
  moved_at timestamptz not null,
  created_at timestamptz not null,
  primary key (platform_id, balance_transaction),
  foreign key (platform_id, dispute_id) references dispute
);
create index dispute_movement_dispute_idx on dispute_movement (platform_id, dispute_id);
create index dispute_movement_fee_idx on dispute_movement (platform_id, currency, created_at)
  where amount = 0 and fee > 0;
select marketbill_protect('dispute_movement', 'select, insert');

create table dispute_recovery (
  platform_id uuid not null,
  id uuid not null,
  dispute_id uuid not null,
  round integer not null check (round > 0),
  currency varchar(3) not null,
  lost bigint not null check (lost > 0),
  taken bigint not null check (taken > 0),
  status text not null check (status in ('BEGUN', 'BOOKED', 'UNDONE')),
  begun_at timestamptz not null,
  booked_at timestamptz,
  undone_at timestamptz,
  primary key (platform_id, id),
  unique (platform_id, dispute_id, round),
  foreign key (platform_id, dispute_id) references dispute
);
select marketbill_protect('dispute_recovery', 'select, insert');
grant update (taken, status, booked_at, undone_at) on dispute_recovery to marketbill_app;

create table dispute_evidence (
  platform_id uuid not null,
  dispute_id uuid not null,
  ordinal integer not null check (ordinal > 0),
  field text not null check (length(field) between 1 and 60),
  content text,
  file_id text,
  file_url text,
  file_name text,
  file_sha256 text check (file_sha256 ~ '^[0-9a-f]{64}$'),
  added_by text not null,
  added_at timestamptz not null,
  primary key (platform_id, dispute_id, ordinal),
  foreign key (platform_id, dispute_id) references dispute,
  check (num_nonnulls(content, file_id, file_url) <= 1),
  check ((file_url is null and file_id is null) = (file_sha256 is null))
);
select marketbill_protect('dispute_evidence', 'select, insert');

create table fraud_warning (
  platform_id uuid not null,
  id uuid not null,
  payment_id uuid not null,
  provider_warning text not null check (length(provider_warning) between 1 and 255),
  charge text not null,
  fraud_type text not null,
  actionable boolean not null,
  policy_version integer not null,
  action text not null check (action in ('NOTHING', 'HOLD', 'REFUND')),
  explanation text,
  refund_id uuid,
  warned_at timestamptz not null,
  act_since timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (platform_id, id),
  unique (platform_id, provider_warning),
  foreign key (platform_id, payment_id) references payment
);
create index fraud_warning_payment_idx on fraud_warning (platform_id, payment_id);
create index fraud_warning_act_idx on fraud_warning (platform_id, act_since) where act_since is not null;
select marketbill_protect('fraud_warning', 'select, insert, update');
select marketbill_expose('fraud_warning', 'select (platform_id, act_since)');
"""


def upgrade() -> None:
    for statement in filter(str.strip, CHANGES.split(";\n")):
        op.execute(statement)
