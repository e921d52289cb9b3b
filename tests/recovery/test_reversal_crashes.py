"""Reversals whose worker dies, whose answer is lost, and whose transfer nobody knows about yet: each is booked once."""

import asyncio
from contextlib import suppress

import pytest
from tests.market.fixtures import WORKED_LINES
from tests.market.market import Market
from tests.recovery.causes import approve, begin, debts, funded, refund, reversals, reverse

from marketbill.ids import PaymentId
from marketbill.payouts.reversal import execute_reversals
from marketbill.payouts.transfer import execute_transfers

#: What A has of the worked sale.
NET = 4379


async def transferred(market: Market) -> PaymentId:
    payment = await market.sale(*(market.line(name, price) for name, price in WORKED_LINES))
    await market.machine.advance(days=9)
    return payment


async def reversed_at_the_provider(market: Market, payment: PaymentId) -> list[int]:
    row = next(row for row in await market.transfers(payment) if row.amount == NET)
    return [one["amount"] for one in (await market.stripe(f"transfers/{row.provider_transfer}/reversals"))["data"]]


async def taken_once(market: Market, payment: PaymentId, amount: int) -> None:
    books = await market.books()
    assert await reversed_at_the_provider(market, payment) == [amount]
    assert books["custody:A:available", "EUR"] == NET - amount
    kinds = [kind for kind, _ in await market.journal()]
    assert kinds.count("transfer-reversal") == 1


async def test_many_workers_at_once_take_back_once(worked: Market) -> None:
    payment = await transferred(worked)
    cause = refund()
    await begin(worked, cause, payment, {"A": 1758})
    await asyncio.gather(*(execute_reversals(worked.machine.services, worked.platform) for _ in range(6)))
    assert await funded(worked, cause) == {"A": (0, 1758, 0)}
    await taken_once(worked, payment, 1758)


@pytest.mark.parametrize("executed", [False, True])
async def test_a_killed_worker_is_taken_over_from(worked: Market, executed: bool) -> None:
    payment = await transferred(worked)
    cause = refund()
    await begin(worked, cause, payment, {"A": 1758})
    transfer = next(row for row in await worked.transfers(payment) if row.amount == NET)
    call = f"POST /v1/transfers/{transfer.provider_transfer}/reversals"
    held = worked.machine.line.hold(call, executed=executed)
    worker = asyncio.create_task(execute_reversals(worked.machine.services, worked.platform))
    await held.reached.wait()
    worker.cancel()
    with suppress(asyncio.CancelledError):
        await worker
    worked.machine.line.mend()
    await worked.machine.shift(300)
    await worked.machine.sweep()
    assert await funded(worked, cause) == {"A": (0, 1758, 0)}
    await taken_once(worked, payment, 1758)
    assert worked.machine.line.count(call) == (1 if executed else 2)


async def test_a_lost_answer_is_a_debt_until_it_is_looked_up(worked: Market) -> None:
    payment = await transferred(worked)
    cause = refund()
    await begin(worked, cause, payment, {"A": 1758})
    transfer = next(row for row in await worked.transfers(payment) if row.amount == NET)
    path = f"/v1/transfers/{transfer.provider_transfer}/reversals"
    worked.machine.line.lose_answer(f"POST {path}")
    worked.machine.line.refuse(f"POST {path}", status=503)
    worked.machine.line.refuse(f"GET {path}", status=503)
    await reverse(worked)
    assert await funded(worked, cause) == {"A": (0, 1758, 1758)}
    await approve(worked, cause)
    worked.machine.line.mend()
    await worked.machine.advance(days=1)
    assert await debts(worked) == {"A": [(1758, 0)]}
    await taken_once(worked, payment, 1758)


async def test_a_transfer_under_way_is_taken_back_once_it_is_there(worked: Market) -> None:
    """Nobody knows yet whether the transfer was made: the cause waits for its first setback and no longer."""
    payment = await worked.sale(*(worked.line(name, price) for name, price in WORKED_LINES))
    await worked.machine.control("clock", {"advance_seconds": 9 * 86_400})
    await worked.machine.shift(9 * 86_400)
    await worked.machine.delivered()
    worked.machine.line.lose_answer("POST /v1/transfers")
    worked.machine.line.refuse("POST /v1/transfers", status=503)
    worked.machine.line.refuse("GET /v1/transfers", status=503)
    await worked.machine.sweep()
    waiting = [row for row in await worked.transfers(payment) if row.status == "PENDING"]
    assert NET in [row.amount for row in waiting]

    cause = refund()
    assert not await begin(worked, cause, payment, {"A": 1758})
    assert await reversals(worked) == {"A": [(1758, "WAITING")]}
    await reverse(worked)
    assert await funded(worked, cause) == {"A": (0, 1758, 1758)}
    await approve(worked, cause)

    worked.machine.line.mend()
    await worked.machine.shift(3600)
    await execute_transfers(worked.machine.services, worked.platform)
    await worked.machine.sweep()
    assert await reversals(worked) == {"A": [(1758, "DONE")]}
    assert await debts(worked) == {"A": [(1758, 0)]}
    await taken_once(worked, payment, 1758)
    books = await worked.books()
    assert books["seller:A:payable", "EUR"] == books["seller-receivable:A", "EUR"] == 0
