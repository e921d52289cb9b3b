"""What a platform does with a payment: preview of a basket, creation, cancellation, delivery."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

import strawberry

from marketbill.errors import InvalidInput
from marketbill.payments import cancellation, checkout, delivery
from marketbill.payments.checkout import PaymentDraft
from marketbill.payments.order import OrderLine, plan_order
from marketbill_graphql import declare
from marketbill_graphql.access import PLATFORM_READERS, PLATFORM_WRITERS
from marketbill_graphql.context import Info
from marketbill_graphql.errors import (
    AnyMutationError,
    ProviderDeclined,
    ProviderRefused,
    RefusalsAsData,
    SellerNotAllowed,
    user_error,
)
from marketbill_graphql.money import MoneyInput
from marketbill_graphql.payments import Payment, payment_of
from marketbill_graphql.scalars import CurrencyCode
from marketbill_graphql.splits import Split, split_of


@declare.input
class ExternalRefInput:
    """An id that the platform's own systems know a line by."""

    name: str
    value: str


@declare.input
class PaymentLineInput:
    """One line of a basket."""

    seller_id: strawberry.ID
    description: str
    category: str = ""
    quantity: int = 1
    unit_price: MoneyInput
    tax_rate: Decimal = strawberry.field(description='Percent of sales tax, such as "21".')
    tax_inclusive: bool = strawberry.field(default=True, description="Whether the tax lies within the unit price.")
    external_refs: list[ExternalRefInput] = strawberry.field(default_factory=list)


@declare.input
class PaymentPreviewInput:
    """A basket to split."""

    currency: CurrencyCode
    lines: list[PaymentLineInput]


@declare.input
class PaymentCreateInput:
    """A basket to sell. Pays with a stored method or a token; with neither, the page pays with the client secret."""

    idempotency_key: str
    currency: CurrencyCode
    lines: list[PaymentLineInput]
    reference: str | None = strawberry.field(default=None, description="The platform's own order number.")
    buyer_id: strawberry.ID | None = None
    payment_method_id: strawberry.ID | None = None
    payment_method_token: str | None = strawberry.field(default=None, description="pm_…, from the provider's form.")
    return_url: str | None = strawberry.field(default=None, description="Where the buyer's bank sends him back to.")
    off_session: bool = strawberry.field(default=False, description="The buyer is not there to authenticate.")


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
        lines = _order_lines(input.lines)
        order = await info.context.read(lambda scope: plan_order(scope, currency=input.currency, lines=lines))
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
                currency=input.currency,
                lines=_order_lines(input.lines),
                buyer_id=input.buyer_id,
                payment_method_id=input.payment_method_id,
                payment_method_token=input.payment_method_token,
                reference=input.reference,
                return_url=input.return_url,
                off_session=input.off_session,
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
        """Marks a payment's order as delivered, which starts the hold where the platform holds from delivery."""
        row = await delivery.deliver(
            info.context.services, info.context.actor, idempotency_key=input.idempotency_key, id=input.id
        )
        return PaymentDeliverPayload(payment=payment_of(row), errors=[])


def _order_lines(lines: Sequence[PaymentLineInput]) -> list[OrderLine]:
    return [
        OrderLine(
            seller_id=line.seller_id,
            description=line.description,
            category=line.category,
            quantity=line.quantity,
            unit_price=line.unit_price.minor,
            currency=line.unit_price.currency,
            tax_rate=line.tax_rate,
            tax_inclusive=line.tax_inclusive,
            external_refs=_refs(line.external_refs, index),
        )
        for index, line in enumerate(lines)
    ]


def _refs(given: Sequence[ExternalRefInput], index: int) -> dict[str, str]:
    refs: dict[str, str] = {}
    for place, ref in enumerate(given):
        if ref.name in refs:
            raise InvalidInput(
                f"The line has two external ids named {ref.name[:40]!r}.",
                path=("lines", str(index), "externalRefs", str(place), "name"),
                constraint="unique in the line",
            )
        refs[ref.name] = ref.value
    return refs
