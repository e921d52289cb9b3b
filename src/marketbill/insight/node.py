"""A tree of amounts, each with what it was made of."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from marketbill.rules.explanation import Rounding


@dataclass(frozen=True, slots=True)
class Node:
    """One amount, or one fact about it, and below it what it was made of.

    `amount` is minor units of `currency`. `formula` is the stored arithmetic over minor units and percentages, `exact`
    its result before `rounding`, as a fraction; `got_remainder` marks a share that was rounded up. `rule` is the id of
    the rule that asks for the amount, `source` the law or the provider's object that says so, `evidence` the facts that
    decided. `reference` is the public id of the object itself, `note` a sentence.
    """

    label: str
    amount: int | None = None
    currency: str | None = None
    formula: str | None = None
    exact: str | None = None
    rounding: Rounding | None = None
    got_remainder: bool = False
    rule: str | None = None
    source: str | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)
    reference: str | None = None
    note: str | None = None
    children: tuple["Node", ...] = ()

    def walk(self, parent: int | None = None, start: int = 0) -> Iterator[tuple[int, int | None, "Node"]]:
        """Every node from the top down, with its place and its parent's."""
        yield start, parent, self
        place = start + 1
        for child in self.children:
            for item in child.walk(start, place):
                yield item
                place += 1
