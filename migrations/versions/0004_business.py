"""Sellers, buyers, payments, transfers and payouts."""

from alembic import op

revision = "0004"
down_revision = "0003"

TABLES = """
create table seller (
  platform_id uuid not null references platform,
  id uuid not null,
  name text not null check (length(name) between 1 and 200),
  email text not null,
  country varchar(2) not null,
  vat_number text,
  vat_number_valid boolean not null,
  external_ref text,
  suspended boolean not null default false,
  provider_account text,
  transfers text not null check (transfers in ('UNREQUESTED', 'PENDING', 'RESTRICTED', 'ACTIVE')),
  payouts_enabled boolean not null default false,
  requirements jsonb not null,
  provider_read_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  version integer not null default 1,
  primary key (platform_id, id),
  unique (platform_id, external_ref),
  unique (platform_id, provider_account)
);
create index seller_awaiting_news_idx on seller (platform_id, provider_read_at)
  where transfers <> 'ACTIVE' and provider_account is not null;
select marketbill_protect('seller', 'select, insert, update');
select marketbill_expose('seller', 'select (platform_id, provider_account, transfers, provider_read_at)');

create table buyer (
  platform_id uuid not null references platform,
  id uuid not null,
  name text not null check (length(name) between 1 and 200),
  email text,
  external_ref text,
  provider_customer text,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (platform_id, id),
  unique (platform_id, external_ref)
);
select marketbill_protect('buyer', 'select, insert, update');

create table payment_method (
  platform_id uuid not null,
  id uuid not null,
  buyer_id uuid not null,
  provider_method text not null,
  kind text not null,
  brand text,
  last4 text,
  exp_month integer,
  exp_year integer,
  created_at timestamptz not null,
  primary key (platform_id, id),
  unique (platform_id, provider_method),
  foreign key (platform_id, buyer_id) references buyer
);
create index payment_method_platform_id_buyer_id_idx on payment_method (platform_id, buyer_id);
select marketbill_protect('payment_method', 'select, insert');

create table payment (
  platform_id uuid not null references platform,
  id uuid not null,
  reference text,
  buyer_id uuid,
  payment_method_id uuid,
  currency varchar(3) not null,
  gross bigint not null check (gross > 0),
  tax bigint not null,
  fee bigint not null,
  fee_tax bigint not null,
  seller_net bigint not null,
  fee_rule_id uuid not null,
  hold_from text not null,
  hold_days integer not null,
  tax_country varchar(2) not null,
  status text not null check (status in ('CREATED', 'REQUIRES_PAYMENT_METHOD', 'REQUIRES_ACTION', 'PROCESSING',
    'SUCCEEDED', 'DECLINED', 'CANCELED', 'FAILED')),
  provider_payment text,
  provider_charge text,
  provider_balance_transaction text,
  client_secret text,
  next_action jsonb,
  decline jsonb,
  provider_fee bigint,
  available_on timestamptz,
  release_on timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  succeeded_at timestamptz,
  booked_at timestamptz,
  settled_at timestamptz,
  available_at timestamptz,
  delivered_at timestamptz,
  released_at timestamptz,
  transfers_planned_at timestamptz,
  trace jsonb not null,
  primary key (platform_id, id),
  check (gross = seller_net + fee + fee_tax)
);
create index payment_provider_payment_idx on payment (platform_id, provider_payment);
create index payment_reference_idx on payment (platform_id, reference);
create index payment_buyer_idx on payment (platform_id, buyer_id, id);
create index payment_awaiting_funds_idx on payment (platform_id, available_on)
  where settled_at is not null and available_at is null;
create index payment_awaiting_settlement_idx on payment (platform_id, succeeded_at)
  where succeeded_at is not null and settled_at is null;
create index payment_awaiting_release_idx on payment (platform_id, release_on)
  where available_at is not null and released_at is null;
create index payment_awaiting_transfer_idx on payment (platform_id, released_at)
  where released_at is not null and transfers_planned_at is null;
create index payment_awaiting_news_idx on payment (platform_id, updated_at, created_at)
  where provider_payment is not null
    and status in ('REQUIRES_PAYMENT_METHOD', 'REQUIRES_ACTION', 'PROCESSING', 'DECLINED');
select marketbill_protect('payment', 'select, insert, update');
select marketbill_expose('payment', 'select (platform_id, status, provider_payment, created_at, updated_at,
  succeeded_at, settled_at, available_on, available_at, release_on, released_at, transfers_planned_at)');

create table payment_line (
  platform_id uuid not null,
  payment_id uuid not null,
  id uuid not null,
  ordinal integer not null,
  seller_id uuid not null,
  description text not null,
  category text not null,
  quantity integer not null,
  unit_price bigint not null,
  tax_rate numeric(7, 4) not null,
  tax_inclusive boolean not null,
  external_refs jsonb not null,
  gross bigint not null,
  tax bigint not null,
  net bigint not null,
  fee bigint not null,
  fee_tax bigint not null,
  seller_net bigint not null,
  primary key (platform_id, payment_id, ordinal),
  foreign key (platform_id, payment_id) references payment,
  check (gross = seller_net + fee + fee_tax and gross = net + tax)
);
select marketbill_protect('payment_line', 'select, insert');

create table payment_share (
  platform_id uuid not null,
  payment_id uuid not null,
  seller_id uuid not null,
  gross bigint not null,
  tax bigint not null,
  fee bigint not null,
  fee_tax bigint not null,
  seller_net bigint not null,
  fee_tax_rule text not null,
  primary key (platform_id, payment_id, seller_id),
  foreign key (platform_id, payment_id) references payment,
  foreign key (platform_id, seller_id) references seller,
  check (gross = seller_net + fee + fee_tax)
);
create index payment_share_seller_idx on payment_share (platform_id, seller_id, payment_id);
select marketbill_protect('payment_share', 'select, insert');

create table transfer (
  platform_id uuid not null,
  id uuid not null,
  payment_id uuid not null,
  seller_id uuid not null,
  currency varchar(3) not null,
  amount bigint not null check (amount > 0),
  status text not null check (status in ('PENDING', 'HELD', 'SENT', 'REFUSED')),
  reason text,
  source_charge text not null,
  provider_transfer text,
  intent_id uuid,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  sent_at timestamptz,
  primary key (platform_id, id),
  unique (platform_id, payment_id, seller_id),
  foreign key (platform_id, payment_id, seller_id) references payment_share
);
create index transfer_held_idx on transfer (platform_id, seller_id) where status = 'HELD';
create index transfer_seller_idx on transfer (platform_id, seller_id, id);
select marketbill_protect('transfer', 'select, insert, update');
select marketbill_expose('transfer', 'select (platform_id, status)');

create table payout (
  platform_id uuid not null,
  id uuid not null,
  seller_id uuid not null,
  currency varchar(3) not null,
  amount bigint not null check (amount > 0),
  status text not null check (status in ('CREATED', 'IN_TRANSIT', 'PAID', 'FAILED', 'CANCELED', 'REFUSED')),
  reason text,
  provider_payout text,
  arrival_on timestamptz,
  intent_id uuid not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  paid_at timestamptz,
  primary key (platform_id, id),
  foreign key (platform_id, seller_id) references seller
);
create index payout_seller_idx on payout (platform_id, seller_id, id);
create index payout_provider_idx on payout (platform_id, provider_payout);
create index payout_awaiting_news_idx on payout (platform_id, updated_at, created_at)
  where provider_payout is not null and status in ('CREATED', 'IN_TRANSIT');
select marketbill_protect('payout', 'select, insert, update');
select marketbill_expose('payout', 'select (platform_id, status, provider_payout, created_at, updated_at)');
"""


def upgrade() -> None:
    for statement in filter(str.strip, TABLES.split(";\n")):
        op.execute(statement)
