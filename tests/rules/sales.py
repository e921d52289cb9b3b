"""Sales with everything that a sale may have, drawn from a seed."""

import json
import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from marketbill.errors import InvalidInput
from marketbill.rules.basket import Basket, BasketLine, Discount, Shipping
from marketbill.rules.fees.rule import FeeTaxMode, FixedScope
from marketbill.rules.fees.schedule import (
    FeeBase,
    FeeKind,
    FeePayer,
    FeeRule,
    Period,
    Schedule,
    Tier,
    TierMode,
    Tiers,
)
from marketbill.rules.fees.terms import FeeTerms
from marketbill.rules.plan import Decisions, SplitPlan
from marketbill.rules.split import split_decided
from marketbill.rules.tax.fee_tax import FeeTaxDecision, fee_tax
from marketbill.rules.tax.line_tax import Liable, LineTax, TaxRounding, Withholding
from marketbill.rules.tax.parties import BuyerTax, PlatformTax, SellerTax
from marketbill.rules.tax.terms import TaxTerms

SELLERS = {
    "sel_anna": SellerTax("NL", vat_number_valid=False),
    "sel_ben": SellerTax("DE", vat_number_valid=True),
    "sel_chris": SellerTax("FR", vat_number_valid=False),
    "sel_dora": SellerTax("US", vat_number_valid=False),
}
_TIERS = (Tier({"EUR": 0}, Decimal(10)), Tier({"EUR": 1_000}, Decimal(8)), Tier({"EUR": 3_000}, Decimal("6.5")))
_RATES = [Decimal(0), Decimal(21), Decimal(9), Decimal("5.5"), Decimal("7.25")]
_WITHHELD = (Withholding("tcs", Decimal("0.5"), "in:tcs"), Withholding("tds", Decimal("0.1"), "in:tds"))


def plan_of(seed: int) -> SplitPlan:
    """A sale that can be split. Draws again until there is one: a discount may be above its lines."""
    draw = random.Random(seed)
    while True:
        lines, decisions = _lines(draw)
        basket = Basket("EUR", lines, _shipping(draw, lines), _discounts(draw, lines), "web", "card")
        volumes = {"sel_anna": {Period.MONTH: draw.choice([0, 990, 5_000])}}
        schedule = _schedule(draw, is_known=all(decision.known for decision in decisions.values()))
        fees = FeeTerms(schedule, datetime(2026, 5, 1, tzinfo=UTC), {"sel_anna": frozenset({"gold"})}, volumes)
        platform, buyer = PlatformTax("NL", Decimal(21)), BuyerTax("NL")
        of_sellers = {id: fee_tax(platform=platform, seller=seller) for id, seller in SELLERS.items()}
        of_buyer = FeeTaxDecision(Decimal(21), "buyer-fee-vat:domestic", "VAT", "NL")
        tax = TaxTerms(platform, SELLERS, buyer)
        try:
            return split_decided(basket, fees, tax, Decisions(decisions, of_sellers, of_buyer))
        except InvalidInput:
            continue


def trace_of(seed: int) -> dict[str, Any]:
    """The trace of such a sale, as it comes back from a JSON column."""
    return json.loads(json.dumps(plan_of(seed).to_trace()))


def _lines(draw: random.Random) -> tuple[tuple[BasketLine, ...], dict[str, LineTax]]:
    lines = tuple(
        BasketLine(
            id=f"{index + 1:03d}",
            seller_id=draw.choice(sorted(SELLERS)),
            description="",
            category="books",
            quantity=draw.randint(1, 4),
            unit_price=draw.choice([draw.randint(1, 60), draw.randint(100, 9_000)]),
            tax_rate=None,
            tax_inclusive=draw.random() < 0.6,
        )
        for index in range(draw.randint(1, 5))
    )
    return lines, {line.id: _decision(draw) for line in lines}


def _decision(draw: random.Random) -> LineTax:
    if draw.random() < 0.1:
        return LineTax(Decimal(0), Liable.SELLER, "sale-tax:unknown", known=False)
    return LineTax(
        draw.choice(_RATES),
        draw.choice([Liable.SELLER, Liable.SELLER, Liable.PLATFORM]),
        "sale-tax:table",
        jurisdiction=draw.choice(["NL", "US-CA"]),
        rounding=draw.choice([TaxRounding.LINE, TaxRounding.DOCUMENT]),
        withheld=_WITHHELD[: draw.choice([0, 0, 0, 1, 2])],
    )


def _shipping(draw: random.Random, lines: tuple[BasketLine, ...]) -> tuple[Shipping, ...]:
    sellers = sorted({line.seller_id for line in lines})
    return tuple(Shipping(seller, draw.randint(1, 900)) for seller in sellers if draw.random() < 0.4)


def _discounts(draw: random.Random, lines: tuple[BasketLine, ...]) -> tuple[Discount, ...]:
    discounts: list[Discount] = []
    for index in range(draw.choice([0, 0, 1, 2])):
        ids = tuple(line.id for line in lines if draw.random() < 0.5)
        by_percent = draw.random() < 0.7
        discounts.append(
            Discount(
                f"d{index}",
                amount=None if by_percent else draw.randint(1, 5),
                percent=Decimal(draw.choice(["10", "12.5", "50", "100"])) if by_percent else None,
                line_ids=ids,
                platform_percent=Decimal(draw.choice([0, 40, 100])),
            )
        )
    return tuple(discounts)


def _schedule(draw: random.Random, *, is_known: bool) -> Schedule:
    bases = list(FeeBase) if is_known else [FeeBase.GROSS, FeeBase.GROSS_PLUS_SHIPPING]
    mode, tiers = draw.choice(list(FeeTaxMode)), Tiers(draw.choice(list(TierMode)), Period.MONTH, _TIERS)
    commission = FeeRule(
        "standard",
        percent=Decimal(draw.choice(["0", "10", "12.5"])),
        tiers=draw.choice([None, None, tiers]),
        fixed=draw.choice([{}, {"EUR": 0}, {"EUR": 30}]),
        fixed_scope=draw.choice(list(FixedScope)),
        minimum=draw.choice([{}, {"EUR": 50}]),
        maximum=draw.choice([{}, {"EUR": 120}]),
        base=draw.choice(bases),
        tax_mode=mode,
    )
    service = FeeRule(
        *("service", "service"),
        payer=FeePayer.BUYER,
        account="service",
        percent=Decimal(3),
        fixed={"EUR": 25},
        tax_mode=mode,
    )
    further = [
        service,
        FeeRule("ads", "ads", account="ads", percent=Decimal("2.5")),
        FeeRule("psp", "psp", kind=FeeKind.PROCESSOR, percent=Decimal("1.5"), fixed={"EUR": 25}),
        FeeRule("aff", "aff", kind=FeeKind.PART, recipient=draw.choice(["sel_zoe", "sel_anna"]), percent=Decimal(5)),
        FeeRule("onfee", "onfee", percent=Decimal(10), based_on="commission", tax_mode=mode),
    ]
    return Schedule("fee_01", 4, (commission, *(rule for rule in further if draw.random() < 0.3)))
