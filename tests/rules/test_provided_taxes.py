"""Decisions from a provider's answer: its own amounts come out again, to the cent, or the sale is refused."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbill.money import round_ratio
from marketbill.rules.basket import Basket, BasketLine, Shipping
from marketbill.rules.pricing import price
from marketbill.rules.tax.line_tax import Liable
from marketbill.rules.tax.provided import (
    AskedAmount,
    ProvidedTax,
    TaxCalculation,
    TaxNotReproduced,
    TaxPart,
    asked_amounts,
    provided_decisions,
)

UNTIL = datetime(2027, 2, 1, tzinfo=UTC)


def basket(*lines: tuple[int, bool, Decimal | None], shipping: int = 0) -> Basket:
    made = tuple(
        BasketLine(f"{number:03d}", "sel_a", "thing", "goods", 1, amount, rate, inclusive)
        for number, (amount, inclusive, rate) in enumerate(lines, 1)
    )
    return Basket("USD", made, shipping=(Shipping("sel_a", shipping),) if shipping else ())


def part(percent: str, reason: str = "standard_rated", place: str = "US-WA") -> TaxPart:
    return TaxPart(place, Decimal(percent), reason, "Sales tax" if Decimal(percent) else "")


def answer(*taxes: tuple[str, int], parts: tuple[TaxPart, ...]) -> TaxCalculation:
    return TaxCalculation("taxcalc_1", UNTIL, tuple(ProvidedTax(name, tax, parts) for name, tax in taxes))


@pytest.mark.parametrize(
    ("amount", "inclusive", "tax", "parts", "rate"),
    [
        # One rate of one place: 65 of 10.00; 65 within 10.65.
        (1_000, False, 65, (part("6.5"),), "6.5"),
        (1_065, True, 65, (part("6.5"),), "6.5"),
        # State 6.5 % and county 3.85 % on 10.00, each rounded: 65 + 39 (38.5), together 103.5 rounded up: one sum.
        (1_000, False, 104, (part("6.5"), part("3.85")), "10.35"),
        # Each rounded half up on 0.10: 0.65 to 1 and 0.385 to 0 make 1; so does the sum, 1.035.
        (10, False, 1, (part("6.5"), part("3.85")), "10.35"),
        # Each of two halves is rounded up, 2.5 to 3 and 2.5 to 3: the sum of the rates gives 5, the effective one 6.
        (50, False, 6, (part("5"), part("5")), "12"),
        # Nothing is taken.
        (1_000, False, 0, (part("0", "not_collecting"),), "0"),
    ],
)
def test_the_rate_gives_the_providers_amount(
    amount: int, inclusive: bool, tax: int, parts: tuple[TaxPart, ...], rate: str
) -> None:
    asked = asked_amounts(basket((amount, inclusive, None)), {})
    decided = provided_decisions(asked, answer(("001", tax), parts=parts))
    assert decided["001"].rate == Decimal(rate)
    [priced] = price(basket((amount, inclusive, None)), decided)
    assert priced.tax == tax


@pytest.mark.parametrize(
    ("parts", "liable", "place"),
    [
        ((part("6.5"),), Liable.PLATFORM, "US-WA"),
        ((part("0", "zero_rated", "GB"),), Liable.PLATFORM, "GB"),
        ((part("0", "reverse_charge", "DE"),), Liable.BUYER, "DE"),
        ((part("0", "not_collecting", "US-OR"),), Liable.SELLER, "US-OR"),
        ((part("0", "product_exempt"),), Liable.NOBODY, "US-WA"),
    ],
)
def test_who_owes_it(parts: tuple[TaxPart, ...], liable: Liable, place: str) -> None:
    asked = asked_amounts(basket((1_000, False, None)), {})
    decided = provided_decisions(asked, answer(("001", 65 if parts[0].percent else 0), parts=parts))["001"]
    assert (decided.liable, decided.jurisdiction, decided.rule) == (liable, place, "stripe-tax:taxcalc_1")
    assert decided.evidence["expires_at"] == UNTIL.isoformat()


def test_what_is_stated_is_not_asked_and_shipping_is_asked_apart() -> None:
    asked = asked_amounts(basket((1_000, False, None), (1_000, False, Decimal(5)), shipping=300), {})
    assert asked == (AskedAmount("001", 1_000, False, ""), AskedAmount("001:shipping", 150, False, ""))


def test_goods_and_shipping_that_no_one_rate_gives_are_refused() -> None:
    asked = asked_amounts(basket((1_000, False, None), shipping=1_000), {})
    with pytest.raises(TaxNotReproduced, match="'001' follows from no single rate"):
        provided_decisions(asked, answer(("001", 65), ("001:shipping", 0), parts=(part("6.5"),)))
    with pytest.raises(ValueError, match="says nothing of 001:shipping"):
        provided_decisions(asked, answer(("001", 65), parts=(part("6.5"),)))


_PERCENT = st.integers(0, 12_000).map(lambda parts: Decimal(parts).scaleb(-3))


@settings(max_examples=200)
@given(amount=st.integers(1, 1_000_000), percents=st.lists(_PERCENT, min_size=1, max_size=4))
def test_any_places_each_rounded_for_itself_come_out_to_the_cent(amount: int, percents: list[Decimal]) -> None:
    """Up to 10,000.00 a rate of four decimals moves by less than half a cent, so there always is one."""
    tax = sum(round_ratio(amount * int(percent * 1000), 100_000) for percent in percents)
    if tax > amount:
        return
    one = basket((amount, False, None))
    decided = provided_decisions(
        asked_amounts(one, {}), answer(("001", tax), parts=tuple(map(part, map(str, percents))))
    )
    assert price(one, decided)[0].tax == tax
