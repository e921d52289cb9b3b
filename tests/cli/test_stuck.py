"""`marketbill stuck`: a place to see what was given up, and to try it again."""

from __future__ import annotations

import asyncio
import re

import pytest
from sqlalchemy import update
from tests.cli.conftest import Command, Ran
from tests.market.market import Market

from marketbill.events import inbox
from marketbill.events.model import inbox_event
from marketbill.ids import public_id

TRANSFERS = "POST /v1/transfers"


@pytest.fixture
def stuck(command: Command, market: Market, monkeypatch: pytest.MonkeyPatch):
    """The command, in a thread, over the test's machine."""
    settings = market.machine.services.settings
    for name in ("database_url", "marketbill_secret_key", "marketbill_bootstrap_key"):
        value = getattr(settings, name)
        monkeypatch.setenv(name.upper(), value.get_secret_value())

    async def call(*words: str) -> Ran:
        return await asyncio.to_thread(command, "stuck", *words)

    return call


async def test_when_nothing_is_stuck_it_exits_with_0(market: Market, stuck) -> None:
    await market.seller("A")
    await market.sale(market.line("A", 5000))
    ran = await stuck()
    assert (ran.code, ran.out) == (0, "Nothing is stuck.\n")


async def test_a_transfer_that_was_refused_is_listed_and_goes_through_when_it_is_tried_again(
    market: Market, stuck
) -> None:
    await market.seller("A")
    market.machine.line.refuse(TRANSFERS, status=400)
    await market.sale(market.line("A", 5000), card="pm_card_bypassPending")
    [refused] = await market.transfers()
    assert refused.status == "REFUSED"

    listed = await stuck("--platform", "Market")
    id = public_id("provider intent", refused.intent_id)
    assert listed.code == 1
    assert id in (text := squeezed(listed.out))
    assert "create_transfer" in text
    assert text.count(public_id("transfer", refused.id)) == 1

    market.machine.line.mend()
    assert (await stuck("--retry", id)).code == 0
    assert [row.status for row in await market.transfers()] == ["PENDING"]
    await market.machine.sweep()
    assert [row.status for row in await market.transfers()] == ["SENT"]
    assert (await stuck()).code == 0
    await market.prove()


async def test_what_waits_for_the_seller_says_what_he_must_do(market: Market, stuck) -> None:
    await market.seller("A", onboard=None)
    await market.sale(market.line("A", 5000), card="pm_card_bypassPending")
    ran = await stuck()
    assert ran.code == 1
    assert "HELD" in ran.out
    assert "sellerOnboardingLinkCreate" in squeezed(ran.out)


async def test_an_event_that_was_given_up_is_tried_again(market: Market, stuck) -> None:
    await market.seller("A")
    async with market.machine.services.db.write(market.platform) as scope:
        broken = {"handled_at": None, "next_attempt_at": None, "error": "broken", "attempts": inbox.ATTEMPTS_MAX}
        await scope.run(update(inbox_event).values(**broken))
    async with market.machine.services.db.read(market.platform) as scope:
        given_up = await inbox.troubled(scope)
    assert given_up
    ran = await stuck()
    assert ran.code == 1
    for event in given_up:
        assert event.id in squeezed(ran.out)
        assert (await stuck("--retry", event.id)).code == 0
    await market.machine.sweep()
    assert (await stuck()).code == 0


@pytest.mark.parametrize("name", ["int_nothing", "int_" + "0" * 26, "evt_nothing", "pay_" + "0" * 26])
async def test_what_is_not_stuck_cannot_be_tried_again(stuck, name: str) -> None:
    ran = await stuck("--retry", name)
    assert ran.code == 1
    assert name in ran.line


def squeezed(text: str) -> str:
    """The table's text without its lines and breaks, so that what was folded is whole again."""
    cells: dict[int, str] = {}
    for line in text.splitlines():
        for place, cell in enumerate(re.split("[│┃]", line)):
            cells[place] = cells.get(place, "") + cell.strip()
    return " ".join(cells.values())
