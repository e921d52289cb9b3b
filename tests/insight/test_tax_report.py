"""The tax report: by jurisdiction, and equal to the movement of every tax account."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.insight.taxed_sale import DEEMED, DOMESTIC, TaxedSale, book
from tests.market.fixtures import WORKED_LINES, worked_sellers
from tests.market.market import Market

from marketbill.db import Database
from marketbill.errors import InvalidInput
from marketbill.ids import PlatformId, new_id
from marketbill.insight.tax_report import TaxAccount, tax_report
from marketbill.ledger import chart
from marketbill.ledger.journal import JournalEntry, Posting, Source, post_all
from marketbill.ledger.operations import period
from marketbill.payments.tax_lines import lines_of

START = datetime(2026, 10, 5, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)

INDIAN: dict[str, Any] = DOMESTIC | {
    "net": 100_000,
    "tax": 18_000,
    "rate": "18",
    "rule": "sale-tax:in-goods",
    "jurisdiction": "IN",
    "withheld": [["in-tcs", "0.5", "sale-tax:in-goods"]],
}
REVERSE = (1_000, 0, "0", "fee-vat:eu-reverse-charge", "")


async def told(db: Database, platform: PlatformId, start: datetime, end: datetime, **how: Any) -> list[tuple[Any, ...]]:
    async with db.read(platform) as scope:
        report = await tax_report(scope, start=start, end=end, **how)
    assert report.agrees
    return [
        (row.jurisdiction, row.kind, row.liable, f"{row.rate:f}", row.currency, row.base, row.tax, row.lines)
        for row in report.rows
    ]


async def test_a_period_by_jurisdiction(db: Database, platform: PlatformId) -> None:
    """Two German lines the platform owes, one that its Dutch seller owes, and an Indian one with 0.5 % withheld."""
    dutch = DOMESTIC | {"jurisdiction": "NL", "rate": "21", "net": 1_000, "tax": 210}
    await book(
        db,
        platform,
        (TaxedSale(lines=[DEEMED, DEEMED]), START),
        (TaxedSale(lines=[dutch], fee=REVERSE, seller_country="BE"), START + DAY),
        (TaxedSale(lines=[INDIAN], currency="INR", buyer_fee=(500, 105, "21", "buyer-fee-vat:domestic", "NL")), START),
        (TaxedSale(lines=[DEEMED]), START + 3 * DAY),
    )
    assert await told(db, platform, START, START + 2 * DAY) == [
        ("BE", "FEE", "BUYER", "0", "EUR", 1_000, 0, 1),
        ("DE", "SALE", "PLATFORM", "19", "EUR", 20_000, 3_800, 2),
        ("IN", "SALE", "SELLER", "18", "INR", 100_000, 18_000, 1),
        ("IN", "WITHHELD", "PLATFORM", "0.5", "INR", 100_000, 500, 1),
        ("NL", "BUYER_FEE", "PLATFORM", "21", "INR", 500, 105, 1),
        ("NL", "FEE", "PLATFORM", "21", "EUR", 2_000, 420, 1),
        ("NL", "FEE", "PLATFORM", "21", "INR", 1_000, 210, 1),
        ("NL", "SALE", "SELLER", "21", "EUR", 1_000, 210, 1),
    ]
    assert [row[1] for row in await told(db, platform, START, START + 2 * DAY, jurisdiction="IN")] == [
        "SALE",
        "WITHHELD",
    ]
    async with db.read(platform) as scope:
        report = await tax_report(scope, start=START, end=START + 2 * DAY)
    assert report.accounts == (
        TaxAccount("tax:deemed:DE", "EUR", 3_800, 3_800, 0),
        TaxAccount("tax:output-vat:NL", "EUR", 420, 420, 0),
        TaxAccount("tax:output-vat:NL", "INR", 315, 315, 0),
        TaxAccount("tax:withheld:in-tcs", "INR", 500, 500, 0),
    )


async def test_the_worked_sale(market: Market) -> None:
    """121.00 with Dutch tax of 21.00 within, as stated: nobody told where. B accounts for his fee's himself."""
    await worked_sellers(market)
    await market.sale(*(market.line(name, price) for name, price in WORKED_LINES))
    async with market.machine.services.db.read(market.platform) as scope:
        report = await tax_report(scope, start=scope.now - DAY, end=scope.now + DAY)
    assert [(row.jurisdiction, row.kind, row.liable, row.base, row.tax, row.lines) for row in report.rows] == [
        ("", "SALE", "SELLER", 10_000, 2_100, 3),
        ("DE", "FEE", "BUYER", 410, 0, 1),
        ("NL", "FEE", "PLATFORM", 830, 175, 2),
    ]
    assert report.accounts == (TaxAccount("tax:output-vat:NL", "EUR", 175, 175, 0),)


async def test_what_is_no_sale_is_told_apart(db: Database, platform: PlatformId) -> None:
    """An entry by hand moves the account, and the report says by how much; it hides nothing and breaks nothing."""
    sale = TaxedSale()
    await book(db, platform, (sale, START))
    by_hand = Posting(chart.seller_pending(sale.seller, "EUR"), chart.output_vat("NL", "EUR"), 5)
    async with db.write(platform) as scope:
        await post_all(scope, [JournalEntry("m", "manual", Source("correction", new_id()), (by_hand,), START, "", {})])
    async with db.read(platform) as scope:
        report = await tax_report(scope, start=START, end=START + DAY)
    assert TaxAccount("tax:output-vat:NL", "EUR", reported=210, moved=215, other=5) in report.accounts
    assert report.agrees


async def test_what_happened_in_a_closed_period_is_reported_where_it_is_booked(
    db: Database, platform: PlatformId
) -> None:
    await book(db, platform, (TaxedSale(), START))
    async with db.write(platform) as scope:
        await period.close(scope, until=START + DAY, by="a test")
    await book(db, platform, (TaxedSale(), START))
    assert [row[-2:] for row in await told(db, platform, START, START + DAY, jurisdiction="DE")] == [(1_900, 1)]
    assert [row[-2:] for row in await told(db, platform, START + DAY, START + 2 * DAY, jurisdiction="DE")] == [
        (1_900, 1)
    ]


def test_a_sale_from_before_tax_lines_has_none() -> None:
    old = TaxedSale().payment()
    old.trace["trace_version"] = 1
    assert lines_of(old, START) == []


async def test_a_period_runs_forward(db: Database, platform: PlatformId) -> None:
    async with db.read(platform) as scope:
        with pytest.raises(InvalidInput):
            await tax_report(scope, start=START, end=START)


_LINES = st.lists(
    st.fixed_dictionaries(
        {
            "net": st.integers(0, 500).map(lambda part: 200 * part),
            "tax": st.integers(0, 20_000),
            "liable": st.sampled_from(["SELLER", "PLATFORM", "BUYER", "NOBODY"]),
            "jurisdiction": st.sampled_from(["DE", "US-CA"]),
            "withheld": st.sampled_from([[], [["in-tcs", "0.5", "r"]]]),
        }
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sales=st.lists(st.tuples(_LINES, st.integers(0, 5), st.booleans()), min_size=1, max_size=5), cut=st.integers(1, 5)
)
async def test_any_sales_tie_to_the_accounts_however_the_time_is_cut(
    db: Database, sales: list[tuple[list[dict[str, Any]], int, bool]], cut: int
) -> None:
    platform = PlatformId(new_id())
    made: list[tuple[TaxedSale, datetime]] = []
    for lines, day, with_buyer_fee in sales:
        whole = [DEEMED | line | {"withheld": line["withheld"] if line["net"] else []} for line in lines]
        buyer_fee = (500, 105, "21", "buyer-fee-vat:domestic", "NL") if with_buyer_fee else None
        sale = TaxedSale(lines=whole, buyer_fee=buyer_fee, fee=(1, 0, "0", "fee-vat:outside-scope", ""))
        if all(line["net"] + line["tax"] for line in whole):
            # A fee of one cent a line always fits; what is deemed and withheld may not take more than the line.
            for line in whole:
                line["net"] = max(line["net"], 200)
            made.append((sale, START + day * DAY))
    if not made:
        return
    await book(db, platform, *made)
    total: dict[tuple[str, str], int] = {}
    for start, end in ((START, START + cut * DAY), (START + cut * DAY, START + 6 * DAY)):
        async with db.read(platform) as scope:
            report = await tax_report(scope, start=start, end=end)
        assert report.agrees
        assert all(account.other == 0 and account.moved == account.reported for account in report.accounts)
        inside = [sale for sale, at in made if start <= at < end]
        assert sum(row.base for row in report.rows if row.kind == "SALE") == sum(
            line["net"] for sale in inside for line in sale.lines
        )
        for account in report.accounts:
            total[account.code, account.currency] = total.get((account.code, account.currency), 0) + account.moved
    deemed = sum(line["tax"] for sale, _ in made for line in sale.lines if line["liable"] == "PLATFORM")
    assert sum(amount for (code, _), amount in total.items() if code.startswith("tax:deemed:")) == deemed
