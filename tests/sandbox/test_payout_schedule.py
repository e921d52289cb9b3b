"""Payouts by the clock: schedules, their settings, and what each automatic payout paid out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from marketbill.sandbox.payout_schedule import PAYOUT_SECOND, next_payout, payable_from

MONDAY, THURSDAY, FRIDAY = 0, 3, 4


def moment(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


#: Schedule, after when, the day of the payout. 2027-01-01 is a Friday.
PAYOUT_DAYS = [
    ({"interval": "daily"}, "2027-01-04T10:00", "2027-01-05"),
    ({"interval": "daily"}, "2027-01-01T00:10", "2027-01-04"),
    ({"interval": "weekly", "weekly_anchor": "tuesday"}, "2027-01-05T00:10", "2027-01-12"),
    ({"interval": "weekly", "weekly_anchor": "saturday"}, "2027-01-01T10:00", "2027-01-04"),
    ({"interval": "weekly", "weekly_payout_days": ["monday", "thursday"]}, "2027-01-04T10:00", "2027-01-07"),
    ({"interval": "monthly", "monthly_anchor": 5}, "2027-01-04T10:00", "2027-01-05"),
    # The 31st of January 2027 is a Sunday, and February has 28 days: the last of them is a Sunday, too.
    ({"interval": "monthly", "monthly_anchor": 31}, "2027-01-04T10:00", "2027-02-01"),
    ({"interval": "monthly", "monthly_anchor": 31}, "2027-02-01T10:00", "2027-03-01"),
    ({"interval": "monthly", "monthly_payout_days": [1, 15]}, "2027-01-04T10:00", "2027-01-15"),
]


@pytest.mark.parametrize(("schedule", "after", "day"), PAYOUT_DAYS)
def test_the_days_of_a_schedule(schedule: dict[str, Any], after: str, day: str) -> None:
    assert next_payout(schedule, moment(after)) == moment(day) + PAYOUT_SECOND


def test_manual_payouts_have_no_day() -> None:
    assert next_payout({"interval": "manual"}, 0) is None


@pytest.mark.parametrize(
    ("country", "charged", "days", "payable"),
    [
        ("US", "2027-01-04", 2, "2027-01-06"),
        ("US", "2027-01-08", 2, "2027-01-12"),
        ("US", "2027-01-09", 2, "2027-01-12"),
        ("NL", "2027-01-08", 2, "2027-01-10"),
        ("JP", "2027-01-08", 4, "2027-01-14"),
        ("DE", "2027-01-08", 7, "2027-01-15"),
    ],
)
def test_a_charge_is_held_for_business_or_for_calendar_days(
    country: str, charged: str, days: int, payable: str
) -> None:
    assert payable_from(moment(charged + "T13:00"), delay_days=days, country=country) == moment(payable)


def forward_to(bench: Any, day: int) -> None:
    """Move the clock to ten in the morning of the next such day of the week (UTC)."""
    now = datetime.fromtimestamp(bench.control("clock")["now"], UTC)
    then = (now + timedelta(days=(day - now.weekday() - 1) % 7 + 1)).replace(hour=10, minute=0, second=0)
    bench.control("clock", {"to": then.isoformat()})


def automatic(bench: Any, interval: str = "daily", more: str = "", account: str | None = None) -> Any:
    form = f"payments[payouts][schedule][interval]={interval}{more}"
    return bench.post("/v1/balance_settings", form, account=account)


def payouts(bench: Any, account: str | None = None) -> list[Any]:
    return bench.get("/v1/payouts?limit=100", account=account)["data"][::-1]


def paid_by(bench: Any, payout: Any, account: str | None = None) -> list[Any]:
    return bench.get(f"/v1/balance_transactions?limit=100&payout={payout['id']}", account=account)["data"]


class TestAutomatic:
    def test_a_platform_paid_daily_gets_each_charge_two_business_days_later(self, bench: Any) -> None:
        forward_to(bench, THURSDAY)
        automatic(bench)
        bench.pay(10_000, card="pm_card_visa")
        forward_to(bench, FRIDAY)
        bench.pay(5_000, card="pm_card_visa")
        # Both are available on Sunday; Thursday's is due on Monday, Friday's on Tuesday.
        forward_to(bench, MONDAY)
        [first] = payouts(bench)
        assert (first["amount"], first["automatic"], first["status"]) == (9_680, True, "pending")
        assert first["reconciliation_status"] == "completed"
        listed = paid_by(bench, first)
        assert sorted((one["type"], one["net"]) for one in listed) == [("charge", 9_680), ("payout", -9_680)]
        bench.advance(days=1)
        _, second = payouts(bench)
        assert second["amount"] == 4_825
        assert bench.balance("usd") == (0, 0)
        bench.advance(days=3)
        assert [one["status"] for one in payouts(bench)] == ["paid", "paid"]
        for event in ("payout.created", "payout.paid", "payout.reconciliation_completed"):
            assert len(bench.events(event)) == 2
        assert bench.control("state")["books_balance"]

    def test_in_europe_calendar_days_count(self, bench: Any) -> None:
        bench.open_platform("NL", "eur")
        forward_to(bench, FRIDAY)
        automatic(bench)
        bench.pay(10_000, currency="eur", card="pm_card_visa")
        forward_to(bench, MONDAY)
        assert [one["amount"] for one in payouts(bench)] == [9_825]

    def test_the_transactions_of_a_payout_can_be_listed_an_hour_later(self, bench: Any) -> None:
        forward_to(bench, MONDAY)
        automatic(bench)
        bench.pay(1_000)
        day = datetime.fromtimestamp(bench.control("clock")["now"], UTC).replace(hour=0, minute=30, second=0)
        bench.control("clock", {"to": (day + timedelta(days=2)).isoformat()})
        assert [one["reconciliation_status"] for one in payouts(bench)] == ["in_progress"]
        bench.advance(hours=1)
        assert [one["reconciliation_status"] for one in payouts(bench)] == ["completed"]

    def test_a_longer_delay_holds_charges_and_nothing_else(self, bench: Any) -> None:
        forward_to(bench, MONDAY)
        settings = automatic(bench, more="&payments[settlement_timing][delay_days_override]=7")
        timing = settings["payments"]["settlement_timing"]
        assert (timing["delay_days"], timing["delay_days_override"]) == (7, 7)
        bench.pay(1_000)
        bench.post("/v1/topups", "amount=2000&currency=usd&description=Float")
        bench.advance(days=4)
        assert [one["amount"] for one in payouts(bench)] == [2_000]
        # Seven business days after a Monday is the Wednesday of the week after.
        bench.advance(days=5)
        assert [one["amount"] for one in payouts(bench)] == [2_000, 941]

    def test_sellers_are_paid_weekly_from_what_they_were_sent(self, bench: Any) -> None:
        seller = bench.seller()
        forward_to(bench, THURSDAY)
        form = "settings[payouts][schedule][interval]=weekly&settings[payouts][schedule][weekly_anchor]=tuesday"
        schedule = bench.post(f"/v1/accounts/{seller}", form)["settings"]["payouts"]["schedule"]
        assert (schedule["interval"], schedule["weekly_anchor"]) == ("weekly", "tuesday")
        bench.pay(10_000)
        for amount in (1_000, 2_000):
            bench.post("/v1/transfers", f"amount={amount}&currency=usd&destination={seller}")
            bench.advance(days=1)
        forward_to(bench, THURSDAY)
        [payout] = payouts(bench, seller)
        assert payout["amount"] == 3_000
        assert {event["account"] for event in bench.events("payout.created", seller)} == {seller}
        assert len(bench.events("payout.reconciliation_completed", seller)) == 1
        # Manual again: nothing more goes out.
        automatic(bench, "manual", account=seller)
        bench.post("/v1/transfers", f"amount=500&currency=usd&destination={seller}")
        bench.advance(days=14)
        assert len(payouts(bench, seller)) == 1

    def test_what_is_owed_is_taken_first_and_below_zero_nothing_is_paid(self, bench: Any) -> None:
        forward_to(bench, MONDAY)
        automatic(bench)
        charge = bench.pay(1_000)["latest_charge"]["id"]
        bench.control(f"charges/{charge}/dispute", {})
        bench.advance(days=4)
        assert (payouts(bench), bench.balance("usd")) == ([], (941 - 2_500, 0))
        bench.post("/v1/topups", "amount=2000&currency=usd&description=Float")
        forward_to(bench, FRIDAY)
        [payout] = payouts(bench)
        assert payout["amount"] == 2_000 + 941 - 2_500
        assert sorted(one["type"] for one in paid_by(bench, payout)) == ["adjustment", "charge", "payout", "topup"]

    def test_a_failed_one_is_paid_again_with_the_next_once_the_bank_is_mended(self, bench: Any) -> None:
        seller = bench.funded(number="000111111116")
        forward_to(bench, MONDAY)
        automatic(bench, account=seller)
        bench.advance(days=9)
        [failed] = payouts(bench, seller)
        assert (failed["status"], failed["failure_code"]) == ("failed", "no_account")
        assert bench.balance("usd", seller) == (5_000, 0)
        bench.post(f"/v1/accounts/{seller}/external_accounts/{failed['destination']}", "account_holder_name=Ann")
        bench.advance(days=1)
        again = payouts(bench, seller)[1]
        assert again["amount"] == 5_000
        assert sorted((one["type"], one["net"]) for one in paid_by(bench, again, seller)) == [
            ("payout", -5_000),
            ("payout_failure", 5_000),
        ]

    def test_part_of_a_forint_waits_for_the_rest_of_it(self, bench: Any) -> None:
        bench.open_platform("HU", "huf")
        forward_to(bench, MONDAY)
        automatic(bench)
        for amount in (1_045, 1_055):
            bench.post("/v1/topups", f"amount={amount}&currency=huf&description=Float")
            bench.advance(days=1)
        assert [one["amount"] for one in payouts(bench)] == [1_000, 1_100]
        assert bench.balance("huf") == (0, 0)

    def test_a_year_of_days_pays_out_every_transaction_once(self, bench: Any) -> None:
        automatic(bench, "weekly", "&payments[payouts][schedule][weekly_payout_days][]=wednesday")
        for week in range(52):
            bench.pay(1_000 + week, card="pm_card_visa")
            if week % 10 == 0:
                bench.pay(500, card="pm_card_createDispute")
            bench.advance(days=7)
        bench.advance(days=21)
        made = payouts(bench)
        # After each dispute the balance is below zero for a week or two.
        assert 40 < len(made) < 52
        found: list[str] = []
        for payout in made:
            listed = paid_by(bench, payout)
            assert sum(one["net"] for one in listed) == 0
            found += [one["id"] for one in listed]
        assert len(found) == len(set(found)) == bench.control("state")["objects"]["balance_transaction"]
        assert bench.balance("usd") == (0, 0)


class TestSettings:
    @pytest.mark.parametrize(
        ("country", "form", "param"),
        [
            ("JP", "interval]=daily", "interval"),
            ("BR", "interval]=manual", "interval"),
            ("IN", "interval]=weekly", "interval"),
            ("US", "interval]=weekly", "weekly_anchor"),
            ("US", "interval]=monthly", "monthly_anchor"),
            ("US", "interval]=monthly&settings[payouts][schedule][monthly_anchor]=32", "monthly_anchor"),
            ("US", "interval]=daily&settings[payouts][schedule][weekly_anchor]=friday", "weekly_anchor"),
            ("US", "delay_days]=1", "delay_days"),
            ("US", "delay_days]=32", "delay_days"),
            ("US", "delay_days]=soon", "delay_days"),
        ],
    )
    def test_a_schedule_that_cannot_be_is_refused_by_name(
        self, bench: Any, country: str, form: str, param: str
    ) -> None:
        seller = bench.post("/v1/accounts", f"type=express&country={country}")["id"]
        before = bench.get(f"/v1/accounts/{seller}")["settings"]
        error = bench.refusal(f"/v1/accounts/{seller}", "settings[payouts][schedule][" + form)
        assert error["param"] == f"settings[payouts][schedule][{param}]"
        assert bench.get(f"/v1/accounts/{seller}")["settings"] == before

    @pytest.mark.parametrize(("country", "interval"), [("US", "daily"), ("DE", "daily"), ("JP", "weekly")])
    def test_a_new_account_is_paid_out_by_itself(self, bench: Any, country: str, interval: str) -> None:
        made = bench.post("/v1/accounts", f"type=express&country={country}&capabilities[transfers][requested]=true")
        assert made["settings"]["payouts"]["schedule"]["interval"] == interval
        bench.control(f"accounts/{made['id']}/onboard", {"outcome": "complete"})
        currency = made["default_currency"]
        bench.control(f"accounts/{made['id']}/fund", {"currency": currency, "amount": 700})
        bench.advance(days=8)
        [payout] = payouts(bench, made["id"])
        assert (payout["amount"], payout["automatic"]) == (700, True)

    def test_weekends_are_no_payout_days(self, bench: Any) -> None:
        form = "payments[payouts][schedule][interval]=weekly&payments[payouts][schedule][weekly_payout_days][]=sunday"
        param = "payments[payouts][schedule][weekly_payout_days][0]"
        assert bench.refusal("/v1/balance_settings", form)["param"] == param

    def test_a_change_is_told(self, bench: Any) -> None:
        seller = bench.seller()
        automatic(bench, account=seller)
        [event] = bench.events("balance_settings.updated", seller)
        assert event["data"]["object"]["payments"]["payouts"]["schedule"] == {"interval": "daily"}
        automatic(bench, "monthly", "&payments[payouts][schedule][monthly_payout_days][]=3", account=seller)
        shown = bench.get(f"/v1/accounts/{seller}")["settings"]["payouts"]["schedule"]
        assert shown == {"delay_days": 2, "interval": "monthly", "monthly_payout_days": [3]}
        form = "settings[payouts][schedule][interval]=weekly&settings[payouts][schedule][weekly_anchor]=tuesday"
        bench.post(f"/v1/accounts/{seller}", form)
        asked = bench.get("/v1/balance_settings", account=seller)["payments"]["payouts"]["schedule"]
        assert asked == {"interval": "weekly", "weekly_payout_days": ["tuesday"]}
