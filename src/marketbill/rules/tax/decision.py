"""The tax on each line of a basket: what it states, what its seller alone knows, or what the tables say."""

from decimal import Decimal

from marketbill.errors import InvalidInput, Path
from marketbill.rules.basket import Basket, BasketLine
from marketbill.rules.fx import NO_RATES, Rates
from marketbill.rules.rates import rate_parts
from marketbill.rules.tax.line_tax import Liable, LineTax
from marketbill.rules.tax.terms import TaxTerms

_UNKNOWN = LineTax(
    rate=Decimal(0), liable=Liable.SELLER, rule="sale-tax:unknown", label="Tax by the seller", known=False
)


class TaxNotDetermined(InvalidInput):
    """A line that states no tax rate, where nothing else decides it."""

    def __init__(self, *, line_id: str, path: Path) -> None:
        super().__init__(
            f"The tax of the line {line_id!r} is not determined: state its rate, or say that it is unknown.", path=path
        )
        self.line_id = line_id


def decide(basket: Basket, tax: TaxTerms, rates: Rates = NO_RATES) -> dict[str, LineTax]:
    """The decision on every line by line id.

    Raises `RateOutOfRange` and `RateTooPrecise` for a rate that a line states, and `TaxNotDetermined`.
    """
    return {line.id: _decide_line(line, index=index) for index, line in enumerate(basket.lines)}


def _decide_line(line: BasketLine, *, index: int) -> LineTax:
    path = ("lines", str(index), "taxRate")
    if line.tax_unknown:
        return _UNKNOWN
    if line.tax_rate is None:
        raise TaxNotDetermined(line_id=line.id, path=path)
    rate_parts(line.tax_rate, path=path)
    return LineTax(rate=line.tax_rate, liable=Liable.SELLER, rule="sale-tax:stated")
