"""What the provider does by itself, and conversions of currencies."""

from marketbill.ledger import chart
from marketbill.ledger.flows.template import AT_MOST_ONCE, Area, Leg, Template, legs_from, legs_to

PROVIDER = (
    Template(
        "psp-reserve",
        Area.PROVIDER,
        "The provider set money of the platform aside as its reserve.",
        ("balance transaction",),
        (Leg(chart.PSP_RESERVED, chart.PSP_AVAILABLE, "reserved"),),
    ),
    Template(
        "psp-reserve-release",
        Area.PROVIDER,
        "The provider gave a reserve back.",
        ("balance transaction",),
        (Leg(chart.PSP_AVAILABLE, chart.PSP_RESERVED, "reserved"),),
    ),
    Template(
        "suspense",
        Area.PROVIDER,
        "The provider's balance moved for a reason not known yet, such as its monthly fees.",
        ("balance transaction",),
        (
            Leg(chart.SUSPENSE_PSP, chart.PSP_AVAILABLE, "taken", AT_MOST_ONCE),
            Leg(chart.PSP_AVAILABLE, chart.SUSPENSE_PSP, "given", AT_MOST_ONCE),
        ),
    ),
    Template(
        "suspense-allocated",
        Area.PROVIDER,
        "The reason of such a movement became known.",
        ("balance transaction",),
        (
            Leg(chart.PSP_FEE, chart.SUSPENSE_PSP, "a fee of the provider's", AT_MOST_ONCE),
            Leg(chart.SUSPENSE_PSP, chart.PSP_FEE, "a fee that it returned", AT_MOST_ONCE),
            Leg(chart.SUSPENSE_PSP, chart.BANK, "a top-up", AT_MOST_ONCE),
            Leg(chart.BANK, chart.SUSPENSE_PSP, "a payout of the platform's", AT_MOST_ONCE),
        ),
    ),
)

_CONVERTED = (
    (chart.PSP_PENDING, "converted by the provider"),
    (chart.PSP_AVAILABLE, "converted by the provider"),
    (chart.SELLER_PENDING, "a seller's balance"),
    (chart.SELLER_PAYABLE, "a seller's balance"),
    (chart.PLATFORM_FEE, "the platform's fee"),
    (chart.OWN_FEE, "a further fee"),
    (chart.OUTPUT_VAT, "tax on the fees"),
    (chart.DEEMED_TAX, "tax on the sale that the platform owes"),
    (chart.WITHHELD_TAX, "tax withheld"),
    (chart.PROMO, "the platform's part of a discount"),
    (chart.PSP_FEE, "provider's cost passed on"),
)

CURRENCY = (
    Template(
        "fx-conversion",
        Area.CURRENCY,
        "The provider converted money, and what a sale left at the sellers, the platform and the tax office follows it"
        " into another currency: the position is open between both halves and closed after them; what the rates leave"
        " is margin, loss or rounding.",
        ("payment", "transfer", "payout", "refund"),
        (
            *legs_from(
                chart.FX_POSITION, *_CONVERTED, (chart.FX_LOSS, "lost by the rates"), (chart.ROUNDING, "residue")
            ),
            *legs_to(
                chart.FX_POSITION,
                *_CONVERTED,
                (chart.FX_LOSS, "gained by the rates"),
                (chart.ROUNDING, "residue"),
                (chart.FX_MARGIN, "the platform's markup"),
            ),
        ),
    ),
)
