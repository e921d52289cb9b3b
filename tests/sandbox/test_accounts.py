"""Connected accounts: two versions of one account, links, onboarding in its outcomes, what is asked for."""

from __future__ import annotations

from typing import Any

import pytest

LINK = "type=account_onboarding&refresh_url=https://market.example/again&return_url=https://market.example/done"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def recipient(account: Any) -> Any:
    return account["configuration"]["recipient"]["capabilities"]["stripe_balance"]


def view(bench: Any, account: str) -> Any:
    return bench.get(f"/v2/core/accounts/{account}?include[]=configuration.recipient&include[]=requirements")


@pytest.mark.parametrize(
    ("outcome", "first", "second", "payouts", "past_due"),
    [
        ("complete", "active", "active", True, 0),
        ("restricted", "inactive", "restricted", False, 1),
        ("payouts_blocked", "active", "active", False, 1),
    ],
)
def test_both_versions_agree_on_every_outcome(
    bench: Any, outcome: str, first: str, second: str, payouts: bool, past_due: int
) -> None:
    seller = bench.seller(outcome=outcome)
    account = bench.get(f"/v1/accounts/{seller}")
    assert account["capabilities"]["transfers"] == first
    assert account["payouts_enabled"] is payouts
    assert account["details_submitted"] is True
    assert len(account["requirements"]["past_due"]) == past_due
    assert len(account["external_accounts"]["data"]) == (1 if outcome == "complete" else 0)
    seen = view(bench, seller)
    assert recipient(seen)["stripe_transfers"]["status"] == second
    assert recipient(seen)["payouts"]["status"] == ("active" if payouts else "restricted")
    assert len(seen["requirements"]["entries"]) == past_due
    assert bench.get(f"/v1/accounts/{seller}/capabilities/transfers")["status"] == first


def test_a_restricted_seller_can_still_complete(bench: Any) -> None:
    seller = bench.seller(outcome="restricted")
    bench.control(f"accounts/{seller}/onboard", {"outcome": "complete"})
    assert bench.get(f"/v1/accounts/{seller}")["requirements"]["disabled_reason"] is None
    assert len(bench.events("capability.updated", seller)) == 1


class TestLinks:
    def page(self, bench: Any, seller: str) -> str:
        return bench.post("/v1/account_links", f"account={seller}&{LINK}")["url"].removeprefix(bench.base)

    def test_a_link_shows_what_is_due_and_works_once(self, bench: Any) -> None:
        seller = bench.seller(outcome=None)
        path = self.page(bench, seller)
        assert "tos_acceptance.date" in bench.send("GET", path).body
        done = bench.send("POST", path, "outcome=complete", FORM)
        assert (done.status, done.headers["location"]) == (303, "https://market.example/done")
        assert bench.get(f"/v1/accounts/{seller}")["payouts_enabled"]
        again = bench.send("GET", path)
        assert (again.status, again.headers["location"]) == (303, "https://market.example/again")

    def test_later_changes_nothing(self, bench: Any) -> None:
        seller = bench.seller(outcome=None)
        assert bench.send("POST", self.page(bench, seller), "outcome=later", FORM).status == 303
        assert not bench.get(f"/v1/accounts/{seller}")["details_submitted"]

    def test_a_link_ends_after_five_minutes(self, bench: Any) -> None:
        seller = bench.seller(outcome=None)
        path = self.page(bench, seller)
        bench.advance(minutes=5)
        answer = bench.send("POST", path, "outcome=complete", FORM)
        assert answer.headers["location"] == "https://market.example/again"
        assert not bench.get(f"/v1/accounts/{seller}")["details_submitted"]

    def test_an_unknown_link(self, bench: Any) -> None:
        assert bench.send("GET", "/_sandbox/onboard/nope").status == 404

    def test_bad_links(self, bench: Any) -> None:
        seller = bench.seller(outcome=None)
        assert bench.refusal("/v1/account_links", f"account={seller}&type=account_onboarding")["param"] == "refresh_url"
        assert bench.refusal("/v1/account_links", f"account=acct_nope&{LINK}", status=403)
        error = bench.refusal("/v1/account_links", f"account={seller}&{LINK}".replace("https", "javascript"))
        assert error["code"] == "url_invalid"


def test_the_second_version_updates_what_the_first_shows(bench: Any) -> None:
    made = bench.call("POST", "/v2/core/accounts", json_body={"contact_email": "a@example.com"}).body
    assert made["applied_configurations"] == []
    assert "configuration" not in made
    changed = bench.call(
        "POST",
        f"/v2/core/accounts/{made['id']}",
        json_body={
            "contact_email": "b@example.com",
            "display_name": "Anna's pots",
            "metadata": {"ref": "7"},
            "configuration": {
                "recipient": {"capabilities": {"stripe_balance": {"stripe_transfers": {"requested": True}}}}
            },
            "include": ["configuration.recipient", "identity", "defaults", "future_requirements"],
        },
    ).body
    assert changed["applied_configurations"] == ["recipient"]
    assert recipient(changed)["stripe_transfers"]["status"] == "restricted"
    assert changed["defaults"]["responsibilities"]["losses_collector"] == "application"
    first = bench.get(f"/v1/accounts/{made['id']}")
    assert (first["email"], first["business_profile"]["name"], first["metadata"]) == (
        "b@example.com",
        "Anna's pots",
        {"ref": "7"},
    )
    assert first["capabilities"] == {"transfers": "inactive"}
    assert bench.call("GET", f"/v2/core/accounts/{made['id']}?include[]=everything").status == 400
    assert bench.call("GET", "/v2/core/accounts/acct_nope").status == 403


def test_lists_and_updates(bench: Any) -> None:
    sellers = [bench.seller() for _ in range(3)]
    assert [item["id"] for item in bench.get("/v1/accounts")["data"]] == sellers[::-1]
    page = bench.get("/v2/core/accounts?limit=2")
    assert [item["id"] for item in page["data"]] == sellers[:0:-1]
    assert [item["id"] for item in bench.get(page["next_page_url"])["data"]] == sellers[:1]
    changed = bench.post(
        f"/v1/accounts/{sellers[0]}",
        "business_profile[url]=https://pots.example&settings[payouts][schedule][interval]=weekly"
        "&settings[payouts][schedule][weekly_anchor]=monday&business_type=individual&individual[first_name]=Ann",
    )
    assert changed["settings"]["payouts"]["schedule"]["interval"] == "weekly"
    assert changed["settings"]["payouts"]["debit_negative_balances"] is True
    assert bench.get("/v1/account")["id"] == bench.platform


def test_an_account_that_holds_money_cannot_be_deleted(bench: Any) -> None:
    seller = bench.seller()
    bench.control(f"accounts/{seller}/fund", {"currency": "usd", "amount": 5})
    assert bench.call("DELETE", f"/v1/accounts/{seller}").status == 400
    bench.control(f"accounts/{seller}/fund", {"currency": "usd", "amount": -5})
    assert bench.call("DELETE", f"/v1/accounts/{seller}").status == 200
    assert bench.call("GET", f"/v1/accounts/{seller}").status == 403
    assert bench.get("/v1/accounts")["data"] == []


def test_bad_accounts(bench: Any) -> None:
    for form, param in (
        ("country=XX", "country"),
        ("type=express&controller[fees][payer]=application", "controller"),
        ("capabilities[gold][requested]=true", "capabilities[gold]"),
        ("capabilities[transfers][requested]=maybe", "capabilities[transfers][requested]"),
        ("default_currency=zzz", "default_currency"),
    ):
        assert bench.refusal("/v1/accounts", form)["param"] == param
    seller = bench.seller(outcome=None)
    for form, param in (
        ("external_account=btok_nope", "external_account"),
        ("external_account[object]=card", "external_account"),
        ("external_account[object]=bank_account&external_account[country]=US", "external_account[account_number]"),
    ):
        assert bench.refusal(f"/v1/accounts/{seller}/external_accounts", form)["param"] == param


def test_balance_settings_and_the_account_show_one_schedule(bench: Any) -> None:
    seller = bench.seller()
    changed = bench.post(
        "/v1/balance_settings",
        "payments[payouts][schedule][interval]=weekly&payments[payouts][schedule][weekly_payout_days][]=monday"
        "&payments[debit_negative_balances]=false",
        account=seller,
    )
    assert changed["payments"]["payouts"]["schedule"]["interval"] == "weekly"
    assert bench.get("/v1/balance_settings", account=seller) == changed
    payouts = bench.get(f"/v1/accounts/{seller}")["settings"]["payouts"]
    assert (payouts["schedule"]["interval"], payouts["debit_negative_balances"]) == ("weekly", False)
    error = bench.refusal("/v1/balance_settings", "payments[payouts][schedule][interval]=hourly", account=seller)
    assert error["param"] == "payments[payouts][schedule][interval]"
