"""Closed periods against the journal: nothing came after the close, and the trial balance is the sealed one."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from marketbill.ledger.audit.finding import Findings, Rule, entry_name, instant_text
from marketbill.ledger.audit.history import StoredEntry
from marketbill.ledger.audit.sealing import Links
from marketbill.ledger.audit.tally import Tally
from marketbill.ledger.chain import period_line


class Period(NamedTuple):
    """A closed period as it is stored; instants in microseconds since 1970."""

    closed_until: int
    closed_at: int
    closed_by: str
    entries: int
    trial_hash: bytes


class PeriodProof:
    """Follows the periods while the journal is replayed.

    A period holds what was effective before its end when the journal had `entries`. So while the replay is on its way
    there, it is enough to keep apart what is effective later: that is taken off when the period is reached.
    """

    def __init__(self, periods: Sequence[Period], findings: Findings) -> None:
        self._ahead = sorted(periods)
        self._ends = [period.closed_until for period in self._ahead]
        self._later: list[dict[Tally, int]] = [{} for _ in self._ahead]
        self._closed_until: int | None = None
        self._links = Links()
        self._findings = findings

    def before(self, number: int, entry_hash: bytes, tallies: Iterable[Tally]) -> None:
        """Before the entry `number` is replayed: the periods that were closed when it came."""
        while self._ahead and self._ahead[0].entries < number:
            self._close(entry_hash, tallies)

    def end(self, entry_hash: bytes, tallies: Iterable[Tally]) -> None:
        """The journal has no more entries: the remaining periods were closed at its end."""
        while self._ahead:
            self._close(entry_hash, tallies)

    def after(self, entry: StoredEntry, moves: Iterable[tuple[Tally, Tally, int]]) -> None:
        """After an entry was replayed; `moves` are debited, credited and how much."""
        at = entry.effective_at
        if self._closed_until is not None and at < self._closed_until:
            self._findings.add(
                Rule.PERIOD,
                entry_name(entry.id, entry.number),
                expected=f"effective from {instant_text(self._closed_until)} on: the books were closed until then",
                found=instant_text(at),
            )
        if self._ends and at >= self._ends[0]:
            later = self._later[bisect_right(self._ends, at) - 1]
            for debit, credit, amount in moves:
                later[debit] = later.get(debit, 0) + amount
                later[credit] = later.get(credit, 0) - amount

    def _close(self, entry_hash: bytes, tallies: Iterable[Tally]) -> None:
        later: dict[Tally, int] = {}
        for part in self._later:
            for tally, net in part.items():
                later[tally] = later.get(tally, 0) + net
        balances = [(tally.code, tally.currency, tally.net - later.get(tally, 0)) for tally in tallies]
        period = self._ahead.pop(0)
        self._ends.pop(0)
        self._later.pop(0)
        line = period_line(
            closed_until=period.closed_until,
            closed_at=period.closed_at,
            closed_by=period.closed_by,
            entries=period.entries,
            entry_hash=entry_hash,
            balances=[balance for balance in balances if balance[2]],
        )
        broken = self._links.follow(line, period.trial_hash)
        if broken is not None:
            self._findings.add(
                Rule.PERIOD,
                f"period until {instant_text(period.closed_until)}, trial hash",
                expected=broken.stored,
                found=broken.computed,
            )
        self._closed_until = max(period.closed_until, self._closed_until or period.closed_until)
