"""The platform's fee rule, in versions."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row

from marketbill.errors import InvalidInput
from marketbill.ids import parse_id, public_id
from marketbill.platforms import fee_rule
from marketbill.platforms.fee_rule import FeeRuleDraft
from marketbill.rules.fees.rule import FeeTaxMode, FixedScope
from marketbill.rules.fees.schedule import FeeBase
from marketbill_graphql import declare
from marketbill_graphql.access import BUYER, OPERATOR, TENANT, access
from marketbill_graphql.context import Context, Info
from marketbill_graphql.errors import AnyMutationError, RefusalsAsData
from marketbill_graphql.fields import plain
from marketbill_graphql.money import Money, MoneyInput, amount
from marketbill_graphql.nodes import Node, finds

strawberry.enum(FixedScope, description="What the fixed part of the fee is charged once for.")
strawberry.enum(FeeBase, description="What the fee's percentage is taken of: a line with its sales tax, or without.")
strawberry.enum(FeeTaxMode, description="Whether tax on the fee comes on top of the fee, or lies within it.")


@declare.output(TENANT - BUYER)
class FeeRule(Node):
    """A version of the platform's fee: a percentage, and a fixed amount for each currency. Never edited."""

    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="fee_…")
    version: int
    percent: Decimal = strawberry.field(description='Percent of the base, such as "10".')
    fixed: list[Money] = strawberry.field(description="The fixed part, in each currency that has one.")
    fixed_scope: FixedScope
    base: FeeBase
    fee_tax_mode: FeeTaxMode
    created_at: datetime


@declare.input
class FeeRuleInput:
    """A fee rule: `percent` of the base, plus a fixed amount in each currency that is sold in."""

    percent: Decimal
    fixed: list[MoneyInput] = strawberry.field(default_factory=list)
    fixed_scope: FixedScope = FixedScope.ORDER
    base: FeeBase
    fee_tax_mode: FeeTaxMode


@declare.input
class FeeRulePublishInput:
    """The fee rule that takes over for new payments."""

    idempotency_key: str
    fee_rule: FeeRuleInput


FeeRulePublishError = Annotated[AnyMutationError, strawberry.union("FeeRulePublishError")]


@declare.output(OPERATOR)
class FeeRulePublishPayload:
    """The version in force."""

    fee_rule: FeeRule | None = None
    errors: list[FeeRulePublishError]


def fee_rule_of(row: Row[Any]) -> FeeRule:
    return FeeRule(
        id=strawberry.ID(public_id("fee rule", row.id)),
        version=row.version,
        percent=plain(row.percent),
        fixed=[amount(minor, currency) for currency, minor in sorted(row.fixed.items())],
        fixed_scope=FixedScope(row.fixed_scope),
        base=FeeBase(row.base),
        fee_tax_mode=FeeTaxMode(row.fee_tax_mode),
        created_at=row.created_at,
    )


@finds("fee rule", TENANT - BUYER)
async def _find_fee_rule(context: Context, id: str) -> Node | None:
    rule = parse_id("fee rule", id)
    found = [row for row in await context.read(fee_rule.listing) if row.id == rule]
    return fee_rule_of(found[0]) if found else None


def fee_rule_draft(input: FeeRuleInput) -> FeeRuleDraft:
    fixed: dict[str, int] = {}
    for index, item in enumerate(input.fixed):
        if item.currency in fixed:
            raise InvalidInput(
                f"There are two fixed amounts in {item.currency}.", path=("feeRule", "fixed", str(index), "currency")
            )
        fixed[item.currency] = item.minor
    return FeeRuleDraft(
        percent=input.percent,
        fixed=fixed,
        fixed_scope=input.fixed_scope,
        base=input.base,
        fee_tax_mode=input.fee_tax_mode,
    )


@strawberry.type
class FeeRuleCommands:
    @declare.command(OPERATOR, RefusalsAsData())
    async def fee_rule_publish(self, info: Info, input: FeeRulePublishInput) -> FeeRulePublishPayload:
        """Publishes the next version of the fee rule, in force for payments from now on."""
        row = await fee_rule.publish(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            draft=fee_rule_draft(input.fee_rule),
        )
        return FeeRulePublishPayload(fee_rule=fee_rule_of(row), errors=[])
