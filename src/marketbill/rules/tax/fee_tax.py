"""Who owes which tax on the platform's fee.

These are the rules the product applies; the rates and the choice of rule are a platform's data, to be checked with its
adviser.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from marketbill.rules.countries import EU_MEMBERS
from marketbill.rules.tax.parties import BuyerTax, PlatformTax, SellerTax
from marketbill.rules.tax.rate_table import RateTable

_ZERO = Decimal(0)
_OUTSIDE = "Outside the scope of VAT"
_REVERSE_CHARGE = "Reverse charge"
#: What the tax on a service is called where it is not VAT.
_NAMES: Mapping[str, str] = {"AU": "GST", "CA": "GST/HST", "IN": "GST", "NZ": "GST", "SG": "GST", "US": "Sales tax"}


@dataclass(frozen=True, slots=True)
class FeeTaxDecision:
    """The rate of tax on the fee (percent), the id of the rule that decided it, and the words for the invoice.

    `jurisdiction` is the country whose output tax it is, empty where none is due.
    """

    rate: Decimal
    rule: str
    label: str
    jurisdiction: str = ""


#: What is no service of the platform's own: a participant's part, or the provider's fee passed through.
NO_FEE_TAX = FeeTaxDecision(rate=_ZERO, rule="fee-vat:none", label="")


def standard_rate(country: str, table: RateTable, on: date) -> Decimal:
    """The standard rate of a country on a day, for a platform that does not state its own.

    Raises `UnknownJurisdiction` for a country whose rates the table does not have (the United States' are its states'),
    `NoRateOnDate`.
    """
    return table.rate(country, "standard", on, path=("feeTaxRate",)).rate


def fee_tax(*, platform: PlatformTax, seller: SellerTax) -> FeeTaxDecision:
    """The tax on the fee, a service from platform to seller (Directive 2006/112/EC, art. 44 and 196).

    Same country: the platform's rate, whichever state or province (India's CGST and SGST are as much as its IGST).
    Another member state: with a valid VAT number the seller accounts for it (reverse charge); without one the platform
    charges its own rate. Everyone else: outside the platform's VAT; a British business accounts for it at home
    (VATA 1994, s. 8), and its invoice says so.
    """
    if seller.country == platform.country:
        return _charged("fee-vat:domestic", platform)
    if platform.country in EU_MEMBERS and seller.country in EU_MEMBERS:
        if seller.vat_number_valid:
            return FeeTaxDecision(rate=_ZERO, rule="fee-vat:eu-reverse-charge", label=_REVERSE_CHARGE)
        return _charged("fee-vat:eu-fallback", platform)
    if seller.country == "GB" and seller.vat_number_valid:
        return FeeTaxDecision(rate=_ZERO, rule="fee-vat:gb-reverse-charge", label=f"{_OUTSIDE}; reverse charge")
    return FeeTaxDecision(rate=_ZERO, rule="fee-vat:outside-scope", label=_OUTSIDE)


def buyer_fee_tax(
    *, platform: PlatformTax, buyer: BuyerTax, table: RateTable | None = None, on: date | None = None
) -> FeeTaxDecision:
    """The tax on a fee that the buyer pays, a service from platform to buyer that is supplied electronically.

    At home, and where nobody knows the buyer's place: the platform's rate. A business elsewhere in the Union accounts
    for it (Directive 2006/112/EC, art. 44 and 196). A consumer elsewhere in the Union pays the standard rate of his own
    state when the platform is in the One Stop Shop (art. 58), and the platform's until it has to be (art. 59c: up to
    10,000 EUR a year). Everyone else is outside the platform's VAT, but for consumers where it is registered itself.
    Without `table` and `on` the platform's rate stands for the buyer's.
    """
    if buyer.country in ("", platform.country):
        return _charged("buyer-fee-vat:domestic", platform)
    in_union = platform.country in EU_MEMBERS and buyer.country in EU_MEMBERS
    if buyer.business:
        if in_union:
            return FeeTaxDecision(rate=_ZERO, rule="buyer-fee-vat:eu-reverse-charge", label=_REVERSE_CHARGE)
        return FeeTaxDecision(rate=_ZERO, rule="buyer-fee-vat:outside-scope", label=_OUTSIDE)
    if "EU" in platform.registrations and buyer.country in EU_MEMBERS and table is not None and on is not None:
        return _at_buyers("buyer-fee-vat:eu-oss", buyer.country, table, on)
    if in_union:
        return _charged("buyer-fee-vat:eu-threshold", platform)
    if buyer.country in platform.registrations and table is not None and on is not None:
        return _at_buyers("buyer-fee-vat:registered", buyer.country, table, on)
    return FeeTaxDecision(rate=_ZERO, rule="buyer-fee-vat:outside-scope", label=_OUTSIDE)


def _charged(rule: str, platform: PlatformTax) -> FeeTaxDecision:
    return FeeTaxDecision(platform.rate, rule, _NAMES.get(platform.country, "VAT"), platform.country)


def _at_buyers(rule: str, country: str, table: RateTable, on: date) -> FeeTaxDecision:
    found = table.rate(country, "standard", on, path=("buyer", "country"))
    return FeeTaxDecision(found.rate, rule, _NAMES.get(country, "VAT"), country)
