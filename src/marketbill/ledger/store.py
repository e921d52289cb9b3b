"""The journal's statements: what a batch reads of the books under their lock, and writes of its decision.

`ledger_read` and `ledger_write` are functions in the database (migration 0008): each takes the platform first and names
it for row-level security itself, so that the batches of several platforms go out in one round trip, while every
statement inside them touches one platform only. Calls take the driver's `fetch`, inside a transaction that the caller
has begun.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from marketbill.ids import PlatformId, new_id
from marketbill.ledger.books import AccountKey, Books, Leg, Named, OpenAccount, Standing
from marketbill.ledger.chain import terms_hash
from marketbill.ledger.chart import AccountRef, AccountState, Guard, named
from marketbill.ledger.decision import Decision
from marketbill.ledger.entry import JournalEntry, Phase


class Fetch(Protocol):
    """Runs a statement with its values and gives its rows, as the driver's connection does."""

    async def __call__(self, statement: str, /, *values: Any) -> Sequence[Any]: ...


READ = "select * from ledger_read($1, $2, $3, $4)"
WRITE = f"select ledger_write({', '.join(f'${place}' for place in range(1, 12))})"

_ENTER = "select set_config('app.platform_id', $1, true)"
_NAMED = """
select e.id, e.phase, e.expires_at, s.id is not null or r.id is not null as is_settled,
       p.debit_account_id, p.credit_account_id, p.amount
from unnest($2::uuid[]) as w (id)
cross join lateral (select * from journal_entry y where y.platform_id = $1 and y.id = w.id limit 1) as e
left join lateral (select y.id from journal_entry y where y.platform_id = $1 and y.resolves = e.id limit 1) as s on true
left join lateral (select y.id from journal_entry y where y.platform_id = $1 and y.reverses = e.id limit 1) as r on true
left join lateral generate_series(e.first_posting, e.first_posting + e.posting_count - 1) as n (number) on true
left join lateral (
  select * from posting y where y.platform_id = $1 and y.number = n.number limit 1
) as p on true
order by e.id, n.number
"""
_ACCOUNTS = """
select id, code, currency, kind, side, owner_type, owner_id, guard, ceiling, state, debits, credits, pending_debits,
       pending_credits, latest_effective_at
from ledger_account where platform_id = $1 and id = any($2::uuid[])
"""
_HOLD = """
insert into ledger_hold (platform_id, entry_id, expires_at)
select $1, h.* from unnest($2::uuid[], $3::timestamptz[]) as h
"""
_UNHOLD = "delete from ledger_hold where platform_id = $1 and entry_id = any($2::uuid[])"


def account_refs(entries: Iterable[JournalEntry]) -> dict[AccountKey, AccountRef]:
    """The accounts that entries name. Raises ValueError when one is described in two ways."""
    refs: dict[AccountKey, AccountRef] = {}
    for entry in entries:
        for posting in entry.postings:
            for ref in (posting.debit, posting.credit):
                known = refs.setdefault((ref.code, ref.currency), ref)
                if known is not ref and known != ref:
                    raise ValueError(f"account {ref.code} {ref.currency} is described in two ways")
    return refs


def read_values(platform: PlatformId, refs: Iterable[AccountKey], keys: Sequence[str]) -> tuple[Any, ...]:
    """The values of `READ`."""
    names = list(refs)
    return platform, [code for code, _ in names], [currency for _, currency in names], keys


def books_read(rows: Sequence[Any], refs: Mapping[AccountKey, AccountRef], keys: Sequence[str]) -> Books:
    """What `READ` gave. Raises ValueError when an account was opened as another kind than the chart's."""
    names = list(refs)
    head = rows[0]
    books = Books(
        entries=head["a"],
        postings=head["b"],
        revision=head["c"],
        hash=head["hash"],
        recorded_at=head["at"],
        closed_until=head["until"],
        accounts={},
    )
    for _, place, id, kind, side, guard, state, a, b, c, d, ceiling, at, _, hash in rows[1:]:
        if kind is None:
            books.standing[keys[int(place) - 1]] = Standing(id, hash)
            continue
        ref = refs[names[int(place) - 1]]
        if (kind, side) != (ref.kind, ref.side):
            raise ValueError(f"account {ref.code} {ref.currency} was opened as {kind} {side}")
        books.accounts[ref.code, ref.currency] = OpenAccount(
            id, ref, AccountState(state), Guard(guard), ceiling, a, b, c, d, at
        )
    for name, ref in refs.items():
        if name not in books.accounts:
            books.accounts[name] = OpenAccount(new_id(), ref, guard=ref.guard, ceiling=ref.ceiling, is_new=True)
    return books


async def read_named(fetch: Fetch, platform: PlatformId, entries: Iterable[JournalEntry], books: Books) -> None:
    """Adds the entries that others resolve or reverse, and the accounts that they moved."""
    ids = list(dict.fromkeys(id for entry in entries if (id := entry.resolves or entry.reverses) is not None))
    if not ids:
        return
    await fetch(_ENTER, str(platform))
    rows = await fetch(_NAMED, platform, ids)
    wanted = {row[side] for row in rows for side in ("debit_account_id", "credit_account_id") if row[side] is not None}
    known = {account.id: name for name, account in books.accounts.items()}
    for row in await fetch(_ACCOUNTS, platform, list(wanted - known.keys())):
        account = _account(row)
        name = (account.ref.code, account.ref.currency)
        books.accounts[name] = account
        known[account.id] = name
    named: dict[UUID, Named] = {}
    for row in rows:
        one = named.setdefault(
            row["id"], Named(row["id"], Phase(row["phase"]), row["expires_at"], row["is_settled"], ())
        )
        if row["amount"] is not None:
            one.legs += (Leg(known[row["debit_account_id"]], known[row["credit_account_id"]], row["amount"]),)
    books.named = named


def _account(row: Any) -> OpenAccount:
    ref = named(row["code"], row["currency"])
    if (row["kind"], row["side"]) != (ref.kind, ref.side):
        raise ValueError(f"account {ref.code} {ref.currency} was opened as {row['kind']} {row['side']}")
    return OpenAccount(
        row["id"],
        ref,
        AccountState(row["state"]),
        Guard(row["guard"]),
        row["ceiling"],
        row["debits"],
        row["credits"],
        row["pending_debits"],
        row["pending_credits"],
        row["latest_effective_at"],
    )


def write_values(platform: PlatformId, decision: Decision, *, from_memory: bool) -> list[Any]:
    """The values of `WRITE`. From memory, the database looks whether a key is taken; under the lock that is known.

    The accounts count as opened from now on: when the write fails, they must be forgotten.
    """
    moved = sorted(decision.moved, key=_id)
    values = [
        platform,
        decision.recorded_at,
        decision.entries_before,
        decision.postings_before,
        decision.hash_before,
        decision.revision,
        [row.key for row in decision.entries] if from_memory else None,
        [_moved(platform, account, decision.recorded_at) for account in moved],
        decision.entries,
        decision.postings,
        decision.entries[-1].hash,
    ]
    for account in moved:
        account.is_new = False
    return values


async def write_holds(fetch: Fetch, platform: PlatformId, decision: Decision) -> None:
    """Keeps the table of open holds in step; a platform whose batch has none costs nothing."""
    made = [(row.id, row.expires_at) for row in decision.entries if row.phase == Phase.HELD]
    resolved = [row.resolves for row in decision.entries if row.resolves is not None]
    if not made and not resolved:
        return
    await fetch(_ENTER, str(platform))
    if made:
        await fetch(_HOLD, platform, *zip(*made, strict=True))
    if resolved:
        await fetch(_UNHOLD, platform, resolved)


def _id(account: OpenAccount) -> UUID:
    return account.id


def _moved(platform: PlatformId, account: OpenAccount, at: datetime) -> tuple[Any, ...]:
    ref, owner = account.ref, account.ref.owner
    owner_type, owner_id = (owner.type, owner.id) if owner else (None, None)
    sealed = b""  # of a row that is there already, only the totals are written
    if account.is_new:
        sealed = terms_hash(
            platform_id=platform,
            id=account.id,
            code=ref.code,
            currency=ref.currency,
            kind=ref.kind,
            side=ref.side,
            owner_type=owner_type,
            owner_id=owner_id,
            guard=account.guard,
            ceiling=account.ceiling,
            state=account.state,
            opened_at=at,
        )
    return (
        account.id,
        ref.code,
        ref.currency,
        ref.kind,
        ref.side,
        owner_type,
        owner_id,
        account.guard,
        account.ceiling,
        *account.totals(),
        sealed,
    )
