"""Holds as the journal books them, however they are written: kept aside, then taken in whole or part, or given back."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from tests.ledger.moves import FEE, Operator, entry, outcomes, release, sale, seller, spend, write

from marketbill.db import Database
from marketbill.ids import PlatformId, new_id
from marketbill.ledger.accounts import Account, accounts_by_refs
from marketbill.ledger.chart import AccountRef
from marketbill.ledger.entry import Outcome, Phase, Posting
from marketbill.ledger.group_commit import GroupCommit
from marketbill.ledger.journal import post_all
from marketbill.ledger.proof import check
from marketbill.ledger.refusal import GuardBroken, HoldExceeded, HoldNotOpen

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Till:
    """A seller's account with 100 on it."""

    def __init__(self, db: Database, platform: PlatformId) -> None:
        self.db, self.platform, self.account = db, platform, seller()

    async def hold(self, amount: int, **more: Any) -> UUID:
        [held] = await write(
            self.db,
            self.platform,
            spend(f"hold-{new_id()}", self.account, amount, phase=Phase.HELD, **more),
        )
        assert held.entry_id is not None, held.refusal
        return held.entry_id

    async def stands(self, ref: AccountRef) -> Account:
        async with self.db.read(self.platform) as scope:
            assert await check(scope) == []
            return (await accounts_by_refs(scope, [ref]))[ref]

    async def balances(self) -> tuple[int, int]:
        """What is posted, and what is available."""
        account = await self.stands(self.account)
        return account.balance, account.available


@pytest.fixture
async def till(db: Database, platform: PlatformId) -> Till:
    made = Till(db, platform)
    await write(db, platform, sale("sale", made.account, 100))
    return made


async def test_what_is_held_is_not_available(till: Till) -> None:
    await till.hold(70)
    assert await till.balances() == (100, 30)
    [refused] = await write(till.db, till.platform, spend("too much", till.account, 31))
    assert isinstance(refused.refusal, GuardBroken)
    assert (refused.refusal.account, refused.refusal.available_minor) == (till.account, 30)
    assert (await till.stands(FEE)).balance == 0


@pytest.mark.parametrize(("taken", "left"), [(70, 30), (45, 55), (1, 99)])
async def test_a_hold_is_posted_in_whole_or_part_and_the_rest_is_given_back(till: Till, taken: int, left: int) -> None:
    hold = await till.hold(70)
    await write(till.db, till.platform, spend("taken", till.account, taken, resolves=hold))
    assert await till.balances() == (left, left)
    assert (await till.stands(FEE)).balance == taken


async def test_more_than_was_held_is_refused(till: Till) -> None:
    hold = await till.hold(70)
    [refused] = await write(till.db, till.platform, spend("taken", till.account, 71, resolves=hold))
    assert isinstance(refused.refusal, HoldExceeded)
    assert refused.refusal.held_minor == 70
    assert await till.balances() == (100, 30)


async def test_a_hold_is_given_back_whole(till: Till) -> None:
    hold = await till.hold(70)
    await write(till.db, till.platform, release("voided", hold))
    assert await till.balances() == (100, 100)


async def test_a_hold_is_resolved_once(till: Till) -> None:
    hold = await till.hold(70)
    results = await write(
        till.db,
        till.platform,
        spend("taken", till.account, 20, resolves=hold),
        release("voided", hold),
        spend("taken again", till.account, 20, resolves=hold),
        spend("taken", till.account, 20, resolves=hold),
    )
    assert outcomes(results) == ["POSTED", "REFUSED", "REFUSED", "REPLAYED"]
    assert isinstance(results[1].refusal, HoldNotOpen)
    assert (results[1].refusal.hold_id, results[1].refusal.current_state) == (hold, "RESOLVED")
    assert await till.balances() == (80, 80)


async def test_two_linked_entries_do_not_share_a_hold(till: Till) -> None:
    hold = await till.hold(70)
    with pytest.raises(HoldNotOpen):
        async with till.db.write(till.platform) as scope:
            await post_all(scope, [release("one", hold), release("two", hold)])
    assert await till.balances() == (100, 30)
    assert outcomes(await write(till.db, till.platform, release("one", hold))) == ["POSTED"]


async def test_an_expired_hold_can_only_be_given_back(till: Till) -> None:
    hold = await till.hold(70, expires_at=LONG_AGO)
    taken, released = await write(
        till.db,
        till.platform,
        spend("too late", till.account, 70, resolves=hold),
        release("expired", hold, kind="hold-expired"),
    )
    assert isinstance(taken.refusal, HoldNotOpen)
    assert (taken.refusal.current_state, released.outcome) == ("EXPIRED", Outcome.POSTED)
    assert await till.balances() == (100, 100)


async def test_what_a_hold_would_bring_is_not_available(till: Till) -> None:
    other = seller()
    await write(till.db, till.platform, entry("hold", Posting(till.account, other, 40), phase=Phase.HELD))
    coming = await till.stands(other)
    assert (coming.balance, coming.available, coming.pending_credits) == (0, 0, 40)
    assert outcomes(await write(till.db, till.platform, spend("of it", other, 1))) == ["REFUSED"]


async def test_what_is_no_hold_is_not_resolved(till: Till) -> None:
    [sold] = await write(till.db, till.platform, sale("another sale", till.account))
    assert sold.entry_id is not None
    unknown, posted = await write(
        till.db, till.platform, release("of nothing", new_id()), release("of a sale", sold.entry_id)
    )
    states = [result.refusal.current_state for result in (unknown, posted) if isinstance(result.refusal, HoldNotOpen)]
    assert states == ["UNKNOWN", "POSTED"]


async def test_open_holds_are_listed_however_they_were_written(till: Till, operator: Operator) -> None:
    async def listed() -> set[UUID]:
        return {row["entry_id"] for row in await operator.sql.fetch("select entry_id from ledger_hold")}

    async with GroupCommit(till.db) as books:
        await books.submit(till.platform, sale("remembered from here on", till.account))
        holds = [
            await books.submit(till.platform, spend(f"hold-{n}", till.account, 10, phase=Phase.HELD)) for n in range(3)
        ]
        ids = [hold.entry_id for hold in holds if hold.entry_id is not None]
        assert await listed() == set(ids)
        await books.submit(till.platform, spend("taken", till.account, 5, resolves=ids[0]))
        await books.submit(till.platform, release("voided", ids[1]))
    assert await listed() == {ids[2]}
    assert await till.balances() == (195, 185)
