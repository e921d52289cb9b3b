"""Taxes that a provider calculates: what it is asked of a basket, and what its answer decides on each line.

A line is asked at the amount that the split will tax: its price after the seller's discounts, and its share of the
shipping apart, because each is rounded for itself. The rate of the decision is one that gives the provider's own amount
again, so that what the buyer pays and what the provider reports are the same to the cent.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from marketbill.errors import InvalidInput
from marketbill.money import round_ratio
from marketbill.rules.basket import Basket, BasketLine
from marketbill.rules.pricing import price
from marketbill.rules.rates import RATE_DECIMALS_MAX, rate_parts
from marketbill.rules.tax.arithmetic import tax_on_top, tax_within
from marketbill.rules.tax.line_tax import Liable, LineTax

#: What the reference of a line's shipping has behind the line's id.
SHIPPING = ":shipping"
#: How the rule of such a decision begins; the id of the calculation follows.
RULE = "stripe-tax:"

#: The provider collects nothing there: what the seller owes is his own matter.
_SELLERS = frozenset({"not_collecting", "not_supported", "not_available"})
_RATED = frozenset({"standard_rated", "reduced_rated", "zero_rated"})
_UNKNOWN = LineTax(rate=Decimal(0), liable=Liable.SELLER, rule="sale-tax:unknown")


class TaxNotReproduced(InvalidInput):
    """A line whose tax, as the provider calculated it, no single rate of four decimals gives."""

    def __init__(self, line_id: str) -> None:
        super().__init__(
            f"The tax that the provider calculated for the line {line_id!r} follows from no single rate: sell it in"
            " smaller lines, or state its rate.",
            path=("lines",),
        )
        self.line_id = line_id


@dataclass(frozen=True, slots=True)
class AskedAmount:
    """One amount to be taxed, in minor units; `inclusive`: the tax is within it. `code` is the provider's own for what
    is sold, empty for its default."""

    reference: str
    amount: int
    inclusive: bool
    code: str


@dataclass(frozen=True, slots=True)
class TaxPart:
    """How one jurisdiction treats an amount: `percent` is 0 and `reason` says why, where it takes nothing."""

    jurisdiction: str
    percent: Decimal
    reason: str
    name: str


@dataclass(frozen=True, slots=True)
class ProvidedTax:
    """The tax on one amount, in minor units."""

    reference: str
    tax: int
    parts: tuple[TaxPart, ...]


@dataclass(frozen=True, slots=True)
class TaxCalculation:
    """A provider's answer. It may be reported as a sale until `expires_at`."""

    id: str
    expires_at: datetime
    taxes: tuple[ProvidedTax, ...]


def is_asked(line: BasketLine) -> bool:
    """Whether the line's tax is the provider's to calculate: a rate that is stated stays."""
    return line.tax_rate is None and not line.tax_unknown


def asked_amounts(basket: Basket, decisions: Mapping[str, LineTax]) -> tuple[AskedAmount, ...]:
    """What is asked of a basket. `decisions` are those made until now: shipping is shared out by them."""
    stated = {line.id: _as_stated(line) for line in basket.lines}
    asked: list[AskedAmount] = []
    for item in price(basket, {**stated, **decisions}):
        line = item.line
        if not is_asked(line):
            continue
        goods, shipping = item.goods, item.shipping
        if not line.tax_inclusive:
            goods, shipping = goods - item.goods_tax, shipping - item.shipping_tax
        asked.append(AskedAmount(line.id, goods, line.tax_inclusive, line.tax_category))
        if shipping:
            asked.append(AskedAmount(f"{line.id}{SHIPPING}", shipping, line.tax_inclusive, line.tax_category))
    return tuple(asked)


def provided_decisions(asked: Iterable[AskedAmount], calculation: TaxCalculation) -> dict[str, LineTax]:
    """The decision on every line that was asked. Raises TaxNotReproduced, and ValueError for an answer without one."""
    told = {tax.reference: tax for tax in calculation.taxes}
    lines: dict[str, list[tuple[AskedAmount, ProvidedTax]]] = {}
    for amount in asked:
        if amount.reference not in told:
            raise ValueError(f"the calculation {calculation.id} says nothing of {amount.reference}")
        lines.setdefault(amount.reference.removesuffix(SHIPPING), []).append((amount, told[amount.reference]))
    return {id: _decision(id, amounts, calculation) for id, amounts in lines.items()}


def _decision(line_id: str, amounts: list[tuple[AskedAmount, ProvidedTax]], calculation: TaxCalculation) -> LineTax:
    parts = amounts[0][1].parts
    taxed = [part for part in parts if part.percent]
    reasons = " ".join(dict.fromkeys(part.reason for part in parts))
    evidence = {
        "calculation": calculation.id,
        "expires_at": calculation.expires_at.isoformat(),
        "reason": reasons,
        "tax": " + ".join(str(tax.tax) for _, tax in amounts),
        "parts": ", ".join(f"{part.jurisdiction} {part.percent:f}" for part in taxed),
    }
    return LineTax(
        rate=_rate(line_id, amounts),
        liable=_liable(parts),
        rule=f"{RULE}{calculation.id}",
        label=taxed[0].name if taxed else _label(parts),
        jurisdiction=max((part.jurisdiction for part in taxed or parts), key=len, default=""),
        category=amounts[0][0].code,
        source="Stripe Tax",
        evidence={name: value for name, value in evidence.items() if value},
    )


def _rate(line_id: str, amounts: list[tuple[AskedAmount, ProvidedTax]]) -> Decimal:
    """A rate that gives each of the provider's amounts: the sum of its percentages, or else the effective one."""
    if not any(tax.tax for _, tax in amounts):
        return Decimal(0)
    candidates = [sum((part.percent for part in amounts[0][1].parts), Decimal(0))]
    for amount, tax in amounts:
        base = amount.amount - tax.tax if amount.inclusive else amount.amount
        if base > 0:
            parts = round_ratio(tax.tax * 100 * 10**RATE_DECIMALS_MAX, base)
            candidates.append(Decimal(parts).scaleb(-RATE_DECIMALS_MAX).normalize())
    for rate in candidates:
        if _is_usable(rate) and all(_tax(amount, rate) == tax.tax for amount, tax in amounts):
            return rate
    raise TaxNotReproduced(line_id)


def _is_usable(rate: Decimal) -> bool:
    try:
        rate_parts(rate)
    except InvalidInput:
        return False
    return True


def _tax(amount: AskedAmount, rate: Decimal) -> int:
    parts = rate_parts(rate)
    if amount.inclusive:
        return round_ratio(*tax_within(gross=amount.amount, rate=parts))
    return round_ratio(*tax_on_top(net=amount.amount, rate=parts))


def _liable(parts: Iterable[TaxPart]) -> Liable:
    """A marketplace's own registrations count, so the platform owes what is calculated."""
    reasons = {part.reason for part in parts}
    if any(part.percent for part in parts) or reasons & _RATED:
        return Liable.PLATFORM
    if "reverse_charge" in reasons:
        return Liable.BUYER
    return Liable.SELLER if reasons & _SELLERS else Liable.NOBODY


def _label(parts: Iterable[TaxPart]) -> str:
    return "Reverse charge" if any(part.reason == "reverse_charge" for part in parts) else ""


def _as_stated(line: BasketLine) -> LineTax:
    if line.tax_rate is None:
        return _UNKNOWN
    return LineTax(rate=line.tax_rate, liable=Liable.SELLER, rule="sale-tax:stated")
