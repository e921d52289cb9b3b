"""What sellers pay of their debts by themselves: a top-up to the platform's bank, or a debit of their bank account."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, insert, select

from marketbill.actor import Actor
from marketbill.db import Scope, WriteScope
from marketbill.errors import InvalidInput, StateConflict
from marketbill.idempotency import keys as idempotency
from marketbill.ids import SellerId, new_id, parse_id, public_id
from marketbill.ledger import chart, journal
from marketbill.ledger.journal import JournalEntry, Posting, Source
from marketbill.money import bounded, decimal_text, exponent
from marketbill.payouts import debts
from marketbill.platforms.keys import tenant
from marketbill.recovery.model import PaidBy, debt_payment
from marketbill.rules.debt_ladder import DEBIT_COUNTRIES
from marketbill.sellers import seller as sellers
from marketbill.services import Services
from marketbill.text import check_usable

REFERENCE_LENGTH_MAX = 100


@dataclass(frozen=True, slots=True)
class Received:
    """Money that came to the platform's bank for a seller's debts, in minor units. `reference` is the bank's."""

    seller_id: str
    currency: str
    amount: int
    method: PaidBy
    reference: str


async def record(services: Services, actor: Actor, *, idempotency_key: str, received: Received) -> Row[Any]:
    """Books it, and pays the seller's debts of its currency, the oldest first.

    Raises NotFound; InvalidInput for more than he owes, a debit where none is allowed, or a bad field; StateConflict
    for a reference that was recorded before.
    """
    platform = tenant(actor)
    _check(received)
    seller_id = SellerId(parse_id("seller", received.seller_id, path=("sellerId",)))
    body = {
        "seller_id": received.seller_id,
        "currency": received.currency,
        "amount": received.amount,
        "method": received.method.value,
        "reference": received.reference,
    }
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="debtPaymentRecord", key=idempotency_key, body=body
        )
        if claim.replay is not None:
            id = parse_id("topup", claim.replay["id"])
            mine = (debt_payment.c.platform_id == platform) & (debt_payment.c.id == id)
            return await scope.one(select(debt_payment).where(mine))
        owner = await sellers.load(scope, seller_id, path=("sellerId",), lock=True)
        if received.method is PaidBy.DEBIT and owner.country not in DEBIT_COUNTRIES:
            raise InvalidInput(
                f"Bank accounts in {owner.country} are not debited for debts.",
                path=("method",),
                constraint="a country that allows debits",
            )
        await _check_new(scope, received)
        held = await debts.lock_open(scope, [seller_id])
        paid = held.pay(seller_id, received.currency, received.amount)
        if paid < received.amount:
            owed = decimal_text(paid, received.currency)
            raise InvalidInput(
                f"The seller owes {owed} {received.currency}: no more can be paid.",
                path=("amount",),
                constraint=f"<= {owed}",
            )
        await held.record(scope)
        row = await _insert(scope, actor, seller_id, received)
        await idempotency.finish(scope, claim, {"id": public_id("topup", row.id)})
        await journal.post_all(scope, [_entry(scope, row)])
        return row


def _check(received: Received) -> None:
    exponent(received.currency, path=("amount", "currency"))
    if bounded(received.amount, path=("amount",)) <= 0:
        raise InvalidInput("The amount must be more than zero.", path=("amount",), constraint="> 0")
    check_usable(received.reference, path=("reference",))
    if not 1 <= len(received.reference.strip()) <= REFERENCE_LENGTH_MAX:
        raise InvalidInput(
            f"The bank's reference has 1 to {REFERENCE_LENGTH_MAX} characters.",
            path=("reference",),
            constraint=f"1..{REFERENCE_LENGTH_MAX} characters",
        )


async def _check_new(scope: Scope, received: Received) -> None:
    known = await scope.first(
        select(debt_payment.c.id).where(
            debt_payment.c.platform_id == scope.platform,
            debt_payment.c.method == received.method.value,
            debt_payment.c.reference == received.reference,
        )
    )
    if known is not None:
        raise StateConflict(
            f"This reference was recorded before, as {public_id('topup', known.id)}.",
            current_state="RECORDED",
            path=("reference",),
        )


async def _insert(scope: WriteScope, actor: Actor, seller_id: SellerId, received: Received) -> Row[Any]:
    return await scope.one(
        insert(debt_payment)
        .values(
            platform_id=scope.platform,
            id=new_id(),
            seller_id=seller_id,
            currency=received.currency,
            amount=received.amount,
            method=received.method.value,
            reference=received.reference,
            recorded_by=actor.id,
            created_at=scope.now,
        )
        .returning(debt_payment)
    )


def _entry(scope: WriteScope, row: Row[Any]) -> JournalEntry:
    seller_id = SellerId(row.seller_id)
    id = public_id("topup", row.id)
    return JournalEntry(
        key=f"top-up:{id}",
        kind="top-up",
        source=Source("topup", row.id),
        postings=(Posting(chart.bank(row.currency), chart.seller_receivable(seller_id, row.currency), row.amount),),
        effective_at=scope.now,
        description=f"Debt paid by {public_id('seller', seller_id)}",
        reason={"method": row.method, "reference": row.reference, "seller": public_id("seller", seller_id)},
    )
