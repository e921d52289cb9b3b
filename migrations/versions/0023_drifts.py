"""What reconciliation found to differ."""

from alembic import op

revision = "0023"
down_revision = "0022"

CHANGES = """
create table drift (
  platform_id uuid not null references platform,
  id uuid not null,
  key text not null check (length(key) between 1 and 500),
  kind text not null check (kind in ('MISSING', 'DUPLICATE', 'ALTERED', 'LATE')),
  side text not null check (side in ('BOOKS', 'PROVIDER')),
  thing text not null
    check (thing in ('CHARGE', 'TRANSFER', 'REVERSAL', 'REFUND', 'DISPUTE', 'TOPUP', 'PAYOUT', 'OTHER')),
  about text not null,
  name text,
  provider_id text,
  account text,
  currency varchar(3) not null,
  expected bigint not null,
  found bigint not null,
  at timestamptz not null,
  opened_at timestamptz not null,
  seen_at timestamptz not null,
  closed_at timestamptz,
  accepted_by text check (length(accepted_by) between 1 and 200),
  accepted_at timestamptz,
  accept_reason text check (length(accept_reason) between 1 and 500),
  primary key (platform_id, id),
  check (num_nulls(accepted_by, accepted_at, accept_reason) in (0, 3))
);
create unique index drift_open_key on drift (platform_id, key) where closed_at is null;
create index drift_open_idx on drift (platform_id, opened_at) where closed_at is null and accepted_by is null;
create index drift_open_at_idx on drift (platform_id, at) where closed_at is null;
select marketbill_protect('drift', 'select, insert');
grant update (expected, found, seen_at, closed_at, accepted_by, accepted_at, accept_reason) on drift to marketbill_app;
select marketbill_expose('drift', 'select (platform_id, opened_at, closed_at, accepted_by)');

create table reconcile_cursor (
  platform_id uuid not null references platform,
  fresh_until timestamptz not null,
  again_until timestamptz not null,
  tried_at timestamptz not null,
  leased_until timestamptz,
  ran_at timestamptz,
  failing_since timestamptz,
  error text,
  primary key (platform_id),
  check ((failing_since is null) = (error is null))
);
select marketbill_protect('reconcile_cursor', 'select, insert, update');
select marketbill_expose('reconcile_cursor', 'select (platform_id, ran_at)');

-- squawk-ignore require-concurrent-index-creation
create index payout_created_idx on payout (platform_id, created_at)
"""


def upgrade() -> None:
    for statement in filter(str.strip, CHANGES.split(";\n")):
        op.execute(statement)
