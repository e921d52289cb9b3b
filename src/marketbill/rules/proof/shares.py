"""Amounts that lines share by largest remainder, given out again: who was due the remainder, and nothing is left."""

from collections.abc import Callable, Iterable, Sequence

from marketbill.rules.allocation import allocate
from marketbill.rules.proof.finding import Finding, Flaw
from marketbill.rules.proof.steps import SharedStep

#: What may divide the lines that share amounts of one size under one rule: nothing, their seller.
_GROUPINGS: tuple[Callable[[SharedStep], str], ...] = (lambda _: "", lambda step: step.seller_id)


def recompute_shares(steps: Iterable[SharedStep]) -> Iterable[Finding]:
    """Each amount shared out over its lines once more; a finding names the line that has another share."""
    alike: dict[tuple[str, str, int, int], list[SharedStep]] = {}
    for step in steps:
        alike.setdefault((step.name, step.rule, step.total, step.weight_sum), []).append(step)
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
    for step in steps:
        weights = sum(other.weight for other in steps)
        yield Finding(Flaw.SHARE, step.subject, step.name, f"{step.weight_sum} (weights)", str(weights))


def _is_whole(steps: Sequence[SharedStep]) -> bool:
    lines = {step.line_id for step in steps}
    return len(lines) == len(steps) and sum(step.weight for step in steps) == steps[0].weight_sum


def _share_again(steps: Sequence[SharedStep]) -> Iterable[Finding]:
    shares = allocate(steps[0].total, {step.line_id: step.weight for step in steps})
    for step in steps:
        if step.amount != shares[step.line_id]:
            yield Finding(Flaw.SHARE, step.subject, step.name, str(step.amount), str(shares[step.line_id]))
