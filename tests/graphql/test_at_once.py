"""The same mutation fifty times at once under one key: one effect, and one answer for everybody who gets one.

A mutation of one transaction makes the others wait for the first and gives all of them its answer. One that asks the
provider in between answers the others at once that the first is still under way, and asked again, with its answer.
"""

import asyncio
import itertools
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import text

from .market import Market

CALLERS = 50
IN_PROGRESS = "IDEMPOTENCY_IN_PROGRESS"


async def at_once(market: Market, name: str, fields: str, /, **input: Any) -> tuple[dict[str, Any], Counter[str]]:
    """The one answer that there is, and how many callers got it ("answered") or were told what else."""
    payloads = await asyncio.gather(
        *(market.operator.send(name, fields, idempotencyKey="once", **input) for _ in range(CALLERS))
    )
    answers = [payload for payload in payloads if not payload["errors"]]
    told = Counter(payload["errors"][0]["code"] for payload in payloads if payload["errors"])
    assert answers, told
    assert all(payload["errors"][0]["retryable"] for payload in payloads if payload["errors"])
    assert all(payload == answers[0] for payload in answers)
    assert await market.operator.send(name, fields, idempotencyKey="once", **input) == answers[0]
    return answers[0], told + Counter(answered=len(answers))


async def rows(market: Market, table: str) -> int:
    async with market.services.db.read(market.tenant) as scope:
        return await scope.scalar(text(f"select count(*) from {table} where platform_id = :p"), {"p": market.tenant})


def in_provider(market: Market, kind: str) -> int:
    return market.sandbox.call("state")["objects"].get(kind, 0)


@pytest.fixture
async def shop(market: Market) -> Market:
    await market.connect_provider()
    return market


async def test_one_buyer(shop: Market) -> None:
    _, told = await at_once(shop, "buyerCreate", "buyer { id }", name="Anna", email="anna@buyers.example")
    assert told == {"answered": CALLERS}
    assert await rows(shop, "buyer") == 1


async def test_one_seller_with_one_account(shop: Market) -> None:
    before = in_provider(shop, "account")
    draft = {"name": "A", "email": "a@sellers.example", "country": "NL"}
    _, told = await at_once(shop, "sellerCreate", "seller { id name }", **draft)
    assert set(told) <= {"answered", IN_PROGRESS}
    assert await rows(shop, "seller") == 1
    assert in_provider(shop, "account") == before + 1


async def test_one_payment_with_one_charge(shop: Market) -> None:
    seller = await shop.seller("A")
    before = in_provider(shop, "charge"), in_provider(shop, "payment_intent")
    _, told = await at_once(
        shop,
        "paymentCreate",
        "payment { id status }",
        currency="EUR",
        lines=[{"sellerId": seller, "description": "x", "unitPrice": EUR_50, "taxRate": "21"}],
        paymentMethodToken="pm_card_visa",
    )
    assert set(told) <= {"answered", IN_PROGRESS}
    assert await rows(shop, "payment") == 1
    assert (in_provider(shop, "charge"), in_provider(shop, "payment_intent")) == (before[0] + 1, before[1] + 1)


EUR_50 = {"minor": "5000", "currency": "EUR"}


async def test_one_payout(shop: Market) -> None:
    seller = await shop.onboarded("A")
    await funded(shop, seller)
    before = in_provider(shop, "payout")
    _, told = await at_once(
        shop, "payoutCreate", "payout { id amount { minor } }", sellerId=seller, currency="EUR", amount="1000"
    )
    assert told == {"answered": CALLERS}
    await shop.work()
    assert await rows(shop, "payout") == 1
    assert in_provider(shop, "payout") == before + 1


async def test_different_keys_cannot_pay_out_more_than_there_is(shop: Market) -> None:
    seller = await shop.onboarded("A")
    held = await funded(shop, seller)
    amount = held // 3
    numbers = itertools.count()
    payloads = await asyncio.gather(
        *(
            shop.operator.send(
                "payoutCreate",
                "payout { id }",
                idempotencyKey=f"key-{next(numbers)}",
                sellerId=seller,
                currency="EUR",
                amount=str(amount),
            )
            for _ in range(10)
        )
    )
    told = Counter(payload["errors"][0]["code"] if payload["errors"] else "paid out" for payload in payloads)
    assert told == {"paid out": 3, "INSUFFICIENT_FUNDS": 7}


async def funded(shop: Market, seller: str) -> int:
    """Sells for 50.00 EUR and lets the seller's share reach his account; gives what he has."""
    paid = await shop.operator.do(
        "paymentCreate",
        "payment { id }",
        currency="EUR",
        lines=[{"sellerId": seller, "description": "x", "unitPrice": EUR_50, "taxRate": "21"}],
        paymentMethodToken="pm_card_bypassPending",
    )
    await shop.operator.do("paymentDeliver", "payment { id }", id=paid["payment"]["id"])
    sent = text("select coalesce(sum(amount), 0)::bigint from transfer where platform_id = :p and status = 'SENT'")

    async def there() -> bool:
        async with shop.services.db.read(shop.tenant) as scope:
            return await scope.scalar(sent, {"p": shop.tenant}) > 0

    await shop.until(there)
    async with shop.services.db.read(shop.tenant) as scope:
        return await scope.scalar(sent, {"p": shop.tenant})
