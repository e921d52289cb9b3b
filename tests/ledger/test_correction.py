"""Corrections: a mirror image with a reason, what is right beside it, and above a limit a second person."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from tests.ledger.till import DAY, EUR, MAY, Till

from marketbill.db import Database
from marketbill.errors import InvalidInput, NotFound, Refusal
from marketbill.ids import PlatformId, new_id, public_id
from marketbill.ledger import chart, hold
from marketbill.ledger.entries import RecordedEntry, entries_by_ids
from marketbill.ledger.entry import Posting
from marketbill.ledger.operations import account_terms, correction, correction_limit, period
from marketbill.ledger.operations.correction import Correction, CorrectionStatus, correction_of
from marketbill.ledger.operations.refusal import (
    CorrectionDecided,
    CorrectionWaits,
    NotCorrectable,
    SecondPersonNeeded,
)
from marketbill.ledger.operations.replacement import Replacement
from marketbill.ledger.refusal import AccountNotOpen, GuardBroken, LegNotAllowed, NotReversible
from marketbill.money import UnknownCurrency
from marketbill.paging import PageRequest

ANNA, BEN = "key_anna", "key_ben"
SMALL, LARGE = 100_000, 100_001  # up to 1,000.00 EUR one person is enough


async def asked(till: Till, entry: UUID, *, by: str = ANNA, **more: Any) -> Correction:
    return await till.do(correction.request, entry, **{"by": by, "reason": "booked twice"} | more)


async def listed(till: Till, *status: CorrectionStatus, later: timedelta = timedelta(0)) -> list[UUID]:
    async with till.db.read(till.platform) as scope:
        scope.now += later
        found = await correction.corrections(scope, PageRequest(), status=status or None)
        return [correction_of(row).id for row in found.rows]


async def stands(till: Till, made: Correction) -> Correction:
    async with till.db.read(till.platform) as scope:
        return await correction.load(scope, made.id)


async def recorded(till: Till, *ids: UUID | None) -> list[RecordedEntry]:
    async with till.db.read(till.platform) as scope:
        found = await entries_by_ids(scope, [id for id in ids if id])
    return [found[id] for id in ids if id]


async def test_a_small_entry_is_reversed_at_once_by_one_person(till: Till) -> None:
    [wrong] = await till.post(till.charge(SMALL, day=3))
    made = await asked(till, wrong)
    assert (made.status, made.needs_approval, made.amounts) == (CorrectionStatus.POSTED, False, {EUR: SMALL})
    assert (made.decided_by, made.replacement_id) == (ANNA, None)
    assert await till.held(till.pending, till.psp) == [(0, 0), (0, 0)]
    [reversal, original] = await recorded(till, made.reversal_id, wrong)
    assert (reversal.kind, reversal.source, reversal.effective_at) == ("reversal", original.source, MAY + 3 * DAY)
    assert reversal.reason["why"] == "booked twice"
    assert reversal.reason["reverses"] == public_id("journal entry", wrong)
    await till.proven()


async def test_what_is_right_is_booked_with_the_reversal(till: Till) -> None:
    [wrong] = await till.post(till.charge(5_000))
    right = Replacement((Posting(till.psp, till.pending, 4_000),), "The charge, as the provider tells it")
    made = await asked(till, wrong, replacement=right)
    assert await till.held(till.pending, till.psp) == [(4_000, 4_000), (4_000, 4_000)]
    [replacing] = await recorded(till, made.replacement_id)
    assert (replacing.kind, replacing.description) == ("charge", right.description)
    assert made.replacement == right
    await till.proven()


async def test_a_replacement_may_have_legs_of_no_flow_or_those_of_its_kind_alone(till: Till) -> None:
    [wrong] = await till.post(till.charge(5_000))
    fee = Posting(till.psp, chart.account(chart.SUBSCRIPTION, EUR), 5_000)
    with pytest.raises(LegNotAllowed):
        await asked(till, wrong, replacement=Replacement((fee,), "A fee after all"))
    with pytest.raises(InvalidInput) as refused:
        await asked(till, wrong, replacement=Replacement((fee,), "A fee after all", kind="split"))
    assert refused.value.path == ("replacement", "kind")
    assert await listed(till) == []

    made = await asked(till, wrong, replacement=Replacement((fee,), "A fee after all", kind="manual"))
    [replacing] = await recorded(till, made.replacement_id)
    assert (replacing.kind, replacing.source.type, replacing.source.id) == ("manual", "correction", made.id)


async def test_a_large_entry_waits_for_another_person(till: Till) -> None:
    [wrong] = await till.post(till.charge(LARGE))
    made = await asked(till, wrong)
    assert (made.status, made.needs_approval, made.reversal_id) == (CorrectionStatus.PENDING, True, None)
    assert await till.held(till.pending) == [(LARGE, LARGE)]
    with pytest.raises(SecondPersonNeeded):
        await till.do(correction.approve, made.id, by=ANNA)
    assert await listed(till, CorrectionStatus.PENDING) == [made.id]

    done = await till.do(correction.approve, made.id, by=BEN)
    assert (done.status, done.decided_by) == (CorrectionStatus.POSTED, BEN)
    assert await till.held(till.pending) == [(0, 0)]
    [reversal] = await recorded(till, done.reversal_id)
    assert (reversal.reason["requestedBy"], reversal.reason["approvedBy"]) == (ANNA, BEN)
    with pytest.raises(CorrectionDecided) as again:
        await till.do(correction.approve, made.id, by=BEN)
    assert again.value.current_state == "POSTED"
    await till.proven()


async def test_a_small_entry_with_a_large_replacement_waits_too(till: Till) -> None:
    [wrong] = await till.post(till.charge(1))
    right = Replacement((Posting(till.psp, till.pending, LARGE),), "Much more")
    made = await asked(till, wrong, replacement=right)
    assert (made.status, made.amounts) == (CorrectionStatus.PENDING, {EUR: LARGE})
    await till.do(correction.approve, made.id, by=BEN)
    assert await till.held(till.pending) == [(LARGE, LARGE)]
    await till.proven()


async def test_all_that_an_entry_moves_counts_and_each_currency_by_itself(till: Till) -> None:
    def both(key: str, euros: int, dollars: int) -> Any:
        usd = Posting(chart.psp_pending("USD"), chart.seller_pending(till.seller, "USD"), dollars)
        return till.entry("charge", *[Posting(till.psp, till.pending, euros)] * 2, usd, key=key)

    within, above = await till.post(both("within", SMALL // 2, SMALL), both("above", SMALL // 2, LARGE))
    assert not (await asked(till, within)).needs_approval
    made = await asked(till, above)
    assert (made.needs_approval, made.amounts) == (True, {EUR: SMALL, "USD": LARGE})


async def test_a_correction_is_rejected_or_taken_back_with_a_reason(till: Till) -> None:
    for by in (BEN, ANNA):
        [wrong] = await till.post(till.charge(LARGE))
        made = await asked(till, wrong)
        done = await till.do(correction.reject, made.id, by=by, reason="it was right")
        assert (done.status, done.decided_by, done.decision_reason) == (CorrectionStatus.REJECTED, by, "it was right")
        with pytest.raises(CorrectionDecided):
            await till.do(correction.approve, made.id, by=BEN)
        assert (await asked(till, wrong)).status is CorrectionStatus.PENDING
    await till.proven()


async def test_nobody_decides_in_time(till: Till) -> None:
    [wrong] = await till.post(till.charge(LARGE))
    made = await asked(till, wrong)
    for decide in (correction.approve, correction.reject):
        with pytest.raises(CorrectionDecided) as refused:
            reason = {"reason": "no"} if decide is correction.reject else {}
            await till.do(decide, made.id, by=BEN, later=correction.WAITS, **reason)
        assert refused.value.current_state == "EXPIRED"
    assert await listed(till, CorrectionStatus.PENDING, later=correction.WAITS) == []
    assert await listed(till, CorrectionStatus.EXPIRED, later=correction.WAITS) == [made.id]
    assert await listed(till, CorrectionStatus.PENDING) == [made.id]
    again = await asked(till, wrong, later=correction.WAITS)
    assert again.status is CorrectionStatus.PENDING
    assert (await stands(till, made)).status is CorrectionStatus.EXPIRED


async def test_an_entry_has_one_correction_that_waits(till: Till) -> None:
    [wrong] = await till.post(till.charge(LARGE))
    made = await asked(till, wrong)
    with pytest.raises(CorrectionWaits) as refused:
        await asked(till, wrong, by=BEN)
    assert refused.value.correction_id == made.id


async def test_money_that_was_paid_on_is_not_taken_back_and_the_correction_goes_on_waiting(till: Till) -> None:
    [wrong] = await till.post(till.charge(LARGE))
    made = await asked(till, wrong)
    await till.post(till.release(LARGE - 10))
    with pytest.raises(GuardBroken) as refused:
        await till.do(correction.approve, made.id, by=BEN)
    assert (refused.value.account.code, refused.value.available_minor) == (till.pending.code, 10)
    assert (await stands(till, made)).status is CorrectionStatus.PENDING

    await till.post(till.charge(LARGE))
    assert (await till.do(correction.approve, made.id, by=BEN)).status is CorrectionStatus.POSTED
    await till.proven()


async def test_a_small_correction_that_a_guard_refuses_leaves_no_trace(till: Till) -> None:
    [wrong, _] = await till.post(till.charge(100), till.release(100))
    with pytest.raises(GuardBroken):
        await asked(till, wrong)
    assert await listed(till) == []


@pytest.mark.parametrize(("first", "then"), [(100, 101), (100, 100)])
async def test_a_replacement_that_covers_the_reversal_passes_the_guard(till: Till, first: int, then: int) -> None:
    """The seller's money has gone on: taken back alone it would be too much, replaced first it is not."""
    [wrong, _] = await till.post(till.charge(first), till.release(first))
    right = Replacement((Posting(till.psp, till.pending, then),), "As it was")
    await asked(till, wrong, replacement=right)
    assert await till.held(till.pending) == [(then - first, then - first)]
    await till.proven()


async def test_the_reversal_and_the_replacement_are_booked_both_or_not_at_all(till: Till) -> None:
    [wrong] = await till.post(till.charge(100))
    elsewhere = Posting(till.payable, till.reserve, 5)  # of which there is nothing
    with pytest.raises(GuardBroken):
        await asked(till, wrong, replacement=Replacement((elsewhere,), "", kind="manual"))
    assert await till.held(till.pending) == [(100, 100)]
    await till.proven()


async def test_what_is_reversed_stays_reversed(till: Till) -> None:
    [wrong] = await till.post(till.charge(100))
    made = await asked(till, wrong)
    for entry, state in ((wrong, "REVERSED"), (made.reversal_id, "REVERSAL")):
        assert entry is not None
        with pytest.raises(NotCorrectable) as refused:
            await asked(till, entry)
        assert refused.value.current_state == state


async def test_holds_are_voided_not_reversed_but_what_posted_one_is_reversed(till: Till) -> None:
    await till.post(till.charge(1_000), till.release(1_000))
    held, voided = [await till.do(hold.place, till.set_aside(n)) for n in (300, 200)]
    release = await till.do(hold.void, voided, by=ANNA, reason="no")
    for entry, state in ((held, "HELD"), (voided, "HELD"), (release, "RELEASED")):
        with pytest.raises(NotCorrectable) as refused:
            await asked(till, entry)
        assert refused.value.current_state == state
    taken = await till.do(hold.post, held, key="taken")
    await asked(till, taken)
    assert await till.held(till.payable, till.reserve) == [(1_000, 1_000), (0, 0)]
    await till.proven()


async def test_a_frozen_account_is_not_corrected(till: Till) -> None:
    [wrong] = await till.post(till.charge(100))
    await till.do(account_terms.freeze, (await till.account(till.pending)).id, by=ANNA, reason="dispute")
    with pytest.raises(AccountNotOpen):
        await asked(till, wrong)


async def test_a_correction_of_a_closed_period_is_booked_into_the_open_one(till: Till) -> None:
    [wrong] = await till.post(till.charge(100, day=3))
    june = MAY + 31 * DAY
    await till.do(period.close, until=june, by=ANNA)
    right = Replacement((Posting(till.psp, till.pending, 90),), "Less")
    made = await asked(till, wrong, replacement=right)
    for entry in await recorded(till, made.reversal_id, made.replacement_id):
        assert (entry.effective_at, entry.occurred_at) == (june, MAY + 3 * DAY)
    await till.proven()


async def test_a_correction_is_effective_when_it_is_said_to_be_within_reason(till: Till) -> None:
    [wrong] = await till.post(till.charge(100, day=3))
    for at in (MAY + 2 * DAY, MAY + 36_500 * DAY):
        with pytest.raises(InvalidInput) as refused:
            await asked(till, wrong, effective_at=at)
        assert refused.value.path == ("effectiveAt",)
    made = await asked(till, wrong, effective_at=MAY + 20 * DAY)
    [reversal] = await recorded(till, made.reversal_id)
    assert reversal.effective_at == MAY + 20 * DAY


async def test_a_correction_needs_a_reason_and_an_entry_of_ones_own(till: Till, db: Database) -> None:
    [wrong] = await till.post(till.charge(LARGE))
    with pytest.raises(InvalidInput):
        await asked(till, wrong, reason="  ")
    made = await asked(till, wrong)
    other = Till(db, PlatformId(new_id()))
    for entry in (wrong, new_id()):
        with pytest.raises(NotFound):
            await asked(other, entry)
    for unknown in (made.id, new_id()):
        with pytest.raises(NotFound):
            await other.do(correction.approve, unknown, by=BEN)
    assert await listed(other) == []


async def test_the_limit_is_data_and_its_changes_are_kept(till: Till) -> None:
    async with till.db.read(till.platform) as scope:
        assert await correction_limit.limits(scope, ["JPY", EUR, "KWD"], by=ANNA) == {
            "JPY": 100_000,
            EUR: 100_000,
            "KWD": 300_000,
        }
    made = [
        await till.do(correction_limit.set_limit, currency=EUR, amount=amount, by=by, reason=f"{amount}")
        for by, amount in ((BEN, 0), (ANNA, 50))
    ]
    async with till.db.read(till.platform) as scope:
        assert await correction_limit.settings(scope) == made[::-1]
        assert await correction_limit.limits(scope, [EUR], by="key_carl") == {EUR: 50}
    for amount in (-1, 10**16):
        with pytest.raises(InvalidInput):
            await till.do(correction_limit.set_limit, currency=EUR, amount=amount, by=ANNA, reason="x")
    with pytest.raises(UnknownCurrency):
        await till.do(correction_limit.set_limit, currency="XXX", amount=1, by=ANNA, reason="x")


async def test_at_a_limit_of_nothing_every_correction_needs_two(till: Till) -> None:
    await till.do(correction_limit.set_limit, currency=EUR, amount=0, by=BEN, reason="audit")
    [wrong] = await till.post(till.charge(1))
    assert (await asked(till, wrong)).status is CorrectionStatus.PENDING


async def test_nobody_raises_the_limit_for_himself(till: Till) -> None:
    await till.do(correction_limit.set_limit, currency=EUR, amount=LARGE, by=ANNA, reason="busy season")
    one, two = await till.post(till.charge(LARGE), till.charge(LARGE))
    assert (await asked(till, one, by=ANNA)).status is CorrectionStatus.PENDING
    assert (await asked(till, two, by=BEN)).status is CorrectionStatus.POSTED
    await till.do(correction_limit.set_limit, currency=EUR, amount=LARGE, by=BEN, reason="agreed")
    [three] = await till.post(till.charge(LARGE))
    assert (await asked(till, three, by=ANNA)).status is CorrectionStatus.POSTED


async def test_of_two_who_approve_at_once_one_does(till: Till) -> None:
    [wrong] = await till.post(till.charge(LARGE))
    made = await asked(till, wrong)
    answers = await asyncio.gather(
        *(till.do(correction.approve, made.id, by=by) for by in (BEN, "key_carl")), return_exceptions=True
    )
    assert {type(answer) for answer in answers} == {Correction, CorrectionDecided}
    assert await till.held(till.pending) == [(0, 0)]
    await till.proven()


async def test_of_two_who_approve_and_reject_at_once_one_does(till: Till) -> None:
    [wrong] = await till.post(till.charge(LARGE))
    made = await asked(till, wrong)
    answers = await asyncio.gather(
        till.do(correction.approve, made.id, by=BEN),
        till.do(correction.reject, made.id, by="key_carl", reason="no"),
        return_exceptions=True,
    )
    [done] = [answer for answer in answers if isinstance(answer, Correction)]
    assert await till.held(till.pending) == [(0, 0) if done.status is CorrectionStatus.POSTED else (LARGE, LARGE)]
    await till.proven()


@pytest.mark.parametrize(
    ("amount", "refusals"), [(SMALL, (NotCorrectable, NotReversible)), (LARGE, (CorrectionWaits,))]
)
async def test_of_two_who_correct_an_entry_at_once_one_does(
    till: Till, amount: int, refusals: tuple[type[Refusal], ...]
) -> None:
    [wrong] = await till.post(till.charge(amount))
    answers = await asyncio.gather(*(asked(till, wrong, by=by) for by in (ANNA, BEN)), return_exceptions=True)
    [done] = [answer for answer in answers if isinstance(answer, Correction)]
    [refused] = [answer for answer in answers if not isinstance(answer, Correction)]
    assert isinstance(refused, refusals)
    assert await listed(till) == [done.id]
    await till.proven()


async def test_not_even_the_table_takes_a_correction_that_one_person_decided(till: Till) -> None:
    [wrong] = await till.post(till.charge(LARGE))
    await asked(till, wrong)
    with pytest.raises(DBAPIError, match="second_person"):
        async with till.db.write(till.platform) as scope:
            await scope.run(
                text(
                    "update ledger_correction set status = 'POSTED', decided_by = requested_by, decided_at = now(),"
                    " reversal_id = id"
                )
            )
