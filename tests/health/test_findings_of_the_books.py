"""What operators and sweepers owe the books: holds past their end, corrections that nobody decides."""

from datetime import timedelta
from uuid import UUID

import pytest
from tests.ledger.till import Till
from tests.market.market import Market

from marketbill.health.examination import examine
from marketbill.health.findings import Finding
from marketbill.health.waits import WAITS, Kind
from marketbill.ids import public_id
from marketbill.ledger import hold
from marketbill.ledger.operations import correction

MARGIN = timedelta(seconds=30)


@pytest.fixture
async def till(market: Market) -> Till:
    """100.00 payable to a seller."""
    till = Till(market.machine.services.db, market.platform)
    await till.post(till.charge(10_000), till.release(10_000))
    return till


async def found(till: Till, kind: Kind, *, everything: bool = False) -> list[Finding]:
    return [one for one in await examine(till.db, everything=everything) if one.kind == kind]


async def held_until(till: Till, ago: timedelta) -> UUID:
    async with till.db.write(till.platform) as scope:
        scope.now -= timedelta(days=1)
        return await hold.place(scope, till.set_aside(5), expires_at=scope.now + timedelta(days=1) - ago)


async def test_a_hold_that_nobody_gives_back(till: Till) -> None:
    limit = WAITS[Kind.HOLD_UNEXPIRED].limit
    await held_until(till, limit - MARGIN)
    await till.do(hold.place, till.set_aside(5))
    assert await found(till, Kind.HOLD_UNEXPIRED) == []
    assert len(await found(till, Kind.HOLD_UNEXPIRED, everything=True)) == 1

    late = public_id("journal entry", await held_until(till, limit + MARGIN))
    [one] = await found(till, Kind.HOLD_UNEXPIRED)
    assert (one.id, one.platform) == (late, public_id("platform", till.platform))
    assert f"marketbill ledger void-hold {late}" in one.to_do

    assert await hold.expire_due(till.db, till.platform) == 2
    assert await found(till, Kind.HOLD_UNEXPIRED, everything=True) == []


async def test_a_correction_that_nobody_decides(till: Till) -> None:
    limit = WAITS[Kind.CORRECTION_WAITING].limit
    [wrong] = await till.post(till.charge(200_000))
    made = await till.do(correction.request, wrong, by="key_anna", reason="twice", later=MARGIN - limit)
    assert await found(till, Kind.CORRECTION_WAITING) == []
    assert len(await found(till, Kind.CORRECTION_WAITING, everything=True)) == 1
    await till.do(correction.reject, made.id, by="key_anna", reason="mine")

    made = await till.do(correction.request, wrong, by="key_anna", reason="twice", later=-limit - MARGIN)
    [one] = await found(till, Kind.CORRECTION_WAITING)
    assert (one.id, one.why) == (public_id("correction", made.id), "twice")
    assert f"marketbill ledger approve {one.id}" in one.to_do
    await till.do(correction.approve, made.id, by="key_ben")
    assert await found(till, Kind.CORRECTION_WAITING, everything=True) == []


async def test_a_correction_that_has_expired_waits_no_more(till: Till) -> None:
    [wrong] = await till.post(till.charge(200_000))
    await till.do(correction.request, wrong, by="key_anna", reason="twice", later=-correction.WAITS)
    assert await found(till, Kind.CORRECTION_WAITING, everything=True) == []
