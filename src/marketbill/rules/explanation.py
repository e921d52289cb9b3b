"""How an amount came about: one step an amount, with the arithmetic, its exact result, and what became of the rest."""

from decimal import Decimal
from enum import StrEnum
from math import gcd
from typing import NamedTuple

from marketbill.money import round_ratio


class Rounding(StrEnum):
    """How an exact result became minor units."""

    #: The exact result is a whole number.
    NONE = "NONE"
    #: To the nearest, a half away from zero.
    HALF_AWAY = "HALF_AWAY"
    #: By the largest remainder among the lines that share one amount, ties by line id.
    LARGEST_REMAINDER = "LARGEST_REMAINDER"
    #: The most that, with the tax on it, still fits.
    BOUND = "BOUND"
    #: Raised to the least that the rule asks for.
    MINIMUM = "MINIMUM"
    #: Cut to the most that the rule asks for.
    MAXIMUM = "MAXIMUM"


class Step(NamedTuple):
    """One amount of a line. `name` is the field of the line's amounts it sets; `<stack>.percent_part`, `.fixed_part`,
    `.amount` and `.tax` are those of the fee of a stack; any other is on the way. A later step of a name replaces an
    earlier.

    The formula is kept as a template and its operands, and the exact result as a ratio, because a sale is split far
    more often than its explanation is read. A named tuple and not a dataclass: there are eight or more a line, and it
    is made four times as fast.
    """

    name: str
    template: str
    operands: tuple[int | Decimal, ...]
    numerator: int
    denominator: int
    rounded: int
    rounding: Rounding
    rule: str

    @property
    def formula(self) -> str:
        """The arithmetic over minor units and percentages, such as `4999 * 21 / (100 + 21)`."""
        return self.template.format(*self.operands)

    @property
    def exact(self) -> str:
        """The result before rounding, as a fraction in lowest terms: `104979/121`, or `512` when it is whole."""
        if self.denominator == 1:
            return str(self.numerator)
        shared = gcd(self.numerator, self.denominator)
        numerator, denominator = self.numerator // shared, self.denominator // shared
        return str(numerator) if denominator == 1 else f"{numerator}/{denominator}"


def whole_step(name: str, template: str, *operands: int, amount: int, rule: str) -> Step:
    """A step whose result is whole by itself."""
    return Step(name, template, operands, amount, 1, amount, Rounding.NONE, rule)


def rounded_step(name: str, template: str, *operands: int | Decimal, ratio: tuple[int, int], rule: str) -> Step:
    """A step whose result is rounded to the nearest, half away from zero."""
    numerator, denominator = ratio
    rounded = round_ratio(numerator, denominator)
    return Step(name, template, operands, numerator, denominator, rounded, Rounding.HALF_AWAY, rule)


def shared_step(name: str, *, amount: int, whole: int, weight: int, weight_sum: int, rule: str) -> Step:
    """A step that is a share of a whole, by the largest remainder among those who share it."""
    return Step(
        name,
        "{0} * {1} / {2}",
        (whole, weight, weight_sum),
        whole * weight,
        weight_sum,
        amount,
        Rounding.LARGEST_REMAINDER,
        rule,
    )
