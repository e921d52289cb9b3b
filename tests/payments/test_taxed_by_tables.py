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
