"""Requests to the provider: what was asked, every attempt and what came of it, and what operators do about it."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row

from marketbill.ids import public_id
from marketbill.interventions import provider_intent
from marketbill.provider import intent as intents
from marketbill.provider.intent import intent_key
from marketbill.provider.kinds import KINDS
from marketbill.provider.model import AttemptOutcome, IntentStatus
from marketbill_graphql import declare
from marketbill_graphql.access import OPERATOR, OPERATORS, TENANT, access
from marketbill_graphql.connections import Connection, connection, page_request
from marketbill_graphql.context import Context, Info
from marketbill_graphql.errors import AnyMutationError, RefusalsAsData
from marketbill_graphql.nodes import Node, finds

strawberry.enum(
    IntentStatus,
    name="ProviderIntentStatus",
    description=(
        "OPEN waits for its first attempt, or for the next after a refusal. UNKNOWN may have been done by the provider:"
        " it is looked up before it is tried again. GAVE_UP waits for an operator."
    ),
)
strawberry.enum(
    AttemptOutcome,
    name="ProviderAttemptOutcome",
    description="INTERRUPTED: whoever made it never told what came of it; the next attempt looked it up.",
)


@declare.output(OPERATORS)
class ProviderAttempt:
    """One attempt to have the provider do something."""

    number: int
    key: str = strawberry.field(description="The idempotency key it used at the provider.")
    looked_up: bool = strawberry.field(description="Whether it first looked for what an earlier attempt may have made.")
    started_at: datetime
    ended_at: datetime | None
    outcome: AttemptOutcome | None = strawberry.field(description="Null while it is under way.")
    http_status: int | None
    code: str | None = strawberry.field(description="The provider's error code, or ours for what is no error of its.")
    message: str | None = strawberry.field(description="What the provider said, without secrets and addresses.")
    request_id: str | None = strawberry.field(description="The provider's own name of the request, for its support.")


@declare.output(OPERATORS)
class ProviderIntent(Node):
    """Something that the provider is asked to do once: an account, a payment, a transfer, a payout."""

    row: strawberry.Private[Row[Any]]
    id: strawberry.ID = strawberry.field(
        directives=[access(TENANT)], description="int_…; also in the metadata of what the provider made of it."
    )
    kind: str = strawberry.field(description="create_payment, create_transfer, …")
    subject_id: strawberry.ID | None = strawberry.field(
        description="The id of what it is for: a payment, a transfer, …"
    )
    status: IntentStatus
    attempt_count: int
    provider_id: str | None = strawberry.field(description="The provider's id of what was made.")
    code: str | None = strawberry.field(description="The error code of the last attempt that failed.")
    reason: str | None = strawberry.field(description="Why the last attempt that failed did.")
    created_at: datetime
    updated_at: datetime
    next_attempt_at: datetime | None = strawberry.field(description="When it is tried again by itself, if so.")
    decided_by: str | None = strawberry.field(description="Who last retried or abandoned it.")
    decided_at: datetime | None
    decision_reason: str | None = strawberry.field(description="Why it was abandoned.")

    @declare.computed
    async def attempts(self, info: Info) -> list[ProviderAttempt]:
        """The newest attempts, the last one first; at most fifty."""
        return [_attempt_of(row) for row in await info.context.load(intents.attempts_of, self.row.id) or ()]


@declare.input
class ProviderIntentRetryInput:
    """Which request to try again."""

    idempotency_key: str
    id: strawberry.ID


@declare.input
class ProviderIntentAbandonInput:
    """Which request to give up for good, and why."""

    idempotency_key: str
    id: strawberry.ID
    reason: str = strawberry.field(description="1 to 500 characters; kept with the request.")


ProviderIntentRetryError = Annotated[AnyMutationError, strawberry.union("ProviderIntentRetryError")]
ProviderIntentAbandonError = Annotated[AnyMutationError, strawberry.union("ProviderIntentAbandonError")]


@declare.output(OPERATOR)
class ProviderIntentRetryPayload:
    """The request, which is due now."""

    provider_intent: ProviderIntent | None = None
    errors: list[ProviderIntentRetryError]


@declare.output(OPERATOR)
class ProviderIntentAbandonPayload:
    """The request, which has ended."""

    provider_intent: ProviderIntent | None = None
    errors: list[ProviderIntentAbandonError]


@strawberry.type
class ProviderIntentQueries:
    @declare.query(OPERATORS)
    async def provider_intents(
        self,
        info: Info,
        status: list[IntentStatus] | None = None,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[ProviderIntent]:
        """Requests to the provider, newest first, of any of these states."""
        asked = page_request(list_name="providerIntents", first=first, after=after, last=last, before=before)
        found = await info.context.read(lambda scope: intents.page(scope, asked, status=status))
        return connection(found, list_name="providerIntents", node=provider_intent_of)


@strawberry.type
class ProviderIntentCommands:
    @declare.command(OPERATOR, RefusalsAsData())
    async def provider_intent_retry(self, info: Info, input: ProviderIntentRetryInput) -> ProviderIntentRetryPayload:
        """Tries a request again at once that was given up, waits, or is an abandoned transfer.

        It is looked up at the provider first, so it happens once.
        """
        row = await provider_intent.retry_once(
            info.context.services, info.context.actor, idempotency_key=input.idempotency_key, id=input.id
        )
        return ProviderIntentRetryPayload(provider_intent=provider_intent_of(row), errors=[])

    @declare.command(OPERATOR, RefusalsAsData())
    async def provider_intent_abandon(
        self, info: Info, input: ProviderIntentAbandonInput
    ) -> ProviderIntentAbandonPayload:
        """Gives a request up for good, once the provider has said that it did not do it.

        A transfer's money, all of its amount, stays payable to its seller, and `providerIntentRetry` takes the
        abandonment back. A payout's goes back to the seller's balance; he is paid by a new payout.
        """
        row = await provider_intent.abandon_once(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            id=input.id,
            reason=input.reason,
        )
        return ProviderIntentAbandonPayload(provider_intent=provider_intent_of(row), errors=[])


def provider_intent_of(row: Row[Any]) -> ProviderIntent:
    request = KINDS.get(row.kind)
    error = row.last_error or {}
    return ProviderIntent(
        row=row,
        id=strawberry.ID(public_id("provider intent", row.id)),
        kind=row.kind,
        subject_id=strawberry.ID(public_id(request.subject, row.subject_id)) if request else None,
        status=IntentStatus(row.status),
        attempt_count=row.attempts,
        provider_id=row.provider_id,
        code=error.get("code"),
        reason=error.get("message"),
        created_at=row.created_at,
        updated_at=row.updated_at,
        next_attempt_at=row.next_attempt_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        decision_reason=row.decision_reason,
    )


def _attempt_of(row: Row[Any]) -> ProviderAttempt:
    return ProviderAttempt(
        number=row.number,
        key=intent_key(row.intent_id, row.generation),
        looked_up=row.looked_up,
        started_at=row.started_at,
        ended_at=row.ended_at,
        outcome=AttemptOutcome(row.outcome) if row.outcome else None,
        http_status=row.http_status,
        code=row.code,
        message=row.message,
        request_id=row.request_id,
    )


@finds("provider intent", OPERATORS)
async def _find_provider_intent(context: Context, id: str) -> ProviderIntent:
    return provider_intent_of(await context.read(lambda scope: intents.row_by_id(scope, id)))
