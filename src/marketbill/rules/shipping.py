"""Shipping follows the goods: each line of a seller takes its share, and is taxed on it as on its price."""

from collections.abc import Mapping

from marketbill.money import round_ratio
from marketbill.rules.allocation import allocate
from marketbill.rules.basket import Basket
from marketbill.rules.explanation import Step, shared_step
from marketbill.rules.rates import rate_parts
from marketbill.rules.tax.arithmetic import tax_within
from marketbill.rules.tax.line_tax import LineTax

RULE = "shipping"


def shipping_shares(basket: Basket, goods: Mapping[str, int], decisions: Mapping[str, LineTax]) -> dict[str, Step]:
    """The share of every line whose seller asks for shipping, by line id: over the net of the lines' goods, by largest
    remainder. `goods` are the lines' prices after the sellers' discounts, as stated."""
    shares: dict[str, Step] = {}
    for shipping in basket.shipping:
        weights: dict[str, int] = {}
        for line in basket.lines:
            if line.seller_id != shipping.seller_id:
                continue
            net = goods[line.id]
            if line.tax_inclusive:
                net -= round_ratio(*tax_within(gross=net, rate=rate_parts(decisions[line.id].rate)))
            weights[line.id] = net
        weight_sum = sum(weights.values())
        if weight_sum == 0:
            weights, weight_sum = dict.fromkeys(weights, 1), len(weights)
        for id, amount in allocate(shipping.amount, weights).items():
            shares[id] = shared_step(
                "shipping_share",
                amount=amount,
                whole=shipping.amount,
                weight=weights[id],
                weight_sum=weight_sum,
                rule=RULE,
            )
    return shares
