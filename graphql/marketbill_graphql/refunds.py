"""Refunds: shown before they are made, made exactly as shown, and what becomes of them."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import Row

from marketbill.ids import parse_id, public_id
from marketbill.payments import queries as payments
from marketbill.refunds import outcome, queries, refund
from marketbill.refunds.arithmetic import Returned
from marketbill.refunds.draft import LineDraft, Plan, RefundDraft
from marketbill.refunds.model import RefundKind, RefundStatus
from marketbill_graphql import declare
from marketbill_graphql.access import PLATFORM_READERS, PLATFORM_WRITERS, SELLER, TENANT, access
from marketbill_graphql.connections import Connection, connection, page_request
from marketbill_graphql.context import Context, Info
from marketbill_graphql.errors import AnyMutationError, PreviewStale, RefusalsAsData
from marketbill_graphql.journal import JournalEntry, entries_of
from marketbill_graphql.money import Money, amount
from marketbill_graphql.nodes import Node, finds
from marketbill_graphql.return_policies import Cause
from marketbill_graphql.scalars import BigInt, CurrencyCode
from marketbill_graphql.sellers import Seller, load_seller

if TYPE_CHECKING:
    from marketbill_graphql.payments import Payment

PARTIES = PLATFORM_READERS | SELLER
strawberry.enum(
    RefundKind,
    description="FULL: all that is left. LINES: lines, pieces or amounts of them. AMOUNT: spread over what is left of"
    " the lines. SHIPPING and TAX: that alone, of all lines or of some.",
)
strawberry.enum(
    RefundStatus,
    description="RECOVERING takes the sellers' parts back. SENDING is booked, the provider is asked. PENDING is with"
    " the provider. FAILED came back from the buyer's bank: retry or settle it. REFUSED was undone. CREDITED: the buyer"
    " has it as credit.",
)


@declare.output(PARTIES)
class RefundShare:
    """What one seller gives back for a refund."""

    row: strawberry.Private[Row[Any]]
    part: Money = strawberry.field(description="All that he gives, in the currency in which the sale was settled.")
    recharge: Money = strawberry.field(description="The provider's fee of the sale within it, by the policy.")

    @declare.computed
    async def seller(self, info: Info) -> Seller:
        """Who gives it."""
        return await load_seller(info.context, self.row.seller_id)


@declare.output(PARTIES)
class Refund(Node):
    """Money of a payment back to its buyer."""

    row: strawberry.Private[Row[Any]]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="ref_…")
    kind: RefundKind
    cause: Cause
    reason: str
    reference: str | None = strawberry.field(description="The platform's own number of it.")
    amount: Money = strawberry.field(description="What the buyer gets.")
    settlement_amount: Money = strawberry.field(
        directives=[access(PLATFORM_READERS)],
        description="What its bearers give for it, in the currency in which the sale was settled.",
    )
    paid_amount: Money | None = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="What the provider took for it, once known."
    )
    policy_version: int = strawberry.field(directives=[access(PLATFORM_READERS)])
    status: RefundStatus
    explanation: str | None = strawberry.field(description="What it waits for, or why it failed.")
    attempt: int = strawberry.field(description="How often the provider was asked, after the bank sent it back.")
    provider_refund: str | None = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="The provider's id."
    )
    created_by: str = strawberry.field(directives=[access(PLATFORM_READERS)])
    created_at: datetime
    updated_at: datetime
    booked_at: datetime | None = strawberry.field(description="When its bearers' parts were booked.")
    succeeded_at: datetime | None
    failed_at: datetime | None

    @declare.computed
    async def payment(self, info: Info) -> Annotated["Payment", strawberry.lazy("marketbill_graphql.payments")]:
        """The payment it gives back of."""
        from marketbill_graphql.payments import payment_of

        return payment_of(await info.context.load_own(payments.by_ids, self.row.payment_id))

    @declare.computed
    async def shares(self, info: Info) -> list[RefundShare]:
        """What each seller gives; a seller sees his own part."""
        found = await info.context.load_own(queries.shares_of, self.row.id)
        return [
            RefundShare(row=one, part=amount(one.part, one.currency), recharge=amount(one.recharge, one.currency))
            for one in found or []
        ]

    @declare.query(PLATFORM_READERS)
    async def journal_entries(self, info: Info) -> list[JournalEntry]:
        """What the books say of it, oldest first."""
        return await entries_of(info.context, self.row.id)


@declare.input
class RefundFilter:
    """Which refunds; the conditions hold together."""

    status: list[RefundStatus] | None = strawberry.field(default=None, description="Any of these.")
    seller_id: strawberry.ID | None = strawberry.field(default=None, description="That take something from him.")
    payment_id: strawberry.ID | None = None


@declare.input
class RefundLineInput:
    """A line: all that is left of it, or pieces of it, or an amount of it."""

    line_id: strawberry.ID
    quantity: int | None = strawberry.field(default=None, description="Pieces, without shipping.")
    amount: BigInt | None = strawberry.field(default=None, description="Minor units of what the buyer paid.")


@declare.input
class RefundInput:
    """What to refund, and why."""

    payment_id: strawberry.ID
    kind: RefundKind
    cause: Cause
    reason: str = strawberry.field(description="In your own words, 1 to 500 characters.")
    amount: BigInt | None = strawberry.field(default=None, description="Minor units; with AMOUNT alone.")
    currency: CurrencyCode | None = strawberry.field(default=None, description="The payment's; any other is refused.")
    lines: list[RefundLineInput] | None = strawberry.field(
        default=None, description="With LINES; with SHIPPING and TAX where not all lines are meant."
    )
    reference: str | None = strawberry.field(default=None, description="Your own number of it.")


@declare.input
class RefundCreateInput:
    """The refund as it was previewed, and the preview's token."""

    idempotency_key: str
    token: str
    refund: RefundInput


@declare.input
class RefundRetryInput:
    """A refund that the buyer's bank sent back, and why it would go through now."""

    idempotency_key: str
    id: strawberry.ID
    reason: str = strawberry.field(description="In your own words, 1 to 500 characters.")


@declare.input
class RefundSettleInput:
    """A refund that the buyer's bank sent back, and why it becomes credit."""

    idempotency_key: str
    id: strawberry.ID
    reason: str = strawberry.field(description="In your own words, 1 to 500 characters.")


@declare.output(PLATFORM_READERS)
class RefundBearer:
    """Who gives an amount of a refund. A negative one goes back to its bearer."""

    bearer: str = strawberry.field(
        description="seller:<id>, fee, fee_tax:<country>, deemed:<jurisdiction>, withheld:<scheme>, processor,"
        " goodwill, promo, rounding, or recharge:<id> for what a seller is charged beside the refund."
    )
    amount: Money | None = strawberry.field(description="In the currency of the sale; null for a recharge.")
    settled: Money = strawberry.field(description="In the currency in which the sale was settled.")


@declare.output(PLATFORM_READERS)
class RefundLine:
    """What a refund undoes of one line, in the currency of the sale."""

    ordinal: int = strawberry.field(description="The line's place in the basket, from 0.")
    amount: Money = strawberry.field(description="What the buyer gets for it.")
    net: Money
    tax: Money
    seller_net: Money
    fee: Money
    fee_tax: Money


@declare.output(PLATFORM_READERS)
class RefundSellerEffect:
    """What a refund takes from a seller, and from where it would come now."""

    seller_id: strawberry.ID
    part: Money
    recharge: Money = strawberry.field(description="The provider's fee within it.")
    before: Money = strawberry.field(description="What of the sale is his before it.")
    after: Money = strawberry.field(description="And after it; below zero where he gives more than he got.")
    pending: Money = strawberry.field(description="Taken from what is not released.")
    payable: Money = strawberry.field(description="Taken from what is not transferred.")
    reverse: Money = strawberry.field(description="Taken back from his account at the provider.")
    debt: Money = strawberry.field(description="What he comes to owe.")


@declare.output(PLATFORM_READERS)
class RefundPreview:
    """What a refund would do now. Its token creates exactly this, or is refused."""

    token: str
    amount: Money = strawberry.field(description="What the buyer gets.")
    settlement_amount: Money
    left: Money = strawberry.field(description="What could still be refunded after it.")
    policy_version: int
    bearers: list[RefundBearer]
    lines: list[RefundLine]
    sellers: list[RefundSellerEffect]


RefundCreateError = Annotated[AnyMutationError | PreviewStale, strawberry.union("RefundCreateError")]
RefundRetryError = Annotated[AnyMutationError, strawberry.union("RefundRetryError")]
RefundSettleError = Annotated[AnyMutationError, strawberry.union("RefundSettleError")]


@declare.output(PLATFORM_WRITERS)
class RefundCreatePayload:
    """The refund: what it undoes is kept, a worker takes it on."""

    refund: Refund | None = None
    errors: list[RefundCreateError]


@declare.output(PLATFORM_WRITERS)
class RefundRetryPayload:
    """The refund: a worker asks the provider anew."""

    refund: Refund | None = None
    errors: list[RefundRetryError]


@declare.output(PLATFORM_WRITERS)
class RefundSettlePayload:
    """The refund, which the buyer has as credit."""

    refund: Refund | None = None
    errors: list[RefundSettleError]


@strawberry.type
class RefundQueries:
    @declare.query(PARTIES)
    async def refunds(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        filter: RefundFilter | None = None,
    ) -> Connection[Refund]:
        """Refunds, newest first; a seller sees those that take something from him."""
        asked = page_request(list_name="refunds", first=first, after=after, last=last, before=before)
        actor, only = info.context.actor, filter or RefundFilter()
        seller = parse_id("seller", only.seller_id, path=("filter", "sellerId")) if only.seller_id else None
        payment = parse_id("payment", only.payment_id, path=("filter", "paymentId")) if only.payment_id else None
        found = await info.context.read(
            lambda scope: queries.refunds(scope, actor, asked, seller=seller, payment=payment, status=only.status)
        )
        return connection(found, list_name="refunds", node=refund_of)

    @declare.query(PLATFORM_READERS)
    async def refund_preview(self, info: Info, input: RefundInput) -> RefundPreview:
        """Who would pay what, in every currency, and from where; nothing is done."""
        return _preview(await refund.preview(info.context.services, info.context.actor, _draft(input)))


@strawberry.type
class RefundCommands:
    @declare.command(PLATFORM_WRITERS, RefusalsAsData())
    async def refund_create(self, info: Info, input: RefundCreateInput) -> RefundCreatePayload:
        """Refunds exactly what the preview showed, or refuses with PREVIEW_STALE."""
        row = await refund.create(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            token=input.token,
            draft=_draft(input.refund),
        )
        return RefundCreatePayload(refund=refund_of(row), errors=[])

    @declare.command(PLATFORM_WRITERS, RefusalsAsData())
    async def refund_retry(self, info: Info, input: RefundRetryInput) -> RefundRetryPayload:
        """Asks the provider anew for a refund that the buyer's bank sent back."""
        row = await outcome.retry(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            id=input.id,
            reason=input.reason,
        )
        return RefundRetryPayload(refund=refund_of(row), errors=[])

    @declare.command(PLATFORM_WRITERS, RefusalsAsData())
    async def refund_settle(self, info: Info, input: RefundSettleInput) -> RefundSettlePayload:
        """Gives the buyer credit in place of a refund that his bank sent back."""
        row = await outcome.settle(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            id=input.id,
            reason=input.reason,
        )
        return RefundSettlePayload(refund=refund_of(row), errors=[])


def _draft(given: RefundInput) -> RefundDraft:
    return RefundDraft(
        payment_id=given.payment_id,
        kind=given.kind,
        cause=given.cause,
        reason=given.reason,
        amount=given.amount,
        currency=given.currency,
        lines=tuple(LineDraft(line.line_id, line.quantity, line.amount) for line in given.lines or ()),
        reference=given.reference,
    )


def _preview(plan: Plan) -> RefundPreview:
    made = plan.made
    into = made.settlement_currency
    return RefundPreview(
        token=plan.token,
        amount=amount(made.amount, made.currency),
        settlement_amount=amount(made.settlement_amount, into),
        left=amount(plan.left, made.currency),
        policy_version=made.policy_version,
        bearers=_bearers(made),
        lines=_lines(made),
        sellers=[
            RefundSellerEffect(
                seller_id=strawberry.ID(public_id("seller", one.seller_id)),
                part=amount(one.part, into),
                recharge=amount(one.recharge, into),
                before=amount(one.before, into),
                after=amount(one.after, into),
                pending=amount(one.forecast.pending, into),
                payable=amount(one.forecast.payable, into),
                reverse=amount(one.forecast.reverse, into),
                debt=amount(one.forecast.debt, into),
            )
            for one in plan.sellers
        ],
    )


def _bearers(made: Returned) -> list[RefundBearer]:
    names = sorted({**made.legs, **made.settled})
    return [
        RefundBearer(
            bearer=name,
            amount=amount(_signed(name, made.legs[name]), made.currency) if name in made.legs else None,
            settled=amount(_signed(name, made.settled.get(name, 0)), made.settlement_currency),
        )
        for name in names
    ]


def _signed(name: str, given: int) -> int:
    return -given if name == "promo" else given


def _lines(made: Returned) -> list[RefundLine]:
    def of(amounts: dict[str, int], *names: str) -> Money:
        return amount(sum(amounts.get(name, 0) for name in names), made.currency)

    return [
        RefundLine(
            ordinal=line.ordinal,
            amount=amount(line.amount, made.currency),
            net=of(line.amounts, "net"),
            tax=of(line.amounts, "tax"),
            seller_net=of(line.amounts, "seller"),
            fee=of(line.amounts, "fee", "buyer_fee"),
            fee_tax=of(line.amounts, "fee_tax", "buyer_fee_tax"),
        )
        for line in made.lines
    ]


def refund_of(row: Row[Any]) -> Refund:
    paid = None if row.paid_amount is None else amount(row.paid_amount, row.settlement_currency)
    return Refund(
        row=row,
        id=strawberry.ID(public_id("refund", row.id)),
        kind=RefundKind(row.kind),
        cause=Cause(row.cause),
        reason=row.reason,
        reference=row.reference,
        amount=amount(row.amount, row.currency),
        settlement_amount=amount(row.settlement_amount, row.settlement_currency),
        paid_amount=paid,
        policy_version=row.policy_version,
        status=RefundStatus(row.status),
        explanation=row.explanation,
        attempt=row.attempt,
        provider_refund=row.provider_refund,
        created_by=row.created_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
        booked_at=row.booked_at,
        succeeded_at=row.succeeded_at,
        failed_at=row.failed_at,
    )


@finds("refund", PARTIES)
async def _find_refund(context: Context, id: str) -> Refund:
    return refund_of(await context.read(lambda scope: queries.refund_by_id(scope, context.actor, id)))
