"""The rolling reserve: kept of each sale up to a cap, after debts, released by the clock; and where the money is."""

from decimal import Decimal
from typing import Any

from sqlalchemy import Row, text
from tests.market.machine import Machine
from tests.market.market import Market

from marketbill.insight.whereabouts import Place, Whereabouts, Why, pieces, whereabouts
from marketbill.payments import holds, release_rules
from marketbill.payments.holds import HoldKind, HoldScope
from marketbill.payouts.model import TransferKind
from marketbill.reconciliation.check import Verdict
from marketbill.reconciliation.held import prove_held
from marketbill.rules.release import ReleaseTerms, ReserveRule


async def reserve_rules(market: Market, percent: str = "10", days: int = 90, cap: int | None = None) -> None:
    terms = ReleaseTerms(reserves=(ReserveRule(Decimal(percent), days, cap={} if cap is None else {"EUR": cap}),))
    await release_rules.publish(
        market.machine.services, market.operator, idempotency_key=market.machine.key(), terms=terms
    )


async def where(market: Market, seller: str = "A") -> Whereabouts:
    async with market.machine.services.db.read(market.platform) as scope:
        [found] = await whereabouts(scope, market.sellers[seller])
        checks = await prove_held(scope)
    assert found.total == found.position.total
    assert [(check.name, check.found) for check in checks] == [("money with a reason", "all")]
    return found


async def heaps(market: Market, seller: str = "A") -> dict[tuple[Place, Why], int]:
    return {(heap.place, heap.why): heap.amount for heap in (await where(market, seller)).heaps}


async def test_a_part_of_each_sale_is_kept_and_released_by_the_clock(machine: Machine) -> None:
    market = await machine.platform()
    await market.seller("A")
    await reserve_rules(market, cap=700)
    # 50.00 leave 43.59 after the fee: 10 % are 4.36; of the second, up to the cap of 7.00, 2.64.
    for _ in range(2):
        await market.sale(market.line("A", 5000), card="pm_card_bypassPending")
    assert [one.amount for one in await market.transfers()] == [4095, 3923]
    books = await market.books()
    assert (books["seller:A:reserve", "EUR"], books["seller:A:payable", "EUR"]) == (700, 0)
    found = await where(market)
    assert {(heap.place, heap.why): heap.amount for heap in found.heaps} == {
        (Place.AT_PROVIDER, Why.TO_BE_PAID_OUT): 8018,
        (Place.RESERVE, Why.ROLLING_RESERVE): 700,
    }
    [kept] = [heap for heap in found.heaps if heap.place is Place.RESERVE]
    assert (kept.number, kept.party) == (2, "MARKETBILL")
    assert kept.until is not None

    await machine.advance(days=89)
    assert (await market.books())["seller:A:reserve", "EUR"] == 700
    await machine.advance(days=1.1)
    assert (await market.books())["seller:A:reserve", "EUR"] == 0
    again = [one for one in await market.transfers() if one.kind == TransferKind.RESERVE]
    assert [(one.amount, one.status) for one in again] == [(436, "SENT"), (264, "SENT")]
    assert await heaps(market) == {(Place.AT_PROVIDER, Why.TO_BE_PAID_OUT): 8718}
    await market.prove()


async def test_a_reserve_of_everything_leaves_no_transfer(machine: Machine) -> None:
    market = await machine.platform()
    await market.seller("A")
    await reserve_rules(market, percent="100", days=5)
    await market.sale(market.line("A", 5000), card="pm_card_bypassPending")
    assert await market.transfers() == []
    assert await heaps(market) == {(Place.RESERVE, Why.ROLLING_RESERVE): 4359}
    await machine.advance(days=5.1)
    assert [one.amount for one in await market.transfers()] == [4359]
    await market.prove()


async def test_every_cent_has_a_place_and_a_reason_on_its_way_to_the_bank(machine: Machine) -> None:
    market = await machine.platform(hold_days=10)
    await market.seller("A")
    await market.seller("B", onboard=None)
    await market.sale(market.line("A", 5000), market.line("B", 5000))
    net = {"A": 4377, "B": 4377}
    assert await heaps(market) == {(Place.PENDING, Why.FUNDS_PENDING): net["A"]}

    await machine.advance(days=8)
    found = await where(market)
    assert [(heap.why, heap.party, heap.number) for heap in found.heaps] == [(Why.HOLD_PERIOD, "MARKETBILL", 1)]
    row = await market.payment((await _pieces(market))[0].id)
    assert found.heaps[0].until == row.release_on

    async with machine.services.db.write(market.platform) as scope:
        risk = await holds.place(
            scope, market.sellers["A"], None, HoldKind.RISK, "Sales rose at once.", None, "marketbill"
        )
    [heap] = (await where(market)).heaps
    assert (heap.why, heap.party, heap.by, heap.detail, heap.since) == (
        Why.RISK_HOLD,
        "PLATFORM",
        "marketbill",
        "Sales rose at once.",
        risk.placed_at,
    )
    async with machine.services.db.write(market.platform) as scope:
        await holds.lift(scope, risk.id, "key_1", "Looked at.")
    await machine.advance(days=3)
    assert await heaps(market) == {(Place.AT_PROVIDER, Why.TO_BE_PAID_OUT): net["A"]}
    # Who cannot receive yet is told so.
    assert await heaps(market, "B") == {(Place.PAYABLE, Why.ACCOUNT_INCOMPLETE): net["B"]}

    async with machine.services.db.write(market.platform) as scope:
        await holds.place(
            scope,
            market.sellers["A"],
            None,
            HoldKind.MANUAL,
            "Looked at.",
            None,
            "key_1",
            on=HoldScope.PAYOUT,
        )
    assert await heaps(market) == {(Place.AT_PROVIDER, Why.MANUAL_HOLD): net["A"]}
    await market.prove()


async def test_a_payout_under_way_is_in_transit_until_the_bank_has_it(market: Market) -> None:
    await market.seller("A")
    await market.sale(market.line("A", 5000), card="pm_card_bypassPending")
    await market.payout("A", 1000)
    assert await heaps(market) == {
        (Place.AT_PROVIDER, Why.TO_BE_PAID_OUT): 3359,
        (Place.IN_TRANSIT, Why.PAYOUT_UNDER_WAY): 1000,
    }
    await market.machine.quiet()
    await market.machine.advance(days=9)
    assert await heaps(market) == {(Place.AT_PROVIDER, Why.TO_BE_PAID_OUT): 3359}


async def test_money_that_no_thing_accounts_for_is_found(market: Market) -> None:
    await market.seller("A")
    await market.sale(market.line("A", 5000), card="pm_card_bypassPending")
    async with market.machine.services.db.write(market.platform) as scope:
        await scope.run(text("update payout_item set claimed = 100"))
    async with market.machine.services.db.read(market.platform) as scope:
        [found] = await whereabouts(scope, market.sellers["A"])
        [check] = await prove_held(scope)
    assert (found.heaps[-1].why, found.heaps[-1].amount) == (Why.BOOKED_OTHERWISE, 100)
    assert (check.verdict, check.found) == (Verdict.BROKEN, "1.00")


async def _pieces(market: Market) -> list[Row[Any]]:
    async with market.machine.services.db.read(market.platform) as scope:
        return list(await pieces(scope, market.sellers["A"], limit=10))
