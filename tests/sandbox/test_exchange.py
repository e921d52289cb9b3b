"""Money in other currencies: the rate table, transfers that are exchanged, charges that settle in one currency."""

from __future__ import annotations

import json
from typing import Any

import pytest


def set_rates(bench: Any, base: str, **rates: str) -> Any:
    return bench.control("exchange_rates", {"base": base, "rates": rates})


def refused_rates(bench: Any, body: Any) -> Any:
    answer = bench.send("POST", "/_sandbox/exchange_rates", json.dumps(body))
    assert answer.status == 400
    return answer.body["error"]


def with_bank(bench: Any, country: str, currency: str) -> str:
    """A seller who brings a bank account, so that the sandbox's own, which takes every currency, is not added."""
    seller = bench.seller(country, outcome=None)
    bench.post(f"/v1/accounts/{seller}", "tos_acceptance[service_agreement]=recipient")
    bench.bank_account(seller, country, currency, "DE89370400440532013000")
    bench.control(f"accounts/{seller}/onboard", {"outcome": "complete"})
    return seller


def arrival(bench: Any, transfer: Any, seller: str) -> Any:
    return bench.get(f"/v1/charges/{transfer['destination_payment']}?expand[]=balance_transaction", account=seller)


class TestRates:
    def test_a_rate_is_what_was_set_and_the_other_way_its_reciprocal(self, bench: Any) -> None:
        assert set_rates(bench, "usd", cad="1.35883")["rates"]["cad"] == 1.35883
        assert bench.get("/v1/exchange_rates/usd")["rates"]["cad"] == 1.35883
        # 1 / 1.35883 = 0.735927…, to six digits.
        assert bench.get("/v1/exchange_rates/cad")["rates"]["usd"] == 0.735927
        set_rates(bench, "cad", usd="0.73")
        assert bench.get("/v1/exchange_rates/cad")["rates"]["usd"] == 0.73
        assert bench.get("/v1/exchange_rates/usd")["rates"]["cad"] == 1.35883

    def test_what_is_not_set_is_crossed_over_the_dollar(self, bench: Any) -> None:
        dollar = bench.get("/v1/exchange_rates/usd")["rates"]
        assert (dollar["eur"], dollar["jpy"]) == (0.925926, 150)
        # 150 / 0.925926 = 161.99998…
        assert bench.get("/v1/exchange_rates/eur")["rates"]["jpy"] == 162

    def test_the_list_is_alphabetical_with_cursors(self, bench: Any) -> None:
        first = bench.get("/v1/exchange_rates?limit=2")
        assert ([rate["id"] for rate in first["data"]], first["has_more"]) == (["aed", "afn"], True)
        after = bench.get("/v1/exchange_rates?limit=2&starting_after=afn")["data"]
        assert [rate["id"] for rate in after] == ["all", "amd"]
        before = bench.get("/v1/exchange_rates?limit=2&ending_before=amd")
        assert ([rate["id"] for rate in before["data"]], before["has_more"]) == (["afn", "all"], True)
        assert bench.get("/v1/exchange_rates?starting_after=zwg") == {
            "object": "list", "url": "/v1/exchange_rates", "has_more": False, "data": [],
        }  # fmt: skip
        assert bench.call("GET", "/v1/exchange_rates/xxx").body["error"]["code"] == "resource_missing"
        assert bench.call("GET", "/v1/exchange_rates?starting_after=xxx").status == 400

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            ({"base": "usd", "rates": {"cad": "0"}}, "rates[cad]"),
            ({"base": "usd", "rates": {"cad": "-1"}}, "rates[cad]"),
            ({"base": "usd", "rates": {"cad": "NaN"}}, "rates[cad]"),
            ({"base": "usd", "rates": {"cad": "a lot"}}, "rates[cad]"),
            ({"base": "usd", "rates": {"cad": True}}, "rates[cad]"),
            ({"base": "usd", "rates": {"cad": "1.2345678901234567"}}, "rates[cad]"),
            ({"base": "usd", "rates": {"xxx": "1"}}, "rates[xxx]"),
            ({"base": "usd", "rates": {"usd": "1"}}, "rates[usd]"),
            ({"base": "usd", "rates": {}}, "rates"),
            ({"base": "xxx", "rates": {"cad": "1"}}, "base"),
            ({"base": "usd"}, "rates"),
        ],
    )
    def test_a_rate_that_makes_no_sense_is_refused_and_changes_nothing(self, bench: Any, body: Any, param: str) -> None:
        assert refused_rates(bench, body)["param"] == param
        assert bench.get("/v1/exchange_rates/usd")["rates"]["cad"] == 1.37


#: Rate from the transfer's currency to the seller's, amount sent, amount received: by hand.
EXCHANGED = [
    ("CA", "cad", "1.35883", 58, 79),  # 78.81214
    ("CA", "cad", "1.35883", 5_800, 7_881),  # 7881.214
    ("DE", "eur", "0.5", 3, 2),  # 1.5: half away from zero
    ("DE", "eur", "0.5", 5, 3),  # 2.5
    ("JP", "jpy", "149.5", 101, 151),  # USD 1.01 is 150.995 yen
    ("IS", "isk", "125.5", 100, 12_600),  # 125.50 krónur: whole ones only, in hundreds
    ("HU", "huf", "362.4", 100, 36_240),  # forints have decimals until they are paid out
]


class TestTransfers:
    @pytest.mark.parametrize(("country", "currency", "rate", "sent", "received"), EXCHANGED)
    def test_a_currency_the_seller_does_not_hold_is_exchanged(
        self, bench: Any, country: str, currency: str, rate: str, sent: int, received: int
    ) -> None:
        bench.pay(10_000)
        seller = with_bank(bench, country, currency)
        set_rates(bench, "usd", **{currency: rate})
        transfer = bench.post(
            "/v1/transfers", f"amount={sent}&currency=usd&destination={seller}&expand[]=balance_transaction"
        )
        ours, theirs = transfer["balance_transaction"], arrival(bench, transfer, seller)
        assert (ours["amount"], ours["currency"], ours["exchange_rate"]) == (-sent, "usd", None)
        assert (theirs["amount"], theirs["currency"]) == (sent, "usd")
        settled = theirs["balance_transaction"]
        assert (settled["net"], settled["currency"], settled["exchange_rate"]) == (received, currency, float(rate))
        assert bench.balance(currency, seller) == (received, 0)
        assert bench.balance("usd", seller) == (0, 0)
        assert bench.control("state")["books_balance"]

    def test_a_currency_of_one_of_the_sellers_banks_is_kept(self, bench: Any) -> None:
        bench.pay(10_000)
        seller = with_bank(bench, "CA", "cad")
        bench.bank_account(seller)
        transfer = bench.post("/v1/transfers", f"amount=58&currency=usd&destination={seller}")
        settled = arrival(bench, transfer, seller)["balance_transaction"]
        assert (settled["net"], settled["currency"], settled["exchange_rate"]) == (58, "usd", None)

    def test_the_bank_of_the_sandboxs_onboarding_takes_every_currency(self, bench: Any) -> None:
        bench.pay(10_000)
        seller = bench.seller("CA")
        bench.post("/v1/transfers", f"amount=58&currency=usd&destination={seller}")
        assert bench.balance("usd", seller) == (58, 0)

    def test_what_becomes_nothing_is_refused_and_moves_nothing(self, bench: Any) -> None:
        bench.pay(10_000)
        seller = with_bank(bench, "DE", "eur")
        set_rates(bench, "usd", eur="0.4")
        before = bench.balance("usd")
        error = bench.refusal("/v1/transfers", f"amount=1&currency=usd&destination={seller}")
        assert (error["code"], error["param"]) == ("amount_too_small", "amount")
        assert bench.balance("usd") == before
        assert bench.get("/v1/transfers")["data"] == []

    def test_a_pending_charge_is_shared_in_another_currency_and_settles_on_its_day(self, bench: Any) -> None:
        charge = bench.pay(10_000, card="pm_card_visa")["latest_charge"]
        seller = with_bank(bench, "CA", "cad")
        set_rates(bench, "usd", cad="1.5")
        bench.post("/v1/transfers", f"amount=6000&currency=usd&destination={seller}&source_transaction={charge['id']}")
        # The rate of the day of the transfer stays.
        set_rates(bench, "usd", cad="2")
        assert bench.balance("cad", seller) == (0, 9_000)
        bench.advance(days=3)
        assert bench.balance("cad", seller) == (9_000, 0)


class TestSettlement:
    @pytest.fixture
    def converting(self, bench: Any) -> Any:
        """A US platform that keeps dollars only, and EUR 1 = USD 1.085."""
        made = bench.control("platforms", {"country": "US", "default_currency": "usd", "settle": "default"})
        bench.key, bench.platform = made["secret_key"], made["id"]
        set_rates(bench, "eur", usd="1.085")
        return bench

    def test_a_charge_settles_in_the_platforms_currency(self, converting: Any) -> None:
        charge = converting.pay(10_001, currency="eur")["latest_charge"]
        settled = charge["balance_transaction"]
        assert (charge["amount"], charge["currency"]) == (10_001, "eur")
        # EUR 100.01 at 1.085 is 108.51085; 2.9 % of it 3.14679, and 0.30.
        assert (settled["amount"], settled["fee"], settled["net"]) == (10_851, 345, 10_506)
        assert (settled["currency"], settled["exchange_rate"]) == ("usd", 1.085)
        assert settled["fee_details"][0]["currency"] == "usd"
        assert converting.balance("usd") == (10_506, 0)
        assert converting.balance("eur") == (0, 0)
        assert converting.control("state")["books_balance"]

    def test_transfers_out_of_it_are_in_the_currency_it_settled_in(self, converting: Any) -> None:
        charge = converting.pay(10_001, currency="eur")["latest_charge"]["id"]
        seller = converting.seller()
        form = f"&destination={seller}&source_transaction={charge}"
        assert converting.refusal("/v1/transfers", f"amount=100&currency=eur{form}")["param"] == "currency"
        assert "$108.51" in converting.refusal("/v1/transfers", f"amount=10852&currency=usd{form}")["message"]
        assert converting.post("/v1/transfers", f"currency=usd{form}")["amount"] == 10_851

    def test_the_least_charge_is_the_settlement_currencys(self, converting: Any) -> None:
        form = "&payment_method=pm_card_visa&allowed_payment_method_types[]=card"
        # EUR 0.46 is 0.4991, a rounded 0.50 dollars; EUR 0.45 is 0.48825.
        converting.post("/v1/payment_intents", f"amount=46&currency=eur{form}")
        error = converting.refusal("/v1/payment_intents", f"amount=45&currency=eur{form}")
        assert error["code"] == "amount_too_small"
        assert error["message"] == "Amount must convert to at least $0.50. €0.45 converts to approximately $0.49."

    def test_a_platform_settles_every_currency_unless_told_otherwise(self, bench: Any) -> None:
        settled = bench.pay(10_000, currency="eur")["latest_charge"]["balance_transaction"]
        assert (settled["currency"], settled["exchange_rate"]) == ("eur", None)

    def test_a_refund_costs_what_it_is_worth_on_its_day(self, converting: Any) -> None:
        charge = converting.pay(1_000, currency="eur")["latest_charge"]["id"]
        # EUR 10.00 came as 10.85, less 0.61.
        assert converting.balance("usd") == (1_024, 0)
        converting.post("/v1/topups", "amount=1000&currency=usd&description=Float")
        set_rates(converting, "eur", usd="1.2")
        refund = converting.post("/v1/refunds", f"charge={charge}&amount=400&expand[]=balance_transaction")
        taken = refund["balance_transaction"]
        assert (refund["amount"], refund["currency"]) == (400, "eur")
        assert (taken["net"], taken["currency"], taken["exchange_rate"]) == (-480, "usd", 1.2)
        set_rates(converting, "eur", usd="1.1")
        converting.post("/v1/refunds", f"charge={charge}")
        assert converting.balance("usd") == (2_024 - 480 - 660, 0)
        assert converting.get(f"/v1/charges/{charge}")["refunded"]
        assert converting.control("state")["books_balance"]

    def test_money_that_comes_after_a_collapse_is_nothing_and_breaks_nothing(self, converting: Any) -> None:
        converting.post(
            "/v1/payment_intents",
            "amount=100&currency=eur&payment_method=pm_card_createDispute&confirm=true"
            "&allowed_payment_method_types[]=card",
        )
        set_rates(converting, "eur", usd="0.000001")
        [dispute] = converting.get("/v1/disputes")["data"]
        converting.advance(days=30)
        assert converting.get(f"/v1/disputes/{dispute['id']}")["status"] == "lost"
        assert converting.control("state")["books_balance"]


def test_a_reversal_takes_back_what_it_is_worth_on_its_day(bench: Any) -> None:
    bench.pay(10_000)
    seller = with_bank(bench, "CA", "cad")
    set_rates(bench, "usd", cad="1.5")
    transfer = bench.post("/v1/transfers", f"amount=1000&currency=usd&destination={seller}")
    set_rates(bench, "usd", cad="1.4")
    reversals = f"/v1/transfers/{transfer['id']}/reversals"
    bench.post(reversals, "amount=100")
    assert bench.balance("cad", seller) == (1_500 - 140, 0)
    set_rates(bench, "usd", cad="0.001")
    error = bench.refusal(reversals, "amount=100")
    assert (error["code"], error["param"]) == ("amount_too_small", "amount")
    assert bench.balance("cad", seller) == (1_360, 0)
    assert bench.get(f"/v1/transfers/{transfer['id']}")["amount_reversed"] == 100
