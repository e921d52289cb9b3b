"""Every cent explained: a whole market's payments are computed again, and one number changed anywhere is named."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from functools import partial

import asyncpg
import pytest
from tests.market.fixtures import WORKED_LINES, worked_sellers
from tests.market.market import Market

from marketbill.ids import PaymentId, public_id
from marketbill.ledger.entries import entries_by_sources
from marketbill.ledger.operations import correction
from marketbill.payments.order import OrderDiscount, OrderShipping
from marketbill.reconciliation.check import Check, Verdict
from marketbill.reconciliation.explained import prove_explained

Tamper = Callable[[str], Awaitable[None]]


@pytest.fixture
async def tamper(admin_url: str) -> AsyncIterator[Tamper]:
    """Changes rows behind the back of the books, as their owner."""
    connection = await asyncpg.connect(admin_url)

    async def change(statement: str) -> None:
        async with connection.transaction():
            await connection.execute("set local session_replication_role = replica")
            done = await connection.execute(statement)
        assert not done.endswith(" 0"), done

    yield change
    await connection.close()


async def sold(market: Market) -> PaymentId:
    """The worked sale and a sale with all that a basket may have, both released."""
    await worked_sellers(market)
    payment = await market.sale(*(market.line(name, price) for name, price in WORKED_LINES))
    await market.sale(
        market.line("A", 2_500),
        market.line("B", 999),
        market.line("A", 1_201),
        shipping=(OrderShipping(market.seller_id("A"), 495, "EUR"),),
        discounts=(OrderDiscount("spring", Decimal(10), None, None, platform_percent=Decimal(40)),),
    )
    await market.machine.advance(days=9)
    return payment


async def checks_of(market: Market) -> list[Check]:
    return await prove_explained(partial(market.machine.services.db.read, market.platform))


def told(check: Check) -> tuple[str, str, str]:
    return check.name, check.expected, check.found


async def test_every_stored_payment_is_computed_again(market: Market) -> None:
    await sold(market)
    (check,) = await checks_of(market)
    assert (check.verdict, check.subject) == (Verdict.HOLDS, "2 payments")
    assert check.expected == "86 steps, 20 postings, 2 sales split again"


async def test_a_platform_without_payments_has_nothing_to_explain(market: Market) -> None:
    (check,) = await checks_of(market)
    assert (check.verdict, check.subject) == (Verdict.HOLDS, "0 payments")


async def test_a_number_that_was_changed_in_a_trace_is_named(market: Market, tamper: Tamper) -> None:
    payment = await sold(market)
    await tamper(
        f"update payment set trace = jsonb_set(trace, '{{lines,0,explanation,1,rounded}}', '869') "
        f"where id = '{payment}'"
    )
    summary, first, *_ = await checks_of(market)
    assert summary.verdict is Verdict.BROKEN
    assert first.subject == public_id("payment", payment)
    assert told(first) == ("line 001, tax (rounded)", "868", "869")


async def test_a_posting_of_another_amount_than_the_lines_come_to_is_named(market: Market, tamper: Tamper) -> None:
    payment = await sold(market)
    await tamper(
        "update posting p set amount = 513 from journal_entry e "
        f"where e.source_id = '{payment}' and e.kind = 'split' and p.number = e.first_posting "
        "and p.platform_id = e.platform_id"
    )
    _, first = await checks_of(market)
    seller = market.seller_id("A")
    assert told(first) == (
        f"split: debit seller:{seller}:pending, credit revenue:platform-fee",
        "5.12 EUR",
        "5.13 EUR",
    )


async def test_a_schedule_that_was_edited_is_named(market: Market, tamper: Tamper) -> None:
    await sold(market)
    await tamper(
        "update fee_schedule set document = jsonb_set(document, '{rules,0,percent}', '\"11\"') "
        f"where platform_id = '{market.platform}' and version is not null"
    )
    from marketbill.platforms import fee_schedule

    fee_schedule._ready.clear()  # pyright: ignore[reportPrivateUsage] - another process would not have it either
    _, *named = await checks_of(market)
    fee_schedule._ready.clear()  # pyright: ignore[reportPrivateUsage]
    assert {check.name for check in named} == {"sale split again"}
    assert len(named) == 2


async def test_what_an_operator_corrected_differs_on_purpose(market: Market) -> None:
    payment = await sold(market)
    async with market.machine.services.db.write(market.platform) as scope:
        split = next(one for one in (await entries_by_sources(scope, [payment]))[payment] if one.kind == "psp-fee")
        await correction.request(scope, split.id, by=market.operator.id, reason="booked twice at the provider")
    (check,) = await checks_of(market)
    assert check.verdict is Verdict.HOLDS
