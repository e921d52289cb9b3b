"""Fixtures; a room's conftest imports the names it needs."""

from collections.abc import AsyncIterator

import pytest
from tests.market.machine import Machine, running_machine
from tests.market.market import GERMAN_VAT, Market

#: The basket of the worked sale: 121.00 EUR, tax of 21 % within.
WORKED_LINES = (("A", 4999), ("B", 3999), ("C", 3102))


@pytest.fixture
async def machine(database_url: str) -> AsyncIterator[Machine]:
    """Services, sandbox and webhook endpoint over this test's database; no platform yet."""
    async with running_machine(database_url) as running:
        yield running


@pytest.fixture
async def market(machine: Machine) -> Market:
    """A Dutch platform in EUR, connected, without sellers; money is released as soon as it is there."""
    return await machine.platform()


async def worked_sellers(market: Market) -> None:
    """A (NL), B (DE, with a valid VAT number) and C (NL), all onboarded."""
    for name, country, vat_number in (("A", "NL", None), ("B", "DE", GERMAN_VAT), ("C", "NL", None)):
        await market.seller(name, country=country, vat_number=vat_number, onboard=None)
    await market.onboard("A", "B", "C")
