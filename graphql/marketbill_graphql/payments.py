"""Payments as each party may see them."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import strawberry
from sqlalchemy import Row

from marketbill.ids import parse_id, public_id
from marketbill.payments import queries
from marketbill.payments.model import PaymentStatus
from marketbill.payouts import queries as payouts
from marketbill.refunds import queries as refund_queries
from marketbill_graphql import declare
from marketbill_graphql.access import BUYER, PLATFORM_READERS, SELLER, TENANT, access
from marketbill_graphql.buyers import Buyer, load_buyer
from marketbill_graphql.connections import Connection, connection, page_request
from marketbill_graphql.context import Context, Info
from marketbill_graphql.exchange_rates import ExchangeRate, exchange_rate_of
from marketbill_graphql.fields import plain
from marketbill_graphql.journal import JournalEntry, entries_of
from marketbill_graphql.money import Money, amount
from marketbill_graphql.nodes import Node, finds, or_null
from marketbill_graphql.platforms import HoldFrom
from marketbill_graphql.refunds import Refund, refund_of
from marketbill_graphql.scalars import CurrencyCode
from marketbill_graphql.sellers import Seller, load_seller
from marketbill_graphql.splits import AMOUNTS, Split, SplitAmounts, SplitStep, amounts_of, split_of, steps_of
from marketbill_graphql.transfers import Transfer, transfer_of

#: Whoever is party to a payment sees it; its fields say what of it.
PAYERS = PLATFORM_READERS | BUYER
PAYEES = PLATFORM_READERS | SELLER
strawberry.enum(
    PaymentStatus,
    description="Where a payment stands. A success of the provider wins over every other state: money has moved.",
)


@declare.output(TENANT)
class ExternalRef:
    """An id that the platform's own systems know a line by."""

    name: str
    value: str


@declare.output(TENANT)
class PaymentLine:
    """One line of the basket. A buyer sees what is bought, a seller his own lines with what he gets."""

    row: strawberry.Private[Row[Any]]
    payment: strawberry.Private[Row[Any]]
    id: strawberry.ID = strawberry.field(description="lin_…")
    description: str
    category: str
    quantity: int
    unit_price: Money
    tax_rate: Decimal = strawberry.field(description="Percent.")
    tax_inclusive: bool = strawberry.field(description="Whether the tax lies within the unit price.")
    gross: Money = strawberry.field(description="What the buyer pays for the line.")
    tax: Money = strawberry.field(description="The sales tax within it.")
    external_refs: list[ExternalRef]

    @declare.computed
    async def seller(self, info: Info) -> Seller:
        """Who sells it."""
        return await load_seller(info.context, self.row.seller_id)

    @declare.query(PAYEES)
    def amounts(self) -> SplitAmounts:
        """The line, split."""
        source = {name: getattr(self.row, name, 0) for name in AMOUNTS}
        return amounts_of(source, self.payment.currency)

    @declare.query(PAYEES)
    def explanation(self) -> list[SplitStep]:
        """Every step to these amounts, in order."""
        return steps_of(self.payment.trace["lines"][self.row.ordinal], self.payment.currency)


@declare.output(PAYEES)
class PaymentShare:
    """What one seller has in a payment."""

    row: strawberry.Private[Row[Any]]
    gross: Money
    tax: Money
    fee: Money
    fee_tax: Money
    fee_tax_rule: str
    seller_net: Money

    @declare.computed
    async def seller(self, info: Info) -> Seller:
        """Whose share it is."""
        return await load_seller(info.context, self.row.seller_id)


@declare.output(PAYERS)
class NextAction:
    """What the buyer must do before the payment goes on."""

    kind: str = strawberry.field(description="In the provider's words, such as redirect_to_url.")
    redirect_url: str | None = strawberry.field(description="Null when the provider's script asks in the page.")


@declare.output(PAYERS)
class Decline:
    """Why the last attempt failed."""

    code: str | None
    advice: str | None = strawberry.field(description="The provider's advice, such as try_again_later.")
    message: str


@declare.output(TENANT)
class Payment(Node):
    """One payment of a buyer for a basket of several sellers."""

    row: strawberry.Private[Row[Any]]
    id: strawberry.ID = strawberry.field(description="pay_…")
    reference: str | None = strawberry.field(description="The platform's own order number.")
    status: PaymentStatus
    currency: CurrencyCode
    gross: Money = strawberry.field(directives=[access(PAYERS)], description="What the buyer pays.")
    tax: Money = strawberry.field(directives=[access(PAYERS)], description="The sales tax within it.")
    fee: Money = strawberry.field(directives=[access(PLATFORM_READERS)], description="The platform's fee.")
    fee_tax: Money = strawberry.field(directives=[access(PLATFORM_READERS)], description="The tax on the fee.")
    seller_net: Money = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="What the sellers get together."
    )
    provider_fee: Money | None = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="What the payment provider charged, once known."
    )
    settled: Money | None = strawberry.field(
        directives=[access(PLATFORM_READERS)],
        description="What the provider made of `gross` in another currency; null when it kept it in its own.",
    )
    settlement_rate: ExchangeRate | None = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="By which the provider did so."
    )
    provider_payment: str | None = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="The provider's id of the payment."
    )
    provider_charge: str | None = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="The provider's id of the charge."
    )
    next_action: NextAction | None = strawberry.field(directives=[access(PAYERS)], description="With REQUIRES_ACTION.")
    decline: Decline | None = strawberry.field(
        directives=[access(PAYERS)], description="With DECLINED or FAILED; with CREATED, why it may still be charged."
    )
    hold_from: HoldFrom
    hold_days: int
    created_at: datetime
    updated_at: datetime
    succeeded_at: datetime | None = strawberry.field(description="When the buyer was charged.")
    settled_at: datetime | None = strawberry.field(description="When the provider's fee was booked.")
    available_on: datetime | None = strawberry.field(description="From when the provider lets the money be used.")
    available_at: datetime | None = strawberry.field(description="When that was booked.")
    delivered_at: datetime | None
    release_on: datetime | None = strawberry.field(description="When the hold ends.")
    released_at: datetime | None = strawberry.field(description="When the sellers' money was released.")

    @declare.query(PAYERS)
    async def buyer(self, info: Info) -> Buyer | None:
        """Who pays; null for a guest."""
        return await load_buyer(info.context, self.row.buyer_id) if self.row.buyer_id else None

    @declare.computed
    async def lines(self, info: Info) -> list[PaymentLine]:
        """The basket; a seller sees his own lines."""
        found = await info.context.load_own(queries.lines_of, self.row.id)
        return [_line(line, self.row) for line in found or []]

    @declare.query(PAYEES)
    async def shares(self, info: Info) -> list[PaymentShare]:
        """What each seller has in it; a seller sees his own."""
        found = await info.context.load_own(queries.shares_of, self.row.id)
        return [_share(share, self.row.currency) for share in found or []]

    @declare.query(PAYEES)
    async def transfers(self, info: Info) -> list[Transfer]:
        """The sellers' shares on their way; a seller sees his own."""
        found = await info.context.load_own(payouts.transfers_of, self.row.id)
        return [transfer_of(transfer) for transfer in found or []]

    @declare.query(PAYEES)
    async def refunds(self, info: Info) -> list[Refund]:
        """What was given back of it; a seller sees what takes something from him."""
        found = await info.context.load_own(refund_queries.refunds_of, self.row.id)
        return [refund_of(one) for one in found or []]

    @declare.query(PLATFORM_READERS)
    def split(self) -> Split:
        """The whole split, explained: the same that the preview gave."""
        return split_of(self.row.trace)

    @declare.query(PLATFORM_READERS)
    async def journal_entries(self, info: Info) -> list[JournalEntry]:
        """What the books say of it, oldest first."""
        return await entries_of(info.context, self.row.id)


@declare.lookup
class PaymentLookup:
    """How to find a payment."""

    id: strawberry.ID | None = strawberry.UNSET
    reference: str | None = strawberry.field(default=strawberry.UNSET, description="The newest with this reference.")


@declare.input
class DateTimeRange:
    """From `gte` on, and before `lt`."""

    gte: datetime | None = None
    lt: datetime | None = None


@declare.input
class PaymentFilter:
    """Which payments; the conditions hold together."""

    status: list[PaymentStatus] | None = strawberry.field(default=None, description="Any of these.")
    reference: str | None = None
    buyer_id: strawberry.ID | None = None
    seller_id: strawberry.ID | None = strawberry.field(default=None, description="With a share of this seller.")
    created_at: DateTimeRange | None = None


@strawberry.type
class PaymentQueries:
    @declare.query(TENANT)
    async def payment(self, info: Info, by: PaymentLookup) -> Payment | None:
        """A payment, or null when there is none for this caller."""
        if by.id:
            return await or_null(_find_payment(info.context, by.id))
        actor, reference = info.context.actor, by.reference or ""
        row = await info.context.read(lambda scope: queries.by_reference(scope, actor, reference))
        return payment_of(row) if row is not None else None

    @declare.query(TENANT)
    async def payments(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        filter: PaymentFilter | None = None,
    ) -> Connection[Payment]:
        """Payments, newest first: a buyer sees his own, a seller those with a share of his."""
        asked = page_request(list_name="payments", first=first, after=after, last=last, before=before)
        actor, only = info.context.actor, _filter(filter or PaymentFilter())
        found = await info.context.read(lambda scope: queries.page(scope, actor, only, asked))
        return connection(found, list_name="payments", node=payment_of)


def payment_of(row: Row[Any]) -> Payment:
    currency = row.currency
    settlement = row.settlement_currency or currency
    return Payment(
        row=row,
        id=strawberry.ID(public_id("payment", row.id)),
        reference=row.reference,
        status=PaymentStatus(row.status),
        currency=CurrencyCode(currency),
        gross=amount(row.gross, currency),
        tax=amount(row.tax, currency),
        fee=amount(row.fee, currency),
        fee_tax=amount(row.fee_tax, currency),
        seller_net=amount(row.seller_net, currency),
        provider_fee=None if row.provider_fee is None else amount(row.provider_fee, settlement),
        settled=None if row.settlement_gross is None else amount(row.settlement_gross, settlement),
        settlement_rate=None if row.settlement_rate is None else exchange_rate_of(row.settlement_rate),
        provider_payment=row.provider_payment,
        provider_charge=row.provider_charge,
        next_action=NextAction(**row.next_action) if row.next_action else None,
        decline=Decline(**row.decline) if row.decline else None,
        hold_from=HoldFrom(row.hold_from),
        hold_days=row.hold_days,
        created_at=row.created_at,
        updated_at=row.updated_at,
        succeeded_at=row.succeeded_at,
        settled_at=row.settled_at,
        available_on=row.available_on,
        available_at=row.available_at,
        delivered_at=row.delivered_at,
        release_on=row.release_on,
        released_at=row.released_at,
    )


@finds("payment", TENANT)
async def _find_payment(context: Context, id: str) -> Payment:
    return payment_of(await context.read(lambda scope: queries.by_id(scope, context.actor, id)))


def _filter(only: PaymentFilter) -> queries.PaymentFilter:
    return queries.PaymentFilter(
        status=only.status,
        seller=parse_id("seller", only.seller_id, path=("filter", "sellerId")) if only.seller_id else None,
        buyer=parse_id("buyer", only.buyer_id, path=("filter", "buyerId")) if only.buyer_id else None,
        reference=only.reference,
        created_from=only.created_at.gte if only.created_at else None,
        created_until=only.created_at.lt if only.created_at else None,
    )


def _line(row: Row[Any], payment: Row[Any]) -> PaymentLine:
    return PaymentLine(
        row=row,
        payment=payment,
        id=strawberry.ID(public_id("payment line", row.id)),
        description=row.description,
        category=row.category,
        quantity=row.quantity,
        unit_price=amount(row.unit_price, payment.currency),
        tax_rate=plain(row.tax_rate),
        tax_inclusive=row.tax_inclusive,
        gross=amount(row.gross, payment.currency),
        tax=amount(row.tax, payment.currency),
        external_refs=[ExternalRef(name=name, value=value) for name, value in sorted(row.external_refs.items())],
    )


def _share(row: Row[Any], currency: str) -> PaymentShare:
    return PaymentShare(
        row=row,
        gross=amount(row.gross, currency),
        tax=amount(row.tax, currency),
        fee=amount(row.fee, currency),
        fee_tax=amount(row.fee_tax, currency),
        fee_tax_rule=row.fee_tax_rule,
        seller_net=amount(row.seller_net, currency),
    )
