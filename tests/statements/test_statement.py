"""A seller's statement: the worked sale line by line, and for any cut of time opening + lines = closing."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ledger.worked_journal import EUR, START, basket

from marketbill.db import Database
from marketbill.errors import InvalidInput
from marketbill.ids import PlatformId, SellerId, new_id, public_id
from marketbill.ledger import chart, worked_journal
from marketbill.ledger.accounts import SellerPosition, seller_positions
from marketbill.ledger.journal import JournalEntry, Outcome, Posting, Source, post, post_all
from marketbill.statements.statement import Line, Statement, statement

DAY = timedelta(days=1)


async def read(
    db: Database, platform: PlatformId, seller: SellerId, start: datetime, end: datetime, *, size: int = 1000
) -> tuple[Statement, list[Line]]:
    """A whole statement, page by page, and its first page."""
    async with db.read(platform) as scope:
        first = page = await statement(scope, seller=seller, currency=EUR, start=start, end=end, limit=size)
        lines = list(page.lines)
        while page.more:
            after = page.lines[-1].place
            page = await statement(scope, seller=seller, currency=EUR, start=start, end=end, after=after, limit=size)
            assert (page.opening, page.closing, page.totals) == (first.opening, first.closing, first.totals)
            lines += page.lines
    return first, lines


async def test_seller_b_reads_the_worked_sale(db: Database, platform: PlatformId) -> None:
    sale = basket()
    async with db.write(platform) as scope:
        await post_all(scope, sale.entries)
    told, lines = await read(db, platform, sale.b, START - DAY, START + DAY)

    assert [
        (line.effective_at - START, line.section, line.amount, line.origin, line.target, line.moved, line.balance_after)
        for line in lines
    ] == [
        (timedelta(hours=1), "SALES", 3999, None, "PENDING", 3999, 3999),
        (timedelta(hours=3), "FEES", -410, "PENDING", None, 410, 3589),
        (timedelta(hours=5), "RELEASES", 0, "PENDING", "PAYABLE", 3589, 3589),
        (timedelta(hours=6), "TRANSFERS", 0, "PAYABLE", "AVAILABLE", 3589, 3589),
        (timedelta(hours=7), "PAYOUTS", 0, "AVAILABLE", "IN_TRANSIT", 3589, 3589),
        (timedelta(hours=8), "PAYOUTS", -3589, "IN_TRANSIT", None, 3589, 0),
    ]
    assert (told.opening.total, told.closing.total, told.more) == (0, 0, False)
    assert [(total.section, total.lines, total.amount) for total in told.totals] == [
        ("SALES", 1, 3999),
        ("FEES", 1, -410),
        ("RELEASES", 1, 0),
        ("TRANSFERS", 1, 0),
        ("PAYOUTS", 2, -3589),
    ]


async def test_the_tax_on_the_fee_is_a_line_of_its_own(db: Database, platform: PlatformId) -> None:
    sale = basket()
    async with db.write(platform) as scope:
        await post_all(scope, sale.entries)
    told, lines = await read(db, platform, sale.a, START - DAY, START + DAY, size=2)

    assert [(line.section, line.amount, line.balance_after) for line in lines] == [
        ("SALES", 4999, 4999),
        ("FEES", -512, 4487),
        ("FEE_TAX", -108, 4379),
        ("RELEASES", 0, 4379),
        ("TRANSFERS", 0, 4379),
    ]
    assert told.closing == SellerPosition(EUR, available=4379)
    assert lines[0].source_id == public_id("payment", sale.entries[1].source.id)
    assert lines[1].entry_id == lines[2].entry_id


async def test_a_period_takes_its_start_and_leaves_its_end(db: Database, platform: PlatformId) -> None:
    sale = basket()
    async with db.write(platform) as scope:
        await post_all(scope, sale.entries)
    hour = timedelta(hours=1)
    told, lines = await read(db, platform, sale.a, START + hour, START + 3 * hour)
    assert [line.section for line in lines] == ["SALES"]
    assert (told.opening.total, told.closing.pending) == (0, 4999)
    told, lines = await read(db, platform, sale.a, START + 3 * hour, START + 5 * hour)
    assert [line.section for line in lines] == ["FEES", "FEE_TAX"]
    assert (told.opening.pending, told.closing.pending) == (4999, 4379)


async def test_a_seller_without_sales_has_an_empty_statement(db: Database, platform: PlatformId) -> None:
    told, lines = await read(db, platform, SellerId(new_id()), START, START + DAY)
    assert (told.opening, told.closing, told.totals, lines) == (SellerPosition(EUR), SellerPosition(EUR), (), [])


async def test_another_platforms_seller_has_an_empty_statement(db: Database, platform: PlatformId) -> None:
    sale = basket()
    async with db.write(platform) as scope:
        await post_all(scope, sale.entries)
    told, lines = await read(db, PlatformId(new_id()), sale.a, START - DAY, START + DAY)
    assert (told.closing.total, lines) == (0, [])


async def test_a_period_runs_forward_and_a_page_has_a_limit(db: Database, platform: PlatformId) -> None:
    async with db.read(platform) as scope:
        for start, end, limit in ((START, START, 10), (START, START - DAY, 10), (START, START + DAY, 1001)):
            with pytest.raises(InvalidInput):
                await statement(scope, seller=SellerId(new_id()), currency=EUR, start=start, end=end, limit=limit)


async def test_what_is_recorded_between_two_pages_waits_for_the_next_statement(
    db: Database, platform: PlatformId
) -> None:
    sale = basket()
    async with db.write(platform) as scope:
        await post_all(scope, sale.entries[:6])
    async with db.read(platform) as scope:
        first = await statement(scope, seller=sale.a, currency=EUR, start=START, end=START + DAY, limit=2)
    async with db.write(platform) as scope:
        await post_all(scope, [movement("late", 0, 1, sale.a, START + timedelta(hours=2)), *sale.entries[6:]])
    async with db.read(platform) as scope:
        after = first.lines[-1].place
        second = await statement(scope, seller=sale.a, currency=EUR, start=START, end=START + DAY, after=after)
    assert [line.section for line in (*first.lines, *second.lines)] == ["SALES", "FEES", "FEE_TAX", "RELEASES"]
    assert (first.closing, first.totals) == (second.closing, second.totals)


#: What may happen to a seller's money: the kind of the entry and its postings for an amount.
STEPS = 9


def movement(key: str, step: int, amount: int, seller: SellerId, at: datetime) -> JournalEntry:
    pending, payable = chart.seller_pending(seller, EUR), chart.seller_payable(seller, EUR)
    available, in_transit = chart.custody_available(seller, EUR), chart.custody_in_transit(seller, EUR)
    owed, psp = chart.custody_owed(seller, EUR), chart.psp_available(EUR)
    fee, vat = chart.platform_fee(EUR), chart.output_vat("NL", EUR)
    kind, source, postings = [
        (
            "charge",
            "payment",
            [Posting(chart.psp_pending(EUR), pending, amount), Posting(chart.psp_pending(EUR), pending, 7)],
        ),
        ("split", "payment", [Posting(pending, fee, amount), Posting(pending, vat, 1)]),
        ("release", "payment", [Posting(pending, payable, amount)]),
        ("transfer", "transfer", [Posting(payable, psp, amount), Posting(available, owed, amount)]),
        ("payout-created", "payout", [Posting(in_transit, available, amount)]),
        ("payout-paid", "payout", [Posting(owed, in_transit, amount)]),
        ("payout-failed", "payout", [Posting(available, owed, amount)]),
        ("manual", "correction", [Posting(fee, pending, amount)]),
        ("manual", "correction", [Posting(payable, chart.bank(EUR), amount)]),
    ][step]
    return JournalEntry(key, kind, Source(source, new_id()), tuple(postings), at, "", {})


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    story=st.lists(
        st.tuples(st.integers(0, STEPS - 1), st.integers(1, 50), st.integers(0, 1), st.integers(0, 10)),
        min_size=1,
        max_size=40,
    ),
    cuts=st.sets(st.integers(0, 10), max_size=4),
    size=st.integers(1, 7),
)
async def test_any_cut_of_time_chains_and_equals_the_ledger(
    db: Database, story: list[tuple[int, int, int, int]], cuts: set[int], size: int
) -> None:
    platform, sellers = PlatformId(new_id()), [SellerId(new_id()), SellerId(new_id())]
    opening = [movement(f"opening {seller}", 0, 200, seller, START) for seller in sellers]
    entries = [
        movement(str(number), step, amount, sellers[who], START + day * DAY)
        for number, (step, amount, who, day) in enumerate(story)
    ]
    async with db.write(platform) as scope:
        results = await post(scope, opening + entries)
    assert {result.outcome for result in results} <= {Outcome.POSTED, Outcome.REFUSED}

    bounds = [START - DAY, *(START + cut * DAY for cut in sorted(cuts)), START + 11 * DAY]
    for seller in sellers:
        told, sections = [], 0
        for start, end in pairwise(bounds):
            if start == end:
                continue
            page, lines = await read(db, platform, seller, start, end, size=size)
            assert page.agrees
            assert page.line_count == len(lines)
            assert all(start <= line.effective_at < end for line in lines)
            balances = [page.opening.total]
            for line in lines:
                balances.append(balances[-1] + line.amount)
                assert line.balance_after == balances[-1]
            assert balances[-1] == page.closing.total
            told.append(page)
            sections += len(lines)
        assert told[0].opening == SellerPosition(EUR)
        assert all(one.closing == next.opening for one, next in pairwise(told))
        async with db.read(platform) as scope:
            assert [told[-1].closing] == (await seller_positions(scope, [seller]))[seller]
        _, whole = await read(db, platform, seller, bounds[0], bounds[-1])
        assert len(whole) == sections
        assert [line.place for line in whole] == sorted(
            (line.place for line in whole), key=lambda place: (place.effective_at, place.number)
        )


async def test_a_page_may_end_within_an_entry_of_many_postings(db: Database, platform: PlatformId) -> None:
    seller = SellerId(new_id())
    pending, fee, vat = chart.seller_pending(seller, EUR), chart.platform_fee(EUR), chart.output_vat("NL", EUR)
    many = [Posting(chart.psp_pending(EUR), pending, 100)] * 300
    split = [Posting(pending, fee, 1)] * 300 + [Posting(pending, vat, 1)] * 300
    at = datetime(2026, 7, 1, tzinfo=UTC)
    entries = [
        JournalEntry("charge", "charge", Source("payment", new_id()), tuple(many), at, "", {}),
        JournalEntry("split", "split", Source("payment", new_id()), tuple(split), at, "", {}),
    ]
    async with db.write(platform) as scope:
        await post_all(scope, entries)
    told, lines = await read(db, platform, seller, at, at + DAY, size=1)
    assert [(line.section, line.amount) for line in lines] == [("SALES", 30000), ("FEES", -300), ("FEE_TAX", -300)]
    assert told.agrees


async def test_what_came_after_the_worked_sale(db: Database, platform: PlatformId) -> None:
    a, b, c = await told_whole_story(db, platform)
    day = START + DAY
    told, lines = await read(db, platform, a, day, day + 3 * DAY)
    assert [(line.kind, line.section, line.amount, line.origin, line.target, line.balance_after) for line in lines] == [
        ("transfer-reversal", "TRANSFERS", 0, "AVAILABLE", "PAYABLE", 4379),
        ("refund", "REFUNDS", -1758, "PAYABLE", None, 2621),
        ("transfer-reversal", "TRANSFERS", 0, "AVAILABLE", "PAYABLE", 2621),
        ("debt", "DEBTS", 0, "DEBT", "PAYABLE", 2621),
        ("dispute-lost", "DISPUTES", -2636, "PAYABLE", None, -15),
    ]
    assert (told.opening, told.closing) == (SellerPosition(EUR, available=4379), SellerPosition(EUR, debt=15))

    told, lines = await read(db, platform, b, day, day + 3 * DAY)
    assert [(line.section, line.amount) for line in lines] == [("DEBTS", 0), ("DISPUTES", -3599)]
    assert (told.opening.total, told.closing, told.closing.total) == (0, SellerPosition(EUR, debt=3599), -3599)

    told, lines = await read(db, platform, c, day, day + 3 * DAY)
    assert [(line.kind, line.amount, line.target) for line in lines][-1] == ("write-off", 2727, "DEBT")
    assert (told.closing, told.agrees) == (SellerPosition(EUR), True)


async def told_whole_story(db: Database, platform: PlatformId) -> tuple[SellerId, SellerId, SellerId]:
    """The whole worked journal: the sale on the first day, what came after it from the second day on."""
    ids = {name: new_id() for name in worked_journal.OBJECTS}
    async with db.write(platform) as scope:
        for later, steps in enumerate((worked_journal.SALE, worked_journal.REFUND, worked_journal.DISPUTE)):
            await post_all(scope, [step.entry(ids, START + later * DAY) for step in steps])
    a, b, c = (SellerId(ids[name]) for name in "ABC")
    return a, b, c


async def test_reserves_set_offs_top_ups_and_recharges_have_sections(db: Database, platform: PlatformId) -> None:
    seller = SellerId(new_id())
    payable, debt = chart.seller_payable(seller, EUR), chart.seller_receivable(seller, EUR)
    reserve, pending = chart.seller_reserve(seller, EUR), chart.seller_pending(seller, EUR)
    instant = chart.account(chart.OWN_FEE, EUR, "instant-payout")
    happened: list[tuple[str, str, list[Posting]]] = [
        ("debt", "seller", [Posting(debt, payable, 500)]),
        ("charge", "payment", [Posting(chart.psp_pending(EUR), pending, 1000)]),
        ("release", "payment", [Posting(pending, payable, 1000)]),
        ("set-off", "payment", [Posting(payable, debt, 300)]),
        ("top-up", "topup", [Posting(chart.psp_available(EUR), debt, 200)]),
        ("reserve", "payment", [Posting(payable, reserve, 100)]),
        ("reserve-release", "payment", [Posting(reserve, payable, 40)]),
        ("recharge", "payout", [Posting(payable, instant, 50), Posting(payable, chart.output_vat("NL", EUR), 11)]),
    ]
    async with db.write(platform) as scope:
        entries = [
            JournalEntry(f"{kind}:{n}", kind, Source(source, new_id()), tuple(postings), START + timedelta(n), "", {})
            for n, (kind, source, postings) in enumerate(happened)
        ]
        await post_all(scope, entries)
    told, lines = await read(db, platform, seller, START, START + 30 * DAY)
    assert [(line.section, line.amount, line.origin, line.target, line.moved) for line in lines] == [
        ("DEBTS", 0, "DEBT", "PAYABLE", 500),
        ("SALES", 1000, None, "PENDING", 1000),
        ("RELEASES", 0, "PENDING", "PAYABLE", 1000),
        ("DEBTS", 0, "PAYABLE", "DEBT", 300),
        ("DEBTS", 200, None, "DEBT", 200),
        ("RESERVE", 0, "PAYABLE", "RESERVE", 100),
        ("RESERVE", 0, "RESERVE", "PAYABLE", 40),
        ("FEE_TAX", -11, "PAYABLE", None, 11),
        ("RECHARGES", -50, "PAYABLE", None, 50),
    ]
    assert told.closing == SellerPosition(EUR, payable=1079, reserve=60)
    assert told.agrees
    async with db.read(platform) as scope:
        assert (await seller_positions(scope, [seller]))[seller] == [told.closing]


async def test_a_statement_as_it_was_known_then(db: Database, platform: PlatformId) -> None:
    seller = SellerId(new_id())
    async with db.write(platform) as scope:
        await post_all(scope, [movement("first", 0, 100, seller, START)])
    async with db.read(platform) as scope:
        then = scope.now
    async with db.write(platform) as scope:
        await post_all(scope, [movement("late", 0, 900, seller, START - timedelta(hours=1))])
    period = {"seller": seller, "currency": EUR, "start": START - DAY, "end": START + DAY}
    async with db.read(platform) as scope:
        now = await statement(scope, **period)
        known = await statement(scope, **period, known_at=then)
        before = await statement(scope, **period, known_at=START - DAY)
        with pytest.raises(InvalidInput):
            await statement(scope, **period, known_at=scope.now + DAY)
    assert (now.closing.total, known.closing.total, before.closing.total) == (1014, 107, 0)
    assert [line.amount for line in known.lines] == [107]
    assert known.agrees
    assert before.agrees
