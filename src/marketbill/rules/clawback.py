"""Where a seller's part of a refund is taken from: what is cheapest to take first, and what nobody has as a debt."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID


class Held(NamedTuple):
    """A transfer of the share, as far as something may be taken from it, in minor units. `is_unsent`: it certainly did
    not leave the platform's balance; `under_way`: it was asked for, and nobody knows yet."""

    transfer_id: UUID
    left: int
    is_unsent: bool
    under_way: bool


class Standing(NamedTuple):
    """Where a seller's share of a payment stands. `left` is his net less what he gave back before; `free` is what his
    account at the provider holds and no payout has, `unpaid` what the platform's own bank is to pay him and no payout
    has. `transfers`, the newest first."""

    left: int
    is_released: bool
    is_planned: bool
    free: int
    transfers: Sequence[Held] = ()
    unpaid: int = 0


class Taking(NamedTuple):
    """From where a part is taken, in minor units: `pending + payable + reverse + debt` is the part.

    `own` is what the share itself gives back; `lowered` and `reversed` are what is taken of which transfer, that is of
    `payable` and of `reverse`; `unpaid` is the part of `payable` that the platform's bank pays out less.
    """

    own: int
    pending: int
    payable: int
    reverse: int
    debt: int
    lowered: tuple[tuple[UUID, int], ...] = ()
    reversed: tuple[tuple[UUID, int], ...] = ()
    unpaid: int = 0


def taking(part: int, standing: Standing) -> Taking:
    """Takes `part` (minor units, not negative) of a share: before its release of what is pending; then of what is
    payable and no transfer was made of; then of transfers that were not sent; then of what the platform's own bank is
    to pay; then back from the seller's account, as far as it holds enough. The rest is a debt.
    """
    if part < 0:
        raise ValueError("a part is not negative")
    own = min(part, max(standing.left, 0))
    if not standing.is_released:
        return Taking(own, own, 0, 0, part - own)
    if not standing.is_planned:
        return Taking(own, 0, own, 0, part - own)

    rest, free = own, standing.free
    lowered: list[tuple[UUID, int]] = []
    reversed: list[tuple[UUID, int]] = []
    for one in standing.transfers:
        if one.is_unsent and (taken := min(rest, one.left)) > 0:
            lowered.append((one.transfer_id, taken))
            rest -= taken
    unpaid = min(rest, standing.unpaid)
    rest -= unpaid
    for one in standing.transfers:
        # What is under way brings its own money along.
        most = 0 if one.is_unsent else one.left if one.under_way else min(one.left, free)
        if (taken := min(rest, most)) > 0:
            reversed.append((one.transfer_id, taken))
            rest -= taken
            free -= 0 if one.under_way else taken
    payable, reverse = sum(amount for _, amount in lowered) + unpaid, sum(amount for _, amount in reversed)
    return Taking(own, 0, payable, reverse, part - payable - reverse, tuple(lowered), tuple(reversed), unpaid)
