"""Early fraud warnings: what issuers reported, and what became of it."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import Row

from marketbill.disputes import queries
from marketbill.disputes.model import WarningAction
from marketbill.ids import public_id
from marketbill.payments import queries as payments
from marketbill_graphql import declare
from marketbill_graphql.access import PLATFORM_READERS, TENANT, access
from marketbill_graphql.connections import Connection, connection, page_request
from marketbill_graphql.context import Context, Info
from marketbill_graphql.nodes import Node, finds

if TYPE_CHECKING:
    from marketbill_graphql.payments import Payment

strawberry.enum(WarningAction, name="FraudWarningAction", description="What the policy made of a fraud warning.")


@declare.output(PLATFORM_READERS)
class FraudWarning(Node):
    """An issuer's word that a payment is fraud, before or without a dispute."""

    row: strawberry.Private[Row[Any]]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="frw_…")
    fraud_type: str = strawberry.field(description="As the provider calls it, such as made_with_stolen_card.")
    is_actionable: bool = strawberry.field(description="The payment is neither disputed nor wholly refunded.")
    action: WarningAction
    explanation: str | None = strawberry.field(description="Why something else was done than the policy says.")
    refund_id: strawberry.ID | None = strawberry.field(description="The refund that was made for it.")
    policy_version: int
    provider_warning: str = strawberry.field(description="The provider's id.")
    warned_at: datetime

    @declare.computed
    async def payment(self, info: Info) -> Annotated["Payment", strawberry.lazy("marketbill_graphql.payments")]:
        """The payment it is about."""
        from marketbill_graphql.payments import payment_of

        return payment_of(await info.context.load_own(payments.by_ids, self.row.payment_id))


@strawberry.type
class FraudWarningQueries:
    @declare.query(PLATFORM_READERS)
    async def fraud_warnings(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        actionable: bool | None = None,
    ) -> Connection[FraudWarning]:
        """Fraud warnings, newest first."""
        asked = page_request(list_name="fraudWarnings", first=first, after=after, last=last, before=before)
        actor = info.context.actor
        found = await info.context.read(lambda scope: queries.warnings(scope, actor, asked, actionable=actionable))
        return connection(found, list_name="fraudWarnings", node=warning_of)


def warning_of(row: Row[Any]) -> FraudWarning:
    return FraudWarning(
        row=row,
        id=strawberry.ID(public_id("fraud warning", row.id)),
        fraud_type=row.fraud_type,
        is_actionable=row.actionable,
        action=WarningAction(row.action),
        explanation=row.explanation,
        refund_id=strawberry.ID(public_id("refund", row.refund_id)) if row.refund_id else None,
        policy_version=row.policy_version,
        provider_warning=row.provider_warning,
        warned_at=row.warned_at,
    )


@finds("fraud warning", PLATFORM_READERS)
async def _find_warning(context: Context, id: str) -> FraudWarning:
    return warning_of(await context.read(lambda scope: queries.warning_by_id(scope, context.actor, id)))
