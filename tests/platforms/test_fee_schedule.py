"""Fee schedules: what is published holds from its instant on, in one line of versions, and never changes."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from tests.market.machine import FEE_RULE, Machine

from marketbill.errors import InvalidInput, LimitExceeded, NotFound
from marketbill.ids import public_id
from marketbill.paging import PageRequest
from marketbill.platforms import fee_schedule
from marketbill.platforms.fee_schedule import InstantTaken, NotADraft, PublishInPast, Standing
from marketbill.reconciliation.check import Verdict
from marketbill.reconciliation.ledger import prove_fees
from marketbill.statements.fee_report import fee_report

DOCUMENT: dict[str, Any] = FEE_RULE.document()


def percent(text: str) -> dict[str, Any]:
    return DOCUMENT | {"rules": [DOCUMENT["rules"][0] | {"percent": text}]}


@pytest.fixture
async def admin(admin_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(admin_url)
    yield connection
    await connection.close()


async def test_each_version_holds_until_the_next_ones_instant(machine: Machine) -> None:
    market = await machine.platform(connected=False)
    async with machine.services.db.read(market.platform) as scope:
        start = scope.now
    week, month = start + timedelta(days=7), start + timedelta(days=30)
    in_a_month = await market.fees(percent("9"), effective_from=month)
    in_a_week = await market.fees(percent("8"), effective_from=week)
    assert (in_a_month.version, in_a_week.version) == (2, 3)

    async with machine.services.db.read(market.platform) as scope:
        held = [
            (await fee_schedule.current(scope, at)).version
            for at in (start, week - timedelta(microseconds=1), week, month - timedelta(microseconds=1), month)
        ]
        rows = (await fee_schedule.page(scope, PageRequest(10))).rows
        standings = await fee_schedule.standings(scope, [row.id for row in rows])
    assert held == [1, 1, 3, 3, 2]
    assert [standings[row.id] for row in rows] == [Standing.SCHEDULED, Standing.SCHEDULED, Standing.LIVE]


async def test_a_sale_is_computed_with_the_version_of_its_instant(machine: Machine) -> None:
    market = await machine.platform()
    await market.seller("A")
    async with machine.services.db.read(market.platform) as scope:
        tomorrow = scope.now + timedelta(days=1)
    await market.fees(percent("20"), effective_from=tomorrow)
    before = await market.payment(await market.sale(market.line("A", 5000)))
    await machine.advance(days=2)
    after = await market.payment(await market.sale(market.line("A", 5000)))
    assert (before.fee, after.fee) == (530, 1030)
    assert before.fee_schedule_id != after.fee_schedule_id
    assert (await market.payment(before.id)).trace == before.trace


async def test_nothing_is_published_into_the_past_or_twice_from_one_instant(machine: Machine) -> None:
    market = await machine.platform(connected=False)
    async with machine.services.db.read(market.platform) as scope:
        now = scope.now
    with pytest.raises(PublishInPast, match="has passed") as late:
        await market.fees(percent("9"), effective_from=now - timedelta(microseconds=1))
    assert late.value.path == ("effectiveFrom",)
    await market.fees(percent("9"), effective_from=now + timedelta(days=1))
    with pytest.raises(InstantTaken, match="Version 2") as taken:
        await market.fees(percent("8"), effective_from=now + timedelta(days=1))
    assert taken.value.path == ("effectiveFrom",)


async def test_those_who_publish_at_once_take_a_version_each(machine: Machine) -> None:
    market = await machine.platform(connected=False)
    rows = await asyncio.gather(*(market.fees(percent(str(number))) for number in range(1, 6)))
    assert sorted(row.version for row in rows) == [2, 3, 4, 5, 6]


async def test_a_published_schedule_never_changes(machine: Machine, admin: asyncpg.Connection) -> None:
    market = await machine.platform(connected=False)
    row = await market.fees(percent("9"))
    id = public_id("fee schedule", row.id)
    services, operator = machine.services, market.operator
    with pytest.raises(NotADraft):
        await fee_schedule.change(services, operator, idempotency_key="a", id=id, document=percent("1"))
    with pytest.raises(NotADraft):
        await fee_schedule.publish(services, operator, idempotency_key="b", id=id)
    with pytest.raises(NotADraft):
        await fee_schedule.discard(services, operator, idempotency_key="c", id=id)

    await admin.execute("set role marketbill_app")
    await admin.execute("select set_config('app.platform_id', $1, false)", str(market.platform))
    assert await admin.execute("update fee_schedule set name = 'x'") == "UPDATE 0"
    assert await admin.execute("delete from fee_schedule") == "DELETE 0"


async def test_a_draft_changes_goes_and_is_counted(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    market = await machine.platform(connected=False)
    services, operator = machine.services, market.operator
    first = await fee_schedule.draft(services, operator, idempotency_key="a", document=percent("9"))
    assert (await fee_schedule.draft(services, operator, idempotency_key="a", document=percent("9"))).id == first.id
    id = public_id("fee schedule", first.id)
    changed = await fee_schedule.change(services, operator, idempotency_key="b", id=id, document=percent("8"))
    assert bytes(changed.document_hash) != bytes(first.document_hash)
    monkeypatch.setattr(fee_schedule, "DRAFTS_MAX", 1)
    with pytest.raises(LimitExceeded):
        await fee_schedule.draft(services, operator, idempotency_key="c", document=percent("7"))
    await fee_schedule.discard(services, operator, idempotency_key="d", id=id)
    await fee_schedule.discard(services, operator, idempotency_key="d", id=id)
    with pytest.raises(NotFound):
        await fee_schedule.discard(services, operator, idempotency_key="e", id=id)


async def test_one_platform_sees_no_others_schedules(machine: Machine) -> None:
    one, other = (
        await machine.platform(name="One", connected=False),
        await machine.platform(name="Two", connected=False),
    )
    row = await one.fees(percent("9"))
    async with machine.services.db.read(other.platform) as scope:
        with pytest.raises(NotFound):
            await fee_schedule.load(scope, row.id)
    with pytest.raises(NotFound):
        await fee_schedule.publish(
            machine.services, other.operator, idempotency_key="x", id=public_id("fee schedule", row.id)
        )


async def test_rules_that_cannot_stand_beside_one_another_are_no_draft(machine: Machine) -> None:
    market = await machine.platform(connected=False)
    rule = DOCUMENT["rules"][0]
    tiers = {"mode": "VOLUME", "period": "MONTH", "steps": [{"percent": "9"}, {"from": {"EUR": "0"}, "percent": "8"}]}
    untiered = {key: value for key, value in rule.items() if key != "percent"}
    for rules, path in [
        ([rule | {"position": 1}, rule | {"name": "again", "position": 1}], "rules.1.position"),
        ([rule, rule], "rules.1.name"),
        ([rule | {"based_on": "shipping"}], "rules.0.based_on"),
        ([untiered | {"tiers": tiers}], "rules.0.tiers.steps.1.from.EUR"),
        ([rule | {"when": {"seller_countries": ["XX"]}}], "rules.0.when.seller_countries"),
    ]:
        with pytest.raises(InvalidInput) as refused:
            await market.fees({"name": "x", "rules": rules})
        assert refused.value.path == ("document", *path.split("."))


async def test_fees_of_every_name_and_of_the_buyer_are_in_the_report_and_proven(machine: Machine) -> None:
    market = await machine.platform()
    await market.seller("A")
    service = {"name": "service", "stack": "service", "payer": "BUYER", "account": "service", "fixed": {"EUR": "1.00"}}
    extra = {"name": "listing", "stack": "listing", "account": "listing", "fixed": {"EUR": "0.20"}}
    rules = [DOCUMENT["rules"][0], service | {"tax_mode": "EXCLUSIVE"}, extra | {"tax_mode": "EXCLUSIVE"}]
    await market.fees({"name": "Stacked", "rules": rules})
    await market.sale(market.line("A", 5000))
    async with machine.services.db.read(market.platform) as scope:
        day = timedelta(days=1)
        report = await fee_report(scope, start=scope.now - day, end=scope.now + day, currency="EUR")
        checks = await prove_fees(scope)
    assert {row.seller is None: row.fee for row in report.rows} == {False: 530 + 20, True: 100}
    assert report.agrees
    assert {check.verdict for check in checks} == {Verdict.HOLDS}
