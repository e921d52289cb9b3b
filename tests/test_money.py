"""Amounts are read and written exactly, in every currency, or refused with the field's name."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbill.errors import ErrorCode, InvalidInput
from marketbill.money import (
    AMOUNT_MINOR_MAX,
    AmountTooLarge,
    NotAnAmount,
    TooManyDecimals,
    UnknownCurrency,
    bounded,
    decimal_text,
    display,
    exponent,
    parse_decimal,
    round_half_away,
    round_ratio,
)

CURRENCIES = ("EUR", "USD", "JPY", "KRW", "ISK", "UGX", "KWD", "TND", "LBP", "IQD", "XCG", "ZWG")
amounts = st.integers(min_value=-AMOUNT_MINOR_MAX, max_value=AMOUNT_MINOR_MAX)


@pytest.mark.parametrize(
    ("currency", "decimals"),
    [
        ("EUR", 2),
        ("JPY", 0),
        ("KRW", 0),
        ("CLP", 0),
        ("VND", 0),
        ("ISK", 0),
        ("KWD", 3),
        ("BHD", 3),
        ("TND", 3),
        ("XCG", 2),
    ],
)
def test_the_exponent_is_the_one_of_iso_4217(currency: str, decimals: int) -> None:
    assert exponent(currency) == decimals


@pytest.mark.parametrize(
    "code", ["", "eur", "EURO", "HRK", "BGN", "ANG", "XAU", "XTS", "XXX", "CLF", "UYW", "BTC", "€"]
)
def test_a_code_nobody_can_pay_with_is_refused(code: str) -> None:
    with pytest.raises(UnknownCurrency) as refusal:
        exponent(code, path=("currency",))
    assert refusal.value.path == ("currency",)
    assert refusal.value.code is ErrorCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (1210, "EUR", "12.10"),
        (5, "EUR", "0.05"),
        (-5, "EUR", "-0.05"),
        (0, "EUR", "0.00"),
        (-1210, "EUR", "-12.10"),
        (5, "JPY", "5"),
        (-1005, "JPY", "-1005"),
        (5120, "KWD", "5.120"),
        (7, "KWD", "0.007"),
        (10**15, "EUR", "10000000000000.00"),
    ],
)
def test_an_amount_is_written_with_all_its_decimals_and_read_back(minor: int, currency: str, text: str) -> None:
    assert decimal_text(minor, currency) == text
    assert parse_decimal(text, currency) == minor


@given(minor=amounts, currency=st.sampled_from(CURRENCIES))
def test_writing_and_reading_lose_nothing(minor: int, currency: str) -> None:
    text = decimal_text(minor, currency)
    assert parse_decimal(text, currency) == minor
    assert Decimal(text) == Decimal(minor).scaleb(-exponent(currency))


@pytest.mark.parametrize(
    ("text", "currency", "minor"), [("12", "EUR", 1200), ("12.1", "EUR", 1210), ("007", "JPY", 7), ("-0", "EUR", 0)]
)
def test_fewer_decimals_than_the_currency_has_are_enough(text: str, currency: str, minor: int) -> None:
    assert parse_decimal(text, currency) == minor


@pytest.mark.parametrize(
    ("text", "currency"), [("12.100", "EUR"), ("12.101", "EUR"), ("5.0", "JPY"), ("100.5", "JPY"), ("5.1200", "KWD")]
)
def test_too_many_decimals_are_refused_and_never_trimmed(text: str, currency: str) -> None:
    with pytest.raises(TooManyDecimals) as refusal:
        parse_decimal(text, currency, path=("lines", "3", "unitPrice"))
    assert refusal.value.path == ("lines", "3", "unitPrice")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "12,10",
        "1,000.00",
        "1e3",
        "+5",
        "--5",
        "5.",
        ".5",
        "0x10",
        "NaN",
        "Infinity",
        "12 ",
        "1_000",
        "١٢",
        "1\n",
        "9" * 41,
    ],
)
def test_what_is_no_plain_decimal_number_is_refused(text: str) -> None:
    with pytest.raises(NotAnAmount):
        parse_decimal(text, "EUR")


@given(st.text(max_size=60))
def test_any_text_is_an_amount_or_an_invalid_input(text: str) -> None:
    try:
        minor = parse_decimal(text, "EUR")
    except InvalidInput:
        return
    assert Decimal(text) * 100 == minor


@pytest.mark.parametrize("text", ["10000000000000.01", "-10000000000000.01", "9" * 40])
def test_an_amount_beyond_the_bound_is_refused(text: str) -> None:
    with pytest.raises(AmountTooLarge):
        parse_decimal(text, "EUR")


def test_the_bound_leaves_room_for_thousands_of_amounts_in_a_bigint_and_for_javascript() -> None:
    assert 9_000 * AMOUNT_MINOR_MAX < 2**63
    assert AMOUNT_MINOR_MAX < 2**53
    assert bounded(AMOUNT_MINOR_MAX) == AMOUNT_MINOR_MAX
    assert bounded(-AMOUNT_MINOR_MAX) == -AMOUNT_MINOR_MAX
    with pytest.raises(AmountTooLarge):
        bounded(AMOUNT_MINOR_MAX + 1)


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (12100, "EUR", "€121.00"),
        (-1210, "USD", "-$12.10"),
        (1005, "JPY", "¥1,005"),
        (5120, "KWD", "KWD\u00a05.120"),
        (123, "LBP", "LBP\u00a01.23"),
        (1239, "IQD", "IQD\u00a01.239"),
        (123, "RSD", "RSD\u00a01.23"),
        (100, "ZWG", "ZWG\u00a01.00"),
        (10**15, "EUR", "€10,000,000,000,000.00"),
    ],
)
def test_a_person_sees_every_decimal_even_where_cldr_hides_them(minor: int, currency: str, text: str) -> None:
    assert display(minor, currency) == text


@given(minor=amounts, currency=st.sampled_from(CURRENCIES))
def test_what_a_person_sees_has_exactly_the_digits_of_the_amount(minor: int, currency: str) -> None:
    shown = "".join(character for character in display(minor, currency) if character.isdigit())
    assert shown == decimal_text(abs(minor), currency).replace(".", "")


@pytest.mark.parametrize(
    ("numerator", "denominator", "rounded"),
    [(5, 2, 3), (-5, 2, -3), (49, 20, 2), (-49, 20, -2), (1, 2, 1), (-1, 2, -1), (0, 7, 0), (201, 2, 101), (7, 1, 7)],
)
def test_a_half_is_rounded_away_from_zero(numerator: int, denominator: int, rounded: int) -> None:
    assert round_ratio(numerator, denominator) == rounded
    assert round_half_away(Fraction(numerator, denominator)) == rounded


@given(exact=st.fractions())
def test_rounding_is_to_the_nearest_and_mirrors_around_zero(exact: Fraction) -> None:
    rounded = round_half_away(exact)
    assert abs(rounded - exact) <= Fraction(1, 2)
    assert round_half_away(-exact) == -rounded
    if abs(rounded - exact) == Fraction(1, 2):
        assert abs(rounded) > abs(exact)
