"""The worked dispute, posting for posting, by hand: 121.00 EUR of three sellers, of whom two were paid out.

The provider takes 20.00 for a dispute and 20.00 for answering it. Lost, the sellers give back what they got and the
percentage of 12.10 goes back to them with its tax of 1.70; the fixed 0.30 is kept. A's 43.94 are 43.79 at the provider
and 0.15 that he owes then; B's 35.99 and C's 27.27 are debts.
"""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Row
from tests.disputes.court import FLOAT, contest, decide, disputed, now, paid_sale, publish, shown
from tests.market.market import Market

from marketbill.ids import public_id
from marketbill.ledger.worked_journal import DISPUTE, REFUND
from marketbill.payments import queries
from marketbill.refunds import refund
from marketbill.refunds.draft import LineDraft, NotRefundable, RefundDraft
from marketbill.refunds.model import RefundKind
from marketbill.rules.return_policy import Cause

D1 = [("dispute:D", "psp:available", 12100), ("expenses:dispute-fee", "psp:available", 2000)]
D2 = [("expenses:dispute-fee", "psp:available", 2000)]
D3 = [
    ("seller:A:payable", "dispute:D", 4394),
    ("seller:B:payable", "dispute:D", 3599),
    ("seller:C:payable", "dispute:D", 2727),
    ("revenue:platform-fee-refunded", "dispute:D", 1210),
    ("tax:output-vat:NL", "dispute:D", 170),
]
D5 = [
    ("seller-receivable:A", "seller:A:payable", 15),
    ("seller-receivable:B", "seller:B:payable", 3599),
    ("seller-receivable:C", "seller:C:payable", 2727),
]


def named(entries: list[tuple[str, list[tuple[str, str, int]]]], row: Row[Any]) -> list[Any]:
    """The same with the dispute's own account by the name of the story."""
    id = public_id("dispute", row.id)
    return [
        (kind, [(debit.replace(id, "D"), credit.replace(id, "D"), amount) for debit, credit, amount in postings])
        for kind, postings in entries
    ]


async def test_contested_and_lost(market: Market) -> None:
    payment = await paid_sale(market)

    row = await disputed(market, payment)
    assert (row.status, row.amount, row.withdrawn, row.fees) == ("NEEDS_RESPONSE", 12100, 12100, 2000)
    assert named(await market.journal(row.id), row) == [("dispute-opened", D1)]

    await contest(market, row)
    row = await now(market, row)
    assert (row.status, row.answer, row.submissions, row.fees) == ("UNDER_REVIEW", "CONTESTED", 1, 4000)
    assert named(await market.journal(row.id), row) == [("dispute-opened", D1), ("dispute-countered", D2)]

    await decide(market, row, "lost")
    row = await now(market, row)
    assert (row.status, row.settle_since) == ("LOST", None)
    entries = dict(named(await market.journal(row.id), row))
    assert list(entries) == ["dispute-opened", "dispute-countered", "debt", "dispute-lost"]
    assert entries["debt"] == D5
    assert sorted(entries["dispute-lost"]) == sorted(D3)
    books = await market.books()
    assert books["custody:A:available", "EUR"] == 0
    assert [books[f"seller-receivable:{name}", "EUR"] for name in "ABC"] == [15, 3599, 2727]
    assert [books[f"seller:{name}:payable", "EUR"] for name in "ABC"] == [0, 0, 0]
    assert books["expenses:dispute-fee", "EUR"] == 4000
    assert books["psp:available", "EUR"] == FLOAT + 11893 - 10685 - 12100 - 4000 + 4379
    await market.prove()


async def test_the_whole_worked_journal_from_the_refund_on(market: Market) -> None:
    """20.00 of A's line are refunded first, then the other 101.00 are disputed and lost: every entry as the worked
    journal has it, and the balances at its end but for the debt that two people write off."""
    payment = await paid_sale(market)
    await refunded(market, payment, 2000)
    row = await disputed(market, payment, 10100)
    with pytest.raises(NotRefundable):
        await refunded(market, payment, 100)
    await publish(market, countered_fees={"EUR": 2000})
    result = await shown(market, row, doubtful=("C",))
    assert (result.so_far, result.lost) == (1240 - 200 - 207 - 2000, -6904)
    await contest(market, row)
    await decide(market, row, "lost")

    row = await now(market, row)
    told = [
        entry for entry in named(await market.journal(), row) if entry[0] in {step.kind for step in (*REFUND, *DISPUTE)}
    ]
    due = [(step.kind, of_story(step.postings)) for step in (*REFUND, *DISPUTE[:-1])]
    assert [(kind, sorted(legs)) for kind, legs in told if kind != "transfer-reversal"] == [
        (kind, sorted(legs)) for kind, legs in due if kind != "transfer-reversal"
    ]
    assert [legs for kind, legs in told if kind == "transfer-reversal"] == [
        legs for kind, legs in due if kind == "transfer-reversal"
    ]
    books = {code: amount for (code, _), amount in (await market.books()).items()}
    assert (books["seller-receivable:A"], books["seller-receivable:B"], books["seller-receivable:C"]) == (
        15,
        3599,
        2727,
    )
    assert (books["psp:available"], books["expenses:dispute-fee"], books["tax:output-vat:NL"]) == (9487, 4000, 5)
    assert (books["revenue:platform-fee"], books["revenue:platform-fee-refunded"]) == (1240, 1210)
    await market.prove()


def of_story(postings: tuple[tuple[str, str, int], ...]) -> list[tuple[str, str, int]]:
    return [(debit.replace("dp_1", "D"), credit.replace("dp_1", "D"), amount) for debit, credit, amount in postings]


async def refunded(market: Market, payment: UUID, amount: int) -> None:
    """An amount of A's line goes back, through his own fault."""
    services = market.machine.services
    async with services.db.read(market.platform) as scope:
        [line, *_] = (await queries.lines_of(scope, market.operator, [payment]))[payment]
    draft = RefundDraft(
        payment_id=public_id("payment", payment),
        kind=RefundKind.LINES,
        cause=Cause.SELLER_FAULT,
        reason="It came broken.",
        lines=(LineDraft(public_id("payment line", line.id), amount=amount),),
    )
    plan = await refund.preview(services, market.operator, draft)
    key = market.machine.key()
    await refund.create(services, market.operator, idempotency_key=key, token=plan.token, draft=draft)
    await market.machine.quiet()
