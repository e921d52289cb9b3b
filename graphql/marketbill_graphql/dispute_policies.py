"""The policy on disputes and fraud warnings, by version."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row

from marketbill.disputes import policy
from marketbill.disputes.model import DisputeHold, OnFraudWarning, RecoverAt
from marketbill.errors import InvalidInput
from marketbill.paging import PAGE_DEFAULT, PAGE_MAX
from marketbill_graphql import declare
from marketbill_graphql.access import PLATFORM_READERS, PLATFORM_WRITERS
from marketbill_graphql.context import Info
from marketbill_graphql.errors import AnyMutationError, RefusalsAsData
from marketbill_graphql.money import Money, MoneyInput, amount

strawberry.enum(
    DisputeHold,
    description="What is kept from release while a dispute is open: all that its sellers get, their parts of the"
    " disputed payment alone, or nothing.",
)
strawberry.enum(
    OnFraudWarning,
    description="REFUND_BELOW refunds a sale that is not above an amount, and holds the others.",
)


@declare.output(PLATFORM_READERS)
class DisputePolicy:
    """How disputes and fraud warnings are dealt with. Version 0 is the default."""

    version: int
    recover_at: RecoverAt
    hold: DisputeHold
    countered_fees: list[Money] = strawberry.field(
        description="What answering is expected to cost, until the provider has charged it once in the currency."
    )
    on_fraud_warning: OnFraudWarning
    refund_below: list[Money] = strawberry.field(description="Up to which amount REFUND_BELOW refunds a sale.")
    note: str | None = strawberry.field(description="Why it was published.")
    published_by: str | None
    published_at: datetime | None


@declare.input
class DisputePolicyPublishInput:
    """The whole policy."""

    idempotency_key: str
    recover_at: RecoverAt = RecoverAt.LOST
    hold: DisputeHold = DisputeHold.SELLER
    countered_fees: list[MoneyInput] = strawberry.field(default_factory=list)
    on_fraud_warning: OnFraudWarning = OnFraudWarning.NOTHING
    refund_below: list[MoneyInput] = strawberry.field(default_factory=list)
    note: str = strawberry.field(description="Why it changes, 1 to 500 characters.")


DisputePolicyPublishError = Annotated[AnyMutationError, strawberry.union("DisputePolicyPublishError")]


@declare.output(PLATFORM_WRITERS)
class DisputePolicyPublishPayload:
    """The version that holds from now on, for what comes in from now on."""

    dispute_policy: DisputePolicy | None = None
    errors: list[DisputePolicyPublishError]


@strawberry.type
class DisputePolicyQueries:
    @declare.query(PLATFORM_READERS)
    async def dispute_policy(self, info: Info) -> DisputePolicy:
        """What holds now."""
        return policy_node(await info.context.read(policy.newest))

    @declare.query(PLATFORM_READERS)
    async def dispute_policies(
        self, info: Info, first: int = PAGE_DEFAULT, below: int | None = None
    ) -> list[DisputePolicy]:
        """Published versions, newest first; `below` is the last version seen."""
        if not 1 <= first <= PAGE_MAX:
            raise InvalidInput(f"A page has 1 to {PAGE_MAX} items.", path=("first",), constraint=f"1..{PAGE_MAX}")
        most = 2**31 - 1 if below is None else below
        found = await info.context.read(lambda scope: policy.versions(scope, below=most, limit=first))
        return [policy_node(row) for row in found]


@strawberry.type
class DisputePolicyCommands:
    @declare.command(PLATFORM_WRITERS, RefusalsAsData())
    async def dispute_policy_publish(self, info: Info, input: DisputePolicyPublishInput) -> DisputePolicyPublishPayload:
        """Publishes the next version. Disputes keep the version that they came in under."""
        row = await policy.publish(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            policy=policy.DisputePolicy(
                recover_at=input.recover_at,
                hold=input.hold,
                on_fraud_warning=input.on_fraud_warning,
                countered_fees=_by_currency(input.countered_fees, "counteredFees"),
                refund_below=_by_currency(input.refund_below, "refundBelow"),
            ),
            note=input.note,
        )
        return DisputePolicyPublishPayload(dispute_policy=policy_node(row), errors=[])


def policy_node(row: Row[Any] | None) -> DisputePolicy:
    held = policy.DEFAULT if row is None else policy.policy_of(row)
    return DisputePolicy(
        version=held.version,
        recover_at=held.recover_at,
        hold=held.hold,
        countered_fees=[amount(minor, currency) for currency, minor in sorted(held.countered_fees.items())],
        on_fraud_warning=held.on_fraud_warning,
        refund_below=[amount(minor, currency) for currency, minor in sorted(held.refund_below.items())],
        note=None if row is None else row.note,
        published_by=None if row is None else row.published_by,
        published_at=None if row is None else row.published_at,
    )


def _by_currency(given: list[MoneyInput], name: str) -> dict[str, int]:
    amounts: dict[str, int] = {}
    for place, one in enumerate(given):
        if one.currency in amounts:
            raise InvalidInput(
                f"{one.currency} is named twice.", path=(name, str(place)), constraint="one amount per currency"
            )
        amounts[one.currency] = one.minor
    return amounts
