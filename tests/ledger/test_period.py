"""Closing periods: suspense first; then what a period held never changes again, whatever comes later."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ledger.till import DAY, EUR, MAY, Till

from marketbill.db import Database
from marketbill.ids import PlatformId, new_id
from marketbill.ledger import chart, hold, journal
from marketbill.ledger.chain import GENESIS
from marketbill.ledger.chart import SUSPENSE_PSP
from marketbill.ledger.entries import entries_by_ids
from marketbill.ledger.entry import IfClosed, JournalEntry, Outcome, Posting
from marketbill.ledger.group_commit import GroupCommit
from marketbill.ledger.operations import period
from marketbill.ledger.operations.period import Period
from marketbill.ledger.operations.refusal import AlreadyClosed, PeriodNotOver, SuspenseNotZero
from marketbill.ledger.refusal import PeriodClosed
from marketbill.ledger.trial_balance import TrialBalance, trial_balance

JUNE = datetime(2025, 6, 1, tzinfo=UTC)
JULY = datetime(2025, 7, 1, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)


async def close(till: Till, until: datetime = JUNE) -> Period:
    return await till.do(period.close, until=until, by="key_anna")


async def of_may(till: Till) -> list[TrialBalance]:
    """The trial balance of May, as the books tell it now."""
    async with till.db.read(till.platform) as scope:
        return await trial_balance(scope, at=JUNE - INSTANT)


async def periods(till: Till) -> list[Period]:
    async with till.db.read(till.platform) as scope:
        return await period.periods(scope)


async def test_a_month_is_closed_and_sealed(till: Till) -> None:
    await till.post(till.charge(100), till.charge(50, day=40))
    closed = await close(till)
    assert (closed.closed_until, closed.closed_by, closed.entries) == (JUNE, "key_anna", 2)
    assert closed.trial_hash != GENESIS
    assert await periods(till) == [closed]
    async with till.db.read(till.platform) as scope:
        assert await period.closed_until(scope) == JUNE
    await till.proven()


async def test_the_next_period_is_sealed_onto_the_one_before(till: Till) -> None:
    await till.post(till.charge(100), till.charge(50, day=40))
    may = await close(till)
    june = await close(till, JULY)
    assert await periods(till) == [june, may]
    async with till.db.read(till.platform) as scope:
        assert await period.periods(scope, before=JULY) == [may]
    await till.proven()


async def test_what_is_late_is_moved_to_the_first_open_instant_or_refused_if_asked(till: Till) -> None:
    await till.post(till.charge(100))
    before = await of_may(till)
    await close(till)
    [moved] = await till.post(till.charge(7, day=3))
    with pytest.raises(PeriodClosed) as refused:
        await till.post(till.charge(8, day=3, if_closed=IfClosed.REFUSE))
    assert refused.value.closed_until == JUNE
    async with till.db.read(till.platform) as scope:
        [entry] = (await entries_by_ids(scope, [moved])).values()
    assert (entry.effective_at, entry.occurred_at) == (JUNE, MAY + 3 * DAY)
    assert await of_may(till) == before
    await till.proven()


async def test_a_hold_of_a_closed_period_is_posted_into_the_open_one(till: Till) -> None:
    await till.post(till.charge(100), till.release(100))
    held = await till.do(hold.place, till.set_aside(40))
    before = await of_may(till)
    await close(till)
    await till.do(hold.post, held, key="taken", effective_at=MAY + DAY)
    assert await of_may(till) == before
    assert await till.held(till.reserve) == [(40, 40)]
    await till.proven()


async def test_suspense_keeps_a_period_open_and_is_named_with_its_balance(till: Till) -> None:
    unknown = [
        till.entry("manual", Posting(chart.account(SUSPENSE_PSP, currency), chart.psp_available(currency), amount))
        for currency, amount in ((EUR, 1_250), ("USD", 5))
    ]
    await till.post(*unknown)
    async with till.db.read(till.platform) as scope:
        preview = await period.suspense_balances(scope, JUNE)
    with pytest.raises(SuspenseNotZero) as refused:
        await close(till)
    assert refused.value.balances == tuple(preview)
    assert [tuple(one) for one in preview] == [("suspense:psp", "EUR", 1_250), ("suspense:psp", "USD", 5)]
    assert "suspense:psp 12.50 EUR" in refused.value.message
    assert await periods(till) == []

    allocated = [till.entry("manual", Posting(p.credit, p.debit, p.amount)) for e in unknown for p in e.postings]
    await till.post(*allocated)
    await close(till)
    await till.proven()


async def test_suspense_of_the_next_period_does_not_keep_this_one_open(till: Till) -> None:
    suspense = chart.account(SUSPENSE_PSP, EUR)
    await till.post(till.entry("manual", Posting(suspense, chart.psp_available(EUR), 5), day=31))
    await close(till)
    with pytest.raises(SuspenseNotZero):
        await close(till, JULY)


async def test_a_period_is_closed_once_in_order_and_when_it_is_over(till: Till) -> None:
    await close(till)
    for until in (JUNE, JUNE - INSTANT):
        with pytest.raises(AlreadyClosed) as again:
            await close(till, until)
        assert again.value.closed_until == JUNE
    async with till.db.write(till.platform) as scope:
        with pytest.raises(PeriodNotOver):
            await period.close(scope, until=scope.now + INSTANT, by="key_anna")
        await period.close(scope, until=scope.now, by="key_anna")
    await till.proven()


async def test_books_without_entries_are_closed_too(till: Till) -> None:
    assert (await close(till)).entries == 0
    await till.post(till.charge(5, day=1))
    assert await of_may(till) == []
    await till.proven()


async def test_accounts_are_read_page_by_page(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(period, "_PAGE", 2)
    await till.post(till.charge(100), till.release(60), till.entry("manual", Posting(till.payable, till.reserve, 5)))
    await close(till)
    await till.proven()


async def test_another_platforms_period_is_its_own(till: Till, db: Database) -> None:
    other = Till(db, PlatformId(new_id()))
    await close(till)
    await other.post(other.charge(5))
    assert await periods(other) == []
    assert (await other.account(other.pending)).balance == 5


async def test_of_two_that_close_at_once_one_does(till: Till) -> None:
    await till.post(till.charge(100))
    answers = await asyncio.gather(close(till), close(till), return_exceptions=True)
    assert {type(answer) for answer in answers} == {Period, AlreadyClosed}
    assert len(await periods(till)) == 1
    await till.proven()


async def test_a_period_closes_while_others_post_into_it(till: Till) -> None:
    """What got in before is in the period, what came after is moved; nothing is lost and nobody deadlocks."""
    closed = asyncio.Event()

    async def through_journal() -> None:
        count = 0
        while not closed.is_set() or count < 5:
            count += 1
            await till.post(till.charge(1, key=f"journal-{count}", day=count % 28), till.release(1, day=count % 28))

    async def alone(books: GroupCommit) -> None:
        count = 0
        while not closed.is_set() or count < 5:
            count += 1
            entry = till.charge(1, key=f"group-{count}", day=count % 28)
            assert (await books.submit(till.platform, entry)).outcome is Outcome.POSTED

    async def linked(books: GroupCommit) -> None:
        count = 0
        while not closed.is_set() or count < 5:
            count += 1
            pair = [till.charge(2, key=f"linked-{count}-{n}", day=n * 14) for n in range(2)]
            assert [result.outcome for result in await books.submit_linked(till.platform, pair)] == [Outcome.POSTED] * 2

    async def close_in_steps() -> None:
        try:
            for until in (MAY + 10 * DAY, MAY + 20 * DAY, JUNE):
                await till.post(till.charge(1))
                await close(till, until)
        finally:
            closed.set()

    async with GroupCommit(till.db) as books:
        await asyncio.gather(through_journal(), alone(books), linked(books), close_in_steps())
    assert len(await periods(till)) == 3
    await till.proven()


async def test_an_entry_decided_from_memory_does_not_slip_into_a_closed_period(till: Till) -> None:
    async with GroupCommit(till.db) as books:
        for key in ("one", "two"):  # from the second on, these books are remembered
            await books.submit(till.platform, till.charge(1, key=key))
        before = await of_may(till)
        await close(till)
        assert (await books.submit(till.platform, till.charge(1, key="three"))).outcome is Outcome.POSTED
    assert await of_may(till) == before
    await till.proven()


LATE = st.lists(
    st.tuples(
        st.sampled_from(["charge", "release", "hold", "reversal", "linked"]), st.integers(0, 45), st.integers(1, 50)
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(early=LATE, late=LATE)
async def test_a_closed_trial_balance_never_changes_again(
    db: Database, early: Sequence[tuple[str, int, int]], late: Sequence[tuple[str, int, int]]
) -> None:
    till = Till(db, PlatformId(new_id()))
    await till.post(till.charge(10_000), till.release(5_000))
    await write(till, early)
    before = await of_may(till)
    await close(till)
    assert await of_may(till) == before
    await write(till, late)
    assert await of_may(till) == before
    await till.proven()


async def write(till: Till, acts: Sequence[tuple[str, int, int]]) -> None:
    """Entries of all sorts, effective on some day of May or June."""
    for act, day, amount in acts:
        if act == "hold":
            held = await till.do(hold.place, till.set_aside(amount, day=day))
            await till.do(hold.post, held, key=f"taken-{held}", effective_at=MAY + day * DAY)
        elif act == "reversal":
            [wrong] = await till.post(till.charge(amount, day=day))
            back = Posting(till.pending, till.psp, amount)
            await till.post(till.entry("reversal", back, day=day, reverses=wrong))
        elif act == "linked":
            await till.post(till.charge(amount, day=day), till.release(amount, day=day))
        else:
            made: JournalEntry = till.charge(amount, day=day) if act == "charge" else till.release(amount, day=day)
            async with till.db.write(till.platform) as scope:
                await journal.post(scope, [made])
