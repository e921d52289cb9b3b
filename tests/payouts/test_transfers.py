"""Transfers: what was released reaches each seller's account once, whoever crashes, and waits where it must."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from tests.market.machine import FEE_RULE, Machine
from tests.market.market import Market

from marketbill.errors import SellerNotAllowed
from marketbill.health.examination import examine
from marketbill.health.waits import RECONNECT, Kind
from marketbill.ids import PaymentId, public_id
from marketbill.interventions import provider_intent
from marketbill.payouts import transfer as transfers
from marketbill.payouts.transfer import execute_transfers
from marketbill.provider import claim as claims
from marketbill.provider import saga as sagas
from marketbill.provider.kinds import CREATE_TRANSFER
from marketbill.provider.port import Failure, Refused
from marketbill.provider.saga import Failed
from marketbill.sellers import seller as sellers
from marketbill.sellers.onboarding import refresh

CALL = "POST /v1/transfers"
NET = 4359


async def released(market: Market, *, price: int = 5000) -> PaymentId:
    """A sale whose money is payable, but whose transfer nobody has executed yet."""
    payment = await market.sale(market.line("A", price))
    await market.machine.control("clock", {"advance_seconds": 9 * 86_400})
    await market.machine.shift(9 * 86_400)
    await market.machine.delivered()
    market.machine.line.cut = True  # events need no provider here; the transfer does
    await market.machine.sweep()
    market.machine.line.mend()
    return payment


async def sent(market: Market) -> list[int]:
    """What the provider has transferred, by its own list."""
    return [one["amount"] for one in (await market.stripe("transfers?limit=100"))["data"]]


async def test_money_waits_for_a_seller_who_is_not_onboarded(market: Market) -> None:
    await market.seller("A", onboard=None)
    await market.seller("B")
    payment = await market.sale(market.line("A", 5000), market.line("B", 5000))
    await market.machine.advance(days=9)

    states = {market_name(market, row.seller_id): (row.status, row.reason) for row in await market.transfers(payment)}
    assert states["B"] == ("SENT", None)
    assert states["A"][0] == "HELD"
    assert "cannot receive transfers" in states["A"][1]
    assert (await market.books())["seller:A:payable", "EUR"] > 0
    assert len(await sent(market)) == 1

    await market.onboard("A")

    assert [row.status for row in await market.transfers(payment)] == ["SENT", "SENT"]
    assert (await market.books())["seller:A:payable", "EUR"] == 0
    assert len(await sent(market)) == 2
    await market.prove()


async def test_a_capability_lost_after_planning_holds_the_transfer_until_it_is_back(market: Market) -> None:
    await market.seller("A")
    payment = await market.sale(market.line("A", 5000))
    market.machine.endpoint.holding = True
    await capability(market, "inactive")
    await market.machine.advance(days=9)
    market.machine.endpoint.holding = False
    kept = market.machine.endpoint.kept
    await market.machine.endpoint.deliver([one for one in kept if not one.type.startswith("account")])
    await market.machine.quiet()

    [row] = await market.transfers(payment)
    assert row.status == "PENDING"
    assert row.reason
    assert await sent(market) == []

    await capability(market, "active")
    await market.machine.quiet()

    [row] = await market.transfers(payment)
    assert (row.status, row.reason) == ("SENT", None)
    assert await sent(market) == [NET]
    await market.prove()


async def test_a_gate_that_is_open_already_holds_a_transfer_for_a_minute_only(market: Market) -> None:
    """The provider refuses while our own row says ACTIVE: its news came while we asked, and none may follow."""
    await market.seller("A")
    payment = await released(market)
    market.machine.endpoint.holding = True
    await capability(market, "inactive")
    await market.machine.shift(60)
    await execute_transfers(market.machine.services, market.platform)
    assert market.machine.line.count(CALL) == 2
    assert (await market.seller_row("A")).transfers == "ACTIVE"

    await capability(market, "active")
    await market.machine.shift(5 * 60)
    await execute_transfers(market.machine.services, market.platform)

    assert [row.status for row in await market.transfers(payment)] == ["SENT"]


async def test_a_refusal_has_the_account_read_though_no_news_of_it_came(market: Market) -> None:
    await market.seller("A")
    await market.sale(market.line("A", 5000))
    market.machine.endpoint.holding = True
    await capability(market, "inactive")
    await market.machine.advance(days=9)
    market.machine.endpoint.holding = False
    kept = market.machine.endpoint.kept
    await market.machine.endpoint.deliver([one for one in kept if not one.type.startswith(("account", "capab"))])

    await market.machine.quiet()

    row = await market.seller_row("A")
    assert (row.transfers, sellers.may_sell(row)) == ("RESTRICTED", True)
    calls = market.machine.line.count(CALL)
    await market.machine.sweep()
    assert market.machine.line.count(CALL) == calls == 1, "nobody asks in a circle"


async def test_an_account_that_was_disconnected_closes_all_gates_and_says_so(market: Market) -> None:
    row = await market.seller("A")
    await market.sale(market.line("A", 5000))
    market.machine.endpoint.holding = True
    await market.machine.control(f"accounts/{row.provider_account}/deauthorize", {})
    await market.machine.advance(days=9)
    market.machine.endpoint.holding = False
    kept = market.machine.endpoint.kept
    await market.machine.endpoint.deliver([one for one in kept if not one.type.startswith(("account", "capab"))])

    await market.machine.quiet()

    row = await market.seller_row("A")
    assert (row.transfers, row.payouts_enabled, sellers.may_sell(row)) == ("RESTRICTED", False, False)
    assert row.requirements["disabled_reason"] == "account_disconnected"
    with pytest.raises(SellerNotAllowed, match="no connected account"):
        await market.pay(market.draft(market.line("A", 5000)))
    found = await examine(market.machine.services.db, everything=True)
    [held] = [one for one in found if one.kind == Kind.REQUEST_HELD]
    assert held.to_do == RECONNECT


async def test_an_event_tells_of_a_disconnected_account_at_once(market: Market) -> None:
    row = await market.seller("A")
    await market.machine.control(f"accounts/{row.provider_account}/deauthorize", {})
    await market.machine.quiet()
    assert not sellers.may_sell(await market.seller_row("A"))


async def test_news_of_an_account_that_still_may_not_receive_wake_nothing(market: Market) -> None:
    await market.seller("A")
    payment = await released(market)
    await capability(market, "inactive")
    await market.machine.quiet()
    assert (await market.seller_row("A")).transfers != "ACTIVE"
    await market.machine.shift(60)
    await execute_transfers(market.machine.services, market.platform)
    asked = market.machine.line.count(CALL)

    account = (await market.seller_row("A")).provider_account
    for _ in range(3):
        await refresh(market.machine.services, market.platform, [account])
        await execute_transfers(market.machine.services, market.platform)
    assert market.machine.line.count(CALL) == asked

    await capability(market, "active")
    await market.machine.quiet()
    assert [row.status for row in await market.transfers(payment)] == ["SENT"]
    await market.prove()


async def test_a_defect_in_one_call_does_not_lose_what_the_others_did(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    await market.seller("A")
    await released(market)
    await released(market, price=6000)
    await market.machine.shift(60)
    send, broken = transfers.TRANSFER.send, asyncio.Event()

    async def fail_once(*arguments: Any) -> Any:
        if not broken.is_set():
            broken.set()
            raise RuntimeError("a defect")
        return await send(*arguments)

    monkeypatch.setattr(transfers, "TRANSFER", replace(transfers.TRANSFER, send=fail_once))
    with pytest.raises(RuntimeError, match="a defect"):
        await execute_transfers(market.machine.services, market.platform)

    assert sorted(row.status for row in await market.transfers()) == ["PENDING", "SENT"]
    await market.machine.advance(seconds=4 * 60)
    assert [row.status for row in await market.transfers()] == ["SENT", "SENT"]
    await market.prove()


async def test_many_workers_at_once_send_once(market: Market) -> None:
    await market.seller("A")
    for _ in range(4):
        await market.sale(market.line("A", 5000))
    await market.machine.control("clock", {"advance_seconds": 9 * 86_400})
    await market.machine.shift(9 * 86_400)
    await market.machine.delivered()
    services, platform = market.machine.services, market.platform

    await market.machine.work()  # the events' handlers: now everything is released
    await asyncio.gather(*(execute_transfers(services, platform) for _ in range(4)))
    await market.machine.sweep()

    assert await sent(market) == [NET] * 4
    assert market.machine.line.count(CALL) == 4
    assert [row.status for row in await market.transfers()] == ["SENT"] * 4
    await market.prove()


@pytest.mark.parametrize("executed", [False, True], ids=["before the call", "after the call"])
async def test_a_killed_worker_is_taken_over_from(market: Market, executed: bool) -> None:
    await market.seller("A")
    payment = await market.sale(market.line("A", 5000))
    held = market.machine.line.hold(CALL, executed=executed)
    working = asyncio.create_task(market.machine.advance(days=9))
    await held.reached.wait()
    await kill(working)
    market.machine.line.mend()
    assert [row.status for row in await market.transfers(payment)] == ["PENDING"]
    assert len(await sent(market)) == executed

    await market.machine.sweep()
    assert [row.status for row in await market.transfers(payment)] == ["PENDING"], "the dead worker's lease holds"
    await market.machine.advance(seconds=4 * 60)

    assert [row.status for row in await market.transfers(payment)] == ["SENT"]
    assert await sent(market) == [NET]
    assert market.machine.line.count(CALL) == (1 if executed else 2)
    await market.prove()


@pytest.mark.parametrize("executed", [False, True], ids=["not done", "done"])
async def test_after_a_day_the_look_up_alone_keeps_it_once(market: Market, executed: bool) -> None:
    await market.seller("A")
    payment = await market.sale(market.line("A", 5000))
    held = market.machine.line.hold(CALL, executed=executed)
    working = asyncio.create_task(market.machine.advance(days=9))
    await held.reached.wait()
    await kill(working)
    market.machine.line.mend()

    await market.machine.advance(days=2)

    assert [row.status for row in await market.transfers(payment)] == ["SENT"]
    assert await sent(market) == [NET]
    await market.prove()


async def test_a_server_error_seven_hours_after_a_worker_was_lost_sends_once(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider completes late what the second attempt was the first to send."""
    monkeypatch.setattr("marketbill.provider.stripe.wire.NETWORK_RETRIES", 0)
    await market.seller("A")
    payment = await released(market)
    machine = market.machine
    await machine.shift(60)
    async with machine.services.db.write(market.platform) as scope:
        await claims.claim_due(scope, [transfers.CREATE_TRANSFER], 1)
    await machine.control("clock", {"advance_seconds": 7 * 3600})
    await machine.shift(7 * 3600)
    await machine.control("faults", {"kind": "error_late", "on": CALL, "seconds": 1800})
    await execute_transfers(machine.services, market.platform)
    for _ in range(4):
        await machine.shift(20)
        await execute_transfers(machine.services, market.platform)
    assert await sent(market) == []

    await machine.advance(seconds=3600)
    await machine.advance(days=1)

    assert [row.status for row in await market.transfers(payment)] == ["SENT"]
    assert await sent(market) == [NET]
    await market.prove()


async def test_a_transfer_that_the_balance_was_too_small_for_goes_when_funds_come(market: Market) -> None:
    await market.seller("A")
    payment = await released(market)
    machine = market.machine
    await machine.shift(60)
    async with machine.services.db.write(market.platform) as scope:
        [short] = await claims.claim_due(scope, [transfers.CREATE_TRANSFER], 1)
        refused = Refused(Failure(400, "balance_insufficient", "text"))
        await sagas.settle(scope, transfers.TRANSFER, [Failed(short, refused)])
    assert [row.status for row in await market.transfers(payment)] == ["PENDING"]

    await market.sale(market.line("A", 6000), card="pm_card_bypassPending")

    assert [row.status for row in await market.transfers(payment)] == ["SENT"]
    await market.prove()


async def test_lost_answers_and_a_refused_look_up_send_once(market: Market) -> None:
    await market.seller("A")
    payment = await market.sale(market.line("A", 5000))
    market.machine.line.lose_answer(CALL)
    await market.machine.advance(days=9)
    assert [row.status for row in await market.transfers(payment)] == ["PENDING"]
    assert await sent(market) == [NET]

    market.machine.line.refuse("GET /v1/transfers", status=401)
    await market.machine.advance(seconds=60)
    await market.machine.advance(days=1)
    assert [row.status for row in await market.transfers(payment)] == ["PENDING"]
    market.machine.line.mend()
    await market.machine.advance(days=1)

    assert [row.status for row in await market.transfers(payment)] == ["SENT"]
    assert await sent(market) == [NET]
    await market.prove()


async def test_a_refusal_by_the_provider_is_told_with_its_reason(market: Market) -> None:
    await market.seller("A")
    payment = await market.sale(market.line("A", 5000))
    market.machine.line.refuse(CALL, status=400)
    await market.machine.advance(days=9)

    [row] = await market.transfers(payment)
    assert row.status == "REFUSED"
    assert row.reason == "Something went wrong on the line."
    assert (await market.books())["seller:A:payable", "EUR"] == NET
    await market.prove()


async def test_a_transfer_without_an_answer_is_not_said_to_be_refused(market: Market) -> None:
    await market.seller("A")
    payment = await market.sale(market.line("A", 5000))
    market.machine.line.lose_answer(CALL)
    await market.machine.advance(days=9)
    market.machine.line.refuse("GET /v1/transfers", status=503)
    for _ in range(40):
        await market.machine.shift(20 * 60)
        await execute_transfers(market.machine.services, market.platform)

    [row] = await market.transfers(payment)
    assert row.status == "PENDING"
    assert "No definite answer after 40 attempts" in row.reason

    market.machine.line.mend()
    await provider_intent.retry(
        market.machine.services, market.platform, id=public_id("provider intent", row.intent_id), by="key_1"
    )
    await execute_transfers(market.machine.services, market.platform)
    [row] = await market.transfers(payment)
    assert (row.status, row.reason) == ("SENT", None)
    assert await sent(market) == [NET]


async def test_a_worker_that_was_overtaken_does_not_undo_what_the_other_did(market: Market) -> None:
    await market.seller("A")
    payment = await released(market)
    machine = market.machine
    await machine.shift(60)
    async with machine.services.db.write(market.platform) as scope:
        [late] = await claims.claim_due(scope, [CREATE_TRANSFER], 1)

    await machine.shift(4 * 60)
    await execute_transfers(machine.services, market.platform)
    refused = Refused(Failure(400, "parameter_unknown", "text"))
    async with machine.services.db.write(market.platform) as scope:
        await sagas.settle(scope, transfers.TRANSFER, [Failed(late, refused)])

    [row] = await market.transfers(payment)
    assert (row.status, row.reason) == ("SENT", None)
    await market.prove()


async def test_a_worker_whose_lease_runs_out_asks_for_nothing(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    await market.seller("A")
    payment = await released(market)
    machine = market.machine
    await machine.shift(60)
    asked = len(machine.line.calls)
    with monkeypatch.context() as slow:
        slow.setattr(claims, "CALL_LONGEST", claims.CLAIM_LEASE)
        await execute_transfers(machine.services, market.platform)
    assert len(machine.line.calls) == asked

    await machine.advance(seconds=4 * 60)
    assert [row.status for row in await market.transfers(payment)] == ["SENT"]
    await market.prove()


async def test_the_provider_comes_back(market: Market) -> None:
    await market.seller("A")
    payment = await released(market)
    assert [row.status for row in await market.transfers(payment)] == ["PENDING"]

    await market.machine.advance(seconds=60)

    assert [row.status for row in await market.transfers(payment)] == ["SENT"]
    assert await sent(market) == [NET]
    await market.prove()


async def test_a_seller_who_earned_nothing_gets_no_transfer(machine: Machine) -> None:
    market = await machine.platform(fee_rule=replace(FEE_RULE, percent=Decimal(100)))
    await market.seller("A")
    payment = await market.sale(market.line("A", 5000))
    await machine.advance(days=9)

    assert (await market.payment(payment)).seller_net == 0
    assert await market.transfers(payment) == []
    await market.prove()


async def capability(market: Market, status: str) -> None:
    account = (await market.seller_row("A")).provider_account
    await market.machine.control(f"accounts/{account}/capability", {"name": "transfers", "status": status})


async def kill(task: "asyncio.Task[object]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def market_name(market: Market, seller: object) -> str:
    return next(name for name, id in market.sellers.items() if id == seller)
