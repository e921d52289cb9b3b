"""Sales whose tax Stripe Tax calculates: asked before anything is kept, told once it is booked, never guessed."""

from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from tests.market.machine import Machine
from tests.market.market import Market

from marketbill.insight.tax_report import TaxAccount, tax_report
from marketbill.payments.order import BuyerPlace, OrderShipping
from marketbill.platforms import platform as platforms
from marketbill.provider import intent as intents
from marketbill.provider.kinds import CREATE_TAX_TRANSACTION
from marketbill.provider.tax import TaxPlaceUnknown, TaxUnavailable
from marketbill.reconciliation.explained import prove_explained
from marketbill.reconciliation.verify import is_proven

SEATTLE = BuyerPlace("US", "US-WA", "98104")
PORTLAND = BuyerPlace("US", "US-OR", "97035")


@pytest.fixture
async def shop(machine: Machine) -> Market:
    """An American platform that chose Stripe Tax and is registered in Washington; a seller A."""
    market = await machine.platform(country="US", currency="USD")
    await market.seller("A", country="US")
    await platforms.change(
        machine.services, market.operator, idempotency_key=machine.key(), changes={"tax_provider": "STRIPE"}
    )
    form = {"country": "US", "active_from": "now", "country_options[us][type]": "state_sales_tax"}
    await market.stripe("tax/registrations", form=form | {"country_options[us][state]": "WA"})
    return market


def line(market: Market, price: int, **changes: Any) -> Any:
    asked: dict[str, Any] = {"currency": "USD", "tax_rate": None, "tax_inclusive": False}
    return market.line("A", price, **asked | changes)


async def test_where_the_platform_is_registered_it_owes_the_tax(shop: Market) -> None:
    """100.00 and 6.5 % on top; the fee is 10 % of 106.50 and 0.30. The calculation becomes one transaction."""
    payment = await shop.sale(line(shop, 10_000), buyer=SEATTLE)
    row = await shop.payment(payment)
    assert (row.gross, row.tax, row.deemed_tax) == (10_650, 650, 650)
    [told] = row.trace["inputs"]["lines"].values()
    tax = told["tax"]
    assert (tax["rate"], tax["liable"], tax["jurisdiction"]) == ("6.5", "PLATFORM", "US-WA")
    assert tax["rule"] == f"stripe-tax:{tax['evidence']['calculation']}"
    assert tax["evidence"]["parts"] == "US-WA 6.5"
    assert "expires_at" in tax["evidence"]
    async with shop.machine.services.db.read(shop.platform) as scope:
        report = await tax_report(scope, start=row.booked_at.replace(year=2020), end=scope.now.replace(year=2100))
        [intent] = await intents.for_subjects(scope, CREATE_TAX_TRANSACTION, [payment])
    assert TaxAccount("tax:deemed:US-WA", "USD", 650, 650, 0) in report.accounts
    assert report.agrees

    await shop.machine.sweep()
    async with shop.machine.services.db.read(shop.platform) as scope:
        [intent] = await intents.for_subjects(scope, CREATE_TAX_TRANSACTION, [payment])
    assert intent.status == "SUCCEEDED"
    made = await shop.stripe(f"tax/transactions/{intent.provider_id}?expand[]=line_items")
    assert [(item["amount"], item["amount_tax"]) for item in made["line_items"]["data"]] == [(10_000, 650)]
    assert is_proven(await prove_explained(partial(shop.machine.services.db.read, shop.platform)))
    await shop.prove()


async def test_without_a_registration_there_is_no_tax_and_the_seller_has_all(shop: Market) -> None:
    row = await shop.payment(await shop.sale(line(shop, 10_000), buyer=PORTLAND))
    [told] = row.trace["inputs"]["lines"].values()
    assert (row.gross, row.tax) == (10_000, 0)
    assert (told["tax"]["liable"], told["tax"]["evidence"]["reason"]) == ("SELLER", "not_collecting")


async def test_shipping_and_prices_with_tax_come_out_as_the_provider_has_them(shop: Market) -> None:
    """10.65 with 0.65 within; 5.00 of shipping on the line that has its tax on top: 0.33 (0.325 rounded up)."""

    order = shop.draft(
        line(shop, 1_065, tax_inclusive=True),
        line(shop, 1_000, tax_rate=Decimal(0)),
        buyer=SEATTLE,
        shipping=(OrderShipping(shop.seller_id("A"), 500, "USD"),),
    )
    made = await shop.pay(order)
    row = await shop.payment(made.payment.id)
    tax = next(iter(row.trace["inputs"]["lines"].values()))["tax"]
    assert sum(int(part) for part in tax["evidence"]["tax"].split(" + ")) == row.trace["lines"][0]["tax"]


async def test_the_buyers_place_is_needed(shop: Market) -> None:
    for buyer in (None, BuyerPlace("US", "US-WA")):
        with pytest.raises(TaxPlaceUnknown):
            await shop.pay(shop.draft(line(shop, 10_000), buyer=buyer))
    assert await shop.journal() == []


async def test_an_outage_of_the_provider_is_told_and_guesses_nothing(shop: Market) -> None:
    key = shop.machine.key()
    shop.machine.line.refuse("POST /v1/tax/calculations", status=503)
    with pytest.raises(TaxUnavailable) as told:
        await shop.pay(shop.draft(line(shop, 10_000), buyer=SEATTLE), key=key)
    assert told.value.retryable
    shop.machine.line.mend()
    made = await shop.pay(shop.draft(line(shop, 10_000), buyer=SEATTLE), key=key)
    assert made.refusal is None
    assert made.payment.gross == 10_650


async def test_a_stated_rate_asks_nobody(shop: Market) -> None:
    shop.machine.line.refuse("POST /v1/tax/calculations", status=503)
    row = await shop.payment(await shop.sale(line(shop, 10_000, tax_rate=Decimal(5))))
    assert (row.gross, row.tax, row.deemed_tax) == (10_500, 500, 0)
