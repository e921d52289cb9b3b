"""A seller's purse in the tests of payouts: what is in it, in our books and at the provider."""

from typing import Any

from tests.market.market import Market

from marketbill.paging import PageRequest
from marketbill.provider import intent as intents
from marketbill.provider.intent import Intent
from marketbill.provider.model import IntentStatus

CALL = "POST /v1/payouts"
#: What is left to seller A of a sale of 50.00.
NET = 4359


async def fund(market: Market) -> None:
    await market.sale(market.line("A", 5000))
    await market.machine.advance(days=9)


async def made(market: Market) -> list[Any]:
    """The provider's own list of A's payouts."""
    account = (await market.seller_row("A")).provider_account
    return (await market.stripe("payouts?limit=100", account=account))["data"]


async def custody(market: Market, code: str) -> int:
    return (await market.books()).get((f"custody:A:{code}", "EUR"), 0)


async def given_up_of(market: Market) -> list[Intent]:
    async with market.machine.services.db.read(market.platform) as scope:
        page = await intents.page(scope, PageRequest(), status=[IntentStatus.GAVE_UP])
        return [intents.intent_of(row) for row in page.rows]


async def bank_account(market: Market, number: str) -> None:
    """Gives A's account a bank account with a test number as its default."""
    account = (await market.seller_row("A")).provider_account
    form = {
        "external_account[object]": "bank_account",
        "external_account[country]": "US",
        "external_account[currency]": "usd",
        "external_account[routing_number]": "110000000",
        "external_account[account_number]": number,
        "default_for_currency": "true",
    }
    await market.stripe(f"accounts/{account}/external_accounts", form=form)
    await market.machine.quiet()
