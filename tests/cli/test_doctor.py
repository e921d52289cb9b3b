"""`marketbill doctor`: what waits too long, since when, what to do about it, and the remedies."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta

import pytest
from sqlalchemy import update
from tests.cli.conftest import Command, Ran
from tests.market.market import Market

from marketbill.events import inbox
from marketbill.events.model import inbox_event
from marketbill.ids import public_id
from marketbill.webhooks.catch_up import catch_up

DAY = 86_400
TRANSFERS = "POST /v1/transfers"


@pytest.fixture
def doctor(command: Command, market: Market, monkeypatch: pytest.MonkeyPatch):
    """The command, in a thread, over the test's machine."""
    settings = market.machine.services.settings
    for name in ("database_url", "marketbill_secret_key", "marketbill_bootstrap_key"):
        value = getattr(settings, name)
        monkeypatch.setenv(name.upper(), value.get_secret_value())
    monkeypatch.setenv("SANDBOX_URL", market.machine.sandbox_url)

    async def call(*words: str) -> Ran:
        return await asyncio.to_thread(command, "doctor", *words)

    return call


async def park_all(market: Market) -> list[str]:
    """Every event of the platform as one that was given up; gives their ids."""
    async with market.machine.services.db.write(market.platform) as scope:
        broken = {"handled_at": None, "next_attempt_at": None, "error": "broken", "attempts": inbox.ATTEMPTS_MAX}
        await scope.run(update(inbox_event).values(**broken))
        return [event.id for event in await inbox.troubled(scope)]


async def test_a_machine_that_is_well_has_one_line(market: Market, doctor) -> None:
    await market.seller("A")
    await market.sale(market.line("A", 5000))
    ran = await doctor()
    assert (ran.code, ran.out) == (0, "All is well: nothing waits longer than it should (1 platform).\n")
    ran = await doctor("--json")
    assert (ran.code, json.loads(ran.out)) == (0, {"healthy": True, "findings": [], "waiting": []})


async def test_what_is_late_is_listed_with_its_limit_and_what_to_do(market: Market, doctor) -> None:
    await market.seller("A", onboard=None)
    await market.sale(market.line("A", 5000), card="pm_card_bypassPending")
    assert (await doctor()).code == 0
    listed = await doctor("--all")
    assert listed.code == 0
    assert "Market, within its limit" in listed.out
    assert "HELD" in listed.out
    assert said(listed, "nothing to do before 20")
    assert not said(listed, "completes his onboarding")

    await market.machine.advance(days=4)
    await catch_up(market.machine.services, market.platform)
    [held] = await market.transfers()
    ran = await doctor("--platform", "Market")
    assert ran.code == 1
    assert said(ran, public_id("transfer", held.id))
    assert said(ran, "completes his onboarding (sellerOnboardingLinkCreate)")
    assert said(ran, "3 d")
    found = json.loads((await doctor("--json")).out)
    [one] = [one for one in found["findings"] if one["kind"] == "transfer_held"]
    assert found["healthy"] is False
    assert (one["id"], one["limitSeconds"]) == (public_id("transfer", held.id), 3 * DAY)
    assert one["platform"] == public_id("platform", market.platform)


async def given_up(market: Market) -> str:
    """A transfer that the provider refused; gives the id of its request."""
    await market.seller("A")
    market.machine.line.refuse(TRANSFERS, status=400)
    await market.sale(market.line("A", 5000), card="pm_card_bypassPending")
    [refused] = await market.transfers()
    assert refused.status == "REFUSED"
    market.machine.line.mend()
    return public_id("provider intent", refused.intent_id)


async def test_a_request_that_was_given_up_goes_through_when_it_is_tried_again(market: Market, doctor) -> None:
    id = await given_up(market)
    [refused] = await market.transfers()
    listed = await doctor("--platform", "Market")
    assert listed.code == 1
    assert said(listed, f"create_transfer of {public_id('transfer', refused.id)}")
    assert said(listed, f"`marketbill doctor retry {id}`, or `marketbill doctor abandon {id} --reason ...`")

    assert (await doctor("retry", id)).out == f"{id} is tried again now.\n"
    await market.machine.quiet()
    assert [row.status for row in await market.transfers()] == ["SENT"]
    assert (await doctor()).code == 0
    assert "ended" in (await doctor("retry", id)).line
    await market.prove()


async def test_a_request_that_is_abandoned_is_told_of_no_more(market: Market, doctor) -> None:
    id = await given_up(market)
    assert (await doctor("abandon", id)).code == 2, "without a reason"
    for invisible in (" ", "\u202e\u200b", "\u3164"):
        blank = await doctor("abandon", id, "--reason", invisible)
        assert (blank.code, "Say why" in blank.line) == (1, True)
    ran = await doctor("abandon", id, "--reason", "the seller is gone")
    assert (ran.code, ran.out) == (
        0,
        f"{id} is abandoned: 43.59 EUR stay payable to A; `marketbill doctor retry {id}` takes it back.\n",
    )
    assert (await doctor()).code == 0
    assert (await market.books())["seller:A:payable", "EUR"] > 0
    await market.prove()


@pytest.mark.parametrize("name", ["int_nothing", "int_" + "0" * 26, "evt_nothing", "pay_" + "0" * 26])
async def test_a_request_that_is_not_there_is_named(market: Market, doctor, name: str) -> None:
    for words in (("retry", name), ("abandon", name, "--reason", "x")):
        ran = await doctor(*words)
        assert ran.code == 1
        assert name in ran.line


async def test_an_event_that_was_parked_is_handled_when_it_is_replayed(market: Market, doctor) -> None:
    await market.seller("A")
    parked = await park_all(market)
    assert parked
    ran = await doctor()
    assert ran.code == 1
    for event in parked:
        assert said(
            ran, f"mend the cause, then `marketbill doctor replay {event}`, or `marketbill doctor dismiss {event}"
        )
        assert (await doctor("replay", event)).out == (
            f"{event} will be handled within seconds: look again with `marketbill doctor`.\n"
        )
    await market.machine.quiet()
    assert (await doctor()).code == 0


async def test_an_event_that_can_never_be_handled_is_dismissed_with_a_reason_and_pruned(market: Market, doctor) -> None:
    await market.seller("A")
    parked = await park_all(market)
    for invisible in ("", "\u202e\u200b", "x" * 501):
        ran = await doctor("dismiss", parked[0], "--reason", invisible)
        assert (ran.code, "Say why" in ran.line) == (1, True)
    assert (await doctor("dismiss", parked[0])).code == 2, "without a reason"
    for event in parked:
        ran = await doctor("dismiss", event, "--reason", " its object is a charge ")
        assert (ran.code, ran.out) == (0, f"{event} is dismissed.\n")

    assert (await doctor()).code == 0
    for words in (("replay", parked[0]), ("dismiss", parked[0], "--reason", "again")):
        ran = await doctor(*words)
        assert (ran.code, parked[0] in ran.line) == (1, True)
    async with market.machine.services.db.read(market.platform) as scope:
        row = await scope.first(inbox_event.select().where(inbox_event.c.id == parked[0]))
        assert row is not None
        assert (row.dismissed_by, row.dismiss_reason) == ("terminal", "its object is a charge")
        assert (row.handled_at is not None, row.error) == (True, "broken")
    await market.prove()
    async with market.machine.services.db.system() as scope:
        assert await inbox.prune(scope, older_than=-timedelta(days=1)) == len(parked)


@pytest.mark.parametrize("name", ["evt_nothing", "pay_" + "0" * 26])
async def test_what_does_not_wait_cannot_be_replayed(doctor, name: str) -> None:
    ran = await doctor("replay", name)
    assert ran.code == 1
    assert name in ran.line


async def test_an_event_that_was_handled_is_not_replayed(market: Market, doctor) -> None:
    await market.seller("A")
    async with market.machine.services.db.read(market.platform) as scope:
        id = await scope.scalar(inbox_event.select().with_only_columns(inbox_event.c.id))
    ran = await doctor("replay", id)
    assert ran.code == 1
    assert id in ran.line


async def test_a_sandbox_of_another_time_or_none_is_told(
    market: Market, doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await market.machine.control("clock", {"advance_seconds": 600})
    ran = await doctor()
    assert ran.code == 1
    assert said(ran, "s behind that of the sandbox")
    await market.machine.shift(600)
    assert (await doctor()).code == 0
    monkeypatch.setenv("SANDBOX_URL", "http://127.0.0.1:1")
    ran = await doctor()
    assert ran.code == 1
    assert said(ran, "does not answer")


async def test_an_unknown_platform_is_named(doctor) -> None:
    ran = await doctor("--platform", "Nowhere")
    assert ran.code == 2
    assert "Nowhere" in ran.line


def said(ran: Ran, words: str) -> bool:
    """Whether a table says it, however its cells were folded: by columns, and without any blanks."""
    columns: dict[int, str] = {}
    for line in ran.out.splitlines():
        for place, cell in enumerate(re.split("[│┃]", line)):
            columns[place] = columns.get(place, "") + "".join(cell.split())
    return any("".join(words.split()) in column for column in columns.values())
