"""A basket under a fee schedule that need not be published: its split, and why each rule is charged or not."""

from typing import Annotated

import strawberry

from marketbill.db import Scope
from marketbill.errors import InvalidInput
from marketbill.ids import parse_id
from marketbill.payments.fee_preview import FeePreview, Why, preview
from marketbill.platforms import fee_schedule
from marketbill.rules.fees.resolver import Rank, Reason, Rejection
from marketbill.rules.fees.schedule import Schedule
from marketbill_graphql import declare
from marketbill_graphql.access import PLATFORM_READERS
from marketbill_graphql.baskets import BuyerPlaceInput, DiscountInput, PaymentLineInput, ShippingInput, order_of
from marketbill_graphql.context import Info
from marketbill_graphql.errors import AnyMutationError, RefusalsAsData, SellerNotAllowed
from marketbill_graphql.scalars import CurrencyCode, FeeDocument
from marketbill_graphql.splits import Split, split_of

strawberry.enum(
    Reason,
    name="FeeRejectionReason",
    description="Why a rule is not charged: a condition does not hold, another rule goes before it, or it holds at"
    " another time.",
)
strawberry.enum(
    Rank,
    name="FeeRank",
    description="By what one rule goes before another: its position, more dimensions in its conditions, or its place.",
)


@declare.output(PLATFORM_READERS)
class FeeConditionMiss:
    """A dimension that does not hold."""

    dimension: str = strawberry.field(description="As it is called in the document, such as seller_groups.")
    expected: str
    actual: str = strawberry.field(description="What the line has; empty when it is not known.")


@declare.output(PLATFORM_READERS)
class FeeRuleRejection:
    """A rule that is not charged on a line."""

    rule: str = strawberry.field(description="Its name in the schedule.")
    reason: Reason
    misses: list[FeeConditionMiss] = strawberry.field(description="For CONDITION.")
    outranked_by: str = strawberry.field(description="For OUTRANKED: the rule that is charged; else empty.")
    rank: Rank | None = strawberry.field(description="For OUTRANKED.")
    expected: str = strawberry.field(description="For NOT_YET and NO_LONGER: the instant; else empty.")


@declare.output(PLATFORM_READERS)
class FeeStackWhy:
    """One of the stacked fees on a line: the rule that is charged, and every other rule with its reason."""

    stack: str
    charged: str | None = strawberry.field(description="The name of the rule; null when none holds.")
    rejected: list[FeeRuleRejection]


@declare.output(PLATFORM_READERS)
class FeeLineWhy:
    """Why a line is charged as it is."""

    line_id: str
    stacks: list[FeeStackWhy]


@declare.input
class FeeSchedulePreviewInput:
    """A basket, and the fees it is tried under: a document, a schedule by its id, or neither for those in force."""

    document: FeeDocument | None = None
    id: strawberry.ID | None = strawberry.field(default=None, description="fee_… of a draft or of a version.")
    currency: CurrencyCode
    lines: list[PaymentLineInput]
    shipping: list[ShippingInput] = strawberry.field(default_factory=list)
    discounts: list[DiscountInput] = strawberry.field(default_factory=list)
    buyer: BuyerPlaceInput | None = None
    channel: str = ""
    method_kind: str = ""


FeeSchedulePreviewError = Annotated[AnyMutationError | SellerNotAllowed, strawberry.union("FeeSchedulePreviewError")]


@declare.output(PLATFORM_READERS)
class FeeSchedulePreviewPayload:
    """The split that the basket would have, and why."""

    split: Split | None = None
    why: list[FeeLineWhy] = strawberry.field(default_factory=list)
    errors: list[FeeSchedulePreviewError]


@strawberry.type
class FeePreviewQueries:
    @declare.query(PLATFORM_READERS, extensions=[RefusalsAsData()])
    async def fee_schedule_preview(self, info: Info, input: FeeSchedulePreviewInput) -> FeeSchedulePreviewPayload:
        """A basket under a draft, before anybody pays by it: every fee, and why each rule is charged or not."""
        if input.document is not None and input.id is not None:
            raise InvalidInput("Give a document or an id, not both.", path=("id",), constraint="one of the two")
        order = order_of(
            currency=input.currency,
            lines=input.lines,
            shipping=input.shipping,
            discounts=input.discounts,
            buyer=input.buyer,
            channel=input.channel,
            method_kind=input.method_kind,
        )

        async def work(scope: Scope) -> FeePreview:
            return await preview(scope, order, schedule=await _schedule(scope, input))

        found = await info.context.read(work)
        return FeeSchedulePreviewPayload(
            split=split_of(found.plan.to_trace()), why=[_why(one) for one in found.why], errors=[]
        )


async def _schedule(scope: Scope, input: FeeSchedulePreviewInput) -> Schedule | None:
    if input.document is not None:
        return fee_schedule.draft_schedule(input.document)
    if input.id is None:
        return None
    return fee_schedule.schedule_of(await fee_schedule.load(scope, parse_id("fee schedule", input.id, path=("id",))))


def _why(one: Why) -> FeeLineWhy:
    return FeeLineWhy(
        line_id=one.line_id,
        stacks=[
            FeeStackWhy(
                stack=stack.stack,
                charged=stack.winner.name if stack.winner is not None else None,
                rejected=[_rejection(rejected) for rejected in stack.rejected],
            )
            for stack in one.stacks
        ],
    )


def _rejection(rejected: Rejection) -> FeeRuleRejection:
    return FeeRuleRejection(
        rule=rejected.rule.name,
        reason=rejected.reason,
        misses=[
            FeeConditionMiss(dimension=miss.dimension, expected=miss.expected, actual=miss.actual)
            for miss in rejected.misses
        ],
        outranked_by=rejected.outranked_by,
        rank=rejected.rank,
        expected=rejected.expected,
    )
