"""Destination charges, direct charges and their application fees: who holds what, also after refunds."""

from __future__ import annotations

from typing import Any

import pytest

CARD = "&allowed_payment_method_types[]=card"


def fee_net(bench: Any, account: str | None = None) -> int:
    """Return what an account earned by application fees, less what it gave back."""
    found = bench.get("/v1/balance_transactions?limit=100", account=account)["data"]
    return sum(one["net"] for one in found if one["type"].startswith("application_fee"))


def authorized(bench: Any, seller: str) -> Any:
    """100.00 for a seller, 30.00 of it a fee, held on a card and not captured."""
    return bench.post(
        "/v1/payment_intents",
        "amount=10000&currency=usd&payment_method=pm_card_visa&confirm=true&capture_method=manual"
        f"&application_fee_amount=3000&transfer_data[destination]={seller}{CARD}",
    )


class TestDestination:
    def test_the_transfer_the_fee_and_their_links(self, bench: Any) -> None:
        seller = bench.seller()
        paid = bench.pay(10_000, more=f"&application_fee_amount=1230&transfer_data[destination]={seller}")
        charge = bench.get(
            f"/v1/charges/{paid['latest_charge']['id']}?expand[]=transfer.reversals&expand[]=application_fee.refunds"
        )
        whole = bench.get(f"/v1/payment_intents/{paid['id']}?expand[]=transfer_data.destination")
        assert (whole["transfer_data"]["destination"]["id"], whole["application_fee_amount"]) == (seller, 1_230)
        assert bench.get("/v1/balance_transactions?expand[]=data.source.metadata.nothing")["data"]
        transfer, fee = charge["transfer"], charge["application_fee"]
        assert charge["transfer_data"] == {"amount": None, "destination": seller}
        assert (transfer["amount"], transfer["metadata"], transfer["source_transaction"], transfer["destination"]) == (
            10_000, {}, charge["id"], seller,
        )  # fmt: skip
        assert charge["transfer_group"] == transfer["transfer_group"] == f"group_{paid['id']}"
        assert (fee["amount"], fee["account"], fee["charge"], fee["originating_transaction"]) == (
            1_230, seller, transfer["destination_payment"], charge["id"],
        )  # fmt: skip
        arrival = bench.get(f"/v1/charges/{fee['charge']}?expand[]=balance_transaction", account=seller)
        moved = arrival["balance_transaction"]
        assert (moved["amount"], moved["fee"], moved["net"]) == (10_000, 1_230, 8_770)
        assert [(part["type"], part["amount"], part["application"]) for part in moved["fee_details"]] == [
            ("application_fee", 1_230, fee["application"])
        ]
        assert (arrival["application_fee"], arrival["application_fee_amount"]) == (fee["id"], 1_230)
        # The platform pays the processing fee of 320 out of its 1230.
        assert (bench.balance("usd"), bench.balance("usd", seller)) == ((910, 0), (8_770, 0))
        for query in (charge["id"], fee["charge"]):
            assert [one["id"] for one in bench.get(f"/v1/application_fees?charge={query}")["data"]] == [fee["id"]]
        assert len(bench.events("application_fee.created")) == len(bench.events("transfer.created")) == 1

    def test_only_a_part_is_sent_on(self, bench: Any) -> None:
        seller = bench.seller()
        more = f"&transfer_data[destination]={seller}&transfer_data[amount]=2250"
        paid = bench.pay(2_500, card="pm_card_visa", more=more)
        assert paid["transfer_data"] == {"amount": 2_250, "destination": seller}
        assert paid["latest_charge"]["application_fee"] is None
        # 2.9 % of 25.00 is 0.725, plus 0.30; all of it waits for the charge's money.
        assert (bench.balance("usd"), bench.balance("usd", seller)) == ((0, 2_500 - 103 - 2_250), (0, 2_250))
        bench.advance(days=3)
        assert (bench.balance("usd"), bench.balance("usd", seller)) == ((147, 0), (2_250, 0))

    def test_asynchronously_all_of_it_comes_with_charge_updated(self, bench: Any) -> None:
        seller = bench.seller()
        paid = bench.post(
            "/v1/payment_intents",
            "amount=10000&currency=usd&payment_method=pm_card_visa&confirm=true&application_fee_amount=500"
            f"&transfer_data[destination]={seller}&expand[]=latest_charge{CARD}",
        )
        assert "transfer" not in paid["latest_charge"]
        assert (paid["latest_charge"]["balance_transaction"], paid["latest_charge"]["application_fee"]) == (None, None)
        bench.balance("usd")
        [updated] = bench.events("charge.updated")
        assert updated["data"]["previous_attributes"] == {
            "application_fee": None, "balance_transaction": None, "transfer": None,
        }  # fmt: skip
        assert updated["data"]["object"]["transfer"].startswith("tr_")

    def test_a_part_of_an_authorization(self, bench: Any) -> None:
        seller = bench.seller()
        held = authorized(bench, seller)
        form = "amount_to_capture=5000&application_fee_amount="
        assert bench.refusal(f"/v1/payment_intents/{held['id']}/capture", form + "5001")["param"]
        bench.post(f"/v1/payment_intents/{held['id']}/capture", form + "1000")
        # 5000 captured: 175 to the provider, 1000 to the platform.
        assert (bench.balance("usd"), bench.balance("usd", seller)) == ((0, 825), (0, 4_000))

    def test_a_fee_is_capped_at_what_is_captured(self, bench: Any) -> None:
        seller = bench.seller()
        held = authorized(bench, seller)
        bench.post(f"/v1/payment_intents/{held['id']}/capture", "amount_to_capture=2000")
        assert (bench.balance("usd"), bench.balance("usd", seller)) == ((0, 2_000 - 88), (0, 0))

    def test_the_terms_may_change_until_it_is_confirmed(self, bench: Any) -> None:
        seller = bench.seller()
        made = bench.post(
            "/v1/payment_intents",
            f"amount=1000&currency=usd&application_fee_amount=100&transfer_data[destination]={seller}{CARD}"
            "&transfer_data[description]=Pots&transfer_data[payment_data][metadata][order]=7",
        )
        path = f"/v1/payment_intents/{made['id']}"
        assert bench.post(path, "application_fee_amount=200")["application_fee_amount"] == 200
        assert bench.refusal(path, "transfer_data[amount]=500")["param"] == "application_fee_amount"
        assert bench.refusal(path, f"transfer_data[destination]={seller}")["code"] == "parameter_unknown"
        assert bench.post(path, "application_fee_amount=")["application_fee_amount"] is None
        bench.post(path, "transfer_data[amount]=500&transfer_data[metadata][a]=b")
        bench.post(path + "/confirm", "payment_method=pm_card_visa")
        [transfer] = bench.get(f"/v1/transfers?transfer_group=group_{made['id']}&expand[]=data.destination_payment")[
            "data"
        ]
        assert (transfer["amount"], transfer["description"], transfer["metadata"]) == (500, "Pots", {"a": "b"})
        assert transfer["destination_payment"]["metadata"] == {"order": "7"}

    def test_what_is_refused(self, bench: Any) -> None:
        seller, unready = bench.seller(), bench.seller(outcome=None)
        to = f"transfer_data[destination]={seller}"
        for form, code, param in (
            ("application_fee_amount=10", None, "application_fee_amount"),
            (f"application_fee_amount=-1&{to}", "parameter_invalid_integer", "application_fee_amount"),
            (f"application_fee_amount=1001&{to}", "amount_too_large", "application_fee_amount"),
            (f"application_fee_amount=1&transfer_data[amount]=9&{to}", None, "application_fee_amount"),
            (f"transfer_data[amount]=1001&{to}", "amount_too_large", "transfer_data[amount]"),
            (f"transfer_data[amount]=0&{to}", "parameter_invalid_integer", "transfer_data[amount]"),
            ("transfer_data[amount]=5", "parameter_missing", "transfer_data[destination]"),
            ("transfer_data[destination]=acct_nope", "resource_missing", "transfer_data[destination]"),
            (f"transfer_data[destination]={bench.platform}", None, "transfer_data[destination]"),
            (
                f"transfer_data[destination]={unready}",
                "insufficient_capabilities_for_transfer",
                "transfer_data[destination]",
            ),
            ("on_behalf_of=acct_nope", "resource_missing", "on_behalf_of"),
            (f"on_behalf_of={seller}", None, "on_behalf_of"),
        ):
            error = bench.refusal("/v1/payment_intents", f"amount=1000&currency=usd{CARD}&{form}")
            assert (error.get("code"), error["param"]) == (code, param), form
        assert "direct payment (using an OAuth key or" in bench.refusal(
            "/v1/payment_intents", "amount=1000&currency=usd&application_fee_amount=1"
        )["message"]  # fmt: skip


#: Charged, application fee, refunds with (amount, reverse_transfer, refund_application_fee), and what platform and
#: seller hold in the end, by hand; the provider keeps 2.9 % + 30 of what was charged.
REFUNDED = [
    # Nothing but the refund: the platform's own 680 of 1000 less fee 320, less 10000.
    (10_000, 1_000, [(10_000, False, False)], 680 - 10_000, 9_000),
    # All back but the fee: the seller is 1000 below zero, which the platform holds in reserve.
    (10_000, 1_000, [(10_000, True, False)], 680 - 1_000, -1_000),
    # All back: only the provider's fee is lost.
    (10_000, 1_000, [(10_000, True, True)], -320, 0),
    # A quarter: 2500 of the transfer, 250 of the fee.
    (10_000, 1_000, [(2_500, True, True)], 680 - 250, 9_000 - 2_500 + 250),
    # Thirds of 100 are 33, 34, 33 of a transfer of 100 and 3, 4, 3 of a fee of 10.
    (100, 10, [(33, True, True), (34, True, True), (33, True, True)], -33, 0),
    # The fee alone goes to the seller.
    (10_000, 1_000, [(5_000, False, True)], 680 - 5_000 - 500, 9_500),
]


@pytest.mark.parametrize(("charged", "fee", "refunds", "platform", "there"), REFUNDED)
def test_refunds_of_a_destination_charge(
    bench: Any, charged: int, fee: int, refunds: list[tuple[int, bool, bool]], platform: int, there: int
) -> None:
    seller = bench.seller()
    bench.post("/v1/topups", "amount=50000&currency=usd")
    paid = bench.pay(charged, more=f"&application_fee_amount={fee}&transfer_data[destination]={seller}")
    for amount, reverse, fee_too in refunds:
        made = bench.post(
            "/v1/refunds",
            f"payment_intent={paid['id']}&amount={amount}&reverse_transfer={str(reverse).lower()}"
            f"&refund_application_fee={str(fee_too).lower()}&expand[]=transfer_reversal",
        )
        if reverse:
            assert made["transfer_reversal"]["source_refund"] == made["id"]
        else:
            assert made["transfer_reversal"] is None
    assert bench.balance("usd") == (50_000 + platform, 0)
    assert bench.balance("usd", seller) == (there, 0)
    assert bench.control("state")["books_balance"]


class TestReversal:
    def paid(self, bench: Any) -> tuple[str, Any]:
        seller = bench.seller()
        more = f"&application_fee_amount=1000&transfer_data[destination]={seller}"
        paid = bench.pay(10_000, more=more)
        return seller, bench.get(f"/v1/charges/{paid['latest_charge']['id']}")

    def test_it_may_give_its_share_of_the_fee_back(self, bench: Any) -> None:
        seller, charge = self.paid(bench)
        path = f"/v1/transfers/{charge['transfer']}/reversals"
        made = bench.post(
            path,
            "amount=3333&refund_application_fee=true&expand[]=destination_payment_refund.balance_transaction",
        )
        moved = made["destination_payment_refund"]["balance_transaction"]
        # 3333 of 10000 of the fee of 1000 is 333.3.
        assert (moved["amount"], moved["fee"], moved["net"]) == (-3_333, -333, -3_000)
        assert moved["fee_details"][0]["type"] == "application_fee"
        bench.post(path, "refund_application_fee=true")
        fee = bench.get(f"/v1/application_fees/{charge['application_fee']}")
        assert (fee["amount_refunded"], fee["refunded"]) == (1_000, True)
        assert [entry["amount"] for entry in fee["refunds"]["data"]] == [667, 333]
        assert fee_net(bench) == 0
        assert (bench.balance("usd"), bench.balance("usd", seller)) == ((9_680, 0), (0, 0))

    def test_after_it_a_refund_reverses_what_is_left(self, bench: Any) -> None:
        seller, charge = self.paid(bench)
        bench.post(f"/v1/transfers/{charge['transfer']}/reversals", "amount=6000")
        bench.post("/v1/refunds", f"charge={charge['id']}&amount=5000&reverse_transfer=true")
        assert bench.get(f"/v1/transfers/{charge['transfer']}")["reversed"]
        error = bench.refusal("/v1/refunds", f"charge={charge['id']}&amount=5000&reverse_transfer=true")
        assert "already fully reversed" in error["message"]
        assert bench.balance("usd", seller) == (-1_000, 0)


class TestFees:
    def test_they_are_refunded_by_themselves(self, bench: Any) -> None:
        seller = bench.seller()
        paid = bench.pay(10_000, more=f"&application_fee_amount=1000&transfer_data[destination]={seller}")
        fee = bench.get(f"/v1/charges/{paid['latest_charge']['id']}")["application_fee"]
        path = f"/v1/application_fees/{fee}/refunds"
        made = bench.post(path, "amount=300&metadata[a]=b&expand[]=balance_transaction")
        moved = made["balance_transaction"]
        assert (moved["type"], moved["reporting_category"], moved["net"], moved["source"]) == (
            "application_fee_refund", "platform_earning_refund", -300, made["id"],
        )  # fmt: skip
        assert (bench.balance("usd"), bench.balance("usd", seller)) == ((380, 0), (9_300, 0))
        error = bench.refusal(path, "amount=701")
        assert error["message"] == "Refund amount ($7.01) is greater than unrefunded amount on fee ($7.00)"
        assert bench.refusal(path, "amount=0")["code"] == "parameter_invalid_integer"
        changed = bench.post(f"{path}/{made['id']}", "metadata[a]=c")
        assert bench.get(f"{path}/{made['id']}") == changed
        assert bench.post(path)["amount"] == 700
        assert "already been refunded" in bench.refusal(path)["message"]
        assert [entry["amount"] for entry in bench.get(path)["data"]] == [700, 300]
        assert len(bench.events("application_fee.refunded")) == 2
        assert len(bench.events("application_fee.refund.updated")) == 1
        assert bench.refusal("/v1/application_fees/fee_nope/refunds", status=404)["code"] == "resource_missing"


def test_across_currencies_each_side_has_its_own(bench: Any) -> None:
    """The seller pays the fee in Canadian dollars, the platform gets it in its own."""
    bench.control("exchange_rates", {"base": "usd", "rates": {"cad": "1.4"}})
    seller = bench.canadian()
    paid = bench.pay(10_000, more=f"&application_fee_amount=1000&transfer_data[destination]={seller}")
    charge = bench.get(f"/v1/charges/{paid['latest_charge']['id']}?expand[]=application_fee")
    assert (charge["application_fee"]["amount"], charge["application_fee"]["currency"]) == (1_000, "usd")
    assert (bench.balance("usd"), bench.balance("cad", seller)) == ((680, 0), (14_000 - 1_400, 0))
    fees = f"/v1/application_fees/{charge['application_fee']['id']}/refunds"
    bench.post(fees, "amount=250")
    assert (bench.balance("usd"), bench.balance("cad", seller)) == ((430, 0), (12_950, 0))
    bench.post("/v1/topups", "amount=100&currency=usd")
    bench.post("/v1/refunds", f"charge={charge['id']}&amount=5000&reverse_transfer=true&refund_application_fee=true")
    # Half of the transfer, 7000 there, and half of the fee, 500 here and 700 there.
    assert (bench.balance("usd"), bench.balance("cad", seller)) == ((30, 0), (12_950 - 7_000 + 700, 0))
    assert bench.control("state")["books_balance"]


class TestDirect:
    def test_it_needs_an_account_that_takes_cards(self, bench: Any) -> None:
        seller = bench.seller()
        error = bench.refusal("/v1/payment_intents", f"amount=1000&currency=usd{CARD}", account=seller)
        assert "card_payments" in error["message"]

    @pytest.mark.parametrize(
        ("payer", "platform", "there"), [("application", 1_000 - 320, 9_000), ("account", 1_000, 8_680)]
    )
    def test_the_fee_goes_to_the_platform_and_comes_back_in_parts(
        self, bench: Any, payer: str, platform: int, there: int
    ) -> None:
        losses = "application" if payer == "application" else "stripe"
        board = "express" if payer == "application" else "full"
        seller = bench.post(
            "/v1/accounts",
            f"country=US&controller[fees][payer]={payer}&controller[losses][payments]={losses}"
            f"&controller[stripe_dashboard][type]={board}&capabilities[card_payments][requested]=true"
            "&capabilities[transfers][requested]=true",
        )["id"]
        bench.control(f"accounts/{seller}/onboard", {"outcome": "complete"})
        paid = bench.post(
            "/v1/payment_intents",
            "amount=10000&currency=usd&payment_method=pm_card_bypassPending&confirm=true&capture_method=automatic"
            f"&application_fee_amount=1000&expand[]=latest_charge{CARD}",
            account=seller,
        )
        charge = paid["latest_charge"]
        assert charge["application"] == paid["application"] != None  # noqa: E711
        fee = bench.get(f"/v1/application_fees/{charge['application_fee']}")
        assert (fee["charge"], fee["originating_transaction"]) == (charge["id"], None)
        assert (bench.balance("usd"), bench.balance("usd", seller)) == ((platform, 0), (there, 0))
        made = bench.post(
            "/v1/refunds",
            f"charge={charge['id']}&amount=2500&refund_application_fee=true&expand[]=balance_transaction",
            account=seller,
        )
        moved = made["balance_transaction"]
        assert (moved["amount"], moved["fee"], moved["net"]) == (-2_500, -250, -2_250)
        assert (bench.balance("usd"), bench.balance("usd", seller)) == ((platform - 250, 0), (there - 2_250, 0))
        assert bench.call("GET", f"/v1/refunds/{made['id']}").status == 404
        assert bench.control("state")["books_balance"]


def test_a_waiting_refund_gives_back_no_more_of_the_fee_than_is_left(bench: Any) -> None:
    merchant = bench.merchant()
    paid = bench.post(
        "/v1/payment_intents",
        "amount=10000&currency=usd&payment_method=pm_card_bypassPending&confirm=true&capture_method=automatic"
        f"&application_fee_amount=1000&expand[]=latest_charge{CARD}",
        account=merchant,
    )["latest_charge"]
    bench.post("/v1/payouts", "amount=9000&currency=usd", account=merchant)
    made = bench.post("/v1/refunds", f"charge={paid['id']}&refund_application_fee=true", account=merchant)
    assert made["pending_reason"] == "insufficient_funds"
    # 700 of the fee come back by themselves: with the 300 that are left, 700 and 9000 more pay the refund.
    bench.post(f"/v1/application_fees/{paid['application_fee']}/refunds", "amount=700")
    bench.post("/v1/topups", "amount=10000&currency=usd")
    bench.post("/v1/transfers", f"amount=8999&currency=usd&destination={merchant}")
    assert bench.get(f"/v1/refunds/{made['id']}", account=merchant)["status"] == "pending"
    bench.post("/v1/transfers", f"amount=1&currency=usd&destination={merchant}")
    assert bench.get(f"/v1/refunds/{made['id']}", account=merchant)["status"] == "succeeded"
    assert bench.get(f"/v1/application_fees/{paid['application_fee']}")["amount_refunded"] == 1_000
    assert bench.balance("usd", merchant) == (0, 0)
    assert bench.control("state")["books_balance"]


def test_on_behalf_of_a_merchant_its_country_counts(bench: Any) -> None:
    merchant = bench.merchant("NL")
    paid = bench.pay(
        10_000, "eur", card="pm_card_visa", more=f"&on_behalf_of={merchant}&transfer_data[destination]={merchant}"
    )
    charge = bench.get(f"/v1/charges/{paid['latest_charge']['id']}?expand[]=balance_transaction")
    assert (paid["on_behalf_of"], charge["on_behalf_of"]) == (merchant, merchant)
    # European pricing: 1.5 % + 0.25.
    assert charge["balance_transaction"]["fee"] == 175
    assert (bench.balance("eur"), bench.balance("eur", merchant)) == ((0, -175), (0, 10_000))
