"""Buyers, their payment methods (by the provider's token only) and their tokens."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from sqlalchemy import Row

from marketbill.actor import Role
from marketbill.buyers import buyer, queries
from marketbill.buyers.buyer import BuyerDraft
from marketbill.ids import parse_id, public_id
from marketbill_graphql import declare, party_tokens
from marketbill_graphql.access import BUYER, PLATFORM_READERS, PLATFORM_WRITERS, TENANT, access
from marketbill_graphql.connections import Connection, connection, page_request
from marketbill_graphql.context import Context, Info
from marketbill_graphql.errors import AnyMutationError, ProviderDeclined, ProviderRefused, RefusalsAsData
from marketbill_graphql.nodes import Node, finds, or_null

PARTIES = PLATFORM_READERS | BUYER


@declare.output(PARTIES)
class PaymentMethod(Node):
    """A way to pay that the provider keeps; of a card only what may be shown is known here."""

    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="pmt_…")
    kind: str = strawberry.field(description="card, sepa_debit and so on, in the provider's words.")
    brand: str | None
    last4: str | None
    exp_month: int | None
    exp_year: int | None
    created_at: datetime


@declare.output(PARTIES)
class Buyer(Node):
    """Someone who buys on the platform."""

    row: strawberry.Private[Row[Any]]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="buy_…")
    name: str
    email: str | None
    external_ref: str | None = strawberry.field(description="The platform's own name for the buyer.")
    created_at: datetime
    updated_at: datetime

    @declare.computed
    async def payment_methods(self, info: Info) -> list[PaymentMethod]:
        """The buyer's payment methods, newest first."""
        return [payment_method_of(row) for row in await info.context.load(buyer.methods_of, self.row.id) or []]


@declare.lookup
class BuyerLookup:
    """How to find a buyer."""

    id: strawberry.ID | None = strawberry.UNSET
    external_ref: str | None = strawberry.UNSET


@declare.input
class BuyerCreateInput:
    """A new buyer."""

    idempotency_key: str
    name: str
    email: str | None = None
    external_ref: str | None = strawberry.field(default=None, description="Unique in the platform.")


@declare.input
class BuyerTokenCreateInput:
    """For whom, and for how long."""

    idempotency_key: str
    buyer_id: strawberry.ID
    lifetime_seconds: int = strawberry.field(default=3600, description="60 to 86400.")


@declare.input
class PaymentMethodAttachInput:
    """The buyer, and the token that the provider's own form gave; a card number is refused."""

    idempotency_key: str
    buyer_id: strawberry.ID
    token: str = strawberry.field(description="pm_…")


BuyerCreateError = Annotated[AnyMutationError, strawberry.union("BuyerCreateError")]
BuyerTokenCreateError = Annotated[AnyMutationError, strawberry.union("BuyerTokenCreateError")]
PaymentMethodAttachError = Annotated[
    AnyMutationError | ProviderDeclined | ProviderRefused, strawberry.union("PaymentMethodAttachError")
]


@declare.output(PLATFORM_WRITERS)
class BuyerCreatePayload:
    """The new buyer."""

    buyer: Buyer | None = None
    errors: list[BuyerCreateError]


@declare.output(PLATFORM_WRITERS)
class BuyerTokenCreatePayload:
    """A bearer token that acts as this buyer."""

    token: str | None = None
    expires_at: datetime | None = None
    errors: list[BuyerTokenCreateError]


@declare.output(PLATFORM_WRITERS | BUYER)
class PaymentMethodAttachPayload:
    """The payment method as the provider knows it."""

    payment_method: PaymentMethod | None = None
    errors: list[PaymentMethodAttachError]


@strawberry.type
class BuyerQueries:
    @declare.query(PARTIES)
    async def buyer(self, info: Info, by: BuyerLookup) -> Buyer | None:
        """A buyer, or null when there is none for this caller."""
        if by.id:
            return await or_null(_find_buyer(info.context, by.id))
        actor, ref = info.context.actor, by.external_ref or ""
        row = await info.context.read(lambda scope: queries.by_external_ref(scope, actor, ref))
        return buyer_of(row) if row is not None else None

    @declare.query(PLATFORM_READERS)
    async def buyers(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[Buyer]:
        """The platform's buyers, newest first."""
        asked = page_request(list_name="buyers", first=first, after=after, last=last, before=before)
        actor = info.context.actor
        found = await info.context.read(lambda scope: queries.page(scope, actor, asked))
        return connection(found, list_name="buyers", node=buyer_of)


@strawberry.type
class BuyerCommands:
    @declare.command(PLATFORM_WRITERS, RefusalsAsData())
    async def buyer_create(self, info: Info, input: BuyerCreateInput) -> BuyerCreatePayload:
        """Makes a buyer."""
        row = await buyer.create(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            draft=BuyerDraft(input.name, input.email, input.external_ref),
        )
        return BuyerCreatePayload(buyer=buyer_of(row), errors=[])

    @declare.command(PLATFORM_WRITERS, RefusalsAsData())
    async def buyer_token_create(self, info: Info, input: BuyerTokenCreateInput) -> BuyerTokenCreatePayload:
        """Mints a short-lived token with which a buyer may use this API for himself."""
        made = await party_tokens.mint_once(
            info.context,
            operation="buyerTokenCreate",
            idempotency_key=input.idempotency_key,
            role=Role.BUYER,
            party_id=input.buyer_id,
            lifetime_seconds=input.lifetime_seconds,
        )
        return BuyerTokenCreatePayload(token=made.token, expires_at=made.expires_at, errors=[])

    @declare.command(PLATFORM_WRITERS | BUYER, RefusalsAsData())
    async def payment_method_attach(self, info: Info, input: PaymentMethodAttachInput) -> PaymentMethodAttachPayload:
        """Attaches a payment method to a buyer by the provider's token."""
        row = await buyer.attach_method(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            buyer_id=input.buyer_id,
            token=input.token,
        )
        return PaymentMethodAttachPayload(payment_method=payment_method_of(row), errors=[])


def buyer_of(row: Row[Any]) -> Buyer:
    return Buyer(
        row=row,
        id=strawberry.ID(public_id("buyer", row.id)),
        name=row.name,
        email=row.email,
        external_ref=row.external_ref,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def payment_method_of(row: Row[Any]) -> PaymentMethod:
    return PaymentMethod(
        id=strawberry.ID(public_id("payment method", row.id)),
        kind=row.kind,
        brand=row.brand,
        last4=row.last4,
        exp_month=row.exp_month,
        exp_year=row.exp_year,
        created_at=row.created_at,
    )


@finds("buyer", PARTIES)
async def _find_buyer(context: Context, id: str) -> Buyer:
    return buyer_of(await context.read(lambda scope: queries.by_id(scope, context.actor, id)))


async def load_buyer(context: Context, id: UUID) -> Buyer:
    """The buyer of a row that the caller may see."""
    return buyer_of(await context.load(buyer.by_ids, id))


@finds("payment method", PARTIES)
async def _find_payment_method(context: Context, id: str) -> Node | None:
    method = parse_id("payment method", id)
    row = await context.read(lambda scope: buyer.load_method(scope, method, path=()))
    return payment_method_of(row) if context.actor.buyer in (None, row.buyer_id) else None
