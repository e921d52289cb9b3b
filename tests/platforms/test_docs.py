"""The examples of docs/tax.md run, in order, as a reader would type them."""

from tests import pages
from tests.market.market import Market


async def test_the_page_of_taxes_runs_from_top_to_bottom(market: Market) -> None:
    names = {"db": market.machine.services.db, "platform": market.platform}
    assert await pages.run("tax.md", names) >= 4
