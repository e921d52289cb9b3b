"""Operators freeze, close and limit accounts: never against what an account holds now, and always with a reason."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from tests.ledger.till import EUR, Till

from marketbill.db import Database
from marketbill.errors import InvalidInput, NotFound, Refusal
from marketbill.ids import PlatformId, new_id
from marketbill.ledger import chart, hold, journal
from marketbill.ledger.chart import AccountRef, AccountState, Guard
from marketbill.ledger.entry import Outcome, Posting
from marketbill.ledger.group_commit import GroupCommit
from marketbill.ledger.operations import account_terms as terms
from marketbill.ledger.operations.account_terms import AccountChange, Term, change_of
from marketbill.ledger.operations.refusal import (
    AccountNotChanged,
    AccountNotEmpty,
    CeilingAlreadyBroken,
    GuardAlreadyBroken,
)
from marketbill.ledger.refusal import AccountNotOpen, CeilingBroken, GuardBroken
from marketbill.paging import PageRequest

WHY: dict[str, Any] = {"by": "key_anna", "reason": "asked by the bank"}


@pytest.fixture
async def paid(till: Till) -> Till:
    """30.00 pending and 70.00 payable to the seller."""
    await till.post(till.charge(10_000), till.release(7_000))
    return till


async def id_of(till: Till, ref: AccountRef) -> UUID:
    return (await till.account(ref)).id


async def changes(till: Till, **of: Any) -> list[AccountChange]:
    async with till.db.read(till.platform) as scope:
        return [change_of(row) for row in (await terms.changes(scope, PageRequest(), **of)).rows]


async def test_a_frozen_account_takes_no_postings_until_it_is_opened_again(paid: Till) -> None:
    account = await id_of(paid, paid.payable)
    await paid.do(terms.freeze, account, **WHY)
    for work in (paid.post, lambda entry: paid.do(hold.place, entry)):
        with pytest.raises(AccountNotOpen) as refused:
            await work(paid.set_aside(1))
        assert refused.value.current_state == "FROZEN"
    with pytest.raises(AccountNotChanged):
        await paid.do(terms.freeze, account, **WHY)
    await paid.proven()

    await paid.do(terms.unfreeze, account, **WHY)
    await paid.post(paid.set_aside(1))
    with pytest.raises(AccountNotChanged):
        await paid.do(terms.unfreeze, account, **WHY)
    await paid.proven()


async def test_every_change_is_kept_with_who_and_why(paid: Till) -> None:
    account, other = await id_of(paid, paid.payable), await id_of(paid, paid.pending)
    made = [
        await paid.do(terms.freeze, account, by="key_anna", reason=" dispute "),
        await paid.do(terms.unfreeze, account, by="key_ben", reason="settled"),
        await paid.do(terms.set_ceiling, account, 7_500, by="key_anna", reason="risk"),
        await paid.do(terms.set_guard, other, Guard.NONE, by="key_anna", reason="trusted"),
    ]
    assert await changes(paid) == made[::-1]
    assert await changes(paid, account_id=other) == [made[3]]
    told = [(one.term, one.was, one.became, one.reason, one.changed_by) for one in made]
    assert told == [
        (Term.STATE, "OPEN", "FROZEN", "dispute", "key_anna"),
        (Term.STATE, "FROZEN", "OPEN", "settled", "key_ben"),
        (Term.CEILING, None, "7500", "risk", "key_anna"),
        (Term.GUARD, "NOT_NEGATIVE", "NONE", "trusted", "key_anna"),
    ]


async def test_only_an_empty_account_is_closed_and_then_for_ever(paid: Till) -> None:
    account = await id_of(paid, paid.payable)
    with pytest.raises(AccountNotEmpty) as refused:
        await paid.do(terms.close, account, **WHY)
    assert (refused.value.net, refused.value.pending_debits, refused.value.pending_credits) == (-7_000, 0, 0)

    await paid.post(paid.set_aside(7_000))
    held = await paid.do(hold.place, paid.entry("reserve-release", Posting(paid.reserve, paid.payable, 500)))
    with pytest.raises(AccountNotEmpty) as refused:
        await paid.do(terms.close, account, **WHY)
    assert (refused.value.net, refused.value.pending_credits) == (0, 500)

    await paid.do(hold.void, held, **WHY)
    await paid.do(terms.close, account, **WHY)
    with pytest.raises(AccountNotOpen):
        await paid.post(paid.release(1))
    for change in (terms.unfreeze, terms.freeze, terms.close):
        with pytest.raises(AccountNotChanged) as final:
            await paid.do(change, account, **WHY)
        assert final.value.current_state == "CLOSED"
    with pytest.raises(AccountNotChanged):
        await paid.do(terms.set_ceiling, account, 5, **WHY)
    await paid.proven()


async def test_a_frozen_account_that_is_empty_is_closed(paid: Till) -> None:
    await paid.post(paid.set_aside(7_000))
    account = await id_of(paid, paid.payable)
    await paid.do(terms.freeze, account, **WHY)
    await paid.do(terms.close, account, **WHY)
    assert (await paid.account(paid.payable)).state is AccountState.CLOSED


async def test_a_ceiling_holds_from_then_on_and_is_not_set_below_what_is_there(paid: Till) -> None:
    account = await id_of(paid, paid.payable)
    await paid.do(hold.place, paid.release(100))
    for too_low in (7_099, 0):
        with pytest.raises(CeilingAlreadyBroken) as refused:
            await paid.do(terms.set_ceiling, account, too_low, **WHY)
        assert refused.value.held_minor == 7_100
    with pytest.raises(InvalidInput):
        await paid.do(terms.set_ceiling, account, -1, **WHY)
    await paid.do(terms.set_ceiling, account, 7_100, **WHY)
    with pytest.raises(CeilingBroken):
        await paid.post(paid.release(1))
    with pytest.raises(AccountNotChanged):
        await paid.do(terms.set_ceiling, account, 7_100, **WHY)
    await paid.do(terms.set_ceiling, account, None, **WHY)
    await paid.post(paid.release(1))
    await paid.proven()


async def test_a_guard_is_lifted_and_is_not_put_back_while_it_would_be_broken(paid: Till) -> None:
    account = await id_of(paid, paid.payable)
    await paid.do(terms.set_guard, account, Guard.NONE, **WHY)
    await paid.post(paid.set_aside(7_000))
    held = await paid.do(hold.place, paid.set_aside(5))
    await paid.proven()
    with pytest.raises(GuardAlreadyBroken) as refused:
        await paid.do(terms.set_guard, account, Guard.NOT_NEGATIVE, **WHY)
    assert refused.value.available_minor == -5

    await paid.do(hold.void, held, **WHY)
    await paid.do(terms.set_guard, account, Guard.NOT_NEGATIVE, **WHY)
    with pytest.raises(GuardBroken):
        await paid.post(paid.set_aside(1))
    await paid.proven()


async def test_an_account_is_changed_for_a_reason_and_only_ones_own(paid: Till, db: Database) -> None:
    account = await id_of(paid, paid.payable)
    with pytest.raises(InvalidInput):
        await paid.do(terms.freeze, account, by="key_anna", reason="")
    other = Till(db, PlatformId(new_id()))
    for unknown in (account, new_id()):
        with pytest.raises(NotFound):
            await other.do(terms.freeze, unknown, **WHY)
    assert (await paid.account(paid.payable)).state is AccountState.OPEN


async def test_an_entry_decided_from_memory_does_not_reach_a_frozen_account(paid: Till) -> None:
    async with GroupCommit(paid.db) as books:
        for key in ("one", "two"):  # from the second on, these books are remembered
            await books.submit(paid.platform, paid.release(1, key=key))
        await paid.do(terms.freeze, await id_of(paid, paid.payable), **WHY)
        frozen = await books.submit(paid.platform, paid.release(1, key="three"))
        await paid.do(terms.unfreeze, await id_of(paid, paid.payable), **WHY)
        opened = await books.submit(paid.platform, paid.release(1, key="four"))
    assert isinstance(frozen.refusal, AccountNotOpen)
    assert opened.outcome is Outcome.POSTED
    assert await paid.held(paid.payable) == [(7_003, 7_003)]


async def test_an_account_is_closed_or_posted_to_but_not_both(paid: Till) -> None:
    """The last cent leaves, a new one comes, and the account is closed, all at once."""
    fee = chart.platform_fee(EUR)
    await paid.post(paid.entry("split", Posting(paid.pending, fee, 3_000)))
    account = await id_of(paid, paid.pending)

    async def post() -> Any:
        return await paid.post(paid.charge(1))

    async def close() -> Any:
        return await paid.do(terms.close, account, **WHY)

    answers = await asyncio.gather(post(), close(), post(), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Refusal)]
    is_closed = (await paid.account(paid.pending)).state is AccountState.CLOSED
    assert all(isinstance(one, AccountNotOpen if is_closed else AccountNotEmpty) for one in refused)
    assert len(refused) >= 1
    assert not is_closed or await paid.held(paid.pending) == [(0, 0)]
    await paid.proven()


async def test_entries_beside_one_that_meets_a_frozen_account_are_booked(paid: Till) -> None:
    await paid.do(terms.freeze, await id_of(paid, paid.payable), **WHY)
    async with paid.db.write(paid.platform) as scope:
        results = await journal.post(scope, [paid.charge(1), paid.release(1), paid.charge(2)])
    assert [result.outcome for result in results] == [Outcome.POSTED, Outcome.REFUSED, Outcome.POSTED]
