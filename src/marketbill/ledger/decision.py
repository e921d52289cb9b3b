"""Decides a batch of entries, in order, over the accounts as they stand. Pure: no database, no clock.

Each entry is judged by itself: one that would break a guard, or whose key stands for another body, is refused, and its
neighbours neither wait nor fail for it. Guards are judged on what an account holds after the whole entry.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from marketbill.ids import new_id
from marketbill.ledger.chain import body_hash
from marketbill.ledger.chart import AccountRef, Guard, Side
from marketbill.ledger.entry import AccountFull, EntryConflict, GuardBroken, JournalEntry, Outcome, Result

_TURNOVER_MAX = 2**63 - 1

AccountKey = tuple[str, str]
"""Code and currency."""


@dataclass(slots=True)
class AccountState:
    """An account under the batch's lock: its totals as they stand after the entries decided so far."""

    id: UUID
    ref: AccountRef
    debits: int = 0
    credits: int = 0
    latest_effective_at: datetime | None = None

    @property
    def net(self) -> int:
        """Debits minus credits."""
        return self.debits - self.credits


class Standing(NamedTuple):
    """An entry that the journal holds already."""

    id: UUID
    body_hash: bytes


class PostingRow(NamedTuple):
    """A posting with both running balances (net debits), as it goes into its table."""

    id: UUID
    ordinal: int
    debit: AccountState
    credit: AccountState
    amount: int
    debit_balance_after: int
    credit_balance_after: int
    debit_late: bool
    credit_late: bool


@dataclass(frozen=True, slots=True)
class Accepted:
    """An entry that will be written, with its new id and its rows."""

    id: UUID
    entry: JournalEntry
    body_hash: bytes
    postings: tuple[PostingRow, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """A result for each entry in the order asked, and the entries to write."""

    results: list[Result] = field(default_factory=list)
    accepted: list[Accepted] = field(default_factory=list)

    @property
    def refusal(self) -> GuardBroken | AccountFull | EntryConflict | None:
        """The first refusal, if any."""
        return next((result.refusal for result in self.results if result.refusal is not None), None)


def decide(
    entries: Sequence[JournalEntry],
    *,
    accounts: Mapping[AccountKey, AccountState],
    standing: Mapping[str, Standing],
) -> Decision:
    """Judges each entry after the ones before it, moving `accounts` along. `accounts` must hold every account named."""
    decision = Decision()
    known = dict(standing)
    for entry in entries:
        digest = _body_hash(entry)
        earlier = known.get(entry.key)
        if earlier is not None:
            decision.results.append(_again(entry, digest, earlier))
            continue
        refusal = _refusal(entry, accounts)
        if refusal is not None:
            decision.results.append(Result(entry_id=None, outcome=Outcome.REFUSED, refusal=refusal))
            continue
        accepted = Accepted(id=new_id(), entry=entry, body_hash=digest, postings=_apply(entry, accounts))
        known[entry.key] = Standing(accepted.id, digest)
        decision.accepted.append(accepted)
        decision.results.append(Result(entry_id=accepted.id, outcome=Outcome.POSTED))
    return decision


def _body_hash(entry: JournalEntry) -> bytes:
    movements = ((p.debit.code, p.credit.code, p.amount, p.debit.currency) for p in entry.postings)
    return body_hash(entry.kind, entry.source.type, entry.source.id, movements)


def _again(entry: JournalEntry, digest: bytes, earlier: Standing) -> Result:
    if earlier.body_hash == digest:
        return Result(entry_id=earlier.id, outcome=Outcome.REPLAYED)
    refusal = EntryConflict(entry_key=entry.key, entry_id=earlier.id)
    return Result(entry_id=earlier.id, outcome=Outcome.CONFLICT, refusal=refusal)


def _refusal(entry: JournalEntry, accounts: Mapping[AccountKey, AccountState]) -> GuardBroken | AccountFull | None:
    debited: dict[AccountKey, int] = {}
    credited: dict[AccountKey, int] = {}
    for posting in entry.postings:
        currency = posting.debit.currency
        debit, credit = (posting.debit.code, currency), (posting.credit.code, currency)
        debited[debit] = debited.get(debit, 0) + posting.amount
        credited[credit] = credited.get(credit, 0) + posting.amount
    for key in debited | credited:
        account = accounts[key]
        debits = account.debits + debited.get(key, 0)
        credits = account.credits + credited.get(key, 0)
        if max(debits, credits) > _TURNOVER_MAX:
            return AccountFull(entry_key=entry.key, account=account.ref)
        if account.ref.guard is Guard.NOT_NEGATIVE:
            sign = 1 if account.ref.side is Side.DEBIT else -1
            balance = sign * (debits - credits)
            if balance < 0:
                return GuardBroken(
                    entry_key=entry.key,
                    account=account.ref,
                    available_minor=sign * account.net,
                    short_minor=-balance,
                )
    return None


def _apply(entry: JournalEntry, accounts: Mapping[AccountKey, AccountState]) -> tuple[PostingRow, ...]:
    at = entry.effective_at
    pairs = [
        (accounts[p.debit.code, p.debit.currency], accounts[p.credit.code, p.credit.currency], p.amount)
        for p in entry.postings
    ]
    late = {
        account.id: account.latest_effective_at is not None and at < account.latest_effective_at
        for pair in pairs
        for account in pair[:2]
    }
    rows = []
    for ordinal, (debit, credit, amount) in enumerate(pairs, start=1):
        debit.debits += amount
        credit.credits += amount
        for account in (debit, credit):
            if not late[account.id]:
                account.latest_effective_at = at
        rows.append(
            PostingRow(
                id=new_id(),
                ordinal=ordinal,
                debit=debit,
                credit=credit,
                amount=amount,
                debit_balance_after=debit.net,
                credit_balance_after=credit.net,
                debit_late=late[debit.id],
                credit_late=late[credit.id],
            )
        )
    return tuple(rows)
