"""Amounts of a rule by currency, never converted, and what its fixed part costs each line."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from marketbill.errors import InvalidInput, Path
from marketbill.rules.allocation import allocate
from marketbill.rules.fees.rule import FixedScope
from marketbill.rules.fees.schedule import FeeRule


class FixedFeeMissing(InvalidInput):
    """The rule has amounts of this kind, but none in the sale's currency. It is never converted from another."""

    def __init__(self, *, rule: str, currency: str, what: str = "fixed amount", path: Path = ("currency",)) -> None:
        super().__init__(f"The fee rule {rule} has no {what} in {currency}: add one (0 is an amount too).", path=path)
        self.rule = rule
        self.currency = currency
        self.what = what


class ChargedLine(NamedTuple):
    """What the fixed part needs to know of a line. `gross` is minor units, zero or more."""

    id: str
    seller_id: str
    quantity: int
    gross: int


class FixedShare(NamedTuple):
    """A line's share of a fixed amount: `amount`, out of `whole` in the proportion `weight` to `weight_sum`."""

    amount: int
    whole: int
    weight: int
    weight_sum: int


def amount_in(amounts: Mapping[str, int], currency: str, *, rule: str, what: str) -> int | None:
    """The amount in minor units of `currency`, or None where the rule has none in any. Raises `FixedFeeMissing`."""
    if not amounts:
        return None
    amount = amounts.get(currency)
    if amount is None:
        raise FixedFeeMissing(rule=rule, currency=currency, what=what)
    return amount


def fixed_shares(
    rule: FeeRule, *, reference: str, currency: str, lines: Sequence[ChargedLine]
) -> dict[str, FixedShare]:
    """The fixed part of every line by line id: shared out over line gross by largest remainder where lines share it.

    `lines` are those that the rule is charged on. Raises `FixedFeeMissing`.
    """
    amount = amount_in(rule.fixed, currency, rule=reference, what="fixed amount") or 0
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
    if weight_sum == 0:
        # Lines that a discount made free still share the amount, evenly; the bound then cuts it.
        weights, weight_sum = dict.fromkeys(weights, 1), len(weights)
    shares = allocate(amount, weights)
    return {id: FixedShare(shares[id], amount, weight, weight_sum) for id, weight in weights.items()}
