"""What an account is asked for: all of it by the API where the platform collects, more of it by the trigger cards."""

from __future__ import annotations

from typing import Any

import pytest

CUSTOM = (
    "country=US&controller[fees][payer]=application&controller[losses][payments]=application"
    "&controller[stripe_dashboard][type]=none&controller[requirement_collection]=application"
    "&capabilities[transfers][requested]=true"
)
INDIVIDUAL = (
    "business_type=individual&business_profile[mcc]=5734&business_profile[url]=https://a.example"
    "&individual[first_name]=Ada&individual[last_name]=Byron&individual[dob][day]=10&individual[dob][month]=12"
    "&individual[dob][year]=1990&tos_acceptance[date]=1790000000&tos_acceptance[ip]=127.0.0.1"
)
BANK = (
    "external_account[object]=bank_account&external_account[country]=US&external_account[currency]=usd"
    "&external_account[routing_number]=110000000&external_account[account_number]=000123456789"
)


def test_what_is_said_is_not_asked_again_and_the_last_answer_verifies(bench: Any) -> None:
    made = bench.post("/v1/accounts", f"{CUSTOM}&{INDIVIDUAL}")
    assert made["requirements"]["currently_due"] == ["external_account"]
    assert made["capabilities"] == {"transfers": "inactive"}
    path = f"/v1/accounts/{made['id']}"
    said = bench.post(path, BANK)
    assert said["requirements"]["disabled_reason"] == "requirements.pending_verification"
    assert (said["capabilities"], said["details_submitted"]) == ({"transfers": "pending"}, True)
    bench.advance(minutes=2)
    active = bench.get(path)
    assert (active["capabilities"], active["payouts_enabled"]) == ({"transfers": "active"}, True)
    assert active["requirements"]["currently_due"] == []
    assert [event["data"]["object"]["status"] for event in bench.events("capability.updated", made["id"])] == [
        "active",
        "pending",
    ]


def test_elsewhere_the_owner_says_it_himself(bench: Any) -> None:
    made = bench.post("/v1/accounts", f"country=US&type=express&{INDIVIDUAL}&{BANK}")
    assert made["details_submitted"] is False
    assert "external_account" in made["requirements"]["currently_due"]


@pytest.fixture
def merchant(bench: Any) -> str:
    """An onboarded seller who takes cards."""
    seller = bench.seller()
    bench.post(f"/v1/accounts/{seller}/capabilities/card_payments", "requested=true")
    return seller


@pytest.mark.parametrize(
    ("card", "capability", "payouts", "due"),
    [
        ("NextRequirements", "active", True, []),
        ("ChargeBlock", "inactive", True, ["individual.verification.document"]),
        ("TransferBlock", "active", False, ["individual.verification.document"]),
    ],
)
@pytest.mark.parametrize("direct", [True, False])
def test_trigger_cards(
    bench: Any, merchant: str, card: str, capability: str, payouts: bool, due: list[str], direct: bool
) -> None:
    form = (
        f"amount=1000&currency=usd&payment_method=pm_card_visa_trigger{card}&confirm=true"
        "&allowed_payment_method_types[]=card"
    )
    if direct:
        bench.post("/v1/payment_intents", form, account=merchant)
    else:
        bench.post("/v1/payment_intents", f"{form}&transfer_data[destination]={merchant}")
    account = bench.get(f"/v1/accounts/{merchant}")
    assert account["capabilities"] == {"transfers": capability, "card_payments": capability}
    assert (account["charges_enabled"], account["payouts_enabled"]) == (capability == "active", payouts)
    assert account["requirements"]["past_due"] == due
    assert account["requirements"]["currently_due"] == ["individual.verification.document"]
    assert bench.events("account.updated", merchant)[0]["data"]["object"]["id"] == merchant


def test_trigger_cards_do_nothing_to_the_platform(bench: Any) -> None:
    bench.pay(1_000, card="pm_card_visa_triggerChargeBlock")
    assert bench.get("/v1/account")["charges_enabled"] is True


def test_an_owner_cuts_the_platform_off(bench: Any, receiver: Any, soon: Any) -> None:
    """The platform learns of it, and the account answers as one of somebody else from then on."""
    seller = bench.seller()
    bench.post("/v1/webhook_endpoints", f"url={receiver.base}/c&enabled_events[]=*&connect=true")
    bench.control(f"accounts/{seller}/deauthorize", {})
    [told] = soon(lambda: receiver.of_type("account.application.deauthorized"))
    assert (told.event["account"], told.event["data"]["object"]["object"]) == (seller, "application")
    answer = bench.call("GET", f"/v1/accounts/{seller}")
    assert (answer.status, answer.body["error"]["code"]) == (403, "account_invalid")
    assert bench.call("GET", "/v1/balance", account=seller).status == 403
    assert bench.refusal("/v1/transfers", f"amount=100&currency=usd&destination={seller}")["param"] == "destination"


def test_a_platform_cannot_be_cut_off(bench: Any) -> None:
    answer = bench.send("POST", f"/_sandbox/accounts/{bench.platform}/deauthorize", "{}")
    assert (answer.status, answer.body["error"]["param"]) == (400, "account")


def test_a_rejected_account_can_do_nothing_until_it_is_taken_back(bench: Any) -> None:
    seller = bench.seller()
    bench.pay(1_000)
    path = f"/v1/accounts/{seller}"
    assert bench.refusal(f"{path}/reject", "reason=whim")["param"] == "reason"
    made = bench.post(f"{path}/reject", "reason=fraud_other")
    assert (made["requirements"]["disabled_reason"], made["payouts_enabled"]) == ("rejected.platform_fraud", False)
    refusal = bench.refusal("/v1/transfers", f"amount=100&currency=usd&destination={seller}")
    assert refusal["code"] == "insufficient_capabilities_for_transfer"
    assert bench.events("account.updated", seller)[0]["data"]["previous_attributes"]["payouts_enabled"] is True
    back = bench.post(f"{path}/unreject")
    assert (back["capabilities"], back["payouts_enabled"]) == ({"transfers": "active"}, True)
    assert "not rejected" in bench.refusal(f"{path}/unreject")["message"]


def test_a_login_link_is_for_onboarded_accounts_with_the_express_dashboard(bench: Any) -> None:
    seller, fresh = bench.seller(), bench.seller(outcome=None)
    link = bench.post(f"/v1/accounts/{seller}/login_links")
    assert bench.call("GET", link["url"].removeprefix(bench.base)).status == 200
    assert "onboarding" in bench.refusal(f"/v1/accounts/{fresh}/login_links")["message"]
    custom = bench.post("/v1/accounts", CUSTOM)
    assert "Express Dashboard" in bench.refusal(f"/v1/accounts/{custom['id']}/login_links")["message"]
