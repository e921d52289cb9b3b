"""The provider's fee, where sellers bear a part of it: estimated at the sale, made exact when the provider tells it.

A schedule's PROCESSOR rule states the estimate, and in `actual_share` the percentage of the real fee that takes its
place. Only a fee in the currency of the sale is told apart by line; where the provider settled in another, the estimate
stands.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from marketbill.db import Scope
from marketbill.ids import public_id
from marketbill.money import round_ratio
from marketbill.platforms.fee_schedule import load, schedule_of
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
    if not any(line["gross"] for line in lines):
        return {}  # Sellers gave everything away, and the buyer paid his own fees alone: nobody has anything to bear.
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


def corrections(payment: Row[Any], shares: Sequence[Row[Any]], schedule: Schedule, fee: int) -> dict[UUID, int]:
    """By seller, what the provider's `fee` adds to his estimated part (negative: gives back), at most what he has."""
    parts = actual_parts(payment.trace, schedule, fee)
    changes: dict[UUID, int] = {}
    for share in shares:
        wanted = parts.get(public_id("seller", share.seller_id), 0)
        change = min(wanted - share.processor_fee, share.seller_net)
        if change:
            changes[share.seller_id] = change
    return changes


async def schedules_of(scope: Scope, payments: Iterable[Row[Any]]) -> dict[UUID, Schedule]:
    """The schedules, by id, of those of these payments whose sellers bear a part of the provider's fee, which may have
    been estimated at nothing, and that are not settled yet."""
    ids = {one.fee_schedule_id for one in payments if one.settled_at is None and _is_borne(one.trace)}
    return {id: schedule_of(await load(scope, id)) for id in ids}


def _is_borne(trace: Mapping[str, Any]) -> bool:
    return any(fee["kind"] == FeeKind.PROCESSOR for line in trace["lines"] for fee in line.get("fees", ()))
