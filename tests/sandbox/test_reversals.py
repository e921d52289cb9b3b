"""Transfer reversals: both ledgers, what is left, whose money it is, and accounts that go below zero for it."""

from __future__ import annotations

from typing import Any

import pytest


def sent(bench: Any, amount: int) -> tuple[str, Any]:
    """Return a seller and a transfer to it out of 96.80 available."""
    bench.pay(10_000)
    seller = bench.seller()
    return seller, bench.post("/v1/transfers", f"amount={amount}&currency=usd&destination={seller}")


class TestLedgers:
    def test_parts_add_up_until_nothing_is_left(self, bench: Any) -> None:
        seller, transfer = sent(bench, 7_000)
        path = f"/v1/transfers/{transfer['id']}/reversals"
        #: Reversed now, reversed in all, what platform (9680 net - 7000) and seller have then: by hand.
        for amount, total, platform, there in (
            (2_000, 2_000, 4_680, 5_000),
            (1, 2_001, 4_681, 4_999),
            (4_999, 7_000, 9_680, 0),
        ):
            bench.post(path, f"amount={amount}")
            after = bench.get(f"/v1/transfers/{transfer['id']}")
            assert (after["amount_reversed"], after["reversed"]) == (total, total == 7_000)
            assert bench.balance("usd") == (platform, 0)
            assert bench.balance("usd", seller) == (there, 0)
        assert [entry["amount"] for entry in after["reversals"]["data"]] == [4_999, 1, 2_000]
        assert after["reversals"]["has_more"] is False
        assert len(bench.events("transfer.reversed")) == 3
        error = bench.refusal(path)
        assert error["message"] == f"The transfer {transfer['id']} is already fully reversed."
        assert bench.control("state")["books_balance"]

    def test_both_sides_are_recorded_and_linked(self, bench: Any) -> None:
        seller, transfer = sent(bench, 7_000)
        made = bench.post(
            f"/v1/transfers/{transfer['id']}/reversals",
            "amount=2500&metadata[why]=late&description=Late&expand[]=balance_transaction&expand[]=transfer"
            "&expand[]=destination_payment_refund.balance_transaction",
        )
        ours, theirs = made["balance_transaction"], made["destination_payment_refund"]
        assert (ours["type"], ours["reporting_category"], ours["net"], ours["source"], ours["description"]) == (
            "transfer_refund", "transfer_reversal", 2_500, transfer["id"], "Late",
        )  # fmt: skip
        assert made["transfer"]["amount_reversed"] == 2_500
        assert (theirs["object"], theirs["charge"], theirs["status"]) == (
            "refund",
            transfer["destination_payment"],
            "succeeded",
        )
        assert theirs["source_transfer_reversal"] == made["id"]
        moved = theirs["balance_transaction"]
        assert (moved["type"], moved["reporting_category"], moved["net"], moved["source"]) == (
            "payment_refund", "refund", -2_500, theirs["id"],
        )  # fmt: skip
        arrival = bench.get(f"/v1/charges/{transfer['destination_payment']}", account=seller)
        assert (arrival["amount_refunded"], arrival["refunded"]) == (2_500, False)
        assert bench.get("/v1/refunds", account=seller)["data"][0]["id"] == theirs["id"]

    def test_they_are_found_changed_and_listed(self, bench: Any) -> None:
        _, transfer = sent(bench, 7_000)
        path = f"/v1/transfers/{transfer['id']}/reversals"
        made = [bench.post(path, f"amount={amount}")["id"] for amount in range(1, 13)]
        page = bench.get(f"{path}?limit=2&starting_after={made[11]}")
        assert ([entry["id"] for entry in page["data"]], page["has_more"]) == ([made[10], made[9]], True)
        embedded = bench.get(f"/v1/transfers/{transfer['id']}?expand[]=reversals.data.balance_transaction")["reversals"]
        assert [entry["balance_transaction"]["net"] for entry in embedded["data"]][:2] == [12, 11]
        assert (len(embedded["data"]), embedded["has_more"], embedded["url"]) == (10, True, path)
        changed = bench.post(f"{path}/{made[0]}", "metadata[note]=seen")
        assert bench.get(f"{path}/{made[0]}") == changed
        assert changed["metadata"] == {"note": "seen"}
        _, other = sent(bench, 100)
        answer = bench.call("GET", f"/v1/transfers/{other['id']}/reversals/{made[0]}")
        assert (answer.status, answer.body["error"]["code"]) == (404, "resource_missing")

    def test_pending_money_goes_back_pending(self, bench: Any) -> None:
        charge, seller = bench.pay(10_000, card="pm_card_visa")["latest_charge"], bench.seller()
        transfer = bench.post(
            "/v1/transfers", f"amount=6000&currency=usd&destination={seller}&source_transaction={charge['id']}"
        )
        made = bench.post(f"/v1/transfers/{transfer['id']}/reversals", "amount=1000&expand[]=balance_transaction")
        assert made["balance_transaction"]["available_on"] == charge["balance_transaction"]["available_on"]
        assert bench.balance("usd", seller) == (0, 5_000)
        assert bench.balance("usd") == (0, 9_680 - 5_000)
        # What was given back may be sent again out of the same charge.
        again = f"currency=usd&destination={seller}&source_transaction={charge['id']}"
        assert bench.refusal("/v1/transfers", f"amount=5001&{again}")
        bench.post("/v1/transfers", f"amount=5000&{again}")
        bench.advance(days=3)
        assert (bench.balance("usd"), bench.balance("usd", seller)) == ((-320, 0), (10_000, 0))

    def test_exchanged_money_goes_back_by_the_rate(self, bench: Any) -> None:
        bench.pay(10_000)
        seller = bench.canadian()
        bench.control("exchange_rates", {"base": "usd", "rates": {"cad": "1.35883"}})
        transfer = bench.post("/v1/transfers", f"amount=58&currency=usd&destination={seller}")
        assert bench.balance("cad", seller) == (79, 0)
        # 19 are 25.82, and 20 are 27.18.
        taken = [
            bench.post(
                f"/v1/transfers/{transfer['id']}/reversals",
                f"amount={amount}&expand[]=destination_payment_refund.balance_transaction",
            )["destination_payment_refund"]["balance_transaction"]
            for amount in (19, 19, 20)
        ]
        assert [one["net"] for one in taken] == [-26, -26, -27]
        assert {one["exchange_rate"] for one in taken} == {1.35883}
        assert (bench.balance("cad", seller), bench.balance("usd")) == ((0, 0), (9_680, 0))

    def test_a_refund_of_the_payment_reverses_the_transfer(self, bench: Any) -> None:
        seller, transfer = sent(bench, 7_000)
        given = bench.post(
            "/v1/refunds", f"charge={transfer['destination_payment']}&amount=3000&metadata[a]=b", account=seller
        )
        assert (given["id"].startswith("pyr_"), given["amount"], given["metadata"]) == (True, 3_000, {"a": "b"})
        assert bench.get(f"/v1/transfers/{transfer['id']}")["amount_reversed"] == 3_000
        assert (bench.balance("usd"), bench.balance("usd", seller)) == ((5_680, 0), (4_000, 0))


class TestRefusals:
    @pytest.mark.parametrize(
        ("form", "code", "message"),
        [
            ("amount=0", "parameter_invalid_integer", "This value must be greater than or equal to 1."),
            ("amount=-5", "parameter_invalid_integer", "This value must be greater than or equal to 1."),
            ("amount=x", "parameter_invalid_integer", "Invalid integer: x"),
            (
                "amount=7001",
                None,
                "Reversal amount ($70.01) is greater than unreversed amount on transfer ($70.00)",
            ),
        ],
    )
    def test_amounts(self, bench: Any, form: str, code: str | None, message: str) -> None:
        _, transfer = sent(bench, 7_000)
        error = bench.refusal(f"/v1/transfers/{transfer['id']}/reversals", form)
        assert (error.get("code"), error["param"], error["message"]) == (code, "amount", message)

    def test_unknown_things(self, bench: Any) -> None:
        error = bench.refusal("/v1/transfers/tr_nope/reversals", status=404)
        assert (error["code"], error["param"]) == ("resource_missing", "id")
        _, transfer = sent(bench, 100)
        path = f"/v1/transfers/{transfer['id']}/reversals"
        assert bench.refusal(path, "currency=usd")["code"] == "parameter_unknown"
        assert bench.refusal(path, "refund_application_fee=true")["param"] == "refund_application_fee"

    def test_without_reserves_the_seller_must_have_it(self, bench: Any) -> None:
        made = bench.control("platforms", {"country": "US", "default_currency": "usd", "connect_reserves": False})
        bench.key, bench.platform = made["secret_key"], made["id"]
        seller, transfer = sent(bench, 7_000)
        bench.post("/v1/payouts", "amount=4000&currency=usd", account=seller)
        path = f"/v1/transfers/{transfer['id']}/reversals"
        error = bench.refusal(path, "amount=3001")
        assert error["code"] == "balance_insufficient"
        assert bench.get(f"/v1/transfers/{transfer['id']}")["amount_reversed"] == 0
        bench.post(path, "amount=3000")
        assert bench.balance("usd", seller) == (0, 0)

    def test_where_the_provider_carries_losses_the_seller_must_have_it(self, bench: Any) -> None:
        bench.pay(10_000)
        seller = bench.post("/v1/accounts", "type=standard&country=US&capabilities[transfers][requested]=true")["id"]
        bench.control(f"accounts/{seller}/onboard", {"outcome": "complete"})
        transfer = bench.post("/v1/transfers", f"amount=7000&currency=usd&destination={seller}")
        bench.post("/v1/payouts", "amount=1&currency=usd", account=seller)
        error = bench.refusal(f"/v1/transfers/{transfer['id']}/reversals")
        assert error["code"] == "balance_insufficient"


class TestBelowZero:
    def emptied(self, bench: Any) -> tuple[str, Any]:
        seller, transfer = sent(bench, 7_000)
        bench.post("/v1/payouts", "amount=7000&currency=usd", account=seller)
        return seller, transfer

    def reserved(self, bench: Any) -> int:
        return bench.get("/v1/balance")["connect_reserved"][0]["amount"]

    def test_the_platform_holds_what_the_seller_is_below_zero(self, bench: Any) -> None:
        seller, transfer = self.emptied(bench)
        bench.post(f"/v1/transfers/{transfer['id']}/reversals", "amount=5000")
        assert bench.balance("usd", seller) == (-5_000, 0)
        # 2680 were left; the 5000 that came back are held.
        assert (bench.balance("usd"), self.reserved(bench)) == ((2_680, 0), 5_000)
        held = bench.get("/v1/balance_transactions?type=reserve_transaction&expand[]=data.source")["data"]
        assert [(one["net"], one["reporting_category"]) for one in held] == [(-5_000, "connect_reserved_funds")]
        assert held[0]["source"]["object"] == "reserve_transaction"
        error = bench.refusal("/v1/payouts", "amount=1&currency=usd", account=seller)
        assert error["code"] == "balance_insufficient"
        assert "connect_reserved" not in bench.get("/v1/balance", account=seller)
        # It recovers in part, then wholly, with a rest that can be paid out.
        bench.post("/v1/transfers", f"amount=2000&currency=usd&destination={seller}")
        assert (bench.balance("usd"), bench.balance("usd", seller), self.reserved(bench)) == (
            (2_680, 0), (-3_000, 0), 3_000,
        )  # fmt: skip
        bench.pay(10_000)
        bench.post("/v1/transfers", f"amount=3100&currency=usd&destination={seller}")
        assert (bench.balance("usd"), bench.balance("usd", seller), self.reserved(bench)) == (
            (2_680 + 9_680 - 100, 0), (100, 0), 0,
        )  # fmt: skip
        bench.post("/v1/payouts", "amount=100&currency=usd", account=seller)
        bench.advance(days=200)
        assert bench.get("/v1/balance_transactions?type=connect_collection_transfer")["data"] == []
        assert bench.control("state")["books_balance"]

    def test_after_180_days_the_platform_pays(self, bench: Any) -> None:
        seller, transfer = self.emptied(bench)
        bench.post(f"/v1/transfers/{transfer['id']}/reversals", "amount=5000")
        bench.advance(days=179)
        assert bench.balance("usd", seller) == (-5_000, 0)
        bench.advance(days=2)
        assert (bench.balance("usd"), bench.balance("usd", seller), self.reserved(bench)) == ((2_680, 0), (0, 0), 0)
        for account, moved in ((None, [-5_000]), (seller, [5_000])):
            found = bench.get("/v1/balance_transactions?type=connect_collection_transfer", account=account)["data"]
            assert [one["net"] for one in found] == moved
        assert bench.control("state")["books_balance"]

    def test_going_below_zero_again_counts_anew(self, bench: Any) -> None:
        seller, transfer = self.emptied(bench)
        path = f"/v1/transfers/{transfer['id']}/reversals"
        bench.post(path, "amount=1000")
        bench.advance(days=100)
        bench.post("/v1/transfers", f"amount=1000&currency=usd&destination={seller}")
        bench.post(path, "amount=500")
        bench.advance(days=100)
        assert (bench.balance("usd", seller), self.reserved(bench)) == ((-500, 0), 500)
        bench.advance(days=81)
        assert (bench.balance("usd", seller), self.reserved(bench)) == ((0, 0), 0)


class TestRisk:
    def test_money_is_kept_back_and_released(self, bench: Any) -> None:
        seller = bench.seller()
        bench.control(f"accounts/{seller}/fund", {"currency": "usd", "amount": 5_000})
        after = bench.control(f"accounts/{seller}/risk_reserve", {"currency": "usd", "amount": 2_000, "days": 30})
        assert after["available"][0]["amount"] == 3_000
        assert (
            bench.refusal("/v1/payouts", "amount=3001&currency=usd", account=seller)["code"] == "balance_insufficient"
        )
        bench.advance(days=31)
        moved = bench.get("/v1/balance_transactions?type=reserved_funds", account=seller)["data"]
        assert [(one["net"], one["reporting_category"]) for one in moved] == [
            (2_000, "risk_reserved_funds"),
            (-2_000, "risk_reserved_funds"),
        ]
        assert bench.balance("usd", seller) == (5_000, 0)
        assert bench.control("state")["books_balance"]

    @pytest.mark.parametrize(("amount", "days", "param"), [(101, 1, "amount"), (0, 1, "amount"), (1, 181, "days")])
    def test_what_is_not_there_or_for_ever_cannot_be(self, bench: Any, amount: int, days: int, param: str) -> None:
        bench.control(f"accounts/{bench.platform}/fund", {"currency": "usd", "amount": 100})
        body = f'{{"currency": "usd", "amount": {amount}, "days": {days}}}'
        answer = bench.send("POST", f"/_sandbox/accounts/{bench.platform}/risk_reserve", body)
        assert (answer.status, answer.body["error"]["param"]) == (400, param)
