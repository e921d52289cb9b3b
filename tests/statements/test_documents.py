"""Issued statements, fee invoices and credit notes: numbers without gaps, and bytes that never change."""

import asyncio
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pypdf
import pytest
from sqlalchemy import insert, select, text
from tests.disputes.court import contest, decide, disputed, paid_sale
from tests.market.fixtures import WORKED_LINES, worked_sellers
from tests.market.market import Market

from marketbill.db import Database, WriteScope
from marketbill.errors import InvalidInput, NotFound, StateConflict
from marketbill.ids import SellerId, new_id, public_id
from marketbill.ledger import chart
from marketbill.ledger.journal import JournalEntry, Posting, Source, post_all
from marketbill.payments.model import tax_line
from marketbill.statements import fee_invoice, issued, numbers
from marketbill.statements import operator_reports as reports
from marketbill.statements.fee_invoice import Month
from marketbill.statements.invoice_run import issue_invoices
from marketbill.statements.issued import IssueDraft
from marketbill.statements.model import FileFormat
from marketbill.statements.model import fee_invoice as invoice_table
from marketbill.statements.operator_reports import Dimension
from marketbill.statements.rendering import invoice_file, render, statement_file
from marketbill.statements.statement import statement
from marketbill.statements.words import Language

DAY = timedelta(days=1)
EUR = "EUR"


class Undone(Exception):
    """What was begun is not done after all."""


async def now(market: Market) -> datetime:
    async with market.machine.services.db.read(market.platform) as scope:
        return scope.now


async def to_next_month(market: Market) -> Month:
    """Moves the clock over the end of the month; gives the month that is over."""
    at = await now(market)
    month = Month.of(at)
    await market.machine.advance(seconds=int((month.end - at).total_seconds()) + 3600)
    return month


async def test_two_hundred_at_once_leave_no_gap_and_no_double(market: Market) -> None:
    db: Database = market.machine.services.db

    async def take(place: int) -> str | None:
        try:
            async with db.write(market.platform) as scope:
                number = await numbers.take(scope, "MAIN", "TST")
                if place % 10 == 0:
                    raise Undone
                return number.text
        except Undone:
            return None

    taken = await asyncio.gather(*(take(place) for place in range(200)))
    kept = [one for one in taken if one]
    year = (await now(market)).year
    assert sorted(kept) == [f"TST-{year}-{count:06d}" for count in range(1, 181)]


async def test_series_of_entities_and_years_count_for_themselves(market: Market) -> None:
    async with market.machine.services.db.write(market.platform) as scope:
        told = [
            (await numbers.take(scope, entity, kind)).text
            for entity, kind in (("MAIN", "A"), ("MAIN", "B"), ("DE1", "A"), ("MAIN", "A"))
        ]
    year = (await now(market)).year
    assert told == [f"A-{year}-000001", f"B-{year}-000001", f"DE1-A-{year}-000001", f"A-{year}-000002"]


async def test_an_issued_statement_never_changes(market: Market) -> None:
    await worked_sellers(market)
    await market.sale(*(market.line(name, price) for name, price in WORKED_LINES))
    services, month = market.machine.services, await to_next_month(market)
    draft = IssueDraft(market.seller_id("A"), EUR, month.start, month.end)
    row = await issued.issue(services, market.operator, idempotency_key="one", draft=draft)
    assert (row.number, row.opening, row.closing) == (f"ST-{month.end.year}-000001", 0, 4379)
    before = {
        (format, language): await statement_file(services.db, market.platform, row, format, language)
        for format in FileFormat
        for language in (Language.EN, Language.DE)
    }

    # What is recorded later for the period, and a seller of another name, are in none of its files.
    late = (Posting(chart.psp_pending(EUR), chart.seller_pending(market.sellers["A"], EUR), 1000),)
    async with services.db.write(market.platform) as scope:
        entry = JournalEntry("late", "charge", Source("payment", new_id()), late, month.start + DAY, "", {})
        await post_all(scope, [entry])
        await scope.run(text("update seller set name = 'Renamed' where platform_id = :p"), {"p": market.platform})
    document = await issued.document_of(lambda: services.db.read(market.platform), row)
    assert (document.statement.closing.total, document.seller.name) == (4379, "A")
    for (format, language), file in before.items():
        again = await statement_file(services.db, market.platform, row, format, language)
        assert (again.content, again.sha256) == (file.content, file.sha256)
    # Nor do they differ when they are made anew.
    for (format, language), file in before.items():
        assert render(document, format, language) == file.content

    # The same period again is the same statement; the next one tells what came late.
    again = await issued.issue(services, market.operator, idempotency_key="two", draft=draft)
    assert again.id == row.id
    following = await to_next_month(market)
    draft = IssueDraft(market.seller_id("A"), EUR, following.start, following.end)
    second = await issued.issue(services, market.operator, idempotency_key="three", draft=draft)
    assert second.number != row.number
    assert (second.previous_closing, second.opening) == (4379, 5379)
    told = await issued.document_of(lambda: services.db.read(market.platform), second)
    assert told.recorded_later == 1000


async def test_what_cannot_be_issued(market: Market) -> None:
    await market.seller("A", onboard=None)
    at, services = await now(market), market.machine.services

    async def issue(seller: str, start: datetime, end: datetime) -> Any:
        draft = IssueDraft(seller, EUR, start, end)
        return await issued.issue(services, market.operator, idempotency_key=market.machine.key(), draft=draft)

    with pytest.raises(InvalidInput, match="over"):
        await issue(market.seller_id("A"), at - DAY, at + DAY)
    with pytest.raises(InvalidInput):
        await issue(market.seller_id("A"), at, at - DAY)
    with pytest.raises(NotFound):
        await issue(public_id("seller", new_id()), at - DAY, at)


async def test_issued_periods_do_not_overlap(market: Market) -> None:
    await market.seller("A", onboard=None)
    at, services = await now(market), market.machine.services

    async def issue(start: datetime, end: datetime) -> Any:
        draft = IssueDraft(market.seller_id("A"), EUR, start, end)
        return await issued.issue(services, market.operator, idempotency_key=market.machine.key(), draft=draft)

    middle = await issue(at - 20 * DAY, at - 10 * DAY)
    for start, end in ((25, 15), (15, 5), (18, 12), (30, 1)):
        with pytest.raises(StateConflict, match=middle.number):
            await issue(at - start * DAY, at - end * DAY)
    await issue(at - 30 * DAY, at - 20 * DAY)
    await issue(at - 10 * DAY, at - 5 * DAY)


async def test_ten_who_issue_the_same_period_get_one_statement(market: Market) -> None:
    await market.seller("A", onboard=None)
    at = await now(market)
    draft = IssueDraft(market.seller_id("A"), EUR, at - DAY, at)
    rows = await asyncio.gather(
        *(
            issued.issue(market.machine.services, market.operator, idempotency_key=f"k{n}", draft=draft)
            for n in range(10)
        )
    )
    assert {row.number for row in rows} == {f"ST-{at.year}-000001"}


async def invoices(market: Market) -> list[Any]:
    async with market.machine.services.db.read(market.platform) as scope:
        statement = select(invoice_table).where(invoice_table.c.platform_id == market.platform)
        return list(await scope.rows(statement.order_by(invoice_table.c.number)))


async def test_a_month_of_fees_is_invoiced_once(market: Market) -> None:
    await worked_sellers(market)
    await market.sale(*(market.line(name, price) for name, price in WORKED_LINES))
    services, month = market.machine.services, await to_next_month(market)
    # Two workers at once, and again.
    await asyncio.gather(issue_invoices(services, market.platform), issue_invoices(services, market.platform))
    await issue_invoices(services, market.platform)

    made = {row.seller_id: row for row in await invoices(market)}
    told = {name: (made[id].kind, made[id].net, made[id].tax) for name, id in market.sellers.items()}
    assert told == {"A": ("INVOICE", 512, 108), "B": ("INVOICE", 410, 0), "C": ("INVOICE", 318, 67)}
    assert sorted(row.number[-6:] for row in made.values()) == ["000001", "000002", "000003"]
    books = await market.books()
    assert sum(row.net for row in made.values()) == books["revenue:platform-fee", EUR]
    assert sum(row.tax for row in made.values()) == books["tax:output-vat:NL", EUR]
    async with services.db.read(market.platform) as scope:
        lines = await fee_invoice.lines_of(scope, [row.id for row in made.values()])
    [b] = lines[made[market.sellers["B"]].id]
    assert (b.liable, b.rate, b.jurisdiction) == ("BUYER", 0, "DE")
    assert (made[market.sellers["A"]].period_start, made[market.sellers["A"]].period_end) == (month.start, month.end)

    row = made[market.sellers["B"]]
    file = await invoice_file(services.db, market.platform, row, lines[row.id], Language.DE)
    again = await invoice_file(services.db, market.platform, row, lines[row.id], Language.DE)
    assert file == again
    assert pdf_text(file.content).count("Steuerschuldnerschaft des Leistungsempfängers") == 1


async def test_a_seller_who_cannot_be_invoiced_keeps_nobody_waiting(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B's documents fail in two months: the others have theirs of both, then B's come in their order, without gaps."""
    services, write = market.machine.services, fee_invoice.issue

    async def broken(scope: WriteScope, seller: SellerId, *rest: Any) -> Any:
        if seller == market.sellers["B"]:
            raise ValueError("B")
        return await write(scope, seller, *rest)

    monkeypatch.setattr(fee_invoice, "issue", broken)
    await worked_sellers(market)
    for _ in range(2):
        await market.sale(*(market.line(name, price) for name, price in WORKED_LINES))
        await to_next_month(market)
    await issue_invoices(services, market.platform)
    made = await invoices(market)
    assert {row.seller_id for row in made} == {market.sellers["A"], market.sellers["C"]}
    assert len(made) == 4

    monkeypatch.setattr(fee_invoice, "issue", write)
    await issue_invoices(services, market.platform)
    made = await invoices(market)
    assert [row.number[-6:] for row in made] == [f"{number:06d}" for number in range(1, 7)]
    mine = [row for row in made if row.seller_id == market.sellers["B"]]
    assert mine[0].period_end <= mine[1].period_start
    assert [row.net for row in mine] == [410, 410]


def pdf_text(content: bytes) -> str:
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(content)).pages)


async def test_fees_given_back_are_credited_and_late_fees_come_with_the_next_invoice(market: Market) -> None:
    await worked_sellers(market)
    payment = await market.sale(*(market.line(name, price) for name, price in WORKED_LINES))
    services, month = market.machine.services, await to_next_month(market)
    await issue_invoices(services, market.platform)
    [first] = [row for row in await invoices(market) if row.seller_id == market.sellers["A"]]

    # 2.00 and 0.42 go back to A, and a fee of 1.00 turns up that belongs to the month before.
    async with services.db.write(market.platform) as scope:
        sold = await scope.one(
            select(tax_line).where(
                tax_line.c.platform_id == market.platform,
                tax_line.c.seller_id == market.sellers["A"],
                tax_line.c.kind == "FEE",
            )
        )
        back = {**sold._asdict(), "ordinal": 90, "net": -200, "tax": -42, "cause_type": "refund", "cause_id": new_id()}
        late = {**sold._asdict(), "payment_id": new_id(), "net": 100, "tax": 21}
        await scope.run(insert(tax_line), [back | {"effective_at": scope.now, "tax_point": scope.now}])
        await scope.run(insert(tax_line), [late])
        again = {**late, "payment_id": new_id(), "net": 1, "tax": 0, "effective_at": scope.now}
        await scope.run(insert(tax_line), [again])
    following = await to_next_month(market)
    await issue_invoices(services, market.platform)

    own = [row for row in await invoices(market) if row.seller_id == market.sellers["A"] and row.id != first.id]
    assert [(row.kind, row.net, row.tax, row.corrects, row.period_start) for row in own] == [
        ("CREDIT_NOTE", 200, 42, [first.number], following.start),
        ("INVOICE", 101, 21, [], following.start),
    ]
    assert sold.payment_id == payment
    assert month.next == following


async def test_services_are_invoiced_with_their_tax(market: Market) -> None:
    await market.seller("A", onboard=None)
    seller, services = market.sellers["A"], market.machine.services
    payable = chart.seller_payable(seller, EUR)
    instant = chart.account(chart.OWN_FEE, EUR, "instant-payout")
    async with services.db.write(market.platform) as scope:
        charged = (Posting(chart.psp_pending(EUR), chart.seller_pending(seller, EUR), 1000),)
        released = (Posting(chart.seller_pending(seller, EUR), payable, 1000),)
        service = (Posting(payable, instant, 50), Posting(payable, chart.output_vat("NL", EUR), 11))
        entries = [("charge", "payment", charged), ("release", "payment", released), ("recharge", "payout", service)]
        await post_all(
            scope,
            [
                JournalEntry(kind, kind, Source(source, new_id()), postings, scope.now, "", {"tax_rate": "21"})
                for kind, source, postings in entries
            ],
        )
    await to_next_month(market)
    await issue_invoices(services, market.platform)
    [row] = await invoices(market)
    async with services.db.read(market.platform) as scope:
        [line] = (await fee_invoice.lines_of(scope, [row.id]))[row.id]
    assert (row.net, row.tax, line.service, line.rate, line.jurisdiction) == (50, 11, "RECHARGE", 21, "NL")


def test_months() -> None:
    month = Month.of(datetime(2024, 2, 29, 23, tzinfo=UTC))
    assert (month.start, month.end) == (datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC))
    assert (month.previous.start, Month.of(datetime(2023, 12, 31, tzinfo=UTC)).end.year) == (
        datetime(2024, 1, 1, tzinfo=UTC),
        2024,
    )


async def test_the_worked_dispute_in_statements_reports_and_credit_notes(market: Market) -> None:
    """The sale of 121.00 is disputed whole and lost: the statements, the reports and the credit notes say the same."""
    payment = await paid_sale(market)
    row = await disputed(market, payment)
    async with market.machine.services.db.read(market.platform) as scope:
        report = await reports.disputes(scope, EUR)
    assert (report.withdrawn, report.fees, report.agrees) == (12100, 2000, True)
    await contest(market, row)
    await decide(market, row, "lost")

    at = await now(market)
    period: dict[str, Any] = {"start": at - 300 * DAY, "end": at + DAY, "currency": EUR}
    async with market.machine.services.db.read(market.platform) as scope:
        told = {name: await statement(scope, seller=seller, **period) for name, seller in market.sellers.items()}
        report, owed = await reports.disputes(scope, EUR), await reports.debts(scope, EUR)
        fees = {by: await reports.fees_by(scope, by, **period) for by in Dimension}
    sums = {name: {one.section: one.amount for one in each.totals} for name, each in told.items()}
    assert {name: each["DISPUTES"] for name, each in sums.items()} == {"A": -4394, "B": -3599, "C": -2727}
    assert {name: each.closing.debt for name, each in told.items()} == {"A": 15, "B": 3599, "C": 2727}
    assert all(each.agrees for each in told.values())
    assert (report.withdrawn, report.fees, report.agrees) == (0, 4000, True)
    assert (owed.receivable, owed.agrees) == (6341, True)
    for one in fees.values():
        assert (one.revenue, one.given_back, one.unexplained) == (1240, 1210, 0)
        assert (sum(each.charged for each in one.rows), sum(each.given_back for each in one.rows)) == (1240, 1210)

    for _ in range(2):
        await to_next_month(market)
    await issue_invoices(market.machine.services, market.platform)
    made = await invoices(market)
    notes = {one.seller_id: (one.net, one.tax) for one in made if one.kind == "CREDIT_NOTE"}
    assert {name: notes[id] for name, id in market.sellers.items()} == {"A": (500, 105), "B": (400, 0), "C": (310, 65)}
    charged = {one.seller_id: one.number for one in made if one.kind == "INVOICE"}
    assert all(one.corrects == [charged[one.seller_id]] for one in made if one.kind == "CREDIT_NOTE")
    books = await market.books()
    assert books["revenue:platform-fee-refunded", EUR] == sum(net for net, _ in notes.values())
