"""A sale that is settled in another currency: the worked example to the cent, then what holds for every sale."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbill.rules.fx import ExchangeRate, RateMissing, WrongCurrency, rate_of
from marketbill.rules.rates import RateOutOfRange, RateTooPrecise
from marketbill.rules.settlement import (
    BY_PROVIDER,
    LOSS,
    MARGIN,
    PROVIDER,
    MarkupMisplaced,
    Movement,
    SellerRate,
    SellerTerms,
    refunded,
    settled,
)

AT = datetime(2026, 10, 30, tzinfo=UTC)
MID = rate_of("USD", "EUR", Decimal("0.9184"), source="ecb", at=AT)
PROMISED = SellerTerms(SellerRate.MID)
ONE_PERCENT = SellerTerms(SellerRate.MARKUP, Decimal(1))


def by_currency(movements: Iterable[Movement]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for movement in movements:
        sums[movement.currency] += movement.amount
    return sums


def balances(movements: Iterable[Movement]) -> dict[tuple[str, str], int]:
    sums: Counter[tuple[str, str]] = Counter()
    for movement in movements:
        sums[movement.account, movement.currency] += movement.amount
    return dict(sums)


def test_the_worked_example_by_the_providers_rate() -> None:
    made = settled({"s": 11000}, sellers={"s"}, currency="USD", into="EUR", amount=9900)

    assert made.movements == (
        Movement(PROVIDER, "EUR", 9900),
        Movement(PROVIDER, "USD", -11000),
        Movement("s", "USD", 11000),
        Movement("s", "EUR", -9900),
    )
    assert not any(by_currency(made.movements).values())


def test_the_worked_example_when_the_middle_rate_was_promised() -> None:
    made = settled({"s": 11000}, sellers={"s"}, currency="USD", into="EUR", amount=9900, terms=PROMISED, mid=MID)

    assert (made.parts["s"], made.loss, made.margin) == (10102, 202, 0)
    assert balances(made.movements)[LOSS, "EUR"] == 202
    assert not any(by_currency(made.movements).values())


def test_a_promised_rate_below_the_providers_is_a_gain() -> None:
    low = rate_of("USD", "EUR", Decimal("0.8900"), source="ecb", at=AT)
    made = settled({"s": 11000}, sellers={"s"}, currency="USD", into="EUR", amount=9900, terms=PROMISED, mid=low)

    assert (made.parts["s"], made.loss) == (9790, -110)
    assert balances(made.movements)[LOSS, "EUR"] == -110


def test_the_worked_example_with_a_markup_of_one_percent() -> None:
    made = settled({"s": 11000}, sellers={"s"}, currency="USD", into="EUR", amount=9900, terms=ONE_PERCENT)

    assert (made.parts["s"], made.margin, made.loss) == (9801, 99, 0)
    assert balances(made.movements)[MARGIN, "EUR"] == -99
    assert not any(by_currency(made.movements).values())


def test_the_worked_refund_at_a_worse_rate() -> None:
    made = refunded({"s": 9900}, into="EUR", taken=10120)

    assert made == (Movement("s", "EUR", 9900), Movement(LOSS, "EUR", 220), Movement(PROVIDER, "EUR", -10120))
    assert not any(by_currency(made).values())
    assert refunded({"s": 9900}, into="EUR", taken=9900) == (
        Movement("s", "EUR", 9900),
        Movement(PROVIDER, "EUR", -9900),
    )


def test_fees_and_tax_follow_by_the_providers_rate_whatever_the_sellers_get() -> None:
    # 110.00 USD: fee 11.00, tax on it 2.31, sellers 60.00 and 36.69; exact 990, 207.9, 5400, 3302.1 cents.
    parts = {"fee": 1100, "tax": 231, "a": 6000, "b": 3669}

    plain = settled(parts, sellers={"a", "b"}, currency="USD", into="EUR", amount=9900)
    assert plain.parts == {"fee": 990, "tax": 208, "a": 5400, "b": 3302}

    # 1 % of 87.02 is 0.87; 86.15 over the two: exact 5345.95 and 3269.05.
    marked = settled(parts, sellers={"a", "b"}, currency="USD", into="EUR", amount=9900, terms=ONE_PERCENT)
    assert (marked.parts, marked.margin) == ({"fee": 990, "tax": 208, "a": 5346, "b": 3269}, 87)

    # 96.69 at 0.9184 is 88.80; exact 5510.4 and 3369.6.
    mid = settled(parts, sellers={"a", "b"}, currency="USD", into="EUR", amount=9900, terms=PROMISED, mid=MID)
    assert (mid.parts, mid.loss) == ({"fee": 990, "tax": 208, "a": 5510, "b": 3370}, 178)


def test_what_the_platform_added_for_a_discount_is_converted_against_it() -> None:
    made = settled({"s": 12100, "promo": -1210}, sellers={"s"}, currency="USD", into="EUR", amount=9801)

    assert made.parts == {"s": 10890, "promo": -1089}
    assert balances(made.movements)["promo", "EUR"] == 1089


def test_a_promise_without_its_rate_is_refused() -> None:
    with pytest.raises(RateMissing, match="from USD to EUR"):
        settled({"s": 1}, sellers={"s"}, currency="USD", into="EUR", amount=1, terms=PROMISED)
    for wrong in (("GBP", "EUR"), ("USD", "GBP")):
        mid = ExchangeRate(*wrong, 1, 1, "ecb", AT)
        with pytest.raises(WrongCurrency):
            settled({"s": 1}, sellers={"s"}, currency="USD", into="EUR", amount=1, terms=PROMISED, mid=mid)


@pytest.mark.parametrize(
    ("policy", "markup"),
    [
        (SellerRate.MARKUP, "0"),
        (SellerRate.MARKUP, "-1"),
        (SellerRate.MARKUP, "100"),
        (SellerRate.PROVIDER, "1"),
        (SellerRate.PROVIDER, "-1"),
        (SellerRate.MID, "1"),
        (SellerRate.MID, "NaN"),
    ],
)
def test_a_markup_belongs_to_its_policy_alone(policy: SellerRate, markup: str) -> None:
    with pytest.raises((MarkupMisplaced, RateOutOfRange)):
        SellerTerms(policy, Decimal(markup))


def test_a_markup_has_at_most_four_decimals() -> None:
    assert SellerTerms(SellerRate.MARKUP, Decimal("0.0001")).markup == Decimal("0.0001")
    with pytest.raises(RateTooPrecise):
        SellerTerms(SellerRate.MARKUP, Decimal("0.00001"))


PAIRS = st.sampled_from(
    [("USD", "EUR"), ("JPY", "EUR"), ("EUR", "JPY"), ("KWD", "EUR"), ("EUR", "KWD"), ("JPY", "KWD")]
)
TERMS = st.sampled_from([BY_PROVIDER, PROMISED, ONE_PERCENT, SellerTerms(SellerRate.MARKUP, Decimal("2.7183"))])


@given(
    pair=PAIRS,
    terms=TERMS,
    sellers=st.lists(st.integers(1, 10**7), min_size=1, max_size=6),
    own=st.lists(st.integers(0, 10**5), max_size=3),
    promo=st.integers(0, 10**5),
    amount=st.integers(1, 10**8),
    ratio=st.tuples(st.integers(1, 10**4), st.integers(1, 10**4)),
)
def test_every_settlement_closes_its_position(
    pair: tuple[str, str],
    terms: SellerTerms,
    sellers: list[int],
    own: list[int],
    promo: int,
    amount: int,
    ratio: tuple[int, int],
) -> None:
    currency, into = pair
    parts = {f"s{number}": part for number, part in enumerate(sellers)}
    parts |= {f"fee{number}": part for number, part in enumerate(own)}
    parts["promo"] = -min(promo, sum(parts.values()) - 1)
    mid = ExchangeRate(currency, into, *ratio, "ecb", AT)
    owed = {id for id in parts if id.startswith("s")}

    made = settled(parts, sellers=owed, currency=currency, into=into, amount=amount, terms=terms, mid=mid)

    assert not any(by_currency(made.movements).values())
    assert sum(made.parts.values()) + made.margin - made.loss == amount
    held = balances(made.movements)
    assert held[PROVIDER, into] == amount
    assert held[PROVIDER, currency] == -sum(parts.values())
    for id, part in parts.items():
        assert held.get((id, currency), 0) == part
        assert held.get((id, into), 0) == -made.parts[id]
    assert made.margin >= 0 or terms.policy is not SellerRate.MARKUP
