"""The examples of the page on holds run as they are written."""

from tests import pages


async def test_the_page_on_holds() -> None:
    assert await pages.run("holds.md", {}) == 2
