"""An order as a request states it, and its way into the pure split: one path for preview and sale."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, select

from marketbill.db import Scope
from marketbill.errors import InvalidInput, NotFound
from marketbill.ids import parse_id, public_id
from marketbill.platforms.fee_schedule import ScheduleMissing, schedule_of
from marketbill.platforms.model import fee_schedule as fee_table
from marketbill.platforms.model import platform as platform_table
from marketbill.platforms.model import provider_credential
from marketbill.prepared import prepared
from marketbill.provider.stripe.units import to_stripe_charge
from marketbill.rules.basket import LINES_MAX, Basket, BasketEmpty, BasketLine, TooManyLines
from marketbill.rules.fees.terms import FeeTerms
from marketbill.rules.plan import SplitPlan
from marketbill.rules.split import split
from marketbill.rules.tax.parties import PlatformTax
from marketbill.rules.tax.terms import TaxTerms
from marketbill.sellers import seller as sellers
from marketbill.text import check_usable

EXTERNAL_REFS_MAX = 10
_REF_LENGTH_MAX = 200

# The fee schedule in force, the platform and its provider key in one statement: this is the hot path.
_TERMS = prepared(
    select(
        platform_table.c.country,
        platform_table.c.fee_tax_rate,
        platform_table.c.hold_from,
        platform_table.c.hold_days,
        provider_credential.c.secret_key,
        fee_table.c.id,
        fee_table.c.version,
        fee_table.c.document,
    )
    .join(fee_table, fee_table.c.platform_id == platform_table.c.platform_id)
    .outerjoin(provider_credential, provider_credential.c.platform_id == platform_table.c.platform_id)
    .where(
        platform_table.c.platform_id == bindparam("platform"),
        fee_table.c.status == "PUBLISHED",
        fee_table.c.effective_from <= bindparam("now"),
    )
    .order_by(fee_table.c.effective_from.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One line as requested. `unit_price` is minor units of `currency`; `tax_rate` is a percentage."""

    seller_id: str
    description: str
    category: str
    quantity: int
    unit_price: int
    currency: str
    tax_rate: Decimal
    tax_inclusive: bool
    external_refs: dict[str, str] = field(default_factory=dict)

    def body(self) -> list[Any]:
        return [
            self.seller_id,
            self.description,
            self.category,
            self.quantity,
            self.unit_price,
            self.currency,
            str(self.tax_rate),
            self.tax_inclusive,
            self.external_refs,
        ]


@dataclass(frozen=True, slots=True)
class PlannedOrder:
    """An order with its split and the terms it was computed with; `terms.secret_key` is the sealed provider key."""

    plan: SplitPlan
    lines: tuple[OrderLine, ...]
    seller_ids: tuple[UUID, ...]
    terms: Row[Any]


async def plan_order(scope: Scope, *, currency: str, lines: Sequence[OrderLine]) -> PlannedOrder:
    """Reads the terms in force and the sellers, and computes the split. Writes nothing.

    Raises InvalidInput for a wrong field, NotFound for an unknown seller, SellerNotAllowed for one that may not sell.
    """
    if not lines:
        raise BasketEmpty
    if len(lines) > LINES_MAX:
        raise TooManyLines(len(lines))
    ids: list[UUID] = []
    for index, line in enumerate(lines):
        ids.append(parse_id("seller", line.seller_id, path=("lines", str(index), "sellerId")))
        _check_currency(line, currency, index)
        _check_refs(line, index)
    terms = await scope.first(_TERMS, {"platform": scope.platform, "now": scope.now})
    if terms is None:
        raise ScheduleMissing(scope.now)
    found = await sellers.by_ids(scope, set(ids))
    for index, id in enumerate(ids):
        path = ("lines", str(index), "sellerId")
        if id not in found:
            raise NotFound("seller", lines[index].seller_id, path=path)
        sellers.gate_to_sell(found[id], path=path)
    basket = Basket(
        currency,
        tuple(
            BasketLine(
                id=f"{index + 1:03d}",
                seller_id=line.seller_id,
                description=line.description,
                category=line.category,
                quantity=line.quantity,
                unit_price=line.unit_price,
                tax_rate=line.tax_rate,
                tax_inclusive=line.tax_inclusive,
            )
            for index, line in enumerate(lines)
        ),
    )
    plan = split(
        basket,
        FeeTerms(schedule_of(terms), at=scope.now),
        TaxTerms(
            platform=PlatformTax(terms.country, terms.fee_tax_rate.normalize()),
            sellers={public_id("seller", id): sellers.tax_of(row) for id, row in found.items()},
        ),
    )
    _check_chargeable(plan)
    return PlannedOrder(plan, tuple(lines), tuple(ids), terms)


def _check_chargeable(plan: SplitPlan) -> None:
    """What the provider could not charge exactly is refused before anything is kept, in a preview too."""
    try:
        to_stripe_charge(plan.totals.charged, plan.currency)
    except InvalidInput as error:
        error.path = ("lines",)
        raise


def _check_currency(line: OrderLine, currency: str, index: int) -> None:
    if line.currency != currency:
        raise InvalidInput(
            f"The basket is in {currency}, this line in {line.currency}: one basket has one currency.",
            path=("lines", str(index), "unitPrice", "currency"),
            constraint=currency,
        )


def _check_refs(line: OrderLine, index: int) -> None:
    path = ("lines", str(index), "externalRefs")
    if len(line.external_refs) > EXTERNAL_REFS_MAX:
        raise InvalidInput(f"A line has at most {EXTERNAL_REFS_MAX} external ids.", path=path)
    for name, value in line.external_refs.items():
        if not 1 <= len(name) <= 40 or not 1 <= len(value) <= _REF_LENGTH_MAX:
            raise InvalidInput("An external id has a name of 1 to 40 and a value of 1 to 200 characters.", path=path)
        check_usable(name, path=path)
        check_usable(value, path=path)
