"""Random stories of everything that moves money, in several currencies and over weeks: the books hold throughout."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CARDS = ("pm_card_visa", "pm_card_bypassPending", "pm_card_createDispute", "pm_card_createDisputeInquiry")

STEP = st.one_of(
    st.tuples(
        st.just("pay"),
        st.integers(10_000, 500_000),
        st.tuples(st.sampled_from(["usd", "eur", "jpy"]), st.sampled_from(CARDS)),
    ),
    st.tuples(st.just("dispute"), st.integers(1, 5_000), st.booleans()),
    st.tuples(st.just("decide"), st.integers(0, 3), st.sampled_from(["won", "lost"])),
    st.tuples(st.just("refund"), st.integers(1, 5_000), st.none()),
    st.tuples(st.just("transfer"), st.integers(1, 100_000), st.tuples(st.integers(0, 1), st.booleans())),
    st.tuples(st.just("reverse"), st.integers(1, 50_000), st.integers(0, 3)),
    st.tuples(st.just("payout"), st.integers(1, 100_000), st.tuples(st.integers(0, 2), st.booleans())),
    st.tuples(st.just("return"), st.integers(0, 2), st.none()),
    st.tuples(st.just("rate"), st.integers(1, 30_000), st.sampled_from(["eur", "jpy", "cad"])),
    st.tuples(st.just("wait"), st.integers(1, 9), st.none()),
)


class Market:
    """A platform with an American and a Canadian seller; whatever is refused is simply not done."""

    def __init__(self, bench: Any, *, settle: str) -> None:
        made = bench.control("platforms", {"country": "US", "default_currency": "usd", "settle": settle})
        bench.key, bench.platform = made["secret_key"], made["id"]
        self.bench = bench
        self.sellers = [bench.seller(), bench.canadian()]
        # One is paid out by itself, one by hand.
        self.post("/v1/balance_settings", "payments[payouts][schedule][interval]=daily", account=self.sellers[0])
        self.accounts: list[str | None] = [None, *self.sellers]
        self.charges: list[Any] = []

    def post(self, path: str, form: str = "", **more: Any) -> Any:
        return self.bench.call("POST", path, form, **more)

    def listed(self, path: str, account: str | None = None) -> list[Any]:
        return self.bench.get(path, account=account)["data"]

    def control(self, path: str, body: str) -> None:
        self.bench.send("POST", f"/_sandbox/{path}", body)

    def pay(self, amount: int, how: tuple[str, str]) -> None:
        currency, card = how
        form = f"amount={amount}&currency={currency}&payment_method={card}&confirm=true"
        made = self.post("/v1/payment_intents", form + "&allowed_payment_method_types[]=card")
        assert made.status == 200, made.body
        self.charges.append(made.body["latest_charge"])

    def dispute(self, amount: int, inquiry: bool) -> None:
        if self.charges:
            body = f'{{"amount": {amount}, "inquiry": {str(inquiry).lower()}}}'
            self.control(f"charges/{self.charges[-1]}/dispute", body)

    def decide(self, number: int, outcome: str) -> None:
        for one in self.listed("/v1/disputes")[number : number + 1]:
            self.control(f"disputes/{one['id']}/decide", f'{{"outcome": "{outcome}"}}')

    def refund(self, amount: int, _: None) -> None:
        if self.charges:
            self.post("/v1/refunds", f"charge={self.charges[-1]}&amount={amount}")

    def transfer(self, amount: int, how: tuple[int, bool]) -> None:
        number, out_of_charge = how
        source = f"&source_transaction={self.charges[-1]}" if out_of_charge and self.charges else ""
        self.post("/v1/transfers", f"amount={amount}&currency=usd&destination={self.sellers[number]}{source}")

    def reverse(self, amount: int, number: int) -> None:
        for one in self.listed("/v1/transfers")[number : number + 1]:
            self.post(f"/v1/transfers/{one['id']}/reversals", f"amount={amount}")

    def payout(self, amount: int, how: tuple[int, bool]) -> None:
        number, instant = how
        currency, method = ("cad" if number == 2 else "usd"), ("instant" if instant else "standard")
        form = f"amount={amount}&currency={currency}&method={method}"
        self.post("/v1/payouts", form, account=self.accounts[number])

    def give_back(self, number: int, _: None) -> None:
        for one in self.listed("/v1/payouts?limit=1", self.accounts[number]):
            self.control(f"payouts/{one['id']}/fail", '{"failure_code": "account_frozen"}')

    def rate(self, thousandths: int, currency: str) -> None:
        self.bench.control("exchange_rates", {"base": "usd", "rates": {currency: f"{thousandths}e-3"}})

    def wait(self, days: int, _: None) -> None:
        self.bench.advance(days=days)

    def check(self) -> None:
        """Balances are the sums of their transactions, and each automatic payout of what it paid out."""
        state = self.bench.control("state")
        assert state["books_balance"], state["differences"]
        for account in self.accounts:
            moved = self.listed("/v1/balance_transactions?limit=100", account)
            sums: dict[str, int] = {}
            for one in moved:
                assert one["net"] == one["amount"] - one["fee"]
                assert one["fee"] == sum(part["amount"] for part in one["fee_details"])
                sums[one["currency"]] = sums.get(one["currency"], 0) + one["net"]
            for currency, total in sums.items():
                assert sum(self.bench.balance(currency, account)) == total
            for payout in self.listed("/v1/payouts?limit=100", account):
                if payout["automatic"]:
                    paid = self.listed(f"/v1/balance_transactions?limit=100&payout={payout['id']}", account)
                    assert sum(one["net"] for one in paid) == 0


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(settle=st.sampled_from(["every", "default"]), steps=st.lists(STEP, max_size=16))
def test_whatever_happens_the_books_hold(bench: Any, settle: str, steps: list[tuple[str, Any, Any]]) -> None:
    market = Market(bench, settle=settle)
    for word, number, how in steps:
        getattr(market, "give_back" if word == "return" else word)(number, how)
    market.check()
    # All that was on its way arrives, and every dispute ends.
    bench.advance(days=130)
    market.check()
    for account in market.accounts:
        pending = bench.get("/v1/balance", account=account)["pending"]
        assert all(part["amount"] == 0 for part in pending)
    for dispute in market.listed("/v1/disputes?limit=100"):
        assert dispute["status"] in ("won", "lost", "warning_closed")
