"""A basket under a schedule that need not be published: the split, and why each rule is charged on a line or not."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select

from marketbill.db import Scope
from marketbill.errors import NotFound
from marketbill.ids import parse_id
from marketbill.payments.order import Order
from marketbill.payments.planning import plan_order
from marketbill.payments.provider_taxes import Taxes
from marketbill.rules.fees.conditions import Facts
from marketbill.rules.fees.resolver import Resolution, by_stack, resolve
from marketbill.rules.fees.schedule import Schedule
from marketbill.rules.plan import SplitPlan
from marketbill.rules.pricing import price
from marketbill.rules.split import facts_of
from marketbill.sellers import seller as sellers
from marketbill.sellers.model import seller as seller_table


@dataclass(frozen=True, slots=True)
class Why:
    """What the rules look at on a line, and by stack the rule that is charged and the others with their reasons."""

    line_id: str
    facts: Facts
    stacks: tuple[Resolution, ...]


@dataclass(frozen=True, slots=True)
class FeePreview:
    """A split that was kept nowhere, and the reasons for its fees, line by line."""

    plan: SplitPlan
    why: tuple[Why, ...]


async def preview(
    scope: Scope, order: Order, taxes: Taxes | None = None, *, schedule: Schedule | None = None
) -> FeePreview:
    """The order under a schedule, or under the one in force. Writes nothing. Raises what `plan_order` raises."""
    plan = (await plan_order(scope, order, taxes, schedule=schedule)).plan
    return FeePreview(plan, why(plan))


async def seller_named(scope: Scope, named: str) -> Row[Any]:
    """A seller by his id, or by the platform's own name for him. Raises NotFound."""
    if named.startswith("sel_"):
        id = parse_id("seller", named, path=("seller",))
        return (await sellers.by_ids(scope, [id])).get(id) or _unknown(named)
    statement = select(seller_table).where(
        seller_table.c.platform_id == scope.platform, seller_table.c.external_ref == named
    )
    return await scope.first(statement) or _unknown(named)


def _unknown(named: str) -> Row[Any]:
    raise NotFound("seller", named[:64], path=("seller",))


def why(plan: SplitPlan) -> tuple[Why, ...]:
    """For each line, what the rules looked at and what came of it."""
    schedule = plan.fees.schedule
    stacks = list(by_stack(schedule))
    whys: list[Why] = []
    for item in price(plan.basket, {line.line_id: line.sale_tax for line in plan.lines}):
        facts = facts_of(item, plan.basket, plan.fees, plan.tax)
        whys.append(Why(item.line.id, facts, tuple(resolve(schedule, stack, facts) for stack in stacks)))
    return tuple(whys)
