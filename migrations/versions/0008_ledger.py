"""The books made lean: a seal on every entry, holds, guards of more kinds, closed periods; postings without an id.

Books that were written in the tables of 0002 are not carried over, and not dropped silently either: the
migration refuses, and the version that wrote them still reads them.
"""

from alembic import op

revision = "0008"
down_revision = "0007"

REFUSE = """
do $$ begin
  if exists (select from journal_entry) then
    raise exception using message = 'these books were written by version 0.1.0, in a form that is not carried over:'
      ' export what you need with the version that wrote them, then start with a new database';
  end if;
end $$
"""

# Checks are few and short: PostgreSQL reads the text of each anew for every statement, which small batches feel. What
# others would have said (lengths, lists of words, phases) is said in code, where the words are made, and proven.
# No foreign keys between these tables: on the hot path they halve the write rate, and the proof shows what they would
# (no posting without its entry and accounts, one currency on both sides). Space is left on account and head pages, so
# that a balance moves within its page, no index is touched, and old versions are cleared away before a chain of them
# grows long. The indexes of postings begin with an account, whose id is unique in itself: sixteen bytes less in each of
# the two widest.
TABLES = """
-- squawk-ignore ban-drop-table
drop table posting, journal_entry, ledger_block, ledger_head, ledger_account;
create table ledger_account (
  platform_id uuid not null,
  id uuid not null,
  code text collate "C" not null,
  currency varchar(3) not null,
  kind text not null,
  side text not null,
  owner_type text,
  owner_id uuid,
  guard text not null,
  ceiling bigint,
  state text not null,
  debits bigint not null,
  credits bigint not null,
  pending_debits bigint not null,
  pending_credits bigint not null,
  latest_effective_at timestamptz,
  opened_at timestamptz not null,
  terms_hash bytea not null,
  primary key (platform_id, id),
  unique (platform_id, code, currency),
  constraint ledger_account_guard_holds_check check (
    case side when 'DEBIT'
      then (guard = 'NONE' or debits - credits >= pending_credits)
           and (ceiling is null or debits - credits + pending_debits <= ceiling)
      else (guard = 'NONE' or credits - debits >= pending_debits)
           and (ceiling is null or credits - debits + pending_credits <= ceiling) end)
) with (fillfactor = 33, autovacuum_vacuum_scale_factor = 0.1);
create index ledger_account_platform_id_owner_id_idx on ledger_account (platform_id, owner_id)
  where owner_id is not null;
select marketbill_protect('ledger_account', 'select, insert, update');

create table ledger_head (
  platform_id uuid primary key,
  entries bigint not null,
  postings bigint not null,
  hash bytea not null,
  recorded_at timestamptz not null,
  closed_until timestamptz,
  revision bigint not null
) with (fillfactor = 10);
select marketbill_protect('ledger_head', 'select, insert, update');

create table journal_entry (
  platform_id uuid not null,
  id uuid not null,
  number bigint not null,
  key text not null,
  body_hash bytea not null,
  kind text not null,
  source_type text not null,
  source_id uuid not null,
  description text not null,
  reason jsonb not null,
  effective_at timestamptz not null,
  occurred_at timestamptz,
  recorded_at timestamptz not null,
  phase text not null,
  expires_at timestamptz,
  resolves uuid,
  reverses uuid,
  first_posting bigint not null,
  posting_count integer not null,
  hash bytea not null,
  primary key (platform_id, id),
  unique (platform_id, number)
);
create index journal_entry_source_id_platform_id_number_idx on journal_entry (source_id, platform_id, number);
alter table journal_entry add constraint journal_entry_platform_id_key_key unique (platform_id, key);
create unique index journal_entry_resolves_key on journal_entry (platform_id, resolves) where resolves is not null;
create unique index journal_entry_reverses_key on journal_entry (platform_id, reverses) where reverses is not null;
select marketbill_protect('journal_entry', 'select, insert');

create table posting (
  platform_id uuid not null,
  number bigint not null,
  entry_number bigint not null,
  debit_account_id uuid not null,
  credit_account_id uuid not null,
  amount bigint not null,
  effective_at timestamptz not null,
  debit_balance_after bigint not null,
  credit_balance_after bigint not null,
  currency varchar(3) not null,
  -- squawk-ignore prefer-bigint-over-smallint
  debit_lag smallint not null,
  -- squawk-ignore prefer-bigint-over-smallint
  credit_lag smallint not null,
  held boolean not null,
  primary key (platform_id, number),
  constraint posting_moves_check check (amount > 0 and debit_account_id <> credit_account_id)
);
create index posting_debit_account_id_effective_at_number_idx on posting (debit_account_id, effective_at, number);
create index posting_credit_account_id_effective_at_number_idx on posting (credit_account_id, effective_at, number);
create index posting_debit_lag_idx on posting (debit_account_id, debit_lag, effective_at) where debit_lag <> 0;
create index posting_credit_lag_idx on posting (credit_account_id, credit_lag, effective_at) where credit_lag <> 0;
select marketbill_protect('posting', 'select, insert');

create table ledger_hold (
  platform_id uuid not null,
  entry_id uuid not null,
  expires_at timestamptz,
  primary key (platform_id, entry_id)
);
create index ledger_hold_expires_at_idx on ledger_hold (platform_id, expires_at) where expires_at is not null;
select marketbill_protect('ledger_hold', 'select, insert, delete');
select marketbill_expose('ledger_hold', 'select');

create table ledger_period (
  platform_id uuid not null,
  closed_until timestamptz not null,
  closed_at timestamptz not null,
  closed_by text not null check (length(closed_by) between 1 and 200),
  entries bigint not null,
  trial_hash bytea not null check (length(trial_hash) = 32),
  primary key (platform_id, closed_until)
);
select marketbill_protect('ledger_period', 'select, insert');
"""

# The two statements of the hot path, as functions: each names its tenant itself, so that the batches of many platforms
# go out in one pipelined round trip, and each inner statement sees what was committed before the head's lock was had.
# Tables that grew faster than their statistics would tempt the planner to walk them. So a name is looked up by a
# lateral join with a limit, which can only be an index probe, and an account moves by way of a conflict on its key,
# opened or not; the ways that depend on a guess at row counts are switched off.
READ = """
create function ledger_read(tenant uuid, codes text[], currencies text[], keys text[])
returns table (what text, place bigint, id uuid, kind text, side text, guard text, state text,
               a bigint, b bigint, c bigint, d bigint, ceiling bigint, at timestamptz, until timestamptz, hash bytea)
language plpgsql set plan_cache_mode to force_generic_plan set enable_seqscan to off set enable_bitmapscan to off
set enable_hashjoin to off set enable_mergejoin to off set enable_memoize to off as $$
begin
  perform set_config('app.platform_id', tenant::text, true);
  for round in 1..2 loop
    return query select 'head', 0::bigint, null::uuid, null, null, null, null, h.entries, h.postings, h.revision,
                        (select coalesce(sum(t.shift_seconds), 0)::bigint from test_clock t), null::bigint,
                        h.recorded_at, h.closed_until, h.hash
                 from ledger_head h where h.platform_id = tenant for no key update;
    exit when found;
    insert into ledger_head (platform_id, entries, postings, hash, recorded_at, revision)
    values (tenant, 0, 0, decode(repeat('00', 32), 'hex'), 'epoch', 0)
    on conflict (platform_id) do nothing;
  end loop;
  return query select 'account', w.place, x.id, x.kind, x.side, x.guard, x.state, x.debits, x.credits, x.pending_debits,
                      x.pending_credits, x.ceiling, x.latest_effective_at, null::timestamptz, null::bytea
               from unnest(codes, currencies) with ordinality as w (code, currency, place)
               cross join lateral (
                 select * from ledger_account y
                 where y.platform_id = tenant and y.code = w.code and y.currency = w.currency limit 1
               ) as x;
  return query select 'entry', w.place, e.id, null, null, null, null, null::bigint, null::bigint, null::bigint,
                      null::bigint, null::bigint, null::timestamptz, null::timestamptz, e.body_hash
               from unnest(keys) with ordinality as w (key, place)
               cross join lateral (
                 select y.id, y.body_hash from journal_entry y
                 where y.platform_id = tenant and y.key = w.key limit 1
               ) as e;
end $$
"""
# A row of each is one value of these types, not one array a column: both ends handle a small batch in half the time.
ROWS = """
create type ledger_account_row as (
  id uuid, code text, currency text, kind text, side text, owner_type text, owner_id uuid, guard text, ceiling bigint,
  debits bigint, credits bigint, pending_debits bigint, pending_credits bigint, latest_effective_at timestamptz,
  terms_hash bytea
);
create type ledger_entry_row as (
  id uuid, key text, body_hash bytea, kind text, source_type text, source_id uuid, description text, reason text,
  effective_at timestamptz, occurred_at timestamptz, phase text, expires_at timestamptz, resolves uuid, reverses uuid,
  first_posting bigint, posting_count integer, hash bytea
);
create type ledger_posting_row as (
  entry_number bigint, effective_at timestamptz, debit_id uuid, credit_id uuid, amount bigint, debit_balance bigint,
  credit_balance bigint, currency text, debit_lag smallint, credit_lag smallint, held boolean
);
"""
WRITE = """
create function ledger_write(
  tenant uuid, at timestamptz, entries_before bigint, postings_before bigint, hash_before bytea, revision_before bigint,
  new_keys text[], account_rows ledger_account_row[], entry_rows ledger_entry_row[],
  posting_rows ledger_posting_row[], last_hash bytea)
returns boolean
language plpgsql set plan_cache_mode to force_generic_plan set enable_seqscan to off set enable_bitmapscan to off
set enable_hashjoin to off set enable_mergejoin to off set enable_memoize to off as $$
#variable_conflict use_column
begin
  perform set_config('app.platform_id', tenant::text, true);
  update ledger_head
  set entries = entries_before + cardinality(entry_rows), postings = postings_before + cardinality(posting_rows),
      hash = last_hash, recorded_at = at
  where platform_id = tenant and entries = entries_before and hash = hash_before and revision = revision_before
    and not exists (
      select from unnest(new_keys) as w (key)
      cross join lateral (select from journal_entry y where y.platform_id = tenant and y.key = w.key limit 1) as e);
  if not found then
    return false;
  end if;
  insert into ledger_account (platform_id, opened_at, state, id, code, currency, kind, side, owner_type, owner_id,
                              guard, ceiling, debits, credits, pending_debits, pending_credits, latest_effective_at,
                              terms_hash)
  select tenant, at, 'OPEN', a.*
  from unnest(account_rows) as a
  on conflict (platform_id, id) do update
  set debits = excluded.debits, credits = excluded.credits, pending_debits = excluded.pending_debits,
      pending_credits = excluded.pending_credits, latest_effective_at = excluded.latest_effective_at;
  insert into journal_entry (platform_id, recorded_at, number, id, key, body_hash, kind, source_type, source_id,
                             description, reason, effective_at, occurred_at, phase, expires_at, resolves, reverses,
                             first_posting, posting_count, hash)
  select tenant, at, entries_before + e.place, e.id, e.key, e.body_hash, e.kind, e.source_type, e.source_id,
         e.description, e.reason::jsonb, e.effective_at, e.occurred_at, e.phase, e.expires_at, e.resolves, e.reverses,
         e.first_posting, e.posting_count, e.hash
  from unnest(entry_rows) with ordinality
       as e (id, key, body_hash, kind, source_type, source_id, description, reason, effective_at, occurred_at, phase,
             expires_at, resolves, reverses, first_posting, posting_count, hash, place);
  insert into posting (platform_id, number, entry_number, effective_at, debit_account_id, credit_account_id, amount,
                       debit_balance_after, credit_balance_after, currency, debit_lag, credit_lag, held)
  select tenant, postings_before + p.place, p.entry_number, p.effective_at, p.debit_id, p.credit_id, p.amount,
         p.debit_balance, p.credit_balance, p.currency, p.debit_lag, p.credit_lag, p.held
  from unnest(posting_rows) with ordinality
       as p (entry_number, effective_at, debit_id, credit_id, amount, debit_balance, credit_balance, currency,
             debit_lag, credit_lag, held, place);
  return true;
end $$
"""


def upgrade() -> None:
    op.execute(REFUSE)
    for statement in filter(str.strip, TABLES.split(";\n")):
        op.execute(statement)
    op.execute(READ)
    for statement in filter(str.strip, ROWS.split(";\n")):
        op.execute(statement)
    op.execute(WRITE)
