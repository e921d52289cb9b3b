"""Holds: what is kept aside is not available, and is posted, given back or expired once, whoever comes first."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from tests.ledger.till import DAY, Till

from marketbill.db import Database
from marketbill.errors import InvalidInput, NotFound, Refusal
from marketbill.ids import PlatformId, new_id
from marketbill.ledger import hold
from marketbill.ledger.entries import entries_by_ids
from marketbill.ledger.entry import Posting
from marketbill.ledger.operations import period
from marketbill.ledger.original import load
from marketbill.ledger.refusal import GuardBroken, HoldExceeded, HoldNotOpen
from marketbill.paging import PageRequest

HOUR = timedelta(hours=1)


@pytest.fixture
async def paid(till: Till) -> Till:
    """100.00 payable to the seller."""
    await till.post(till.charge(10_000), till.release(10_000))
    return till


async def placed(
    till: Till, amount: int = 4_000, *, ends: timedelta | None = None, ago: timedelta = timedelta(0)
) -> UUID:
    async with till.db.write(till.platform) as scope:
        scope.now -= ago
        return await hold.place(scope, till.set_aside(amount), expires_at=None if ends is None else scope.now + ends)


async def open_holds(till: Till) -> list[UUID]:
    async with till.db.read(till.platform) as scope:
        return [row.id for row in (await hold.open_holds(scope, PageRequest())).rows]


async def fate(till: Till, held: UUID) -> str:
    """The kind of the entry that ended it."""
    async with till.db.read(till.platform) as scope:
        settled_by = (await load(scope, held)).settled_by
        assert settled_by is not None
        return (await load(scope, settled_by)).kind


async def test_what_is_held_is_not_available_and_not_moved(paid: Till) -> None:
    held = await placed(paid)
    assert await open_holds(paid) == [held]
    assert await paid.held(paid.payable, paid.reserve) == [(10_000, 6_000), (0, 0)]
    with pytest.raises(GuardBroken) as refused:
        await paid.post(paid.set_aside(6_001))
    assert refused.value.available_minor == 6_000
    with pytest.raises(GuardBroken):
        await placed(paid, 6_001)
    await paid.proven()


async def test_a_hold_is_posted_whole(paid: Till) -> None:
    held = await placed(paid)
    posted = await paid.do(hold.post, held, key="taken")
    assert await paid.do(hold.post, held, key="taken") == posted
    assert await paid.held(paid.payable, paid.reserve) == [(6_000, 6_000), (4_000, 4_000)]
    assert await open_holds(paid) == []
    with pytest.raises(HoldNotOpen) as refused:
        await paid.do(hold.post, held, key="again")
    assert refused.value.current_state == "RESOLVED"
    await paid.proven()


async def test_a_part_of_a_hold_is_posted_and_the_rest_is_available_again(paid: Till) -> None:
    held = await placed(paid)
    await paid.do(hold.post, held, key="part", amounts=[1_500])
    assert await paid.held(paid.payable, paid.reserve) == [(8_500, 8_500), (1_500, 1_500)]
    await paid.proven()


async def test_a_leg_of_a_hold_can_be_left_out(paid: Till) -> None:
    two = paid.entry(
        "reserve", Posting(paid.payable, paid.reserve, 300), Posting(paid.payable, paid.reserve, 200), day=2
    )
    held = await paid.do(hold.place, two)
    await paid.do(hold.post, held, key="second", amounts=[0, 150])
    assert await paid.held(paid.payable, paid.reserve) == [(9_850, 9_850), (150, 150)]


@pytest.mark.parametrize(
    ("amounts", "refusal"),
    [
        ([4_001], HoldExceeded),
        ([0], InvalidInput),
        ([], InvalidInput),
        ([1, 1], InvalidInput),
        ([-1], InvalidInput),
    ],
)
async def test_no_more_than_what_is_held_is_posted(paid: Till, amounts: list[int], refusal: type[Refusal]) -> None:
    held = await placed(paid)
    with pytest.raises(refusal):
        await paid.do(hold.post, held, key="taken", amounts=amounts)
    assert await open_holds(paid) == [held]


async def test_a_voided_hold_is_available_again_and_says_who_and_why(paid: Till) -> None:
    held = await placed(paid)
    voided = await paid.do(hold.void, held, by="key_anna", reason="the order was called off")
    assert await paid.do(hold.void, held, by="key_ben", reason="again") == voided
    assert await paid.held(paid.payable) == [(10_000, 10_000)]
    with pytest.raises(HoldNotOpen):
        await paid.do(hold.post, held, key="late")
    async with paid.db.read(paid.platform) as scope:
        [entry] = (await entries_by_ids(scope, [voided])).values()
    assert (entry.kind, entry.reason["by"], entry.reason["why"]) == (
        hold.VOIDED,
        "key_anna",
        "the order was called off",
    )
    await paid.proven()


async def test_a_hold_is_voided_for_a_reason(paid: Till) -> None:
    held = await placed(paid)
    with pytest.raises(InvalidInput) as refused:
        await paid.do(hold.void, held, by="key_anna", reason=" ")
    assert refused.value.path == ("reason",)
    assert await open_holds(paid) == [held]


async def test_what_is_no_hold_is_neither_posted_nor_voided(paid: Till) -> None:
    [sale] = await paid.post(paid.charge(5))
    with pytest.raises(HoldNotOpen) as refused:
        await paid.do(hold.void, sale, by="key_anna", reason="no")
    assert refused.value.current_state == "POSTED"
    with pytest.raises(NotFound):
        await paid.do(hold.post, new_id(), key="nothing")


async def test_a_hold_does_not_end_before_it_begins(paid: Till) -> None:
    with pytest.raises(InvalidInput):
        await placed(paid, ends=timedelta(0))
    assert await open_holds(paid) == []


async def test_a_hold_past_its_end_is_not_posted_and_expires_once(paid: Till) -> None:
    held, stays, young = await placed(paid, 1_000, ends=HOUR), await placed(paid, 10), await placed(paid, 20, ends=DAY)
    assert await hold.expire_due(paid.db, paid.platform) == 0
    with pytest.raises(HoldNotOpen) as refused:
        await paid.do(hold.post, held, key="late", later=HOUR)
    assert refused.value.current_state == "EXPIRED"
    assert await paid.held(paid.payable) == [(10_000, 8_970)]

    await shift(paid, HOUR)
    assert sum(await asyncio.gather(*(hold.expire_due(paid.db, paid.platform) for _ in range(3)))) == 1
    assert await paid.held(paid.payable) == [(10_000, 9_970)]
    assert sorted(await open_holds(paid)) == sorted([stays, young])
    assert await fate(paid, held) == hold.EXPIRED
    await paid.proven()


async def test_more_holds_than_a_batch_expire_in_one_run(paid: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "BATCH_MAX", 3)
    for _ in range(7):
        await placed(paid, 100, ends=HOUR)
    await shift(paid, HOUR)
    assert await hold.expire_due(paid.db, paid.platform) == 7
    assert await paid.held(paid.payable) == [(10_000, 10_000)]


async def test_a_hold_on_a_frozen_account_expires_all_the_same(paid: Till) -> None:
    await placed(paid, ends=HOUR)
    async with paid.db.write(paid.platform) as scope:
        await scope.run(text("update ledger_account set state = 'FROZEN'"))
    await shift(paid, HOUR)
    assert await hold.expire_due(paid.db, paid.platform) == 1
    assert await paid.held(paid.payable) == [(10_000, 10_000)]


async def test_a_hold_that_ended_in_a_closed_period_expires_in_the_open_one(paid: Till) -> None:
    held = await placed(paid, ends=HOUR)
    await shift(paid, DAY)
    async with paid.db.write(paid.platform) as scope:
        await period.close(scope, until=scope.now, by="key_anna")
    assert await hold.expire_due(paid.db, paid.platform) == 1
    assert await fate(paid, held) == hold.EXPIRED
    await paid.proven()


@pytest.mark.parametrize("first", ["post", "expire", "void"])
async def test_a_hold_is_resolved_once_whoever_comes_first(paid: Till, first: str) -> None:
    """Three at once: who posts it took his transaction's time before the end, who expires it after."""
    held = await placed(paid, ends=HOUR)
    begun = asyncio.Event()

    async def take() -> None:
        async with paid.db.write(paid.platform) as scope:
            begun.set()
            await hold.post(scope, held, key="taken")

    async def give_back() -> None:
        await paid.do(hold.void, held, by="key_anna", reason="no")

    async def expire() -> None:
        await begun.wait()
        await shift(paid, HOUR)
        await hold.expire_due(paid.db, paid.platform)

    order = {"post": [take, expire, give_back], "expire": [expire, take, give_back], "void": [give_back, take, expire]}
    answers = await asyncio.gather(*(work() for work in order[first]), return_exceptions=True)

    assert all(answer is None or isinstance(answer, HoldNotOpen) for answer in answers), answers
    ended = await fate(paid, held)
    assert await paid.held(paid.payable) == [(6_000, 6_000) if ended == "reserve" else (10_000, 10_000)]
    assert await open_holds(paid) == []
    await paid.proven()


AMOUNTS = st.integers(1, 8_000)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("place"), AMOUNTS, st.booleans()),
        st.tuples(st.sampled_from(["post", "part", "void"]), st.integers(0, 5), st.integers(1, 4_000)),
        st.just(("expire", 0, 0)),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS)
async def test_available_is_always_posted_less_pending(db: Database, acts: Sequence[tuple[str, int, int]]) -> None:
    """Against a model: what is left, and the open holds, each with its amount and whether its end has passed."""
    till = Till(db, PlatformId(new_id()))
    await till.post(till.charge(10_000), till.release(10_000))
    left, holds = 10_000, dict[UUID, tuple[int, bool]]()
    for act, which, amount in acts:
        if act == "place":
            is_over = bool(amount)
            if which > left - sum(held for held, _ in holds.values()):
                with pytest.raises(GuardBroken):
                    await placed(till, which)
            else:
                holds[await placed(till, which, ends=HOUR if is_over else None, ago=2 * HOUR)] = (which, is_over)
        elif act == "expire":
            over = [held for held, (_, is_over) in holds.items() if is_over]
            assert await hold.expire_due(db, till.platform) == len(over)
            for held in over:
                del holds[held]
        elif holds:
            held, (whole, is_over) = list(holds.items())[which % len(holds)]
            taken = whole if act == "post" else min(amount, whole)
            if act == "void":
                await till.do(hold.void, held, by="key_anna", reason="no")
            elif is_over:
                with pytest.raises(HoldNotOpen):
                    await till.do(hold.post, held, key=f"late-{held}", amounts=[taken])
                continue
            else:
                await till.do(hold.post, held, key=f"taken-{held}", amounts=[taken])
                left -= taken
            del holds[held]
        assert await till.held(till.payable) == [(left, left - sum(held for held, _ in holds.values()))]
    assert sorted(await open_holds(till)) == sorted(holds)
    await till.proven()


async def shift(till: Till, by: timedelta) -> None:
    """Moves the platforms' clock."""
    async with till.db.system() as scope:
        await scope.connection.execute(
            text(
                "insert into test_clock values (1, :seconds)"
                " on conflict (id) do update set shift_seconds = test_clock.shift_seconds + excluded.shift_seconds"
            ),
            {"seconds": int(by.total_seconds())},
        )
