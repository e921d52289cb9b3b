"""The worked dispute, posting for posting, by hand: 121.00 EUR of three sellers, of whom two were paid out.

The provider takes 20.00 for a dispute and 20.00 for answering it. Lost, the sellers give back what they got and the
percentage of 12.10 goes back to them with its tax of 1.70; the fixed 0.30 is kept. A's 43.94 are 43.79 at the provider
and 0.15 that he owes then; B's 35.99 and C's 27.27 are debts.
"""

from typing import Any

from sqlalchemy import Row
from tests.disputes.court import FLOAT, contest, decide, disputed, now, paid_sale
from tests.market.market import Market

from marketbill.ids import public_id

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
