"""The journal replayed: accounts, holds and hashes made again from the entries, and the stored values compared.

What is kept grows with the accounts and the open holds, not with the entries.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol
from uuid import UUID

from marketbill.ids import public_id
from marketbill.ledger.audit.finding import Findings, Rule, entry_name, instant_text, range_text
from marketbill.ledger.audit.history import (
    History,
    Progress,
    Read,
    Recorded,
    StoredEntry,
    StoredPosting,
    binary,
    instant,
)
from marketbill.ledger.audit.period import Period, PeriodProof
from marketbill.ledger.audit.sealing import EntryChain
from marketbill.ledger.audit.tally import Tally
from marketbill.ledger.chain import PostingFact
from marketbill.ledger.entry import Phase
from marketbill.ledger.lag import AHEAD, AHEAD_US, IN_ORDER

Moves = list[tuple[Tally, Tally, int]]
"""Postings: debited, credited, how much."""


class Named(Protocol):
    """An account that has a row."""

    @property
    def code(self) -> str: ...

    @property
    def currency(self) -> str: ...


class Hold(NamedTuple):
    """An open hold; `expires_at` in microseconds since 1970."""

    number: int
    expires_at: int | None
    moves: Moves


class Replay:
    """The books as the entries make them, from none on.

    `entries` and `postings` are the last numbers, `rows` the entries that there were, `recorded_at` and `last_id` the
    last one's.
    """

    def __init__(self, periods: Sequence[Period], findings: Findings) -> None:
        self.tallies: dict[UUID, Tally] = {}
        self.holds: dict[UUID, Hold] = {}
        self.chain = EntryChain()
        self.entries = 0
        self.rows = 0
        self.recorded_at = 0
        self.last_id: UUID | None = None
        self.next_posting = 1
        self._periods = PeriodProof(periods, findings)
        self._findings = findings
        self._accounts: Mapping[UUID, Named] = {}

    async def run(
        self, read: Read, accounts: Mapping[UUID, Named], *, last: int, progress: Progress = lambda done, total: None
    ) -> None:
        """Goes on to the entry `last`; `accounts` are all that there are."""
        self._accounts = accounts
        history = History(read, after=self.entries, next_posting=self.next_posting, last=last)
        async for page in history.pages():
            for recorded in page:
                self._check_place(recorded, history)
                self._apply(recorded.entry, recorded.postings)
            progress(self.entries, last)
        self._missing(last + 1, history)
        self.rows += len(history.unreadable_entries)
        for number, why in history.unreadable_postings.items():
            self._findings.add(Rule.CHAIN, f"posting {number}", expected="a row that can be read", found=why)

    @property
    def postings(self) -> int:
        """The number of the last posting."""
        return self.next_posting - 1

    def end(self) -> None:
        """There are no more entries."""
        self._periods.end(self.chain.stored, self.tallies.values())

    def _check_place(self, recorded: Recorded, history: History) -> None:
        """The entry and its postings are the next ones, and all of them."""
        entry, postings, unclaimed = recorded
        self._missing(entry.number, history)
        if unclaimed:
            self._findings.add(
                Rule.CHAIN,
                range_text(unclaimed[0][0], unclaimed[-1][0], "posting", "postings"),
                expected="claimed by an entry",
                found=f"entry {unclaimed[0][1]} does not",
            )
            self._absorb(unclaimed)
        if entry.first_posting != self.next_posting:
            self._misplaced(entry, "first posting", self.next_posting, entry.first_posting)
        if len(postings) != entry.posting_count:
            there = {row[0] for row in postings}
            claimed = range(entry.first_posting, entry.first_posting + min(entry.posting_count, len(postings) + 1))
            lacking = next((number for number in claimed if number not in there), None)
            what = "postings" if lacking is None else f"posting {lacking}"
            self._misplaced(entry, what, f"{entry.posting_count} postings", len(postings))
        if entry.recorded_at < self.recorded_at:
            since = f"not before {instant_text(self.recorded_at)}"
            self._misplaced(entry, "recorded", since, instant_text(entry.recorded_at))

    def _misplaced(self, entry: StoredEntry, what: str, expected: object, found: object) -> None:
        self._findings.add(Rule.CHAIN, f"{entry_name(entry.id, entry.number)}, {what}", expected=expected, found=found)

    def _absorb(self, postings: Sequence[StoredPosting]) -> None:
        """Postings of an entry that is lost moved their accounts all the same: those after them are not off for it."""
        for number, _, debit_id, credit_id, amount, posted_at, _, _, _, _, _, held in postings:
            for id, debits, credits in ((debit_id, amount, 0), (credit_id, 0, amount)):
                tally = self.tallies.get(id) or self._tally(id, number)
                if held:
                    tally.pending_debits += debits
                    tally.pending_credits += credits
                else:
                    tally.debits += debits
                    tally.credits += credits
                    tally.lag(instant(posted_at), IN_ORDER)
            self.next_posting = number + 1

    def _missing(self, upto: int, history: History) -> None:
        """The entries that should stand before the entry `upto`."""
        first = self.entries + 1
        if upto <= first:
            return
        unreadable = [number for number in history.unreadable_entries if first <= number < upto]
        for number in unreadable:
            why = history.unreadable_entries[number]
            self._findings.add(Rule.CHAIN, f"entry {number}", expected="a row that can be read", found=why)
        if len(unreadable) < upto - first:
            subject = range_text(first, upto - 1, "entry", "entries")
            self._findings.add(Rule.CHAIN, subject, expected="in the journal", found="missing")
        self.entries = upto - 1
        self.chain.tear()

    def _apply(self, entry: StoredEntry, postings: Sequence[StoredPosting]) -> None:
        self._periods.before(entry.number, self.chain.stored, self.tallies.values())
        facts, moves = self._move(entry, postings)
        self.chain.check(entry, facts, self._findings)
        if entry.phase == Phase.HELD:
            self.holds[entry.id] = Hold(entry.number, entry.expires_at, moves)
            moves = []
        elif entry.resolves is not None:
            self._resolve(entry, entry.resolves, moves)
        self._periods.after(entry, moves)
        self.entries = entry.number
        self.rows += 1
        self.recorded_at = max(self.recorded_at, entry.recorded_at)
        self.last_id = entry.id

    def _move(self, entry: StoredEntry, postings: Sequence[StoredPosting]) -> tuple[list[PostingFact], Moves]:
        """Moves the accounts and compares each posting with what it should say: the hot loop."""
        facts: list[PostingFact] = []
        moves: Moves = []
        at, is_held, tallies = entry.effective_at, entry.phase == Phase.HELD, self.tallies
        in_order = AHEAD if at - entry.recorded_at > AHEAD_US else IN_ORDER
        should = (entry.number, binary(at), is_held)
        for posting in postings:
            (
                number,
                entry_number,
                debit_id,
                credit_id,
                amount,
                posted_at,
                debit_after,
                credit_after,
                currency,
                debit_lag,
                credit_lag,
                held,
            ) = posting
            debit = tallies.get(debit_id) or self._tally(debit_id, number)
            credit = tallies.get(credit_id) or self._tally(credit_id, number)
            facts.append((debit.code, credit.code, amount, currency))
            if number < self.next_posting:
                continue  # an entry before claims it too: it has moved its accounts
            self.next_posting = number + 1
            moves.append((debit, credit, amount))
            lags = (IN_ORDER, IN_ORDER)
            if is_held:
                debit.pending_debits += amount
                credit.pending_credits += amount
            else:
                debit.debits += amount
                credit.credits += amount
                lags = (debit.lag(at, in_order), credit.lag(at, in_order))
            if debit_after != debit.debits - debit.credits or credit_after != credit.debits - credit.credits:
                self._off(entry, number, ((debit, debit_after), (credit, credit_after)))
            if lags != (debit_lag, credit_lag):
                self._lags(entry, number, ((debit, lags[0], debit_lag), (credit, lags[1], credit_lag)))
            if should != (entry_number, posted_at, held) or not debit.currency == currency == credit.currency:
                self._differs(entry, StoredPosting(*posting), debit, credit)
        return facts, moves

    def _tally(self, id: UUID, number: int) -> Tally:
        account = self._accounts.get(id)
        if account is None:
            name = public_id("ledger account", id)
            self._findings.add(Rule.REFERENCE, f"posting {number}", expected=f"an account {name}", found="none")
            tally = self.tallies[id] = Tally(name, "of no known currency")
        else:
            tally = self.tallies[id] = Tally(account.code, account.currency)
        return tally

    def _off(self, entry: StoredEntry, number: int, sides: Iterable[tuple[Tally, int]]) -> None:
        for tally, stored in sides:
            if stored != tally.net and not tally.is_off:
                tally.is_off = True
                self._findings.add(
                    Rule.RUNNING_BALANCE,
                    f"{tally.name} at posting {number} of {entry_name(entry.id, entry.number)}",
                    expected=tally.net,
                    found=stored,
                )

    def _lags(self, entry: StoredEntry, number: int, sides: Iterable[tuple[Tally, int, int]]) -> None:
        for tally, lag, stored in sides:
            if lag != stored:
                self._findings.add(
                    Rule.RUNNING_BALANCE,
                    f"{tally.name} at posting {number} of {entry_name(entry.id, entry.number)}",
                    expected=f"lag {lag}",
                    found=f"lag {stored}",
                )

    def _differs(self, entry: StoredEntry, posting: StoredPosting, debit: Tally, credit: Tally) -> None:
        is_held = entry.phase == Phase.HELD
        for what, expected, found in (
            ("entry", entry.number, posting.entry_number),
            ("effective", instant_text(entry.effective_at), instant_text(instant(posting.effective_at))),
            ("held", is_held, posting.held),
            ("currency of its debit account", debit.currency, posting.currency),
            ("currency of its credit account", credit.currency, posting.currency),
        ):
            if expected != found:
                subject = f"posting {posting.number} of {entry_name(entry.id, entry.number)}, {what}"
                self._findings.add(Rule.REFERENCE, subject, expected=expected, found=found)

    def _resolve(self, entry: StoredEntry, hold_id: UUID, moves: Moves) -> None:
        """Gives back what a hold kept aside; what was posted of it must be within it."""
        hold = self.holds.pop(hold_id, None)
        name = entry_name(entry.id, entry.number)
        if hold is None:
            named = public_id("journal entry", hold_id)
            self._findings.add(Rule.HOLD, name, expected=f"{named} to be an open hold", found="none")
            return
        left: dict[tuple[Tally, Tally], int] = {}
        for debit, credit, amount in hold.moves:
            debit.pending_debits -= amount
            credit.pending_credits -= amount
            left[debit, credit] = left.get((debit, credit), 0) + amount
        for debit, credit, amount in moves:
            left[debit, credit] = left.get((debit, credit), 0) - amount
        over = [(debit, credit, -rest) for (debit, credit), rest in left.items() if rest < 0]
        for debit, credit, excess in over:
            subject = f"{name}, {credit.name} to {debit.name}"
            self._findings.add(Rule.HOLD, subject, expected="no more than was held", found=f"{excess} more")
        if moves and hold.expires_at is not None and hold.expires_at <= entry.recorded_at:
            self._findings.add(
                Rule.HOLD,
                name,
                expected=f"before the hold expired, {instant_text(hold.expires_at)}",
                found=instant_text(entry.recorded_at),
            )
