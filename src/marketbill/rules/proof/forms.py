"""The forms that the formulas of a trace of version 2 have, by the name of their step."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from marketbill.rules.explanation import Rounding
from marketbill.rules.formula import Shape, shape
from marketbill.rules.proof.steps import Number, Walk

_STATED = ("{quantity} * {unit_price}",)
_CARRIED = ("{goods} + {shipping_share}",)
_SHARED = ("{whole} * {weight} / {weights}",)
_WITHHELD = ("{net} * {rate_withheld} / 100",)


def _taxed(*amounts: str) -> tuple[str, ...]:
    within = tuple(f"{{{amount}}} * {{rate}} / (100 + {{rate}})" for amount in amounts)
    return within + tuple(f"{{{amount}}} * {{rate}} / 100" for amount in amounts)


_OF_LINE: Mapping[str, Sequence[str]] = {
    "price": _STATED,
    "goods": ("{price} - {discount}",),
    "goods_tax": _taxed("goods"),
    "shipping_tax": _taxed("shipping_share"),
    "shipping": ("{shipping_share} + 0", "{shipping_share} + {shipping_tax}"),
    "document_tax": _taxed("document"),
    "tax": (*_taxed("gross", "net", "goods"), "{goods_tax} + {shipping_tax}"),
    "gross": (*_STATED, "{net} + {tax}", *_CARRIED),
    "net": (*_STATED, "{gross} - {tax}", *_CARRIED),
    "deemed_tax": ("{tax}",),
}
#: Shares of a tax that is rounded once for all that a seller charges.
_OF_DOCUMENT: Mapping[str, str] = {"tax": "goods", "goods_tax": "goods", "shipping_tax": "shipping_share"}
#: What a formula names only once it is known: any other number would do otherwise.
_NEEDED = ("goods", "gross", "net", "shipping_tax")
_OF_DISCOUNT: Mapping[str, Sequence[str]] = {
    "amount": _SHARED,
    "promo": ("{whole} * {amount} / {weights}",),
}
_OF_FEE: Mapping[str, Sequence[str]] = {
    "percent_part": ("{amount} - {rest}", "{with_tax} - {rest}"),
    "fixed_part": (
        "{fixed}",
        "{fixed} * {quantity}",
        "{fixed} * {gross} / {weights}",
        "{fixed} * 1 / {weights}",
        "{amount} - {percent_part}",
        "{with_tax} - {percent_part}",
    ),
    "with_tax": ("{percent_part} + {fixed_part}", "{limit}"),
    "amount": (
        "{percent_part} + {fixed_part}",
        "{limit}",
        "{room} * 100 / (100 + {tax_rate})",
        "{with_tax} - {tax}",
    ),
    "tax": ("{amount} * {tax_rate} / 100", "{with_tax} * {tax_rate} / (100 + {tax_rate})"),
}
#: Sums of amounts of fees: which of a line's fees, and which of their amounts.
_SUMS: Mapping[str, tuple[str, str, str]] = {
    "fee": ("SELLER", "PLATFORM", "amount"),
    "fee_tax": ("SELLER", "PLATFORM", "tax"),
    "buyer_fee": ("BUYER", "PLATFORM", "amount"),
    "buyer_fee_tax": ("BUYER", "PLATFORM", "tax"),
    "processor_fee": ("SELLER", "PROCESSOR", "amount"),
    "passed_on": ("SELLER", "PART", "amount"),
}
_COSTS = ("deemed_tax", "withheld", "processor_fee", "passed_on")


class LineForms:
    """The forms of one line's steps; those of sums depend on which fees and discounts it has."""

    def __init__(self, line: Mapping[str, Any]) -> None:
        self._fees: Mapping[str, Mapping[str, Any]] = {fee["stack"]: fee for fee in line["fees"]}

    def __call__(self, walk: Walk, step: Mapping[str, Any]) -> Iterable[Shape]:
        name = step["name"]
        if name in _SUMS:
            payer, kind, amount = _SUMS[name]
            return [_sum(fee[amount] for fee in self._fees.values() if (fee["payer"], fee["kind"]) == (payer, kind))]
        if name == "seller_net":
            return [self._seller_net(walk)]
        if name == "withheld":
            return [_sum(_named(walk, "withheld:"))]
        if name in ("discount", "promo"):
            return [self._discount(walk, name)]
        return self._of_line(walk, name, step["rounding"]) or self._of_part(name)

    def _of_line(self, walk: Walk, name: str, rounding: str) -> list[Shape]:
        if "price" in walk.known:
            walk.known.setdefault("goods", walk.known["price"])
        if name == "shipping_share":
            return [*map(shape, _SHARED)]
        if rounding == Rounding.LARGEST_REMAINDER and name in _OF_DOCUMENT:
            # What is shared out over nothing is written as shared out over 1.
            document = "{document}" if walk.known.get("document") else "1"
            return [shape(f"{{document_tax}} * {{{_OF_DOCUMENT[name]}}} / {document}")]
        unknown = [f"{{{needed}}}" for needed in _NEEDED if needed not in walk.known]
        forms = [form for form in _OF_LINE.get(name, ()) if not any(needed in form for needed in unknown)]
        return [*map(shape, forms)]

    def _of_part(self, name: str) -> list[Shape]:
        if name.startswith("withheld:"):
            return [*map(shape, _WITHHELD)]
        stack, _, part = name.rpartition(".")
        if stack in self._fees:
            forms = [*map(shape, _OF_FEE.get(part, ()))]
            return [self._percent(self._fees[stack]), *forms] if part == "percent_part" else forms
        return [*map(shape, _OF_DISCOUNT.get(part, ()))] if stack.startswith("discount:") else []

    def _seller_net(self, walk: Walk) -> Shape:
        taken: list[Number] = [walk.amounts.get("fee", 0), walk.amounts.get("fee_tax", 0)]
        taken += [walk.amounts[cost] for cost in _COSTS if walk.amounts.get(cost)]
        return Shape("#" + "-#" * len(taken), ("gross", *taken))

    def _discount(self, walk: Walk, name: str) -> Shape:
        shares, promos = (_named(walk, "discount:", part) for part in (".amount", ".promo"))
        if name == "promo":
            return _sum(promos)
        return Shape("+".join("#" * len(shares)) + "-#" * len(promos), (*shares, *promos))

    def _percent(self, fee: Mapping[str, Any]) -> Shape:
        """A percentage of the base; where the line lies in several tiers, in proportion to its parts in each."""
        slices = [(part, number_of(percent)) for part, percent in fee["slices"]]
        if len(slices) == 1:
            return Shape("#*#/#", (fee["base"], slices[0][1], 100))
        parts = [number for one in slices for number in one]
        terms = "+".join(["#*#"] * len(slices))
        return Shape(f"#*({terms})/(#*#)", (fee["base"], *parts, sum(part for part, _ in slices), 100))


def number_of(text: str) -> Fraction:
    """A rate as it stands in a trace, as the number that a formula has."""
    return Fraction(text)


def _named(walk: Walk, start: str, end: str = "") -> list[int]:
    return [amount for name, amount in walk.amounts.items() if name.startswith(start) and name.endswith(end)]


def _sum(amounts: Iterable[int]) -> Shape:
    numbers = tuple(amounts)
    return Shape("+".join("#" * len(numbers)), numbers)
