"""What a basket line brings: its price, the sales tax in it or on it, and the net."""

from dataclasses import dataclass

from marketbill.money import bounded
from marketbill.rules.basket import BasketLine
from marketbill.rules.explanation import Step, rounded_step, whole_step
from marketbill.rules.rates import rate_parts
from marketbill.rules.tax.arithmetic import tax_on_top, tax_within


@dataclass(frozen=True, slots=True)
class PricedLine:
    """A basket line with its amounts in minor units, gross = net + tax, and the steps that lead to them."""

    line: BasketLine
    gross: int
    tax: int
    net: int
    steps: tuple[Step, ...]


def price(line: BasketLine, *, index: int) -> PricedLine:
    """A line's gross, tax and net. `index` is its place in the basket, for the path of a refusal.

    Only the tax is rounded; the third amount is the rest. Raises `RateOutOfRange`, `RateTooPrecise`, and
    `AmountTooLarge` when tax on top takes the line beyond the largest amount.
    """
    rate = rate_parts(line.tax_rate, path=("lines", str(index), "taxRate"))
    asked = line.quantity * line.unit_price
    if line.tax_inclusive:
        rule = "sale-tax:inclusive"
        ratio = tax_within(gross=asked, rate=rate)
        taxed = rounded_step("tax", "{0} * {1:f} / (100 + {1:f})", asked, line.tax_rate, ratio=ratio, rule=rule)
        gross, tax, net = asked, taxed.rounded, asked - taxed.rounded
        steps = (
            whole_step("gross", "{0} * {1}", line.quantity, line.unit_price, amount=gross, rule=rule),
            taxed,
            whole_step("net", "{0} - {1}", gross, tax, amount=net, rule=rule),
        )
    else:
        rule = "sale-tax:exclusive"
        ratio = tax_on_top(net=asked, rate=rate)
        taxed = rounded_step("tax", "{0} * {1:f} / 100", asked, line.tax_rate, ratio=ratio, rule=rule)
        net, tax, gross = asked, taxed.rounded, asked + taxed.rounded
        bounded(gross, path=("lines", str(index), "unitPrice"))
        steps = (
            whole_step("net", "{0} * {1}", line.quantity, line.unit_price, amount=net, rule=rule),
            taxed,
            whole_step("gross", "{0} + {1}", net, tax, amount=gross, rule=rule),
        )
    return PricedLine(line, gross, tax, net, steps)
