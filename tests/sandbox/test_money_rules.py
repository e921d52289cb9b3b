"""Numbers: fees, least amounts, decimals, steps, the clock."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbill.sandbox.currencies import CHARGE_MINIMUM, SUPPORTED, exponent, in_words, step
from marketbill.sandbox.fees import charge_fee
from marketbill.sandbox.wire import ApiError


@pytest.mark.parametrize(
    ("amount", "currency", "country", "fee"),
    [
        (12_100, "eur", "NL", 207),  # 181.5 rounds up to 182, plus 25
        (10_000, "usd", "US", 320),  # 290 + 30
        (2_000, "usd", "US", 88),  # 58 + 30
        (700, "usd", "US", 50),  # 20.3 + 30
        (50, "usd", "US", 31),  # 1.45 + 30
        (10_000, "eur", "US", 320),  # European pricing is for European platforms
        (10_000, "gbp", "NL", 310),  # 290 + 20
        (500, "jpy", "US", 45),  # 14.5 rounds up to 15, plus 30
        (100_000, "isk", "NL", 6_900),  # 2 900 + 4 000, whole kronur
        (5_120, "kwd", "US", 240),  # 148.48 to tens is 150, plus 90
    ],
)
def test_fees_by_hand(amount: int, currency: str, country: str, fee: int) -> None:
    assert charge_fee(amount, currency=currency, country=country) == fee


@given(
    amount=st.integers(1, 99_999_999),
    currency=st.sampled_from(sorted(SUPPORTED)),
    country=st.sampled_from(["US", "NL", "GB"]),
)
def test_fees_are_the_rounded_percentage_and_never_fall(amount: int, currency: str, country: str) -> None:
    fee = charge_fee(amount, currency=currency, country=country)
    least = step(currency)
    rate = Fraction(15, 1000) if country == "NL" and currency == "eur" else Fraction(29, 1000)
    fixed = charge_fee(0, currency=currency, country=country)
    assert abs(fee - fixed - amount * rate) <= Fraction(least, 2)
    assert (fee - fixed) % least == 0
    assert charge_fee(amount + 1, currency=currency, country=country) >= fee


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ("amount=550&currency=isk", "parameter_invalid_integer"),
        ("amount=550&currency=ugx", "parameter_invalid_integer"),
        ("amount=5124&currency=bhd", "parameter_invalid_integer"),
        ("amount=49&currency=eur", "amount_too_small"),
        ("amount=29&currency=gbp", "amount_too_small"),
        ("amount=49&currency=jpy", "amount_too_small"),
        ("amount=17499&currency=huf", "amount_too_small"),
        ("amount=100000000&currency=usd", "amount_too_large"),
        ("amount=-1&currency=usd", "parameter_invalid_integer"),
        ("amount=1000000000000&currency=idr", "amount_too_large"),
    ],
)
def test_amounts_that_cannot_be_charged(bench: Any, form: str, code: str) -> None:
    error = bench.refusal("/v1/payment_intents", form + "&allowed_payment_method_types[]=card")
    assert (error["code"], error["param"]) == (code, "amount")


@pytest.mark.parametrize(
    ("amount", "currency"), [(500, "isk"), (5_120, "kwd"), (500, "jpy"), (17_500, "huf"), (99_999_999, "usd")]
)
def test_amounts_that_can(bench: Any, amount: int, currency: str) -> None:
    paid = bench.pay(amount, currency)
    net = paid["latest_charge"]["balance_transaction"]["net"]
    assert bench.balance(currency) == (net, 0)


def test_payouts_in_whole_forints(bench: Any) -> None:
    bench.open_platform("HU", "huf")
    bench.control(f"accounts/{bench.platform}/fund", {"currency": "huf", "amount": 104_500})
    assert bench.refusal("/v1/payouts", "amount=1045&currency=huf")["param"] == "amount"
    assert bench.post("/v1/payouts", "amount=104500&currency=huf")["status"] == "pending"


def test_amounts_in_words() -> None:
    assert [in_words(*pair) for pair in ((600, "usd"), (500, "jpy"), (1_234_567, "eur"), (5, "kwd"), (-5, "sek"))] == [
        "$6.00",
        "¥500",
        "€12,345.67",
        "0.005 kwd",
        "-0.05 sek",
    ]


def test_every_minimum_is_of_a_known_currency() -> None:
    assert set(CHARGE_MINIMUM) <= SUPPORTED
    assert {exponent(currency) for currency in SUPPORTED} == {0, 2, 3}


class TestClock:
    def test_due_work_happens_in_order_and_at_its_moment(self, bench: Any) -> None:
        bench.pay(10_000, card="pm_card_visa")
        start = bench.control("clock")["now"]
        bench.advance(days=30)
        event = bench.events("balance.available")[0]
        assert event["created"] == start - start % 86_400 + 2 * 86_400
        assert bench.control("clock")["now"] - start >= 30 * 86_400

    def test_it_moves_to_a_moment_and_never_back(self, bench: Any) -> None:
        moved = bench.send("POST", "/_sandbox/clock", '{"to": "2028-01-01T00:00:00Z"}')
        assert moved.body["iso"].startswith("2028-01-01T00:00:0")
        for body in ('{"to": "2027-01-01"}', '{"advance_seconds": -1}', "{}", '{"to": "soon"}', "{"):
            answer = bench.send("POST", "/_sandbox/clock", body)
            assert answer.status == 400
            assert answer.body["error"]["message"]

    def test_new_things_carry_the_moved_time(self, bench: Any) -> None:
        bench.advance(days=10)
        now = bench.control("clock")["now"]
        assert abs(bench.post("/v1/customers", "name=x")["created"] - now) <= 5


def test_a_refusal_is_an_exception_with_its_answer() -> None:
    error = ApiError(400, "No.", code="amount_too_small", param="amount")
    assert error.body("req_1")["error"]["doc_url"] == "https://stripe.com/docs/error-codes/amount-too-small"
