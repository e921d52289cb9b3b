"""Alarms: told once when something is late, once when it is over, and never of a clock that was moved."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.market.market import Market

from marketbill.events import inbox
from marketbill.events.model import inbox_event
from marketbill.health import alarms
from marketbill.health.waits import Kind
from marketbill.provider.objects import ProviderEvent


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with capture_logs() as captured:
        yield captured


async def look(market: Market, lines: list[Any], *, after_gap: bool = False) -> list[tuple[str, str, str]]:
    """One look; gives the level, the event and the kind of each line."""
    before = len(lines)
    async with market.machine.services.db.system() as scope:
        await alarms.look(scope, after_gap=after_gap)
    return [(line["log_level"], line["event"], line["kind"]) for line in lines[before:]]


async def park(market: Market, *ids: str) -> None:
    async with market.machine.services.db.write(market.platform) as scope:
        events = [ProviderEvent(id, "x", None, scope.now, False, {"id": "x"}, None) for id in ids]
        await inbox.store(scope, [(event, b"{}") for event in events], parked=dict.fromkeys(ids, "parked"))


async def standing(market: Market) -> list[tuple[str, int, int]]:
    async with market.machine.services.db.system() as scope:
        return [(one.kind, one.platforms, one.things) for one in await alarms.raised(scope)]


async def test_what_may_not_wait_at_all_is_told_at_once_and_once(market: Market, lines: list[Any]) -> None:
    assert await look(market, lines) == []
    await park(market, "evt_1")
    assert await look(market, lines) == [("error", "alarm", Kind.EVENT_PARKED)]
    await park(market, "evt_2")
    assert await look(market, lines) == []
    assert await standing(market) == [(Kind.EVENT_PARKED, 1, 2)]

    async with market.machine.services.db.write(market.platform) as scope:
        await scope.run(inbox_event.update().values(handled_at=scope.now))
    assert await look(market, lines) == [("info", "alarm is over", Kind.EVENT_PARKED)]
    assert await standing(market) == []
    assert await look(market, lines) == []


async def test_what_has_a_limit_is_told_of_when_it_is_late_still_at_the_next_look(
    market: Market, lines: list[Any]
) -> None:
    await market.machine.shift(7200)
    assert await look(market, lines) == []
    assert await look(market, lines) == [("error", "alarm", Kind.EVENTS_NOT_LISTED)]
    assert await look(market, lines) == []


async def test_a_look_after_a_gap_is_a_first_one(market: Market, lines: list[Any]) -> None:
    await market.machine.shift(7200)
    assert await look(market, lines) == []
    assert await look(market, lines, after_gap=True) == []
    assert await look(market, lines) == [("error", "alarm", Kind.EVENTS_NOT_LISTED)]
    assert await look(market, lines, after_gap=True) == []
    assert await standing(market) == [(Kind.EVENTS_NOT_LISTED, 1, 1)]


async def test_a_clock_that_is_moved_is_no_alarm(market: Market, lines: list[Any]) -> None:
    await market.seller("A")
    await market.sale(market.line("A", 5000))
    await market.machine.control("clock", {"advance_seconds": 9 * 86_400})
    await market.machine.shift(9 * 86_400)
    await look(market, lines)  # at this moment the funds are late by days
    await market.machine.sweep()
    kinds = [kind for _, event, kind in await look(market, lines) if event == "alarm"]
    assert Kind.PAYMENT_FUNDS_LATE not in kinds


async def test_the_processes_have_alarms_of_no_platform(market: Market, lines: list[Any]) -> None:
    await market.machine.shift(int(timedelta(days=3).total_seconds()))
    told = [await look(market, lines) for _ in range(2)][1]
    assert ("error", "alarm", "keys_not_pruned") in told
    [line] = [line for line in lines if line["kind"] == "keys_not_pruned"]
    assert line["platform"] is None


async def test_a_flood_of_alarms_is_a_few_lines(
    market: Market, lines: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarms, "LINES_MAX", 2)
    for number in range(3):
        await park(await market.machine.platform(name=f"Other {number}", connected=False), f"evt_{number}")
    assert await look(market, lines) == [
        ("error", "alarm", Kind.EVENT_PARKED),
        ("error", "alarm", Kind.EVENT_PARKED),
        ("error", "alarm", "many"),
    ]
