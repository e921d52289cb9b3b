"""The steps of one line, walked in their order: formula, exact result, rounding, and what a formula starts from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import Any

from marketbill.money import round_half_away
from marketbill.rules.explanation import Rounding
from marketbill.rules.formula import Formula, FormulaUnreadable, Shape, read, shape
from marketbill.rules.proof.finding import Finding, Flaw, differing

Number = int | Fraction

#: The most that, with tax at a rate on top of it, fits in an amount: amount * 100 / (100 + rate).
_FITTING = shape("{amount} * 100 / (100 + {rate})")
#: A share by weight: total * weight / sum of weights.
_SHARED = shape("{total} * {weight} / {weights}")


@dataclass(frozen=True, slots=True)
class SharedStep:
    """One line's share of an amount that lines share out by largest remainder."""

    line_id: str
    seller_id: str
    name: str
    rule: str
    total: int
    weight: int
    weight_sum: int
    amount: int

    @property
    def subject(self) -> str:
        return f"line {self.line_id}"


@dataclass(slots=True)
class Walk:
    """A walk through a line's steps. `known` holds the numbers that a formula may name, and grows with every step.

    `forms` gives, for the name of a step, the templates its formula may have (of a fee's step, for the part of its name
    after the stack's, with a dot before it). A formula that has none of these forms is a finding.
    """

    line_id: str
    seller_id: str
    forms: Mapping[str, Sequence[str]]
    known: dict[str, Number]
    findings: list[Finding] = field(default_factory=list)
    shared: list[SharedStep] = field(default_factory=list)
    amounts: dict[str, int] = field(default_factory=dict)
    rules: set[str] = field(default_factory=set)

    @property
    def subject(self) -> str:
        return f"line {self.line_id}"

    def walk(self, steps: Iterable[Mapping[str, Any]]) -> None:
        for step in steps:
            self._step(step)

    def _step(self, step: Mapping[str, Any]) -> None:
        name, rounded = step["name"], step["rounded"]
        if type(rounded) is not int:
            self._found(Flaw.MALFORMED, name, stored=rounded, recomputed="a whole number of minor units")
            return
        self.rules.add(step["rule"])
        try:
            formula = read(step["formula"])
        except FormulaUnreadable as unreadable:
            self._found(Flaw.FORMULA, name, stored=step["formula"], recomputed=unreadable.problem)
        else:
            self._found(Flaw.EXACT, name, stored=step["exact"], recomputed=str(formula.value))
            self._round(step, formula, rounded)
            self._operands(step, formula)
        self.known[name] = self.amounts[name] = rounded

    def _round(self, step: Mapping[str, Any], formula: Formula, rounded: int) -> None:
        name, exact = step["name"], formula.value
        match step["rounding"]:
            case Rounding.NONE | "MINIMUM" | "MAXIMUM":
                self._found(Flaw.ROUNDED, name, stored=str(rounded), recomputed=str(exact))
            case Rounding.HALF_AWAY:
                self._found(Flaw.ROUNDED, name, stored=rounded, recomputed=round_half_away(exact))
            case Rounding.BOUND:
                self._found(Flaw.ROUNDED, name, stored=rounded, recomputed=_bound(formula))
            case Rounding.LARGEST_REMAINDER:
                self._share(step, formula, rounded)
            case other:
                self._found(Flaw.MALFORMED, name, stored=other, recomputed="a known rounding")

    def _share(self, step: Mapping[str, Any], formula: Formula, rounded: int) -> None:
        if formula.shape != _SHARED.shape or not all(type(number) is int for number in formula.numbers):
            self._found(Flaw.FORMULA, step["name"], stored=step["formula"], recomputed="total * weight / weights")
            return
        total, weight, weights = map(int, formula.numbers)
        shared = SharedStep(self.line_id, self.seller_id, step["name"], step["rule"], total, weight, weights, rounded)
        self.shared.append(shared)

    def _operands(self, step: Mapping[str, Any], formula: Formula) -> None:
        stack, dot, part = step["name"].rpartition(".")
        forms = [form for form in map(shape, self.forms.get(dot + part, ())) if form.shape == formula.shape]
        if not forms:
            self._found(Flaw.OPERAND, step["name"], stored=step["formula"], recomputed="a formula of another form")
            return
        differing = [self._first_difference(form, formula, stack) for form in forms]
        if None not in differing:
            self.findings.append(Finding(Flaw.OPERAND, self.subject, step["name"], *(differing[0] or ("", ""))))

    def _first_difference(self, form: Shape, formula: Formula, stack: str) -> tuple[str, str] | None:
        bound: dict[str, Number] = {}
        for place, number in zip(form.places, formula.numbers, strict=True):
            if isinstance(place, int):
                meant: Number | None = place
            else:
                # A stack's own amount is meant before the line's amount of that name.
                meant = self.known.get(f"{stack}.{place}", self.known.get(place)) if stack else self.known.get(place)
                meant = bound.setdefault(place, number) if meant is None else meant
            if meant != number:
                return str(number), f"{meant} ({place})" if isinstance(place, str) else str(meant)
        return None

    def _found(self, flaw: Flaw, name: str, *, stored: Any, recomputed: Any) -> None:
        self.findings += differing(flaw, self.subject, name, stored=stored, recomputed=recomputed)


def _bound(formula: Formula) -> int | str:
    """The largest whole amount that fits. Rounding the tax on it down can make room for one more, and never for two."""
    whole = floor(formula.value)
    if formula.shape != _FITTING.shape or formula.numbers[1:3] != (100, 100):
        return whole
    amount, _, _, rate = formula.numbers
    one_more = whole + 1
    return one_more if one_more + round_half_away(Fraction(one_more * rate) / 100) <= amount else whole
