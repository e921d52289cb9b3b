"""Money that goes back: refunds and disputes, and what sellers come to owe by them."""

from marketbill.ledger import chart
from marketbill.ledger.flows.template import ANY, AT_MOST_ONCE, ONE_OR_MORE, Area, Leg, Template, legs_from

_RETURNED = (
    (chart.SELLER_PENDING, "the seller's part, before release"),
    (chart.SELLER_PAYABLE, "the seller's part"),
    (chart.FEE_REFUNDED, "platform fee given back"),
    (chart.OUTPUT_VAT, "tax on the fee given back"),
    (chart.DEEMED_TAX, "tax on the sale that the platform owed"),
    (chart.WITHHELD_TAX, "tax withheld, given back"),
    (chart.PSP_FEE, "the seller's part of the provider's fee, given back"),
)
_ROUNDED = (chart.ROUNDING, "residue")
#: What stands against the bearers' parts beside the buyer's money.
_BESIDE = (
    *legs_from(chart.PROMO, *((family, f"{what}, for the platform's discount") for family, what in _RETURNED)),
    *legs_from(
        chart.PSP_FEE,
        (chart.SELLER_PENDING, "the provider's fee, charged to the seller"),
        (chart.SELLER_PAYABLE, "the provider's fee, charged to the seller"),
    ),
    *legs_from(chart.ROUNDING, *((family, f"{what}, residue") for family, what in _RETURNED)),
)


def _mirrored(legs: tuple[Leg, ...]) -> tuple[Leg, ...]:
    return tuple(Leg(leg.credit, leg.debit, leg.amount, leg.times) for leg in legs)


_REFUND_LEGS = (
    *legs_from(
        chart.REFUND_PAYABLE,
        *_RETURNED,
        (chart.UNASSIGNED, "the part of no seller yet"),
        (chart.GOODWILL, "what the platform bears"),
        _ROUNDED,
    ),
    *_BESIDE,
)

REFUND = (
    Template(
        "refund",
        Area.REFUND,
        "A refund was approved: its bearers give back their parts, and the buyer is owed the whole.",
        ("refund",),
        _REFUND_LEGS,
    ),
    Template(
        "refund-paid",
        Area.REFUND,
        "The provider paid the refund, or it was given as credit; the rate may have moved since the charge.",
        ("refund",),
        (
            Leg(chart.REFUND_PAYABLE, chart.PSP_AVAILABLE, "refund", AT_MOST_ONCE),
            Leg(chart.REFUND_PAYABLE, chart.PSP_PENDING, "refund of money still pending", AT_MOST_ONCE),
            Leg(chart.FX_LOSS, chart.PSP_PENDING, "loss by the rate", AT_MOST_ONCE),
            Leg(chart.REFUND_PAYABLE, chart.BUYER_CREDIT, "refund as credit", AT_MOST_ONCE),
            Leg(chart.PSP_FEE, chart.PSP_AVAILABLE, "provider's fee for it", AT_MOST_ONCE),
            Leg(chart.PSP_FEE, chart.PSP_PENDING, "provider's fee for it", AT_MOST_ONCE),
            Leg(chart.PSP_AVAILABLE, chart.PSP_FEE, "fee of the charge that the provider returns", AT_MOST_ONCE),
            Leg(chart.PSP_PENDING, chart.PSP_FEE, "fee of the charge that the provider returns", AT_MOST_ONCE),
            Leg(chart.FX_LOSS, chart.PSP_AVAILABLE, "loss by the rate", AT_MOST_ONCE),
            Leg(chart.REFUND_PAYABLE, chart.FX_LOSS, "gain by the rate", AT_MOST_ONCE),
        ),
    ),
    Template(
        "refund-available",
        Area.REFUND,
        "The pending money that a refund was taken of became available: so did what it took.",
        ("refund",),
        (Leg(chart.PSP_PENDING, chart.PSP_AVAILABLE, "refund"),),
    ),
    Template(
        "refund-undone",
        Area.REFUND,
        "The provider refused a refund that was approved: its bearers get their parts back.",
        ("refund",),
        _mirrored(_REFUND_LEGS),
    ),
    Template(
        "refund-failed",
        Area.REFUND,
        "A refund came back from the buyer's bank, perhaps at another rate: the buyer is still owed it, the seller is"
        " not charged again.",
        ("refund",),
        (
            Leg(chart.PSP_AVAILABLE, chart.REFUND_PAYABLE, "refund", AT_MOST_ONCE),
            Leg(chart.FX_LOSS, chart.REFUND_PAYABLE, "loss by the rate", AT_MOST_ONCE),
            Leg(chart.PSP_AVAILABLE, chart.FX_LOSS, "gain by the rate", AT_MOST_ONCE),
        ),
    ),
)

_LOST_LEGS = (
    *legs_from(
        chart.DISPUTED,
        *_RETURNED,
        (chart.GOODWILL, "what the platform guaranteed to the seller"),
        (chart.DISPUTE_LOSS, "what the platform bears"),
        _ROUNDED,
    ),
    *_BESIDE,
    Leg(chart.FX_LOSS, chart.DISPUTED, "loss by the rate", AT_MOST_ONCE),
    Leg(chart.DISPUTED, chart.FX_LOSS, "gain by the rate", AT_MOST_ONCE),
)

DISPUTE = (
    Template(
        "dispute-opened",
        Area.DISPUTE,
        "The provider withdrew a disputed amount, and its fee. An inquiry is no entry, only a hold.",
        ("dispute",),
        (
            Leg(chart.DISPUTED, chart.PSP_AVAILABLE, "disputed"),
            Leg(chart.DISPUTE_FEE, chart.PSP_AVAILABLE, "fee for a dispute received", AT_MOST_ONCE),
        ),
    ),
    Template(
        "dispute-countered",
        Area.DISPUTE,
        "The dispute was contested, which the provider charges for.",
        ("dispute",),
        (Leg(chart.DISPUTE_FEE, chart.PSP_AVAILABLE, "fee for a dispute contested"),),
    ),
    Template(
        "dispute-lost",
        Area.DISPUTE,
        "The buyer keeps the money, or the part of it that was not won: its bearers give back their parts.",
        ("dispute",),
        _LOST_LEGS,
    ),
    Template(
        "dispute-restored",
        Area.DISPUTE,
        "A dispute was won after its sellers' parts were taken back: its bearers have them again.",
        ("dispute",),
        _mirrored(_LOST_LEGS),
    ),
    Template(
        "dispute-rate",
        Area.DISPUTE,
        "The rate moved between what the provider withdrew and what it gave back.",
        ("dispute",),
        (
            Leg(chart.FX_LOSS, chart.DISPUTED, "loss", AT_MOST_ONCE),
            Leg(chart.DISPUTED, chart.FX_LOSS, "gain", AT_MOST_ONCE),
        ),
    ),
    Template(
        "dispute-won",
        Area.DISPUTE,
        "The provider gave back what it had withdrawn, or a part of it, and the fees that it returns.",
        ("dispute",),
        (
            Leg(chart.PSP_AVAILABLE, chart.DISPUTED, "given back", AT_MOST_ONCE),
            Leg(chart.PSP_AVAILABLE, chart.DISPUTE_FEE, "fee returned", AT_MOST_ONCE),
        ),
    ),
)

DEBT = (
    Template(
        "reserve",
        Area.DEBT,
        "A part of what is payable is kept back for a time, by the seller's risk class.",
        ("payment", "seller"),
        (Leg(chart.SELLER_PAYABLE, chart.SELLER_RESERVE, "reserved", ONE_OR_MORE),),
    ),
    Template(
        "reserve-release",
        Area.DEBT,
        "The time of a reserve is over.",
        ("payment", "seller"),
        (Leg(chart.SELLER_RESERVE, chart.SELLER_PAYABLE, "reserved", ONE_OR_MORE),),
    ),
    Template(
        "debt",
        Area.DEBT,
        "A seller must give back more than it has: what lacks becomes its debt. Booked before the refund or the lost"
        " dispute that takes it, for what is payable does not go below zero.",
        ("refund", "dispute", "transfer", "payout", "seller"),
        (Leg(chart.SELLER_RECEIVABLE, chart.SELLER_PAYABLE, "debt", ONE_OR_MORE),),
    ),
    Template(
        "set-off",
        Area.DEBT,
        "What becomes payable (new sales, a reversal that came late, what is given back) pays debts before anything is"
        " transferred.",
        ("payment", "seller", "transfer", "refund", "dispute"),
        (Leg(chart.SELLER_PAYABLE, chart.SELLER_RECEIVABLE, "debt paid", ONE_OR_MORE),),
    ),
    Template(
        "top-up",
        Area.DEBT,
        "A seller paid its debt itself, or its bank was debited for it.",
        ("topup", "seller"),
        legs_from(
            chart.SELLER_RECEIVABLE,
            (chart.PSP_PENDING, "debt paid, not available yet"),
            (chart.PSP_AVAILABLE, "debt paid"),
            (chart.BANK, "debt paid to the bank"),
            times=AT_MOST_ONCE,
        ),
    ),
    Template(
        "write-off",
        Area.DEBT,
        "A debt will not be paid. The tax office gives its part back where the law's conditions are met.",
        ("seller", "invoice"),
        (
            Leg(chart.BAD_DEBT, chart.SELLER_RECEIVABLE, "debt", ANY),
            Leg(chart.BAD_DEBT, chart.RECEIVABLE, "unpaid invoice", ANY),
            Leg(chart.OUTPUT_VAT, chart.RECEIVABLE, "tax relief for it", ANY),
        ),
    ),
)
