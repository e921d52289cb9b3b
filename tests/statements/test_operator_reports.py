"""The operator's reports of the worked sale and of what came after it, each equal to its accounts."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.market.fixtures import WORKED_LINES, worked_sellers
from tests.market.market import Market

from marketbill.db import ReadScope
from marketbill.errors import InvalidInput
from marketbill.statements import operator_reports as reports
from marketbill.statements.operator_reports import Dimension, Held

EUR = "EUR"
NET = {"A": 512, "B": 410, "C": 318}


def period(scope: ReadScope) -> dict[str, Any]:
    return {"start": scope.now - timedelta(days=300), "end": scope.now + timedelta(days=1), "currency": EUR}


async def test_fees_told_apart_are_the_fee_revenue(market: Market) -> None:
    await worked_sellers(market)
    names = {id: name for name, id in market.sellers.items()}
    lines = [market.line(name, price, category=f"kind-{name.lower()}") for name, price in WORKED_LINES]
    await market.sale(*lines)
    async with market.machine.services.db.read(market.platform) as scope:
        told = {by: await reports.fees_by(scope, by, **period(scope)) for by in Dimension}
        early: dict[str, Any] = {**period(scope), "end": scope.now - timedelta(days=299)}
        before = await reports.fees_by(scope, Dimension.RULE, **early)
        rate = await reports.take_rate(scope, **period(scope))
    for one in told.values():
        assert (one.revenue, one.given_back, one.unexplained) == (1240, 0, 0)
    assert {names[row.seller]: row.net for row in told[Dimension.SELLER].rows if row.seller} == NET
    assert {row.name: row.net for row in told[Dimension.CATEGORY].rows} == {
        f"kind-{n.lower()}": v for n, v in NET.items()
    }
    [rule] = told[Dimension.RULE].rows
    assert (rule.name.endswith("/commission"), rule.net) == (True, 1240)
    assert (before.rows, before.revenue) == ((), 0)
    assert (rate.charged, rate.fees, rate.provider_fees, rate.rate) == (12100, 1240, 207, Decimal("10.2479"))


async def test_held_money_is_what_the_accounts_hold(market: Market) -> None:
    await worked_sellers(market)
    await market.sale(*(market.line(name, price) for name, price in WORKED_LINES))
    async with market.machine.services.db.read(market.platform) as scope:
        assert (await reports.held_money(scope, EUR))[0] == Held("PENDING", 3, 10685)
        assert await reports.held_money(scope, "USD") == ()
        assert (await reports.debts(scope, EUR)).agrees
        assert (await reports.disputes(scope, EUR)).agrees
    await market.machine.advance(days=9)
    async with market.machine.services.db.read(market.platform) as scope:
        held = {row.place: row.amount for row in await reports.held_money(scope, EUR)}
    assert held == {"PENDING": 0, "PAYABLE": 0, "AVAILABLE": 10685}


async def test_a_report_runs_forward(market: Market) -> None:
    async with market.machine.services.db.read(market.platform) as scope:
        now: datetime = scope.now
        with pytest.raises(InvalidInput):
            await reports.fees_by(scope, Dimension.RULE, start=now, end=now, currency=EUR)
        with pytest.raises(InvalidInput):
            await reports.take_rate(scope, start=now, end=now, currency=EUR)
