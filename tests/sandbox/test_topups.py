"""Top-ups: money of the platform's own, from banks that refuse it or take it back."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("btok_us_verified_noAccount", "no_account"),
        ("btok_us_verified_accountClosed", "account_closed"),
        ("btok_us_verified_insufficientFunds", "insufficient_funds"),
        ("btok_us_verified_debitNotAuthorized", "debit_not_authorized"),
        ("btok_us_verified_invalidCurrency", "invalid_currency"),
    ],
)
def test_a_bank_that_refuses(bench: Any, source: str, code: str) -> None:
    made = bench.post("/v1/topups", f"amount=2000&currency=usd&source={source}")
    assert (made["status"], made["balance_transaction"]) == ("pending", None)
    bench.advance(minutes=5)
    after = bench.get(f"/v1/topups/{made['id']}")
    assert (after["status"], after["failure_code"], bool(after["failure_message"])) == ("failed", code, True)
    assert [event["data"]["object"]["id"] for event in bench.events("topup.failed")] == [made["id"]]
    assert bench.balance("usd") == (0, 0)


def test_a_bank_that_takes_it_back(bench: Any) -> None:
    made = bench.post("/v1/topups", "amount=2000&currency=usd&source=btok_us_verified_reversed")
    assert made["status"] == "succeeded"
    bench.post("/v1/payouts", "amount=1500&currency=usd")
    bench.advance(days=3)
    assert bench.get(f"/v1/topups/{made['id']}")["status"] == "reversed"
    moved = bench.get("/v1/balance_transactions?type=topup_reversal&expand[]=data.source")["data"]
    assert [(one["net"], one["reporting_category"], one["source"]["id"]) for one in moved] == [
        (-2_000, "topup_reversal", made["id"])
    ]
    assert bench.balance("usd") == (-1_500, 0)
    assert len(bench.events("topup.reversed")) == 1
    assert bench.control("state")["books_balance"]


def test_only_a_pending_one_can_be_canceled(bench: Any) -> None:
    pending = bench.post("/v1/topups", "amount=2000&currency=usd&source=btok_us_verified_noAccount")["id"]
    assert bench.post(f"/v1/topups/{pending}/cancel")["status"] == "canceled"
    bench.advance(minutes=5)
    assert bench.events("topup.failed") == []
    done = bench.post("/v1/topups", "amount=2000&currency=usd")["id"]
    for identifier, status in ((pending, "canceled"), (done, "succeeded")):
        assert f"is {status}" in bench.refusal(f"/v1/topups/{identifier}/cancel")["message"]


def test_an_unknown_source(bench: Any) -> None:
    error = bench.refusal("/v1/topups", "amount=2000&currency=usd&source=btok_nope")
    assert (error["code"], error["param"]) == ("resource_missing", "source")
