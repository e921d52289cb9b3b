"""Whatever is paid, sent on, taken back and refunded, in any order: what moves inside cancels out to the last cent."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CARDS = ["pm_card_visa", "pm_card_bypassPending", "pm_card_refundFail", "pm_card_pendingRefund"]
AMOUNT = st.integers(1, 30_000)
WHO = st.integers(0, 1)
WHICH = st.integers(0, 9)

STEP = st.one_of(
    st.tuples(st.just("pay"), AMOUNT, WHO, st.sampled_from(CARDS)),
    st.tuples(st.just("pay_for"), AMOUNT, WHO, st.sampled_from(CARDS)),
    st.tuples(st.just("pay_direct"), AMOUNT, WHO, st.sampled_from(CARDS)),
    st.tuples(st.just("transfer"), AMOUNT, WHO, st.none()),
    st.tuples(st.just("transfer_from"), AMOUNT, WHO, WHICH),
    st.tuples(st.just("reverse"), AMOUNT, WHO, WHICH),
    st.tuples(st.just("reverse"), AMOUNT, WHO, WHICH),
    st.tuples(st.just("refund"), AMOUNT, WHO, WHICH),
    st.tuples(st.just("refund"), AMOUNT, WHO, WHICH),
    st.tuples(st.just("refund_direct"), AMOUNT, WHO, WHICH),
    st.tuples(st.just("refund_fee"), AMOUNT, WHO, WHICH),
    st.tuples(st.just("payout"), AMOUNT, WHO, st.none()),
    st.tuples(st.just("topup"), AMOUNT, WHO, st.none()),
    st.tuples(st.just("wait"), st.sampled_from([60, 300, 86_400, 3 * 86_400, 185 * 86_400]), WHO, st.none()),
)

#: What moves between the accounts of a platform; everything else crosses its border.
INSIDE = {
    "adjustment", "application_fee", "application_fee_refund", "connect_collection_transfer", "payment",
    "payment_refund", "transfer", "transfer_refund",
}  # fmt: skip


class Market:
    """A platform with two sellers, one of them with cards of its own, and what was made so far."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench.open_platform()
        self.sellers = [bench.merchant(), bench.merchant()]
        self.accounts: list[str | None] = [None, *self.sellers]

    def listed(self, path: str, account: str | None = None) -> list[Any]:
        return self.bench.get(f"{path}?limit=100", account=account)["data"]

    def one_of(self, path: str, which: int, account: str | None = None) -> Any:
        found = self.listed(path, account)
        return found[which % len(found)]["id"] if found else "none"

    def do(self, word: str, amount: int, who: int, choice: Any) -> None:
        bench, seller = self.bench, self.sellers[who]
        if word == "wait":
            bench.advance(seconds=amount)
            return
        half, third = "true" if amount % 2 else "false", "true" if amount % 3 else "false"
        intent = (
            f"amount={amount}&currency=usd&confirm=true&capture_method=automatic&payment_method={choice}"
            "&allowed_payment_method_types[]=card"
        )
        path, form, account = {
            "pay": ("payment_intents", intent, None),
            "pay_for": (
                "payment_intents",
                f"{intent}&transfer_data[destination]={seller}&application_fee_amount={amount // 7}",
                None,
            ),
            "pay_direct": ("payment_intents", f"{intent}&application_fee_amount={amount // 9}", seller),
            "transfer": ("transfers", f"amount={amount}&currency=usd&destination={seller}", None),
            "transfer_from": ("transfers", f"amount={amount}&currency=usd&destination={seller}", None),
            "reverse": ("transfers", f"amount={amount}&refund_application_fee={half}", None),
            "refund": ("refunds", f"amount={amount}&reverse_transfer={half}&refund_application_fee={third}", None),
            "refund_direct": ("refunds", f"amount={amount}&refund_application_fee={third}", seller),
            "refund_fee": ("application_fees", f"amount={amount // 20}", None),
            "payout": ("payouts", f"amount={amount}&currency=usd", seller),
            "topup": ("topups", f"amount={amount}&currency=usd", None),
        }[word]
        if word == "transfer_from":
            form += f"&source_transaction={self.one_of('/v1/charges', choice)}"
        elif word.startswith("refund") and word != "refund_fee":
            form += f"&charge={self.one_of('/v1/charges', choice, account)}"
        elif word == "reverse":
            path += f"/{self.one_of('/v1/transfers', choice)}/reversals"
        elif word == "refund_fee":
            path += f"/{self.one_of('/v1/application_fees', choice)}/refunds"
        answer = bench.call("POST", f"/v1/{path}", form, account=account)
        assert answer.status in (200, 400, 404), answer.body

    def check(self) -> None:
        inside = 0
        for account in self.accounts:
            moved = self.listed("/v1/balance_transactions", account)
            assert len(moved) < 100
            assert sum(one["net"] for one in moved) == sum(self.bench.balance("usd", account))
            for one in moved:
                assert one["fee"] == sum(part["amount"] for part in one["fee_details"])
                if one["type"] in INSIDE:
                    inside += one["net"]
                else:
                    inside -= sum(part["amount"] for part in one["fee_details"] if part["type"] == "application_fee")
        assert inside == 0
        self.check_reserves()
        self.check_objects()
        state = self.bench.control("state")
        assert state["books_balance"], state["differences"]

    def check_reserves(self) -> None:
        below = sum(max(0, -self.bench.balance("usd", seller)[0]) for seller in self.sellers)
        moved = self.bench.get("/v1/balance_transactions?type=reserve_transaction&limit=100")["data"]
        assert self.bench.get("/v1/balance")["connect_reserved"][0]["amount"] == below
        assert sum(one["net"] for one in moved) == -below

    def check_objects(self) -> None:
        for transfer in self.listed("/v1/transfers"):
            parts = [one["amount"] for one in self.listed(f"/v1/transfers/{transfer['id']}/reversals")]
            assert transfer["amount_reversed"] == sum(parts) <= transfer["amount"]
            assert transfer["reversed"] == (sum(parts) == transfer["amount"])
        for fee in self.listed("/v1/application_fees"):
            parts = [one["amount"] for one in self.listed(f"/v1/application_fees/{fee['id']}/refunds")]
            assert fee["amount_refunded"] == sum(parts) <= fee["amount"]
        for account in self.accounts:
            given_back: dict[str, int] = {}
            for refund in self.listed("/v1/refunds", account):
                assert (refund["balance_transaction"] is None) == (
                    refund.get("pending_reason") == "insufficient_funds"
                    or refund.get("failure_reason") == "charge_for_pending_refund_disputed"
                )
                if refund["status"] != "failed":
                    given_back[refund["charge"]] = given_back.get(refund["charge"], 0) + refund["amount"]
            for charge in self.listed("/v1/charges", account):
                assert charge["amount_refunded"] == given_back.get(charge["id"], 0) <= charge["amount"]
                assert charge["refunded"] == (charge["amount_refunded"] == charge["amount"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=16))
def test_what_moves_inside_cancels_out(bench: Any, steps: list[tuple[str, int, int, Any]]) -> None:
    market = Market(bench)
    bench.post("/v1/topups", "amount=20000&currency=usd")
    for step in steps:
        market.do(*step)
    market.check()
