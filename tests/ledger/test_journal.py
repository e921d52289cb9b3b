"""Posting: replays, conflicts, guards, and what a refused entry costs its neighbours."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from marketbill.db import Database
from marketbill.errors import ErrorCode
from marketbill.ids import PlatformId, SellerId, new_id
from marketbill.ledger import chart
from marketbill.ledger.accounts import accounts, accounts_by_refs
from marketbill.ledger.books import Books, OpenAccount
from marketbill.ledger.chain import GENESIS
from marketbill.ledger.chart import AccountRef
from marketbill.ledger.decision import decide
from marketbill.ledger.entries import entries_by_ids, entry_page
from marketbill.ledger.journal import (
    AccountFull,
    EntryConflict,
    GuardBroken,
    JournalEntry,
    Phase,
    Posting,
    Source,
    post,
    post_all,
)
from marketbill.ledger.proof import check

NOON = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
SELLER = SellerId(new_id())
PENDING = chart.seller_pending(SELLER, "EUR")
PAYABLE = chart.seller_payable(SELLER, "EUR")
PSP = chart.psp_pending("EUR")


def entry(key: str, *postings: Posting, **changes: Any) -> JournalEntry:
    usual = {
        "kind": "charge",
        "source": Source("payment", SELLER),
        "effective_at": NOON,
        "description": "A sale",
        "reason": {},
    }
    return JournalEntry(key=key, postings=postings, **(usual | changes))


def charge(key: str, amount: int, **changes: Any) -> JournalEntry:
    return entry(key, Posting(PSP, PENDING, amount), **changes)


def release(key: str, amount: int) -> JournalEntry:
    return entry(key, Posting(PENDING, PAYABLE, amount), kind="release")


async def outcomes(db: Database, platform: PlatformId, entries: Sequence[JournalEntry]) -> str:
    async with db.write(platform) as scope:
        return " ".join(result.outcome for result in await post(scope, entries))


async def balance(db: Database, platform: PlatformId, ref: AccountRef) -> int:
    async with db.read(platform) as scope:
        assert await check(scope) == []
        found = await accounts_by_refs(scope, [ref])
        return found[ref].balance if ref in found else 0


@pytest.mark.parametrize(
    ("again", "outcome"),
    [
        (charge("sale", 100), "REPLAYED"),
        (charge("sale", 100, effective_at=NOON + timedelta(hours=1)), "REPLAYED"),
        (charge("sale", 100, description="The same sale"), "REPLAYED"),
        (charge("sale", 100, reason={"event": "evt_2"}), "REPLAYED"),
        (charge("sale", 101), "CONFLICT"),
        (charge("sale", 100, source=Source("payment", new_id())), "CONFLICT"),
        (entry("sale", Posting(PSP, chart.seller_pending(SELLER, "EUR"), 50), Posting(PSP, PENDING, 50)), "CONFLICT"),
        (entry("sale", Posting(chart.psp_pending("USD"), chart.seller_pending(SELLER, "USD"), 100)), "CONFLICT"),
    ],
)
async def test_a_key_stands_for_one_body(db: Database, platform: PlatformId, again: JournalEntry, outcome: str) -> None:
    assert await outcomes(db, platform, [charge("sale", 100)]) == "POSTED"
    assert await outcomes(db, platform, [again]) == outcome
    assert await balance(db, platform, PENDING) == 100


@pytest.mark.parametrize(
    ("kind", "source_type", "outcome"),
    [("custody", "payout", "REPLAYED"), ("payout-failed", "payout", "CONFLICT"), ("custody", "transfer", "CONFLICT")],
)
async def test_kind_and_kind_of_source_are_part_of_the_body(
    db: Database, platform: PlatformId, kind: str, source_type: str, outcome: str
) -> None:
    posting = Posting(chart.custody_available(SELLER, "EUR"), chart.custody_owed(SELLER, "EUR"), 5)
    first = entry("k", posting, kind="custody", source=Source("payout", SELLER))
    assert await outcomes(db, platform, [first]) == "POSTED"
    again = entry("k", posting, kind=kind, source=Source(source_type, SELLER))
    assert await outcomes(db, platform, [again]) == outcome


async def test_the_order_of_postings_makes_no_other_body(db: Database, platform: PlatformId) -> None:
    other = chart.seller_pending(SellerId(new_id()), "EUR")
    there, back = Posting(PSP, PENDING, 70), Posting(PSP, other, 30)
    assert await outcomes(db, platform, [entry("sale", there, back), entry("sale", back, there)]) == "POSTED REPLAYED"


async def test_a_batch_knows_its_own_keys(db: Database, platform: PlatformId) -> None:
    batch = [charge("one", 5), charge("one", 5), charge("one", 6), charge("two", 5)]
    async with db.write(platform) as scope:
        results = await post(scope, batch)
    assert [result.outcome for result in results] == ["POSTED", "REPLAYED", "CONFLICT", "POSTED"]
    assert results[0].entry_id == results[1].entry_id == results[2].entry_id
    assert isinstance(results[2].refusal, EntryConflict)
    assert results[2].refusal.code is ErrorCode.IDEMPOTENCY_KEY_REUSED
    assert await balance(db, platform, PENDING) == 10


@pytest.mark.parametrize(
    ("batch", "expected", "pending", "payable"),
    [
        ([charge("c", 100), release("r", 100)], "POSTED POSTED", 0, 100),
        ([charge("c", 100), release("r", 101)], "POSTED REFUSED", 100, 0),
        ([release("r", 1), charge("c", 100)], "REFUSED POSTED", 100, 0),
        ([release("r", 1), charge("c", 100), release("r", 1)], "REFUSED POSTED POSTED", 99, 1),
        ([charge("c", 9), release("a", 5), release("b", 5), release("d", 4)], "POSTED POSTED REFUSED POSTED", 0, 9),
    ],
)
async def test_a_guard_refuses_the_guilty_entry_alone(
    db: Database, platform: PlatformId, batch: list[JournalEntry], expected: str, pending: int, payable: int
) -> None:
    assert await outcomes(db, platform, batch) == expected
    assert await balance(db, platform, PENDING) == pending
    assert await balance(db, platform, PAYABLE) == payable


async def test_a_guard_judges_the_whole_entry_whatever_the_order_of_its_postings(
    db: Database, platform: PlatformId
) -> None:
    postings = (Posting(PENDING, PAYABLE, 40), Posting(PSP, PENDING, 40))
    through = entry("through", *postings, kind="manual", source=Source("correction", SELLER))
    assert await outcomes(db, platform, [through]) == "POSTED"
    assert await balance(db, platform, PENDING) == 0


async def test_a_broken_guard_says_what_is_there(db: Database, platform: PlatformId) -> None:
    await outcomes(db, platform, [charge("c", 100)])
    async with db.write(platform) as scope:
        [result] = await post(scope, [release("r", 130)])
    assert result.entry_id is None
    assert isinstance(result.refusal, GuardBroken)
    assert (result.refusal.available_minor, result.refusal.short_minor, result.refusal.currency) == (100, 30, "EUR")
    assert (result.refusal.account, result.refusal.entry_key) == (PENDING, "r")


async def test_custody_may_not_go_below_zero_on_its_debit_side(db: Database, platform: PlatformId) -> None:
    available, in_transit = chart.custody_available(SELLER, "EUR"), chart.custody_in_transit(SELLER, "EUR")
    owed = chart.custody_owed(SELLER, "EUR")
    batch = [
        ("custody", Posting(available, owed, 50)),
        ("payout-created", Posting(in_transit, available, 51)),
        ("payout-created", Posting(in_transit, available, 50)),
        ("payout-paid", Posting(owed, in_transit, 50)),
        ("payout-paid", Posting(owed, in_transit, 50)),
    ]
    entries = [
        entry(f"{number}", posting, kind=kind, source=Source("payout", SELLER))
        for number, (kind, posting) in enumerate(batch)
    ]
    assert await outcomes(db, platform, entries) == "POSTED REFUSED POSTED POSTED REFUSED"


async def test_post_all_writes_all_or_nothing(db: Database, platform: PlatformId) -> None:
    async with db.write(platform) as scope:
        with pytest.raises(GuardBroken):
            await post_all(scope, [charge("c", 100), release("r", 200)])
    assert await balance(db, platform, PENDING) == 0
    async with db.write(platform) as scope:
        await post_all(scope, [charge("c", 100), release("r", 60), charge("c", 100)])
    assert await balance(db, platform, PAYABLE) == 60


async def test_a_refused_entry_opens_no_account(db: Database, platform: PlatformId) -> None:
    assert await outcomes(db, platform, [release("r", 1)]) == "REFUSED"
    async with db.read(platform) as scope:
        assert await accounts(scope) == []
        assert await entry_page(scope) == []


async def test_a_rolled_back_transaction_leaves_nothing(db: Database, platform: PlatformId) -> None:
    async def fails_after_posting() -> None:
        async with db.write(platform) as scope:
            await post_all(scope, [charge("c", 100)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fails_after_posting()
    assert await outcomes(db, platform, [charge("c", 70)]) == "POSTED"
    assert await balance(db, platform, PENDING) == 70


async def test_several_posts_in_one_transaction_follow_each_other(db: Database, platform: PlatformId) -> None:
    async with db.write(platform) as scope:
        await post_all(scope, [charge("c", 100)])
        await post_all(scope, [release("r", 100)])
        with pytest.raises(GuardBroken):
            await post_all(scope, [release("again", 1)])
    assert await balance(db, platform, PAYABLE) == 100


def test_turnover_has_a_limit_and_says_so() -> None:
    turnover = 2**63 - 100
    full = {
        (ref.code, ref.currency): OpenAccount(new_id(), ref, debits=turnover, credits=turnover)
        for ref in (PSP, PENDING)
    }
    books = Books(
        entries=0,
        postings=0,
        hash=GENESIS,
        recorded_at=NOON,
        closed_until=None,
        revision=0,
        accounts=full,
    )
    decision = decide([[charge("fits", 99)], [charge("full", 1)]], books, now=NOON)
    assert [result.outcome for result in decision.results] == ["POSTED", "REFUSED"]
    assert isinstance(decision.refusal, AccountFull)
    assert decision.refusal.account == PSP


async def test_both_times_and_the_reason_are_kept(db: Database, platform: PlatformId) -> None:
    reason = {"rule": "fee_1", "steps": [{"percent": "10", "of": 4999}, None, True], "größe": "€"}
    async with db.write(platform) as scope:
        [result] = await post(scope, [charge("c", 100, reason=reason)])
        recorded = scope.now
    assert result.entry_id is not None
    async with db.read(platform) as scope:
        stands = (await entries_by_ids(scope, [result.entry_id]))[result.entry_id]
    assert (stands.reason, stands.effective_at, stands.recorded_at) == (reason, NOON, recorded)


@pytest.mark.parametrize("amount", [0, -1, 10**15 + 1, True, 1.5])
def test_an_amount_is_a_positive_integer(amount: Any) -> None:
    with pytest.raises(ValueError, match="amount"):
        Posting(PSP, PENDING, amount)


def test_a_posting_stays_within_one_currency_and_joins_two_accounts() -> None:
    with pytest.raises(ValueError, match="one currency"):
        Posting(PSP, chart.seller_pending(SELLER, "USD"), 1)
    with pytest.raises(ValueError, match="two accounts"):
        Posting(PSP, PSP, 1)


def test_an_entry_holds_no_float_and_no_naive_time() -> None:
    with pytest.raises(ValueError, match="floats"):
        charge("c", 1, reason={"steps": [{"percent": 0.1}]})
    with pytest.raises(ValueError, match="time zone"):
        charge("c", 1, effective_at=NOON.replace(tzinfo=None))
    with pytest.raises(ValueError, match="postings"):
        entry("c")


@pytest.mark.parametrize(
    "beyond",
    [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), datetime(1969, 12, 31, tzinfo=UTC)],
)
def test_an_entry_has_times_that_the_database_and_python_both_know(beyond: datetime) -> None:
    """The driver writes the ends of Python's time as infinity, and no later time compares with that."""
    with pytest.raises(ValueError, match="lie from 1970 to 9998"):
        charge("c", 1, effective_at=beyond)
    with pytest.raises(ValueError, match="lie from 1970 to 9998"):
        charge("c", 1, phase=Phase.HELD, expires_at=beyond)


def test_an_entry_names_one_other_at_most() -> None:
    hold, other = new_id(), new_id()
    with pytest.raises(ValueError, match="not both"):
        entry("back", kind="hold-voided", phase=Phase.RELEASED, resolves=hold, reverses=other)
    with pytest.raises(ValueError, match="not both"):
        entry("both", Posting(PENDING, PSP, 1), kind="reversal", resolves=hold, reverses=other)


async def test_an_account_keeps_the_kind_it_was_opened_with(db: Database, platform: PlatformId) -> None:
    await outcomes(db, platform, [charge("c", 1)])
    async with db.write(platform) as scope:
        await scope.run(text("update ledger_account set kind = 'EQUITY' where code = :code"), {"code": PSP.code})
    with pytest.raises(ValueError, match="was opened as EQUITY"):
        await outcomes(db, platform, [charge("d", 1)])
