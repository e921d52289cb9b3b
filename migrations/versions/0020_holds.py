"""Rules of release, holds by reason, reserves."""

from alembic import op

revision = "0020"
down_revision = "0019"

# `released` is what a share's release booked, `held_at` since when a hold keeps what would be released otherwise. That
# a payment was planned as transfers is said by its shares.
SHARES = """
alter table payment_share add column released bigint;
alter table payment_share add column held_at timestamptz;
alter table payment_share add column release_rule_id uuid;
alter table payment_share no force row level security;
update payment_share set released = coalesce(settled_net, seller_net) where released_at is not null;
alter table payment_share force row level security;
grant update (released, held_at) on payment_share to marketbill_app;
-- squawk-ignore require-concurrent-index-deletion
drop index payment_awaiting_transfer_idx;
-- squawk-ignore ban-drop-column
alter table payment drop column transfers_planned_at;
-- squawk-ignore require-concurrent-index-creation
create index payment_share_awaiting_transfer_idx on payment_share (platform_id, released_at)
  where released_at is not null and transfers_planned_at is null;
-- squawk-ignore require-concurrent-index-creation
create index payment_share_unreleased_idx on payment_share (platform_id, seller_id, payment_id)
  where released_at is null;
-- squawk-ignore require-concurrent-index-creation
create index payment_share_held_idx on payment_share (platform_id, seller_id)
  where held_at is not null and released_at is null;
select marketbill_expose('payment_share', 'select (platform_id, payment_id, seller_id, release_on, released_at, held_at,
  transfers_planned_at)');
alter table payment_share add column held_days_max integer not null default 90;
alter table payment add column release_by timestamptz;
alter table payment no force row level security;
update payment set release_by = succeeded_at + interval '90 days' where succeeded_at is not null;
alter table payment force row level security;
-- squawk-ignore require-concurrent-index-creation
create index payment_release_by_idx on payment (platform_id, release_by)
  where available_at is not null and released_at is null;
-- squawk-ignore require-concurrent-index-creation
create index payment_created_at_idx on payment using brin (created_at);
grant select (id, release_by) on payment to marketbill_system;
"""

HOLDS = """
create table seller_hold (
  platform_id uuid not null,
  id uuid not null,
  seller_id uuid not null,
  payment_id uuid,
  scope text not null check (scope in ('RELEASE', 'PAYOUT')),
  kind text not null check (kind in ('RISK', 'DISPUTE', 'APPROVAL', 'MANUAL')),
  reason text not null check (length(reason) between 1 and 1000),
  facts jsonb not null default '{}',
  source_type text,
  source_id uuid,
  placed_by text not null,
  placed_at timestamptz not null,
  until timestamptz,
  lifted_at timestamptz,
  lifted_by text,
  lift_reason text,
  resumed_at timestamptz,
  primary key (platform_id, id),
  foreign key (platform_id, seller_id) references seller,
  foreign key (platform_id, payment_id) references payment,
  check ((source_type is null) = (source_id is null)),
  check ((lifted_at is null) = (lifted_by is null)),
  check (until > placed_at)
);
create unique index seller_hold_source_idx on seller_hold (platform_id, source_type, source_id, seller_id, kind, scope)
  where lifted_at is null;
create index seller_hold_open_idx on seller_hold (platform_id, seller_id) where lifted_at is null;
create index seller_hold_until_idx on seller_hold (platform_id, until) where lifted_at is null and until is not null;
create index seller_hold_unresumed_idx on seller_hold (platform_id, lifted_at)
  where lifted_at is not null and resumed_at is null;
create index seller_hold_seller_idx on seller_hold (platform_id, seller_id, id);
select marketbill_protect('seller_hold', 'select, insert');
grant update (lifted_at, lifted_by, lift_reason, resumed_at) on seller_hold to marketbill_app;
select marketbill_expose('seller_hold', 'select (platform_id, id, seller_id, scope, kind, placed_at, until, lifted_at,
  resumed_at)');
"""

RULES = """
create table release_rule (
  platform_id uuid not null references platform,
  id uuid not null,
  version integer not null check (version > 0),
  document jsonb not null,
  published_at timestamptz not null,
  published_by text not null,
  primary key (platform_id, id),
  unique (platform_id, version)
);
select marketbill_protect('release_rule', 'select, insert');
select marketbill_expose('release_rule', 'select (platform_id)');

create table reserve (
  platform_id uuid not null,
  id uuid not null,
  payment_id uuid not null,
  seller_id uuid not null,
  currency varchar(3) not null,
  amount bigint not null check (amount > 0),
  percent numeric(7, 4) not null check (percent > 0 and percent <= 100),
  release_rule_id uuid not null,
  release_on timestamptz not null,
  created_at timestamptz not null,
  released_at timestamptz,
  primary key (platform_id, id),
  unique (platform_id, payment_id, seller_id),
  foreign key (platform_id, payment_id, seller_id) references payment_share,
  foreign key (platform_id, release_rule_id) references release_rule
);
create index reserve_due_idx on reserve (platform_id, release_on) where released_at is null;
create index reserve_kept_idx on reserve (platform_id, seller_id, currency) where released_at is null;
create index reserve_seller_idx on reserve (platform_id, seller_id, id);
select marketbill_protect('reserve', 'select, insert');
grant update (released_at) on reserve to marketbill_app;
create index clawback_open_idx on clawback (platform_id, seller_id) where booked_at is null;
select marketbill_expose('reserve', 'select (platform_id, release_on, released_at)');
"""


def upgrade() -> None:
    for statement in filter(str.strip, (SHARES + HOLDS + RULES).split(";\n")):
        op.execute(statement)
