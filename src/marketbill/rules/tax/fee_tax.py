"""Who owes which tax on the platform's fee.

These are the rules the product applies; the rates and the choice of rule are a platform's data, to be checked with its
adviser.
"""

from dataclasses import dataclass
from decimal import Decimal

from marketbill.rules.countries import EU_MEMBERS
from marketbill.rules.tax.parties import BuyerTax, PlatformTax, SellerTax

_ZERO = Decimal(0)


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


def fee_tax(*, platform: PlatformTax, seller: SellerTax) -> FeeTaxDecision:
    """The tax on the fee, a service from platform to seller (Directive 2006/112/EC, art. 44 and 196).

    Same country: the platform's rate. Another member state: with a valid VAT number the seller accounts for it
    (reverse charge); without one the platform charges its own rate. Everyone else: outside the platform's VAT.
    """
    if seller.country == platform.country:
        return FeeTaxDecision(rate=platform.rate, rule="fee-vat:domestic", label="VAT", jurisdiction=platform.country)
    if platform.country in EU_MEMBERS and seller.country in EU_MEMBERS:
        if seller.vat_number_valid:
            return FeeTaxDecision(rate=_ZERO, rule="fee-vat:eu-reverse-charge", label="Reverse charge")
        return FeeTaxDecision(
            rate=platform.rate, rule="fee-vat:eu-fallback", label="VAT", jurisdiction=platform.country
        )
    return FeeTaxDecision(rate=_ZERO, rule="fee-vat:outside-scope", label="Outside the scope of VAT")


def buyer_fee_tax(*, platform: PlatformTax, buyer: BuyerTax) -> FeeTaxDecision:
    """The tax on a fee that the buyer pays, a service from platform to buyer (Directive 2006/112/EC, art. 44 and 45).

    A consumer pays the platform's rate wherever he is, and so does a buyer at home. A business elsewhere in the Union
    accounts for it (reverse charge); a business anywhere else is outside the platform's VAT.
    """
    if not buyer.business or buyer.country in ("", platform.country):
        return FeeTaxDecision(
            rate=platform.rate, rule="buyer-fee-vat:domestic", label="VAT", jurisdiction=platform.country
        )
    if platform.country in EU_MEMBERS and buyer.country in EU_MEMBERS:
        return FeeTaxDecision(rate=_ZERO, rule="buyer-fee-vat:eu-reverse-charge", label="Reverse charge")
    return FeeTaxDecision(rate=_ZERO, rule="buyer-fee-vat:outside-scope", label="Outside the scope of VAT")
