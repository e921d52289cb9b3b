"""Amounts that lines share by largest remainder, given out again: who was due the remainder, and nothing is left."""

from collections.abc import Callable, Iterable, Sequence

from marketbill.rules.allocation import allocate
from marketbill.rules.proof.finding import Finding, Flaw
from marketbill.rules.proof.steps import SharedStep

#: The names of a tax that the amounts of a seller share: it is rounded once for all of them.
_TAXES = frozenset({"tax", "goods_tax", "shipping_tax"})
#: What may divide the lines that share amounts of one size under one rule: nothing, their seller, their family.
_GROUPINGS: tuple[Callable[[SharedStep], str], ...] = (
    lambda _: "",
    lambda step: step.seller_id,
    lambda step: f"{step.seller_id} {step.family}",
)


def recompute_shares(steps: Iterable[SharedStep]) -> Iterable[Finding]:
    """Each amount shared out over its lines once more; a finding names the line that has another share."""
    alike: dict[tuple[str, str, int, int], list[SharedStep]] = {}
    for step in steps:
        name = "tax" if step.name in _TAXES else step.name
        alike.setdefault((name, step.rule, step.total, step.weight_sum), []).append(step)
    for group in alike.values():
        yield from _recompute_group(group)


def _recompute_group(steps: Sequence[SharedStep]) -> Iterable[Finding]:
    for grouping in _GROUPINGS:
        groups: dict[str, list[SharedStep]] = {}
        for step in steps:
            groups.setdefault(grouping(step), []).append(step)
        if all(_is_whole(group) for group in groups.values()):
            for group in groups.values():
                yield from _share_again(group)
            return
    weights = sum(step.weight for step in steps)
    for step in steps:
        yield Finding(Flaw.SHARE, step.subject, step.name, f"{step.weight_sum} (weights)", str(weights))


def _is_whole(steps: Sequence[SharedStep]) -> bool:
    weights = sum(step.weight for step in steps)
    # No tax that is shared over nothing is written as shared over 1.
    return weights == steps[0].weight_sum or (not weights and steps[0].name in _TAXES)


def _share_again(steps: Sequence[SharedStep]) -> Iterable[Finding]:
    # Remainders that tie go by line, and within a line by the order of its steps: its goods before its shipping.
    weights = {f"{step.line_id}\x00{step.place:04d}": step.weight for step in steps}
    shares = allocate(steps[0].total, weights)
    for step, share in zip(steps, shares.values(), strict=True):
        if step.amount != share:
            yield Finding(Flaw.SHARE, step.subject, step.name, str(step.amount), str(share))
