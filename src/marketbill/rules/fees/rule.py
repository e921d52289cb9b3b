"""The platform's fee: a percentage of each line, a fixed amount, and never more than the line pays its seller."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from marketbill.errors import InvalidInput, Path
from marketbill.money import bounded, exponent, round_ratio
from marketbill.rules.allocation import allocate
from marketbill.rules.rates import WHOLE, rate_parts
from marketbill.rules.tax.arithmetic import tax_on_top

RULE_ID_LENGTH_MAX = 100


class FixedScope(StrEnum):
    """What the fixed amount is charged once for."""

    ORDER = "ORDER"
    SELLER_ORDER = "SELLER_ORDER"
    LINE = "LINE"
    UNIT = "UNIT"


class FeeBase(StrEnum):
    """What the percentage is taken of: the line with its sales tax, or without."""

    GROSS = "GROSS"
    NET = "NET"


class FeeTaxMode(StrEnum):
    """Whether tax on the fee comes on top of the fee as the rule states it, or lies within it."""

    EXCLUSIVE = "EXCLUSIVE"
    INCLUSIVE = "INCLUSIVE"


class FeeRuleUnnamed(InvalidInput):
    """A fee rule without a usable id, or with a version below 1."""

    def __init__(self, *, path: Path) -> None:
        super().__init__(
            f"A fee rule needs an id of at most {RULE_ID_LENGTH_MAX} characters and a version from 1.",
            path=path,
            constraint=f"1 to {RULE_ID_LENGTH_MAX} characters" if path == ("id",) else ">= 1",
        )


class FixedFeeNegative(InvalidInput):
    """A fixed amount below zero."""

    def __init__(self, amount: int, *, path: Path) -> None:
        super().__init__("The fixed fee must not be negative.", path=path, constraint=">= 0")
        self.amount = amount


class FixedFeeMissing(InvalidInput):
    """The rule has fixed amounts, but none in this currency. It is never converted from another."""

    def __init__(self, *, rule: str, currency: str, path: Path = ("currency",)) -> None:
        super().__init__(
            f"The fee rule {rule} has no fixed amount in {currency}: add one (0 is an amount too).", path=path
        )
        self.rule = rule
        self.currency = currency


@dataclass(frozen=True, slots=True)
class FeeRule:
    """One version of a fee rule. `percent` has at most four decimals; `fixed` is minor units by currency.

    An empty `fixed` means that the rule has no fixed part in any currency. Raises `FeeRuleUnnamed`, `RateOutOfRange`,
    `RateTooPrecise`, `UnknownCurrency`, `FixedFeeNegative` and `AmountTooLarge` when it is made.
    """

    id: str
    version: int
    percent: Decimal
    fixed: Mapping[str, int]
    fixed_scope: FixedScope
    base: FeeBase
    fee_tax_mode: FeeTaxMode

    def __post_init__(self) -> None:
        if not 1 <= len(self.id) <= RULE_ID_LENGTH_MAX:
            raise FeeRuleUnnamed(path=("id",))
        if self.version < 1:
            raise FeeRuleUnnamed(path=("version",))
        rate_parts(self.percent, path=("percent",))
        for currency, amount in self.fixed.items():
            exponent(currency, path=("fixed", currency))
            if amount < 0:
                raise FixedFeeNegative(amount, path=("fixed", currency))
            bounded(amount, path=("fixed", currency))

    @property
    def reference(self) -> str:
        """The rule and its version as every explained amount names them: `fee:standard@3`."""
        return f"fee:{self.id}@{self.version}"

    def fixed_amount(self, currency: str) -> int:
        """The fixed amount in minor units of `currency`. Raises `FixedFeeMissing`."""
        if not self.fixed:
            return 0
        amount = self.fixed.get(currency)
        if amount is None:
            raise FixedFeeMissing(rule=self.reference, currency=currency)
        return amount


@dataclass(frozen=True, slots=True)
class ChargedLine:
    """What the fixed part needs to know of a line. `gross` is minor units and more than zero."""

    id: str
    seller_id: str
    quantity: int
    gross: int


@dataclass(frozen=True, slots=True)
class FixedShare:
    """A line's share of a fixed amount: `amount`, out of `whole` in the proportion `weight` to `weight_sum`."""

    amount: int
    whole: int
    weight: int
    weight_sum: int


def percent_part(*, amount: int, percent: int) -> tuple[int, int]:
    """The exact percentage of an amount as (numerator, denominator). `percent` is in parts (`rates.rate_parts`)."""
    return amount * percent, WHOLE


def fixed_shares(rule: FeeRule, *, currency: str, lines: Sequence[ChargedLine]) -> dict[str, FixedShare]:
    """The fixed part of every line by line id: shared out over line gross by largest remainder where lines share it.

    Raises `FixedFeeMissing`.
    """
    amount = rule.fixed_amount(currency)
    match rule.fixed_scope:
        case FixedScope.ORDER:
            return _shared(amount, lines)
        case FixedScope.SELLER_ORDER:
            by_seller: dict[str, list[ChargedLine]] = {}
            for line in lines:
                by_seller.setdefault(line.seller_id, []).append(line)
            return {id: share for group in by_seller.values() for id, share in _shared(amount, group).items()}
        case FixedScope.LINE:
            return {line.id: FixedShare(amount, amount, 1, 1) for line in lines}
        case FixedScope.UNIT:
            return {line.id: FixedShare(amount * line.quantity, amount, line.quantity, 1) for line in lines}


def _shared(amount: int, lines: Sequence[ChargedLine]) -> dict[str, FixedShare]:
    weights = {line.id: line.gross for line in lines}
    weight_sum = sum(weights.values())
    shares = allocate(amount, weights)
    return {id: FixedShare(shares[id], amount, weight, weight_sum) for id, weight in weights.items()}


def largest_fee(*, pays: int, rate: int) -> int:
    """The largest fee that, with tax at `rate` (parts) rounded on top, is not above what a line pays its seller.

    Rounding the tax down can make room for one unit more than pays * 100 / (100 + r), and never for two.
    """
    fee = pays * WHOLE // (WHOLE + rate)
    one_more = fee + 1
    return one_more if one_more + round_ratio(*tax_on_top(net=one_more, rate=rate)) <= pays else fee
