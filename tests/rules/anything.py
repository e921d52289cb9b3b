"""Sales of any kind, as hypothesis draws them: every way of pricing, taxing and charging that a schedule knows."""

from decimal import Decimal

from hypothesis import assume
from hypothesis import strategies as st
from tests.rules.shop import AT, NL, SELLERS, decisions

from marketbill.rules.basket import Basket, BasketLine, Discount, Shipping
from marketbill.rules.discounts import DiscountAboveLines
from marketbill.rules.fees.conditions import Conditions, ValueBand
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
    Unmatched,
)
from marketbill.rules.fees.terms import FeeTerms
from marketbill.rules.plan import SplitPlan
from marketbill.rules.split import split_decided
from marketbill.rules.tax.line_tax import Liable, LineTax, TaxRounding, Withholding
from marketbill.rules.tax.parties import BuyerTax
from marketbill.rules.tax.terms import TaxTerms

PERCENTS = st.sampled_from([Decimal(0), Decimal("2.9"), Decimal("7.3333"), Decimal(10), Decimal("12.5"), Decimal(40)])
AMOUNTS = st.integers(0, 60) | st.integers(0, 5000)
SELLER_IDS = ("A", "B", "C", "US")


@st.composite
def baskets(draw: st.DrawFn) -> Basket:
    ids = draw(st.lists(st.text(min_size=1, max_size=4, alphabet="abc123"), min_size=1, max_size=5, unique=True))
    lines = tuple(
        BasketLine(
            id=id,
            seller_id=draw(st.sampled_from(SELLER_IDS)),
            description="",
            category=draw(st.sampled_from(["", "books", "books/old", "toys"])),
            quantity=draw(st.integers(1, 5)),
            unit_price=draw(st.integers(1, 60) | st.integers(1, 10**6)),
            tax_rate=Decimal(21),
            tax_inclusive=draw(st.booleans()),
        )
        for id in ids
    )
    sellers = sorted({line.seller_id for line in lines})
    shipping = tuple(Shipping(id, draw(st.integers(1, 2000))) for id in sellers if draw(st.booleans()))
    discounts = tuple(
        Discount(
            f"d{index}",
            amount=None if by_percent else draw(st.integers(1, 50)),
            percent=draw(PERCENTS) if by_percent else None,
            line_ids=draw(st.sampled_from([(), (ids[0],)])),
            platform_percent=draw(st.sampled_from([Decimal(0), Decimal(40), Decimal(100)])),
        )
        for index, by_percent in enumerate(draw(st.lists(st.booleans(), max_size=2)))
    )
    return Basket("EUR", lines, shipping, discounts)


@st.composite
def rules(draw: st.DrawFn, name: str, stack: str, kind: FeeKind, payer: FeePayer, based_on: str | None) -> FeeRule:
    ladder = Tiers(
        draw(st.sampled_from(TierMode)),
        Period.MONTH,
        (Tier({}, draw(PERCENTS)), Tier({"EUR": 1000}, draw(PERCENTS)), Tier({"EUR": 50_000}, draw(PERCENTS))),
    )
    least = draw(AMOUNTS)
    return FeeRule(
        name,
        stack=stack,
        kind=kind,
        payer=payer,
        account=draw(st.sampled_from([None, "listing"])),
        recipient=draw(st.sampled_from(["A", "seller_aff"])) if kind is FeeKind.PART else None,
        percent=draw(PERCENTS),
        tiers=draw(st.sampled_from([None, ladder])),
        fixed=draw(st.sampled_from([{}, {"EUR": draw(AMOUNTS)}])),
        fixed_scope=draw(st.sampled_from(FixedScope)),
        minimum=draw(st.sampled_from([{}, {"EUR": least}])),
        maximum=draw(st.sampled_from([{}, {"EUR": least + draw(AMOUNTS)}])),
        base=draw(st.sampled_from(FeeBase)),
        tax_mode=draw(st.sampled_from(FeeTaxMode)),
        based_on=based_on,
        when=draw(
            st.sampled_from(
                [
                    Conditions(),
                    Conditions(categories=frozenset({"books"})),
                    Conditions(sellers=frozenset({"A", "US"})),
                    Conditions(values=(ValueBand("EUR", 100, 5000),)),
                ]
            )
        ),
        position=draw(st.sampled_from([None, 1, 2])),
    )


@st.composite
def fee_terms(draw: st.DrawFn) -> FeeTerms:
    seller, buyer = FeePayer.SELLER, FeePayer.BUYER
    shapes = [
        ("commission", FeeKind.PLATFORM, seller, None),
        ("commission", FeeKind.PLATFORM, seller, None),
        ("service", FeeKind.PLATFORM, buyer, None),
        ("card", FeeKind.PROCESSOR, seller, None),
        ("affiliate", FeeKind.PART, seller, None),
        ("extra", FeeKind.PLATFORM, seller, "commission"),
    ]
    chosen = [shapes[0]] + [shape for shape in shapes[1:] if draw(st.booleans())]
    made = tuple(draw(rules(f"r{n}", *shape)) for n, shape in enumerate(chosen))
    volumes = {id: {Period.MONTH: draw(st.integers(0, 60_000))} for id in SELLER_IDS}
    return FeeTerms(Schedule("fee_1", 1, made, unmatched=Unmatched.FREE), AT, {}, volumes)


def line_taxes() -> st.SearchStrategy[LineTax]:
    return st.builds(
        LineTax,
        rate=st.sampled_from([Decimal(0), Decimal("5.5"), Decimal(9), Decimal(21)]),
        liable=st.sampled_from([Liable.SELLER, Liable.PLATFORM]),
        rule=st.just("sale-tax:any"),
        jurisdiction=st.sampled_from(["NL", "DE"]),
        rounding=st.sampled_from(TaxRounding),
        withheld=st.sampled_from([(), (Withholding("in-tcs", Decimal("0.5"), "in-tcs:2024"),)]),
    )


@st.composite
def sales(draw: st.DrawFn) -> SplitPlan:
    whole = draw(baskets())
    found = {line.id: draw(line_taxes()) for line in whole.lines}
    buyer = BuyerTax(draw(st.sampled_from(["NL", "DE", "US"])), business=draw(st.booleans()))
    try:
        terms = TaxTerms(NL, SELLERS, buyer)
        return split_decided(whole, draw(fee_terms()), terms, decisions(whole, terms, found))
    except DiscountAboveLines:
        assume(False)
        raise
