"""What a story needs around a dispute: the buyer's bank, the platform's answers, and the dispute as it stands."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, select
from tests.market.fixtures import WORKED_LINES, worked_sellers
from tests.market.market import Market

from marketbill.disputes import answer, evidence, policy, preview
from marketbill.disputes.evidence import Piece
from marketbill.disputes.model import Answer, dispute
from marketbill.disputes.policy import DisputePolicy
from marketbill.disputes.preview import Results
from marketbill.ids import PaymentId, public_id

#: What the provider of the worked journal charges: for a dispute received, and for one that is answered.
FEES = {"currency": "eur", "received": 2_000, "countered": 2_000, "returned": "countered"}
FLOAT = 20_000


async def paid_sale(market: Market) -> PaymentId:
    """The worked sale, transferred to all three; B and C are paid out to their banks, A is not. The platform has a
    float of 200.00 of its own at the provider."""
    await market.machine.control("dispute_fees", FEES)
    await market.stripe("topups", form={"amount": FLOAT, "currency": "eur", "description": "float"})
    await worked_sellers(market)
    payment = await market.sale(*(market.line(name, price) for name, price in WORKED_LINES), reference="order-1")
    await market.machine.advance(days=9)
    for name in ("B", "C"):
        await market.payout(name)
    await market.machine.advance(days=4)
    return payment


async def charge_of(market: Market, payment: UUID) -> str:
    return (await market.payment(payment)).provider_charge


async def disputed(market: Market, payment: UUID, amount: int | None = None, **how: Any) -> Row[Any]:
    """The buyer disputes the payment, and we have heard of it."""
    await market.machine.control(
        f"charges/{await charge_of(market, payment)}/dispute", how | ({"amount": amount} if amount else {})
    )
    await market.machine.quiet()
    return (await disputes_of(market, payment))[-1]


async def disputes_of(market: Market, payment: UUID) -> list[Row[Any]]:
    async with market.machine.services.db.read(market.platform) as scope:
        rows = await scope.rows(
            select(dispute)
            .where(dispute.c.platform_id == market.platform, dispute.c.payment_id == payment)
            .order_by(dispute.c.id)
        )
    return list(rows)


async def now(market: Market, row: Row[Any]) -> Row[Any]:
    """The dispute as it stands."""
    return next(one for one in await disputes_of(market, row.payment_id) if one.id == row.id)


async def say(market: Market, row: Row[Any], text: str, **how: Any) -> None:
    """Adds a text to the evidence."""
    await evidence.add(
        market.machine.services,
        how.get("actor", market.operator),
        idempotency_key=market.machine.key(),
        dispute_id=public_id("dispute", row.id),
        pieces=[Piece("uncategorized_text", text)],
    )


async def shown(market: Market, row: Row[Any], *, doubtful: tuple[str, ...] = ()) -> Results:
    async with market.machine.services.db.read(market.platform) as scope:
        return await preview.of(scope, await now(market, row), doubtful=[market.sellers[name] for name in doubtful])


async def token(market: Market, row: Row[Any], of: Answer) -> str:
    services = market.machine.services
    async with services.db.read(market.platform) as scope:
        row = await now(market, row)
        return preview.token(services.vault, scope, row, await preview.of(scope, row), of)


async def contest(market: Market, row: Row[Any], text: str = "It was delivered.", **how: Any) -> Row[Any]:
    """Says something, and submits it."""
    await say(market, row, text)
    sealed = how.get("token") or await token(market, row, Answer.CONTESTING)
    made = await answer.contest(
        market.machine.services,
        market.operator,
        idempotency_key=how.get("key") or market.machine.key(),
        dispute_id=public_id("dispute", row.id),
        token=sealed,
    )
    await market.machine.quiet()
    return made


async def accept(market: Market, row: Row[Any]) -> Row[Any]:
    made = await answer.accept(
        market.machine.services,
        market.operator,
        idempotency_key=market.machine.key(),
        dispute_id=public_id("dispute", row.id),
        token=await token(market, row, Answer.ACCEPTING),
    )
    await market.machine.quiet()
    return made


async def decide(market: Market, row: Row[Any], outcome: str, **how: Any) -> None:
    """The issuer decides, and all that follows has happened."""
    await market.machine.control(f"disputes/{row.provider_dispute}/decide", {"outcome": outcome, **how})
    await market.machine.quiet()
    await market.machine.sweep()


async def publish(market: Market, **terms: Any) -> None:
    """Has another policy hold from now on; what is not named is as by default."""
    await policy.publish(
        market.machine.services,
        market.operator,
        idempotency_key=market.machine.key(),
        policy=DisputePolicy(**terms),
        note="as the story needs it",
    )
