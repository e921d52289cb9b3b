"""Refunds, by line and seller, and the policy of who bears them."""

from alembic import op

revision = "0017"
down_revision = "0016"

CHANGES = """
create table return_policy (
  platform_id uuid not null references platform,
  version integer not null check (version >= 1),
  id uuid not null,
  rows jsonb not null,
  note text not null check (length(note) between 1 and 500),
  published_by text not null,
  published_at timestamptz not null,
  primary key (platform_id, version),
  unique (platform_id, id)
);
select marketbill_protect('return_policy', 'select, insert');

create table sale_return (
  platform_id uuid not null,
  payment_id uuid not null,
  source_type text not null check (source_type in ('refund', 'dispute')),
  source_id uuid not null,
  undoes boolean not null,
  cause text not null,
  policy_version integer not null,
  terms jsonb not null,
  currency varchar(3) not null,
  amount bigint not null,
  settlement_currency varchar(3) not null,
  legs jsonb not null,
  settled jsonb not null,
  created_at timestamptz not null,
  primary key (platform_id, payment_id, source_type, source_id, undoes),
  foreign key (platform_id, payment_id) references payment
);
create index sale_return_source_idx on sale_return (platform_id, source_type, source_id);
select marketbill_protect('sale_return', 'select, insert');

create table line_return (
  platform_id uuid not null,
  payment_id uuid not null,
  source_type text not null,
  source_id uuid not null,
  undoes boolean not null,
  ordinal integer not null,
  seller_id uuid not null,
  gross bigint not null,
  rounding bigint not null,
  paid bigint not null,
  goodwill bigint not null,
  quantity integer not null,
  shipping bigint not null,
  untaxed integer not null,
  amounts jsonb not null,
  carry jsonb not null,
  primary key (platform_id, payment_id, source_type, source_id, undoes, ordinal),
  foreign key (platform_id, payment_id, ordinal) references payment_line (platform_id, payment_id, ordinal)
);
select marketbill_protect('line_return', 'select, insert');

create table refund (
  platform_id uuid not null references platform,
  id uuid not null,
  payment_id uuid not null,
  kind text not null check (kind in ('FULL', 'LINES', 'AMOUNT', 'SHIPPING', 'TAX')),
  cause text not null,
  reason text not null check (length(reason) between 1 and 500),
  reference text,
  wanted jsonb not null,
  currency varchar(3) not null,
  amount bigint not null check (amount > 0),
  settlement_currency varchar(3) not null,
  settlement_amount bigint not null,
  policy_version integer not null,
  status text not null check (status in
    ('RECOVERING', 'SENDING', 'PENDING', 'SUCCEEDED', 'FAILED', 'REFUSED', 'CREDITED')),
  explanation text,
  charge text not null,
  attempt integer not null check (attempt >= 1),
  intent_id uuid,
  provider_refund text,
  paid_transaction text,
  paid_amount bigint,
  available_on timestamptz,
  available_at timestamptz,
  failed_transaction text,
  created_by text not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  booked_at timestamptz,
  succeeded_at timestamptz,
  failed_at timestamptz,
  settled_by text,
  primary key (platform_id, id),
  foreign key (platform_id, payment_id) references payment
);
create index refund_payment_idx on refund (platform_id, payment_id, id);
create index refund_recovering_idx on refund (platform_id, id) where status = 'RECOVERING';
create index refund_failed_idx on refund (platform_id, failed_at) where status = 'FAILED';
create index refund_arriving_idx on refund (platform_id, available_on)
  where available_on is not null and available_at is null;
select marketbill_protect('refund', 'select, insert, update');
select marketbill_expose('refund', 'select (platform_id, id, status, available_on, available_at,
  created_at, updated_at, failed_at)');

create table refund_share (
  platform_id uuid not null,
  refund_id uuid not null,
  seller_id uuid not null,
  currency varchar(3) not null,
  part bigint not null check (part >= 0),
  recharge bigint not null check (recharge >= 0),
  primary key (platform_id, refund_id, seller_id),
  foreign key (platform_id, refund_id) references refund,
  foreign key (platform_id, seller_id) references seller
);
create index refund_share_seller_idx on refund_share (platform_id, seller_id, refund_id);
select marketbill_protect('refund_share', 'select, insert');

alter table tax_line add column cause_type text;
alter table tax_line add column cause_id uuid;
create index tax_line_cause_idx on tax_line (platform_id, cause_id) where cause_id is not null;
"""


def upgrade() -> None:
    for statement in filter(str.strip, CHANGES.split(";\n")):
        op.execute(statement)
