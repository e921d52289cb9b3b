"""Debts: their ladder by the calendar, what sellers pay, and their write-off by two people."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from tests.market.market import Market
from tests.recovery.causes import approve, begin, debts, refund

from marketbill.actor import Actor
from marketbill.errors import InvalidInput, NotFound, SellerNotAllowed, StateConflict
from marketbill.health.findings import Finding, count_late, name_late
from marketbill.health.waits import Kind
from marketbill.ids import public_id
from marketbill.payouts.model import debt
from marketbill.reconciliation.check import Verdict
from marketbill.reconciliation.recovery import prove_recovery
from marketbill.recovery import payment, policy, queries, write_off
from marketbill.recovery.model import PaidBy
from marketbill.recovery.payment import Received
from marketbill.recovery.write_off import SecondPersonNeeded
from marketbill.rules.debt_ladder import Step
from marketbill.sellers import seller as sellers
from marketbill.sellers import suspension


def other(market: Market) -> Actor:
    return replace(market.operator, id="key_of_another_person")


async def in_debt(market: Market, amount: int, seller: str = "B") -> str:
    """A seller who was paid out and gives a refund back; the debt's id."""
    await market.seller(seller)
    sale = await market.sale(market.line(seller, 5000))
    await market.machine.advance(days=9)
    await market.payout(seller)
    await market.machine.quiet()
    cause = refund()
    assert await begin(market, cause, sale, {seller: amount})
    await approve(market, cause)
    await market.machine.sweep()
    [row] = await rows(market, select(debt).where(debt.c.cause_id == cause.id))
    return public_id("debt", row.id)


async def rows(market: Market, statement: Any) -> list[Any]:
    async with market.machine.services.db.read(market.platform) as scope:
        return list(await scope.rows(statement))


async def steps(market: Market, debt_id: str) -> list[tuple[str, str]]:
    async with market.machine.services.db.read(market.platform) as scope:
        row = await queries.debt_by_id(scope, market.operator, debt_id)
        return [(one.step, one.outcome) for one in (await queries.steps_of(scope, market.operator, [row.id]))[row.id]]


async def receivable(market: Market) -> int:
    return (await market.books()).get(("seller-receivable:B", "EUR"), 0)


async def pay(market: Market, amount: int, reference: str = "NL-1", **how: Any) -> Any:
    received = Received(market.seller_id("B"), how.pop("currency", "EUR"), amount, PaidBy.TOP_UP, reference)
    return await payment.record(
        market.machine.services,
        market.operator,
        idempotency_key=how.pop("key", None) or market.machine.key(),
        received=replace(received, **how),
    )


async def test_the_ladder_by_the_calendar(market: Market) -> None:
    id = await in_debt(market, 3599)
    assert await steps(market, id) == [("NETTING", "TAKEN")]
    await market.machine.advance(days=7)
    assert (await steps(market, id))[1:] == [("NOTICE", "TOLD")]
    await market.machine.advance(days=24)
    assert (await steps(market, id))[2:] == [("DEBIT", "ALLOWED"), ("RECEIVABLE", "TAKEN")]
    assert not (await market.seller_row("B")).suspended
    await market.machine.advance(days=30)
    assert (await steps(market, id))[4:] == [("SUSPENSION", "SUSPENDED")]
    assert (await market.seller_row("B")).suspended
    with pytest.raises(SellerNotAllowed) as refused:
        await market.pay(market.draft(market.line("B", 5000)))
    assert refused.value.gate == "SELL"
    await market.machine.advance(days=60)
    assert (await steps(market, id))[5:] == [("WRITE_OFF", "DUE")]
    assert await receivable(market) == 3599


async def suspensions(market: Market) -> list[tuple[str, str, str | None]]:
    async with market.machine.services.db.read(market.platform) as scope:
        id = market.sellers["B"]
        return [(one.cause, one.placed_by, one.lifted_by) for one in (await suspension.of(scope, [id]))[id]]


async def suspend(market: Market, *, suspended: bool) -> None:
    await sellers.change(
        market.machine.services,
        market.operator,
        idempotency_key=market.machine.key(),
        id=market.seller_id("B"),
        changes={"suspended": suspended},
    )


async def test_who_pays_his_debts_may_sell_again(market: Market) -> None:
    await in_debt(market, 3599)
    before = await market.sale(market.line("B", 2000))
    await market.machine.advance(days=8)
    [first] = [one.remaining for one in await rows(market, select(debt))]
    assert first == 3599 - (2000 - 230 - 48)  # A sale of 20.00, less 10 % and 0.30, and the tax of 21 % on that.
    assert await market.transfers(before) == []
    await market.machine.advance(days=60)
    assert await suspensions(market) == [("DEBT", "marketbill", None)]

    await pay(market, 1876)
    await market.machine.quiet()
    assert (await market.seller_row("B")).suspended
    await pay(market, 1, "NL-2")
    await market.machine.quiet()

    assert not (await market.seller_row("B")).suspended
    assert await suspensions(market) == [("DEBT", "marketbill", "marketbill")]
    async with market.machine.services.db.read(market.platform) as scope:
        [told] = (await suspension.of(scope, [market.sellers["B"]]))[market.sellers["B"]]
    [owed] = await rows(market, select(debt))
    assert told.lift_reason == f"All debts of the seller are paid, the last {public_id('debt', owed.id)}."
    await market.sale(market.line("B", 5000))
    await market.prove()


async def test_a_sale_made_before_pays_the_debt_and_ends_the_suspension(market: Market) -> None:
    days = [(Step.NETTING, 0), (Step.SUSPENSION, 1)]
    await policy.publish(market.machine.services, market.operator, idempotency_key="p", steps=days, limits={})
    await in_debt(market, 1000)
    await market.sale(market.line("B", 5000))
    await market.machine.advance(days=1)
    assert (await market.seller_row("B")).suspended
    await market.machine.advance(days=8)
    assert await debts(market) == {"B": [(1000, 0)]}
    assert await suspensions(market) == [("DEBT", "marketbill", "marketbill")]
    assert not (await market.seller_row("B")).suspended


async def test_a_write_off_lifts_no_suspension(market: Market) -> None:
    services, operator = market.machine.services, market.operator
    id = await in_debt(market, 2727)
    await market.machine.advance(days=61)
    made = await write_off.propose(services, operator, idempotency_key="w1", debt_id=id, reason="insolvent")
    await write_off.approve(services, other(market), idempotency_key="w2", id=public_id("write-off", made.id))
    await market.machine.advance(days=1)
    assert await receivable(market) == 0
    assert (await market.seller_row("B")).suspended
    await suspend(market, suspended=False)
    assert not (await market.seller_row("B")).suspended
    assert await suspensions(market) == [("DEBT", "marketbill", market.operator.id)]


async def test_an_operators_suspension_is_not_lifted_by_paying(market: Market) -> None:
    await in_debt(market, 1000)
    await market.machine.advance(days=61)
    await suspend(market, suspended=True)
    await pay(market, 1000)
    await market.machine.quiet()
    assert (await market.seller_row("B")).suspended
    assert sorted(await suspensions(market), key=str) == [
        ("DEBT", "marketbill", "marketbill"),
        ("OPERATOR", market.operator.id, None),
    ]


async def test_above_the_limit_the_seller_is_suspended_at_once(market: Market) -> None:
    days = [(Step.NETTING, 0), (Step.SUSPENSION, 60)]
    published = await policy.publish(
        market.machine.services, market.operator, idempotency_key="p", steps=days, limits={"EUR": 1000}
    )
    assert published.version == 1
    id = await in_debt(market, 1001)
    assert await steps(market, id) == [("NETTING", "TAKEN"), ("SUSPENSION", "SUSPENDED")]


async def test_a_seller_pays_a_debt_himself(market: Market) -> None:
    await in_debt(market, 3599)
    first = await pay(market, 1000, key="once")
    again = await pay(market, 1000, key="once")
    assert again.id == first.id
    assert await debts(market) == {"B": [(3599, 2599)]}
    with pytest.raises(StateConflict, match="recorded before"):
        await pay(market, 1000)
    with pytest.raises(InvalidInput, match=r"owes 25\.99 EUR"):
        await pay(market, 2600, "NL-2")
    await pay(market, 2599, "NL-2", method=PaidBy.DEBIT)
    assert await debts(market) == {"B": [(3599, 0)]}
    assert await receivable(market) == 0
    await market.machine.advance(days=200)
    assert not (await market.seller_row("B")).suspended


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"amount": 0}, "amount"),
        ({"reference": " "}, "reference"),
        ({"currency": "XXX"}, "amount"),
        ({"seller_id": "sel_nobody"}, "sellerId"),
    ],
)
async def test_a_payment_that_makes_no_sense_is_refused(market: Market, changes: dict[str, Any], path: str) -> None:
    await market.seller("B")
    with pytest.raises((InvalidInput, NotFound)) as refused:
        await pay(market, changes.pop("amount", 100), changes.pop("reference", "NL-1"), **changes)
    assert refused.value.path[0] == path


async def test_two_people_write_a_debt_off(market: Market) -> None:
    services, operator = market.machine.services, market.operator
    id = await in_debt(market, 2727)
    with pytest.raises(InvalidInput):
        await write_off.propose(services, operator, idempotency_key="w0", debt_id=id, reason=" ")
    made = await write_off.propose(services, operator, idempotency_key="w1", debt_id=id, reason="insolvent")
    wof = public_id("write-off", made.id)
    with pytest.raises(StateConflict, match="proposes this already"):
        await write_off.propose(services, operator, idempotency_key="w2", debt_id=id, reason="insolvent")
    with pytest.raises(SecondPersonNeeded):
        await write_off.approve(services, operator, idempotency_key="w3", id=wof)
    assert await receivable(market) == 2727

    # Both at once: one books it, the other finds it decided.
    ended = await asyncio.gather(
        *(write_off.approve(services, other(market), idempotency_key=f"w4{n}", id=wof) for n in (1, 2)),
        return_exceptions=True,
    )
    assert sorted(isinstance(one, StateConflict) for one in ended) == [False, True]
    assert await receivable(market) == 0
    assert (await market.books())["expenses:bad-debt", "EUR"] == 2727
    assert await debts(market) == {"B": [(2727, 0)]}
    await market.prove()


async def test_the_proof_names_a_debt_that_the_books_do_not_know(market: Market) -> None:
    await in_debt(market, 2727)
    async with market.machine.services.db.read(market.platform) as scope:
        assert {one.verdict for one in await prove_recovery(scope)} == {Verdict.HOLDS}
    async with market.machine.services.db.write(market.platform) as scope:
        await scope.run(text("update debt set remaining = remaining - 1"))
    async with market.machine.services.db.read(market.platform) as scope:
        broken = [one for one in await prove_recovery(scope) if one.verdict is Verdict.BROKEN]
    assert [(one.name, one.expected, one.found) for one in broken] == [
        ("debts", "27.26", "27.27"),
        ("debt", "27.26", "27.27"),
    ]


async def found(market: Market, kind: Kind, *, later: timedelta) -> list[Finding]:
    """What is told of once that long has gone by, and no clock is moved."""
    async with market.machine.services.db.system() as scope:
        scope.now += later
        counted = [one for one in await count_late(scope) if one.kind is kind]
    async with market.machine.services.db.read(market.platform) as scope:
        scope.now += later
        named = await name_late(scope, {kind})
    assert sum(one.number for one in counted) == len(named)
    return named


async def test_a_write_off_that_nobody_decides_is_told_of_after_two_days(market: Market) -> None:
    services = market.machine.services
    id = await in_debt(market, 2727)
    made = await write_off.propose(services, market.operator, idempotency_key="w1", debt_id=id, reason="gone")
    waiting = Kind.WRITE_OFF_WAITING
    assert await found(market, waiting, later=timedelta(days=2, minutes=-5)) == []
    [one] = await found(market, waiting, later=timedelta(days=2))
    assert (one.id, one.why) == (public_id("write-off", made.id), "gone")
    assert "27.27 EUR" in one.what
    await write_off.reject(
        services, other(market), idempotency_key="w2", id=public_id("write-off", made.id), reason="x"
    )
    assert await found(market, waiting, later=timedelta(days=3)) == []


async def test_who_owes_more_than_the_limit_is_told_of_after_a_day(market: Market) -> None:
    days = [(Step.NETTING, 0), (Step.SUSPENSION, 60)]
    for key, limit in (("p1", 5000), ("p2", 2726)):
        await policy.publish(
            market.machine.services, market.operator, idempotency_key=key, steps=days, limits={"EUR": limit}
        )
    await in_debt(market, 2727)
    above = Kind.DEBT_ABOVE_LIMIT
    assert await found(market, above, later=timedelta(hours=23)) == []
    [one] = await found(market, above, later=timedelta(days=1))
    assert (one.id, one.why) == (market.seller_id("B"), "above the limit of 2726 (minor units)")
    assert "27.27 EUR" in one.what
    await pay(market, 1)
    assert await found(market, above, later=timedelta(days=1)) == []


async def test_a_write_off_that_is_rejected_leaves_the_debt(market: Market) -> None:
    services = market.machine.services
    id = await in_debt(market, 2727)
    made = await write_off.propose(services, market.operator, idempotency_key="w1", debt_id=id, reason="small")
    wof = public_id("write-off", made.id)
    ended = await write_off.reject(services, other(market), idempotency_key="w2", id=wof, reason="he pays")
    assert (ended.status, ended.decision_reason, ended.booked) == ("REJECTED", "he pays", None)
    assert await receivable(market) == 2727


async def test_what_was_paid_since_the_proposal_is_not_written_off(market: Market) -> None:
    services = market.machine.services
    id = await in_debt(market, 2727)
    made = await write_off.propose(services, market.operator, idempotency_key="w1", debt_id=id, reason="gone")
    await pay(market, 727)
    booked = await write_off.approve(services, other(market), idempotency_key="w2", id=public_id("write-off", made.id))
    assert (booked.amount, booked.booked) == (2727, 2000)
    assert await receivable(market) == 0
