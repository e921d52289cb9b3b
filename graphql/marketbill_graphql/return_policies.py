"""The policy of returns: who bears what by the cause, version by version."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row

from marketbill.errors import InvalidInput
from marketbill.ids import public_id
from marketbill.paging import PAGE_DEFAULT, PAGE_MAX
from marketbill.refunds import policy
from marketbill.rules.return_policy import (
    DEFAULT,
    Bearer,
    Cause,
    FeeReturn,
    ProviderFeeBearer,
    ReturnTerms,
    policy_of,
)
from marketbill.rules.return_policy import (
    ReturnPolicy as Matrix,
)
from marketbill_graphql import declare
from marketbill_graphql.access import PLATFORM_READERS, PLATFORM_WRITERS
from marketbill_graphql.context import Info
from marketbill_graphql.errors import AnyMutationError, RefusalsAsData

strawberry.enum(
    Cause,
    name="ReturnCause",
    description="Why money goes back to a buyer; the policy says who bears it.",
)
strawberry.enum(Bearer, description="Who bears an amount in the end.")
strawberry.enum(FeeReturn, description="Whether a part of the platform's fee goes back, in proportion, or is kept.")
strawberry.enum(
    ProviderFeeBearer,
    description="Who bears the provider's fee of the sale. AS_CHARGED: as at the sale. SELLER: what he does not bear"
    " yet is charged to him. PLATFORM: what he was charged goes back to him.",
)


@declare.output(PLATFORM_READERS)
class ReturnPolicyRow:
    """What holds for one cause."""

    cause: Cause
    price: Bearer = strawberry.field(description="The sale with its tax.")
    percent_fee: FeeReturn
    fixed_fee: FeeReturn
    provider_fee: ProviderFeeBearer
    dispute_fee: Bearer


@declare.output(PLATFORM_READERS)
class ReturnPolicy:
    """Who bears what when money goes back, by the cause. Version 0 is the default."""

    id: strawberry.ID | None = strawberry.field(description="rpo_…; null for the default.")
    version: int
    rows: list[ReturnPolicyRow]
    note: str | None = strawberry.field(description="Why it was published.")
    published_by: str | None
    published_at: datetime | None


@declare.input
class ReturnPolicyRowInput:
    """What shall hold for one cause."""

    cause: Cause
    price: Bearer
    percent_fee: FeeReturn
    fixed_fee: FeeReturn
    provider_fee: ProviderFeeBearer
    dispute_fee: Bearer


@declare.input
class ReturnPolicyPublishInput:
    """The whole matrix: one row for each cause."""

    idempotency_key: str
    rows: list[ReturnPolicyRowInput]
    note: str = strawberry.field(description="Why it changes, 1 to 500 characters.")


ReturnPolicyPublishError = Annotated[AnyMutationError, strawberry.union("ReturnPolicyPublishError")]


@declare.output(PLATFORM_WRITERS)
class ReturnPolicyPublishPayload:
    """The version that holds from now on, for what is created from now on."""

    return_policy: ReturnPolicy | None = None
    errors: list[ReturnPolicyPublishError]


@strawberry.type
class ReturnPolicyQueries:
    @declare.query(PLATFORM_READERS)
    async def return_policy(self, info: Info) -> ReturnPolicy:
        """What holds now."""
        return _policy_of(await info.context.read(policy.newest))

    @declare.query(PLATFORM_READERS)
    async def return_policies(
        self, info: Info, first: int = PAGE_DEFAULT, below: int | None = None
    ) -> list[ReturnPolicy]:
        """Published versions, newest first; `below` is the last version seen."""
        if not 1 <= first <= PAGE_MAX:
            raise InvalidInput(f"A page has 1 to {PAGE_MAX} items.", path=("first",), constraint=f"1..{PAGE_MAX}")
        most = 2**31 - 1 if below is None else below
        found = await info.context.read(lambda scope: policy.versions(scope, below=most, limit=first))
        return [_policy_of(row) for row in found]


@strawberry.type
class ReturnPolicyCommands:
    @declare.command(PLATFORM_WRITERS, RefusalsAsData())
    async def return_policy_publish(self, info: Info, input: ReturnPolicyPublishInput) -> ReturnPolicyPublishPayload:
        """Publishes the next version. Refunds keep the version that they were created by."""
        row = await policy.publish(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            rows=[
                (
                    one.cause,
                    ReturnTerms(
                        one.price,
                        one.percent_fee,
                        one.fixed_fee,
                        one.provider_fee,
                        one.dispute_fee,
                    ),
                )
                for one in input.rows
            ],
            note=input.note,
        )
        return ReturnPolicyPublishPayload(return_policy=_policy_of(row), errors=[])


def _policy_of(row: Row[Any] | None) -> ReturnPolicy:
    held: Matrix = DEFAULT if row is None else policy_of(row.version, row.rows)
    return ReturnPolicy(
        id=None if row is None else strawberry.ID(public_id("return policy", row.id)),
        version=held.version,
        rows=[
            ReturnPolicyRow(
                cause=cause,
                price=terms.price,
                percent_fee=terms.percent_fee,
                fixed_fee=terms.fixed_fee,
                provider_fee=terms.provider_fee,
                dispute_fee=terms.dispute_fee,
            )
            for cause, terms in ((cause, held.rows[cause]) for cause in Cause)
        ],
        note=None if row is None else row.note,
        published_by=None if row is None else row.published_by,
        published_at=None if row is None else row.published_at,
    )
