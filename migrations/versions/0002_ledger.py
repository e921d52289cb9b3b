"""The books: accounts, journal entries, postings, and the hash chain that seals them."""

from alembic import op

revision = "0002"
down_revision = "0001"

# No foreign keys between these tables: on the hot path they halve the write rate, and the proof shows what they would
# (no posting without its entry and accounts, one currency on both sides). Space is left on account pages, so that a
# balance moves within its page and no index is touched. A table too young to have statistics makes several indexes look
# alike to the planner, so the entries' keys, which every post looks up, have the youngest index, and the one of the
# sources does not begin with the platform.
TABLES = """
create table ledger_account (
  platform_id uuid not null,
  id uuid not null,
  code text not null check (length(code) between 1 and 200),
  currency varchar(3) not null check (length(currency) = 3),
  kind text not null check (kind in ('ASSET', 'LIABILITY', 'REVENUE', 'EXPENSE', 'EQUITY', 'CUSTODY')),
  side text not null check (side in ('DEBIT', 'CREDIT')),
  seller_id uuid,
  guard text not null check (guard in ('NONE', 'NOT_NEGATIVE')),
  debits bigint not null check (debits >= 0),
  credits bigint not null check (credits >= 0),
  latest_effective_at timestamptz not null,
  opened_at timestamptz not null,
  primary key (platform_id, id),
  unique (platform_id, code, currency),
  constraint ledger_account_guard_holds_check check (
    guard = 'NONE' or case side when 'DEBIT' then debits >= credits else credits >= debits end)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1);
create index ledger_account_platform_id_seller_id_idx on ledger_account (platform_id, seller_id)
  where seller_id is not null;
select marketbill_protect('ledger_account', 'select, insert, update');

create table ledger_head (
  platform_id uuid primary key,
  entries bigint not null check (entries >= 0),
  postings bigint not null check (postings >= 0),
  blocks bigint not null check (blocks >= 0),
  hash bytea not null check (length(hash) = 32)
) with (fillfactor = 50);
select marketbill_protect('ledger_head', 'select, insert, update');

create table ledger_block (
  platform_id uuid not null,
  number bigint not null check (number > 0),
  first_entry bigint not null,
  last_entry bigint not null check (last_entry >= first_entry),
  hash bytea not null check (length(hash) = 32),
  recorded_at timestamptz not null,
  primary key (platform_id, number)
);
select marketbill_protect('ledger_block', 'select, insert');

create table journal_entry (
  platform_id uuid not null,
  id uuid not null,
  number bigint not null check (number > 0),
  key text not null check (length(key) between 1 and 255),
  body_hash bytea not null,
  kind text not null check (length(kind) between 1 and 50),
  source_type text not null check (length(source_type) between 1 and 50),
  source_id uuid not null,
  description text not null,
  reason jsonb not null,
  effective_at timestamptz not null,
  recorded_at timestamptz not null,
  block bigint not null,
  primary key (platform_id, id),
  unique (platform_id, number)
);
create index journal_entry_source_id_platform_id_number_idx on journal_entry (source_id, platform_id, number);
alter table journal_entry add constraint journal_entry_platform_id_key_key unique (platform_id, key);
select marketbill_protect('journal_entry', 'select, insert');

create table posting (
  platform_id uuid not null,
  id uuid not null,
  number bigint not null check (number > 0),
  entry_id uuid not null,
  ordinal integer not null check (ordinal > 0),
  debit_account_id uuid not null,
  credit_account_id uuid not null,
  amount bigint not null check (amount > 0),
  currency varchar(3) not null,
  effective_at timestamptz not null,
  debit_balance_after bigint not null,
  credit_balance_after bigint not null,
  debit_late boolean not null,
  credit_late boolean not null,
  primary key (platform_id, id),
  unique (platform_id, entry_id, ordinal),
  constraint posting_two_accounts_check check (debit_account_id <> credit_account_id)
);
create index posting_platform_id_debit_account_id_effective_at_number_idx
  on posting (platform_id, debit_account_id, effective_at, number);
create index posting_platform_id_credit_account_id_effective_at_number_idx
  on posting (platform_id, credit_account_id, effective_at, number);
create index posting_debit_late_idx on posting (platform_id, debit_account_id, number) where debit_late;
create index posting_credit_late_idx on posting (platform_id, credit_account_id, number) where credit_late;
select marketbill_protect('posting', 'select, insert');
"""


def upgrade() -> None:
    for statement in filter(str.strip, TABLES.split(";\n")):
        op.execute(statement)
