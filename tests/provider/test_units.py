"""Stripe's units: the zero-decimal list, the hundredfold ones, three decimals, payouts in whole units, the maximum."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbill.money import EXPONENTS, exponent
from marketbill.provider.stripe.units import (
    NotOnTheWire,
    from_stripe,
    payable_part,
    to_stripe,
    to_stripe_charge,
    to_stripe_payout,
)

CURRENCIES = ("EUR", "USD", "JPY", "KRW", "ISK", "UGX", "MGA", "KWD", "BHD", "HUF", "TWD", "CLP", "XOF")


@pytest.mark.parametrize(
    ("minor", "currency", "wire"),
    [
        (1210, "EUR", 1210),
        (500, "JPY", 500),
        (5, "ISK", 500),  # 5 krónur are written 500
        (7, "UGX", 700),
        (300, "MGA", 3),  # ISO gives the ariary two decimals, Stripe none
        (5120, "KWD", 5120),
        (10050, "HUF", 10050),
    ],
)
def test_an_amount_and_its_number_on_the_wire(minor: int, currency: str, wire: int) -> None:
    assert to_stripe(minor, currency) == wire
    assert from_stripe(wire, currency) == minor


@pytest.mark.parametrize(("minor", "currency"), [(5125, "KWD"), (1, "BHD"), (350, "MGA"), (1, "MGA")])
def test_an_amount_that_stripe_cannot_move_is_refused_and_not_rounded(minor: int, currency: str) -> None:
    with pytest.raises(NotOnTheWire) as refusal:
        to_stripe(minor, currency)
    assert (refusal.value.amount, refusal.value.currency) == (minor, currency)


def test_a_payout_of_forints_is_of_whole_forints() -> None:
    assert to_stripe_payout(10_000, "HUF") == 10_000
    with pytest.raises(NotOnTheWire):
        to_stripe_payout(10_050, "HUF")
    assert payable_part(10_050, "HUF") == 10_000
    assert to_stripe_payout(5, "ISK") == 500


def test_the_largest_charge() -> None:
    assert to_stripe_charge(99_999_999, "USD") == 99_999_999
    with pytest.raises(NotOnTheWire):
        to_stripe_charge(100_000_000, "USD")
    assert to_stripe_charge(999_999_999_999, "IDR") == 999_999_999_999


def test_a_number_that_is_no_amount_is_not_read() -> None:
    with pytest.raises(ValueError, match="ISK"):
        from_stripe(550, "ISK")


@given(st.integers(0, 10**12), st.sampled_from(CURRENCIES))
def test_what_can_be_written_is_read_back_and_what_can_be_paid_can_be_written(amount: int, currency: str) -> None:
    assert exponent(currency) in EXPONENTS
    part = payable_part(amount, currency)
    assert 0 <= amount - part < 100
    assert from_stripe(to_stripe_payout(part, currency), currency) == part
    try:
        assert from_stripe(to_stripe(amount, currency), currency) == amount
    except NotOnTheWire:
        assert part < amount
