"""Sales whose tax the tables decide: what the platform owes leaves the seller, and the books say where it is owed."""

from tests.market.market import Market

from marketbill.payments.order import BuyerPlace
from marketbill.platforms import platform as platforms


async def test_an_import_to_a_consumer_is_taxed_by_the_platform(market: Market) -> None:
    """119.00 to Germany from China: 19.00 of tax is the platform's to pay."""
    await market.seller("C", country="US")
    line = market.line("C", 11900, tax_rate=None, tax_category="standard", ship_from="CN")
    paid = await market.pay(market.draft(line, buyer=BuyerPlace("DE")))
    assert paid.refusal is None

    row = paid.payment
    assert (row.gross, row.tax, row.deemed_tax) == (11900, 1900, 1900)
    told = row.trace["inputs"]["lines"]["001"]["tax"]
    assert (told["rule"], told["liable"], told["jurisdiction"]) == ("sale-tax:eu-deemed-import", "PLATFORM", "DE")
    assert told["evidence"]["consignment_max"] == "150 EUR"
    await market.machine.quiet()
    assert (await market.books())["tax:deemed:DE", "EUR"] == 1900
    await market.prove()


async def test_the_platforms_registrations_decide_new_sales(market: Market) -> None:
    await market.seller("U", country="US")
    line = market.line("U", 10000, currency="USD", tax_rate=None, tax_category="standard", tax_inclusive=False)
    place = BuyerPlace("US", region="US-CA")
    before = (await market.pay(market.draft(line, buyer=place, currency="USD"))).payment
    await platforms.change(
        market.machine.services,
        market.operator,
        idempotency_key=market.machine.key(),
        changes={"tax_registrations": ["US-CA"]},
    )
    after = (await market.pay(market.draft(line, buyer=place, currency="USD"))).payment

    assert (before.gross, before.tax, before.deemed_tax) == (10000, 0, 0)
    assert (after.gross, after.tax, after.deemed_tax) == (10725, 725, 725)


async def test_what_india_collects_at_source_is_booked(market: Market) -> None:
    """1,000.00 INR without tax, 18 % on top, and 0.5 % of the net kept back from the seller."""
    rule = {"name": "commission", "percent": "10", "base": "GROSS", "tax_mode": "EXCLUSIVE"}
    await market.fees({"name": "India", "rules": [rule]})
    await market.seller("I", country="IN", vat_number="27AAPFU0939F1ZV", onboard=None)
    line = market.line("I", 100000, currency="INR", tax_rate=None, tax_category="standard", tax_inclusive=False)
    paid = (await market.pay(market.draft(line, buyer=BuyerPlace("IN", "IN-MH"), currency="INR"))).payment
    assert (paid.gross, paid.tax, paid.withheld) == (118000, 18000, 500)
    await market.machine.quiet()
    books = await market.books()
    assert (books["tax:withheld:in-tcs", "INR"], books["revenue:platform-fee", "INR"]) == (500, 11800)
