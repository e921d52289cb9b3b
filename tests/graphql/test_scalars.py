"""Each scalar takes one spelling, never a float, and answers in one spelling."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbill_graphql.scalars import SCALARS, BigInt

_FIRST = datetime.fromisoformat("1970-01-02")
_LAST = datetime.fromisoformat("2200-01-01")
ECHO = (
    "query($big: BigInt, $ratio: Decimal, $at: DateTime, $day: Date, $price: MoneyInput) {"
    " echo(big: $big, ratio: $ratio, at: $at, day: $day, price: $price) }"
)


@pytest.mark.parametrize(
    ("name", "value", "understood"),
    [
        ("big", "1210", "1210"),
        ("big", 1210, "1210"),
        ("big", "-9223372036854775807", "-9223372036854775807"),
        ("big", 12.0, None),
        ("big", 12.5, None),
        ("big", "12.0", None),
        ("big", "1e3", None),
        ("big", "012", None),
        ("big", " 12", None),
        ("big", "", None),
        ("big", True, None),
        ("big", "9223372036854775808", None),
        ("big", 2**53 + 1, None),
        ("big", 10**30, None),
        ("big", "١٢", None),
        ("ratio", "12.5", "Decimal('12.5')"),
        ("ratio", "-0.1", "Decimal('-0.1')"),
        ("ratio", 12.5, None),
        ("ratio", 12, None),
        ("ratio", "NaN", None),
        ("ratio", "1e5", None),
        ("ratio", "Infinity", None),
        ("ratio", ".5", None),
        ("at", "2026-03-01T09:30:00Z", "datetime.datetime(2026, 3, 1, 9, 30, tzinfo=datetime.timezone.utc)"),
        (
            "at",
            "2026-03-01T09:30:00.000001+02:00",
            "datetime.datetime(2026, 3, 1, 7, 30, 0, 1, tzinfo=datetime.timezone.utc)",
        ),
        ("at", "2026-03-01T09:30:00", None),
        ("at", "2026-03-01", None),
        ("at", "2026-02-30T09:30:00Z", None),
        ("at", "2026-03-01T09:30:00.1234567Z", None),
        ("at", "0001-01-01T00:00:00+14:00", None),
        ("at", 1772357400, None),
        ("day", "2026-03-01", "datetime.date(2026, 3, 1)"),
        ("day", "2026-02-29", None),
        ("day", "20260301", None),
        ("day", "2026-03-01T00:00:00Z", None),
        ("price", {"minor": "1210", "currency": "EUR"}, "(1210, 'EUR')"),
        ("price", {"minor": 12.1, "currency": "EUR"}, None),
        ("price", {"minor": "1210", "currency": "eur"}, None),
        ("price", {"minor": "1210", "currency": "XXX"}, None),
        ("price", {"minor": "1210", "currency": 978}, None),
    ],
    ids=repr,
)
async def test_a_scalar_takes_one_spelling(client: Any, name: str, value: Any, understood: str | None) -> None:
    answer = await client.ask(ECHO, **{name: value})

    if understood is None:
        assert "data" not in answer, answer
        assert answer["errors"][0]["extensions"]["code"] == "INVALID_ARGUMENT"
    else:
        assert understood in answer["data"]["echo"]


@pytest.mark.parametrize(
    ("argument", "good"),
    [
        ("big: 1210", True),
        ('big: "1210"', True),
        ("big: 9223372036854775807", True),
        ("big: 9223372036854775808", False),
        ("big: 12.0", False),
        ("big: true", False),
        ('ratio: "12.5"', True),
        ("ratio: 12.5", False),
        ('at: "2026-03-01T09:30:00Z"', True),
        ("at: 5", False),
        ('day: "2026-03-01"', True),
        ('price: {minor: 5, currency: "JPY"}', True),
        ("price: {minor: 5, currency: JPY}", False),
    ],
)
async def test_a_literal_follows_the_same_rules(client: Any, argument: str, good: bool) -> None:
    answer = await client.ask("{ echo(" + argument + ") }")

    assert ("data" in answer) is good


async def test_money_is_answered_exactly(client: Any) -> None:
    answer = await client.ask(
        """{
        euro: price(minor: 1210, currency: "EUR") { minor currency decimal exponent }
        yen: price(minor: "-5", currency: "JPY") { minor decimal exponent }
        dinar: price(minor: 1, currency: "KWD") { decimal exponent }
        }"""
    )

    assert answer["data"] == {
        "euro": {"minor": "1210", "currency": "EUR", "decimal": "12.10", "exponent": 2},
        "yen": {"minor": "-5", "decimal": "-5", "exponent": 0},
        "dinar": {"decimal": "0.001", "exponent": 3},
    }


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_a_big_int_survives_the_way_out_and_in(number: int) -> None:
    scalar = SCALARS[BigInt]
    assert scalar.parse_value
    assert scalar.serialize

    assert scalar.parse_value(scalar.serialize(number)) == number


@given(st.datetimes(min_value=_FIRST, max_value=_LAST), st.integers(-14, 14))
def test_an_instant_survives_the_way_out_and_in(naive: datetime, hours: int) -> None:
    scalar = SCALARS[datetime]
    at = naive.replace(tzinfo=timezone(timedelta(hours=hours)))
    assert scalar.parse_value
    assert scalar.serialize

    text = scalar.serialize(at)
    assert text.endswith("Z")
    assert scalar.parse_value(text) == at
    assert scalar.parse_value(at.isoformat()).tzinfo is UTC
