"""Who owes the tax on a sale, and at which rate: a table of decisions worked out by hand (`tax_decisions.txt`)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbill.errors import InvalidInput
from marketbill.money import parse_decimal
from marketbill.rules.basket import Basket, BasketLine, Discount
from marketbill.rules.countries import COUNTRIES
from marketbill.rules.fees.schedule import FeeRule, Schedule
from marketbill.rules.fees.terms import FeeTerms
from marketbill.rules.fx import ExchangeRate, RateMissing, Rates
from marketbill.rules.split import split
from marketbill.rules.tax.decision import TaxNotDetermined, TaxOnTopOnly, TaxPointMissing, decide
from marketbill.rules.tax.liability import COLUMNS, LiabilityRowWrong, liability_table
from marketbill.rules.tax.line_tax import Liable, LineTax, TaxRounding
from marketbill.rules.tax.parties import BuyerTax, PlatformTax, SellerTax
from marketbill.rules.tax.place import BuyerPlaceMissing, BuyerRegionMissing
from marketbill.rules.tax.rate_table import TaxCategoryNeeded, UnknownTaxCategory
from marketbill.rules.tax.terms import TaxTerms
from marketbill.tax_data import built_in
from marketbill.tax_data.liability import built_in_liability

WHEN = datetime(2026, 3, 2, 12, tzinfo=UTC)
RATES = Rates(
    {
        (base, quote): ExchangeRate(base, quote, numerator, denominator, "ecb", WHEN)
        for base, quote, numerator, denominator in [
            ("USD", "EUR", 9, 10), ("EUR", "GBP", 5, 6), ("EUR", "AUD", 8, 5), ("GBP", "EUR", 6, 5)
        ]
    }
)  # fmt: skip


def _cells(text: str) -> list[tuple[str, ...]]:
    rows = [line for line in text.splitlines() if line and not line.startswith("#")][1:]
    return [tuple(cell.strip() for cell in line.replace("||", "|").split("|")) for line in rows]


#: The table, with its words explained, is in a file of its own.
CASES = _cells((Path(__file__).parent / "tax_decisions.txt").read_text())


def seller_tax(text: str) -> SellerTax:
    words, _, registrations = text.partition("@")
    country, *more = words.split()
    return SellerTax(
        country=country.rstrip("#"),
        vat_number_valid=country.endswith("#"),
        registrations=frozenset(filter(None, registrations.split(","))),
        small_business="small" in more,
    )


def platform_tax(text: str) -> PlatformTax:
    country, _, registrations = (text or "NL").partition("@")
    return PlatformTax(country, Decimal(21), frozenset(filter(None, registrations.split(","))))


def buyer_tax(text: str) -> BuyerTax:
    words = text.split()
    business = words[0] == "business"
    where, *postcode = words[1:] if business else words
    region = where if "-" in where else ""
    return BuyerTax(country=where[:2], region=region, postcode=" ".join(postcode), business=business)


def sale(
    seller: str = "NL#",
    ship_from: str = "",
    buyer: str = "NL",
    category: str = "standard",
    price: str = "121.00 EUR",
    platform: str = "",
    day: str = "",
) -> tuple[Basket, TaxTerms]:
    *net, amount, currency = price.split()
    line = BasketLine(
        "1", "s", "A thing", "things", 1, parse_decimal(amount, currency), None, not net, "", category, ship_from
    )
    terms = TaxTerms(
        platform=platform_tax(platform),
        sellers={"s": seller_tax(seller)},
        buyer=buyer_tax(buyer) if buyer else BuyerTax(),
        at=datetime.fromisoformat(f"{day}T12:00:00+00:00") if day else WHEN,
        table=built_in(),
        liability=built_in_liability(),
    )
    return Basket(currency, (line,)), terms


def decided(*cells: str, **facts: str) -> LineTax:
    basket, terms = sale(*cells, **facts)
    return decide(basket, terms, RATES)["1"]


@pytest.mark.parametrize("case", CASES, ids=[f"{case[9]}: {' '.join(case[:5])} {case[6]}" for case in CASES])
def test_who_owes_the_tax(case: tuple[str, ...]) -> None:
    tax = decided(*case[:7])
    told = (tax.liable.value, str(tax.rate.normalize() + 0), tax.rule, tax.jurisdiction)
    assert told == (case[7], case[8], f"sale-tax:{case[9]}", case[10]), dict(tax.evidence)
    assert tax.source
    assert tax.label
    assert tax.evidence["row"] == case[9]


def test_every_row_of_the_table_decides_a_case() -> None:
    missing = {row.id for row in built_in_liability().rows} - {case[9] for case in CASES}
    assert missing <= NEVER_TRIED, missing - NEVER_TRIED
    assert len(CASES) >= 60


#: Rows that differ from a tried one in the kind of supply alone.
NEVER_TRIED = {"us-mo-facilitator-eservice", "ca-deemed-stay"}


def test_a_stated_rate_stays_and_an_unknown_tax_is_none() -> None:
    basket, terms = sale()
    stated = replace(basket.lines[0], id="2", tax_rate=Decimal("9.5"))
    unknown = replace(basket.lines[0], id="3", tax_unknown=True)
    found = decide(Basket("EUR", (basket.lines[0], stated, unknown)), terms)
    assert [(found[id].rate, found[id].rule, found[id].known) for id in "123"] == [
        (Decimal(21), "sale-tax:eu-domestic", True),
        (Decimal("9.5"), "sale-tax:stated", True),
        (Decimal(0), "sale-tax:unknown", False),
    ]
    bare = TaxTerms(platform=terms.platform, sellers=terms.sellers)
    assert decide(Basket("EUR", (stated, unknown)), bare)["2"].liable is Liable.SELLER


def test_what_decided_is_kept_as_evidence() -> None:
    tax = decided(seller="CN", buyer="DE", price="net 100.00 USD")
    assert dict(tax.evidence) == {
        "place": "DE",
        "kind": "GOODS",
        "category": "standard",
        "goods": "FROM_HOME IMPORT",
        "ship_from": "CN",
        "seller": "CN",
        "seller_is": "ABROAD OUTSIDE",
        "buyer": "DE",
        "buyer_is": "CONSUMER",
        "platform_is": "ABROAD UNION",
        "on": "2026-03-02",
        "consignment": "100.00 USD",
        "consignment_rate": "9/10 USD/EUR",
        "consignment_rate_source": "ecb",
        "consignment_max": "150 EUR",
        "row": "eu-deemed-import",
        "scheme": "IOSS",
        "rate": "DE/standard/2021-01-01",
        "rate_source": tax.evidence["rate_source"],
        "tax_point": "DELIVERY",
    }


def test_an_estimate_says_so_on_the_invoice_and_in_the_evidence() -> None:
    tax = decided(seller="US", buyer="US-CA", price="net 100.00 USD", platform="US@US-CA")
    assert tax.label == "Sales tax collected by the platform (estimate)"
    assert tax.evidence["estimate"] == "yes"


@pytest.mark.parametrize(
    ("day", "rate"), [("2026-03-02", "0.5"), ("2024-07-10", "0.5"), ("2024-07-09", "1"), ("2018-10-01", "1")]
)
def test_india_has_the_platform_withhold_from_taxed_sales(day: str, rate: str) -> None:
    tax = decided(seller="IN#", buyer="IN", price="net 1000.00 INR", platform="IN@IN", day=day)
    assert [(held.scheme, held.rate) for held in tax.withheld] == [("in-tcs", Decimal(rate))]
    assert tax.withheld[0].rule == tax.rule
    ride = decided(
        seller="IN#", buyer="IN", category="reduced:passenger-transport", price="net 1000.00 INR", platform="IN@IN"
    )
    assert ride.withheld == ()


def test_a_consignment_is_all_that_one_seller_sends_from_one_country() -> None:
    basket, terms = sale(seller="CN", buyer="DE", price="net 100.00 EUR")
    first = basket.lines[0]
    second = replace(first, id="2", unit_price=5000)
    third = replace(first, id="3", unit_price=1)
    service = replace(first, id="4", unit_price=90000, tax_category="digital-service")
    elsewhere = replace(first, id="5", unit_price=15000, ship_from="HK")
    others = replace(first, id="6", unit_price=15000, seller_id="t")
    terms = replace(terms, sellers={**terms.sellers, "t": seller_tax("CN")})

    def rules(*lines: BasketLine, discounts: tuple[Discount, ...] = ()) -> dict[str, str]:
        found = decide(Basket("EUR", lines, discounts=discounts), terms, RATES)
        return {id: tax.rule.removeprefix("sale-tax:") for id, tax in found.items()}

    deemed, border = "eu-deemed-import", "eu-import"
    assert rules(first, second) == {"1": deemed, "2": deemed}
    assert rules(first, second, third) == {"1": border, "2": border, "3": border}
    assert rules(first, second, service) == {"1": deemed, "2": deemed, "4": "eu-deemed-eservice"}
    assert rules(first, second, elsewhere, others) == {"1": deemed, "2": deemed, "5": deemed, "6": deemed}
    cheaper = Discount("d", amount=1)
    assert rules(first, second, third, discounts=(cheaper,)) == {"1": deemed, "2": deemed, "3": deemed}
    paid_by_platform = Discount("d", amount=1, platform_percent=Decimal(100))
    assert rules(first, second, third, discounts=(paid_by_platform,))["1"] == border


def test_a_consignment_with_stated_rates_is_valued_without_their_tax() -> None:
    basket, terms = sale(seller="CN", buyer="DE", price="59.50 EUR")  # 50.00 without 19 %
    stated = replace(basket.lines[0], id="2", tax_rate=Decimal(20), unit_price=12000)  # 100.00 without 20 %
    assert decide(Basket("EUR", (*basket.lines, stated)), terms)["1"].rule == "sale-tax:eu-deemed-import"
    dearer = replace(stated, unit_price=12001)
    assert decide(Basket("EUR", (*basket.lines, dearer)), terms)["1"].rule == "sale-tax:eu-import"


@pytest.mark.parametrize(
    ("facts", "error", "path", "words"),
    [
        ({"buyer": ""}, BuyerPlaceMissing, ("buyer", "country"), "give the buyer's country"),
        ({"buyer": "US", "price": "net 1.00 USD"}, BuyerRegionMissing, ("buyer", "region"), "'US-CA'"),
        ({"buyer": "CA", "price": "net 1.00 CAD"}, BuyerRegionMissing, ("buyer", "region"), "'CA-ON'"),
        ({"category": ""}, TaxCategoryNeeded, ("lines", "0", "taxCategory"), "depends on what is sold"),
        ({"category": "bokos"}, UnknownTaxCategory, ("lines", "0", "taxCategory"), "use one of"),
        ({"seller": "CN", "buyer": "DE", "price": "net 1.00 AUD"}, RateMissing, (), "from AUD to EUR"),
        ({"seller": "JP", "buyer": "JP"}, TaxNotDetermined, ("lines", "0", "taxRate"), "state its rate"),
        ({"seller": "US", "category": "service"}, TaxNotDetermined, ("lines", "0", "taxRate"), "state its rate"),
        ({"buyer": "GB", "seller": "GB#", "ship_from": "NL", "day": "2019-05-01"}, TaxNotDetermined, None, "no row"),
        (
            {"seller": "US", "buyer": "US-CA", "price": "100.00 USD", "platform": "US@US-CA"},
            TaxOnTopOnly,
            ("lines", "0", "taxInclusive"),
            "state the price without tax",
        ),
    ],
)
def test_what_cannot_be_decided_is_refused_with_the_way_out(
    facts: Mapping[str, str], error: type[InvalidInput], path: tuple[str, ...] | None, words: str
) -> None:
    with pytest.raises(error) as refused:
        decided(**facts)
    assert words in refused.value.message
    assert path is None or refused.value.path == path


def test_without_a_tax_point_or_the_tables_nothing_is_guessed() -> None:
    basket, terms = sale()
    with pytest.raises(TaxPointMissing):
        decide(basket, replace(terms, at=None))
    for gap in ({"table": None}, {"liability": None}):
        with pytest.raises(TaxNotDetermined):
            decide(basket, replace(terms, **gap))


def test_one_rate_for_everything_needs_no_category() -> None:
    assert decided(seller="NZ#", buyer="NZ", category="", price="115.00 NZD").rate == 15
    assert decided(buyer="business FR", category="").liable is Liable.BUYER


def test_countries_differ_in_where_they_round() -> None:
    poland = decided(seller="PL#", buyer="PL", price="123.00 PLN")
    assert (poland.rounding, poland.evidence["tax_point"]) == (TaxRounding.DOCUMENT, "DELIVERY")
    australia = decided(seller="AU#", buyer="AU", price="110.00 AUD", platform="AU")
    assert (australia.rounding, australia.evidence["tax_point"]) == (TaxRounding.DOCUMENT, "PAYMENT")
    assert decided().rounding is TaxRounding.LINE


GOOD_ROW = dict.fromkeys(COLUMNS, "") | {
    "id": "a-row",
    "place": "EU",
    "kind": "GOODS",
    "valid_from": "2021-07-01",
    "liable": "SELLER",
    "rate": "PLACE",
    "label": "VAT",
    "source": "A law",
}
PRACTICE = {"country": "*", "rounding": "LINE", "tax_point": "PAYMENT", "source": "A law"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""), ("source", ""), ("label", ""), ("valid_from", ""), ("valid_from", "July"), ("valid_to", "x"),
        ("valid_to", "2021-07-01"), ("kind", "GODS"), ("seller", "HERE+"), ("buyer", "CONSUMER|"), ("liable", "NOONE"),
        ("rate", "ZERO"), ("rate", "HIGH"), ("value_max", "150"), ("value_max", "-1"), ("currency", "EUR"),
        ("price", "NET"), ("withheld", "in-tcs"), ("withheld", "in-tcs:101"), ("withheld", "IN-TCS:1"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_used_is_refused_by_its_id_and_field(field: str, value: str) -> None:
    with pytest.raises(LiabilityRowWrong) as refused:
        liability_table([GOOD_ROW | {field: value}], [PRACTICE])
    assert refused.value.id == ("" if field == "id" else "a-row")
    assert repr(refused.value.id) in refused.value.message
    assert len(liability_table([GOOD_ROW], [PRACTICE]).rows) == 1


def test_a_table_names_no_row_twice_and_no_practice_without_a_source() -> None:
    with pytest.raises(LiabilityRowWrong, match="another row"):
        liability_table([GOOD_ROW, GOOD_ROW], [PRACTICE])
    with pytest.raises(LiabilityRowWrong, match="source"):
        liability_table([GOOD_ROW], [PRACTICE | {"source": ""}])


PLACES = ["NL", "DE", "FR", "GB", "XI", "US-CA", "US-OR", "CA-ON", "AU", "IN", "NZ", "NO", "CH", "JP", "CN", "MC", "ES"]
countries = st.sampled_from(["NL", "DE", "GB", "US", "AU", "IN", "CA", "NZ", "NO", "CH", "CN", "JP", "IM"])
registrations = st.frozensets(st.sampled_from(["EU", "GB", "US-CA", "AU", "IN", "CA", "NZ", "NO", "CH"]), max_size=3)
categories = st.sampled_from(["", "standard", "books", "service", "digital-service", "hotel", "restaurant", "no such"])


@st.composite
def sales(draw: st.DrawFn) -> tuple[Basket, TaxTerms]:
    where = draw(st.sampled_from(["", *PLACES]))
    country, region = ("GB", "") if where == "XI" else (where[:2], where if "-" in where else "")
    postcode = "BT1 5GS" if where == "XI" else draw(st.sampled_from(["", "35001", "6991"]))
    lines = tuple(
        BasketLine(
            id=str(index),
            seller_id=draw(st.sampled_from("ab")),
            description="",
            category="",
            quantity=draw(st.integers(1, 3)),
            unit_price=draw(st.integers(1, 30_000)),
            tax_rate=None,
            tax_inclusive=draw(st.booleans()),
            tax_category=draw(categories),
            ship_from=draw(st.sampled_from(["", "NL", "CN", "GB", "IN"])),
        )
        for index in range(draw(st.integers(1, 4)))
    )
    sellers = {
        id: SellerTax(draw(countries), draw(st.booleans()), draw(registrations), draw(st.booleans())) for id in "ab"
    }
    terms = TaxTerms(
        platform=PlatformTax(draw(countries), Decimal(20), draw(registrations)),
        sellers=sellers,
        buyer=BuyerTax(country, region, postcode, draw(st.booleans())),
        at=datetime(2016, 1, 1, tzinfo=UTC) + draw(st.integers(0, 5500)) * timedelta(days=1),
        table=built_in(),
        liability=built_in_liability(),
    )
    return Basket(draw(st.sampled_from(["EUR", "USD", "GBP"])), lines), terms


@settings(max_examples=400)
@given(sales())
def test_any_basket_is_decided_or_refused_in_our_words(given_sale: tuple[Basket, TaxTerms]) -> None:
    basket, terms = given_sale
    try:
        found = decide(basket, terms, RATES)
    except InvalidInput:
        return
    again = decide(replace(basket, lines=basket.lines[::-1]), terms, RATES)
    assert found == again, "the order of lines decides nothing"
    for line in basket.lines:
        tax = found[line.id]
        assert tax.rule == f"sale-tax:{tax.evidence['row']}"
        assert tax.source
        if tax.liable in (Liable.BUYER, Liable.NOBODY):
            assert tax.rate == 0
        else:
            assert tax.jurisdiction
        if tax.liable is Liable.BUYER:
            assert terms.buyer.business, "only a business accounts for the tax itself"
        if tax.rate == 0:
            assert tax.withheld == ()
        assert terms.buyer.postcode == "" or terms.buyer.postcode not in str(dict(tax.evidence))


@given(country=st.sampled_from(sorted(COUNTRIES)))
def test_a_business_abroad_is_never_charged_for_a_service(country: str) -> None:
    region = {"US": "US-CA", "CA": "CA-ON"}.get(country, "")
    basket, terms = sale(seller="NL#", category="service", price="net 100.00 EUR")
    terms = replace(terms, buyer=BuyerTax(country, region, business=True))
    try:
        tax = decide(basket, terms)["1"]
    except TaxNotDetermined:
        assert country == "US", "no row tells which services a state taxes"
        return
    assert (tax.rate > 0) == (country == "NL")


@settings(max_examples=100)
@given(sales())
def test_only_tax_that_the_platform_owes_leaves_the_seller(given_sale: tuple[Basket, TaxTerms]) -> None:
    basket, terms = given_sale
    commission = FeeRule("commission", percent=Decimal(10))
    try:
        plan = split(basket, FeeTerms(Schedule("fee_1", 1, (commission,)), WHEN), terms, RATES)
    except InvalidInput:
        return
    for line in plan.lines:
        told = line.amounts
        assert told.deemed_tax == (told.tax if line.sale_tax.liable is Liable.PLATFORM else 0)
        if line.sale_tax.liable in (Liable.BUYER, Liable.NOBODY):
            assert told.tax == 0
        assert told.gross == told.seller_net + told.fee + told.fee_tax + told.deemed_tax + told.withheld
    deemed: dict[str, int] = {}
    for share in plan.sellers:
        for place, amount in share.legs.deemed.items():
            deemed[place] = deemed.get(place, 0) + amount
    assert sum(deemed.values()) == plan.totals.deemed_tax
    assert "" not in deemed
