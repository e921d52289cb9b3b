"""Payout schedules, lines of payouts, bank files."""

from alembic import op

revision = "0021"
down_revision = "0020"

# What was transferred and paid out before gets its items and lines: the oldest transfer went into the oldest payout,
# and a payout that came back had what the next one had.
CHANGES = """
alter table payout add column rail text not null default 'PROVIDER'
  constraint payout_rail_check check (rail in ('PROVIDER', 'BANK'));
alter table payout add column method text not null default 'STANDARD'
  constraint payout_method_check check (method in ('STANDARD', 'INSTANT'));
alter table payout add column run_id uuid;
alter table payout add column retry_of uuid;
alter table payout add column file_id uuid;
alter table payout add column bank_reference text;
alter table payout add column fee bigint not null default 0 constraint payout_fee_check check (fee >= 0);
alter table payout add column fee_tax bigint not null default 0
  constraint payout_fee_tax_check check (fee_tax between 0 and fee);
alter table payout add column fee_country varchar(2) not null default '';
-- squawk-ignore ban-drop-not-null
alter table payout alter column intent_id drop not null;
alter table payout add constraint payout_intent_check check (intent_id is not null or rail = 'BANK') not valid;
create unique index payout_retry_idx on payout (platform_id, retry_of) where retry_of is not null;
create index payout_run_idx on payout (platform_id, run_id) where run_id is not null;
create index payout_file_idx on payout (platform_id, file_id) where file_id is not null;
create index payout_bank_open_idx on payout (platform_id, currency, id)
  where rail = 'BANK' and status = 'CREATED' and file_id is null;

-- squawk-ignore ban-drop-constraint
alter table payout_item drop constraint payout_item_platform_id_source_type_source_id_rail_key;
create unique index payout_item_source_idx on payout_item (platform_id, source_type, source_id, seller_id, rail);

create table payout_line (
  platform_id uuid not null,
  payout_id uuid not null,
  item_id uuid not null,
  amount bigint not null check (amount <> 0),
  replaced_at timestamptz,
  primary key (platform_id, payout_id, item_id),
  foreign key (platform_id, payout_id) references payout,
  foreign key (platform_id, item_id) references payout_item
);
create index payout_line_item_idx on payout_line (platform_id, item_id);

alter table transfer no force row level security;
alter table payout no force row level security;
alter table payout_item no force row level security;
insert into payout_item (platform_id, id, seller_id, currency, rail, source_type, source_id, amount, claimed,
    created_at)
  select platform_id, gen_random_uuid(), seller_id, currency, 'PROVIDER', 'transfer', id, amount, 0,
    coalesce(sent_at, updated_at)
  from transfer where status = 'SENT' and amount > 0
  on conflict do nothing;
with item as (
  select platform_id, id, seller_id, currency, amount,
    sum(amount) over (partition by platform_id, seller_id, currency order by created_at, id) as reach
  from payout_item where rail = 'PROVIDER'
), paid as (
  select platform_id, id, seller_id, currency, amount, coalesce(
    sum(case when status in ('FAILED', 'CANCELED', 'REFUSED') then 0 else amount end)
    over (partition by platform_id, seller_id, currency order by created_at, id
      rows between unbounded preceding and 1 preceding), 0) as start
  from payout
)
insert into payout_line (platform_id, payout_id, item_id, amount)
  select p.platform_id, p.id, i.id, least(i.reach, p.start + p.amount) - greatest(i.reach - i.amount, p.start)
  from paid p join item i on i.platform_id = p.platform_id and i.seller_id = p.seller_id and i.currency = p.currency
    and i.reach > p.start and i.reach - i.amount < p.start + p.amount;
update payout_item i set claimed = held.amount from (
    select l.platform_id, l.item_id, sum(l.amount) as amount from payout_line l
      join payout p on p.platform_id = l.platform_id and p.id = l.payout_id
    where p.status not in ('FAILED', 'CANCELED', 'REFUSED') group by l.platform_id, l.item_id
  ) held where held.platform_id = i.platform_id and held.item_id = i.id;
alter table transfer force row level security;
alter table payout force row level security;
alter table payout_item force row level security;
select marketbill_protect('payout_line', 'select, insert');
grant update (amount, replaced_at) on payout_line to marketbill_app;

create table payout_schedule (
  platform_id uuid not null references platform,
  id uuid not null,
  seller_id uuid,
  terms jsonb not null,
  next_at timestamptz,
  next_on date,
  next_why text not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  changed_by text not null,
  primary key (platform_id, id),
  foreign key (platform_id, seller_id) references seller,
  unique nulls not distinct (platform_id, seller_id),
  check ((next_at is null) = (next_on is null))
);
create index payout_schedule_due_idx on payout_schedule (platform_id, next_at) where next_at is not null;
select marketbill_protect('payout_schedule', 'select, insert, update');
select marketbill_expose('payout_schedule', 'select (platform_id, next_at)');

create table payout_run (
  platform_id uuid not null,
  id uuid not null,
  schedule_id uuid not null,
  seller_id uuid,
  terms jsonb not null,
  due_at timestamptz not null,
  due_on date not null,
  why text not null,
  started_at timestamptz not null,
  finished_at timestamptz,
  last_seller uuid,
  sellers integer not null default 0,
  primary key (platform_id, id),
  unique (platform_id, schedule_id, due_at),
  foreign key (platform_id, schedule_id) references payout_schedule
);
create index payout_run_open_idx on payout_run (platform_id, started_at) where finished_at is null;
select marketbill_protect('payout_run', 'select, insert');
grant update (last_seller, sellers, finished_at) on payout_run to marketbill_app;
select marketbill_expose('payout_run', 'select (platform_id, started_at, finished_at)');

create table payout_run_result (
  platform_id uuid not null,
  run_id uuid not null,
  id uuid not null,
  seller_id uuid not null,
  currency varchar(3) not null,
  rail text not null check (rail in ('PROVIDER', 'BANK')),
  outcome text not null check (outcome in ('PAID', 'CARRIED', 'BLOCKED')),
  amount bigint not null check (amount > 0),
  carried bigint not null check (carried >= 0),
  payout_id uuid,
  reason text,
  primary key (platform_id, run_id, id),
  unique (platform_id, run_id, seller_id, currency, rail),
  foreign key (platform_id, run_id) references payout_run,
  check ((outcome = 'PAID') = (payout_id is not null))
);
create index payout_run_result_seller_idx on payout_run_result (platform_id, seller_id, id);
select marketbill_protect('payout_run_result', 'select, insert');

create table payout_pause (
  platform_id uuid not null,
  seller_id uuid not null,
  payout_id uuid not null,
  reason text not null,
  since timestamptz not null,
  ended_at timestamptz,
  primary key (platform_id, seller_id),
  foreign key (platform_id, seller_id) references seller,
  foreign key (platform_id, payout_id) references payout
);
select marketbill_protect('payout_pause', 'select, insert, update');

create table payee (
  platform_id uuid not null,
  seller_id uuid not null,
  rail text not null check (rail in ('PROVIDER', 'BANK')),
  holder text not null,
  iban text not null,
  iban_last4 text not null,
  bic text,
  changed_at timestamptz not null,
  changed_by text not null,
  primary key (platform_id, seller_id),
  foreign key (platform_id, seller_id) references seller
);
select marketbill_protect('payee', 'select, insert, update');

create table bank_debtor (
  platform_id uuid not null references platform,
  currency varchar(3) not null,
  holder text not null,
  iban text not null,
  iban_last4 text not null,
  bic text,
  changed_at timestamptz not null,
  changed_by text not null,
  primary key (platform_id, currency)
);
select marketbill_protect('bank_debtor', 'select, insert, update');

create table bank_file (
  platform_id uuid not null,
  id uuid not null,
  currency varchar(3) not null,
  message_id text not null,
  execute_on date not null,
  payouts integer not null check (payouts > 0),
  amount bigint not null check (amount > 0),
  body text not null,
  sha256 bytea not null,
  created_at timestamptz not null,
  created_by text not null,
  primary key (platform_id, id),
  unique (platform_id, message_id),
  foreign key (platform_id, currency) references bank_debtor
);
select marketbill_protect('bank_file', 'select, insert');

create table float_short (
  platform_id uuid not null references platform,
  currency varchar(3) not null,
  short bigint not null check (short >= 0),
  since timestamptz,
  primary key (platform_id, currency),
  check ((short > 0) = (since is not null))
);
select marketbill_protect('float_short', 'select, insert, update');
select marketbill_expose('float_short', 'select (platform_id, since)');

create table bank_result (
  platform_id uuid not null,
  id uuid not null,
  kind text not null check (kind in ('PAIN_002', 'CAMT_053')),
  message_id text not null,
  sha256 bytea not null,
  outcome jsonb not null,
  imported_at timestamptz not null,
  imported_by text not null,
  primary key (platform_id, id),
  unique (platform_id, sha256)
);
select marketbill_protect('bank_result', 'select, insert')
"""


def upgrade() -> None:
    for statement in filter(str.strip, CHANGES.split(";\n")):
        op.execute(statement)
