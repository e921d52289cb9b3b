"""What sellers pay the platform for by subscription, and how it is earned."""

from itertools import product

from marketbill.ledger import chart
from marketbill.ledger.flows.template import AT_MOST_ONCE, Area, Leg, Template, legs_from, legs_to


def _credit_note_legs() -> tuple[Leg, ...]:
    parts = (
        (chart.DEFERRED_REVENUE, "the unearned part"),
        (chart.SUBSCRIPTION, "the earned part"),
        (chart.OUTPUT_VAT, "tax on it"),
    )
    ways = (
        (chart.RECEIVABLE, "unpaid"),
        (chart.BUYER_CREDIT, "as credit"),
        (chart.SELLER_PAYABLE, "to the seller's balance"),
    )
    return tuple(
        Leg(debit, credit, f"{part}, {way}", AT_MOST_ONCE) for (debit, part), (credit, way) in product(parts, ways)
    )


SUBSCRIPTION = (
    Template(
        "usage-accrual",
        Area.SUBSCRIPTION,
        "At a period's end, usage was delivered that is not invoiced yet.",
        ("subscription",),
        (Leg(chart.CONTRACT_ASSET, chart.SUBSCRIPTION, "unbilled usage"),),
    ),
    Template(
        "invoice",
        Area.SUBSCRIPTION,
        "A subscription was invoiced.",
        ("invoice",),
        legs_to(
            chart.RECEIVABLE,
            (chart.DEFERRED_REVENUE, "for a time to come"),
            (chart.SUBSCRIPTION, "earned already"),
            (chart.CONTRACT_ASSET, "usage accrued before"),
            (chart.OUTPUT_VAT, "tax on it"),
        ),
    ),
    Template(
        "invoice-payment",
        Area.SUBSCRIPTION,
        "An invoice was paid: from the seller's balance, through the provider, by bank, or with credit.",
        ("invoice",),
        legs_from(
            chart.RECEIVABLE,
            (chart.SELLER_PAYABLE, "from the seller's balance"),
            (chart.PSP_PENDING, "through the provider"),
            (chart.BANK, "by bank"),
            (chart.BUYER_CREDIT, "with credit"),
            times=AT_MOST_ONCE,
        ),
    ),
    Template(
        "revenue-recognition",
        Area.SUBSCRIPTION,
        "Each day of a subscription earns its share.",
        ("invoice",),
        (Leg(chart.DEFERRED_REVENUE, chart.SUBSCRIPTION, "earned"),),
    ),
    Template(
        "credit-note",
        Area.SUBSCRIPTION,
        "A part of an invoice was credited: against what is unpaid of it, or given back where it was paid.",
        ("invoice",),
        _credit_note_legs(),
    ),
)
