"""The ledger in sixty lines: a list of facts, everything else added up from it anew. Slow, short, and plainly right."""

from dataclasses import dataclass, field
from typing import NamedTuple

Move = tuple[str, str, int]
"""Debit, credit, amount."""


class Fact(NamedTuple):
    """What is asked of the journal, and once it stands, what it holds; days stand for instants."""

    key: str
    moves: tuple[Move, ...]
    day: int
    phase: str = "POSTED"
    is_expired: bool = False
    resolves: str | None = None
    reverses: str | None = None
    may_move: bool = True

    def body(self) -> object:
        return sorted(self.moves), self.phase, self.resolves, self.reverses


@dataclass
class Model:
    """`sides` says of each account on which side it grows (1 debit, -1 credit); `guarded` may not go below zero."""

    sides: dict[str, int]
    guarded: set[str]
    facts: list[Fact] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    ceilings: dict[str, int | None] = field(default_factory=dict)
    closed_until: int = -1

    def post(self, *group: Fact) -> list[str]:
        """The answers to facts that stand or fall together."""
        before, answers = list(self.facts), [self._judge(fact) for fact in group]
        bad = next((place for place, answer in enumerate(answers) if answer not in ("POSTED", "REPLAYED")), None)
        if bad is None:
            return answers
        self.facts = before
        return [answers[bad] if place == bad else "LinkRefused" for place in range(len(group))]

    def _judge(self, fact: Fact) -> str:
        earlier = self.find(fact.key)
        if earlier is not None:
            return "REPLAYED" if earlier.body() == fact.body() else "EntryConflict"
        if fact.day < self.closed_until:
            if not fact.may_move:
                return "PeriodClosed"
            fact = fact._replace(day=self.closed_until)
        refusal = self._of_hold(fact) or self._of_reversed(fact)
        self.facts.append(fact)
        for code in dict.fromkeys(code for move in fact.moves for code in move[:2]):
            refusal = refusal or self._of_account(code)
        return refusal or "POSTED"

    def _of_hold(self, fact: Fact) -> str | None:
        hold = self.find(fact.resolves)
        if hold is None:
            return None
        if hold.phase != "HELD" or not self.is_open(hold) or (hold.is_expired and fact.phase == "POSTED"):
            return "HoldNotOpen"
        pairs = {move[:2] for move in fact.moves}
        is_more = any(_between(fact.moves, pair) > _between(hold.moves, pair) for pair in pairs)
        return "HoldExceeded" if is_more else None

    def _of_reversed(self, fact: Fact) -> str | None:
        original = self.find(fact.reverses)
        if original is None:
            return None
        mirrored = sorted((credit, debit, amount) for debit, credit, amount in original.moves)
        is_good = original.phase == "POSTED" and self.is_open(original) and mirrored == sorted(fact.moves)
        return None if is_good else "NotReversible"

    def _of_account(self, code: str) -> str | None:
        side, (debits, credits) = self.sides[code], self.pending(code)
        balance, going, coming = side * self.net(code), *((credits, debits) if side > 0 else (debits, credits))
        if self.states.get(code, "OPEN") != "OPEN":
            return "AccountNotOpen"
        if code in self.guarded and balance - going < 0:
            return "GuardBroken"
        ceiling = self.ceilings.get(code)
        return "CeilingBroken" if ceiling is not None and balance + coming > ceiling else None

    def find(self, key: str | None) -> Fact | None:
        return next((fact for fact in self.facts if fact.key == key), None)

    def is_open(self, fact: Fact) -> bool:
        """Whether no other has resolved or reversed it."""
        return all(fact.key not in (other.resolves, other.reverses) for other in self.facts)

    def net(self, code: str, *, day: int = 10**6, known: int | None = None) -> int:
        """Net debits of what is effective by `day`, as the first `known` facts tell."""
        posted = [fact for fact in self.facts[:known] if fact.phase == "POSTED" and fact.day <= day]
        return sum(_net(fact.moves, code) for fact in posted)

    def pending(self, code: str) -> tuple[int, int]:
        """Debits and credits that open holds would bring."""
        moves = [move for fact in self.facts if fact.phase == "HELD" and self.is_open(fact) for move in fact.moves]
        return sum(m[2] for m in moves if m[0] == code), sum(m[2] for m in moves if m[1] == code)


def _net(moves: tuple[Move, ...], code: str) -> int:
    return sum(amount * ((debit == code) - (credit == code)) for debit, credit, amount in moves)


def _between(moves: tuple[Move, ...], pair: tuple[str, str]) -> int:
    return sum(amount for debit, credit, amount in moves if (debit, credit) == pair)
