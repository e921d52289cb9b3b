"""Percentages by volume: which parts of a line fall into which tier."""

from decimal import Decimal
from typing import NamedTuple

from marketbill.rules.fees.fixed import amount_in
from marketbill.rules.fees.schedule import TierMode, Tiers


class Slice(NamedTuple):
    """A part of a line's gross (minor units) and the percentage that the same part of its base is charged."""

    part: int
    percent: Decimal


class Climb(NamedTuple):
    """Where a line stands in its seller's volume: what was sold `before` it in the period, in this sale too, and what
    will have been sold `after` the whole sale. Minor units of the sale's currency."""

    before: int
    after: int


def slices_of(tiers: Tiers, *, gross: int, climb: Climb, currency: str, rule: str) -> tuple[Slice, ...]:
    """The line's gross by tier, in the order of the volume. A tier holds what is sold beyond its start.

    With 10 % to 10,000.00 and 8 % above, a graduated 20.00 after 9,990.00 is 10.00 at 10 % and 10.00 at 8 %. By volume
    the whole sale has the rate of the tier that its last unit lies in: a sale that ends at 10,000.00 exactly is still
    charged 10 %. Raises `FixedFeeMissing` where a tier has no start in this currency.
    """
    starts = [0]
    starts += [amount_in(tier.start, currency, rule=rule, what="start of a tier") or 0 for tier in tiers.steps[1:]]
    if tiers.mode is TierMode.VOLUME:
        reached = max((index for index, start in enumerate(starts) if start < climb.after), default=0)
        return (Slice(gross, tiers.steps[reached].percent),)

    slices: list[Slice] = []
    at, end = climb.before, climb.before + gross
    for index, tier in enumerate(tiers.steps):
        edge = starts[index + 1] if index + 1 < len(starts) else end
        upper = min(edge, end)
        if upper > at:
            slices.append(Slice(upper - at, tier.percent))
            at = upper
    return tuple(slices) or (Slice(gross, tiers.steps[0].percent),)
