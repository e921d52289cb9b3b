"""The fee report: by seller and rule version, equal to the movement of the fee revenue account."""

from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ledger.worked_journal import EUR, START, basket

from marketbill.db import Database
from marketbill.errors import InvalidInput
from marketbill.ids import PlatformId, SellerId, new_id
from marketbill.ledger import chart
from marketbill.ledger.journal import JournalEntry, Posting, Source, post_all
from marketbill.statements.fee_report import FeeRow, fee_report

DAY = timedelta(days=1)
RULE = "fee_0000000000000000000000000a"


async def test_the_worked_sale(db: Database, platform: PlatformId) -> None:
    sale = basket()
    async with db.write(platform) as scope:
        await post_all(scope, sale.entries)
    async with db.read(platform) as scope:
        report = await fee_report(scope, start=START, end=START + DAY, currency=EUR)
        before = await fee_report(scope, start=START - DAY, end=START, currency=EUR)
        dollars = await fee_report(scope, start=START, end=START + DAY, currency="USD")

    assert {row.seller: row for row in report.rows} == {
        sale.a: FeeRow(sale.a, RULE, 1, sales=1, gross=4999, fee=512, fee_tax=108),
        sale.b: FeeRow(sale.b, RULE, 1, sales=1, gross=3999, fee=410, fee_tax=0),
        sale.c: FeeRow(sale.c, RULE, 1, sales=1, gross=3102, fee=318, fee_tax=67),
    }
    assert (report.fee, report.revenue, report.agrees) == (1240, 1240, True)
    assert (before.rows, before.revenue, dollars.rows, dollars.revenue) == ((), 0, (), 0)


async def test_fees_of_before_schedules_name_their_rule(db: Database, platform: PlatformId) -> None:
    seller, payment = SellerId(new_id()), Source("payment", new_id())
    postings = (Posting(chart.seller_pending(seller, EUR), chart.platform_fee(EUR), 100),)
    charge = (Posting(chart.psp_pending(EUR), chart.seller_pending(seller, EUR), 1000),)
    entries = [
        JournalEntry("charge:old", "charge", payment, charge, START, "", {}),
        JournalEntry("split:old", "split", payment, postings, START, "", {"fee_rule": RULE, "fee_rule_version": 2}),
    ]
    async with db.write(platform) as scope:
        await post_all(scope, entries)
    async with db.read(platform) as scope:
        report = await fee_report(scope, start=START, end=START + DAY, currency=EUR)
    assert report.rows == (FeeRow(seller, RULE, 2, sales=1, gross=1000, fee=100, fee_tax=0),)


async def test_tax_on_the_sale_itself_is_no_tax_on_the_fee(db: Database, platform: PlatformId) -> None:
    seller, payment = SellerId(new_id()), Source("payment", new_id())
    pending = chart.seller_pending(seller, EUR)
    postings = (
        Posting(pending, chart.platform_fee(EUR), 100),
        Posting(pending, chart.output_vat("NL", EUR), 21),
        Posting(pending, chart.account(chart.DEEMED_TAX, EUR, "DE"), 160),
        Posting(pending, chart.account(chart.WITHHELD_TAX, EUR, "in-tcs"), 5),
    )
    charge = (Posting(chart.psp_pending(EUR), pending, 1000),)
    entries = [
        JournalEntry("charge:taxed", "charge", payment, charge, START, "", {}),
        JournalEntry("split:taxed", "split", payment, postings, START, "", {}),
    ]
    async with db.write(platform) as scope:
        await post_all(scope, entries)
    async with db.read(platform) as scope:
        report = await fee_report(scope, start=START, end=START + DAY, currency=EUR)
    assert report.rows == (FeeRow(seller, None, None, sales=1, gross=1000, fee=100, fee_tax=21),)


async def test_a_period_runs_forward(db: Database, platform: PlatformId) -> None:
    async with db.read(platform) as scope:
        with pytest.raises(InvalidInput):
            await fee_report(scope, start=START, end=START, currency=EUR)


def sale_of(seller: SellerId, *, gross: int, fee: int, tax: int, version: int, at: datetime) -> list[JournalEntry]:
    payment, pending = Source("payment", new_id()), chart.seller_pending(seller, EUR)
    split = [Posting(pending, chart.platform_fee(EUR), fee), Posting(pending, chart.output_vat("NL", EUR), tax)]
    charge = (Posting(chart.psp_pending(EUR), pending, gross),)
    reason = {"fee_schedule": f"fee_{version}", "fee_schedule_version": version}
    return [
        JournalEntry(f"charge:{payment.id}", "charge", payment, charge, at, "", {}),
        JournalEntry(f"split:{payment.id}", "split", payment, tuple(split), at, "", reason),
    ]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sales=st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 3), st.integers(0, 5), st.integers(1, 500), st.integers(1, 50)),
        min_size=1,
        max_size=15,
    ),
    returned=st.integers(0, 40),
    cut=st.integers(1, 5),
)
async def test_rows_make_the_revenue_in_any_period(
    db: Database, sales: list[tuple[int, int, int, int, int]], returned: int, cut: int
) -> None:
    platform, sellers = PlatformId(new_id()), [SellerId(new_id()) for _ in range(3)]
    entries = [
        entry
        for who, version, day, fee, tax in sales
        for entry in sale_of(
            sellers[who], gross=fee * 10 + tax, fee=fee, tax=tax, version=version, at=START + day * DAY
        )
    ]
    if returned:
        posting = Posting(chart.platform_fee(EUR), chart.seller_payable(sellers[0], EUR), returned)
        entries.append(JournalEntry("back", "manual", Source("correction", new_id()), (posting,), START + DAY, "", {}))
    async with db.write(platform) as scope:
        await post_all(scope, entries)
    total = 0
    for start, end in ((START, START + cut * DAY), (START + cut * DAY, START + 6 * DAY)):
        async with db.read(platform) as scope:
            report = await fee_report(scope, start=start, end=end, currency=EUR)
        assert report.agrees
        told = {
            (row.seller, row.fee_schedule_version): (row.sales, row.gross, row.fee, row.fee_tax) for row in report.rows
        }
        expected: dict[tuple[SellerId | None, int | None], tuple[int, int, int, int]] = {}
        for who, version, day, fee, tax in sales:
            if start <= START + day * DAY < end:
                key = (sellers[who], version)
                count, gross, fees, taxes = expected.get(key, (0, 0, 0, 0))
                expected[key] = (count + 1, gross + fee * 10 + tax, fees + fee, taxes + tax)
        if returned and start <= START + DAY < end:
            expected[sellers[0], None] = (0, 0, -returned, 0)
        assert told == expected
        total += report.fee
    assert total == sum(sale[3] for sale in sales) - returned
