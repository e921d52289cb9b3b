"""The journal against its model: random stories told by two processes at once, through transactions and group commit.

After each step every account stands as the model's does; at the end the proof finds nothing.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from tests.ledger.model import Fact, Model, Move
from tests.ledger.moves import Operator, change, entry, seller

from marketbill import clock
from marketbill.db import Database
from marketbill.errors import Refusal
from marketbill.ids import PlatformId, new_id, public_id
from marketbill.ledger import chart, hold
from marketbill.ledger.accounts import accounts_by_refs
from marketbill.ledger.balances import balance_at
from marketbill.ledger.chart import Side
from marketbill.ledger.entry import IfClosed, JournalEntry, Phase, Posting, Result
from marketbill.ledger.group_commit import GroupCommit
from marketbill.ledger.journal import post, post_all
from marketbill.ledger.operations import account_terms, period
from marketbill.ledger.proof import check

DAY_ZERO = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)
LONG_AGO, FAR_AHEAD = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
REFS = [
    chart.psp_pending("EUR"),
    chart.platform_fee("EUR"),
    chart.account(chart.SELLER_RECEIVABLE, "EUR", UUID(int=1)),
    seller(1),
    seller(2),
]
BY_CODE = {ref.code: ref for ref in REFS}
CODES = list(BY_CODE)
SIDES = {ref.code: 1 if ref.side is Side.DEBIT else -1 for ref in REFS}
GUARDED = set(CODES[2:])

Answers = list[str]
Group = Sequence[JournalEntry]
Writer = Callable[[PlatformId, Sequence[Group]], Coroutine[Any, Any, list[Answers]]]

PLACES = st.integers(0, 30)
DAYS = st.integers(0, 9)
MOVES = st.lists(
    st.tuples(st.sampled_from(CODES), st.integers(1, len(CODES) - 1), st.integers(1, 20)).map(
        lambda drawn: (drawn[0], CODES[(CODES.index(drawn[0]) + drawn[1]) % len(CODES)], drawn[2])
    ),
    min_size=1,
    max_size=3,
).map(tuple)
PLAIN = st.tuples(MOVES, DAYS, st.booleans()).map(lambda drawn: Fact("", drawn[0], drawn[1], may_move=drawn[2]))
HOLDS = st.tuples(MOVES, DAYS, st.sampled_from([False, False, False, True])).map(
    lambda drawn: Fact("", drawn[0], drawn[1], "HELD", drawn[2])
)
FOURTHS = st.just([4, 4, 4]) | st.lists(st.integers(0, 5), min_size=3, max_size=3)
GROUPS = st.lists(st.lists(PLAIN | HOLDS, min_size=1, max_size=3), min_size=1, max_size=3)
WRITERS = st.integers(0, 3)


@dataclass
class Stage:
    """Two processes, each with its own connections, and the loop on which both run."""

    runner: asyncio.Runner
    operator: Operator
    db: Database
    writers: list[Writer]

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)


@pytest.fixture
def stage(database_url: str, admin_url: str) -> Iterator[Stage]:
    async def opened() -> Stage:
        operator = await stack.enter_async_context(Operator.of(admin_url))
        one, two = Database(database_url), Database(database_url)
        writers = [_by_group_commit(await stack.enter_async_context(GroupCommit(db))) for db in (one, two)]
        stack.push_async_callback(one.dispose)
        stack.push_async_callback(two.dispose)
        return Stage(runner, operator, one, [*writers, _in_transactions(one), _in_transactions(two)])

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield runner.run(opened())
        runner.run(stack.aclose())


class Story(RuleBasedStateMachine):
    """What may happen to a platform's books, step by step."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        self.platform = PlatformId(new_id())
        self.model = Model(SIDES, GUARDED)
        self.count = 0
        self.ids: dict[str, UUID] = {}
        self.marks: list[tuple[datetime, int]] = []

    @initialize()
    def opens_every_account(self) -> None:
        psp, fee, debt, ann, ben = CODES
        self._ask(0, [self._named(Fact("", ((psp, ann, 60), (psp, ben, 40), (debt, fee, 30)), 0))])

    @rule(groups=GROUPS, writer=WRITERS)
    def post(self, groups: list[list[Fact]], writer: int) -> None:
        self._ask(writer, *([self._named(fact) for fact in group] for group in groups))

    @rule(one=PLAIN | HOLDS, other=PLAIN | HOLDS, third=PLAIN, is_same=st.booleans())
    def race(self, one: Fact, other: Fact, third: Fact, is_same: bool) -> None:
        """Three at the same moment: the answers are those of some order."""
        facts = [self._named(one), self._named(third), self._named(other)]
        if is_same:
            facts[2] = facts[0]

        entries = [self._entry(fact) for fact in facts]

        async def together() -> list[list[Answers]]:
            return await asyncio.gather(
                *(write(self.platform, [[one]]) for write, one in zip(self.stage.writers, entries, strict=False))
            )

        answers = [answer for [[answer]] in self.stage.run(together())]
        for order in permutations(range(3)):
            model = deepcopy(self.model)
            told = {place: model.post(facts[place])[0] for place in order}
            if [told[place] for place in range(3)] == answers:
                self.model = model
                break
        else:
            raise AssertionError(f"no order explains {answers}")

    @rule(place=PLACES, is_changed=st.booleans(), writer=WRITERS)
    def ask_again(self, place: int, is_changed: bool, writer: int) -> None:
        fact = self._earlier(place)
        if is_changed and fact.moves:
            debit, credit, amount = fact.moves[0]
            fact = fact._replace(moves=((debit, credit, amount + 1), *fact.moves[1:]))
        self._ask(writer, [fact])

    @rule(moves=MOVES, writer=WRITERS)
    def hold(self, moves: tuple[Move, ...], writer: int) -> None:
        self._ask(writer, [self._named(Fact("", moves, 9, "HELD"))])

    @rule(place=PLACES, fourths=FOURTHS, writer=WRITERS, day=DAYS)
    def post_a_hold(self, place: int, fourths: list[int], writer: int, day: int) -> None:
        """A part of it or all, or more than was held."""
        hold = self._hold(place)
        parts = zip(hold.moves, fourths, strict=False)
        taken = tuple((debit, credit, amount * part // 4) for (debit, credit, amount), part in parts)
        taken = tuple(move for move in taken if move[2])
        if taken:
            self._ask(writer, [self._named(Fact("", taken, day, resolves=hold.key))])

    @rule(place=PLACES, times=st.sampled_from([1, 1, 2]), writer=WRITERS)
    def give_a_hold_back(self, place: int, times: int, writer: int) -> None:
        """Two linked entries cannot both."""
        resolving = Fact("", (), 9, "RELEASED", resolves=self._hold(place).key)
        self._ask(writer, [self._named(resolving) for _ in range(times)])

    @rule(place=PLACES, is_mirrored=st.booleans(), writer=WRITERS, day=DAYS)
    def reverse(self, place: int, is_mirrored: bool, writer: int, day: int) -> None:
        fact = self._earlier(place)
        mirrored = tuple((credit, debit, amount) for debit, credit, amount in fact.moves)
        moves = mirrored if is_mirrored else fact.moves
        if moves:
            self._ask(writer, [self._named(Fact("", moves, day, reverses=fact.key))])

    @rule(code=st.sampled_from(CODES), is_closing=st.booleans())
    def change_the_state_of_an_account(self, code: str, is_closing: bool) -> None:
        state = self.model.states.get(code, "OPEN")
        if state == "CLOSED":
            return
        if is_closing and not any((self.model.net(code), *self.model.pending(code))):
            act, became = account_terms.close, "CLOSED"
        elif state == "OPEN":
            act, became = account_terms.freeze, "FROZEN"
        else:
            act, became = account_terms.unfreeze, "OPEN"
        self.stage.run(change(self.stage.db, self.platform, BY_CODE[code], act))
        self.model.states[code] = became

    @rule(code=st.sampled_from(CODES), room=st.none() | st.integers(0, 30))
    def set_a_ceiling(self, code: str, room: int | None) -> None:
        debits, credits = self.model.pending(code)
        expected = SIDES[code] * self.model.net(code) + (debits if SIDES[code] > 0 else credits)
        ceiling = None if room is None else max(expected, 0) + room
        if ceiling != self.model.ceilings.get(code) and self.model.states.get(code) != "CLOSED":
            self.stage.run(change(self.stage.db, self.platform, BY_CODE[code], account_terms.set_ceiling, ceiling))
            self.model.ceilings[code] = ceiling

    @rule(day=DAYS)
    def close_a_period(self, day: int) -> None:
        async def close() -> None:
            async with self.stage.db.write(self.platform) as scope:
                await period.close(scope, until=_instant(day), by="key_1")

        if day > self.model.closed_until:
            self.stage.run(close())
            self.model.closed_until = day

    @rule()
    def give_back_what_has_expired(self) -> None:
        due = [fact for fact in self.model.facts if fact.is_expired and self.model.is_open(fact)]
        assert self.stage.run(hold.expire_due(self.stage.db, self.platform)) == len(due)
        for fact in due:
            key = f"hold-expired:{public_id('journal entry', self._id(fact.key))}"
            self.model.post(Fact(key, (), 0, "RELEASED", resolves=fact.key))

    @rule()
    def remember_this_moment(self) -> None:
        self.marks.append((clock.now(), len(self.model.facts)))

    @rule(day=st.none() | DAYS, place=st.none() | PLACES)
    def ask_for_balances_of_another_time(self, day: int | None, place: int | None) -> None:
        known_at, known = self.marks[place % len(self.marks)] if place is not None and self.marks else (None, None)
        expected = {
            code: SIDES[code] * self.model.net(code, day=10**6 if day is None else day, known=known) for code in CODES
        }
        assert self.stage.run(self._balances_at(None if day is None else _instant(day), known_at)) == expected

    @invariant()
    def every_account_stands_as_the_models(self) -> None:
        holding = self.stage.run(self.stage.operator.holding(self.platform))
        expected = {(code, "EUR"): (self.model.net(code), *self.model.pending(code)) for code in CODES}
        assert holding == (expected if self.model.facts else {})

    def teardown(self) -> None:
        assert self.stage.run(self._findings()) == []
        keys = self.stage.run(self.stage.operator.keys(self.platform))
        assert sorted(keys) == sorted(fact.key for fact in self.model.facts)

    def _ask(self, writer: int, *groups: Sequence[Fact]) -> None:
        entries = [[self._entry(fact) for fact in group] for group in groups]
        expected = [self.model.post(*group) for group in groups]
        assert self.stage.run(self.stage.writers[writer](self.platform, entries)) == expected

    def _named(self, fact: Fact) -> Fact:
        self.count += 1
        return fact._replace(key=f"{self.count}")

    def _hold(self, place: int) -> Fact:
        """One that is open, if there is any; made when there is none at all."""
        holds = [fact for fact in self.model.facts if fact.phase == "HELD"]
        if not holds:
            self.hold(((CODES[0], CODES[3], 8),), 0)
            return self._earlier(place)
        still_open = [hold for hold in holds if self.model.is_open(hold)] or holds
        return still_open[place % len(still_open)]

    def _earlier(self, place: int) -> Fact:
        return self.model.facts[place % len(self.model.facts)]

    def _entry(self, fact: Fact) -> JournalEntry:
        phase = Phase(fact.phase)
        ends = (LONG_AGO if fact.is_expired else FAR_AHEAD) if phase is Phase.HELD else None
        given_back = "hold-expired" if fact.key.startswith("hold-expired") else "hold-voided"
        kind = "reversal" if fact.reverses else given_back if phase is Phase.RELEASED else "manual"
        return entry(
            fact.key,
            *(Posting(BY_CODE[debit], BY_CODE[credit], amount) for debit, credit, amount in fact.moves),
            kind=kind,
            effective_at=_instant(fact.day),
            phase=phase,
            expires_at=ends,
            resolves=None if fact.resolves is None else self._id(fact.resolves),
            reverses=None if fact.reverses is None else self._id(fact.reverses),
            if_closed=IfClosed.MOVE if fact.may_move else IfClosed.REFUSE,
        )

    def _id(self, key: str) -> UUID:
        return self.stage.run(self.stage.operator.entry_id(self.platform, key))

    async def _balances_at(self, at: datetime | None, known_at: datetime | None) -> dict[str, int]:
        async with self.stage.db.read(self.platform) as scope:
            found = {ref.code: account.id for ref, account in (await accounts_by_refs(scope, REFS)).items()}
            held = await balance_at(scope, found.values(), at, known_at=known_at)
        return {code: held[id] for code, id in found.items()}

    async def _findings(self) -> list[Any]:
        async with self.stage.db.read(self.platform) as scope:
            return await check(scope)


def test_the_books_stand_as_the_models_after_every_step(stage: Stage) -> None:
    run_state_machine_as_test(lambda: Story(stage), settings=settings(max_examples=40, stateful_step_count=30))


def _instant(day: int) -> datetime:
    return DAY_ZERO + timedelta(days=day)


def _by_group_commit(books: GroupCommit) -> Writer:
    async def write(platform: PlatformId, groups: Sequence[Group]) -> list[Answers]:
        results = await asyncio.gather(*(books.submit_linked(platform, group) for group in groups))
        return [list(map(_told, group)) for group in results]

    return write


def _in_transactions(db: Database) -> Writer:
    async def write(platform: PlatformId, groups: Sequence[Group]) -> list[Answers]:
        if all(len(group) == 1 for group in groups):
            async with db.write(platform) as scope:
                return [[_told(result)] for result in await post(scope, [group[0] for group in groups])]
        return [await write_linked(platform, group) for group in groups]

    async def write_linked(platform: PlatformId, group: Group) -> Answers:
        try:
            async with db.write(platform) as scope:
                await post_all(scope, group)
        except Refusal as refusal:
            refused = vars(refusal)["entry_key"]
            return [type(refusal).__name__ if entry.key == refused else "LinkRefused" for entry in group]
        return ["POSTED" for _ in group]  # every linked group of the stories has keys of its own

    return write


def _told(result: Result) -> str:
    return str(result.outcome) if result.refusal is None else type(result.refusal).__name__
