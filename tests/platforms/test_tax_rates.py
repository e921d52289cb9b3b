"""A platform's own tax rates: added once, kept with their reason, seen by nobody else."""

import asyncio
from dataclasses import replace
from datetime import date
from decimal import Decimal
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import func, select
from tests.market.machine import Machine
from tests.market.market import Market

from marketbill.errors import IdempotencyConflict, InvalidInput, NotFound
from marketbill.ids import new_id, public_id
from marketbill.platforms import tax_rates
from marketbill.platforms.model import tax_rate_row
from marketbill.platforms.tax_rates import OwnRowReplaced, OwnTaxRate, TaxRateDraft, TooManyOwnRows
from marketbill.rules.rates import RateOutOfRange, RateTooPrecise
from marketbill.rules.tax.rate_checks import RateRowsGap, RateRowsOverlap, RateRowUnsound, RateRowWithoutSource
from marketbill.rules.tax.rate_table import NoRateOnDate, RateTable
from marketbill.tax_data import built_in

SOON = date(2027, 1, 1)
LATER = date(2027, 7, 1)
CUT = TaxRateDraft(
    jurisdiction="DE",
    category="standard",
    rate=Decimal(17),
    valid_from=SOON,
    valid_to=LATER,
    legal_source="Gesetz vom 1. Dezember 2026, art. 1",
    source_url="https://www.gesetze-im-internet.de/ustg_1980/",
    reason="announced on 1 December",
)
JAPAN = replace(
    CUT, jurisdiction="JP", tax="JCT", rate=Decimal(10), valid_to=None, legal_source="Consumption Tax Act, s. 29"
)


async def add(market: Market, draft: TaxRateDraft) -> OwnTaxRate:
    async with market.machine.services.db.write(market.platform) as scope:
        return await tax_rates.add(scope, draft, by="key_1")


async def table(market: Market) -> RateTable:
    async with market.machine.services.db.read(market.platform) as scope:
        return await tax_rates.table_for(scope)


async def own(market: Market) -> list[OwnTaxRate]:
    async with market.machine.services.db.read(market.platform) as scope:
        return await tax_rates.own_rows(scope)


async def test_an_override_holds_for_its_time_and_its_platform_alone(machine: Machine) -> None:
    market, neighbour = await machine.platform(name="One"), await machine.platform(name="Other")
    assert await table(market) is built_in()
    made = await add(market, CUT)

    ours = await table(market)
    assert [str(ours.rate("DE", "standard", on).rate) for on in (date(2026, 12, 31), SOON, LATER)] == ["19", "17", "19"]
    assert ours.rate("DE", "standard", SOON).tax == "VAT"
    assert await table(neighbour) is built_in()
    assert await own(neighbour) == []
    assert [(one.id, one.added_by, one.reason) for one in await own(market)] == [
        (made.id, "key_1", "announced on 1 December")
    ]
    async with machine.services.db.read(neighbour.platform) as scope:
        with pytest.raises(NotFound):
            await tax_rates.load(scope, made.id)
    with pytest.raises(NotFound):
        await add(neighbour, replace(CUT, replaces=public_id("tax rate", made.id)))


async def test_the_table_is_built_once_for_each_version(market: Market) -> None:
    await add(market, CUT)
    first = await table(market)
    assert await table(market) is first
    await add(market, JAPAN)
    second = await table(market)
    assert second is not first
    assert second.rate("JP", "", SOON).rate == 10
    assert await table(market) is second


async def test_an_undone_addition_leaves_no_table_behind(market: Market) -> None:
    class Undone(Exception):
        pass

    with pytest.raises(Undone):
        async with market.machine.services.db.write(market.platform) as scope:
            await tax_rates.add(scope, CUT, by="key_1")
            assert (await tax_rates.table_for(scope)).rate("DE", "standard", SOON).rate == 17
            raise Undone
    assert await table(market) is built_in()
    await add(market, replace(CUT, rate=Decimal(18)))
    assert (await table(market)).rate("DE", "standard", SOON).rate == 18


async def test_an_open_row_is_closed_by_the_next(market: Market) -> None:
    await add(market, JAPAN)
    await add(market, replace(JAPAN, rate=Decimal(12), valid_from=LATER))
    assert [(str(one.row.rate), one.row.valid_to) for one in await own(market)] == [("10", LATER), ("12", None)]
    assert (await table(market)).rate("JP", "standard", LATER).rate == 12


async def test_a_wrong_row_is_replaced_and_stays_on_record(market: Market) -> None:
    wrong = await add(market, CUT)
    right = await add(market, replace(CUT, rate=Decimal(16), replaces=public_id("tax rate", wrong.id)))
    assert [one.id for one in await own(market)] == [right.id]
    assert (await table(market)).rate("DE", "standard", SOON).rate == 16
    async with market.machine.services.db.read(market.platform) as scope:
        assert (await tax_rates.load(scope, wrong.id)).row.rate == 17
        assert await scope.scalar(select(func.count()).select_from(tax_rate_row)) == 2
    with pytest.raises(OwnRowReplaced, match="replaced already"):
        await add(market, replace(CUT, replaces=public_id("tax rate", wrong.id)))


async def test_what_is_wrong_is_refused_with_its_field_and_leaves_nothing(
    market: Market, subtests: pytest.Subtests
) -> None:
    await add(market, CUT)
    await add(market, replace(JAPAN, valid_to=LATER))
    for draft, refusal, path in [
        (replace(CUT, valid_from=date(2027, 3, 1), valid_to=None), RateRowsOverlap, ("validFrom",)),
        (replace(JAPAN, valid_from=date(2028, 1, 1)), RateRowsGap, ("validFrom",)),
        (replace(CUT, legal_source="  "), RateRowWithoutSource, ("legalSource",)),
        (replace(CUT, source_url="see the gazette"), RateRowWithoutSource, ("sourceUrl",)),
        (replace(CUT, rate=Decimal("100.01")), RateOutOfRange, ("rate",)),
        (replace(CUT, rate=Decimal(-1)), RateOutOfRange, ("rate",)),
        (replace(CUT, rate=Decimal("1.00001")), RateTooPrecise, ("rate",)),
        (replace(CUT, jurisdiction="EL", tax="VAT"), RateRowUnsound, ("jurisdiction",)),
        (replace(CUT, jurisdiction="GERMANY"), InvalidInput, ("jurisdiction",)),
        (replace(CUT, category="bread"), RateRowUnsound, ("category",)),
        (replace(CUT, supply="bread"), RateRowUnsound, ("supply",)),
        (replace(CUT, category="zero"), RateRowUnsound, ("rate",)),
        (replace(CUT, valid_to=SOON), RateRowUnsound, ("validTo",)),
        (replace(CUT, jurisdiction="ZA"), RateRowUnsound, ("tax",)),
        (replace(CUT, jurisdiction="CA-BC", valid_from=date(2010, 1, 1), valid_to=date(2016, 1, 1)), NoRateOnDate,
         ("validFrom",)),
        (replace(CUT, note="x" * 501), InvalidInput, ("note",)),
        (replace(CUT, legal_source="x" * 501), InvalidInput, ("legalSource",)),
        (replace(CUT, source_url="https://" + "x" * 1000), InvalidInput, ("sourceUrl",)),
        (replace(CUT, note="\x00"), InvalidInput, ("note",)),
        (replace(CUT, reason=""), InvalidInput, ("reason",)),
        (replace(CUT, reason="x" * 501), InvalidInput, ("reason",)),
        (replace(CUT, replaces="pay_1"), NotFound, ("replaces",)),
        (replace(CUT, replaces=public_id("tax rate", new_id())), NotFound, ("replaces",)),
    ]:  # fmt: skip
        with subtests.test(draft=draft):
            with pytest.raises(refusal) as refused:
                await add(market, draft)
            assert refused.value.path == path
            assert refused.value.message
    assert len(await own(market)) == 2


async def test_a_province_keeps_the_tax_beneath_its_own(market: Market) -> None:
    await add(market, replace(CUT, jurisdiction="CA-BC", rate=Decimal(8), valid_to=None))
    found = (await table(market)).rate("CA-BC", "standard", SOON)
    assert (found.rate, found.tax) == (Decimal(13), "GST + PST")


async def test_the_same_key_adds_one_row(market: Market) -> None:
    def publish(draft: TaxRateDraft = CUT) -> "asyncio.Future[UUID]":
        return asyncio.ensure_future(
            tax_rates.publish(market.machine.services, market.operator, idempotency_key="k", draft=draft)
        )

    made = {await publish() for _ in range(2)}
    assert len(made) == 1
    [row] = await own(market)
    assert row.added_by == market.operator.id
    with pytest.raises(IdempotencyConflict):
        await publish(replace(CUT, rate=Decimal(18)))


async def test_of_two_who_add_at_once_only_what_stands_together_is_kept(market: Market) -> None:
    outcomes = await asyncio.gather(
        *(add(market, replace(CUT, rate=Decimal(percent))) for percent in (15, 16, 17)), return_exceptions=True
    )
    assert sum(isinstance(one, RateRowsOverlap) for one in outcomes) == 2
    assert len(await own(market)) == 1


async def test_there_is_a_limit_to_own_rows(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tax_rates, "ROWS_MAX", 1)
    await add(market, CUT)
    with pytest.raises(TooManyOwnRows):
        await add(market, JAPAN)


async def test_a_row_is_behind_the_wall_and_never_changed(
    machine: Machine, database_url: str, subtests: pytest.Subtests
) -> None:
    market, neighbour = await machine.platform(name="One"), await machine.platform(name="Other")
    made = await add(market, CUT)
    connection = await asyncpg.connect(database_url, server_settings={"role": "marketbill_app"})
    name = "select set_config('app.platform_id', $1, false)"
    try:
        assert await connection.fetch("select * from tax_rate_row") == []
        await connection.execute(name, str(neighbour.platform))
        assert await connection.fetch("select * from tax_rate_row") == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(
                "insert into tax_rate_row (platform_id, id, version, jurisdiction, tax, category, supply, rate,"
                " valid_from, legal_source, source_url, note, estimate, reason, added_by, added_at) values"
                " ($1, $2, 9, 'FR', 'VAT', 'standard', '', 1, now(), 'x', 'https://x', '', false, 'x', 'x', now())",
                market.platform,
                new_id(),
            )
        await connection.execute(name, str(market.platform))
        assert [row["id"] for row in await connection.fetch("select id from tax_rate_row")] == [made.id]
        for statement in ("update tax_rate_row set rate = 0", "delete from tax_rate_row", "truncate tax_rate_row"):
            with subtests.test(statement=statement), pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()
