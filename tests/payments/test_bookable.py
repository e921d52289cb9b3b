"""A sale that the books could not hold is refused before its buyer pays."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from marketbill.payments import booking
from marketbill.payments.booking import SaleTooWide
from marketbill.rules.basket import Basket, BasketLine
from marketbill.rules.fees.schedule import FeeRule, Schedule
from marketbill.rules.fees.terms import FeeTerms
from marketbill.rules.plan import SplitPlan
from marketbill.rules.split import split
from marketbill.rules.tax.parties import PlatformTax, SellerTax
from marketbill.rules.tax.terms import TaxTerms


def sale(*, sellers: int, stacks: int) -> SplitPlan:
    """As many sellers with one line each, and as many fees, each on an account of its own; no tax on them."""
    names = [f"seller-{place:03d}" for place in range(sellers)]
    rules = tuple(
        FeeRule(f"fee-{place}", stack=f"stack-{place}", account=f"account-{place}", percent=Decimal(1))
        for place in range(stacks)
    )
    lines = tuple(BasketLine(name, name, "", "", 1, 1000, tax_rate=Decimal(0), tax_inclusive=True) for name in names)
    return split(
        Basket("EUR", lines),
        FeeTerms(Schedule("fee_wide", 1, rules, required=frozenset()), at=datetime(2026, 5, 1, tzinfo=UTC)),
        TaxTerms(PlatformTax("NL", Decimal(21)), {name: SellerTax("US", vat_number_valid=False) for name in names}),
    )


def test_one_entry_holds_two_thousand_amounts_and_no_more() -> None:
    booking.check(sale(sellers=100, stacks=20))
    with pytest.raises(SaleTooWide) as refused:
        booking.check(sale(sellers=101, stacks=20))
    assert (refused.value.count, refused.value.path) == (2020, ("lines",))
