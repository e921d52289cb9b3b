"""What sellers sold in a month, a quarter and a year: counted once for each charge, in the books' own transaction."""

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import select
from tests.market.machine import FEE_RULE, Machine

from marketbill.ids import public_id
from marketbill.payments import volumes
from marketbill.payments.model import seller_volume
from marketbill.platforms import fee_schedule
from marketbill.rules.fees.schedule import Period

DOCUMENT = FEE_RULE.document()
TIERS = {"mode": "VOLUME", "period": "MONTH", "steps": [{"percent": "10"}, {"from": {"EUR": "100.00"}, "percent": "5"}]}
TIERED = {
    "name": "Tiers",
    "rules": [{"name": "commission", "tiers": TIERS, "base": "GROSS", "tax_mode": "EXCLUSIVE"}],
}


async def test_a_charge_counts_once(machine: Machine) -> None:
    market = await machine.platform()
    await market.seller("A", onboard=None)
    await market.seller("B", onboard=None)
    await market.sale(market.line("A", 5000), market.line("B", 700))
    await market.sale(market.line("A", 250))
    async with machine.services.db.read(market.platform) as scope:
        rows = await scope.rows(select(seller_volume))
        held = await volumes.before(
            scope,
            fee_schedule.draft_schedule(TIERED),
            [market.sellers["A"], market.sellers["B"]],
            currency="EUR",
            at=scope.now,
        )
        plain = fee_schedule.draft_schedule(DOCUMENT)
        assert await volumes.before(scope, plain, [market.sellers["A"]], currency="EUR", at=scope.now) == {}
    assert sorted(row.gross for row in rows) == [700, 5250]
    a = public_id("seller", market.sellers["A"])
    assert held[a] == {Period.MONTH: 5250, Period.QUARTER: 5250, Period.YEAR: 5250}


@pytest.mark.parametrize(
    ("at", "month", "quarter", "year"),
    [
        (datetime(2026, 3, 31, 23, 59, tzinfo=UTC), (3, 1), (1, 1), (1, 1)),
        (datetime(2026, 4, 1, tzinfo=UTC), (4, 1), (4, 1), (1, 1)),
        (datetime.fromisoformat("2026-12-31T23:30:00-01:00"), (1, 1), (1, 1), (1, 1)),
    ],
)
def test_periods_are_by_the_calendar_in_utc(
    at: datetime, month: tuple[int, int], quarter: tuple[int, int], year: tuple[int, int]
) -> None:
    own = at.astimezone(UTC).year
    starts = [date(own, *start) for start in (month, quarter, year)]
    assert [volumes.period_start(period, at) for period in Period] == starts
