"""What an audit finds, and how it names it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from marketbill.ids import public_id

#: The most findings that one rule reports; the first tell where to look.
FINDINGS_MAX = 100

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Rule(StrEnum):
    """What was found not to hold, in the order in which it is reported."""

    CHAIN = "CHAIN"
    REFERENCE = "REFERENCE"
    HOLD = "HOLD"
    PERIOD = "PERIOD"
    RUNNING_BALANCE = "RUNNING_BALANCE"
    HEAD = "HEAD"
    ACCOUNT_TOTALS = "ACCOUNT_TOTALS"
    ACCOUNT_TERMS = "ACCOUNT_TERMS"
    GUARD = "GUARD"
    TRIAL_BALANCE = "TRIAL_BALANCE"
    CUSTODY_MIRROR = "CUSTODY_MIRROR"
    CHECKPOINT = "CHECKPOINT"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not agree: where (`subject`), what it should be and what it is. Amounts in minor units."""

    rule: Rule
    subject: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.subject}: expected {self.expected}, found {self.found}"


class Findings:
    """Findings as they come, at most `FINDINGS_MAX` of each rule; of more, only how many."""

    def __init__(self) -> None:
        self._kept: dict[Rule, list[Finding]] = {rule: [] for rule in Rule}
        self._more: dict[Rule, int] = dict.fromkeys(Rule, 0)

    def add(self, rule: Rule, subject: str, *, expected: object, found: object) -> None:
        if len(self._kept[rule]) < FINDINGS_MAX:
            self._kept[rule].append(Finding(rule, subject, str(expected), str(found)))
        else:
            self._more[rule] += 1

    def of(self, *rules: Rule) -> list[Finding]:
        """The findings of some rules, in the order of the rules."""
        found: list[Finding] = []
        for rule in rules:
            found += self._kept[rule]
            if self._more[rule]:
                found.append(Finding(rule, "and further", "none", f"{self._more[rule]} more"))
        return found

    def all(self) -> list[Finding]:
        return self.of(*Rule)


def entry_name(id: UUID, number: int) -> str:
    return f"{public_id('journal entry', id)} (entry {number})"


def instant_text(microseconds: int | None) -> str:
    """A time since 1970 as people write it; one that no calendar here can hold, as its number."""
    if microseconds is None:
        return "none"
    try:
        return (_EPOCH + timedelta(microseconds=microseconds)).isoformat()
    except OverflowError:
        return f"{microseconds} microseconds since 1970"


def range_text(first: int, last: int, noun: str, nouns: str) -> str:
    """`entry 5`, `entries 5 to 7`."""
    return f"{noun} {first}" if first == last else f"{nouns} {first} to {last}"
