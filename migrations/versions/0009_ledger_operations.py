"""What operators do to the books: changes of accounts' terms, corrections, and from which amount two people decide."""

from alembic import op

revision = "0009"
down_revision = "0008"

# None of these is on the hot path: they have their checks. They have no references to the books, because a foreign key
# is a trigger on the table that it points at, too. What was done is only inserted; a correction changes until decided.
TABLES = """
create table ledger_account_change (
  platform_id uuid not null,
  id uuid not null,
  account_id uuid not null,
  term text not null check (term in ('STATE', 'GUARD', 'CEILING')),
  was text,
  became text,
  reason text not null check (length(reason) between 1 and 500),
  changed_by text not null check (length(changed_by) between 1 and 200),
  changed_at timestamptz not null,
  primary key (platform_id, id)
);
create index ledger_account_change_account_id_idx on ledger_account_change (platform_id, account_id, id);
select marketbill_protect('ledger_account_change', 'select, insert');

create table ledger_correction_limit (
  platform_id uuid not null,
  id uuid not null,
  currency varchar(3) not null check (length(currency) = 3),
  amount bigint not null check (amount >= 0),
  reason text not null check (length(reason) between 1 and 500),
  set_by text not null check (length(set_by) between 1 and 200),
  set_at timestamptz not null,
  primary key (platform_id, currency, id)
);
select marketbill_protect('ledger_correction_limit', 'select, insert');

create table ledger_correction (
  platform_id uuid not null,
  id uuid not null,
  entry_id uuid not null,
  status text not null check (status in ('PENDING', 'POSTED', 'REJECTED', 'EXPIRED')),
  amounts jsonb not null,
  effective_at timestamptz not null,
  replacement jsonb,
  reason text not null check (length(reason) between 1 and 500),
  requested_by text not null check (length(requested_by) between 1 and 200),
  requested_at timestamptz not null,
  needs_approval boolean not null,
  expires_at timestamptz not null,
  decided_by text check (length(decided_by) between 1 and 200),
  decided_at timestamptz,
  decision_reason text check (length(decision_reason) between 1 and 500),
  reversal_id uuid,
  replacement_id uuid,
  primary key (platform_id, id),
  constraint ledger_correction_second_person_check
    check (status <> 'POSTED' or not needs_approval or decided_by <> requested_by),
  constraint ledger_correction_posted_check check ((status = 'POSTED') = (reversal_id is not null)),
  constraint ledger_correction_decided_check check ((decided_by is null) = (decided_at is null))
);
create index ledger_correction_entry_id_idx on ledger_correction (platform_id, entry_id);
create unique index ledger_correction_pending_key on ledger_correction (platform_id, entry_id)
  where status = 'PENDING';
create index ledger_correction_pending_idx on ledger_correction (requested_at) where status = 'PENDING';
select marketbill_protect('ledger_correction', 'select, insert, update');
select marketbill_expose('ledger_correction', 'select (platform_id, id, status, requested_at, expires_at)');
"""


def upgrade() -> None:
    for statement in filter(str.strip, TABLES.split(";\n")):
        op.execute(statement)
