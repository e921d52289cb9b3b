"""The steps of one line, walked in their order: formula, exact result, rounding, and what a formula starts from."""

from collections.abc import Callable, Iterable, Mapping, Sequence
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
#: What no step computes and yet more than one formula names: all that a seller's tax is rounded of at once.
_KEPT = frozenset({"document"})
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
    place: int
    family: str

    @property
    def subject(self) -> str:
        return f"line {self.line_id}"


@dataclass(slots=True)
class Walk:
    """A walk through a line's steps. `known` holds the numbers that a formula may name, and grows with every step.

    `forms` gives the forms that the formula of a step may have; a formula that has none of them is a finding. `family`
    tells apart lines that share amounts of one size under one rule and yet not with one another.
    """

    line_id: str
    seller_id: str
    forms: "Forms"
    known: dict[str, Number]
    family: str = ""
    findings: list[Finding] = field(default_factory=list)
    shared: list[SharedStep] = field(default_factory=list)
    amounts: dict[str, int] = field(default_factory=dict)
    #: The rules of the steps, each with the name of its step.
    rules: list[tuple[str, str]] = field(default_factory=list)

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
        self.rules.append((name, step["rule"]))
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
        place = len(self.shared)
        self.shared.append(
            SharedStep(
                *(self.line_id, self.seller_id, step["name"], step["rule"]),
                *(total, weight, weights, rounded, place, self.family),
            )
        )

    def _operands(self, step: Mapping[str, Any], formula: Formula) -> None:
        # The amounts of a step's own stack are meant before the line's of the same name.
        stack = step["name"].rpartition(".")[0] or step["name"]
        forms = [form for form in self.forms(self, step) if form.shape == formula.shape]
        if not forms:
            self._found(Flaw.OPERAND, step["name"], stored=step["formula"], recomputed="a formula of another form")
            return
        differences = [self._first_difference(form, formula, stack) for form in forms]
        if None not in differences:
            self.findings.append(Finding(Flaw.OPERAND, self.subject, step["name"], *(differences[0] or ("", ""))))

    def _first_difference(self, form: Shape, formula: Formula, stack: str) -> tuple[str, str] | None:
        bound: dict[str, Number] = {}
        for place, number in zip(form.places, formula.numbers, strict=True):
            if not isinstance(place, str):
                meant: Number | None = place
            else:
                meant = self.known.get(f"{stack}.{place}", self.known.get(place))
                if meant is None:
                    meant = bound.setdefault(place, number)
                    if place in _KEPT:
                        self.known[place] = number
            if meant != number:
                return str(number), f"{meant} ({place})" if isinstance(place, str) else str(meant)
        return None

    def _found(self, flaw: Flaw, name: str, *, stored: Any, recomputed: Any) -> None:
        self.findings += differing(flaw, self.subject, name, stored=stored, recomputed=recomputed)


Forms = Callable[[Walk, Mapping[str, Any]], Iterable[Shape]]


def templates(forms: Mapping[str, Sequence[str]]) -> Forms:
    """The forms of each step by its whole name."""
    return lambda _, step: map(shape, forms.get(step["name"], ()))


def _bound(formula: Formula) -> int | str:
    """The largest whole amount that fits. Rounding the tax on it down can make room for one more, and never for two."""
    whole = floor(formula.value)
    if formula.shape != _FITTING.shape or formula.numbers[1:3] != (100, 100):
        return whole
    amount, _, _, rate = formula.numbers
    one_more = whole + 1
    return one_more if one_more + round_half_away(Fraction(one_more * rate) / 100) <= amount else whole
