"""Transfers out of charges and balances, and the books under random stories."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


class TestSourceTransaction:
    def test_a_pending_charge_is_shared_at_once_and_paid_when_it_settles(self, bench: Any) -> None:
        charge = bench.pay(10_000, card="pm_card_visa")["latest_charge"]
        sellers = [bench.seller(), bench.seller()]
        for seller, amount in zip(sellers, (6_000, 3_000), strict=True):
            transfer = bench.post(
                "/v1/transfers",
                f"amount={amount}&currency=usd&destination={seller}&source_transaction={charge['id']}"
                "&expand[]=balance_transaction&expand[]=destination_payment.balance_transaction",
            )
            for side in (transfer["balance_transaction"], transfer["destination_payment"]["balance_transaction"]):
                assert side["available_on"] == charge["balance_transaction"]["available_on"]
                assert side["status"] == "pending"
            assert bench.balance("usd", seller) == (0, amount)
        assert bench.balance("usd") == (0, 9_680 - 9_000)
        bench.advance(days=3)
        assert [bench.balance("usd", seller) for seller in sellers] == [(6_000, 0), (3_000, 0)]
        assert bench.balance("usd") == (680, 0)
        assert len(bench.events("balance.available", sellers[0])) == 1

    def test_the_sum_stays_within_the_gross_charge(self, bench: Any) -> None:
        charge, seller = bench.pay(10_000)["latest_charge"]["id"], bench.seller()
        form = f"currency=usd&destination={seller}&source_transaction={charge}"
        bench.post("/v1/transfers", f"amount=9990&{form}")
        error = bench.refusal("/v1/transfers", f"amount=11&{form}")
        assert error["message"] == (
            "Transfers using this transaction as a source must not exceed the source amount of $100.00. "
            "(There is already a transfer using this source, amounting to $99.90.)"
        )
        assert "code" not in error
        # Gross, not net: the fee of 3.20 is the platform's, whose available balance goes below zero for it.
        bench.post("/v1/transfers", f"amount=10&{form}")
        assert bench.balance("usd") == (-320, 0)

    def test_the_group_is_the_charges(self, bench: Any) -> None:
        seller = bench.seller()
        grouped = bench.pay(1_000, more="&transfer_group=order_9")
        transfer = bench.post(
            "/v1/transfers",
            f"amount=10&currency=usd&destination={seller}&source_transaction={grouped['latest_charge']['id']}",
        )
        assert transfer["transfer_group"] == "order_9"
        plain = bench.pay(1_000)
        transfer = bench.post(
            "/v1/transfers",
            f"amount=10&currency=usd&destination={seller}&source_transaction={plain['latest_charge']['id']}",
        )
        assert transfer["transfer_group"] == f"group_{plain['id']}"
        assert bench.get(f"/v1/charges/{plain['latest_charge']['id']}")["transfer_group"] == f"group_{plain['id']}"

    def test_only_a_captured_charge_is_a_source(self, bench: Any) -> None:
        seller = bench.seller()
        held = bench.post(
            "/v1/payment_intents",
            "amount=1000&currency=usd&payment_method=pm_card_visa&confirm=true&capture_method=manual"
            "&allowed_payment_method_types[]=card",
        )
        form = f"amount=10&currency=usd&destination={seller}&source_transaction="
        assert bench.refusal("/v1/transfers", form + held["latest_charge"])["param"] == "source_transaction"
        assert bench.refusal("/v1/transfers", form + "ch_nope")["code"] == "resource_missing"


class TestDestination:
    @pytest.mark.parametrize("status", ["inactive", "pending"])
    def test_a_capability_that_is_lost_stops_transfers(self, bench: Any, status: str) -> None:
        bench.pay(10_000)
        seller = bench.seller()
        bench.control(f"accounts/{seller}/capability", {"name": "transfers", "status": status})
        error = bench.refusal("/v1/transfers", f"amount=1&currency=usd&destination={seller}")
        assert error["code"] == "insufficient_capabilities_for_transfer"

    def test_another_platforms_account_is_unknown(self, bench: Any) -> None:
        seller = bench.seller()
        bench.open_platform()
        error = bench.refusal("/v1/transfers", f"amount=1&currency=usd&destination={seller}")
        assert error["message"] == f"No such destination: '{seller}'"
        assert bench.call("GET", "/v1/balance", account=seller).status == 403

    def test_a_currency_without_balance_cannot_be_transferred(self, bench: Any) -> None:
        bench.pay(10_000)
        error = bench.refusal("/v1/transfers", f"amount=1&currency=eur&destination={bench.seller()}")
        assert error["code"] == "balance_insufficient"


STEP = st.one_of(
    st.tuples(st.just("pay"), st.integers(50, 500_000), st.sampled_from(["pm_card_visa", "pm_card_bypassPending"])),
    st.tuples(st.just("decline"), st.integers(50, 500_000), st.just("pm_card_chargeDeclined")),
    st.tuples(st.just("transfer"), st.integers(1, 400_000), st.integers(0, 1)),
    st.tuples(st.just("transfer_from"), st.integers(1, 400_000), st.integers(0, 1)),
    st.tuples(st.just("payout"), st.integers(1, 400_000), st.integers(0, 1)),
    st.tuples(st.just("wait"), st.integers(1, 4), st.just("")),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=14))
def test_whatever_happens_the_books_balance(bench: Any, steps: list[tuple[str, int, Any]]) -> None:
    """No money appears or vanishes: what all hold is what came in by card, less fees, less what banks took."""
    bench.open_platform()
    sellers = [bench.seller(), bench.seller()]
    charge = None
    came_in = went_out = 0
    for word, number, choice in steps:
        if word in ("pay", "decline"):
            answer = bench.call(
                "POST",
                "/v1/payment_intents",
                f"amount={number}&currency=usd&payment_method={choice}&confirm=true&capture_method=automatic"
                "&allowed_payment_method_types[]=card&expand[]=latest_charge.balance_transaction",
            )
            assert answer.status == (200 if word == "pay" else 402)
            if word == "pay":
                charge = answer.body["latest_charge"]
                came_in += charge["balance_transaction"]["net"]
        elif word == "wait":
            bench.advance(days=number)
        elif word == "payout":
            answer = bench.call("POST", "/v1/payouts", f"amount={number}&currency=usd", account=sellers[choice])
            went_out += number if answer.status == 200 else 0
        else:
            source = f"&source_transaction={charge['id']}" if word == "transfer_from" and charge else ""
            bench.call("POST", "/v1/transfers", f"amount={number}&currency=usd&destination={sellers[choice]}{source}")
    held = [sum(bench.balance("usd", account)) for account in (None, *sellers)]
    assert sum(held) == came_in - went_out
    for account, amount in zip((None, *sellers), held, strict=True):
        moved = bench.get("/v1/balance_transactions?limit=100&currency=usd", account=account)["data"]
        assert sum(item["net"] for item in moved) == amount
    assert bench.control("state")["books_balance"]
