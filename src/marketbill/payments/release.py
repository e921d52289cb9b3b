"""Release: what a seller earned becomes payable when its funds are there, its hold is over, and nothing keeps it.

Each share of a payment goes its own way: its hold begins with the event that its rule names. Shares of one payment that
are due together are one entry.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, select

from marketbill.db import WriteScope
from marketbill.ids import PlatformId
from marketbill.payments import booking, holds, progress
from marketbill.payments.model import payment
from marketbill.payments.progress import Progress
from marketbill.prepared import prepared
from marketbill.rules.release import HOLD_DAYS_LEGAL_ELSEWHERE
from marketbill.services import Services

#: Payments released in one transaction.
BATCH_MAX = 200
_ROUNDS_MAX = 500

_DUE = prepared(
    select(payment)
    .where(
        payment.c.platform_id == bindparam("platform"),
        payment.c.available_at.is_not(None),
        payment.c.released_at.is_(None),
        payment.c.release_on <= bindparam("now"),
    )
    .order_by(payment.c.release_on)
    .limit(BATCH_MAX)
    .with_for_update(skip_locked=True)
)


async def release_due(services: Services, platform: PlatformId) -> None:
    """Releases to the sellers every share whose funds are there, whose hold is over, and that nothing keeps."""
    await holds.end_due(services, platform)
    for _ in range(_ROUNDS_MAX):
        async with services.db.write(platform) as scope:
            rows = await scope.rows(_DUE, {"platform": platform, "now": scope.now})
            steps = await progress.begin(scope, rows)
            await release(scope, steps)
            await progress.record(scope, steps)
        if len(rows) < BATCH_MAX:
            return


async def release(scope: WriteScope, steps: Sequence[Progress]) -> None:
    """Releases what is due of these payments, within a transaction that records them."""
    due = {id(step): _due(step, scope.now) for step in steps}
    shares = [share for found in due.values() for share in found]
    held = await holds.held(scope, shares) if shares else set()
    for step in steps:
        _release(step, due[id(step)], held, scope.now)
        step.schedule()


def release_on(
    hold_from: str, hold_days: int, *, succeeded_at: datetime | None, delivered_at: datetime | None
) -> datetime | None:
    """The instant from which a share may be released; None while the event that starts its hold is awaited. What waits
    for an approval begins with it (`delivery.approve`)."""
    start = {"CAPTURE": succeeded_at, "DELIVERY": delivered_at}.get(hold_from)
    return start + timedelta(days=hold_days) if start is not None else None


def begin_holds(step: Progress) -> None:
    """The charge is booked: the holds that begin with it have their end, and those whose event came before it."""
    values = step.values
    for share in step.shares:
        mark = step.marks[share.seller_id]
        mark.release_on = mark.release_on or release_on(
            share.hold_from,
            share.hold_days,
            succeeded_at=values["succeeded_at"],
            delivered_at=values["delivered_at"],
        )
    longest = min((share.held_days_max for share in step.shares), default=HOLD_DAYS_LEGAL_ELSEWHERE)
    values["release_by"] = values["succeeded_at"] + timedelta(days=longest)
    step.schedule()


def _due(step: Progress, now: datetime) -> list[Row[Any]]:
    if step.values["available_at"] is None or step.values["released_at"] is not None:
        return []
    now = _not_before(step, now)
    marks = ((share, step.marks[share.seller_id]) for share in step.shares)
    return [share for share, mark in marks if mark.released_at is None and mark.release_on and mark.release_on <= now]


def _not_before(step: Progress, now: datetime) -> datetime:
    """The hold may have begun in a transaction that began after this one and committed before this one had its lock."""
    return max(now, step.values["succeeded_at"] or now, step.values["delivered_at"] or now)


def _release(step: Progress, due: Sequence[Row[Any]], held: set[tuple[UUID, UUID]], now: datetime) -> None:
    now = _not_before(step, now)
    free = {share.seller_id for share in due if (share.payment_id, share.seller_id) not in held}
    for share in due:
        if share.seller_id not in free:
            step.marks[share.seller_id].held_at = step.marks[share.seller_id].held_at or now
    if not free:
        return
    first = all(mark.released_at is None for mark in step.marks.values())
    settled, shares = step.as_settled()
    going = [share for share in shares if share.seller_id in free]
    amounts = {share.seller_id: max(share.seller_net - share.returned, 0) for share in going}
    for seller, amount in amounts.items():
        mark = step.marks[seller]
        mark.held_at, mark.released_at, mark.released = None, now, amount
    step.post(booking.release(settled, going, amounts, now, first=first))
    if all(mark.released_at is not None for mark in step.marks.values()):
        step.values["released_at"] = now
