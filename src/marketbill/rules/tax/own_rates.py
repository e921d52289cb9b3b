"""A platform's own rates: entered one after another, never edited; what stands of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from marketbill.rules.tax.rate_row import RateRow


@dataclass(frozen=True, slots=True)
class OwnRate:
    """A row as a platform entered it; `replaces` is the id of an own row that it takes the place of."""

    id: str
    row: RateRow
    replaces: str | None = None


def standing(entered: Iterable[OwnRate]) -> list[OwnRate]:
    """The rows that stand: those that none replaces, and an open one ends where the next of its subject begins.

    What overlaps all the same is left to `check_rows` to refuse.
    """
    rows = list(entered)
    replaced = {one.replaces for one in rows}
    timelines: dict[tuple[str, str], list[OwnRate]] = {}
    for one in rows:
        if one.id not in replaced:
            timelines.setdefault((one.row.jurisdiction, one.row.subject), []).append(one)
    return [one for timeline in timelines.values() for one in _closed(timeline)]


def _closed(timeline: Sequence[OwnRate]) -> list[OwnRate]:
    ordered = sorted(timeline, key=lambda one: one.row.valid_from)
    found: list[OwnRate] = []
    for index, one in enumerate(ordered):
        after = ordered[index + 1].row if index + 1 < len(ordered) else None
        # A temporary rate inside an open one would leave unsaid what holds after it: those two overlap.
        ends = one.row.valid_to is None and after is not None and after.valid_to is None
        if ends and after is not None and after.valid_from > one.row.valid_from:
            one = replace(one, row=replace(one.row, valid_to=after.valid_from))
        found.append(one)
    return found
