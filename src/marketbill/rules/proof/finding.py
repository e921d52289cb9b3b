"""What is wrong with a stored trace, as data: where, what is stored, what it should be."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Flaw(StrEnum):
    """The kind of a finding."""

    #: The trace, or a part of it, is not what a split writes.
    MALFORMED = "MALFORMED"
    #: A formula cannot be read.
    FORMULA = "FORMULA"
    #: The exact result is not what the formula gives.
    EXACT = "EXACT"
    #: The amount is not the exact result rounded as the step says.
    ROUNDED = "ROUNDED"
    #: Lines that share one amount do not make it, or another line was due the remainder.
    SHARE = "SHARE"
    #: A number in a formula is not the amount that it stands for.
    OPERAND = "OPERAND"
    #: An amount is not what its last step gives, or has no step.
    AMOUNT = "AMOUNT"
    #: A line, a share or the sale does not come out even.
    IDENTITY = "IDENTITY"
    #: A total is not the sum of its parts.
    SUM = "SUM"
    #: An account is not given what its fees and taxes come to.
    LEG = "LEG"
    #: What a part names (its rule, its rate) is not what the rest of the trace says.
    RULE = "RULE"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference. `subject` is `line 001`, `seller sel_…` or `sale`; `name` the step, amount or account.

    `stored` is what the trace says, `recomputed` what follows from the rest of it.
    """

    flaw: Flaw
    subject: str
    name: str
    stored: str
    recomputed: str

    def __str__(self) -> str:
        return f"{self.subject}, {self.name}: {self.stored} is stored, {self.recomputed} recomputed ({self.flaw})"


def differing(flaw: Flaw, subject: str, name: str, *, stored: Any, recomputed: Any) -> list[Finding]:
    """A finding when the two differ. `True` is no amount, though it equals 1."""
    if stored == recomputed and type(stored) is not bool:
        return []
    return [Finding(flaw, subject, name, str(stored), str(recomputed))]
