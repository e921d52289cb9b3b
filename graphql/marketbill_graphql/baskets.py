"""A basket as a request states it: lines of several sellers, their shipping, discounts, and where the buyer is."""

from collections.abc import Sequence
from decimal import Decimal

import strawberry

from marketbill.errors import InvalidInput
from marketbill.payments.order import BuyerPlace, Order, OrderDiscount, OrderLine, OrderShipping
from marketbill_graphql import declare
from marketbill_graphql.money import MoneyInput
from marketbill_graphql.scalars import CurrencyCode


@declare.input
class ExternalRefInput:
    """An id that the platform's own systems know a line by."""

    name: str
    value: str


@declare.input
class PaymentLineInput:
    """One line of a basket.

    Its sales tax is stated (`taxRate`), or decided from the places of seller, goods and buyer (`buyer` and
    `taxCategory`), or left to the seller (`taxUnknown`): then it counts as zero, and no fee may be based on the net.
    """

    seller_id: strawberry.ID
    description: str
    category: str = strawberry.field(default="", description='For fee rules: a path such as "books/children".')
    product: str = strawberry.field(default="", description="For fee rules: the platform's own id of the product.")
    quantity: int = 1
    unit_price: MoneyInput
    tax_rate: Decimal | None = strawberry.field(default=None, description='Percent of sales tax, such as "21".')
    tax_inclusive: bool = strawberry.field(default=True, description="Whether the tax lies within the unit price.")
    tax_category: str = strawberry.field(
        default="",
        description="What is sold, for its tax: a product (`books`), a category of rates (`reduced`), both"
        " (`reduced:hotel`), or `service`.",
    )
    tax_unknown: bool = strawberry.field(default=False, description="The seller alone knows the tax in the price.")
    ship_from: str = strawberry.field(
        default="", description="Country that the goods are in at the sale; the seller's when not given."
    )
    external_refs: list[ExternalRefInput] = strawberry.field(default_factory=list)


@declare.input
class ShippingInput:
    """What the buyer pays for the shipping of one seller's lines. It is taxed as they are."""

    seller_id: strawberry.ID
    amount: MoneyInput


@declare.input
class DiscountInput:
    """A discount of a percentage or an amount, paid by the sellers, the platform, or both."""

    id: str = strawberry.field(description="The coupon or campaign, as the platform names it.")
    percent: Decimal | None = None
    amount: MoneyInput | None = None
    lines: list[int] = strawberry.field(
        default_factory=list, description="Places of the lines it is for, from 0; none for the whole basket."
    )
    funded_percent: Decimal = strawberry.field(
        default=Decimal(0), description="The platform's part of it: 0 is paid by the sellers, 100 by the platform."
    )


@declare.input
class BuyerPlaceInput:
    """Where the buyer takes the goods or is at home, for tax and for fee rules."""

    country: str = strawberry.field(description="ISO 3166-1, such as NL.")
    region: str = strawberry.field(
        default="", description="ISO 3166-2, such as US-CA; needed where tax is the state's."
    )
    postcode: str = ""
    vat_number: str = strawberry.field(default="", description="A business shows one that is valid in its country.")


def order_of(
    *,
    currency: CurrencyCode,
    lines: Sequence[PaymentLineInput],
    shipping: Sequence[ShippingInput],
    discounts: Sequence[DiscountInput],
    buyer: BuyerPlaceInput | None,
    channel: str,
    method_kind: str,
) -> Order:
    """The order that a request asks for."""
    return Order(
        currency=currency,
        lines=tuple(_line(line, index) for index, line in enumerate(lines)),
        shipping=tuple(OrderShipping(one.seller_id, one.amount.minor, one.amount.currency) for one in shipping),
        discounts=tuple(_discount(one) for one in discounts),
        buyer=BuyerPlace(buyer.country, buyer.region, buyer.postcode, buyer.vat_number) if buyer else None,
        channel=channel,
        method=method_kind,
    )


def _line(line: PaymentLineInput, index: int) -> OrderLine:
    return OrderLine(
        seller_id=line.seller_id,
        description=line.description,
        category=line.category,
        quantity=line.quantity,
        unit_price=line.unit_price.minor,
        currency=line.unit_price.currency,
        tax_rate=line.tax_rate,
        tax_inclusive=line.tax_inclusive,
        external_refs=_refs(line.external_refs, index),
        product=line.product,
        tax_category=line.tax_category,
        tax_unknown=line.tax_unknown,
        ship_from=line.ship_from,
    )


def _discount(one: DiscountInput) -> OrderDiscount:
    amount = one.amount
    return OrderDiscount(
        id=one.id,
        percent=one.percent,
        amount=amount.minor if amount else None,
        currency=amount.currency if amount else None,
        lines=tuple(one.lines),
        platform_percent=one.funded_percent,
    )


def _refs(given: Sequence[ExternalRefInput], index: int) -> dict[str, str]:
    refs: dict[str, str] = {}
    for place, ref in enumerate(given):
        if ref.name in refs:
            raise InvalidInput(
                f"The line has two external ids named {ref.name[:40]!r}.",
                path=("lines", str(index), "externalRefs", str(place), "name"),
                constraint="unique in the line",
            )
        refs[ref.name] = ref.value
    return refs
