"""Hundreds of callers in a storm: cancelled at random, over connections that break, others standing in the way.

What each was answered is kept. When the storm is over, whoever got no answer asks again under the same key, and then
the books hold what was acknowledged, to the cent, and nothing else.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import asyncpg
import pytest
from tests.ledger.moves import FEE, PSP, Operator, entry, sale, seller, spend

from marketbill.db import Database
from marketbill.errors import Unavailable
from marketbill.ids import PlatformId, new_id
from marketbill.ledger.chart import AccountRef
from marketbill.ledger.entry import JournalEntry, Posting, Result
from marketbill.ledger.group_commit import GroupCommit, LedgerBusy
from marketbill.ledger.journal import post
from marketbill.ledger.proof import check

CALLERS = 300
ENTRIES_EACH = 4
SELLERS = 4
#: Answers between one blow and the next.
CALM = 15

Key = tuple[PlatformId, str]


@dataclass
class Storm:
    """The callers' own records, and the blows that fall on them."""

    chance: random.Random
    answers: dict[Key, Result] = field(default_factory=dict)
    asked: dict[Key, JournalEntry] = field(default_factory=dict)
    linked: list[tuple[Key, Key]] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    blow: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, what: str) -> None:
        self.seen[what] += 1
        if self.seen.total() % CALM == 0:
            self.blow.set()

    def keep(self, key: Key, result: Result) -> None:
        """An answer stands: a second one tells the same."""
        earlier = self.answers.setdefault(key, result)
        assert earlier.entry_id == result.entry_id, (earlier, result)
        self.note(str(result.outcome))

    def waiting(self) -> Iterator[Key]:
        return (key for key in self.asked if key not in self.answers)


@pytest.fixture
async def operator(admin_url: str) -> AsyncIterator[Operator]:
    async with Operator.of(admin_url) as one:
        # A deadlock is seen at once, and one write in eighty clashes with another that nobody sees.
        name = await one.sql.fetchval("select current_database()")
        await one.sql.execute(
            f"alter database {name} set deadlock_timeout = '10ms';"
            "create function clash() returns trigger language plpgsql as $$ begin"
            " if random() < 0.0125 then raise exception 'a clash' using errcode = '40001'; end if; return new; end $$;"
            "create trigger clash before update on ledger_head for each row execute function clash()"
        )
        yield one


@pytest.mark.parametrize("seed", [1, 2])
async def test_what_was_acknowledged_stands_to_the_cent(
    database_url: str, admin_url: str, operator: Operator, seed: int
) -> None:
    storm = Storm(random.Random(seed))
    platforms = sorted(PlatformId(new_id()) for _ in range(3))
    sellers = [seller() for _ in range(SELLERS)]
    one, two = Database(database_url), Database(database_url)
    async with GroupCommit(one) as first, GroupCommit(two) as second:
        blows = [
            asyncio.create_task(_end_connections(storm, operator)),
            asyncio.create_task(_stand_in_the_way(storm, admin_url, platforms)),
        ]
        callers = [
            asyncio.create_task(_call(storm, number, platforms, sellers, storm.chance.choice([first, second]), one))
            for number in range(CALLERS)
        ]
        cancelling = asyncio.create_task(_cancel(storm, callers))
        await asyncio.gather(*callers, return_exceptions=True)
        for task in (*blows, cancelling):
            task.cancel()
        await asyncio.gather(*blows, cancelling, return_exceptions=True)
        await operator.sql.execute("drop trigger clash on ledger_head")
        for caller in callers:
            if not caller.cancelled():
                caller.result()
        await _ask_again(storm, second)
    assert min(storm.seen[blow] for blow in ("connection ended", "cancelled", "Unavailable", "REFUSED")) > 0
    assert not list(storm.waiting())
    for platform in platforms:
        standing = {key for (of, key), answer in storm.answers.items() if of == platform and answer.entry_id}
        keys = await operator.keys(platform)
        assert sorted(keys) == sorted(standing)
        expected: Counter[str] = Counter()
        for key in keys:
            for posting in storm.asked[platform, key].postings:
                expected[posting.debit.code] += posting.amount
                expected[posting.credit.code] -= posting.amount
        holding = {code: net for (code, _), (net, _, _) in (await operator.holding(platform)).items()}
        assert holding == {code: expected[code] for code in holding}
        assert all(holding[ref.code] <= 0 for ref in sellers if ref.code in holding)
        async with one.read(platform) as scope:
            assert await check(scope) == []
    for pair in storm.linked:
        assert len({storm.answers[key].entry_id is None for key in pair}) == 1
    await one.dispose()
    await two.dispose()


async def _call(
    storm: Storm, number: int, platforms: list[PlatformId], sellers: list[AccountRef], books: GroupCommit, db: Database
) -> None:
    chance = random.Random(storm.chance.random())
    for turn in range(ENTRIES_EACH):
        platform, of = chance.choice(platforms), chance.choice(sellers)
        name = f"{number}-{turn}"
        way = chance.randrange(10)
        if way < 2:
            wanted = [sale(name, of, chance.randint(1, 6))]
        elif way < 7:
            wanted = [spend(name, of, chance.randint(1, 5))]
        elif way < 9:
            other = chance.choice(sellers)
            wanted = [sale(f"{name}a", other, 2), entry(f"{name}b", Posting(other, FEE, 2), Posting(of, PSP, 1))]
            storm.linked.append(((platform, wanted[0].key), (platform, wanted[1].key)))
        else:
            wanted = [sale(name, of, 1)]
        storm.asked |= {(platform, one.key): one for one in wanted}
        try:
            if way == 9:
                async with db.write(platform) as scope:
                    results = await post(scope, wanted)
            elif len(wanted) == 1:
                results = [await books.submit(platform, wanted[0])]
            else:
                results = await books.submit_linked(platform, wanted)
        except (LedgerBusy, Unavailable) as error:
            storm.note(type(error).__name__)
            continue
        for one, result in zip(wanted, results, strict=True):
            storm.keep((platform, one.key), result)


async def _ask_again(storm: Storm, books: GroupCommit) -> None:
    """Whoever has no answer asks under the same key; linked entries together, as before."""
    pairs = dict(storm.linked)
    seconds = set(pairs.values())

    async def ask(key: Key) -> None:
        group = [key, pairs[key]] if key in pairs else [key]
        while True:
            with suppress(Unavailable):
                results = await books.submit_linked(key[0], [storm.asked[one] for one in group])
                break
        for one, result in zip(group, results, strict=True):
            storm.keep(one, result)

    await asyncio.gather(*(ask(key) for key in list(storm.waiting()) if key not in seconds))


async def _cancel(storm: Storm, callers: list[asyncio.Task[None]]) -> None:
    """A client that goes away, now and then: while its entry waits, or is being written."""
    for caller in storm.chance.sample(callers, CALLERS // 5):
        await _next(storm)
        if caller.cancel():
            storm.note("cancelled")


async def _end_connections(storm: Storm, operator: Operator) -> None:
    while True:
        await _next(storm)
        if await operator.end_one_connection():
            storm.note("connection ended")


async def _stand_in_the_way(storm: Storm, url: str, platforms: list[PlatformId]) -> None:
    """Locks the ends of two chains in the order opposite to everybody's."""
    connection = await asyncpg.connect(url, server_settings={"application_name": "in the way"})
    try:
        while True:
            await _next(storm)
            try:
                async with connection.transaction():
                    for platform in reversed(platforms):
                        await connection.execute("select from ledger_head where platform_id = $1 for update", platform)
            except asyncpg.DeadlockDetectedError:
                storm.note("deadlock")
    finally:
        await connection.close()


async def _next(storm: Storm) -> None:
    await storm.blow.wait()
    storm.blow.clear()
