"""Our journal beside the worked one: step by step, posting by posting."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from marketbill.ledger import worked_journal
from marketbill.ledger.worked_journal import Step

Postings = tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """A step of the worked journal and the entry that stands for it; either may be missing."""

    step: Step | None
    kind: str
    ours: Postings

    @property
    def equal(self) -> bool:
        return self.step is not None and sorted(self.step.postings) == sorted(self.ours)


def compare(entries: Iterable[Mapping[str, Any]], names: Mapping[str, str]) -> list[Compared]:
    """Every step with its entry, in the story's order; then the entries that no step stands for.

    `entries` are the API's; `names` are the story's names of sellers and disputes by their public ids.
    """
    left = [(entry["kind"], _postings(entry, names)) for entry in entries]
    compared: list[Compared] = []
    for step in worked_journal.STORY:
        alike = [ours for kind, ours in left if kind == step.kind]
        same = next((ours for ours in alike if sorted(ours) == sorted(step.postings)), None)
        ours = same if same is not None else next(iter(alike), ())
        if ours:
            left.remove((step.kind, ours))
        compared.append(Compared(step, step.kind, ours))
    return compared + [Compared(None, kind, ours) for kind, ours in left]


def comparison_table(compared: Sequence[Compared]) -> Table:
    """The worked journal on the left, ours on the right."""
    table = Table(title="The worked journal, and ours (cents)", title_justify="left", title_style="bold")
    for column in ("step", "entry", "debit", "credit"):
        table.add_column(column, overflow="fold")
    table.add_column("worked", justify="right")
    table.add_column("ours", justify="right")
    table.add_column("", justify="center")
    for one in compared:
        worked = {(debit, credit): amount for debit, credit, amount in one.step.postings} if one.step else {}
        ours = {(debit, credit): amount for debit, credit, amount in one.ours}
        for place, (debit, credit) in enumerate(dict.fromkeys([*worked, *ours])):
            expected, found = worked.get((debit, credit)), ours.get((debit, credit))
            mark = Text("=", style="green") if expected == found else Text("DIFFERS", style="red")
            first = (one.step.name if one.step else "", one.kind) if place == 0 else ("", "")
            table.add_row(*first, debit, credit, _cents(expected), _cents(found), mark)
    return table


def balances(compared: Iterable[Compared]) -> dict[str, int]:
    """What our postings leave on each account, as net debits in cents."""
    held: dict[str, int] = {}
    for one in compared:
        for debit, credit, amount in one.ours:
            held[debit] = held.get(debit, 0) + amount
            held[credit] = held.get(credit, 0) - amount
    return held


def balance_table(ours: Mapping[str, int]) -> Table:
    """The end balances of both; accounts that are empty in both are left out."""
    table = Table(title="End balances (cents, debits positive)", title_justify="left", title_style="bold")
    table.add_column("account", overflow="fold")
    table.add_column("worked", justify="right")
    table.add_column("ours", justify="right")
    worked = worked_journal.end_balances()
    for code in sorted({*worked, *ours}):
        if worked.get(code, 0) or ours.get(code, 0):
            table.add_row(code, str(worked.get(code, 0)), str(ours.get(code, 0)))
    return table


def _postings(entry: Mapping[str, Any], names: Mapping[str, str]) -> Postings:
    return tuple(
        (_named(one["debit"]["code"], names), _named(one["credit"]["code"], names), int(one["amount"]["minor"]))
        for one in entry["postings"]
    )


def _named(code: str, names: Mapping[str, str]) -> str:
    return ":".join(names.get(part, part) for part in code.split(":"))


def _cents(amount: int | None) -> str:
    return "" if amount is None else str(amount)
