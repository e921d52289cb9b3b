"""The sandbox's clock: a year passes in steps, in order, and others are served between them."""

from __future__ import annotations

import asyncio
from typing import Any

from marketbill.sandbox.clock import DAY
from marketbill.sandbox.control import clock
from marketbill.sandbox.control.plane import Ask
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.dispatch import Api
from marketbill.sandbox.line import Line


def test_a_year_is_made_of_steps_that_others_see() -> None:
    """Three dues a day for a year, each at its own moment; whoever looks in between sees time on its way."""
    done: list[int] = []

    def work(desk: Desk, ref: str) -> None:
        done.append(desk.clock.now())

    async def story() -> tuple[int, int, list[int]]:
        desk = Desk(None, base_url="http://sandbox", work={"work": work})
        api = Api(desk)
        begun = desk.clock.now()
        with desk.store.transaction():
            for day in range(365):
                for hour in (20, 4, 12):
                    desk.schedule.add(begun + day * DAY + hour * 3_600, "work", "")
        seen: list[int] = []
        moving = asyncio.create_task(_move(desk, api, 365 * DAY))
        while not moving.done():
            await asyncio.sleep(0)
            seen.append(desk.clock.now())
        await moving
        end = desk.clock.now()
        desk.store.close()
        return begun, end, seen

    begun, end, seen = asyncio.run(story())
    assert len(done) == 3 * 365
    assert done == sorted(done)
    assert done[0] == begun + 4 * 3_600
    assert end - begun >= 365 * DAY
    assert seen == sorted(seen)
    assert len({moment for moment in seen if begun + DAY < moment < begun + 364 * DAY}) >= 3


async def _move(desk: Desk, api: Api, seconds: int) -> Any:
    return await clock.move(Ask(desk, api, Line(desk, api), {}, {"advance_seconds": seconds}))


def test_a_long_way_with_payouts_and_payments_keeps_the_books(bench: Any) -> None:
    seller = bench.seller()
    begun = bench.control("clock")["now"]
    for _ in range(12):
        paid = bench.pay(10_000, card="pm_card_visa")
        bench.post(
            "/v1/transfers",
            f"amount=5000&currency=usd&destination={seller}&source_transaction={paid['latest_charge']['id']}",
        )
        bench.advance(days=30)
        bench.post("/v1/payouts", "amount=5000&currency=usd", account=seller)
    bench.advance(days=5)
    assert bench.control("clock")["now"] - begun >= 365 * DAY
    # 100.00 less 2.9 % and 0.30 is 96.80; 50.00 of it went to the seller, who was paid out each month.
    assert bench.balance("usd") == (12 * (9_680 - 5_000), 0)
    assert bench.balance("usd", seller) == (0, 0)
    assert {payout["status"] for payout in bench.get("/v1/payouts?limit=100", account=seller)["data"]} == {"paid"}
    assert bench.control("state")["books_balance"]
