"""Disputes that are won after all: what their sellers owed for them meanwhile is owed no longer, and given up once."""

from dataclasses import replace

from sqlalchemy import select
from tests.disputes.court import decide, disputed, now, paid_sale, publish, shown
from tests.market.market import Market
from tests.recovery.test_debts import other

from marketbill.disputes.model import RecoverAt
from marketbill.ids import public_id
from marketbill.payouts.model import debt
from marketbill.recovery import write_off
from marketbill.refunds import policy as return_policies
from marketbill.rules.return_policy import DEFAULT, Bearer, Cause


async def test_a_debt_that_was_written_off_is_not_given_to_its_seller_as_well(market: Market) -> None:
    payment = await paid_sale(market)
    await publish(market, recover_at=RecoverAt.OPENED)
    row = await disputed(market, payment)
    await market.machine.sweep()
    services = market.machine.services
    async with services.db.read(market.platform) as scope:
        owed = await scope.one(select(debt).where(debt.c.seller_id == market.sellers["C"]))
    proposed = await write_off.propose(
        services, market.operator, idempotency_key="1", debt_id=public_id("debt", owed.id), reason="he is gone"
    )
    await write_off.approve(services, other(market), idempotency_key="2", id=public_id("write-off", proposed.id))
    assert (await market.books())["expenses:bad-debt", "EUR"] == 2727

    await decide(market, row, "won")
    await market.machine.advance(days=1)
    assert (await now(market, row)).status == "WON"
    books = await market.books()
    assert books["expenses:bad-debt", "EUR"] == 0
    assert [books[f"seller-receivable:{name}", "EUR"] for name in "ABC"] == [0, 0, 0]
    assert [books[f"seller:{name}:payable", "EUR"] for name in "ABC"] == [0, 0, 0]
    # C was paid out once, before the dispute: nothing is transferred to him for it again.
    assert [books[f"custody:{name}:owed", "EUR"] for name in "ABC"] == [4379, 0, 0]
    await market.prove()


async def test_fees_that_sellers_bear_are_charged_once_and_given_back_when_it_is_won(market: Market) -> None:
    payments = [await paid_sale(market), await market.sale(market.line("A", 5000), market.line("B", 7000))]
    await market.machine.advance(days=9)
    await publish(market, recover_at=RecoverAt.OPENED)
    borne = replace(DEFAULT.rows[Cause.LOST_DISPUTE], dispute_fee=Bearer.SELLER)
    rows = [*(DEFAULT.rows | {Cause.LOST_DISPUTE: borne}).items()]
    services, operator = market.machine.services, market.operator
    await return_policies.publish(services, operator, idempotency_key="p", rows=rows, note="sellers bear the fees")

    first, second = [await disputed(market, payment) for payment in payments]
    await market.machine.sweep()
    assert (await market.books())["revenue:dispute-recharge", "EUR"] == 4000
    # What was taken when it was opened is lost already: accepting the dispute changes nothing.
    result = await shown(market, second)
    assert (result.sellers, result.borne, result.accepted) == ((), 0, result.so_far)

    await decide(market, first, "won", amount=5000)
    await decide(market, second, "won")
    await market.machine.advance(days=1)
    first, second = await now(market, first), await now(market, second)
    assert (first.status, second.status) == ("PARTLY_WON", "WON")
    books = await market.books()
    assert books["revenue:dispute-recharge", "EUR"] == first.fees - first.fees_returned
    assert books["seller:B:payable", "EUR"] == books["seller:A:payable", "EUR"] == 0
    await market.prove()
