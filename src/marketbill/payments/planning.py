"""From an order to its split: the terms in force are read, the rest is pure. One path for preview and sale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, select

from marketbill.db import Scope
from marketbill.errors import InvalidInput, NotFound, StateConflict
from marketbill.ids import parse_id, public_id
from marketbill.payments import booking, volumes
from marketbill.payments.order import BuyerPlace, Order, OrderDiscount, OrderLine, check_order
from marketbill.payments.provider_taxes import Taxes, TaxesWanted
from marketbill.payments.release_rules import IN_FORCE, terms_of
from marketbill.platforms import platform as platforms
from marketbill.platforms.fee_schedule import ScheduleMissing, schedule_of
from marketbill.platforms.model import fee_schedule as schedule_table
from marketbill.platforms.model import platform as platform_table
from marketbill.platforms.model import provider_credential
from marketbill.platforms.tax_rates import table_for
from marketbill.prepared import prepared
from marketbill.provider.stripe.units import to_stripe_charge
from marketbill.provider.tax import TaxProvider
from marketbill.rates.store import rates_known
from marketbill.rules.basket import Basket, BasketLine, Discount, Shipping
from marketbill.rules.fees.schedule import Schedule
from marketbill.rules.fees.terms import FeeTerms
from marketbill.rules.fx import NO_RATES, Rates
from marketbill.rules.plan import SplitPlan
from marketbill.rules.release import Hold, HoldFrom, hold_days_legal
from marketbill.rules.split import split
from marketbill.rules.tax.parties import BuyerTax
from marketbill.rules.tax.terms import TaxTerms
from marketbill.rules.tax.vat_number import vat_number_valid
from marketbill.sellers import seller as sellers
from marketbill.tax_data.liability import built_in_liability

#: In which the laws of tax bound the worth of a consignment.
_BOUND_CURRENCIES = frozenset({"AUD", "EUR", "GBP", "NOK", "NZD"})


@dataclass(frozen=True, slots=True)
class PlannedOrder:
    """An order with its split, the terms it was computed with, and by each seller's public id the hold of his share
    and for how many days the law lets it be held; `terms.secret_key` is the sealed provider key."""

    order: Order
    plan: SplitPlan
    seller_ids: tuple[UUID, ...]
    terms: Row[Any]
    holds: Mapping[str, Hold]
    legal_days: Mapping[str, int]


# The fee schedule in force, the platform and its provider key in one statement: this is the hot path.
_TERMS = prepared(
    select(
        platform_table.c.country,
        platform_table.c.fee_tax_rate,
        platform_table.c.tax_registrations,
        platform_table.c.tax_provider,
        platform_table.c.hold_from,
        platform_table.c.hold_days,
        IN_FORCE.label("release_rule_id"),
        provider_credential.c.secret_key,
        schedule_table.c.id,
        schedule_table.c.version,
        schedule_table.c.document,
    )
    .join(schedule_table, schedule_table.c.platform_id == platform_table.c.platform_id)
    .outerjoin(provider_credential, provider_credential.c.platform_id == platform_table.c.platform_id)
    .where(
        platform_table.c.platform_id == bindparam("platform"),
        schedule_table.c.status == "PUBLISHED",
        schedule_table.c.effective_from <= bindparam("now"),
    )
    .order_by(schedule_table.c.effective_from.desc())
    .limit(1)
)


async def plan_order(
    scope: Scope, order: Order, taxes: Taxes | None = None, *, schedule: Schedule | None = None
) -> PlannedOrder:
    """Reads the terms in force and the sellers, and computes the split. Writes nothing.

    `taxes` are the platform's provider's, by line id. With `schedule` that one holds in place of the one in force, as
    for a preview of a draft.

    Raises InvalidInput for a wrong field, NotFound for an unknown seller, SellerNotAllowed for one that may not sell,
    TaxesWanted when the provider of taxes was not asked yet (see `provider_taxes.with_taxes`).
    """
    check_order(order)
    ids = [
        parse_id("seller", line.seller_id, path=("lines", str(index), "sellerId"))
        for index, line in enumerate(order.lines)
    ]
    buyer = _buyer(order.buyer)
    terms = await scope.first(_TERMS, {"platform": scope.platform, "now": scope.now})
    if terms is None:
        raise ScheduleMissing(scope.now)
    found = await sellers.by_ids(scope, set(ids))
    _check_sellers(order, ids, found)
    by_name = {public_id("seller", id): row for id, row in found.items()}
    basket = _basket(order)
    if terms.tax_provider == TaxProvider.STRIPE and taxes is None and _is_undecided(order):
        raise TaxesWanted(basket, order.buyer, terms.secret_key)
    schedule = schedule or schedule_of(terms)
    plan = split(
        basket,
        FeeTerms(
            schedule,
            scope.now,
            groups={name: frozenset(row.groups) for name, row in by_name.items()},
            volumes=await volumes.before(scope, schedule, found, currency=order.currency, at=scope.now),
        ),
        TaxTerms(
            platform=platforms.tax_of(terms),
            sellers={name: sellers.tax_of(row) for name, row in by_name.items()},
            buyer=buyer,
            at=scope.now,
            given=taxes or {},
            **await _tables(scope, order, registered=bool(terms.tax_registrations)),
        ),
        await _rates(scope, order),
    )
    by_name |= await _recipients(scope, plan, by_name)
    _check_chargeable(plan)
    booking.check(plan)
    held = await _holds(scope, order, terms, by_name)
    legal_days = {name: hold_days_legal(row.country) for name, row in by_name.items()}
    return PlannedOrder(order, plan, tuple(ids), terms, held, legal_days)


async def _tables(scope: Scope, order: Order, *, registered: bool) -> dict[str, Any]:
    """The tables that decide tax, for an order that does not state all of its rates, and for a buyer's fee: a platform
    that is registered elsewhere charges it at the rate of the buyer's place."""
    if not _is_undecided(order) and (order.buyer is None or not registered):
        return {}
    return {"table": await table_for(scope), "liability": built_in_liability()}


async def _rates(scope: Scope, order: Order) -> Rates:
    """The official rates by which an order is held against the bounds of the law. One that is missing or too old is
    left out: an order that needs it is refused by name, one that does not is not held up."""
    if not _is_undecided(order):
        return NO_RATES
    bounds = sorted(_BOUND_CURRENCIES - {order.currency})
    return await rates_known(scope, scope.now.date(), [(order.currency, bound) for bound in bounds])


def _is_undecided(order: Order) -> bool:
    return any(line.tax_rate is None and not line.tax_unknown for line in order.lines)


def _check_sellers(order: Order, ids: Sequence[UUID], found: Mapping[UUID, Row[Any]]) -> None:
    for index, id in enumerate(ids):
        path = ("lines", str(index), "sellerId")
        if id not in found:
            raise NotFound("seller", order.lines[index].seller_id, path=path)
        sellers.gate_to_sell(found[id], path=path)


async def _recipients(scope: Scope, plan: SplitPlan, known: Mapping[str, Row[Any]]) -> dict[str, Row[Any]]:
    """Who gets a part of others' lines. A schedule may name anybody; a sale must not owe money to nobody."""
    names = {share.seller_id for share in plan.sellers} - known.keys()
    if not names:
        return {}
    found = await sellers.by_ids(scope, {parse_id("seller", name) for name in names})
    unknown = names - {public_id("seller", id) for id in found}
    if unknown:
        name = min(unknown)
        raise StateConflict(
            f"The fee schedule gives a part to {name}, which is no seller of this platform: publish one that names"
            " a seller.",
            current_state=f"version {plan.schedule_version}",
            path=("feeSchedule",),
        )
    return {public_id("seller", id): row for id, row in found.items()}


async def _holds(scope: Scope, order: Order, terms: Row[Any], parties: Mapping[str, Row[Any]]) -> dict[str, Hold]:
    """The hold of each party's share, by the rules in force and the categories of what it sells."""
    rules = await terms_of(scope, terms.release_rule_id)
    default = Hold(HoldFrom(terms.hold_from), terms.hold_days)
    categories: dict[str, set[str]] = {name: set() for name in parties}
    for line in order.lines:
        categories[line.seller_id].add(line.category)
    return {name: rules.hold(row.groups, categories[name], default) for name, row in parties.items()}


def _check_chargeable(plan: SplitPlan) -> None:
    """What the provider could not charge exactly is refused before anything is kept, in a preview too."""
    charged = plan.totals.charged
    if charged <= 0:
        raise InvalidInput(
            "The discounts leave the buyer nothing to pay: a payment is more than zero.",
            path=("discounts",),
            constraint="> 0",
        )
    try:
        to_stripe_charge(charged, plan.currency)
    except InvalidInput as error:
        error.path = ("lines",)
        raise


def _basket(order: Order) -> Basket:
    return Basket(
        order.currency,
        tuple(_line(line, index) for index, line in enumerate(order.lines)),
        shipping=tuple(Shipping(one.seller_id, one.amount) for one in order.shipping),
        discounts=tuple(_discount(one) for one in order.discounts),
        channel=order.channel,
        payment_method=order.method,
    )


def line_id(index: int) -> str:
    """The name of a line in the split, from its place in the order: 001 for the first."""
    return f"{index + 1:03d}"


def _line(line: OrderLine, index: int) -> BasketLine:
    return BasketLine(
        id=line_id(index),
        seller_id=line.seller_id,
        description=line.description,
        category=line.category,
        quantity=line.quantity,
        unit_price=line.unit_price,
        tax_rate=line.tax_rate,
        tax_inclusive=line.tax_inclusive,
        product=line.product,
        tax_category=line.tax_category,
        ship_from=line.ship_from,
        tax_unknown=line.tax_unknown,
    )


def _discount(one: OrderDiscount) -> Discount:
    return Discount(one.id, one.amount, one.percent, tuple(line_id(place) for place in one.lines), one.platform_percent)


def _buyer(place: BuyerPlace | None) -> BuyerTax:
    """Raises InvalidInput for an unknown country, or a VAT number that is not one of it."""
    if place is None:
        return BuyerTax()
    buyer = BuyerTax(place.country, place.region, place.postcode, business=bool(place.vat_number))
    if place.vat_number and not vat_number_valid(country=place.country, number=place.vat_number):
        raise InvalidInput(
            f"This is not a VAT number of {place.country}: a business gives the one of the country it buys in.",
            path=("buyer", "vatNumber"),
            constraint=f"VAT number of {place.country}",
        )
    return buyer
