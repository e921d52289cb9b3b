"""The marketplace of the tests of recovery."""

import pytest
from tests.market.fixtures import machine, market, worked_sellers
from tests.market.market import Market

from marketbill_workers.jobs import PLATFORM_JOBS

__all__ = ["machine", "market"]


async def _no_such_cause(services: object, platform: object) -> None:
    """Causes of these tests are no refunds or disputes that a job could go on with."""


@pytest.fixture(autouse=True)
def causes(monkeypatch: pytest.MonkeyPatch) -> None:
    for job in ("execute_refunds", "execute_disputes"):
        monkeypatch.setitem(PLATFORM_JOBS, job, _no_such_cause)


@pytest.fixture
async def worked(market: Market) -> Market:
    """The sellers of the worked sale, all of them onboarded, and a float of 200.00 EUR at the provider."""
    await worked_sellers(market)
    await market.stripe("topups", form={"amount": 20_000, "currency": "eur"})
    return market
