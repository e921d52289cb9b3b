"""The parties of a sale, as far as tax looks at them: the platform, its sellers, the buyer."""

from dataclasses import dataclass
from decimal import Decimal

from marketbill.rules.countries import known_country
from marketbill.rules.rates import rate_parts


@dataclass(frozen=True, slots=True)
class PlatformTax:
    """Where the platform is established and the standard rate, in percent, that it charges on its fee there.

    `registrations` are the places (ISO 3166 codes such as `US-CA`, `GB`, `AU`, and `EU` for the One Stop Shop) where it
    accounts for tax on its sellers' sales.
    """

    country: str
    rate: Decimal
    registrations: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        known_country(self.country, path=("country",))
        rate_parts(self.rate, path=("rate",))


@dataclass(frozen=True, slots=True)
class SellerTax:
    """Where a seller is established, and whether he has shown a VAT number that is valid there.

    `registrations`: the places where he accounts for tax himself (`EU` for the One Stop Shop, `US-CA`, ...), apart from
    his own country. `small_business`: exempt at home by the size of his business, so that he charges no tax there.
    """

    country: str
    vat_number_valid: bool
    registrations: frozenset[str] = frozenset()
    small_business: bool = False

    def __post_init__(self) -> None:
        known_country(self.country, path=("country",))


@dataclass(frozen=True, slots=True)
class BuyerTax:
    """Where the buyer takes the goods or is at home, and whether he buys as a business.

    `country` and `region` (ISO 3166-2, `US-CA`) are empty where nobody knows them; a business has shown a VAT number
    that is valid in its country.
    """

    country: str = ""
    region: str = ""
    postcode: str = ""
    business: bool = False

    def __post_init__(self) -> None:
        if self.country:
            known_country(self.country, path=("buyer", "country"))
