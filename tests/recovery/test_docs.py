"""The examples of the page on debts run as they are written."""

from tests import pages


async def test_the_page_on_debts() -> None:
    assert await pages.run("debts.md", {}) == 2
