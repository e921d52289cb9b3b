"""Decides a batch of entries, in order, over the books as they stand. Pure: no database, no clock.

Entries come in groups that stand or fall together. Each group is judged by itself: one that would break a guard, or
whose key stands for another body, is refused, and its neighbours neither wait nor fail for it. Guards are judged on
what an account has available after the whole entry.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import orjson

from marketbill.errors import Refusal
from marketbill.ids import new_id
from marketbill.ledger.books import AccountKey, Books, Leg, Named, OpenAccount, Standing, Totals
from marketbill.ledger.chain import PostingFact, body_hash, entry_line, seal
from marketbill.ledger.chart import AccountState, Guard, Side
from marketbill.ledger.entry import IfClosed, JournalEntry, Outcome, Phase, Posting, Result
from marketbill.ledger.lag import AHEAD, AHEAD_US, IN_ORDER, lag_of
from marketbill.ledger.refusal import (
    AccountFull,
    AccountNotOpen,
    CeilingBroken,
    EntryConflict,
    GuardBroken,
    HoldExceeded,
    HoldNotOpen,
    LinkRefused,
    NotReversible,
    PeriodClosed,
)

TURNOVER_MAX = 2**63 - 1

_MICROSECOND = timedelta(microseconds=1)
_AHEAD = AHEAD_US * _MICROSECOND

Group = Sequence[JournalEntry]
"""Entries that stand or fall together."""


class EntryRow(NamedTuple):
    """An entry as it goes into its table; its number is its place after the books' last."""

    id: UUID
    key: str
    body_hash: bytes
    kind: str
    source_type: str
    source_id: UUID
    description: str
    reason: str
    effective_at: datetime
    occurred_at: datetime | None
    phase: str
    expires_at: datetime | None
    resolves: UUID | None
    reverses: UUID | None
    first_posting: int
    posting_count: int
    hash: bytes


class PostingRow(NamedTuple):
    """A posting with both running balances (net debits) and lags (`ledger.lag`), as it goes into its table."""

    entry_number: int
    effective_at: datetime
    debit_id: UUID
    credit_id: UUID
    amount: int
    debit_balance: int
    credit_balance: int
    currency: str
    debit_lag: int
    credit_lag: int
    held: bool


@dataclass(slots=True)
class Decision:
    """A result for each entry in the order asked, and the rows that make it so.

    The books were at `entries_before` and so on; `moved` holds each account's totals before the batch.
    """

    entries_before: int
    postings_before: int
    hash_before: bytes
    recorded_before: datetime
    revision: int
    recorded_at: datetime
    results: list[Result] = field(default_factory=list)
    entries: list[EntryRow] = field(default_factory=list)
    postings: list[PostingRow] = field(default_factory=list)
    moved: dict[OpenAccount, Totals] = field(default_factory=dict)

    @property
    def refusal(self) -> Refusal | None:
        """The first refusal, if any."""
        return next((result.refusal for result in self.results if result.refusal is not None), None)

    def undo(self, books: Books) -> None:
        """Sets books back that were moved along for nothing."""
        for account, totals in self.moved.items():
            account.set_back(totals)
        books.entries, books.postings = self.entries_before, self.postings_before
        books.hash, books.recorded_at = self.hash_before, self.recorded_before
        books.standing = {}


def decide(groups: Iterable[Group], books: Books, *, now: datetime) -> Decision:
    """Judges each group after the ones before it, moving `books` along; they must hold every account named."""
    decision = Decision(
        entries_before=books.entries,
        postings_before=books.postings,
        hash_before=books.hash,
        recorded_before=books.recorded_at,
        revision=books.revision,
        recorded_at=max(now, books.recorded_at),
    )
    books.recorded_at = decision.recorded_at
    for group in groups:
        decision.results += _decide_group(group, books, decision)
    return decision


def _decide_group(group: Group, books: Books, decision: Decision) -> list[Result]:
    touched: dict[OpenAccount, Totals] = {}
    mark = (books.entries, books.postings, books.hash)
    results: list[Result] = []
    for place, entry in enumerate(group):
        result = _decide_entry(entry, books, decision, touched)
        if result.refusal is None:
            results.append(result)
            _settle_named(entry, result, books, is_settled=True)
            continue
        for account, totals in touched.items():
            account.set_back(totals)
        for linked, undone in zip(group, results, strict=False):
            _settle_named(linked, undone, books, is_settled=False)
        for undone in decision.entries[mark[0] - decision.entries_before :]:
            del books.standing[undone.key]
        books.entries, books.postings, books.hash = mark
        del decision.entries[books.entries - decision.entries_before :]
        del decision.postings[books.postings - decision.postings_before :]
        others = [*group[:place], *group[place + 1 :]]
        refused = [Result(None, Outcome.REFUSED, LinkRefused(entry_key=e.key, cause=result.refusal)) for e in others]
        return [*refused[:place], result, *refused[place:]]
    for account, totals in touched.items():
        decision.moved.setdefault(account, totals)
    return results


def _settle_named(entry: JournalEntry, result: Result, books: Books, *, is_settled: bool) -> None:
    named = entry.resolves or entry.reverses
    if named is not None and result.outcome is Outcome.POSTED:
        books.named[named].is_settled = is_settled


def _decide_entry(entry: JournalEntry, books: Books, decision: Decision, touched: dict[OpenAccount, Totals]) -> Result:
    facts = [(p.debit.code, p.credit.code, p.amount, p.debit.currency) for p in entry.postings]
    digest = _digest(entry, facts)
    earlier = books.standing.get(entry.key)
    if earlier is not None:
        return _again(entry, digest, earlier)
    effective_at, occurred_at = entry.effective_at, None
    if books.closed_until is not None and effective_at < books.closed_until:
        if entry.if_closed is IfClosed.REFUSE:
            return _refused(PeriodClosed(entry_key=entry.key, closed_until=books.closed_until))
        effective_at, occurred_at = books.closed_until, effective_at
    if entry.resolves is not None or entry.reverses is not None:
        refusal = _name_refusal(entry, books, decision.recorded_at)
        if refusal is not None:
            return _refused(refusal)
        if entry.resolves is not None:
            _give_back(books.named[entry.resolves].legs, books, touched)
    number = books.entries + 1
    own: dict[OpenAccount, None] = {}
    rows = _move(entry, number, effective_at, books, own, touched)
    for account in own:
        refusal = _account_refusal(entry, account)
        if refusal is not None:
            return _refused(refusal)
    id = new_id()
    line = entry_line(
        number=number,
        id=id,
        key=entry.key,
        kind=entry.kind,
        source_type=entry.source.type,
        source_id=entry.source.id,
        description=entry.description,
        reason=entry.reason,
        effective_at=effective_at,
        occurred_at=occurred_at,
        recorded_at=decision.recorded_at,
        phase=entry.phase,
        expires_at=entry.expires_at,
        resolves=entry.resolves,
        reverses=entry.reverses,
        postings=facts,
    )
    row = EntryRow(
        id=id,
        key=entry.key,
        body_hash=digest,
        kind=entry.kind,
        source_type=entry.source.type,
        source_id=entry.source.id,
        description=entry.description,
        reason=orjson.dumps(entry.reason).decode(),
        effective_at=effective_at,
        occurred_at=occurred_at,
        phase=entry.phase,
        expires_at=entry.expires_at,
        resolves=entry.resolves,
        reverses=entry.reverses,
        first_posting=books.postings + 1,
        posting_count=len(rows),
        hash=seal(books.hash, line),
    )
    decision.entries.append(row)
    decision.postings += rows
    books.entries, books.postings, books.hash = number, books.postings + len(rows), row.hash
    books.standing[entry.key] = Standing(id, digest)
    return Result(id, Outcome.POSTED)


def _digest(entry: JournalEntry, facts: Iterable[PostingFact]) -> bytes:
    return body_hash(
        kind=entry.kind,
        source_type=entry.source.type,
        source_id=entry.source.id,
        phase=entry.phase,
        resolves=entry.resolves,
        reverses=entry.reverses,
        movements=facts,
    )


def _again(entry: JournalEntry, digest: bytes, earlier: Standing) -> Result:
    if earlier.body_hash == digest:
        return Result(earlier.id, Outcome.REPLAYED)
    return Result(earlier.id, Outcome.CONFLICT, EntryConflict(entry_key=entry.key, entry_id=earlier.id))


def _refused(refusal: Refusal) -> Result:
    return Result(None, Outcome.REFUSED, refusal)


def _move(
    entry: JournalEntry,
    number: int,
    at: datetime,
    books: Books,
    own: dict[OpenAccount, None],
    touched: dict[OpenAccount, Totals],
) -> list[PostingRow]:
    """Moves the accounts of an entry, keeping what they were in `touched`."""
    rows: list[PostingRow] = []
    is_held = entry.phase is Phase.HELD
    in_order = AHEAD if at - books.recorded_at > _AHEAD else IN_ORDER
    for posting in entry.postings:
        amount, currency = posting.amount, posting.debit.currency
        debit = books.accounts[posting.debit.code, currency]
        credit = books.accounts[posting.credit.code, currency]
        for account in (debit, credit):
            own[account] = None
            if account not in touched:
                touched[account] = account.totals()
        if is_held:
            debit.pending_debits += amount
            credit.pending_credits += amount
            debit_lag = credit_lag = IN_ORDER
        else:
            debit.debits += amount
            credit.credits += amount
            debit_lag, credit_lag = _lag(debit, at, in_order), _lag(credit, at, in_order)
        rows.append(
            PostingRow(
                number,
                at,
                debit.id,
                credit.id,
                amount,
                debit.debits - debit.credits,
                credit.debits - credit.credits,
                currency,
                debit_lag,
                credit_lag,
                is_held,
            )
        )
    return rows


def _lag(account: OpenAccount, at: datetime, in_order: int) -> int:
    latest = account.latest_effective_at
    if latest is not None and at < latest:
        return lag_of((latest - at) // _MICROSECOND)
    account.latest_effective_at = at
    return in_order


def _give_back(legs: Iterable[Leg], books: Books, touched: dict[OpenAccount, Totals]) -> None:
    """What a hold kept aside is pending no more."""
    for leg in legs:
        debit, credit = books.accounts[leg.debit], books.accounts[leg.credit]
        for account in (debit, credit):
            touched.setdefault(account, account.totals())
        debit.pending_debits -= leg.amount
        credit.pending_credits -= leg.amount


def _account_refusal(entry: JournalEntry, account: OpenAccount) -> Refusal | None:
    if account.state is not AccountState.OPEN:
        return AccountNotOpen(entry_key=entry.key, account=account.ref, state=account.state)
    if (
        account.debits + account.pending_debits > TURNOVER_MAX
        or account.credits + account.pending_credits > TURNOVER_MAX
    ):
        return AccountFull(entry_key=entry.key, account=account.ref)
    if account.guard is Guard.NOT_NEGATIVE and account.available < 0:
        change = _change(entry, account)
        return GuardBroken(
            entry_key=entry.key,
            account=account.ref,
            available_minor=account.available - change,
            short_minor=-account.available,
        )
    if account.ceiling is not None and account.expected > account.ceiling:
        change = _change(entry, account)
        return CeilingBroken(
            entry_key=entry.key, account=account.ref, room_minor=max(0, account.ceiling - account.expected + change)
        )
    return None


def _change(entry: JournalEntry, account: OpenAccount) -> int:
    """What an entry's own postings changed in an account, positive on the account's own side."""
    ref = account.ref
    own = [p for p in entry.postings if p.debit.currency == ref.currency]
    net = sum(p.amount * ((p.debit.code == ref.code) - (p.credit.code == ref.code)) for p in own)
    return net if ref.side is Side.DEBIT else -net


def _name_refusal(entry: JournalEntry, books: Books, at: datetime) -> Refusal | None:
    if entry.resolves is not None:
        hold = books.named.get(entry.resolves)
        refusal = _hold_refusal(entry, entry.resolves, hold, at)
        if refusal is not None or hold is None:
            return refusal
        return _excess(entry, hold)
    assert entry.reverses is not None
    original = books.named.get(entry.reverses)
    if original is None or original.phase is not Phase.POSTED or original.is_settled:
        state = "UNKNOWN" if original is None else "REVERSED" if original.phase is Phase.POSTED else original.phase
        return NotReversible(entry_key=entry.key, reversed_id=entry.reverses, current_state=state)
    mirrored = sorted((leg.credit, leg.debit, leg.amount) for leg in original.legs)
    if mirrored != sorted(map(_leg, entry.postings)):
        return NotReversible(entry_key=entry.key, reversed_id=entry.reverses, current_state="NOT_MIRRORED")
    return None


def _hold_refusal(entry: JournalEntry, hold_id: UUID, hold: Named | None, at: datetime) -> Refusal | None:
    if hold is None:
        state = "UNKNOWN"
    elif hold.phase is not Phase.HELD:
        state = hold.phase
    elif hold.is_settled:
        state = "RESOLVED"
    elif entry.phase is Phase.POSTED and hold.expires_at is not None and hold.expires_at <= at:
        state = "EXPIRED"
    else:
        return None
    return HoldNotOpen(entry_key=entry.key, hold_id=hold_id, current_state=state)


def _excess(entry: JournalEntry, hold: Named) -> HoldExceeded | None:
    held: dict[tuple[AccountKey, AccountKey], int] = {}
    for leg in hold.legs:
        held[leg.debit, leg.credit] = held.get((leg.debit, leg.credit), 0) + leg.amount
    left = dict(held)
    for posting in entry.postings:
        leg = _leg(posting)
        pair = (leg.debit, leg.credit)
        left[pair] = left.get(pair, 0) - leg.amount
        if left[pair] < 0:
            return HoldExceeded(
                entry_key=entry.key, debit=posting.debit, credit=posting.credit, held_minor=held.get(pair, 0)
            )
    return None


def _leg(posting: Posting) -> Leg:
    currency = posting.debit.currency
    return Leg((posting.debit.code, currency), (posting.credit.code, currency), posting.amount)
