"""Payouts one by one: to banks and cards, failed, failed after they were paid, instant, and reversed."""

from __future__ import annotations

from typing import Any

import pytest

from marketbill.sandbox.payout_course import FAILURES


def assert_came_back(bench: Any, seller: str, payout: Any, code: str) -> None:
    """A payout of 20.00 failed for this reason, and its money is with the seller's 50.00 again."""
    failed = bench.get(f"/v1/payouts/{payout['id']}?expand[]=failure_balance_transaction", account=seller)
    assert (failed["status"], failed["failure_code"]) == ("failed", code)
    returned = failed["failure_balance_transaction"]
    assert (returned["type"], returned["reporting_category"]) == ("payout_failure", "payout_reversal")
    assert returned["net"] == 2_000
    assert bench.balance("usd", seller) == (5_000, 0)


class TestPayouts:
    @pytest.mark.parametrize(
        ("number", "code"),
        [
            ("000111111116", "no_account"),
            ("000111111113", "account_closed"),
            ("000222222227", "insufficient_funds"),
            ("000333333335", "debit_not_authorized"),
            ("000444444440", "invalid_currency"),
        ],
    )
    def test_a_bank_that_refuses_sends_the_money_back(self, bench: Any, number: str, code: str) -> None:
        seller = bench.funded(number=number)
        payout = bench.post("/v1/payouts", "amount=2000&currency=usd", account=seller)
        assert bench.balance("usd", seller) == (3_000, 0)
        bench.advance(days=3)
        assert_came_back(bench, seller, payout, code)
        # The bank account is disabled until it is updated.
        bank = payout["destination"]
        assert bench.get(f"/v1/accounts/{seller}/external_accounts/{bank}")["status"] == "errored"
        assert bench.refusal("/v1/payouts", "amount=2000&currency=usd", account=seller)
        bench.post(f"/v1/accounts/{seller}/external_accounts/{bank}", "metadata[checked]=yes")
        bench.post("/v1/payouts", "amount=2000&currency=usd", account=seller)

    def test_on_its_way_it_cannot_be_canceled(self, bench: Any) -> None:
        seller = bench.funded()
        payout = bench.post("/v1/payouts", "amount=2000&currency=usd", account=seller)
        bench.advance(days=1)
        assert bench.get(f"/v1/payouts/{payout['id']}", account=seller)["status"] == "in_transit"
        assert bench.refusal(f"/v1/payouts/{payout['id']}/cancel", account=seller)

    def test_payouts_blocked_by_onboarding(self, bench: Any) -> None:
        seller = bench.seller(outcome="payouts_blocked")
        bench.control(f"accounts/{seller}/fund", {"currency": "usd", "amount": 100})
        account = bench.get(f"/v1/accounts/{seller}")
        assert (account["capabilities"]["transfers"], account["payouts_enabled"]) == ("active", False)
        error = bench.refusal("/v1/payouts", "amount=100&currency=usd", account=seller)
        assert error["code"] == "payouts_not_allowed"

    def test_the_platform_pays_itself(self, bench: Any) -> None:
        bench.post("/v1/topups", "amount=20000&currency=usd&description=Float")
        assert bench.balance("usd") == (20_000, 0)
        topup = bench.get("/v1/topups?expand[]=data.balance_transaction")["data"][0]
        assert (topup["status"], topup["balance_transaction"]["type"]) == ("succeeded", "topup")
        payout = bench.post("/v1/payouts", "amount=20000&currency=usd")
        assert bench.events("payout.created")[0]["data"]["object"]["id"] == payout["id"]
        assert "account" not in bench.events("payout.created")[0]

    def test_lists_filter(self, bench: Any) -> None:
        seller = bench.funded()
        payout = bench.post("/v1/payouts", "amount=2000&currency=usd", account=seller)
        day = payout["arrival_date"]
        for query, count in (
            ("status=pending", 1),
            ("status=paid", 0),
            (f"arrival_date[gte]={day}", 1),
            (f"arrival_date[lt]={day}", 0),
            (f"destination={payout['destination']}", 1),
        ):
            assert len(bench.get(f"/v1/payouts?{query}", account=seller)["data"]) == count
        own = bench.get(f"/v1/balance_transactions?payout={payout['id']}", account=seller)["data"]
        assert [item["type"] for item in own] == ["payout"]


class TestFailure:
    @pytest.mark.parametrize("code", sorted(FAILURES))
    def test_a_bank_returns_what_it_had_taken(self, bench: Any, code: str) -> None:
        seller = bench.funded()
        payout = bench.post("/v1/payouts", "amount=2000&currency=usd", account=seller)
        bench.advance(days=3)
        assert bench.get(f"/v1/payouts/{payout['id']}", account=seller)["status"] == "paid"
        bench.control(f"payouts/{payout['id']}/fail", {"failure_code": code})
        assert_came_back(bench, seller, payout, code)
        assert [event["type"] for event in bench.events(account=seller) if event["type"].startswith("payout.")] == [
            "payout.failed",
            "payout.paid",
            "payout.updated",
            "payout.created",
        ]
        [event] = bench.events("account.external_account.updated", seller)
        assert event["data"]["object"]["status"] == "errored"
        assert bench.control("state")["books_balance"]

    def test_the_bank_account_is_of_no_use_until_it_is_updated(self, bench: Any) -> None:
        seller = bench.funded()
        bench.post("/v1/balance_settings", "payments[payouts][schedule][interval]=daily", account=seller)
        payout = bench.post("/v1/payouts", "amount=2000&currency=usd", account=seller)
        bench.advance(days=3)
        bench.control(f"payouts/{payout['id']}/fail", {})
        made = bench.get("/v1/payouts", account=seller)["data"]
        bench.control(f"accounts/{seller}/fund", {"currency": "usd", "amount": 100})
        assert bench.refusal("/v1/payouts", "amount=50&currency=usd", account=seller)["param"] == "destination"
        bench.advance(days=7)
        assert [one["id"] for one in bench.get("/v1/payouts", account=seller)["data"]] == [one["id"] for one in made]
        bench.post(f"/v1/accounts/{seller}/external_accounts/{payout['destination']}", "metadata[checked]=yes")
        bench.post("/v1/payouts", "amount=50&currency=usd", account=seller)

    def test_after_five_business_days_it_stays_paid(self, bench: Any) -> None:
        seller = bench.funded()
        payout = bench.post("/v1/payouts", "amount=2000&currency=usd", account=seller)
        bench.advance(days=14)
        refused = bench.send("POST", f"/_sandbox/payouts/{payout['id']}/fail", "{}")
        assert (refused.status, refused.body["error"]["param"]) == (400, "payout")
        assert bench.balance("usd", seller) == (3_000, 0)

    @pytest.mark.parametrize(
        ("payout", "body", "status"), [("po_nope", "{}", 404), (None, "{}", 400), (None, '{"failure_code": "x"}', 400)]
    )
    def test_what_cannot_fail(self, bench: Any, payout: str | None, body: str, status: int) -> None:
        seller = bench.funded()
        pending = bench.post("/v1/payouts", "amount=2000&currency=usd", account=seller)["id"]
        assert bench.send("POST", f"/_sandbox/payouts/{payout or pending}/fail", body).status == status


class TestInstant:
    def test_card_money_goes_out_before_its_day(self, bench: Any) -> None:
        bench.pay(10_000, card="pm_card_visa")
        bench.post("/v1/topups", "amount=1000&currency=usd&description=Float")
        assert bench.balance("usd") == (1_000, 9_680)
        [ready] = bench.get("/v1/balance")["instant_available"]
        assert (ready["amount"], [one["amount"] for one in ready["net_available"]]) == (10_680, [10_680])
        assert bench.refusal("/v1/payouts", "amount=4000&currency=usd")["code"] == "balance_insufficient"
        payout = bench.post("/v1/payouts", "amount=4000&currency=usd&method=instant")
        assert bench.balance("usd") == (0, 6_680)
        moved = bench.get(f"/v1/balance_transactions?payout={payout['id']}")["data"]
        assert sorted((one["type"], one["net"], one["status"]) for one in moved) == [
            ("advance", 3_000, "available"),
            ("advance_funding", -3_000, "pending"),
            ("payout", -4_000, "available"),
        ]
        bench.advance(hours=1)
        assert bench.get(f"/v1/payouts/{payout['id']}")["status"] == "paid"
        bench.advance(days=3)
        assert bench.balance("usd") == (6_680, 0)
        assert bench.control("state")["books_balance"]

    def test_no_more_than_there_is_and_nothing_while_something_is_owed(self, bench: Any) -> None:
        charge = bench.pay(10_000, card="pm_card_visa")["latest_charge"]["id"]
        refused = bench.refusal("/v1/payouts", "amount=9681&currency=usd&method=instant")
        assert refused["code"] == "balance_insufficient"
        bench.control(f"charges/{charge}/dispute", {"amount": 100})
        assert bench.balance("usd") == (-1_600, 9_680)
        assert bench.refusal("/v1/payouts", "amount=100&currency=usd&method=instant")["code"] == "balance_insufficient"
        assert bench.get("/v1/balance")["instant_available"][0]["amount"] == 0

    def test_a_bank_that_takes_none(self, bench: Any) -> None:
        seller = bench.funded(number="000888888883")
        assert "instant_available" not in bench.get("/v1/balance", account=seller)
        form = "amount=100&currency=usd&method="
        assert bench.refusal("/v1/payouts", form + "instant", account=seller)["param"] == "method"
        bench.post("/v1/payouts", form + "standard", account=seller)

    def test_the_limit_in_another_currency_is_what_it_is_worth(self, bench: Any) -> None:
        bench.control("exchange_rates", {"base": "usd", "rates": {"jpy": "150"}})
        bench.open_platform("JP", "jpy")
        bench.post("/v1/topups", "amount=2000000&currency=jpy&description=Float")
        error = bench.refusal("/v1/payouts", "amount=1499851&currency=jpy&method=instant")
        assert error["message"].endswith("less than or equal to ¥1,499,850")
        bench.post("/v1/payouts", "amount=1499850&currency=jpy&method=instant")


class TestReversal:
    def test_money_comes_back_from_the_bank(self, bench: Any) -> None:
        seller = bench.funded()
        payout = bench.post("/v1/payouts", "amount=2000&currency=usd", account=seller)
        path = f"/v1/payouts/{payout['id']}"
        assert "cancel" in bench.refusal(f"{path}/reverse", account=seller)["message"]
        bench.advance(days=3)
        back = bench.post(f"{path}/reverse", "metadata[why]=mistake&expand[]=balance_transaction", account=seller)
        assert (back["amount"], back["original_payout"], back["metadata"]) == (
            -2_000,
            payout["id"],
            {"why": "mistake"},
        )
        assert back["balance_transaction"]["net"] == 2_000
        assert bench.balance("usd", seller) == (3_000, 2_000)
        assert bench.get(path, account=seller)["reversed_by"] == back["id"]
        assert bench.refusal(f"{path}/reverse", account=seller)
        bench.advance(days=3)
        assert bench.balance("usd", seller) == (5_000, 0)
        assert bench.get(f"/v1/payouts/{back['id']}", account=seller)["status"] == "paid"
        assert bench.control("state")["books_balance"]

    def test_only_from_america(self, bench: Any) -> None:
        bench.open_platform("NL", "eur")
        bench.post("/v1/topups", "amount=2000&currency=eur&description=Float")
        payout = bench.post("/v1/payouts", "amount=2000&currency=eur")
        bench.advance(days=3)
        assert "United States" in bench.refusal(f"/v1/payouts/{payout['id']}/reverse")["message"]


def test_the_bank_of_the_sandbox_opens_an_account_in_a_currency_when_it_is_paid_out(bench: Any) -> None:
    seller = bench.seller("NL")
    bench.control(f"accounts/{seller}/fund", {"currency": "jpy", "amount": 500})
    payout = bench.post("/v1/payouts", "amount=500&currency=jpy&expand[]=destination", account=seller)
    assert payout["destination"]["currency"] == "jpy"
    assert len(bench.get(f"/v1/accounts/{seller}/external_accounts")["data"]) == 2


class TestDebitCards:
    def with_card(self, bench: Any, token: str) -> tuple[str, Any]:
        seller = bench.seller(outcome=None)
        card = bench.post(f"/v1/accounts/{seller}/external_accounts", f"external_account={token}")
        bench.control(f"accounts/{seller}/onboard", {"outcome": "complete"})
        bench.control(f"accounts/{seller}/fund", {"currency": "usd", "amount": 5_000})
        return seller, card

    def test_a_payout_to_a_card_is_paid(self, bench: Any) -> None:
        seller, card = self.with_card(bench, "tok_visa_debit_us_transferSuccess")
        assert (card["object"], card["last4"], card["default_for_currency"]) == ("card", "5564", True)
        payout = bench.post("/v1/payouts", "amount=2000&currency=usd&method=instant", account=seller)
        assert (payout["type"], payout["destination"]) == ("card", card["id"])
        bench.advance(hours=1)
        assert bench.get(f"/v1/payouts/{payout['id']}", account=seller)["status"] == "paid"

    def test_a_card_that_refuses_is_disabled_until_it_is_updated(self, bench: Any) -> None:
        seller, card = self.with_card(bench, "tok_visa_debit_us_transferFail")
        payout = bench.post("/v1/payouts", "amount=2000&currency=usd", account=seller)
        bench.advance(days=3)
        failed = bench.get(f"/v1/payouts/{payout['id']}?expand[]=destination", account=seller)
        assert (failed["failure_code"], failed["destination"]["status"]) == ("could_not_process", "errored")
        assert bench.balance("usd", seller) == (5_000, 0)
        path = f"/v1/accounts/{seller}/external_accounts/{card['id']}"
        assert bench.refusal(path, "account_holder_name=Ann")["param"] == "account_holder_name"
        assert bench.post(path, "exp_year=2036&name=Ann")["status"] == "new"

    def test_a_card_that_takes_no_instant_payout(self, bench: Any) -> None:
        seller, _ = self.with_card(bench, "tok_visa_debit_us_instantPayoutUnsupported")
        error = bench.refusal("/v1/payouts", "amount=100&currency=usd&method=instant", account=seller)
        assert error["param"] == "method"

    def test_cards_and_bank_accounts_are_told_apart(self, bench: Any) -> None:
        seller = bench.funded()
        path = f"/v1/accounts/{seller}/external_accounts"
        card = bench.post(path, "external_account[object]=card&external_account[token]=tok_visa_debit")
        bank = bench.get(path + "?object=bank_account")["data"]
        assert [one["id"] for one in bench.get(path + "?object=card")["data"]] == [card["id"]]
        assert [one["default_for_currency"] for one in (card, *bank)] == [False, True]
        bench.post(path, "external_account=tok_visa_debit&default_for_currency=true")
        assert [one["default_for_currency"] for one in bench.get(path)["data"]] == [True, False, False]
        form = "external_account[object]=card&external_account[number]=4000056655665556"
        assert bench.refusal(path, form)["param"] == "external_account"
        gone = bench.call("DELETE", f"{path}/{card['id']}").body
        assert gone == {"id": card["id"], "object": "card", "currency": "usd", "deleted": True}
