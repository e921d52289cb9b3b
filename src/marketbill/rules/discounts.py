"""Discounts, spread over the lines before tax: the sellers' part lowers their prices, the platform's part it pays."""

from typing import NamedTuple

from marketbill.errors import InvalidInput, Path
from marketbill.money import round_ratio
from marketbill.rules.allocation import allocate
from marketbill.rules.basket import Basket, Discount
from marketbill.rules.explanation import Step, shared_step, whole_step
from marketbill.rules.rates import WHOLE, rate_parts


class DiscountAboveLines(InvalidInput):
    """A discount of more than its lines still cost."""

    def __init__(self, discount: str, *, amount: int, left: int, path: Path) -> None:
        super().__init__(
            f"The discount {discount!r} takes {amount} off lines that cost {left}: at most that.",
            path=path,
            constraint=f"<= {left}",
        )
        self.discount = discount
        self.amount = amount
        self.left = left


class Cut(NamedTuple):
    """What discounts take off one line, minor units: `discount` is given by the seller, `promo` by the platform."""

    discount: int
    promo: int
    steps: tuple[Step, ...]


_NOTHING = Cut(0, 0, ())


def cuts_of(basket: Basket) -> dict[str, Cut]:
    """What each line that a discount touches loses, by line id.

    Discounts work one after another, in the order of the basket, each on what the earlier ones left of the prices as
    they are stated. The whole discount is rounded once and shared out over the lines by largest remainder; then the
    platform's part of it is, over the lines' shares. Raises `DiscountAboveLines`.
    """
    cuts: dict[str, Cut] = {}
    if not basket.discounts:
        return cuts
    left = {line.id: line.quantity * line.unit_price for line in basket.lines}
    for index, discount in enumerate(basket.discounts):
        weights = {id: left[id] for id in discount.line_ids} if discount.line_ids else dict(left)
        weight_sum = sum(weights.values())
        whole = _whole(discount, weight_sum, path=("discounts", str(index), "amount"))
        if whole == 0:
            continue
        promo_whole = round_ratio(whole * rate_parts(discount.platform_percent), WHOLE)
        shares = allocate(whole, weights)
        promos = allocate(promo_whole, shares)
        rule = f"discount:{discount.id}"
        for id, share in shares.items():
            steps = [
                shared_step(
                    f"{rule}.amount", amount=share, whole=whole, weight=weights[id], weight_sum=weight_sum, rule=rule
                )
            ]
            if promo_whole:
                steps.append(
                    shared_step(
                        f"{rule}.promo",
                        amount=promos[id],
                        whole=promo_whole,
                        weight=share,
                        weight_sum=whole,
                        rule=rule,
                    )
                )
            before = cuts.get(id, _NOTHING)
            left[id] -= share
            cuts[id] = Cut(before.discount + share - promos[id], before.promo + promos[id], (*before.steps, *steps))
    return {id: _summed(cut) for id, cut in cuts.items()}


def _whole(discount: Discount, left: int, *, path: Path) -> int:
    if discount.percent is not None:
        return round_ratio(left * rate_parts(discount.percent), WHOLE)
    amount = discount.amount or 0
    if amount > left:
        raise DiscountAboveLines(discount.id, amount=amount, left=left, path=path)
    return amount


def _summed(cut: Cut) -> Cut:
    """With the two amounts of the line as steps: the shares less the platform's parts, and those parts."""
    shares = [step.rounded for step in cut.steps if step.name.endswith(".amount")]
    promos = [step.rounded for step in cut.steps if step.name.endswith(".promo")]
    own = " + ".join(f"{{{index}}}" for index in range(len(shares)))
    less = "".join(f" - {{{index}}}" for index in range(len(shares), len(shares) + len(promos)))
    steps = [whole_step("discount", own + less, *shares, *promos, amount=cut.discount, rule="discount")]
    if promos:
        template = " + ".join(f"{{{index}}}" for index in range(len(promos)))
        steps.append(whole_step("promo", template, *promos, amount=cut.promo, rule="discount"))
    return Cut(cut.discount, cut.promo, (*cut.steps, *steps))
