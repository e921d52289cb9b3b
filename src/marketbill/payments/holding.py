"""Holds by hand: an operator keeps a seller's money and lets it go, with a reason that the seller reads."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select

from marketbill.actor import Actor
from marketbill.db import Scope
from marketbill.errors import InvalidInput, NotFound, StateConflict
from marketbill.idempotency import keys as idempotency
from marketbill.ids import PaymentId, SellerId, parse_id, public_id
from marketbill.paging import Page, PageRequest, newest_first
from marketbill.payments import holds
from marketbill.payments.holds import HoldKind, HoldScope
from marketbill.payments.model import payment_share, seller_hold
from marketbill.payments.recording import load as load_payment
from marketbill.platforms.keys import tenant
from marketbill.sellers import seller as sellers
from marketbill.services import Services

#: What a person may place; the other kinds are placed by what they are about.
BY_HAND = (HoldKind.MANUAL, HoldKind.APPROVAL, HoldKind.RISK)


@dataclass(frozen=True, slots=True)
class HoldDraft:
    """Whose money is kept, of one payment or of all, at which step, why, and until when (without an end: until it is
    lifted)."""

    seller_id: str
    reason: str
    payment_id: str | None = None
    kind: HoldKind = HoldKind.MANUAL
    scope: HoldScope = HoldScope.RELEASE
    until: datetime | None = None

    def body(self) -> dict[str, Any]:
        return {
            "seller_id": self.seller_id,
            "reason": self.reason,
            "payment_id": self.payment_id,
            "kind": self.kind.value,
            "scope": self.scope.value,
            "until": self.until.isoformat() if self.until else None,
        }


async def place(services: Services, actor: Actor, *, idempotency_key: str, draft: HoldDraft) -> Row[Any]:
    """Keeps a seller's money. Raises InvalidInput, NotFound."""
    seller_id = SellerId(parse_id("seller", draft.seller_id, path=("sellerId",)))
    payment_id = parse_id("payment", draft.payment_id, path=("paymentId",)) if draft.payment_id else None
    _check(draft)
    async with services.db.write(tenant(actor)) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="sellerHoldPlace", key=idempotency_key, body=draft.body()
        )
        if claim.replay is not None:
            return await holds.load(scope, parse_id("seller hold", claim.replay["id"]))
        if payment_id is not None:
            await load_payment(scope, PaymentId(payment_id), path=("paymentId",), lock=True)
            await _check_share(scope, payment_id, seller_id)
        await sellers.load(scope, seller_id, path=("sellerId",))
        row = await holds.place(
            scope, seller_id, payment_id, draft.kind, draft.reason, draft.until, actor.id, on=draft.scope
        )
        await idempotency.finish(scope, claim, {"id": public_id("seller hold", row.id)})
        return row


async def lift(services: Services, actor: Actor, *, idempotency_key: str, id: str, reason: str) -> Row[Any]:
    """Ends a hold; what it kept is released by the worker soon after.

    Raises InvalidInput without a reason, NotFound, and StateConflict for one that has ended, or that a dispute placed:
    that ends with the dispute.
    """
    hold_id = parse_id("seller hold", id, path=("id",))
    async with services.db.write(tenant(actor)) as scope:
        claim = await idempotency.claim(
            scope,
            actor=actor.idempotency_scope,
            operation="sellerHoldLift",
            key=idempotency_key,
            body={"id": id, "reason": reason},
        )
        row = await holds.load(scope, hold_id, path=("id",))
        if claim.replay is not None:
            return row
        if row.kind == HoldKind.DISPUTE:
            raise StateConflict("This hold ends with its dispute.", current_state="DISPUTE", path=("id",))
        if row.lifted_at is not None:
            raise StateConflict("This hold has ended.", current_state="LIFTED", path=("id",))
        await holds.lift(scope, hold_id, actor.id, reason)
        await idempotency.finish(scope, claim, {"id": id})
        return await holds.load(scope, hold_id)


async def page(
    scope: Scope, actor: Actor, request: PageRequest, *, seller: UUID | None = None, open: bool | None = None
) -> Page:
    """Holds, newest first; a seller sees his own."""
    statement = select(seller_hold).where(seller_hold.c.platform_id == scope.platform)
    if actor.seller is not None:
        statement = statement.where(seller_hold.c.seller_id == actor.seller)
    if seller is not None:
        statement = statement.where(seller_hold.c.seller_id == seller)
    if open is not None:
        ended = seller_hold.c.lifted_at
        statement = statement.where(ended.is_(None) if open else ended.is_not(None))
    return await newest_first(scope, statement, seller_hold.c.id, request)


async def by_id(scope: Scope, actor: Actor, id: str) -> Row[Any]:
    """One hold; a seller is told of his own alone. Raises NotFound."""
    row = await holds.load(scope, parse_id("seller hold", id, path=("id",)), path=("id",))
    if actor.seller is not None and row.seller_id != actor.seller:
        raise NotFound("seller hold", id, path=("id",))
    return row


async def _check_share(scope: Scope, payment_id: UUID, seller_id: UUID) -> None:
    share = select(payment_share.c.seller_id).where(
        payment_share.c.platform_id == scope.platform,
        payment_share.c.payment_id == payment_id,
        payment_share.c.seller_id == seller_id,
    )
    if await scope.first(share) is None:
        raise NotFound("seller of this payment", public_id("seller", seller_id), path=("sellerId",))


def _check(draft: HoldDraft) -> None:
    if draft.kind not in BY_HAND:
        raise InvalidInput(
            "A hold for a dispute is placed by the dispute.", path=("kind",), constraint=" | ".join(BY_HAND)
        )
    if draft.payment_id is not None and draft.scope is HoldScope.PAYOUT:
        raise InvalidInput(
            "Payouts are of all of a seller's money: name no payment.", path=("paymentId",), constraint="none"
        )
