"""What a platform does with a payment: preview of a basket, creation, cancellation, delivery."""

from datetime import datetime
from typing import Annotated, Any

import strawberry

from marketbill.payments import cancellation, checkout, delivery
from marketbill.payments.checkout import PaymentDraft
from marketbill.payments.order import Order
from marketbill.payments.planning import plan_order
from marketbill.payments.provider_taxes import with_taxes
from marketbill_graphql import declare
from marketbill_graphql.access import PLATFORM_READERS, PLATFORM_WRITERS
from marketbill_graphql.baskets import BuyerPlaceInput, DiscountInput, PaymentLineInput, ShippingInput, order_of
from marketbill_graphql.context import Info
from marketbill_graphql.errors import (
    AnyMutationError,
    ProviderDeclined,
    ProviderRefused,
    RefusalsAsData,
    SellerNotAllowed,
    user_error,
)
from marketbill_graphql.payments import Payment, payment_of
from marketbill_graphql.scalars import CurrencyCode
from marketbill_graphql.splits import Split, split_of


@declare.input
class PaymentPreviewInput:
    """A basket to split."""

    currency: CurrencyCode
    lines: list[PaymentLineInput]
    shipping: list[ShippingInput] = strawberry.field(default_factory=list)
    discounts: list[DiscountInput] = strawberry.field(default_factory=list)
    buyer: BuyerPlaceInput | None = None
    channel: str = strawberry.field(default="", description="Where it is sold, for fee rules, such as app.")
    method_kind: str = strawberry.field(
        default="", description="The kind of payment method, for fee rules, such as card; known of a stored method."
    )


@declare.input
class PaymentCreateInput:
    """A basket to sell. Pays with a stored method or a token; with neither, the page pays with the client secret."""

    idempotency_key: str
    currency: CurrencyCode
    lines: list[PaymentLineInput]
    shipping: list[ShippingInput] = strawberry.field(default_factory=list)
    discounts: list[DiscountInput] = strawberry.field(default_factory=list)
    buyer: BuyerPlaceInput | None = None
    channel: str = strawberry.field(default="", description="Where it is sold, for fee rules, such as app.")
    method_kind: str = strawberry.field(
        default="", description="The kind of payment method, for fee rules, such as card; known of a stored method."
    )
    reference: str | None = strawberry.field(default=None, description="The platform's own order number.")
    buyer_id: strawberry.ID | None = None
    payment_method_id: strawberry.ID | None = None
    payment_method_token: str | None = strawberry.field(default=None, description="pm_…, from the provider's form.")
    return_url: str | None = strawberry.field(default=None, description="Where the buyer's bank sends him back to.")
    off_session: bool = strawberry.field(default=False, description="The buyer is not there to authenticate.")
    ordered_at: datetime | None = strawberry.field(
        default=None, description="When the buyer ordered, where that was before now."
    )


@declare.input
class PaymentCancelInput:
    """The payment to cancel."""

    idempotency_key: str
    id: strawberry.ID


@declare.input
class PaymentDeliverInput:
    """The payment whose order was delivered."""

    idempotency_key: str
    id: strawberry.ID
    seller_id: strawberry.ID | None = strawberry.field(default=None, description="One seller's part of it alone.")


PaymentPreviewError = Annotated[AnyMutationError | SellerNotAllowed, strawberry.union("PaymentPreviewError")]
PaymentCreateError = Annotated[
    AnyMutationError | SellerNotAllowed | ProviderDeclined | ProviderRefused, strawberry.union("PaymentCreateError")
]
PaymentCancelError = Annotated[AnyMutationError | ProviderRefused, strawberry.union("PaymentCancelError")]
PaymentDeliverError = Annotated[AnyMutationError, strawberry.union("PaymentDeliverError")]


@declare.output(PLATFORM_READERS)
class PaymentPreviewPayload:
    """The split that a payment of this basket would have now."""

    split: Split | None = None
    errors: list[PaymentPreviewError]


@declare.output(PLATFORM_WRITERS)
class PaymentCreatePayload:
    """The payment as it stands. After a decline it stands too, beside the error."""

    payment: Payment | None = None
    client_secret: str | None = strawberry.field(
        default=None, description="For the provider's script in the buyer's page, while the payment waits for him."
    )
    errors: list[PaymentCreateError]


@declare.output(PLATFORM_WRITERS)
class PaymentCancelPayload:
    """The payment after it was canceled."""

    payment: Payment | None = None
    errors: list[PaymentCancelError]


@declare.output(PLATFORM_WRITERS)
class PaymentDeliverPayload:
    """The payment with its delivery, and the end of its hold."""

    payment: Payment | None = None
    errors: list[PaymentDeliverError]


@strawberry.type
class CheckoutQueries:
    @declare.query(PLATFORM_READERS, extensions=[RefusalsAsData()])
    async def payment_preview(self, info: Info, input: PaymentPreviewInput) -> PaymentPreviewPayload:
        """The split of a basket under the rules in force; writes nothing."""
        asked = _order(input)
        context = info.context
        order = await with_taxes(
            context.services,
            context.platform,
            lambda taxes: context.read(lambda scope: plan_order(scope, asked, taxes)),
        )
        return PaymentPreviewPayload(split=split_of(order.plan.to_trace()), errors=[])


@strawberry.type
class CheckoutCommands:
    @declare.command(PLATFORM_WRITERS, RefusalsAsData())
    async def payment_create(self, info: Info, input: PaymentCreateInput) -> PaymentCreatePayload:
        """Charges a buyer once for a basket of several sellers."""
        made = await checkout.create(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            draft=PaymentDraft(
                _order(input),
                buyer_id=input.buyer_id,
                payment_method_id=input.payment_method_id,
                payment_method_token=input.payment_method_token,
                reference=input.reference,
                return_url=input.return_url,
                off_session=input.off_session,
                ordered_at=input.ordered_at,
            ),
        )
        errors: Any = [user_error(made.refusal)] if made.refusal else []
        return PaymentCreatePayload(payment=payment_of(made.payment), client_secret=made.client_secret, errors=errors)

    @declare.command(PLATFORM_WRITERS, RefusalsAsData())
    async def payment_cancel(self, info: Info, input: PaymentCancelInput) -> PaymentCancelPayload:
        """Cancels a payment that waits for its buyer."""
        row = await cancellation.cancel(
            info.context.services, info.context.actor, idempotency_key=input.idempotency_key, id=input.id
        )
        return PaymentCancelPayload(payment=payment_of(row), errors=[])

    @declare.command(PLATFORM_WRITERS, RefusalsAsData())
    async def payment_deliver(self, info: Info, input: PaymentDeliverInput) -> PaymentDeliverPayload:
        """Marks a payment's order, or one seller's part of it, as delivered: the holds that a delivery starts begin."""
        row = await delivery.deliver(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            id=input.id,
            seller_id=input.seller_id,
        )
        return PaymentDeliverPayload(payment=payment_of(row), errors=[])


def _order(input: PaymentPreviewInput | PaymentCreateInput) -> Order:
    return order_of(
        currency=input.currency,
        lines=input.lines,
        shipping=input.shipping,
        discounts=input.discounts,
        buyer=input.buyer,
        channel=input.channel,
        method_kind=input.method_kind,
    )
