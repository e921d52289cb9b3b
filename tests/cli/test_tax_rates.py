"""`marketbill tax rates` and `rate-add`, as an operator at a terminal uses them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import date

import asyncpg
import pytest
from tests.cli.conftest import Ran

from marketbill.cli.ledger import operating
from marketbill.db import Database
from marketbill.ids import PlatformId, new_id
from marketbill.platforms import tax_rates

Tax = Callable[..., Awaitable[Ran]]
CUT = (
    *("rate-add", "DE", "standard", "17", "--from", "2027-01-01", "--until", "2027-07-01"),
    *("--law", "UStG, s. 28", "--page", "https://www.gesetze-im-internet.de/ustg_1980/", "--reason", "announced"),
)


@pytest.fixture
async def platform(admin_url: str) -> PlatformId:
    platform = PlatformId(new_id())
    connection = await asyncpg.connect(admin_url)
    await connection.execute(
        "insert into platform (platform_id, name, country, default_currency, fee_tax_rate, hold_from, hold_days,"
        " created_at, updated_at) values ($1, 'Blue [Market]', 'NL', 'EUR', 21, 'CAPTURE', 0, now(), now())",
        platform,
    )
    await connection.close()
    return platform


@pytest.fixture
def tax(command: Callable[..., Ran], platform: PlatformId, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Tax:
    """The command, in a thread of its own."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", "a master key for tests, long enough")
    return lambda *words: asyncio.to_thread(command, "tax", *words)


def told(ran: Ran) -> str:
    assert ran.code == 0, ran.err
    return re.sub(r"[\s│]+", " ", ran.out)


async def test_a_rate_is_added_listed_and_kept_with_its_person(
    tax: Tax, platform: PlatformId, database_url: str
) -> None:
    added = told(await tax(*CUT))
    assert "Blue [Market]: DE/standard/2027-01-01: 17 % VAT from 2027-01-01 until 2027-07-01. Kept as txr_" in added
    assert "standard 17 2027-01-01" in told(await tax("rates", "--jurisdiction", "DE", "--on", "2027-06-30"))
    after = told(await tax("rates", "--jurisdiction", "DE", "--on", "2027-07-01"))
    assert "standard 19 2027-07-01" in after
    assert "books" in after
    db = Database(database_url, pool_size=1)
    async with db.read(platform) as scope:
        [kept] = await tax_rates.own_rows(scope)
        assert (kept.added_by, kept.reason) == (operating.person(), "announced")
        assert (await tax_rates.table_for(scope)).rate("DE", "standard", date(2027, 1, 1)).rate == 17
    await db.dispose()


async def test_standard_rates_everywhere_and_their_estimates(tax: Tax) -> None:
    listed = told(await tax("rates", "--on", "2026-11-22"))
    assert "tax rates on 2026-11-22" in listed
    assert re.search(r"DE VAT standard 19 ", listed)
    assert re.search(r"CA-QC QST standard 9\.975 .*? and CA's", listed)
    assert re.search(r"US-TX Sales tax standard 6\.25 .*? estimate", listed)


def test_the_built_in_rates_need_no_database(command: Callable[..., Ran]) -> None:
    listed = told(command("tax", "rates", "--built-in", "--jurisdiction", "DE", "--on", "2020-07-01"))
    assert "standard 16 2020-07-01 2021-01-01 Zweites" in listed
    assert command("tax", "rates", "--jurisdiction", "DE").code == 1


async def test_what_is_wrong_is_one_line(tax: Tax) -> None:
    told(await tax(*CUT))
    for words, code, says in [
        (CUT, 1, "overlaps DE/standard/2027-01-01"),
        ([*CUT[:3], "101", *CUT[4:]], 1, "from 0 to 100"),
        ([*CUT[:3], "17%", *CUT[4:]], 2, "'17%' is no rate"),
        ([*CUT[:3], "1e1", *CUT[4:]], 2, "is no rate"),
        ([*CUT[:1], "Germany", *CUT[2:]], 1, "jurisdiction"),
        ([*CUT[:2], "bread", *CUT[3:]], 1, "has no category of rates"),
        ([*CUT[:5], "1 May", *CUT[6:]], 2, "--from '1 May' is no day"),
        ([*CUT[:5], "2027-02-30", *CUT[6:]], 2, "is no day"),
        ([*CUT, "--supply", "bread"], 1, "not in the list"),
        ([*CUT, "--replaces", "txr_1"], 1, "replaces"),
        ([*CUT[:9], "", *CUT[10:]], 1, "has no source"),
        (CUT[:-2], 2, "--reason"),
        (("rates", "--jurisdiction", "XX"), 1, "There are no tax rates for 'XX'"),
        (("rates", "--on", "yesterday"), 2, "is no day"),
        (("rate",), 2, "unknown command"),
    ]:
        ran = await tax(*words)
        assert ran.code == code, (words, ran.err)
        assert says in ran.line, words
    empty = told(await tax("rates", "--jurisdiction", "DE", "--on", "2015-12-31"))
    assert empty.strip().endswith("tax rates on 2015-12-31: none.")
