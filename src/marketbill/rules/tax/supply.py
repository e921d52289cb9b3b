"""What kind of supply a tax category is, which decides where it is taxed and who may owe the tax."""

from collections.abc import Mapping

#: A service that none of the products names, at the standard rate.
SERVICE = "service"

_KINDS: Mapping[str, str] = {
    "hotel": "STAY",
    "passenger-transport": "RIDE",
    "restaurant": "RESTAURANT",
    "culture-admission": "EVENT",
    "digital-service": "E_SERVICE",
    "software-service": "E_SERVICE",
    "ebooks": "E_SERVICE",
    SERVICE: "SERVICE",
}
#: Kinds that are supplied on the spot, wherever their buyer is at home.
ON_THE_SPOT = frozenset({"STAY", "RIDE", "RESTAURANT", "EVENT"})


def rated_as(tax_category: str) -> tuple[str, str]:
    """What a line's tax category asks the table of rates for: a category or product, and a product that wins over it.

    `books` is a product and `reduced` a category of rates; `reduced:hotel` names both, for a place whose rates do not
    tell that product.
    """
    category, _, product = tax_category.rpartition(":")
    if product == SERVICE:
        return category or "standard", ""
    return (category, product) if category else (product, "")


def kind_of(tax_category: str) -> str:
    """The kind of supply: a category of rates (`reduced`), no category, and everything tangible are goods."""
    return _KINDS.get(tax_category.rpartition(":")[2], "GOODS")
