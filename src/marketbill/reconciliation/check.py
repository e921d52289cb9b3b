"""A check of the books: what was expected, what was found, and the verdict."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from marketbill.money import decimal_text


class Verdict(StrEnum):
    """WARNING is not a wrong amount: something waits, or was given up, and a person should know."""

    HOLDS = "HOLDS"
    BROKEN = "BROKEN"
    WARNING = "WARNING"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a proof. `subject` names the account, seller, payment or currency that it is about."""

    name: str
    subject: str
    expected: str
    found: str
    verdict: Verdict


#: Told before each part of a proof: what is looked at now.
Report = Callable[[str], None]


def compared(name: str, subject: str, *, expected: int, found: int, currency: str) -> Check:
    """Two amounts in minor units that must be the same."""
    verdict = Verdict.HOLDS if expected == found else Verdict.BROKEN
    return Check(
        name,
        f"{subject} {currency}",
        decimal_text(expected, currency),
        decimal_text(found, currency),
        verdict,
    )


def holds(name: str, subject: str, words: str) -> Check:
    return Check(name, subject, words, words, Verdict.HOLDS)


def broken(name: str, subject: str, *, expected: str, found: str) -> Check:
    return Check(name, subject, expected, found, Verdict.BROKEN)


def warning(name: str, subject: str, found: str) -> Check:
    return Check(name, subject, "none", found, Verdict.WARNING)
