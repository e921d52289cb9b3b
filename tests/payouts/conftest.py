"""The marketplace of the tests of payouts, and one whose seller has money."""

import pytest
from tests.market.fixtures import machine, market
from tests.market.market import Market
from tests.payouts.purse import fund

__all__ = ["machine", "market"]


@pytest.fixture
async def funded(market: Market) -> Market:
    """Seller A has 43.59 EUR at the provider."""
    await market.seller("A")
    await fund(market)
    return market
