"""The provider's fees for a lost dispute, charged to its sellers with tax, by hand.

The parts of the worked dispute are 43.94, 35.99 and 27.27, so of 40.00 A is charged 16.40, B 13.43 and C 10.17. A and
C are Dutch as the platform: 21 % on that are 3.44 and 2.14. B accounts for the tax himself.
"""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from sqlalchemy import select
from tests.disputes.court import contest, decide, disputed, paid_sale, publish, shown
from tests.market.market import Market

from marketbill.ledger.trial_balance import trial_balance
from marketbill.refunds import policy as return_policies
from marketbill.rules.return_policy import DEFAULT, Bearer, Cause
from marketbill.statements.fee_invoice import RECHARGE
from marketbill.statements.invoice_run import issue_invoices
from marketbill.statements.model import fee_invoice, fee_invoice_line
from marketbill.statements.statement import statement

CHARGED = {"A": (1640, 344), "B": (1343, 0), "C": (1017, 214)}


async def sellers_bear_fees(market: Market) -> None:
    rows = dict(DEFAULT.rows) | {
        Cause.LOST_DISPUTE: replace(DEFAULT.rows[Cause.LOST_DISPUTE], dispute_fee=Bearer.SELLER)
    }
    await return_policies.publish(
        market.machine.services,
        market.operator,
        idempotency_key=market.machine.key(),
        rows=list(rows.items()),
        note="disputes are the sellers' own",
    )


async def test_fees_of_a_lost_dispute_with_their_tax(market: Market) -> None:
    await sellers_bear_fees(market)
    payment = await paid_sale(market)
    await publish(market, countered_fees={"EUR": 2000})
    row = await disputed(market, payment)
    result = await shown(market, row)
    fees = {one.seller_id: one.fees for one in result.sellers}
    assert {name: fees[id] for name, id in market.sellers.items()} == {"A": 820 + 172, "B": 671, "C": 509 + 107}
    assert (result.so_far, result.recharged, result.lost) == (-967, 2000, -967 - 2000 - 1210 + 4000)

    await contest(market, row)
    await decide(market, row, "lost")
    told = [legs for kind, legs in await market.journal(row.id) if kind == "recharge"]
    due = [
        [
            (f"seller:{name}:payable", "revenue:dispute-recharge", fee),
            *([(f"seller:{name}:payable", "tax:output-vat:NL", tax)] if tax else []),
        ]
        for name, (fee, tax) in CHARGED.items()
    ]
    assert sorted(told) == sorted(due)
    books = {code: amount for (code, _), amount in (await market.books()).items()}
    assert (books["expenses:dispute-fee"], books["revenue:dispute-recharge"]) == (4000, 4000)
    assert books["tax:output-vat:NL"] == 5 + 344 + 214
    assert {name: books[f"seller-receivable:{name}"] for name in "ABC"} == {
        "A": 15 + 1984,
        "B": 3599 + 1343,
        "C": 2727 + 1231,
    }
    assert {name: books[f"seller:{name}:payable"] for name in "ABC"} == {"A": 0, "B": 0, "C": 0}
    assert (await shown(market, row)).so_far == result.lost

    async with market.machine.services.db.read(market.platform) as scope:
        [trial] = await trial_balance(scope)
        assert trial.debit == trial.credit
        start, end = scope.now - timedelta(days=300), scope.now + timedelta(days=1)
        for name, (fee, tax) in CHARGED.items():
            seller = market.sellers[name]
            made = await statement(scope, seller=seller, currency="EUR", start=start, end=end)
            sums = {total.section: total.amount for total in made.totals}
            lines = [line for line in made.lines if line.kind == "recharge"]
            assert sums["RECHARGES"] == -fee
            assert sum(line.amount for line in lines) == -fee - tax
            assert made.agrees
    await market.prove()

    for _ in range(2):
        await market.machine.advance(days=31)
    await issue_invoices(market.machine.services, market.platform)
    assert await invoiced(market) == {
        market.sellers["A"]: (Decimal(21), 1640, 344),
        market.sellers["B"]: (Decimal(0), 1343, 0),
        market.sellers["C"]: (Decimal(21), 1017, 214),
    }


async def invoiced(market: Market) -> dict[object, tuple[Decimal | None, int, int]]:
    """What the sellers' invoices say of what they were charged: rate, net, tax."""
    lines = (
        select(fee_invoice.c.seller_id, fee_invoice_line.c.rate, fee_invoice_line.c.net, fee_invoice_line.c.tax)
        .join(
            fee_invoice_line,
            (fee_invoice_line.c.platform_id == fee_invoice.c.platform_id)
            & (fee_invoice_line.c.invoice_id == fee_invoice.c.id),
        )
        .where(fee_invoice.c.platform_id == market.platform, fee_invoice_line.c.service == RECHARGE)
    )
    async with market.machine.services.db.read(market.platform) as scope:
        return {row.seller_id: (row.rate, row.net, row.tax) for row in await scope.rows(lines)}
