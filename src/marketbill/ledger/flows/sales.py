"""From the buyer's payment to the seller's bank: sales, transfers, payouts."""

from marketbill.ledger import chart
from marketbill.ledger.flows.template import ANY, AT_MOST_ONCE, ONE_OR_MORE, Area, Leg, Template, legs_from, legs_to

SALE = (
    Template(
        "charge",
        Area.SALE,
        "A buyer's payment succeeded: the money is on its way at the provider, and owed to the sellers.",
        ("payment",),
        (
            Leg(chart.PSP_PENDING, chart.SELLER_PENDING, "gross of a seller", ANY),
            Leg(chart.PSP_PENDING, chart.UNASSIGNED, "gross of no seller yet", AT_MOST_ONCE),
            Leg(chart.BUYER_CREDIT, chart.SELLER_PENDING, "paid with the buyer's credit", ANY),
            Leg(chart.PSP_PENDING, chart.PLATFORM_FEE, "the buyer's fee", AT_MOST_ONCE),
            Leg(chart.PSP_PENDING, chart.OWN_FEE, "a further fee of the buyer's", ANY),
            Leg(chart.PSP_PENDING, chart.OUTPUT_VAT, "tax on the buyer's fees", ANY),
        ),
    ),
    Template(
        "promo",
        Area.SALE,
        "The platform pays a discount, or its part of one, so that the sellers are settled on more than was charged.",
        ("payment",),
        (Leg(chart.PROMO, chart.SELLER_PENDING, "the platform's part of the discount", ONE_OR_MORE),),
    ),
    Template(
        "assignment",
        Area.SALE,
        "It became known whose sale a payment was.",
        ("payment",),
        (Leg(chart.UNASSIGNED, chart.SELLER_PENDING, "gross of a seller", ONE_OR_MORE),),
    ),
    Template(
        "psp-fee",
        Area.SALE,
        "The provider told what it kept of the charge.",
        ("payment",),
        (Leg(chart.PSP_FEE, chart.PSP_PENDING, "provider fee"),),
    ),
    Template(
        "split",
        Area.SALE,
        "With the charge: the platform's fees, the tax on them, tax that the platform owes on the sale or keeps back,"
        " and others' parts leave the sellers' share.",
        ("payment",),
        legs_from(chart.PLATFORM_FEE, (chart.SELLER_PENDING, "platform fee"))
        + legs_from(chart.OWN_FEE, (chart.SELLER_PENDING, "a further fee"))
        + legs_from(chart.OUTPUT_VAT, (chart.SELLER_PENDING, "tax on the fees"))
        + legs_from(chart.DEEMED_TAX, (chart.SELLER_PENDING, "tax on the sale that the platform owes"))
        + legs_from(chart.WITHHELD_TAX, (chart.SELLER_PENDING, "tax withheld"))
        + legs_from(chart.PSP_FEE, (chart.SELLER_PENDING, "provider's cost passed on, as estimated"))
        + legs_from(chart.SELLER_PENDING, (chart.SELLER_PENDING, "part of another participant")),
    ),
    Template(
        "processor-fee",
        Area.SALE,
        "The provider told its fee, of which sellers bear a part: what was estimated at the sale is made exact.",
        ("payment",),
        (
            Leg(chart.SELLER_PENDING, chart.PSP_FEE, "more than estimated", ANY),
            Leg(chart.PSP_FEE, chart.SELLER_PENDING, "less than estimated", ANY),
        ),
    ),
    Template(
        "funds-available",
        Area.SALE,
        "The provider made money available that was pending.",
        ("payment", "topup"),
        (Leg(chart.PSP_AVAILABLE, chart.PSP_PENDING, "net of the provider's fee"),),
    ),
    Template(
        "release",
        Area.SALE,
        "The hold of a sale is over (delivered, or its days have passed) and its funds are available.",
        ("payment",),
        (Leg(chart.SELLER_PENDING, chart.SELLER_PAYABLE, "what the seller earned", ONE_OR_MORE),),
    ),
    Template(
        "withholding",
        Area.SALE,
        "A law makes the platform keep tax from what it pays a seller.",
        ("payment",),
        (Leg(chart.SELLER_PAYABLE, chart.WITHHELD_TAX, "tax withheld", ONE_OR_MORE),),
    ),
)

PAYOUT = (
    Template(
        "float",
        Area.PAYOUT,
        "The platform topped up its balance at the provider from its bank.",
        ("topup", "balance transaction"),
        (Leg(chart.PSP_AVAILABLE, chart.BANK, "float"),),
    ),
    Template(
        "float-returned",
        Area.PAYOUT,
        "The platform's bank took a top-up back.",
        ("balance transaction",),
        (Leg(chart.BANK, chart.PSP_AVAILABLE, "float"),),
    ),
    Template(
        "transfer",
        Area.PAYOUT,
        "What is payable went to the seller's account at the provider; custody follows it there.",
        ("transfer",),
        (
            Leg(chart.SELLER_PAYABLE, chart.PSP_AVAILABLE, "transferred"),
            Leg(chart.CUSTODY_AVAILABLE, chart.CUSTODY_OWED, "transferred"),
        ),
    ),
    Template(
        "transfer-reversal",
        Area.PAYOUT,
        "A transfer was taken back in whole or part: to pay a refund or a lost dispute, or to transfer it to another"
        " account of the seller.",
        ("transfer",),
        (
            Leg(chart.PSP_AVAILABLE, chart.SELLER_PAYABLE, "reversed"),
            Leg(chart.CUSTODY_OWED, chart.CUSTODY_AVAILABLE, "reversed"),
        ),
    ),
    Template(
        "custody",
        Area.PAYOUT,
        "The seller's account at the provider moved otherwise than by a transfer or payout of ours.",
        ("transfer", "payout", "seller"),
        (
            Leg(chart.CUSTODY_AVAILABLE, chart.CUSTODY_OWED, "came in", AT_MOST_ONCE),
            Leg(chart.CUSTODY_OWED, chart.CUSTODY_AVAILABLE, "went out", AT_MOST_ONCE),
        ),
    ),
    Template(
        "payout-created",
        Area.PAYOUT,
        "A payout to a seller's bank was asked for; its money is claimed before the provider is asked.",
        ("payout",),
        (Leg(chart.CUSTODY_IN_TRANSIT, chart.CUSTODY_AVAILABLE, "payout"),),
    ),
    Template(
        "payout-paid",
        Area.PAYOUT,
        "The payout reached the seller's bank.",
        ("payout",),
        (Leg(chart.CUSTODY_OWED, chart.CUSTODY_IN_TRANSIT, "payout"),),
    ),
    Template(
        "payout-failed",
        Area.PAYOUT,
        "The payout came back: before it was paid, or after (a bank's return).",
        ("payout",),
        (
            Leg(chart.CUSTODY_AVAILABLE, chart.CUSTODY_IN_TRANSIT, "payout not paid", AT_MOST_ONCE),
            Leg(chart.CUSTODY_AVAILABLE, chart.CUSTODY_OWED, "payout returned", AT_MOST_ONCE),
        ),
    ),
    Template(
        "payout-reclaimed",
        Area.PAYOUT,
        "A payout that was held for failed was made after all.",
        ("payout",),
        (Leg(chart.CUSTODY_IN_TRANSIT, chart.CUSTODY_AVAILABLE, "payout"),),
    ),
    Template(
        "bank-payout-created",
        Area.PAYOUT,
        "A payout to a seller is to be made by the platform's own bank; its money is claimed before it is ordered.",
        ("payout",),
        (Leg(chart.SELLER_PAYABLE, chart.BANK_CLEARING, "payout"),),
    ),
    Template(
        "bank-payout-paid",
        Area.PAYOUT,
        "The platform's bank carried the payout out.",
        ("payout",),
        (Leg(chart.BANK_CLEARING, chart.BANK, "payout"),),
    ),
    Template(
        "bank-payout-failed",
        Area.PAYOUT,
        "The platform's bank refused the payout, or the seller's sent it back: it is owed to the seller again.",
        ("payout",),
        (
            Leg(chart.BANK_CLEARING, chart.SELLER_PAYABLE, "payout not paid", AT_MOST_ONCE),
            Leg(chart.BANK, chart.SELLER_PAYABLE, "payout returned", AT_MOST_ONCE),
        ),
    ),
    Template(
        "platform-payout",
        Area.PAYOUT,
        "The platform's own payout: its balance at the provider went to its bank.",
        ("payout", "balance transaction"),
        (Leg(chart.BANK, chart.PSP_AVAILABLE, "payout"),),
    ),
    Template(
        "platform-payout-returned",
        Area.PAYOUT,
        "The platform's own payout failed, or its bank sent it back.",
        ("balance transaction",),
        (Leg(chart.PSP_AVAILABLE, chart.BANK, "payout"),),
    ),
    Template(
        "recharge",
        Area.PAYOUT,
        "A seller was charged for a service (an instant payout) or for a cost of the provider's, with tax.",
        ("payout", "dispute", "seller"),
        legs_to(
            chart.SELLER_PAYABLE,
            (chart.OWN_FEE, "fee for the service"),
            (chart.DISPUTE_RECHARGE, "dispute fee"),
            (chart.PSP_FEE, "provider's cost passed on"),
            (chart.OUTPUT_VAT, "tax on it"),
        ),
    ),
)
