"""Disputes that are won after all: what their sellers owed for them meanwhile is owed no longer, and given up once."""

from sqlalchemy import select
from tests.disputes.court import decide, disputed, now, paid_sale, publish
from tests.market.market import Market
from tests.recovery.test_debts import other

from marketbill.disputes.model import RecoverAt
from marketbill.ids import public_id
from marketbill.payouts.model import debt
from marketbill.recovery import write_off


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
