"""Tax arithmetic on a price, and who owes which tax on the platform's fee.

These are the rules the product applies; the rates and the choice of rule are a platform's data, to be checked with its
adviser.
"""

from dataclasses import dataclass
from decimal import Decimal

from stdnum.eu import vat as eu_vat
from stdnum.exceptions import ValidationError
from stdnum.util import clean, get_cc_module

from marketbill.rules.countries import COUNTRIES, EU_MEMBERS, known_country
from marketbill.rules.rates import WHOLE, rate_parts

_ZERO = Decimal(0)
_VAT_NUMBER_LENGTH_MAX = 32
#: The only member state whose VAT prefix is not its country code (Council Directive 2006/112/EC, art. 215).
_VAT_PREFIXES = {"GR": "EL"}


@dataclass(frozen=True, slots=True)
class PlatformTax:
    """Where the platform is established and the standard rate, in percent, that it charges on its fee there."""

    country: str
    rate: Decimal

    def __post_init__(self) -> None:
        known_country(self.country, path=("country",))
        rate_parts(self.rate, path=("rate",))


@dataclass(frozen=True, slots=True)
class SellerTax:
    """Where a seller is established, and whether he has shown a VAT number that is valid there."""

    country: str
    vat_number_valid: bool

    def __post_init__(self) -> None:
        known_country(self.country, path=("country",))


@dataclass(frozen=True, slots=True)
class FeeTaxDecision:
    """The rate of tax on the fee (percent), the id of the rule that decided it, and the words for the invoice."""

    rate: Decimal
    rule: str
    label: str


def tax_within(*, gross: int, rate: int) -> tuple[int, int]:
    """The exact tax inside a price that includes it, gross * r / (100 + r), as (numerator, denominator).

    `rate` is in parts (`rates.rate_parts`). Round it once and take the net as the rest: never derive both sides.
    """
    return gross * rate, WHOLE + rate


def tax_on_top(*, net: int, rate: int) -> tuple[int, int]:
    """The exact tax on a price without it, net * r / 100, as (numerator, denominator). `rate` is in parts."""
    return net * rate, WHOLE


def fee_tax(*, platform: PlatformTax, seller: SellerTax) -> FeeTaxDecision:
    """The tax on the fee, a service from platform to seller (Directive 2006/112/EC, art. 44 and 196).

    Same country: the platform's rate. Another member state: with a valid VAT number the seller accounts for it
    (reverse charge); without one the platform charges its own rate. Everyone else: outside the platform's VAT.
    """
    if seller.country == platform.country:
        return FeeTaxDecision(rate=platform.rate, rule="fee-vat:domestic", label="VAT")
    if platform.country in EU_MEMBERS and seller.country in EU_MEMBERS:
        if seller.vat_number_valid:
            return FeeTaxDecision(rate=_ZERO, rule="fee-vat:eu-reverse-charge", label="Reverse charge")
        return FeeTaxDecision(rate=platform.rate, rule="fee-vat:eu-fallback", label="VAT")
    return FeeTaxDecision(rate=_ZERO, rule="fee-vat:outside-scope", label="Outside the scope of VAT")


def vat_number_valid(*, country: str, number: str) -> bool:
    """Whether a VAT number has the form and check digits of its country; the prefix may be left out in the Union.

    Offline: a number that was never issued, or was withdrawn, still passes. A country whose numbers we cannot check
    answers False.
    """
    if len(number) > _VAT_NUMBER_LENGTH_MAX or country not in COUNTRIES:
        return False
    if country in EU_MEMBERS:
        prefix = _VAT_PREFIXES.get(country, country)
        try:
            compact = clean(number, " -./").upper()
        except ValidationError:
            return False
        return eu_vat.is_valid(compact if compact.startswith(prefix) else prefix + compact)
    check = get_cc_module(country, "vat")
    return check is not None and bool(check.is_valid(number))
