"""Disputes from the card holder's complaint to the issuer's word, inquiries, fraud warnings, and what they move."""

from __future__ import annotations

from typing import Any

import pytest


def disputes_of(bench: Any, payment: Any, account: str | None = None) -> list[Any]:
    """Return the disputes of a payment, the oldest first."""
    return bench.get(f"/v1/disputes?payment_intent={payment['id']}", account=account)["data"][::-1]


def disputed(bench: Any, card: str = "pm_card_createDispute", amount: int = 1_000) -> Any:
    [dispute] = disputes_of(bench, bench.pay(amount, card=card))
    return dispute


def answer(bench: Any, dispute: Any, text: str) -> Any:
    return bench.post(f"/v1/disputes/{dispute['id']}", f"evidence[uncategorized_text]={text}")


def again(bench: Any, dispute: Any) -> Any:
    return bench.get(f"/v1/disputes/{dispute['id']}")


def moved(dispute: Any) -> list[tuple[str, int, int, int]]:
    return [
        (one["reporting_category"], one["amount"], one["fee"], one["net"]) for one in dispute["balance_transactions"]
    ]


def told(bench: Any, account: str | None = None) -> list[str]:
    """Return what was told of disputes, in order."""
    events = bench.get("/v1/events?limit=100&type=charge.dispute.*", account=account)["data"]
    return [event["type"].removeprefix("charge.dispute.") for event in reversed(events)]


class TestChargeback:
    def test_amount_and_fee_go_at_once(self, bench: Any) -> None:
        dispute = disputed(bench)
        assert (dispute["status"], dispute["amount"], dispute["reason"]) == ("needs_response", 1_000, "fraudulent")
        assert not dispute["is_charge_refundable"]
        # The charge's 9.41 wait for their day; 10.00 and the fee of 15.00 are taken from what is available.
        assert bench.balance("usd") == (-2_500, 941)
        [taken] = dispute["balance_transactions"]
        assert (taken["type"], taken["source"]) == ("adjustment", dispute["id"])
        assert taken["description"] == f"Chargeback withdrawal for {dispute['charge']}"
        assert moved(dispute) == [("dispute", -1_000, 1_500, -2_500)]
        assert bench.get(f"/v1/charges/{dispute['charge']}")["disputed"]
        assert told(bench) == ["created", "funds_withdrawn"]

    def test_won_brings_both_back_and_the_charge_may_be_refunded(self, bench: Any) -> None:
        dispute = disputed(bench)
        sent = answer(bench, dispute, "winning_evidence")
        assert (sent["status"], sent["evidence_details"]["submission_count"]) == ("under_review", 1)
        bench.advance(minutes=5)
        won = again(bench, dispute)
        assert (won["status"], won["is_charge_refundable"]) == ("won", True)
        assert moved(won) == [("dispute", -1_000, 1_500, -2_500), ("dispute_reversal", 1_000, -1_500, 2_500)]
        assert bench.balance("usd") == (0, 941)
        assert told(bench) == ["created", "funds_withdrawn", "updated", "closed", "funds_reinstated"]
        assert bench.control("state")["books_balance"]

    def test_lost_moves_nothing_more(self, bench: Any) -> None:
        dispute = disputed(bench)
        answer(bench, dispute, "losing_evidence")
        bench.advance(minutes=5)
        lost = again(bench, dispute)
        assert (lost["status"], lost["is_charge_refundable"], len(lost["balance_transactions"])) == ("lost", False, 1)
        assert told(bench) == ["created", "funds_withdrawn", "updated", "closed"]

    def test_accepted_is_lost(self, bench: Any) -> None:
        dispute = disputed(bench)
        assert bench.post(f"/v1/disputes/{dispute['id']}/close")["status"] == "lost"
        assert told(bench) == ["created", "funds_withdrawn", "closed"]
        assert "lost" in bench.refusal(f"/v1/disputes/{dispute['id']}/close")["message"]

    def test_without_evidence_it_is_lost_when_its_time_is_over(self, bench: Any) -> None:
        dispute = disputed(bench)
        due = dispute["evidence_details"]["due_by"]
        assert due % 86_400 == 86_399
        bench.control("clock", {"advance_seconds": due - bench.control("clock")["now"] - 60})
        assert again(bench, dispute)["status"] == "needs_response"
        bench.advance(minutes=2)
        assert again(bench, dispute)["status"] == "lost"
        assert told(bench)[-1] == "closed"

    def test_other_evidence_is_judged_by_the_issuer_much_later(self, bench: Any) -> None:
        dispute = disputed(bench)
        answer(bench, dispute, "It+was+delivered")
        bench.advance(days=30)
        assert again(bench, dispute)["status"] == "under_review"
        bench.advance(days=46)
        assert again(bench, dispute)["status"] == "lost"

    @pytest.mark.parametrize(("outcome", "available"), [("won", 0), ("lost", -2_500)])
    def test_the_control_plane_decides_at_once(self, bench: Any, outcome: str, available: int) -> None:
        dispute = disputed(bench)
        assert bench.control(f"disputes/{dispute['id']}/decide", {"outcome": outcome})["status"] == outcome
        assert bench.balance("usd")[0] == available
        assert bench.send("POST", f"/_sandbox/disputes/{dispute['id']}/decide", '{"outcome": "won"}').status == 400
        bench.advance(days=100)
        assert again(bench, dispute)["status"] == outcome

    def test_a_seller_paid_out_of_the_charge_keeps_his_share(self, bench: Any) -> None:
        seller, payment = bench.seller(), bench.pay(10_000, card="pm_card_createDispute")
        form = f"&destination={seller}&source_transaction={payment['latest_charge']['id']}"
        bench.post("/v1/transfers", f"amount=7000&currency=usd{form}")
        bench.advance(days=3)
        assert bench.balance("usd", seller) == (7_000, 0)
        assert bench.balance("usd") == (9_680 - 7_000 - 11_500, 0)

    def test_a_direct_charges_dispute_is_the_sellers(self, bench: Any) -> None:
        seller = bench.merchant()
        payment = bench.post(
            "/v1/payment_intents",
            "amount=1000&currency=usd&payment_method=pm_card_createDispute&confirm=true&capture_method=automatic"
            "&allowed_payment_method_types[]=card",
            account=seller,
        )
        [dispute] = disputes_of(bench, payment, account=seller)
        # The platform pays the processing fee of 59 cents, and answers for the seller: what the seller is below zero is
        # held in reserve.
        assert bench.balance("usd", seller) == (-2_500, 1_000)
        assert bench.balance("usd") == (-59 - 2_500, 0)
        assert bench.get("/v1/balance")["connect_reserved"] == [{"amount": 2_500, "currency": "usd"}]
        assert (told(bench, seller), told(bench)) == (["created", "funds_withdrawn"], [])
        assert bench.call("GET", f"/v1/disputes/{dispute['id']}").status == 404

    def test_a_held_payment_is_disputed_when_it_is_captured(self, bench: Any) -> None:
        held = bench.post(
            "/v1/payment_intents",
            "amount=1000&currency=usd&payment_method=pm_card_createDispute&confirm=true&capture_method=manual"
            "&allowed_payment_method_types[]=card",
        )
        assert disputes_of(bench, held) == []
        bench.post(f"/v1/payment_intents/{held['id']}/capture", "amount_to_capture=600")
        assert [one["amount"] for one in disputes_of(bench, held)] == [600]

    def test_a_platform_that_settles_in_dollars_loses_what_they_are_worth_on_the_day(self, bench: Any) -> None:
        made = bench.control("platforms", {"country": "US", "default_currency": "usd", "settle": "default"})
        bench.key, bench.platform = made["secret_key"], made["id"]
        bench.control("exchange_rates", {"base": "eur", "rates": {"usd": "1.1"}})
        charge = bench.pay(1_000, currency="eur")["latest_charge"]
        bench.control("exchange_rates", {"base": "eur", "rates": {"usd": "1.2"}})
        dispute = bench.control(f"charges/{charge['id']}/dispute", {})
        [taken] = dispute["balance_transactions"]
        assert (dispute["amount"], dispute["currency"]) == (1_000, "eur")
        assert (taken["net"], taken["currency"], taken["exchange_rate"]) == (-2_700, "usd", 1.2)
        bench.control("exchange_rates", {"base": "eur", "rates": {"usd": "1.15"}})
        won = bench.control(f"disputes/{dispute['id']}/decide", {"outcome": "won"})
        assert won["balance_transactions"][1]["net"] == 2_650
        assert bench.control("state")["books_balance"]


class TestEvidence:
    def test_staged_evidence_waits_to_be_submitted_once(self, bench: Any) -> None:
        path = f"/v1/disputes/{disputed(bench)['id']}"
        staged = bench.post(path, "evidence[customer_name]=Ann&evidence[service_date]=today&submit=false")
        assert (staged["status"], staged["evidence"]["customer_name"]) == ("needs_response", "Ann")
        details = staged["evidence_details"]
        assert (details["has_evidence"], details["submission_count"], details["submission_method"]) == (
            True,
            0,
            "not_submitted",
        )
        sent = bench.post(path, "evidence[service_date]=&submit=true&metadata[case]=7")
        assert (sent["status"], sent["evidence"]["customer_name"], sent["evidence"]["service_date"]) == (
            "under_review",
            "Ann",
            None,
        )
        assert sent["evidence_details"]["submission_method"] == "manual"
        assert bench.refusal(path, "evidence[customer_name]=Bob")["param"] == "evidence"
        assert bench.refusal(path, "submit=true")["param"] == "submit"
        assert bench.post(path, "metadata[case]=8")["metadata"] == {"case": "8"}

    @pytest.mark.parametrize(
        ("form", "param"),
        [
            ("submit=true", "evidence"),
            ("evidence[receipt]=file_1", "evidence[receipt]"),
            ("evidence[rumour]=x", "evidence[rumour]"),
            ("submit=perhaps", "submit"),
            ("amount=1", "amount"),
        ],
    )
    def test_what_is_no_evidence_is_refused_by_name(self, bench: Any, form: str, param: str) -> None:
        dispute = disputed(bench)
        assert bench.refusal(f"/v1/disputes/{dispute['id']}", form)["param"] == param
        assert again(bench, dispute)["evidence_details"]["submission_count"] == 0


class TestInquiry:
    @pytest.mark.parametrize("card", ["pm_card_createDisputeInquiry", "pm_card_createInquiry"])
    def test_nothing_is_withdrawn(self, bench: Any, card: str) -> None:
        inquiry = disputed(bench, card)
        assert (inquiry["status"], inquiry["is_charge_refundable"]) == ("warning_needs_response", True)
        assert inquiry["payment_method_details"]["card"]["case_type"] == "inquiry"
        assert bench.balance("usd") == (0, 941)
        assert told(bench) == ["created"]
        assert "warning_needs_response" in bench.refusal(f"/v1/disputes/{inquiry['id']}/close")["message"]

    @pytest.mark.parametrize("text", ["winning_evidence", "losing_evidence"])
    def test_evidence_closes_it(self, bench: Any, text: str) -> None:
        inquiry = disputed(bench, "pm_card_createDisputeInquiry")
        assert answer(bench, inquiry, text)["status"] == "warning_under_review"
        bench.advance(minutes=5)
        assert again(bench, inquiry)["status"] == "warning_closed"
        assert told(bench) == ["created", "updated", "closed"]
        assert bench.balance("usd") == (0, 941)

    def test_escalated_it_is_a_chargeback_that_is_answered_anew(self, bench: Any) -> None:
        inquiry = disputed(bench, "pm_card_createDisputeInquiry")
        answer(bench, inquiry, "escalate_inquiry_evidence")
        bench.advance(minutes=5)
        dispute = again(bench, inquiry)
        assert (dispute["status"], dispute["is_charge_refundable"]) == ("needs_response", False)
        assert dispute["payment_method_details"]["card"]["case_type"] == "chargeback"
        assert bench.balance("usd") == (-2_500, 941)
        answer(bench, dispute, "winning_evidence")
        bench.advance(minutes=5)
        assert again(bench, inquiry)["status"] == "won"
        assert bench.balance("usd") == (0, 941)
        assert told(bench) == [
            "created", "updated", "updated", "funds_withdrawn", "updated", "closed", "funds_reinstated",
        ]  # fmt: skip

    def test_nobody_escalates_it_in_four_months(self, bench: Any) -> None:
        inquiry = disputed(bench, "pm_card_createDisputeInquiry")
        bench.advance(days=119)
        assert again(bench, inquiry)["status"] == "warning_needs_response"
        bench.advance(days=2)
        assert again(bench, inquiry)["status"] == "warning_closed"


class TestByCardAndControl:
    @pytest.mark.parametrize("card", ["pm_card_createDisputeProductNotReceived", "pm_card_createProductNotReceived"])
    def test_not_received(self, bench: Any, card: str) -> None:
        dispute = disputed(bench, card)
        assert (dispute["reason"], dispute["network_reason_code"]) == ("product_not_received", "13.1")

    def test_a_charge_disputed_several_times_is_disputed_in_parts(self, bench: Any) -> None:
        found = disputes_of(bench, bench.pay(1_001, card="pm_card_createMultipleDisputes"))
        assert [one["amount"] for one in found] == [500, 501]
        assert bench.balance("usd")[0] == -1_001 - 3_000

    def test_any_charge_can_be_disputed_in_part_until_nothing_is_left(self, bench: Any) -> None:
        charge = bench.pay(1_000)["latest_charge"]["id"]
        part = bench.control(f"charges/{charge}/dispute", {"amount": 400, "reason": "duplicate"})
        assert (part["amount"], part["reason"], part["charge"]) == (400, "duplicate", charge)
        assert bench.control(f"charges/{charge}/dispute", {})["amount"] == 600
        for body, path in (
            ("{}", charge),
            ('{"amount": 1}', charge),
            ('{"reason": "boredom"}', charge),
            ("{}", "ch_nope"),
        ):
            assert bench.send("POST", f"/_sandbox/charges/{path}/dispute", body).status in (400, 404)
        listed = bench.get(f"/v1/disputes?charge={charge}")["data"]
        assert [one["amount"] for one in listed] == [600, 400]

    @pytest.mark.parametrize("body", [{"amount": 1_001}, {"amount": 0}, {"amount": -1}])
    def test_no_more_than_was_charged(self, bench: Any, body: Any) -> None:
        charge = bench.pay(1_000)["latest_charge"]["id"]
        refused = bench.send("POST", f"/_sandbox/charges/{charge}/dispute", str(body).replace("'", '"'))
        assert (refused.status, refused.body["error"]["param"]) == (400, "amount")
        assert bench.get("/v1/disputes")["data"] == []

    def test_what_took_no_money_by_card_cannot_be_disputed(self, bench: Any) -> None:
        seller = bench.seller()
        bench.pay(1_000)
        transfer = bench.post("/v1/transfers", f"amount=100&currency=usd&destination={seller}")
        refused = bench.send("POST", f"/_sandbox/charges/{transfer['destination_payment']}/dispute", "{}")
        assert refused.status == 400


class TestFraudWarnings:
    def test_the_issuer_reports_a_charge(self, bench: Any) -> None:
        payment = bench.pay(1_000, card="pm_card_createIssuerFraudRecord")
        found = bench.client().v1.radar.early_fraud_warnings.list({"payment_intent": payment["id"]}).data
        assert [(one.charge, one.actionable) for one in found] == [(payment["latest_charge"]["id"], True)]
        one = bench.get(f"/v1/radar/early_fraud_warnings/{found[0].id}?expand[]=charge")
        assert one["charge"]["object"] == "charge"
        assert len(bench.events("radar.early_fraud_warning.created")) == 1
        assert disputes_of(bench, payment) == []

    def test_a_dispute_leaves_nothing_to_do_about_it(self, bench: Any) -> None:
        charge = bench.pay(1_000)["latest_charge"]["id"]
        warning = bench.control(f"charges/{charge}/fraud_warning", {"fraud_type": "misc"})
        assert warning["actionable"]
        bench.control(f"charges/{charge}/dispute", {})
        assert not bench.get(f"/v1/radar/early_fraud_warnings/{warning['id']}")["actionable"]
        assert len(bench.events("radar.early_fraud_warning.updated")) == 1
        assert not bench.control(f"charges/{charge}/fraud_warning", {})["actionable"]


class TestPrices:
    """Fees as a platform's own contract has them: one for a dispute received, one for each that is answered."""

    def test_answering_costs_a_fee_of_its_own(self, bench: Any) -> None:
        prices = {"currency": "usd", "received": 2_000, "countered": 2_000, "returned": "countered"}
        assert bench.control("dispute_fees", prices) == prices
        dispute = disputed(bench)
        answer(bench, dispute, "winning_evidence")
        assert moved(again(bench, dispute)) == [("dispute", -1_000, 2_000, -3_000), ("dispute", 0, 2_000, -2_000)]
        bench.advance(minutes=5)
        assert moved(again(bench, dispute))[2:] == [("dispute_reversal", 1_000, -2_000, 3_000)]
        assert bench.balance("usd")[0] == -2_000
        assert bench.control("state")["books_balance"]

    def test_an_inquiry_that_is_answered_costs_nothing(self, bench: Any) -> None:
        bench.control("dispute_fees", {"currency": "usd", "countered": 2_000})
        inquiry = disputed(bench, card="pm_card_createDisputeInquiry")
        answer(bench, inquiry, "No,+it+was+delivered")
        assert again(bench, inquiry)["balance_transactions"] == []

    def test_a_part_may_be_won(self, bench: Any) -> None:
        dispute = disputed(bench)
        decided = bench.control(f"disputes/{dispute['id']}/decide", {"outcome": "won", "amount": 400})
        assert decided["status"] == "won"
        assert moved(again(bench, dispute))[1:] == [("dispute_reversal", 400, -1_500, 1_900)]

    @pytest.mark.parametrize("wrong", [{"outcome": "won", "amount": 1_001}, {"outcome": "lost", "amount": 5}])
    def test_no_other_part(self, bench: Any, wrong: Any) -> None:
        dispute = disputed(bench)
        assert (
            bench.send("POST", f"/_sandbox/disputes/{dispute['id']}/decide", str(wrong).replace("'", '"')).status == 400
        )
        assert again(bench, dispute)["status"] == "needs_response"
