"""Exchange rates and conversion: the arithmetic by hand, then what holds for every amount."""

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbill.money import UnknownCurrency, exponent
from marketbill.rules.fx import (
    NO_RATES,
    BadRate,
    ExchangeRate,
    RateMissing,
    Rates,
    RateTooOld,
    WrongCurrency,
    convert,
    cross,
    exact,
    inverse,
    rate_of,
    spread,
)

FRIDAY = datetime(2026, 10, 30, 15, tzinfo=UTC)


def rate(base: str, quote: str, text: str) -> ExchangeRate:
    return rate_of(base, quote, Decimal(text), source="ecb", at=FRIDAY)


#: Amount, currency, rate, and what comes out, each by hand.
TABLE = [
    (11000, "USD", "EUR", "0.9000", 9900),
    (11000, "USD", "EUR", "0.9184", 10102),  # 10102.4
    (11000, "USD", "EUR", "0.9200", 10120),
    (1, "EUR", "USD", "1.5", 2),  # 1.5 goes away from zero
    (-1, "EUR", "USD", "1.5", -2),
    (1, "EUR", "USD", "0.4999", 0),
    (0, "EUR", "USD", "1.5", 0),
    (1210, "EUR", "JPY", "162.35", 1964),  # 12.10 x 162.35 = 1964.435 yen
    (1005, "JPY", "EUR", "0.0061595", 619),  # 6.1902975 euros
    (5120, "KWD", "EUR", "2.9931", 1532),  # 5.120 dinars: 15.324672 euros
    (1532, "EUR", "KWD", "0.3341", 5118),  # 5.118412 dinars
    (5120, "KWD", "JPY", "488.21", 2500),  # 2499.6352 yen
    (2500, "JPY", "KWD", "0.0020483", 5121),  # 5.12075 dinars, half a fils away
    (1255, "ISK", "EUR", "0.0069", 866),  # 8.6595 euros
    (1, "BHD", "KRW", "3700", 4),  # 0.001 x 3700 = 3.7 won
]


@pytest.mark.parametrize(("amount", "base", "quote", "text", "expected"), TABLE)
def test_an_amount_is_converted_and_rounded_once(amount: int, base: str, quote: str, text: str, expected: int) -> None:
    assert convert(amount, base, rate(base, quote, text)) == expected


def test_a_rate_is_kept_as_it_was_told() -> None:
    told = rate("EUR", "USD", "1.0891")

    assert (told.numerator, told.denominator, told.fraction) == (10891, 10000, "10891/10000")
    assert exact(100, "EUR", told) == (100 * 10891 * 100, 10000 * 100)


def test_an_inverse_and_a_cross_rate_say_what_they_are() -> None:
    dollars = rate("EUR", "USD", "1.25")
    yen = ExchangeRate("EUR", "JPY", 160, 1, "ecb", datetime(2026, 10, 29, 15, tzinfo=UTC))

    back = inverse(dollars)
    assert (back.base, back.quote, back.fraction, back.source) == ("USD", "EUR", "4/5", "inverse of ecb")
    across = cross(back, yen)
    assert (across.base, across.quote, across.fraction, across.at) == ("USD", "JPY", "128", yen.at)
    assert across.source == "inverse of ecb crossed with ecb over EUR"
    with pytest.raises(WrongCurrency):
        cross(dollars, yen)
    with pytest.raises(BadRate, match="worth itself"):
        cross(dollars, back)


@pytest.mark.parametrize("text", ["0", "-1", "NaN", "Infinity"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(BadRate):
        rate("EUR", "USD", text)


def test_a_rate_is_between_two_currencies_that_there_are() -> None:
    with pytest.raises(BadRate, match="worth itself"):
        rate("EUR", "EUR", "1")
    with pytest.raises(UnknownCurrency):
        rate("EUR", "HRK", "7.5")
    with pytest.raises(WrongCurrency, match="from USD, the amount is in EUR"):
        convert(100, "EUR", rate("USD", "EUR", "0.9"))


def test_a_missing_pair_is_an_error_and_its_inverse_does_not_stand_in() -> None:
    rates = Rates.of([rate("EUR", "USD", "1.25")])

    assert rates.rate("EUR", "USD").fraction == "5/4"
    with pytest.raises(RateMissing, match="from USD to EUR") as missing:
        rates.rate("USD", "EUR")
    assert (missing.value.base, missing.value.quote) == ("USD", "EUR")
    with pytest.raises(RateMissing):
        NO_RATES.rate("EUR", "USD")


def test_a_rate_is_refused_once_it_is_too_old_and_never_before_its_day() -> None:
    rates = Rates.of([rate("EUR", "USD", "1.25")])

    assert rates.rate_on("EUR", "USD", date(2026, 10, 30), days_max=0).at == FRIDAY
    assert rates.rate_on("EUR", "USD", date(2026, 11, 1), days_max=2).at == FRIDAY
    with pytest.raises(RateTooOld, match="2026-10-30, more than 2 days before 2026-11-02") as old:
        rates.rate_on("EUR", "USD", date(2026, 11, 2), days_max=2)
    assert old.value.rate.at == FRIDAY
    with pytest.raises(RateMissing, match="on or before 2026-10-29"):
        rates.rate_on("EUR", "USD", date(2026, 10, 29), days_max=5)
    with pytest.raises(RateMissing):
        rates.rate_on("EUR", "JPY", date(2026, 10, 30), days_max=5)


#: A converted whole, the parts it came from, and their shares by hand.
SPREADS = [
    (9900, {"a": 11000}, {"a": 9900}),
    # Exact 3330, 3330, 3240 of 9900 over 37, 37, 36.
    (9900, {"a": 3700, "b": 3700, "c": 3600}, {"a": 3330, "b": 3330, "c": 3240}),
    # 33.33 each and one cent left: the first id.
    (100, {"c": 5, "a": 5, "b": 5}, {"c": 33, "a": 34, "b": 33}),
    # A discount of 12.10 that the platform pays: exact 108.90 and -10.89.
    (9801, {"s": 12100, "promo": -1210}, {"s": 10890, "promo": -1089}),
    # Exact 1.5 and -0.5: both have a remainder of a half, the first id gets the cent.
    (1, {"a": 3, "b": -1}, {"a": 2, "b": -1}),
    (0, {"a": 0, "b": 0}, {"a": 0, "b": 0}),
]


@pytest.mark.parametrize(("total", "parts", "expected"), SPREADS)
def test_a_converted_whole_is_spread(total: int, parts: dict[str, int], expected: dict[str, int]) -> None:
    assert spread(total, parts) == expected


def test_nothing_has_no_shares() -> None:
    with pytest.raises(ValueError, match="nothing to share"):
        spread(5, {"a": 1, "b": -1})
    with pytest.raises(ValueError, match="nothing to share"):
        spread(0, {"a": 1, "b": -1})


CURRENCIES = st.sampled_from(["JPY", "ISK", "EUR", "USD", "HUF", "KWD", "BHD"])
AMOUNTS = st.integers(-(10**12), 10**12)


@st.composite
def any_rate(draw: st.DrawFn) -> ExchangeRate:
    base = draw(CURRENCIES)
    quote = draw(CURRENCIES.filter(lambda code: code != base))
    return ExchangeRate(base, quote, draw(st.integers(1, 10**6)), draw(st.integers(1, 10**6)), "ecb", FRIDAY)


@given(any_rate(), AMOUNTS)
def test_a_conversion_is_within_half_a_unit_of_exact_and_mirrors(rate: ExchangeRate, amount: int) -> None:
    worth = convert(amount, rate.base, rate)
    scale = Fraction(10) ** (exponent(rate.quote) - exponent(rate.base))

    assert abs(worth - Fraction(amount * rate.numerator, rate.denominator) * scale) <= Fraction(1, 2)
    assert convert(-amount, rate.base, rate) == -worth
    assert inverse(inverse(rate)).fraction == rate.fraction


@given(any_rate(), AMOUNTS)
def test_there_and_back_loses_no_more_than_the_rounding(rate: ExchangeRate, amount: int) -> None:
    there = convert(amount, rate.base, rate)
    back = convert(there, rate.quote, inverse(rate))

    unit = Fraction(rate.denominator, rate.numerator) * Fraction(10) ** (exponent(rate.base) - exponent(rate.quote))
    assert abs(back - amount) <= unit / 2 + Fraction(1, 2)


@given(st.integers(-(10**9), 10**9), st.dictionaries(st.text("abcdef", min_size=1), AMOUNTS, min_size=1, max_size=8))
def test_shares_make_the_whole_are_within_a_unit_and_mirror(total: int, parts: dict[str, int]) -> None:
    whole = sum(parts.values())
    if whole == 0:
        return
    shares = spread(total, parts)

    assert sum(shares.values()) == total
    assert all(abs(shares[id] - Fraction(part * total, whole)) < 1 for id, part in parts.items())
    assert spread(total, dict(reversed(parts.items()))) == shares
    assert spread(-total, {id: -part for id, part in parts.items()}) == {id: -share for id, share in shares.items()}
