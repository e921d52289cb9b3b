"""The examples of docs/explain.md run, in order, as a reader would type them."""

from tests.pages import run


async def test_the_page_runs_from_top_to_bottom() -> None:
    assert await run("explain.md", {}) == 3
