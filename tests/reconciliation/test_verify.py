"""One cent off anywhere is found, and the account is named."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
import pytest
from tests.market.fixtures import WORKED_LINES, worked_sellers
from tests.market.market import Market

from marketbill.demo.sandbox import SandboxControl
from marketbill.ids import public_id
from marketbill.ledger import chart
from marketbill.ledger.entries import entry_page
from marketbill.ledger.entry import Posting
from marketbill.ledger.operations import correction
from marketbill.ledger.operations.replacement import Replacement
from marketbill.ledger.original import load
from marketbill.reconciliation.check import Check, Verdict
from marketbill.reconciliation.verify import is_proven, verify

Tamper = Callable[[str], Awaitable[None]]


@pytest.fixture
async def tamper(admin_url: str) -> Tamper:
    """Changes rows behind the back of the books, as their owner."""

    async def change(statement: str) -> None:
        connection = await asyncpg.connect(admin_url)
        try:
            async with connection.transaction():
                await connection.execute("set local session_replication_role = replica")
                done = await connection.execute(statement)
            assert not done.endswith(" 0"), done
        finally:
            await connection.close()

    return change


@pytest.fixture
async def sold(market: Market) -> Market:
    """The worked sale, settled, released and transferred; B was paid out."""
    await worked_sellers(market)
    await market.sale(*(market.line(name, price) for name, price in WORKED_LINES))
    await market.machine.advance(days=8)
    await market.payout("B")
    await market.machine.quiet()
    await market.machine.advance(days=5)
    return market


async def checks_of(market: Market) -> list[Check]:
    async with SandboxControl(market.machine.sandbox_url) as sandbox:
        return await verify(market.machine.services, market.platform, reader=sandbox.holdings)


def broken(checks: Sequence[Check]) -> list[Check]:
    return [check for check in checks if check.verdict is Verdict.BROKEN]


async def test_books_that_hold_are_proven(sold: Market) -> None:
    checks = await checks_of(sold)
    assert broken(checks) == []
    assert is_proven(checks)
    found = {(check.name, check.subject): check.found for check in checks}
    assert found["trial balance", "debits = credits EUR"] == "85.11"
    assert found["payments booked", "1 x split EUR"] == "14.15"
    assert found["transfers booked", "3 x transfer EUR"] == "106.85"
    assert found["payouts booked", "1 x payout-paid EUR"] == "35.89"
    assert found["fee report", "revenue:platform-fee EUR"] == "12.40"
    assert found["tax report = tax accounts", "tax:output-vat:NL EUR"] == "1.75"
    assert found["provider balance", "psp:available EUR"] == "12.08"
    assert not [check for check in checks if check.verdict is Verdict.WARNING]


async def corrected(market: Market, kind: str, /, **anew: Any) -> str:
    """The one entry of this kind reversed and booked anew, `anew` apart from how it was; the object it is about."""
    async with market.machine.services.db.write(market.platform) as scope:
        [found] = await entry_page(scope, kind=kind)
        wrong = await load(scope, found.id)
        right = Replacement(**{"postings": wrong.postings, "description": "As it was"} | anew)
        await correction.request(scope, wrong.id, by="key_anna", reason="a story", replacement=right)
        return public_id(wrong.source.type, wrong.source.id)


async def test_a_correction_that_changes_nothing_leaves_the_books_proven(sold: Market) -> None:
    for kind in ("psp-fee", "split"):
        await corrected(sold, kind)
    checks = await checks_of(sold)
    assert is_proven(checks)
    assert not [check for check in checks if check.verdict is Verdict.WARNING]


async def test_a_correction_apart_from_what_happened_is_told_but_breaks_nothing(sold: Market) -> None:
    elsewhere = Posting(chart.account(chart.GOODWILL, "EUR"), chart.psp_pending("EUR"), 207)
    payment = await corrected(sold, "psp-fee", postings=(elsewhere,), kind="manual")
    checks = await checks_of(sold)
    assert broken(checks) == []
    assert [(check.name, check.subject, check.found) for check in checks if check.verdict is Verdict.WARNING] == [
        ("payment corrected", f"{payment} psp-fee EUR", "0.00 booked, 2.07 happened")
    ]


async def test_a_correction_of_what_the_provider_holds_is_told_by_the_provider(sold: Market) -> None:
    await corrected(sold, "psp-fee", postings=(Posting(chart.psp_fee("EUR"), chart.psp_pending("EUR"), 200),))
    assert [check.subject for check in broken(await checks_of(sold))] == ["psp:pending EUR"]


async def test_without_many_balances_at_once_the_provider_is_asked_account_by_account(sold: Market) -> None:
    checks = await verify(sold.machine.services, sold.platform)
    assert broken(checks) == []
    assert "provider balance" in {check.name for check in checks}


async def test_an_empty_platform_is_proven(market: Market) -> None:
    assert is_proven(await checks_of(market))


@pytest.mark.parametrize(
    ("statement", "subject"),
    [
        (
            "update ledger_account set debits = debits + 1 where code = 'psp:available'",
            "psp:available EUR",
        ),
        (
            "update ledger_account set credits = credits + 1 where code = 'revenue:platform-fee'",
            "revenue:platform-fee EUR",
        ),
        ("update posting set amount = amount + 1 where amount = 207", "expenses:psp-fee EUR"),
        (
            "update ledger_account set credits = credits - 1 where code like 'custody:%:available' and credits > 0",
            "custody:{B}:available EUR",
        ),
        (
            "update ledger_account set credits = credits + 1 where code = 'seller:{A}:payable'",
            "seller:{A}:payable EUR",
        ),
    ],
)
async def test_a_cent_in_the_ledger(sold: Market, tamper: Tamper, statement: str, subject: str) -> None:
    ids = {name: sold.seller_id(name) for name in sold.sellers}
    await tamper(statement.format(**ids))
    wrong = broken(await checks_of(sold))
    assert any(check.subject.startswith(subject.format(**ids)) for check in wrong), wrong


async def test_a_cent_in_a_payment(sold: Market, tamper: Tamper) -> None:
    await tamper("update payment set fee = fee + 1, seller_net = seller_net - 1")
    wrong = broken(await checks_of(sold))
    [id] = [row.payment_id for row in (await sold.transfers())[:1]]
    assert f"{public_id('payment', id)} split EUR" in {check.subject for check in wrong}
    assert "revenue:platform-fee EUR" in {check.subject for check in wrong}


@pytest.mark.parametrize(
    "statement",
    [
        "update tax_line set tax = tax + 1 where kind = 'FEE' and tax = 108",
        "delete from tax_line where kind = 'FEE' and tax = 67",
    ],
)
async def test_a_cent_in_a_tax_line(sold: Market, tamper: Tamper, statement: str) -> None:
    await tamper(statement)
    wrong = broken(await checks_of(sold))
    assert [check.name for check in wrong] == ["tax report = tax accounts", "tax lines of payment"]
    assert wrong[0].subject == "tax:output-vat:NL EUR"


async def test_a_cent_between_two_tax_lines(sold: Market, tamper: Tamper) -> None:
    """The sums agree; the payment's own lines do not."""
    await tamper("update tax_line set tax = tax - 1 where kind = 'SALE' and tax = 868")
    assert [check.name for check in broken(await checks_of(sold))] == ["tax lines of payment"]


async def test_a_cent_in_a_transfer_or_a_payout(sold: Market, tamper: Tamper) -> None:
    await tamper("update transfer set amount = amount + 1 where amount = 4379")
    await tamper("update payout set amount = amount - 1")
    names = {check.name for check in broken(await checks_of(sold))}
    assert {"transfer booked", "payout booked", "transfers booked", "payouts booked"} <= names


async def test_a_cent_at_the_provider(sold: Market) -> None:
    seller = await sold.seller_row("A")
    for account in (sold.provider_account, seller.provider_account):
        await sold.machine.control(f"accounts/{account}/fund", {"currency": "eur", "amount": -1})
    wrong = {check.subject: (check.expected, check.found) for check in broken(await checks_of(sold))}
    assert wrong == {
        "psp:available EUR": ("12.08", "12.07"),
        f"custody:{sold.seller_id('A')}:available EUR": ("43.79", "43.78"),
    }


async def test_what_waits_is_a_warning(sold: Market, tamper: Tamper) -> None:
    await tamper("update inbox_event set handled_at = null, attempts = 3 where id = (select min(id) from inbox_event)")
    await tamper("update provider_intent set status = 'GAVE_UP' where kind = 'create_transfer'")
    checks = await checks_of(sold)
    warnings = {check.subject: check.found for check in checks if check.verdict is Verdict.WARNING}
    assert warnings == {
        "events of the provider that were parked": "1",
        "requests to the provider that were given up": "3",
    }


async def test_funds_that_are_due_but_not_booked_yet_are_counted_in(market: Market) -> None:
    await market.seller("A")
    await market.sale(market.line("A", 5000))
    # Time passes at the provider and here, and no worker has looked yet.
    await market.machine.control("clock", {"advance_seconds": 8 * 86_400})
    await market.machine.shift(8 * 86_400)
    assert broken(await checks_of(market)) == []
