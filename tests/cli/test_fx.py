"""`marketbill fx`: rates as a fraction and a decimal, with their source and day."""

from __future__ import annotations

import pytest
from tests.cli.conftest import Command, Ran


@pytest.fixture
def fx(command: Command, database_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", "k" * 32)

    def call(*words: str) -> Ran:
        return command("fx", *words)

    return call


def test_rates_are_loaded_and_shown(fx) -> None:
    empty = fx("rate", "USD", "EUR", "--on", "2020-03-16")
    assert empty.code != 0
    assert "no exchange rate from USD to EUR" in empty.err

    loaded = fx("refresh")
    assert loaded.code == 0
    assert "rates added from the installed history" in loaded.out
    assert "0 rates added from the feed" in loaded.out
    assert fx("refresh").out.startswith("0 rates added")

    # One euro was 1.1157 dollars on Monday, 16 March 2020.
    shown = fx("rate", "usd", "eur", "--on", "2020-03-16")
    assert shown.out.splitlines() == [
        "1 USD = 10000/11157 EUR",
        "1 USD = 0.8962982881 EUR",
        "source: inverse of ecb, 2020-03-16",
    ]
    sunday = fx("rate", "EUR", "USD", "--on", "2020-03-15")
    assert sunday.out.splitlines()[-1] == "source: ecb, 2020-03-13 (2 days before)"
    rubles = fx("rate", "EUR", "RUB", "--on", "2026-10-01")
    assert rubles.code != 0
    assert "is of 2022-03-01, more than 5 days before 2026-10-01" in rubles.err


def test_a_feed_that_is_away_is_a_failure_and_the_history_stays(fx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECB_RATES_URL", "http://127.0.0.1:1/rates")

    ran = fx("refresh")

    assert ran.code == 1
    assert "did not answer" in ran.err
    assert fx("rate", "EUR", "USD", "--on", "2020-03-16").out.splitlines()[0] == "1 EUR = 11157/10000 USD"
