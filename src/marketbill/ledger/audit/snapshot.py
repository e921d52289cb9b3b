"""What is stored beside the journal, at one moment: head, accounts, open holds, closed periods."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from sys import intern
from typing import Any, NamedTuple
from uuid import UUID

from marketbill.db import ReadScope, WriteScope
from marketbill.ids import public_id
from marketbill.ledger.audit.finding import Findings, Rule, entry_name
from marketbill.ledger.audit.history import instant
from marketbill.ledger.audit.period import Period
from marketbill.ledger.audit.tally import Totals
from marketbill.ledger.chain import terms_hash

#: Rows read at once.
_PAGE = 10_000

_HEAD = """
select entries, postings, hash, timestamptz_send(recorded_at), timestamptz_send(closed_until), revision
from ledger_head where platform_id = $1
"""
_ACCOUNTS = """
select id, code, currency, debits, credits, pending_debits, pending_credits, timestamptz_send(latest_effective_at),
       kind, side, owner_type, owner_id, guard, ceiling, state, timestamptz_send(opened_at), terms_hash
from ledger_account where platform_id = $1 and ($2::uuid is null or id > $2) order by id limit $3
"""
_HOLDS = """
select entry_id, timestamptz_send(expires_at)
from ledger_hold where platform_id = $1 and ($2::uuid is null or entry_id > $2) order by entry_id limit $3
"""
_PERIODS = """
select timestamptz_send(closed_until), timestamptz_send(closed_at), closed_by, entries, trial_hash
from ledger_period where platform_id = $1 order by closed_until limit $2
"""
_OUTSIDE = """
(select id, number from journal_entry where platform_id = $1 and number > $2 order by number limit 1)
union all (select id, number from journal_entry where platform_id = $1 and number < 1 order by number limit 1)
"""
_POSTINGS_OUTSIDE = """
(select number from posting where platform_id = $1 and number > $2 order by number limit 1)
union all (select number from posting where platform_id = $1 and number < 1 order by number limit 1)
"""
_LAST = "select coalesce(max(number), 0)::bigint from journal_entry where platform_id = $1"
#: The most closed periods of one platform: a day each, for a hundred years.
PERIODS_MAX = 36_600


class StoredAccount(NamedTuple):
    """An account's row: its name and what it says that it holds."""

    code: str
    currency: str
    totals: Totals

    @property
    def name(self) -> str:
        return f"{self.code} {self.currency}"


class Head(NamedTuple):
    """The end of the chain as it is stored; instants in microseconds since 1970."""

    entries: int
    postings: int
    hash: bytes
    recorded_at: int
    closed_until: int | None
    revision: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of a platform's books, without the journal; `last_entry` is the journal's own last number."""

    head: Head | None
    accounts: dict[UUID, StoredAccount]
    holds: dict[UUID, int | None]
    periods: list[Period]
    last_entry: int


async def take(scope: ReadScope | WriteScope, findings: Findings) -> Snapshot:
    """Reads all of it in one transaction, and judges what does not need the journal: terms, guards, trial balance."""
    rows = await scope.fetch(_HEAD, scope.platform)
    head = None
    if rows:
        entries, postings, hash, recorded_at, closed_until, revision = rows[0]
        head = Head(entries, postings, hash, instant(recorded_at), _instant(closed_until), revision)
    accounts: dict[UUID, StoredAccount] = {}
    judge = _AccountJudge(scope.platform, findings)
    async for page in _paged(scope, _ACCOUNTS):
        for row in page:
            totals = Totals(*row[3:7], latest_effective_at=_instant(row[7]))
            account = accounts[row[0]] = StoredAccount(row[1], intern(row[2]), totals)
            judge.judge(row, account)
    judge.end()
    holds: dict[UUID, int | None] = {}
    async for page in _paged(scope, _HOLDS):
        holds.update((id, _instant(expires_at)) for id, expires_at in page)
    periods = [
        Period(instant(until), instant(at), by, entries, trial_hash)
        for until, at, by, entries, trial_hash in await scope.fetch(_PERIODS, scope.platform, PERIODS_MAX)
    ]
    [[last]] = await scope.fetch(_LAST, scope.platform)
    return Snapshot(head, accounts, holds, periods, last)


async def check_ends(scope: ReadScope | WriteScope, snapshot: Snapshot, findings: Findings) -> None:
    """Nothing stands in the journal outside of what the head says are its first and its last."""
    if snapshot.head is None:
        if snapshot.last_entry:
            findings.add(Rule.HEAD, "end of the chain", expected="a row", found="none, though the journal has entries")
        return
    entries, postings = snapshot.head.entries, snapshot.head.postings
    for id, number in await scope.fetch(_OUTSIDE, scope.platform, entries):
        findings.add(
            Rule.HEAD, entry_name(id, number), expected=f"entries 1 to {entries} and no other", found="another"
        )
    for [number] in await scope.fetch(_POSTINGS_OUTSIDE, scope.platform, postings):
        expected = f"postings 1 to {postings} and no other"
        findings.add(Rule.HEAD, f"posting {number}", expected=expected, found="another")


class _AccountJudge:
    """What can be said of accounts by their rows alone."""

    def __init__(self, platform: UUID, findings: Findings) -> None:
        self._platform = platform
        self._findings = findings
        self._trial: dict[str, int] = {}
        self._custody: dict[tuple[str, UUID | None, str], int] = {}

    def judge(self, row: Sequence[Any], account: StoredAccount) -> None:
        id, code, currency = row[:3]
        kind, side, owner_type, owner_id, guard, ceiling, state, opened_at, stored_hash = row[8:]
        terms = terms_hash(
            platform_id=self._platform,
            id=id,
            code=code,
            currency=currency,
            kind=kind,
            side=side,
            owner_type=owner_type,
            owner_id=owner_id,
            guard=guard,
            ceiling=ceiling,
            state=state,
            opened_at=instant(opened_at),
        )
        if terms != stored_hash:
            subject = f"{account.name} ({public_id('ledger account', id)}), terms hash"
            self._findings.add(Rule.ACCOUNT_TERMS, subject, expected=stored_hash.hex(), found=terms.hex())
        totals = account.totals
        net = totals.debits - totals.credits
        balance, coming, going = net, totals.pending_debits, totals.pending_credits
        if side == "CREDIT":
            balance, coming, going = -net, going, coming
        if guard != "NONE" and balance < going:
            self._findings.add(Rule.GUARD, account.name, expected="not below zero", found=balance - going)
        if ceiling is not None and balance + coming > ceiling:
            self._findings.add(Rule.GUARD, account.name, expected=f"at most {ceiling}", found=balance + coming)
        self._trial[currency] = self._trial.get(currency, 0) + net
        if kind == "CUSTODY":
            whose = (owner_type or "", owner_id, currency)
            self._custody[whose] = self._custody.get(whose, 0) + net

    def end(self) -> None:
        for currency, net in sorted(self._trial.items()):
            if net:
                found = f"a difference of {net}"
                self._findings.add(Rule.TRIAL_BALANCE, currency, expected="debits equal to credits", found=found)
        for (type, id, currency), net in self._custody.items():
            if net:
                whose = public_id("seller", id) if type == "seller" and id else f"{type} {id}"
                self._findings.add(Rule.CUSTODY_MIRROR, f"{whose} {currency}", expected=0, found=net)


async def _paged(scope: ReadScope | WriteScope, statement: str) -> AsyncGenerator[Sequence[Any]]:
    after: UUID | None = None
    while page := await scope.fetch(statement, scope.platform, after, _PAGE):
        yield page
        after = page[-1][0]


def _instant(binary: bytes | None) -> int | None:
    return None if binary is None else instant(binary)
