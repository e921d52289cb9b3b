"""The provider's fee, where sellers bear a part of it: estimated at the sale, made exact when the provider tells it.

A schedule's PROCESSOR rule states the estimate, and in `actual_share` the percentage of the real fee that takes its
place. Only a fee in the currency of the sale is told apart by line; where the provider settled in another, the estimate
stands.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row

from marketbill.money import round_ratio
from marketbill.rules.allocation import allocate
from marketbill.rules.fees.schedule import FeeKind, Schedule
from marketbill.rules.rates import WHOLE, rate_parts


def actual_parts(trace: Mapping[str, Any], schedule: Schedule, fee: int) -> dict[str, int]:
    """What each seller (public id) bears of the provider's `fee`, in minor units of the sale.

    The fee is spread over the lines by what they cost, largest remainder; of a line's part its seller bears what its
    rule says, rounded. A line whose rule has no `actual_share` keeps its estimate.
    """
    rules = {rule.name: rule for rule in schedule.rules}
    lines = trace["lines"]
    of_line = allocate(fee, {line["line_id"]: line["gross"] for line in lines})
    parts: dict[str, int] = {}
    for line in lines:
        for charged in line["fees"]:
            if charged["kind"] != FeeKind.PROCESSOR:
                continue
            share = rules[charged["name"]].actual_share
            part = charged["amount"]
            if share is not None:
                part = round_ratio(of_line[line["line_id"]] * rate_parts(share), WHOLE)
            parts[line["seller_id"]] = parts.get(line["seller_id"], 0) + part
    return parts


def corrected(shares: Sequence[Row[Any]], parts: Mapping[str, int], seller_ids: Mapping[Any, str]) -> dict[Any, int]:
    """By seller, what is to be added to his estimated part (negative: given back), never more than he has left."""
    changes: dict[Any, int] = {}
    for share in shares:
        wanted = parts.get(seller_ids[share.seller_id], share.processor_fee) - share.processor_fee
        change = min(wanted, share.seller_net)
        if change:
            changes[share.seller_id] = change
    return changes
