"""What the books held at an instant, and what they were known to hold at another: whatever came when, and how late."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ledger.long_story import close_period
from tests.ledger.moves import FEE, PSP, Operator, entry, release, sale, seller

from marketbill.db import Database
from marketbill.errors import InvalidInput
from marketbill.ids import PlatformId, SellerId, new_id
from marketbill.ledger import chart
from marketbill.ledger.accounts import AccountGroup, accounts, accounts_by_refs
from marketbill.ledger.balances import Cut, balance_at, balances_at, watermark
from marketbill.ledger.chart import AccountKind, AccountRef, Side
from marketbill.ledger.entry import JournalEntry, Outcome, Phase, Posting
from marketbill.ledger.group_balances import group_balances
from marketbill.ledger.journal import post
from marketbill.ledger.lag import LAG_MAX, lag_of, reach_ms
from marketbill.ledger.proof import check
from marketbill.ledger.trial_balance import trial_balance

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
HOUR, DAY, TICK = timedelta(hours=1), timedelta(days=1), timedelta(microseconds=1)
BANK, TAX = chart.bank("EUR"), chart.output_vat("NL", "EUR")


async def record(db: Database, platform: PlatformId, at: datetime, *entries: JournalEntry) -> list[UUID]:
    """Posts with the clock at `at`."""
    async with db.write(platform) as scope:
        scope.now = at
        results = await post(scope, entries)
    assert {result.outcome for result in results} == {Outcome.POSTED}
    return [result.entry_id for result in results if result.entry_id]


async def held(
    db: Database, platform: PlatformId, ref: AccountRef, at: datetime | None, known_at: datetime | None
) -> int:
    async with db.read(platform) as scope:
        id = (await accounts_by_refs(scope, [ref]))[ref].id
        return (await balance_at(scope, [id], at, known_at=known_at))[id]


async def test_a_sale_of_monday_that_is_told_on_wednesday(db: Database, platform: PlatformId) -> None:
    monday, tuesday, wednesday = MARCH + DAY, MARCH + 2 * DAY, MARCH + 3 * DAY
    anna = seller()
    await record(db, platform, tuesday, sale("tuesday", anna, 500, effective_at=tuesday))
    await record(db, platform, wednesday, sale("monday", anna, 70, effective_at=monday))

    story = {
        "monday, as we know now": (monday, None, 70),
        "monday, as was known on tuesday": (monday, tuesday, 0),
        "monday, as was known on wednesday": (monday, wednesday, 70),
        "a moment before monday": (monday - TICK, None, 0),
        "tuesday, as was known on tuesday": (tuesday, tuesday, 500),
        "tuesday, as we know now": (tuesday, None, 570),
        "whatever was known on tuesday": (None, tuesday, 500),
        "whatever was known a moment before wednesday": (None, wednesday - TICK, 500),
        "whatever was known on wednesday": (None, wednesday, 570),
        "whatever was known on monday": (None, monday, 0),
        "now": (None, None, 570),
    }
    for name, (at, known_at, owed) in story.items():
        assert await held(db, platform, anna, at, known_at) == owed, name


async def test_what_was_effective_only_after_it_was_recorded(db: Database, platform: PlatformId) -> None:
    # The provider's clock was two days ahead of ours: the funds were booked before they were there.
    anna, booked = seller(), MARCH
    await record(db, platform, booked, sale("ahead", anna, 40, effective_at=booked + 2 * DAY))
    await record(db, platform, booked + HOUR, sale("usual", anna, 5, effective_at=booked + HOUR))

    assert await held(db, platform, anna, None, booked) == 40
    assert await held(db, platform, anna, booked + DAY, booked) == 0
    assert await held(db, platform, anna, booked + 2 * DAY, booked) == 40
    assert await held(db, platform, anna, booked + 2 * DAY, booked + HOUR) == 45
    assert await held(db, platform, anna, booked + DAY, None) == 5


async def test_a_hold_counts_when_it_is_taken(db: Database, platform: PlatformId) -> None:
    anna, noon = seller(), MARCH + 12 * HOUR
    await record(db, platform, noon, sale("sale", anna, 900, effective_at=noon))
    aside = entry("hold", Posting(anna, FEE, 600), phase=Phase.HELD, effective_at=noon + HOUR)
    [hold] = await record(db, platform, noon + HOUR, aside)
    async with db.read(platform) as scope:
        [account] = (await accounts_by_refs(scope, [anna])).values()
        [owed] = await group_balances(scope, AccountGroup(code_prefix=anna.code))
    assert (account.balance, account.available, account.pending_debits) == (900, 300, 600)
    assert (owed.kind, owed.balance, owed.available) == (AccountKind.LIABILITY, 900, 300)

    part = entry("part", Posting(anna, FEE, 250), resolves=hold, effective_at=noon + 2 * HOUR)
    await record(db, platform, noon + 2 * HOUR, part)
    assert await held(db, platform, anna, noon + HOUR, None) == 900
    assert await held(db, platform, anna, noon + 2 * HOUR, noon + HOUR) == 900
    assert await held(db, platform, anna, noon + 2 * HOUR, None) == 650
    async with db.read(platform) as scope:
        [owed] = await group_balances(scope, AccountGroup(code_prefix=anna.code), at=noon + HOUR)
    assert (owed.balance, owed.available) == (900, None)


async def test_a_fact_of_a_closed_period_counts_from_its_end(
    db: Database, platform: PlatformId, operator: Operator
) -> None:
    anna, april = seller(), MARCH + 31 * DAY
    await record(db, platform, april + HOUR, sale("march", anna, 100, effective_at=MARCH + DAY))
    await close_period(operator.sql, platform, april)
    await record(db, platform, april + DAY, sale("forgotten", anna, 30, effective_at=MARCH + 2 * DAY))

    assert await held(db, platform, anna, april - TICK, None) == 100
    assert await held(db, platform, anna, april, None) == 130
    assert await held(db, platform, anna, april, april + HOUR) == 100


async def test_groups_add_up_by_prefix_kind_currency_and_owner(db: Database, platform: PlatformId) -> None:
    bert_id = SellerId(new_id())
    anna, bert, dollars = seller(), chart.seller_pending(bert_id, "EUR"), chart.seller_pending(bert_id, "USD")
    await record(
        db,
        platform,
        MARCH,
        sale("one", anna, 1000, effective_at=MARCH),
        sale("two", bert, 300, effective_at=MARCH),
        entry("three", Posting(chart.psp_pending("USD"), dollars, 50), effective_at=MARCH + DAY),
        entry("fee", Posting(anna, FEE, 100), Posting(anna, TAX, 21), effective_at=MARCH + 2 * DAY),
    )

    async def told(group: AccountGroup, at: datetime | None = None) -> list[tuple[str, str, int, int]]:
        async with db.read(platform) as scope:
            found = await group_balances(scope, group, at=at)
        return [(one.currency, one.kind.value, one.accounts, one.balance) for one in found]

    assert await told(AccountGroup()) == [
        ("EUR", "ASSET", 1, 1300),
        ("EUR", "LIABILITY", 3, 1200),
        ("EUR", "REVENUE", 1, 100),
        ("USD", "ASSET", 1, 50),
        ("USD", "LIABILITY", 1, 50),
    ]
    sellers, psp = AccountGroup(code_prefix="seller:"), AccountGroup(code_prefix="psp:")
    assert await told(sellers) == [("EUR", "LIABILITY", 2, 1179), ("USD", "LIABILITY", 1, 50)]
    assert await told(sellers, MARCH) == [("EUR", "LIABILITY", 2, 1300)]
    assert await told(AccountGroup(kind=AccountKind.LIABILITY, currency="EUR")) == [("EUR", "LIABILITY", 3, 1200)]
    assert await told(AccountGroup(owner=bert_id)) == [("EUR", "LIABILITY", 1, 300), ("USD", "LIABILITY", 1, 50)]
    assert await told(psp, MARCH + DAY) == [("EUR", "ASSET", 1, 1300), ("USD", "ASSET", 1, 50)]
    assert await told(AccountGroup(code_prefix="tax:"), MARCH + DAY) == []
    assert await told(AccountGroup(code_prefix="t%")) == []
    assert await told(AccountGroup(), MARCH - TICK) == []


async def test_the_trial_balance_of_an_instant(db: Database, platform: PlatformId) -> None:
    anna, bert = seller(), seller()
    sales = [sale("one", anna, 1000, effective_at=MARCH), sale("two", bert, 300, effective_at=MARCH)]
    await record(db, platform, MARCH, *sales)
    await record(db, platform, MARCH + DAY, entry("fee", Posting(anna, FEE, 100), effective_at=MARCH + HOUR))

    async def rows(at: datetime | None, known_at: datetime | None) -> dict[str, tuple[int, int, int]]:
        async with db.read(platform) as scope:
            [trial] = await trial_balance(scope, at=at, known_at=known_at)
        assert trial.debit == trial.credit == 1300
        return {row.code: (row.accounts, row.debit, row.credit) for row in trial.rows}

    first = {"psp:pending": (1, 1300, 0), "seller:*:pending": (2, 0, 1300)}
    last = {"psp:pending": (1, 1300, 0), "revenue:platform-fee": (1, 0, 100), "seller:*:pending": (2, 0, 1200)}
    assert await rows(MARCH, None) == first
    assert await rows(MARCH + HOUR, MARCH) == first
    assert await rows(None, MARCH) == first
    assert await rows(MARCH + HOUR, None) == last
    assert await rows(None, None) == last


@pytest.mark.parametrize("field", ["at", "knownAt"])
async def test_nobody_knows_the_future(db: Database, platform: PlatformId, field: str) -> None:
    await record(db, platform, MARCH, sale("sale", seller(), 1))
    async with db.read(platform) as scope:
        [account, _] = await accounts(scope)
        when = {"at" if field == "at" else "known_at": scope.now + TICK}
        for read in (
            lambda: balance_at(scope, [account.id], **when),
            lambda: trial_balance(scope, **when),
            lambda: group_balances(scope, AccountGroup(), **when),
        ):
            with pytest.raises(InvalidInput, match=f"^{field} lies in the future") as refused:
                await read()
            assert refused.value.path == (field,)
            assert refused.value.constraint == f"<= {scope.now.isoformat()}"


async def test_a_watermark_names_one_state_of_the_books(db: Database, platform: PlatformId) -> None:
    anna = seller()
    await record(db, platform, MARCH, sale("first", anna, 100, effective_at=MARCH))
    async with db.read(platform) as scope:
        mark = await watermark(scope)
        account = (await accounts_by_refs(scope, [anna]))[anna].id
    await record(db, platform, MARCH, sale("late", anna, 10, effective_at=MARCH - DAY), sale("next", anna, 1))
    async with db.read(platform) as scope:
        for cut, known, owed in (
            (Cut(MARCH), mark, 100),
            (Cut(MARCH), None, 110),
            (Cut(MARCH - DAY), mark, 0),
            (Cut(MARCH - DAY), None, 10),
            (Cut.before(MARCH), None, 10),
            (Cut(MARCH + 900 * DAY), mark, 100),
            (Cut(MARCH + 900 * DAY), None, 111),
        ):
            assert await balances_at(scope, [account], cut, known=known) == {account: owed}


def test_a_lag_says_how_late_in_steps_of_eight() -> None:
    late = {0: 1, 999: 1, 1_000: 2, 7_999: 2, 8_000: 3, 1_000_000: 5, 3_600_000_000: 9, 10**18: LAG_MAX}
    assert {us: lag_of(us) for us in late} == late
    for lag in range(1, LAG_MAX):
        reach = reach_ms(lag)
        assert reach is not None
        assert lag_of(reach * 1_000 - 1) == lag < lag_of(reach * 1_000)
    assert reach_ms(LAG_MAX) is None


#: By how much a posting comes late, or ahead: in all steps of `ledger.lag`.
LATE = [
    *(timedelta(0), TICK, timedelta(milliseconds=3), timedelta(seconds=1), timedelta(minutes=2), 3 * HOUR, 2 * DAY),
    *(50 * DAY, 900 * DAY, 7000 * DAY, -TICK, timedelta(seconds=-11), -3 * DAY),
]
REFS = [PSP, FEE, BANK, TAX, chart.psp_fee("EUR")]


class Act(NamedTuple):
    """A batch: so long after the one before, entries of (how late, debit, step to credit, amount, is held).

    `settle` takes a part of the oldest open hold, or gives it back; `closes` ends a period a day ago.
    """

    after: timedelta
    entries: Sequence[tuple[timedelta, int, int, int, bool]]
    settle: str | None
    closes: bool


ENTRIES = st.tuples(
    st.sampled_from(LATE),
    st.integers(0, len(REFS) - 1),
    st.integers(1, len(REFS) - 1),
    st.integers(2, 1000),
    st.sampled_from([False, False, False, True]),
)
ACTS = st.lists(
    st.builds(
        Act,
        after=st.sampled_from([timedelta(0), TICK, timedelta(seconds=2), HOUR, 5 * DAY]),
        entries=st.lists(ENTRIES, min_size=1, max_size=4),
        settle=st.sampled_from([None, None, "take", "void"]),
        closes=st.sampled_from([False, False, False, False, True]),
    ),
    min_size=1,
    max_size=8,
)


@dataclass(frozen=True, slots=True)
class Fact:
    """What the model knows of a posting that moved money."""

    recorded_at: datetime
    effective_at: datetime
    debit: str
    credit: str
    amount: int


class Model:
    """The books as a list of facts, added up anew for every question."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.holds: list[tuple[UUID, Posting]] = []
        self.closed_until: datetime | None = None

    def move(self, recorded_at: datetime, effective_at: datetime, posting: Posting) -> None:
        if self.closed_until is not None:
            effective_at = max(effective_at, self.closed_until)
        self.facts.append(Fact(recorded_at, effective_at, posting.debit.code, posting.credit.code, posting.amount))

    def held(self, at: datetime | None, known_at: datetime | None) -> dict[str, int]:
        """Net debits by code, where not zero."""
        net: dict[str, int] = {}
        for fact in self.facts:
            if (at is None or fact.effective_at <= at) and (known_at is None or fact.recorded_at <= known_at):
                net[fact.debit] = net.get(fact.debit, 0) + fact.amount
                net[fact.credit] = net.get(fact.credit, 0) - fact.amount
        return {code: amount for code, amount in net.items() if amount}

    def instants(self) -> list[datetime]:
        """Every instant at which something changes, and those beside it."""
        known = {at for fact in self.facts for at in (fact.recorded_at, fact.effective_at)}
        return sorted({at + step for at in known for step in (-TICK, timedelta(0), TICK)})


async def play(db: Database, operator: Operator, platform: PlatformId, acts: Sequence[Act]) -> Model:
    model, now, count = Model(), MARCH, 0
    for act in acts:
        now += act.after
        batch, moved, held = [], [], []
        for late, debit, step, amount, is_held in act.entries:
            posting = Posting(REFS[debit], REFS[(debit + step) % len(REFS)], amount)
            phase = Phase.HELD if is_held else Phase.POSTED
            (held if is_held else moved).append((len(batch), now - late, posting))
            batch.append(entry(str(count), posting, effective_at=now - late, phase=phase))
            count += 1
        if act.settle and model.holds:
            hold, posting = model.holds.pop(0)
            if act.settle == "take":
                part = Posting(posting.debit, posting.credit, posting.amount // 2)
                moved.append((len(batch), now, part))
                batch.append(entry(f"{count} take", part, effective_at=now, resolves=hold))
            else:
                batch.append(release(f"{count} void", hold, effective_at=now))
        ids = await record(db, platform, now, *batch)
        for _, at, posting in moved:
            model.move(now, at, posting)
        model.holds += [(ids[place], posting) for place, _, posting in held]
        if act.closes and (model.closed_until is None or model.closed_until < now - DAY):
            model.closed_until = now - DAY
            await close_period(operator.sql, platform, model.closed_until)
    return model


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS, data=st.data())
async def test_any_instant_known_at_any_other_is_the_sum_of_its_facts(
    db: Database, operator: Operator, acts: list[Act], data: st.DataObject
) -> None:
    platform = PlatformId(new_id())
    model = await play(db, operator, platform, acts)
    moments = st.none() | st.sampled_from(model.instants()) if model.facts else st.none()

    async with db.read(platform) as scope:
        assert await check(scope) == []
        names = {account.id: (account.code, account.side) for account in await accounts(scope)}
        for _ in range(12):
            at, known_at = data.draw(moments), data.draw(moments)
            expected = model.held(at, known_at)
            told = await balance_at(scope, list(names), at, known_at=known_at)
            assert {
                names[id][0]: held if names[id][1] is Side.DEBIT else -held for id, held in told.items() if held
            } == expected

            trials = await trial_balance(scope, at=at, known_at=known_at)
            rows = [row for trial in trials for row in trial.rows]
            assert {row.code: row.debit - row.credit for row in rows if row.debit != row.credit} == expected
            assert all(trial.debit == trial.credit for trial in trials)
            assets = await group_balances(scope, AccountGroup(kind=AccountKind.ASSET), at=at, known_at=known_at)
            assert sum(group.balance for group in assets) == sum(expected.get(ref.code, 0) for ref in (PSP, BANK))
