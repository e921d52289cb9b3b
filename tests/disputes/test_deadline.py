"""A dispute that nobody answers is told of two days before its time is over."""

from datetime import timedelta

from tests.disputes.court import contest, disputed, now, paid_sale
from tests.market.market import Market

from marketbill.health.findings import Finding, count_late, name_late
from marketbill.health.waits import Kind
from marketbill.ids import public_id


async def told(market: Market) -> list[Finding]:
    """What a person is told of disputes, named; counted across all platforms it is as much."""
    services, kind = market.machine.services, Kind.DISPUTE_UNANSWERED
    async with services.db.read(market.platform) as scope:
        named = await name_late(scope, {kind})
    async with services.db.system() as scope:
        counted = [one.number for one in await count_late(scope) if one.kind is kind]
    assert sum(counted) == len(named)
    return named


async def test_what_nobody_answered_is_an_alarm_two_days_before_it_is_due(market: Market) -> None:
    payment = await paid_sale(market)
    answered = await disputed(market, payment, 3000)
    row = await disputed(market, payment, 5000)
    await contest(market, answered)
    async with market.machine.services.db.read(market.platform) as scope:
        left = row.due_by - scope.now
    await market.machine.shift(int((left - timedelta(hours=49)).total_seconds()))
    assert await told(market) == []

    await market.machine.shift(7200)
    [finding] = await told(market)
    assert finding.id == public_id("dispute", row.id)
    assert finding.what == f"dispute NEEDS_RESPONSE, due by {row.due_by:%Y-%m-%d %H:%M} UTC, 50.00 EUR"
    assert finding.since == row.due_by - timedelta(hours=48)
    assert "disputeContest" in finding.to_do

    await contest(market, row)
    assert (await now(market, row)).answer == "CONTESTED"
    assert await told(market) == []
