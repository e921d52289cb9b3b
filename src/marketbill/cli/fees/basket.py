"""A basket in a file: what fees are tried out on."""

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from marketbill.cli.fees.file import placed

if TYPE_CHECKING:
    from marketbill.db import Scope
    from marketbill.payments.order import Order, OrderLine
    from marketbill.platforms.fee_field import Field

_BASKET = ("currency", "channel", "method", "buyer_country", "lines")
_LINE = ("seller", "amount", "quantity", "category", "product", "description", "tax_rate")


async def read_basket(scope: "Scope", document: object, path: Path) -> "Order":
    """The order that a document describes; a line that states no tax has none. Raises CommandRefused, NotFound."""
    from marketbill.errors import InvalidInput, NotFound
    from marketbill.payments.order import BuyerPlace, Order
    from marketbill.platforms.fee_field import Field

    try:
        of = Field(document, ()).keys(_BASKET)
        currency = of["currency"].text()
        country = of["buyer_country"].text() if of["buyer_country"].is_there else ""
        return Order(
            currency=currency,
            lines=tuple([await _line(scope, one, currency) for one in of["lines"].items()]),
            shipping=(),
            discounts=(),
            buyer=BuyerPlace(country, "", "", "") if country else None,
            channel=of["channel"].text() if of["channel"].is_there else "",
            method=of["method"].text() if of["method"].is_there else "",
        )
    except (InvalidInput, NotFound) as error:
        raise placed(path, error) from None


async def _line(scope: "Scope", field: "Field", currency: str) -> "OrderLine":
    from marketbill.ids import public_id
    from marketbill.payments.fee_preview import seller_named
    from marketbill.payments.order import OrderLine

    of = field.keys(_LINE)
    seller = await seller_named(scope, of["seller"].text())
    return OrderLine(
        seller_id=public_id("seller", seller.id),
        description=of["description"].text() if of["description"].is_there else "Preview",
        category=of["category"].text() if of["category"].is_there else "",
        quantity=of["quantity"].whole() or 1,
        unit_price=of["amount"].amount(currency),
        currency=currency,
        tax_rate=of["tax_rate"].percent() if of["tax_rate"].is_there else Decimal(0),
        tax_inclusive=True,
        external_refs={},
        product=of["product"].text() if of["product"].is_there else "",
    )
