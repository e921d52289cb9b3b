"""The journal: the only way to write money.

`post` takes any number of entries to the books in three statements: it locks the end of the platform's chain, reads the
accounts and keys the entries name, decides each entry (`decision`), and writes everything that stands. The chain's lock
is held to the end of the caller's transaction and orders all writers of a platform, so accounts need no locks of their
own and writers cannot deadlock among themselves: call `post` last in a transaction.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Row, text

from marketbill.db import WriteScope
from marketbill.ids import new_id
from marketbill.ledger.chain import GENESIS, block_hash, entry_line
from marketbill.ledger.chart import AccountRef
from marketbill.ledger.decision import Accepted, AccountKey, AccountState, Decision, Standing, decide
from marketbill.ledger.entry import (
    ENTRIES_MAX,
    AccountFull,
    EntryConflict,
    GuardBroken,
    JournalEntry,
    Outcome,
    Posting,
    Result,
    Source,
)
from marketbill.prepared import prepared

__all__ = [
    "AccountFull",
    "EntryConflict",
    "GuardBroken",
    "JournalEntry",
    "Outcome",
    "Posting",
    "Result",
    "Source",
    "post",
    "post_all",
]

_LOCK_HEAD = prepared(
    text("select entries, postings, blocks, hash from ledger_head where platform_id = :platform for no key update")
)
_OPEN_HEAD = text(
    "insert into ledger_head (platform_id, entries, postings, blocks, hash)"
    " values (:platform, 0, 0, 0, :genesis) on conflict (platform_id) do nothing"
)
# One round trip for both reads; the columns that the other half lacks are null. A lateral join with a limit is an index
# probe for each name whatever the planner believes: on tables that grew faster than their statistics it would rather
# walk through every row of the platform.
_READ = prepared(
    text(
        """
    select a.id, a.code, a.currency, a.kind, a.side, a.guard, a.debits, a.credits, a.latest_effective_at,
           cast(null as bytea) as body_hash
    from unnest(cast(:codes as text[]), cast(:currencies as text[])) as wanted (code, currency)
    cross join lateral (
      select * from ledger_account a
      where a.platform_id = :platform and a.code = wanted.code and a.currency = wanted.currency
      limit 1
    ) as a
    union all
    select e.id, e.key, null, null, null, null, null, null, null, e.body_hash
    from unnest(cast(:keys as text[])) as wanted (key)
    cross join lateral (
      select * from journal_entry e where e.platform_id = :platform and e.key = wanted.key limit 1
    ) as e
    """
    )
)
# Every account goes through its primary key (`on conflict`), opened or not, for the same reason.
_WRITE = prepared(
    text(
        """
    with moved as (
      insert into ledger_account (platform_id, id, code, currency, kind, side, seller_id, guard, debits, credits,
                                  latest_effective_at, opened_at)
      select :platform, a.*, :now
      from unnest(cast(:account_ids as uuid[]), cast(:codes as text[]), cast(:currencies as text[]),
                  cast(:kinds as text[]), cast(:sides as text[]), cast(:sellers as uuid[]), cast(:guards as text[]),
                  cast(:debits as bigint[]), cast(:credits as bigint[]), cast(:latest as timestamptz[])) as a
      on conflict (platform_id, id) do update
      set debits = excluded.debits, credits = excluded.credits, latest_effective_at = excluded.latest_effective_at
    ), written as (
      insert into journal_entry (platform_id, id, number, key, body_hash, kind, source_type, source_id, description,
                                 reason, effective_at, recorded_at, block)
      select :platform, e.id, e.number, e.key, e.body_hash, e.kind, e.source_type, e.source_id, e.description,
             cast(e.reason as jsonb), e.effective_at, :now, :block
      from unnest(cast(:entry_ids as uuid[]), cast(:entry_numbers as bigint[]), cast(:entry_keys as text[]),
                  cast(:entry_hashes as bytea[]), cast(:entry_kinds as text[]), cast(:source_types as text[]),
                  cast(:source_ids as uuid[]), cast(:descriptions as text[]), cast(:reasons as text[]),
                  cast(:effective_ats as timestamptz[]))
           as e (id, number, key, body_hash, kind, source_type, source_id, description, reason, effective_at)
    ), moves as (
      insert into posting (platform_id, id, number, entry_id, ordinal, debit_account_id, credit_account_id, amount,
                           currency, effective_at, debit_balance_after, credit_balance_after, debit_late, credit_late)
      select :platform, p.*
      from unnest(cast(:posting_ids as uuid[]), cast(:posting_numbers as bigint[]), cast(:posting_entries as uuid[]),
                  cast(:ordinals as integer[]), cast(:debit_ids as uuid[]), cast(:credit_ids as uuid[]),
                  cast(:amounts as bigint[]), cast(:posting_currencies as text[]),
                  cast(:posting_effective_ats as timestamptz[]), cast(:debit_balances as bigint[]),
                  cast(:credit_balances as bigint[]), cast(:debit_lates as boolean[]),
                  cast(:credit_lates as boolean[])) as p
    ), sealed as (
      insert into ledger_block (platform_id, number, first_entry, last_entry, hash, recorded_at)
      values (:platform, :block, :first_entry, :last_entry, :hash, :now)
    )
    update ledger_head set entries = :last_entry, postings = :last_posting, blocks = :block, hash = :hash
    where platform_id = :platform
    """
    )
)


async def post(scope: WriteScope, entries: Sequence[JournalEntry]) -> list[Result]:
    """Books the entries, in order, and answers each: POSTED, REPLAYED, REFUSED or CONFLICT.

    A refused entry leaves no trace and costs its neighbours nothing. Accounts are opened when first needed.
    """
    if not entries:
        return []
    head, decision = await _decide(scope, entries)
    await _write(scope, head, decision)
    return decision.results


async def post_all(scope: WriteScope, entries: Sequence[JournalEntry]) -> None:
    """Books all of the entries (new or already standing) or none: raises the first `GuardBroken`, `EntryConflict` or
    `AccountFull` before anything is written."""
    if not entries:
        return
    head, decision = await _decide(scope, entries)
    if decision.refusal is not None:
        raise decision.refusal
    await _write(scope, head, decision)


async def _decide(scope: WriteScope, entries: Sequence[JournalEntry]) -> tuple[Row[Any], Decision]:
    if len(entries) > ENTRIES_MAX:
        raise ValueError(f"post takes at most {ENTRIES_MAX} entries at once, not {len(entries)}")
    refs: dict[AccountKey, AccountRef] = {}
    for entry in entries:
        for posting in entry.postings:
            for ref in (posting.debit, posting.credit):
                if refs.setdefault((ref.code, ref.currency), ref) != ref:
                    raise ValueError(f"account {ref.code} {ref.currency} is described in two ways")
    head = await _lock_head(scope)
    accounts, standing = await _read(scope, refs, [entry.key for entry in entries])
    return head, decide(entries, accounts=accounts, standing=standing)


async def _lock_head(scope: WriteScope) -> Row[Any]:
    while (head := await scope.first(_LOCK_HEAD, {"platform": scope.platform})) is None:
        await scope.run(_OPEN_HEAD, {"platform": scope.platform, "genesis": GENESIS})
    return head


async def _read(
    scope: WriteScope, refs: dict[AccountKey, AccountRef], keys: list[str]
) -> tuple[dict[AccountKey, AccountState], dict[str, Standing]]:
    accounts: dict[AccountKey, AccountState] = {}
    standing: dict[str, Standing] = {}
    values = {
        "platform": scope.platform,
        "codes": [code for code, _ in refs],
        "currencies": [currency for _, currency in refs],
        "keys": keys,
    }
    for row in await scope.rows(_READ, values):
        if row.body_hash is not None:
            standing[row.code] = Standing(row.id, row.body_hash)
            continue
        ref = refs[row.code, row.currency]
        if (row.kind, row.side, row.guard) != (ref.kind, ref.side, ref.guard):
            raise ValueError(f"account {ref.code} {ref.currency} was opened as {row.kind} {row.side} {row.guard}")
        accounts[row.code, row.currency] = AccountState(
            id=row.id,
            ref=ref,
            debits=row.debits,
            credits=row.credits,
            latest_effective_at=row.latest_effective_at,
        )
    for key, ref in refs.items():
        if key not in accounts:
            accounts[key] = AccountState(id=new_id(), ref=ref)
    return accounts, standing


async def _write(scope: WriteScope, head: Row[Any], decision: Decision) -> None:
    if not decision.accepted:
        return
    touched = {a.id: a for accepted in decision.accepted for row in accepted.postings for a in (row.debit, row.credit)}
    accounts = list(touched.values())
    entries = [(head.entries + place, accepted) for place, accepted in enumerate(decision.accepted, start=1)]
    postings = [(accepted, row) for accepted in decision.accepted for row in accepted.postings]
    lines = [_line(scope, number, accepted) for number, accepted in entries]
    values: dict[str, Any] = {
        "platform": scope.platform,
        "now": scope.now,
        "block": head.blocks + 1,
        "first_entry": head.entries + 1,
        "last_entry": head.entries + len(entries),
        "last_posting": head.postings + len(postings),
        "hash": block_hash(head.hash, lines),
        "account_ids": [a.id for a in accounts],
        "codes": [a.ref.code for a in accounts],
        "currencies": [a.ref.currency for a in accounts],
        "kinds": [a.ref.kind for a in accounts],
        "sides": [a.ref.side for a in accounts],
        "sellers": [a.ref.seller for a in accounts],
        "guards": [a.ref.guard for a in accounts],
        "debits": [a.debits for a in accounts],
        "credits": [a.credits for a in accounts],
        "latest": [a.latest_effective_at for a in accounts],
        "entry_ids": [a.id for _, a in entries],
        "entry_numbers": [number for number, _ in entries],
        "entry_keys": [a.entry.key for _, a in entries],
        "entry_hashes": [a.body_hash for _, a in entries],
        "entry_kinds": [a.entry.kind for _, a in entries],
        "source_types": [a.entry.source.type for _, a in entries],
        "source_ids": [a.entry.source.id for _, a in entries],
        "descriptions": [a.entry.description for _, a in entries],
        "reasons": [orjson.dumps(a.entry.reason).decode() for _, a in entries],
        "effective_ats": [a.entry.effective_at for _, a in entries],
        "posting_ids": [row.id for _, row in postings],
        "posting_numbers": [head.postings + place for place in range(1, len(postings) + 1)],
        "posting_entries": [a.id for a, _ in postings],
        "ordinals": [row.ordinal for _, row in postings],
        "debit_ids": [row.debit.id for _, row in postings],
        "credit_ids": [row.credit.id for _, row in postings],
        "amounts": [row.amount for _, row in postings],
        "posting_currencies": [row.debit.ref.currency for _, row in postings],
        "posting_effective_ats": [a.entry.effective_at for a, _ in postings],
        "debit_balances": [row.debit_balance_after for _, row in postings],
        "credit_balances": [row.credit_balance_after for _, row in postings],
        "debit_lates": [row.debit_late for _, row in postings],
        "credit_lates": [row.credit_late for _, row in postings],
    }
    await scope.run(_WRITE, values)


def _line(scope: WriteScope, number: int, accepted: Accepted) -> bytes:
    entry = accepted.entry
    return entry_line(
        number=number,
        id=accepted.id,
        key=entry.key,
        kind=entry.kind,
        source_type=entry.source.type,
        source_id=entry.source.id,
        description=entry.description,
        reason=entry.reason,
        effective_at=entry.effective_at,
        recorded_at=scope.now,
        postings=[
            (str(row.id), row.debit.ref.code, row.credit.ref.code, row.amount, row.debit.ref.currency)
            for row in accepted.postings
        ],
    )
