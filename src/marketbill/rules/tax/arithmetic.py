"""Tax arithmetic on a price: exact ratios, rounded once by whoever uses them."""

from marketbill.rules.rates import WHOLE


def tax_within(*, gross: int, rate: int) -> tuple[int, int]:
    """The exact tax inside a price that includes it, gross * r / (100 + r), as (numerator, denominator).

    `rate` is in parts (`rates.rate_parts`). Round it once and take the net as the rest: never derive both sides.
    """
    return gross * rate, WHOLE + rate


def tax_on_top(*, net: int, rate: int) -> tuple[int, int]:
    """The exact tax on a price without it, net * r / 100, as (numerator, denominator). `rate` is in parts."""
    return net * rate, WHOLE
