"""Faults put into a market at the provider, in the rows and in the books: each is found by its name, and heals."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from tests.market.market import Market
from tests.reconciliation.conftest import Tamper

from marketbill.ids import new_id, public_id
from marketbill.ledger import chart, journal
from marketbill.ledger.journal import JournalEntry, Posting, Source
from marketbill.payouts.treasury import keep_up_treasury
from marketbill.reconciliation.model import drift
from marketbill.reconciliation.reconcile import reconcile

Found = tuple[str, str, str, str]


async def cycle(market: Market) -> dict[Found, tuple[int, int]]:
    """What is open after a cycle: kind, side, thing and what it is about, with what the provider and we say."""
    await reconcile(market.machine.services, market.platform)
    async with market.machine.services.db.read(market.platform) as scope:
        rows = await scope.rows(select(drift).where(drift.c.closed_at.is_(None)))
    found = {(row.kind, row.side, row.thing, row.about): (row.expected, row.found) for row in rows}
    assert len(found) == len(rows), rows
    return found


async def later(market: Market, seconds: int) -> None:
    """Both clocks go on, and nobody works."""
    await market.machine.control("clock", {"advance_seconds": seconds})
    await market.machine.shift(seconds)


async def float_of_nobody(market: Market) -> None:
    """An entry for a top-up that was never made."""
    async with market.machine.services.db.write(market.platform) as scope:
        entry = JournalEntry(
            key="float:txn_nobody",
            kind="float",
            source=Source("balance transaction", new_id()),
            postings=(Posting(chart.psp_available("EUR"), chart.bank("EUR"), 4_321),),
            effective_at=scope.now,
            description="Top-up",
            reason={"balance_transaction": "txn_nobody", "type": "topup", "provider_object": "tu_nobody"},
        )
        await journal.post_all(scope, [entry])


async def test_every_fault_has_a_name(market: Market, tamper: Tamper) -> None:
    await market.seller("A")
    await market.seller("B")
    sales = [await market.sale(market.line(name, price)) for name, price in (("A", 5_000), ("A", 6_000), ("A", 7_000))]
    sales += [await market.sale(market.line("B", price)) for price in (8_000, 9_000)]
    await market.stripe("topups", form={"amount": 50_000, "currency": "eur", "source": "btok_us_verified"})
    await market.machine.advance(days=8)
    await keep_up_treasury(market.machine.services, market.platform)
    first, second = await market.payout("B", 2_000), await market.payout("B", 1_000)
    await market.machine.quiet()
    await market.machine.advance(days=6)
    assert await cycle(market) == {}

    transfers = {row.payment_id: row for row in await market.transfers()}
    rows = [await market.payment(id) for id in sales]
    account = (await market.seller_row("A")).provider_account
    # At the provider, past us.
    await market.stripe(
        "payment_intents",
        form={
            "amount": 1_234,
            "currency": "eur",
            "confirm": "true",
            "payment_method": "pm_card_visa",
            "automatic_payment_methods[enabled]": "true",
            "automatic_payment_methods[allow_redirects]": "never",
        },
    )
    again = transfers[sales[0]]
    await market.stripe(
        "transfers",
        form={
            "amount": again.amount,
            "currency": "eur",
            "destination": account,
            "metadata[marketbill_transfer]": public_id("transfer", again.id),
        },
    )
    await market.stripe(f"transfers/{transfers[sales[1]].provider_transfer}/reversals", form={"amount": 1_758})
    await market.stripe("refunds", form={"charge": rows[2].provider_charge, "amount": 500})
    await market.stripe("payouts", account=account, form={"amount": 777, "currency": "eur"})
    # At the provider, and its word does not reach us.
    await market.machine.quiet()
    market.machine.endpoint.holding = True
    await market.pay(market.draft(market.line("A", 2_222)))
    paid_out = await market.payout_row(first.id)
    assert paid_out.status == "PAID"
    await market.machine.control(f"payouts/{paid_out.provider_payout}/fail", {})
    await market.machine.delivered()
    # In our rows, and in the books.
    await tamper(f"update payment set provider_fee = provider_fee + 3 where id = '{sales[0]}'")
    await tamper(f"update payout set amount = 1001 where id = '{second.id}'")
    await tamper(f"update transfer set provider_transfer = 'tr_other' where payment_id = '{sales[2]}'")
    await tamper(_entries("update posting p set amount = amount + 7", sales[1], "psp-fee"))
    await tamper(_entries("update posting p set amount = amount * 2", transfers[sales[3]].id, "transfer"))
    await tamper(_entries("delete from posting p", transfers[sales[4]].id, "transfer", using=True))
    await tamper(f"delete from journal_entry where source_id = '{transfers[sales[4]].id}'")
    await float_of_nobody(market)

    await later(market, 1_200)
    fees = [row.provider_fee for row in rows]
    net = [transfers[id].amount for id in sales]
    found = await cycle(market)
    assert found == {
        ("MISSING", "BOOKS", "CHARGE", "books"): (1_234 - 25 - 19, 0),
        ("DUPLICATE", "PROVIDER", "TRANSFER", "id"): (-net[0], 0),
        ("MISSING", "BOOKS", "REVERSAL", "books"): (1_758, 0),
        ("MISSING", "BOOKS", "REFUND", "books"): (-500, 0),
        ("MISSING", "BOOKS", "PAYOUT", "books"): (-777, 0),
        ("LATE", "BOOKS", "CHARGE", "books"): (2_222 - 25 - 33, 0),
        ("LATE", "BOOKS", "PAYOUT", "status"): (0, -2_000),
        ("ALTERED", "BOOKS", "CHARGE", "fee"): (fees[0], fees[0] + 3),
        ("ALTERED", "BOOKS", "PAYOUT", "amount"): (1_000, 1_001),
        ("ALTERED", "BOOKS", "TRANSFER", "id"): (-net[2], -net[2]),
        ("ALTERED", "BOOKS", "CHARGE", "books"): (6_000 - fees[1], 6_000 - fees[1] - 7),
        ("DUPLICATE", "BOOKS", "TRANSFER", "books"): (-net[3], -2 * net[3]),
        ("MISSING", "BOOKS", "TRANSFER", "books"): (-net[4], 0),
        ("MISSING", "PROVIDER", "TOPUP", "books"): (0, 4_321),
    }

    # What heals closes by itself.
    market.machine.endpoint.holding = False
    await market.machine.endpoint.deliver(market.machine.endpoint.kept)
    await tamper(f"update payment set provider_fee = provider_fee - 3 where id = '{sales[0]}'")
    await tamper(_entries("update posting p set amount = amount - 7", sales[1], "psp-fee"))
    await market.machine.quiet()
    await later(market, 1_200)
    healed = {
        ("LATE", "BOOKS", "CHARGE", "books"),
        ("LATE", "BOOKS", "PAYOUT", "status"),
        ("ALTERED", "BOOKS", "CHARGE", "fee"),
        ("ALTERED", "BOOKS", "CHARGE", "books"),
    }
    assert await cycle(market) == {key: amounts for key, amounts in found.items() if key not in healed}


def _entries(change: str, source: Any, kind: str, *, using: bool = False) -> str:
    return (
        f"{change} {'using' if using else 'from'} journal_entry e"
        f" where e.source_id = '{source}' and e.kind = '{kind}' and p.platform_id = e.platform_id"
        " and p.number between e.first_posting and e.first_posting + e.posting_count - 1"
    )
