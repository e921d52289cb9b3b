"""Group commit: everybody gets an answer of his own, and nobody pays for his neighbour."""

import asyncio

import pytest
from tests.ledger.moves import FEE, PSP, Operator, entry, outcomes, sale, seller, spend

from marketbill.db import Database
from marketbill.ids import PlatformId, new_id
from marketbill.ledger import group_commit
from marketbill.ledger.entry import Outcome, Posting
from marketbill.ledger.group_commit import GroupCommit
from marketbill.ledger.refusal import EntryConflict, GuardBroken, LinkRefused


async def test_every_entry_gets_its_own_answer(books: GroupCommit, platform: PlatformId, operator: Operator) -> None:
    poor, rich = seller(), seller()
    first = sale("first", rich, 100)
    results = await asyncio.gather(
        books.submit(platform, first),
        books.submit(platform, spend("too much", poor, 1)),
        books.submit(platform, sale("second", poor, 5)),
        books.submit(platform, first),
        books.submit(platform, sale("first", rich, 101)),
        books.submit(platform, spend("enough", rich, 100)),
    )
    assert outcomes(results) == ["POSTED", "REFUSED", "POSTED", "REPLAYED", "CONFLICT", "POSTED"]
    refusal, conflict = results[1].refusal, results[4].refusal
    assert isinstance(refusal, GuardBroken)
    assert (refusal.account, refusal.short_minor, refusal.entry_key) == (poor, 1, "too much")
    assert isinstance(conflict, EntryConflict)
    assert conflict.entry_id == results[0].entry_id == results[3].entry_id
    assert await operator.keys(platform) == ["first", "second", "enough"]
    assert (await operator.owed(platform, poor), await operator.owed(platform, rich)) == (5, 0)


async def test_a_lone_entry_goes_at_once_in_one_round_trip(
    db: Database, platform: PlatformId, statements: list[str]
) -> None:
    to = seller()
    async with GroupCommit(db, lanes=1) as books:
        await books.submit(platform, sale("opens the accounts", to))
        await books.submit(platform, sale("prepares the statement", to))
        statements.clear()
        for number in range(3):
            await books.submit(platform, sale(f"sale-{number}", to))
    assert len(statements) == 3
    assert all(statement.startswith("select ledger_write(") for statement in statements)


async def test_a_refusal_is_decided_under_the_lock(db: Database, platform: PlatformId, statements: list[str]) -> None:
    to = seller()
    async with GroupCommit(db, lanes=1) as books:
        await books.submit(platform, sale("sale", to, 10))
        statements.clear()
        assert (await books.submit(platform, spend("too much", to, 11))).outcome is Outcome.REFUSED
    assert [statement.split("(")[0] for statement in statements] == ["begin", "select * from ledger_read", "commit"]


async def test_callers_of_one_moment_share_their_round_trips(
    db: Database, statements: list[str], operator: Operator
) -> None:
    platforms = [PlatformId(new_id()) for _ in range(5)]
    to = seller()
    async with GroupCommit(db, lanes=1) as books:
        for name in ("opens the accounts", "prepares the statement"):
            await asyncio.gather(*(books.submit(platform, sale(name, to, 50)) for platform in platforms))
        statements.clear()
        results = await asyncio.gather(
            *(books.submit(platform, sale(f"sale-{n}", to, 1)) for n in range(20) for platform in platforms)
        )
    assert outcomes(results) == ["POSTED"] * 100
    assert len(statements) <= 2
    assert [await operator.owed(platform, to) for platform in platforms] == [120] * 5


async def test_linked_entries_stand_or_fall_together(
    books: GroupCommit, platform: PlatformId, operator: Operator
) -> None:
    to, poor = seller(), seller()
    good, fallen, alone = await asyncio.gather(
        books.submit_linked(platform, [sale("a", to, 10), spend("b", to, 10)]),
        books.submit_linked(platform, [sale("c", to, 10), spend("d", poor, 1), sale("e", poor, 9)]),
        books.submit(platform, sale("f", to, 1)),
    )
    assert outcomes(good) == ["POSTED", "POSTED"]
    assert outcomes(fallen) == ["REFUSED", "REFUSED", "REFUSED"]
    assert [type(result.refusal) for result in fallen] == [LinkRefused, GuardBroken, LinkRefused]
    assert alone.outcome is Outcome.POSTED
    again = await books.submit_linked(platform, [sale("a", to, 10), spend("g", to, 1)])
    assert outcomes(again) == ["REPLAYED", "POSTED"]
    assert await operator.keys(platform) == ["a", "b", "f", "g"]


async def test_an_entry_that_the_database_cannot_take_fails_alone(
    books: GroupCommit, platform: PlatformId, operator: Operator
) -> None:
    to, other = seller(), PlatformId(new_id())
    await operator.sql.execute(
        "create function poison() returns trigger language plpgsql as"
        " $$ begin raise exception 'a defect' using errcode = 'XX001'; end $$;"
        "create trigger poison before insert on journal_entry for each row when (new.key = 'poison')"
        " execute function poison()"
    )
    await books.submit(platform, sale("opens", to))
    asked = [(platform, sale(f"{n}", to, 1)) for n in range(9)] + [(other, sale(f"{n}", to, 1)) for n in range(3)]
    asked.insert(5, (platform, sale("poison", to, 1)))
    answers = await asyncio.gather(*(books.submit(*one) for one in asked), return_exceptions=True)

    defect = answers.pop(5)
    assert isinstance(defect, Exception)
    assert "a defect" in str(defect)
    assert outcomes(answers) == ["POSTED"] * 12  # pyright: ignore
    assert await operator.keys(platform) == ["opens", *map(str, range(9))]
    assert await operator.keys(other) == ["0", "1", "2"]


async def test_postings_of_one_entry_may_touch_many_accounts(
    books: GroupCommit, platform: PlatformId, operator: Operator
) -> None:
    sellers = [seller() for _ in range(50)]
    many = entry("many", *(Posting(PSP, to, 10) for to in sellers), *(Posting(to, FEE, 1) for to in sellers))
    assert (await books.submit(platform, many)).outcome is Outcome.POSTED
    holding = await operator.holding(platform)
    assert [holding[to.code, "EUR"][0] for to in sellers] == [-9] * 50
    assert holding[PSP.code, "EUR"][0] == 500


async def test_entries_of_many_postings_go_in_smaller_batches(
    db: Database, platform: PlatformId, operator: Operator, monkeypatch: pytest.MonkeyPatch, statements: list[str]
) -> None:
    monkeypatch.setattr(group_commit, "BATCH_POSTINGS_MAX", 4)
    to = seller()
    async with GroupCommit(db, lanes=1) as books:
        await books.submit(platform, sale("opens the accounts", to))
        statements.clear()
        sizes = (3, 1, 1, 9, 1)
        wide = [entry(f"wide-{place}", *[Posting(PSP, to, 1)] * size) for place, size in enumerate(sizes)]
        results = await asyncio.gather(*(books.submit(platform, one) for one in wide))
    assert outcomes(results) == ["POSTED"] * 5
    assert await operator.owed(platform, to) == 115
    assert sum(statement.startswith("select ledger_write(") for statement in statements) == 4
