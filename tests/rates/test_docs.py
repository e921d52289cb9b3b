"""The examples of docs/currencies.md run, in order, as a reader would type them."""

from tests import pages

from marketbill.db import Database
from marketbill.ids import PlatformId


async def test_the_page_runs_from_top_to_bottom(db: Database, platform: PlatformId) -> None:
    assert await pages.run("currencies.md", {"db": db, "platform": platform}) >= 5
