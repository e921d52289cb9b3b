"""No query per row: an operation takes as many SQL statements for fifty rows as for one."""

from __future__ import annotations

import pytest

from marketbill import services

from .market import Market
from .test_payments import basket

DEEP = """query($first: Int!) { payments(first: $first) { nodes {
  id gross { decimal } buyer { name paymentMethods { last4 } }
  lines { description seller { name balances { total { minor } } } explanation { formula } }
  shares { seller { name } } transfers { id seller { name } payment { id } }
  journalEntries { kind postings { debit { code seller { name } } credit { code } } }
} } }"""
BOOKS = """query($first: Int!) { ledgerAccounts(first: $first) { nodes {
  code seller { name } balanceAt { minor }
  movements(first: 5) { nodes {
    balanceAfter { minor } entry { kind postings { debit { code } } } counterAccount { code }
  } }
} } }"""


@pytest.fixture
async def busy(market: Market, monkeypatch: pytest.MonkeyPatch) -> Market:
    """A market with sales of several sellers to a buyer, booked and transferred. Its keys stay remembered."""
    monkeypatch.setattr(services, "KEY_FRESH_SECONDS", 3600.0)
    await market.connect_provider()
    anna, bert = await market.onboarded("Anna"), await market.onboarded("Bert")
    buyer = (await market.operator.do("buyerCreate", "buyer { id }", name="Bo"))["buyer"]["id"]
    attached = await market.operator.do(
        "paymentMethodAttach", "paymentMethod { id }", buyerId=buyer, token="pm_card_bypassPending"
    )
    for _ in range(6):
        payment = await market.operator.do(
            "paymentCreate",
            "payment { id }",
            **basket(anna, bert),
            buyerId=buyer,
            paymentMethodId=attached["paymentMethod"]["id"],
        )
        await market.operator.do("paymentDeliver", "payment { id }", id=payment["payment"]["id"])

    async def transferred() -> bool:
        found = await market.operator.ask("{ transfers(filter: {status: [SENT]}) { nodes { id } } }")
        return len(found["transfers"]["nodes"]) == 12

    await market.until(transferred)
    return market


async def statements(busy: Market, query: str, *, first: int) -> list[str]:
    """The statements of one operation: of three runs the fewest, for a webhook may arrive while one of them runs."""
    runs: list[list[str]] = []
    for _ in range(3):
        with busy.counting() as seen:
            answer = await busy.operator.ask(query, first=first)
        assert len(next(iter(answer.values()))["nodes"]) == first
        runs.append(list(seen))
    return min(runs, key=len)


@pytest.mark.parametrize(("query", "most"), [(DEEP, 17), (BOOKS, 13)], ids=["payments", "books"])
async def test_an_operation_takes_a_fixed_number_of_statements(
    busy: Market, query: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow the machine: verifying the key again would cost statements of its own.
    monkeypatch.setattr(services, "KEY_FRESH_SECONDS", 3600.0)
    await busy.operator.ask(query, first=1)  # the credential is remembered from here on
    counts = {first: len(await statements(busy, query, first=first)) for first in (1, 3, 6)}

    assert counts[3] == counts[6], counts
    assert counts[1] <= counts[6] <= most, counts


async def test_a_query_takes_one_transaction(busy: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "KEY_FRESH_SECONDS", 3600.0)
    await busy.operator.ask(DEEP, first=2)
    seen = await statements(busy, DEEP, first=2)

    # Every transaction begins by reading its time.
    assert sum("test_clock" in statement for statement in seen) == 1
