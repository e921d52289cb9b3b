"""Refunds: amounts and refusals, what they take from the balance, refunds that wait, come late or come back."""

from __future__ import annotations

from typing import Any

import pytest

CARD = "&allowed_payment_method_types[]=card"


def refund(bench: Any, charge: str, more: str = "") -> Any:
    return bench.post("/v1/refunds", f"charge={charge}{more}")


class TestAmounts:
    def test_parts_add_up_until_nothing_is_left(self, bench: Any) -> None:
        charge = bench.pay(10_000)["latest_charge"]["id"]
        # 10000 less the fee of 320 is 9680; the fee is not given back, so the last refund needs other money.
        bench.post("/v1/topups", "amount=320&currency=usd")
        for amount, total, left in ((1_000, 1_000, 9_000), (2_500, 3_500, 6_500), (6_500, 10_000, 0)):
            made = refund(bench, charge, f"&amount={amount}&expand[]=balance_transaction&expand[]=charge")
            assert (made["status"], made["amount"], "pending_reason" in made) == ("succeeded", amount, False)
            moved = made["balance_transaction"]
            assert (moved["type"], moved["reporting_category"], moved["net"], moved["fee"], moved["source"]) == (
                "refund", "refund", -amount, 0, made["id"],
            )  # fmt: skip
            assert (made["charge"]["amount_refunded"], made["charge"]["refunded"]) == (total, total == 10_000)
            assert "refunds" not in made["charge"]
            assert bench.balance("usd") == (left, 0)
        assert len(bench.events("refund.created")) == len(bench.events("charge.refunded")) == 3
        error = bench.refusal("/v1/refunds", f"charge={charge}")
        assert (error["code"], error["message"]) == (
            "charge_already_refunded",
            f"Charge {charge} has already been refunded.",
        )

    @pytest.mark.parametrize(
        ("before", "wanted", "message"),
        [
            (0, 1_001, "Refund amount ($10.01) is greater than charge amount ($10.00)"),
            (500, 600, "Refund amount ($6.00) is greater than unrefunded amount on charge ($5.00)"),
            (999, 2, "Refund amount ($0.02) is greater than unrefunded amount on charge ($0.01)"),
        ],
    )
    def test_more_than_there_is(self, bench: Any, before: int, wanted: int, message: str) -> None:
        charge = bench.pay(1_000, card="pm_card_visa")["latest_charge"]["id"]
        if before:
            refund(bench, charge, f"&amount={before}")
        error = bench.refusal("/v1/refunds", f"charge={charge}&amount={wanted}")
        assert (error["message"], error["param"], "code" in error) == (message, "amount", False)

    @pytest.mark.parametrize("amount", [0, -1])
    def test_less_than_one(self, bench: Any, amount: int) -> None:
        charge = bench.pay(1_000)["latest_charge"]["id"]
        error = bench.refusal("/v1/refunds", f"charge={charge}&amount={amount}")
        assert (error["code"], error["param"], error["message"]) == (
            "parameter_invalid_integer",
            "amount",
            "This value must be greater than or equal to 1.",
        )

    def test_amounts_finer_than_the_currency(self, bench: Any) -> None:
        charge = bench.pay(10_000, "kwd")["latest_charge"]["id"]
        assert bench.refusal("/v1/refunds", f"charge={charge}&amount=15")["param"] == "amount"
        bench.post("/v1/refunds", f"charge={charge}&amount=20")

    def test_after_a_capture_in_part_only_that_part_is_there(self, bench: Any) -> None:
        held = bench.post(
            "/v1/payment_intents",
            f"amount=1000&currency=usd&payment_method=pm_card_visa&confirm=true&capture_method=manual{CARD}",
        )
        bench.post(f"/v1/payment_intents/{held['id']}/capture", "amount_to_capture=700")
        error = bench.refusal("/v1/refunds", f"payment_intent={held['id']}&amount=701")
        assert error["message"] == "Refund amount ($7.01) is greater than unrefunded amount on charge ($7.00)"
        assert bench.post("/v1/refunds", f"payment_intent={held['id']}")["amount"] == 700
        # The charge brought 700 less 50.
        assert bench.balance("usd") == (0, -50)


class TestRefusals:
    def test_what_is_named(self, bench: Any) -> None:
        paid = bench.pay(1_000)
        assert "payment_intent or charge" in bench.refusal("/v1/refunds", "amount=1")["message"]
        both = f"charge={paid['latest_charge']['id']}&payment_intent={paid['id']}"
        assert bench.refusal("/v1/refunds", both)["param"] == "charge"
        for name in ("charge", "payment_intent"):
            error = bench.refusal("/v1/refunds", f"{name}=x_nope")
            assert (error["code"], error["param"]) == ("resource_missing", name)
        assert bench.refusal("/v1/refunds", f"payment_intent={paid['id']}&reason=bored")["param"] == "reason"
        assert bench.refusal("/v1/refunds", f"payment_intent={paid['id']}&colour=1")["code"] == "parameter_unknown"
        for wish in ("reverse_transfer", "refund_application_fee"):
            assert bench.refusal("/v1/refunds", f"payment_intent={paid['id']}&{wish}=true")["param"] == wish
        assert bench.get("/v1/refunds")["data"] == []

    def test_what_was_never_taken(self, bench: Any) -> None:
        held = bench.post(
            "/v1/payment_intents",
            f"amount=1000&currency=usd&payment_method=pm_card_visa&confirm=true&capture_method=manual{CARD}",
        )
        error = bench.refusal("/v1/refunds", f"payment_intent={held['id']}")
        assert error["message"] == f"This PaymentIntent ({held['id']}) does not have a successful charge to refund."
        assert "Cancel its PaymentIntent" in bench.refusal("/v1/refunds", f"charge={held['latest_charge']}")["message"]
        bench.post(f"/v1/payment_intents/{held['id']}/cancel")
        assert bench.refusal("/v1/refunds", f"charge={held['latest_charge']}")["code"] == "charge_already_refunded"
        declined = bench.refusal(
            "/v1/payment_intents",
            f"amount=1000&currency=usd&payment_method=pm_card_chargeDeclined&confirm=true{CARD}",
            status=402,
        )
        assert bench.refusal("/v1/refunds", f"charge={declined['charge']}")["param"] == "charge"

    def test_a_disputed_charge_until_the_dispute_is_won(self, bench: Any) -> None:
        charge = bench.pay(1_000, card="pm_card_createDispute")["latest_charge"]["id"]
        error = bench.refusal("/v1/refunds", f"charge={charge}")
        assert (error["code"], error["message"]) == (
            "charge_disputed",
            f"Charge {charge} has been charged back; cannot issue a refund.",
        )
        dispute = bench.get(f"/v1/disputes?charge={charge}")["data"][0]["id"]
        bench.post(f"/v1/disputes/{dispute}", "evidence[uncategorized_text]=winning_evidence&submit=true")
        bench.advance(days=3)
        assert bench.post("/v1/refunds", f"charge={charge}&amount=100")["status"] == "succeeded"

    def test_an_inquiry_does_not_stop_a_refund(self, bench: Any) -> None:
        charge = bench.pay(1_000, card="pm_card_createDisputeInquiry")["latest_charge"]["id"]
        refund(bench, charge)
        assert bench.get(f"/v1/disputes?charge={charge}")["data"][0]["status"] == "warning_closed"

    def test_nothing_to_cancel(self, bench: Any) -> None:
        made = refund(bench, bench.pay(1_000)["latest_charge"]["id"], "&amount=10")
        assert "status of succeeded" in bench.refusal(f"/v1/refunds/{made['id']}/cancel")["message"]
        assert bench.refusal("/v1/refunds/re_nope/cancel", status=404)["code"] == "resource_missing"


class TestBalance:
    def test_pending_money_is_refunded_pending(self, bench: Any) -> None:
        charge = bench.pay(10_000, card="pm_card_visa")["latest_charge"]
        made = refund(bench, charge["id"], "&amount=4000&expand[]=balance_transaction")
        assert (made["status"], made["balance_transaction"]["status"]) == ("succeeded", "pending")
        assert made["balance_transaction"]["available_on"] == charge["balance_transaction"]["available_on"]
        assert bench.balance("usd") == (0, 5_680)
        bench.advance(days=3)
        assert bench.balance("usd") == (5_680, 0)

    def test_the_asynchronous_charge_is_settled_first(self, bench: Any) -> None:
        paid = bench.post(
            "/v1/payment_intents", f"amount=1000&currency=usd&payment_method=pm_card_visa&confirm=true{CARD}"
        )
        bench.post("/v1/refunds", f"payment_intent={paid['id']}")
        assert bench.balance("usd") == (0, -59)
        assert len(bench.events("charge.updated")) == 1

    def test_refunds_wait_for_money_and_are_paid_in_turn(self, bench: Any) -> None:
        first, second = (bench.pay(10_000)["latest_charge"]["id"] for _ in range(2))
        bench.post("/v1/payouts", "amount=19360&currency=usd")
        waiting = [refund(bench, first, "&amount=3000"), refund(bench, second, "&amount=2000")]
        for made in waiting:
            assert (made["status"], made["pending_reason"], made["balance_transaction"]) == (
                "pending",
                "insufficient_funds",
                None,
            )
        assert bench.get(f"/v1/charges/{first}")["amount_refunded"] == 3_000
        # 2500 would pay the younger one, but the elder is first.
        bench.post("/v1/topups", "amount=2500&currency=usd")
        assert bench.balance("usd") == (2_500, 0)
        bench.post("/v1/topups", "amount=2400&currency=usd")
        paid = bench.get(f"/v1/refunds/{waiting[0]['id']}?expand[]=balance_transaction")
        assert (paid["status"], paid["balance_transaction"]["net"]) == ("succeeded", -3_000)
        assert bench.get(f"/v1/refunds/{waiting[1]['id']}")["status"] == "pending"
        assert bench.balance("usd") == (1_900, 0)
        # Money of a charge that becomes available pays it as well.
        bench.pay(1_000, card="pm_card_visa")
        bench.advance(days=3)
        assert bench.get(f"/v1/refunds/{waiting[1]['id']}")["status"] == "succeeded"
        assert bench.balance("usd") == (1_900 + 941 - 2_000, 0)
        for name in ("refund.updated", "charge.refund.updated"):
            told = bench.events(name)
            assert [event["data"]["object"]["id"] for event in told] == [waiting[1]["id"], waiting[0]["id"]]
            assert told[0]["data"]["previous_attributes"] == {
                "balance_transaction": None,
                "pending_reason": "insufficient_funds",
                "status": "pending",
            }
        assert bench.control("state")["books_balance"]

    def test_a_waiting_refund_of_a_charge_that_is_disputed_fails(self, bench: Any) -> None:
        charge = bench.pay(10_000)["latest_charge"]["id"]
        bench.post("/v1/payouts", "amount=9680&currency=usd")
        made = refund(bench, charge, "&amount=3000")
        bench.control(f"charges/{charge}/dispute", {"reason": "fraudulent"})
        bench.post("/v1/topups", "amount=50000&currency=usd")
        after = bench.get(f"/v1/refunds/{made['id']}")
        assert (after["status"], after["failure_reason"]) == ("failed", "charge_for_pending_refund_disputed")
        assert bench.get(f"/v1/charges/{charge}")["amount_refunded"] == 0
        assert bench.balance("usd") == (50_000 - 10_000 - 1_500, 0)


class TestCards:
    def test_a_card_that_takes_its_time(self, bench: Any) -> None:
        charge = bench.pay(1_000, card="pm_card_pendingRefund")["latest_charge"]["id"]
        made = refund(bench, charge)
        assert (made["status"], made["pending_reason"]) == ("pending", "processing")
        assert made["balance_transaction"].startswith("txn_")
        bench.advance(minutes=5)
        after = bench.get(f"/v1/refunds/{made['id']}")
        assert (after["status"], "pending_reason" in after) == ("succeeded", False)
        assert len(bench.events("refund.updated")) == 1
        assert bench.balance("usd") == (0, -59)

    def test_a_card_that_sends_it_back(self, bench: Any) -> None:
        charge = bench.pay(1_000, card="pm_card_refundFail")["latest_charge"]["id"]
        made = refund(bench, charge, "&amount=400")
        assert made["status"] == "succeeded"
        assert bench.balance("usd") == (0, 541)
        bench.advance(minutes=5)
        after = bench.get(f"/v1/refunds/{made['id']}?expand[]=failure_balance_transaction")
        returned = after["failure_balance_transaction"]
        assert (after["status"], returned["type"], returned["reporting_category"], returned["net"]) == (
            "failed", "refund_failure", "refund_failure", 400,
        )  # fmt: skip
        assert bench.balance("usd") == (0, 941)
        charge = bench.get(f"/v1/charges/{charge}")
        assert (charge["amount_refunded"], charge["refunded"]) == (0, False)
        for name in ("refund.updated", "refund.failed", "charge.refund.updated"):
            assert [event["data"]["object"]["status"] for event in bench.events(name)] == ["failed"]
        bench.advance(days=3)
        assert bench.balance("usd") == (941, 0)
        # What came back can be refunded again.
        assert refund(bench, charge["id"])["status"] == "pending"


def test_a_charge_shows_its_refunds_when_asked(bench: Any) -> None:
    charge = bench.pay(10_000)["latest_charge"]["id"]
    made = [refund(bench, charge, f"&amount={amount}")["id"] for amount in range(1, 13)]
    assert "refunds" not in bench.get(f"/v1/charges/{charge}")
    shown = bench.get(f"/v1/charges/{charge}?expand[]=refunds")["refunds"]
    assert ([entry["id"] for entry in shown["data"]], shown["has_more"]) == (made[:1:-1], True)
    deep = bench.get(f"/v1/refunds/{made[0]}?expand[]=charge.refunds.data.balance_transaction")["charge"]["refunds"]
    assert [entry["balance_transaction"]["net"] for entry in deep["data"]][:2] == [-12, -11]
    fresh = bench.get(f"/v1/charges/{bench.pay(10_000)['latest_charge']['id']}?expand[]=refunds")["refunds"]
    assert (fresh["data"], fresh["has_more"]) == ([], False)


def test_an_authorization_goes_back_by_a_refund_that_moves_nothing(bench: Any) -> None:
    canceled, expired = (
        bench.post(
            "/v1/payment_intents",
            f"amount=1000&currency=usd&payment_method=pm_card_visa&confirm=true&capture_method=manual{CARD}",
        )["id"]
        for _ in range(2)
    )
    bench.post(f"/v1/payment_intents/{canceled}/cancel")
    bench.advance(days=8)
    for intent, reason in ((canceled, None), (expired, "expired_uncaptured_charge")):
        [made] = bench.get(f"/v1/refunds?payment_intent={intent}")["data"]
        assert (made["status"], made["amount"], made["reason"], made["balance_transaction"]) == (
            "succeeded", 1_000, reason, None,
        )  # fmt: skip
        answer = bench.send("POST", f"/_sandbox/refunds/{made['id']}/fail", "{}")
        assert answer.status == 400
    assert len(bench.events("refund.created")) == 2
    assert bench.balance("usd") == (0, 0)


class TestComingBack:
    def test_a_bank_may_send_it_back_within_thirty_days(self, bench: Any) -> None:
        charge = bench.pay(1_000)["latest_charge"]["id"]
        made = refund(bench, charge, "&amount=400")["id"]
        bench.advance(days=29)
        failed = bench.control(f"refunds/{made}/fail", {"reason": "lost_or_stolen_card"})
        assert (failed["status"], failed["failure_reason"]) == ("failed", "lost_or_stolen_card")
        assert bench.balance("usd") == (941, 0)
        assert [event["data"]["object"]["id"] for event in bench.events("refund.failed")] == [made]

    def test_not_twice_not_later_and_not_what_is_with_no_card(self, bench: Any) -> None:
        charge = bench.pay(1_000)["latest_charge"]["id"]
        failed, late = (refund(bench, charge, "&amount=100")["id"] for _ in range(2))
        bench.control(f"refunds/{failed}/fail", {"reason": "declined"})
        bench.post("/v1/payouts", "amount=841&currency=usd")
        waiting = refund(bench, charge, "&amount=100")["id"]
        bench.advance(days=31)
        for identifier in (failed, late, waiting, charge, "re_nope"):
            answer = bench.send("POST", f"/_sandbox/refunds/{identifier}/fail", '{"reason": "declined"}')
            assert answer.body["error"]["param"] == "refund"
        answer = bench.send("POST", f"/_sandbox/refunds/{late}/fail", '{"reason": "bored"}')
        assert answer.body["error"]["param"] == "reason"


def test_they_are_found_changed_and_listed(bench: Any) -> None:
    paid, other = bench.pay(10_000), bench.pay(10_000)
    made = [
        bench.post("/v1/refunds", f"payment_intent={paid['id']}&amount={amount}&reason=requested_by_customer")
        for amount in (100, 200)
    ]
    refund(bench, other["latest_charge"]["id"], "&amount=300&reason=fraudulent")
    assert bench.get(f"/v1/charges/{other['latest_charge']['id']}")["fraud_details"] == {"user_report": "fraudulent"}
    for query, amounts in (
        ("", [300, 200, 100]),
        (f"?payment_intent={paid['id']}", [200, 100]),
        (f"?charge={other['latest_charge']['id']}", [300]),
        (f"?starting_after={made[1]['id']}", [100]),
    ):
        assert [entry["amount"] for entry in bench.get(f"/v1/refunds{query}")["data"]] == amounts
    path = f"/v1/refunds/{made[0]['id']}"
    assert bench.post(path, "metadata[case]=7")["metadata"] == {"case": "7"}
    assert bench.events("refund.updated")[0]["data"]["previous_attributes"] == {"metadata": {"case": None}}
    assert bench.refusal(path, "amount=1")["code"] == "parameter_unknown"
    assert bench.get(path)["reason"] == "requested_by_customer"
