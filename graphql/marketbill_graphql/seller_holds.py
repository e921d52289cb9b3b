"""Holds on sellers' money: what keeps it, why, since when and until when, and by whom."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row

from marketbill.ids import parse_id, public_id
from marketbill.payments import delivery, holding
from marketbill.payments.holding import HoldDraft
from marketbill.payments.holds import HoldKind, HoldScope
from marketbill_graphql import declare
from marketbill_graphql.access import PLATFORM_READERS, PLATFORM_WRITERS, SELLER, TENANT, access
from marketbill_graphql.connections import Connection, connection, page_request
from marketbill_graphql.context import Context, Info
from marketbill_graphql.errors import AnyMutationError, RefusalsAsData
from marketbill_graphql.nodes import Node, finds
from marketbill_graphql.payments import Payment, payment_of
from marketbill_graphql.sellers import Seller, load_seller

PARTIES = PLATFORM_READERS | SELLER
strawberry.enum(
    HoldKind,
    name="SellerHoldKind",
    description="RISK by a rule or a person, DISPUTE while one is open, APPROVAL until a person has looked, MANUAL.",
)
strawberry.enum(
    HoldScope,
    name="SellerHoldScope",
    description="What is kept: RELEASE of sales that are not released yet, or every PAYOUT to the bank.",
)


@declare.output(PARTIES)
class SellerHold(Node):
    """A decision to keep a seller's money, of one payment or of all."""

    row: strawberry.Private[Row[Any]]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="hld_…")
    kind: HoldKind
    scope: HoldScope
    reason: str = strawberry.field(description="Why, for the seller to read: the notice that the law wants.")
    payment_id: strawberry.ID | None = strawberry.field(description="Null when it is of all payments.")
    placed_at: datetime
    placed_by: str = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="The API key, or `marketbill` for a rule or a dispute."
    )
    until: datetime | None = strawberry.field(description="When it ends by itself; null: when it is lifted.")
    lifted_at: datetime | None
    lift_reason: str | None

    @declare.computed
    async def seller(self, info: Info) -> Seller:
        """Whose money is kept."""
        return await load_seller(info.context, self.row.seller_id)


@declare.input
class SellerHoldFilter:
    """Which holds; the conditions hold together."""

    seller_id: strawberry.ID | None = None
    open: bool | None = strawberry.field(default=None, description="True: those that have not ended.")


@declare.input
class SellerHoldPlaceInput:
    """Whose money to keep, and why."""

    idempotency_key: str
    seller_id: strawberry.ID
    payment_id: strawberry.ID | None = strawberry.field(default=None, description="Left out: of all payments.")
    kind: HoldKind = HoldKind.MANUAL
    scope: HoldScope = HoldScope.RELEASE
    reason: str = strawberry.field(description="1 to 500 characters; the seller reads it.")
    until: datetime | None = strawberry.field(default=None, description="When it ends by itself.")


@declare.input
class SellerHoldLiftInput:
    """Which hold ends, and why."""

    idempotency_key: str
    id: strawberry.ID = strawberry.field(description="hld_…")
    reason: str = strawberry.field(description="1 to 500 characters; kept.")


@declare.input
class PaymentApproveInput:
    """The payment whose release is approved."""

    idempotency_key: str
    id: strawberry.ID
    seller_id: strawberry.ID | None = strawberry.field(default=None, description="One seller's share alone.")


SellerHoldPlaceError = Annotated[AnyMutationError, strawberry.union("SellerHoldPlaceError")]
SellerHoldLiftError = Annotated[AnyMutationError, strawberry.union("SellerHoldLiftError")]
PaymentApproveError = Annotated[AnyMutationError, strawberry.union("PaymentApproveError")]


@declare.output(PLATFORM_WRITERS)
class SellerHoldPlacePayload:
    """The hold."""

    seller_hold: SellerHold | None = None
    errors: list[SellerHoldPlaceError]


@declare.output(PLATFORM_WRITERS)
class SellerHoldLiftPayload:
    """The hold with its end."""

    seller_hold: SellerHold | None = None
    errors: list[SellerHoldLiftError]


@declare.output(PLATFORM_WRITERS)
class PaymentApprovePayload:
    """The payment with the end of its hold."""

    payment: Payment | None = None
    errors: list[PaymentApproveError]


@strawberry.type
class SellerHoldQueries:
    @declare.query(PARTIES)
    async def seller_holds(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        filter: SellerHoldFilter | None = None,
    ) -> Connection[SellerHold]:
        """Holds, newest first; a seller sees his own."""
        asked = page_request(list_name="sellerHolds", first=first, after=after, last=last, before=before)
        actor, only = info.context.actor, filter or SellerHoldFilter()
        seller = parse_id("seller", only.seller_id, path=("filter", "sellerId")) if only.seller_id else None
        found = await info.context.read(lambda scope: holding.page(scope, actor, asked, seller=seller, open=only.open))
        return connection(found, list_name="sellerHolds", node=hold_of)


@strawberry.type
class SellerHoldCommands:
    @declare.command(PLATFORM_WRITERS, RefusalsAsData())
    async def seller_hold_place(self, info: Info, input: SellerHoldPlaceInput) -> SellerHoldPlacePayload:
        """Keeps a seller's money until the hold ends or is lifted. What is released already stays released."""
        row = await holding.place(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            draft=HoldDraft(input.seller_id, input.reason, input.payment_id, input.kind, input.scope, input.until),
        )
        return SellerHoldPlacePayload(seller_hold=hold_of(row), errors=[])

    @declare.command(PLATFORM_WRITERS, RefusalsAsData())
    async def seller_hold_lift(self, info: Info, input: SellerHoldLiftInput) -> SellerHoldLiftPayload:
        """Ends a hold; what it kept is released soon after."""
        row = await holding.lift(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            id=input.id,
            reason=input.reason,
        )
        return SellerHoldLiftPayload(seller_hold=hold_of(row), errors=[])

    @declare.command(PLATFORM_WRITERS, RefusalsAsData())
    async def payment_approve(self, info: Info, input: PaymentApproveInput) -> PaymentApprovePayload:
        """Approves the release of what a rule holds until an approval; its days are counted from now."""
        row = await delivery.approve(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            id=input.id,
            seller_id=input.seller_id,
        )
        return PaymentApprovePayload(payment=payment_of(row), errors=[])


def hold_of(row: Row[Any]) -> SellerHold:
    return SellerHold(
        row=row,
        id=strawberry.ID(public_id("seller hold", row.id)),
        kind=HoldKind(row.kind),
        scope=HoldScope(row.scope),
        reason=row.reason,
        payment_id=strawberry.ID(public_id("payment", row.payment_id)) if row.payment_id else None,
        placed_at=row.placed_at,
        placed_by=row.placed_by,
        until=row.until,
        lifted_at=row.lifted_at,
        lift_reason=row.lift_reason,
    )


@finds("seller hold", PARTIES)
async def _find_hold(context: Context, id: str) -> SellerHold:
    return hold_of(await context.read(lambda scope: holding.by_id(scope, context.actor, id)))
