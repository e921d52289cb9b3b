"""Payment intents: confirmation in every way, authentication, declines, capture, asynchronous settlement."""

from __future__ import annotations

from typing import Any

import pytest

CARD = "allowed_payment_method_types[]=card"


def test_an_asynchronous_capture_settles_after_the_answer(bench: Any) -> None:
    paid = bench.post(
        "/v1/payment_intents",
        f"amount=10000&currency=usd&payment_method=pm_card_visa&confirm=true&{CARD}&expand[]=latest_charge",
    )
    assert paid["capture_method"] == "automatic_async"
    assert paid["latest_charge"]["balance_transaction"] is None
    charge = bench.get(f"/v1/charges/{paid['latest_charge']['id']}?expand[]=balance_transaction")
    assert charge["balance_transaction"]["net"] == 9_680
    updated = bench.events("charge.updated")
    assert len(updated) == 1
    assert updated[0]["data"]["previous_attributes"] == {"balance_transaction": None}
    assert updated[0]["data"]["object"]["balance_transaction"] == charge["balance_transaction"]["id"]
    assert updated[0]["request"] == {"id": None, "idempotency_key": None}
    succeeded = bench.events("charge.succeeded")[0]
    assert succeeded["data"]["object"]["balance_transaction"] is None


def test_settlement_does_not_wait_for_another_request(bench: Any, soon: Any) -> None:
    bench.post("/v1/payment_intents", f"amount=10000&currency=usd&payment_method=pm_card_visa&confirm=true&{CARD}")
    soon(lambda: bench.send("GET", "/_sandbox/state").body["due"] <= 2)
    assert bench.balance("usd") == (0, 9_680)


def test_a_synchronous_capture_has_no_later_update(bench: Any) -> None:
    bench.pay(10_000)
    assert bench.events("charge.updated") == []


def test_creation_and_confirmation_apart(bench: Any) -> None:
    made = bench.post("/v1/payment_intents", f"amount=1500&currency=usd&{CARD}&description=Pots")
    assert (made["status"], made["client_secret"].startswith(made["id"] + "_secret_")) == (
        "requires_payment_method",
        True,
    )
    path = f"/v1/payment_intents/{made['id']}"
    assert bench.post(path, "amount=1700&metadata[a]=b")["amount"] == 1_700
    assert bench.post(path, "payment_method=pm_card_visa")["status"] == "requires_confirmation"
    done = bench.post(path + "/confirm")
    assert (done["status"], done["amount_received"], done["metadata"]) == ("succeeded", 1_700, {"a": "b"})
    error = bench.refusal(path + "/confirm")
    assert error["code"] == "payment_intent_unexpected_state"
    assert error["payment_intent"]["id"] == made["id"]
    error = bench.refusal(path, "amount=1")
    assert error["code"] == "payment_intent_unexpected_state"
    assert bench.post(path, "description=Other")["description"] == "Other"


def test_a_declined_intent_can_be_paid_with_another_card(bench: Any) -> None:
    answer = bench.call(
        "POST",
        "/v1/payment_intents",
        f"amount=2000&currency=usd&payment_method=pm_card_visa_chargeDeclined&confirm=true&{CARD}",
    )
    assert answer.status == 402
    intent = answer.body["error"]["payment_intent"]
    assert bench.get(f"/v1/payment_intents/{intent['id']}")["latest_charge"] == answer.body["error"]["charge"]
    failed = bench.get(f"/v1/charges/{answer.body['error']['charge']}")
    assert (failed["status"], failed["paid"], failed["failure_code"]) == ("failed", False, "card_declined")
    done = bench.post(f"/v1/payment_intents/{intent['id']}/confirm", "payment_method=pm_card_visa")
    assert (done["status"], done["last_payment_error"]) == ("succeeded", None)
    assert len(bench.get(f"/v1/charges?payment_intent={intent['id']}")["data"]) == 2
    assert bench.balance("usd")[1] > 0


@pytest.mark.parametrize(
    ("token", "code", "decline_code", "advice"),
    [
        ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card", "do_not_try_again"),
        ("pm_card_visa_chargeDeclinedVelocityLimitExceeded", "card_declined", "card_velocity_exceeded",
         "try_again_later"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card", "confirm_card_data"),
    ],
)  # fmt: skip
def test_declines_say_what_to_do(bench: Any, token: str, code: str, decline_code: str, advice: str) -> None:
    error = bench.refusal(
        "/v1/payment_intents", f"amount=2000&currency=usd&payment_method={token}&confirm=true&{CARD}", status=402
    )
    assert (error["type"], error["code"], error["decline_code"], error["advice_code"]) == (
        "card_error",
        code,
        decline_code,
        advice,
    )
    assert error["payment_intent"]["last_payment_error"]["advice_code"] == advice


class TestAuthentication:
    def asked(self, bench: Any, more: str = "", card: str = "pm_card_authenticationRequired") -> Any:
        return bench.post(
            "/v1/payment_intents",
            f"amount=2000&currency=usd&payment_method={card}&confirm=true&{CARD}"
            f"&return_url=https://market.example/back?order=1{more}",
        )

    def test_the_page_approves_and_sends_the_browser_back(self, bench: Any) -> None:
        asked = self.asked(bench)
        action = asked["next_action"]["redirect_to_url"]
        path = action["url"].removeprefix(bench.base)
        shown = bench.send("GET", path)
        assert "$20.00" in shown.body
        done = bench.send("POST", path, "outcome=approve", {"Content-Type": "application/x-www-form-urlencoded"})
        assert done.status == 303
        assert done.headers["location"].startswith("https://market.example/back?order=1&payment_intent=pi_")
        assert done.headers["location"].endswith("redirect_status=succeeded")
        paid = bench.get(f"/v1/payment_intents/{asked['id']}?expand[]=latest_charge")
        assert (paid["status"], paid["next_action"]) == ("succeeded", None)
        assert paid["latest_charge"]["payment_method_details"]["card"]["three_d_secure"]["result"] == "authenticated"
        assert bench.send("POST", path, "outcome=approve").status == 400

    def test_the_page_needs_its_secret(self, bench: Any) -> None:
        asked = self.asked(bench)
        assert bench.send("GET", f"/_sandbox/authenticate/{asked['id']}?secret=guess").status == 404

    def test_a_failed_challenge_needs_another_method(self, bench: Any) -> None:
        asked = self.asked(bench)
        failed = bench.control(f"payment_intents/{asked['id']}/authenticate", {"outcome": "fail"})
        intent = failed["payment_intent"]
        assert (intent["status"], intent["payment_method"]) == ("requires_payment_method", None)
        assert intent["last_payment_error"]["code"] == "payment_intent_authentication_failure"
        assert failed["redirect"].endswith("redirect_status=failed")
        assert len(bench.events("payment_intent.payment_failed")) == 1
        assert bench.events("charge.failed") == []

    def test_without_return_url_the_script_does_it(self, bench: Any) -> None:
        asked = bench.post(
            "/v1/payment_intents",
            f"amount=2000&currency=usd&payment_method=pm_card_authenticationRequired&confirm=true&{CARD}",
        )
        assert asked["next_action"]["type"] == "use_stripe_sdk"

    def test_manual_confirmation_is_confirmed_again_by_the_server(self, bench: Any) -> None:
        asked = self.asked(bench, "&confirmation_method=manual")
        approved = bench.control(f"payment_intents/{asked['id']}/authenticate", {"outcome": "approve"})
        assert approved["payment_intent"]["status"] == "requires_confirmation"
        assert bench.post(f"/v1/payment_intents/{asked['id']}/confirm")["status"] == "succeeded"

    def test_an_approved_card_may_still_be_declined(self, bench: Any) -> None:
        asked = self.asked(bench, card="pm_card_authenticationRequiredChargeDeclinedInsufficientFunds")
        after = bench.control(f"payment_intents/{asked['id']}/authenticate", {"outcome": "approve"})["payment_intent"]
        assert after["last_payment_error"]["decline_code"] == "insufficient_funds"

    def test_a_card_saved_on_session_is_charged_off_session(self, bench: Any) -> None:
        customer = bench.post("/v1/customers", "email=a@example.com")["id"]
        asked = self.asked(
            bench, f"&customer={customer}&setup_future_usage=off_session", "pm_card_authenticationRequiredOnSetup"
        )
        paid = bench.control(f"payment_intents/{asked['id']}/authenticate", {"outcome": "approve"})["payment_intent"]
        again = bench.post(
            "/v1/payment_intents",
            f"amount=2000&currency=usd&customer={customer}&payment_method={paid['payment_method']}"
            f"&off_session=true&confirm=true&{CARD}",
        )
        assert again["status"] == "succeeded"

    def test_asking_for_a_challenge(self, bench: Any) -> None:
        asked = self.asked(bench, "&payment_method_options[card][request_three_d_secure]=any", "pm_card_visa")
        assert asked["status"] == "requires_action"


class TestCapture:
    def held(self, bench: Any) -> Any:
        return bench.post(
            "/v1/payment_intents",
            f"amount=1000&currency=usd&payment_method=pm_card_visa&confirm=true&capture_method=manual&{CARD}",
        )

    def test_a_part_is_captured_and_only_it_is_charged_for(self, bench: Any) -> None:
        held = self.held(bench)
        assert bench.balance("usd") == (0, 0)
        error = bench.refusal(f"/v1/payment_intents/{held['id']}/capture", "amount_to_capture=1001")
        assert error["code"] == "amount_too_large"
        done = bench.post(f"/v1/payment_intents/{held['id']}/capture", "amount_to_capture=700")
        assert done["amount_received"] == 700
        # 2.9 % of 7.00 is 0.203, plus 0.30.
        assert bench.balance("usd") == (0, 700 - 50)

    def test_a_canceled_hold_gives_the_money_back(self, bench: Any) -> None:
        held = self.held(bench)
        assert bench.post(f"/v1/payment_intents/{held['id']}/cancel")["status"] == "canceled"
        assert bench.get(f"/v1/charges/{held['latest_charge']}")["refunded"]
        assert bench.balance("usd") == (0, 0)

    def test_a_hold_expires_after_seven_days(self, bench: Any) -> None:
        held = self.held(bench)
        bench.advance(days=8)
        after = bench.get(f"/v1/payment_intents/{held['id']}")
        assert (after["status"], after["cancellation_reason"]) == ("canceled", "automatic")
        assert len(bench.events("charge.expired")) == 1


class TestPaymentMethods:
    def test_a_token_is_cloned_when_it_is_attached(self, bench: Any) -> None:
        customer = bench.post("/v1/customers", "email=a@example.com&metadata[ref]=7")
        method = bench.post("/v1/payment_methods/pm_card_mastercard/attach", f"customer={customer['id']}")
        assert method["id"].startswith("pm_1")
        assert (method["customer"], method["card"]["brand"]) == (customer["id"], "mastercard")
        listed = bench.get(f"/v1/customers/{customer['id']}/payment_methods?type=card")["data"]
        assert [item["id"] for item in listed] == [method["id"]]
        default = bench.post(
            f"/v1/customers/{customer['id']}", f"invoice_settings[default_payment_method]={method['id']}"
        )
        assert default["invoice_settings"]["default_payment_method"] == method["id"]
        assert bench.post(f"/v1/payment_methods/{method['id']}/detach")["customer"] is None
        after = bench.get(f"/v1/customers/{customer['id']}")
        assert after["invoice_settings"]["default_payment_method"] is None

    def test_a_saved_method_belongs_to_its_customer(self, bench: Any) -> None:
        owner, other = (bench.post("/v1/customers", "name=x")["id"] for _ in range(2))
        method = bench.post("/v1/payment_methods/pm_card_visa/attach", f"customer={owner}")["id"]
        for customer in ("", f"&customer={other}"):
            error = bench.refusal(
                "/v1/payment_intents",
                f"amount=1000&currency=usd&payment_method={method}&confirm=true&{CARD}{customer}",
            )
            assert error["param"] == "payment_method"
        assert bench.refusal(f"/v1/payment_methods/{method}/attach", f"customer={other}")

    def test_card_numbers_are_not_taken(self, bench: Any) -> None:
        error = bench.refusal(
            "/v1/payment_methods",
            "type=card&card[number]=4242424242424242&card[exp_month]=1&card[exp_year]=2030",
            status=402,
        )
        assert "unsafe" in error["message"]
        made = bench.post("/v1/payment_methods", "type=card&card[token]=tok_visa&billing_details[name]=Ann")
        assert made["billing_details"]["name"] == "Ann"
        assert bench.refusal("/v1/payment_methods", "type=card&card[token]=tok_nope")["code"] == "resource_missing"

    def test_a_deleted_customer_is_gone_from_lists(self, bench: Any) -> None:
        customer = bench.post("/v1/customers", "email=z@example.com")["id"]
        assert bench.call("DELETE", f"/v1/customers/{customer}").body == {
            "id": customer,
            "object": "customer",
            "deleted": True,
        }
        assert bench.get(f"/v1/customers/{customer}")["deleted"] is True
        assert bench.get("/v1/customers?email=z@example.com")["data"] == []
        assert (
            bench.refusal("/v1/payment_intents", f"amount=100&currency=usd&customer={customer}")["param"] == "customer"
        )
