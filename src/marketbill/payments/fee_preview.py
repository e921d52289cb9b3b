"""A basket under a schedule that need not be published: the split, and why each rule is charged on a line or not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select

from marketbill.db import Scope
from marketbill.errors import NotFound
from marketbill.ids import parse_id, public_id
from marketbill.payments import volumes
from marketbill.platforms import fee_schedule
from marketbill.platforms import platform as platforms
from marketbill.rules.basket import Basket
from marketbill.rules.fees.conditions import Facts
from marketbill.rules.fees.resolver import Resolution, by_stack, resolve
from marketbill.rules.fees.schedule import Schedule
from marketbill.rules.fees.terms import FeeTerms
from marketbill.rules.plan import SplitPlan
from marketbill.rules.pricing import price
from marketbill.rules.split import facts_of, split
from marketbill.rules.tax.parties import BuyerTax, PlatformTax
from marketbill.rules.tax.terms import TaxTerms
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
    scope: Scope, basket: Basket, *, schedule: Schedule | None = None, buyer: BuyerTax | None = None
) -> FeePreview:
    """The basket under a schedule, or under the one in force. Writes nothing. Every line states its own tax rate.

    Raises NotFound for an unknown seller, ScheduleMissing, and what `split` raises.
    """
    chosen = schedule or fee_schedule.schedule_of(await fee_schedule.current(scope))
    platform = await platforms.load(scope)
    found = await _sellers(scope, basket)
    fees = FeeTerms(
        chosen,
        scope.now,
        {id: frozenset(row.groups) for id, row in found.items()},
        await volumes.before(scope, chosen, [row.id for row in found.values()], currency=basket.currency, at=scope.now),
    )
    tax = TaxTerms(
        platform=PlatformTax(platform.country, platform.fee_tax_rate.normalize()),
        sellers={id: sellers.tax_of(row) for id, row in found.items()},
        buyer=buyer or BuyerTax(),
        at=scope.now,
    )
    plan = split(basket, fees, tax)
    return FeePreview(plan, _why(plan, chosen))


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


async def _sellers(scope: Scope, basket: Basket) -> Mapping[str, Row[Any]]:
    ids: list[UUID] = []
    for index, line in enumerate(basket.lines):
        ids.append(parse_id("seller", line.seller_id, path=("lines", str(index), "sellerId")))
    found = await sellers.by_ids(scope, set(ids))
    for index, id in enumerate(ids):
        if id not in found:
            raise NotFound("seller", basket.lines[index].seller_id, path=("lines", str(index), "sellerId"))
    return {public_id("seller", id): row for id, row in found.items()}


def _why(plan: SplitPlan, schedule: Schedule) -> tuple[Why, ...]:
    priced = price(plan.basket, {line.line_id: line.sale_tax for line in plan.lines})
    stacks: Sequence[str] = list(by_stack(schedule))
    whys: list[Why] = []
    for item in priced:
        facts = facts_of(item, plan.basket, plan.fees, plan.tax)
        whys.append(Why(item.line.id, facts, tuple(resolve(schedule, stack, facts) for stack in stacks)))
    return tuple(whys)
