"""What a return undoes of the worked sale, and that what was kept is where the next one starts."""

from typing import Any

from tests.market.fixtures import WORKED_LINES, worked_sellers
from tests.market.market import Market

from marketbill.ids import PaymentId, new_id
from marketbill.ledger.journal import Source
from marketbill.payments import recording
from marketbill.refunds import arithmetic
from marketbill.refunds.arithmetic import LineWanted, Returned, Wanted
from marketbill.refunds.model import RefundKind
from marketbill.rules.return_policy import DEFAULT, Cause


async def worked_sale(market: Market) -> PaymentId:
    await worked_sellers(market)
    return await market.sale(*(market.line(name, price) for name, price in WORKED_LINES), reference="order-1")


async def keep(market: Market, payment: PaymentId, wanted: Wanted, cause: Source) -> Returned:
    async with market.machine.services.db.write(market.platform) as scope:
        row = await recording.load(scope, payment, lock=True)
        made = await arithmetic.returned(scope, row, wanted, Cause.SELLER_FAULT, DEFAULT)
        await arithmetic.keep(scope, cause, row, made)
    return made


def of_a(amount: int) -> Wanted:
    return Wanted(RefundKind.LINES, lines=(LineWanted(0, amount=amount),))


def parts(market: Market, made: Returned) -> dict[str, Any]:
    names = {id: name for name, id in market.sellers.items()}
    return {names[seller]: amount for seller, amount in made.parts.items()}


async def test_the_refund_and_the_lost_dispute_of_the_worked_journal(market: Market) -> None:
    payment = await worked_sale(market)
    refund = await keep(market, payment, of_a(2000), Source("refund", new_id()))
    assert (parts(market, refund), refund.fee_refunded, refund.fee_tax) == ({"A": 1758}, 200, {"NL": 42})
    assert (refund.amount, refund.settlement_amount) == (2000, 2000)

    lost = await keep(market, payment, Wanted(RefundKind.AMOUNT, 10100), Source("dispute", new_id()))
    assert parts(market, lost) == {"A": 2636, "B": 3599, "C": 2727}
    assert (lost.fee_refunded, lost.fee_tax) == (1010, {"NL": 128})


async def test_three_refunds_of_a_line_by_the_cumulative_rule(market: Market) -> None:
    payment = await worked_sale(market)
    made = [await keep(market, payment, of_a(amount), Source("refund", new_id())) for amount in (1000, 2000, 1999)]
    assert [parts(market, one)["A"] for one in made] == [879, 1758, 1757]
    assert [one.fee_refunded for one in made] == [100, 200, 200]
    assert [one.fee_tax["NL"] for one in made] == [21, 42, 42]


async def test_what_was_undone_is_undone_once_and_can_be_given_again(market: Market) -> None:
    payment = await worked_sale(market)
    first, second = Source("refund", new_id()), Source("refund", new_id())
    await keep(market, payment, of_a(1003), first)
    await keep(market, payment, of_a(1003), second)
    async with market.machine.services.db.write(market.platform) as scope:
        row = await recording.load(scope, payment, lock=True)
        assert await arithmetic.undo(scope, first, row)
        assert not await arithmetic.undo(scope, first, row)
    rest = await keep(market, payment, Wanted(RefundKind.LINES, lines=(LineWanted(0),)), Source("refund", new_id()))
    assert rest.amount == 4999 - 1003
    async with market.machine.services.db.read(market.platform) as scope:
        sale = await arithmetic.open_sale(scope, await recording.load(scope, payment))
    # The whole line: 43.94 of its seller, 5.00 of the fee and 1.05 of the tax on it.
    assert sale.given == {f"seller:{market.seller_id('A')}": 4394, "fee": 500, "fee_tax:NL": 105}
    assert sale.states[0].gross == sale.states[0].paid == 4999
