"""Holds: what keeps a seller's money by decision, of one payment or of all, each with its reason, actor and end.

A hold of scope RELEASE keeps shares from being released, one of scope PAYOUT keeps the seller's payouts from being
made. What a hold kept is marked, so that the end of a hold takes up just that again, in batches.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, bindparam, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from marketbill.db import Scope, WriteScope
from marketbill.errors import InvalidInput, NotFound, Refusal, SellerNotAllowed
from marketbill.events import outbox
from marketbill.ids import PlatformId, new_id, public_id
from marketbill.ledger.journal import Source
from marketbill.payments.model import seller_hold
from marketbill.prepared import prepared
from marketbill.services import Services
from marketbill.text import checked_reason


class HoldKind(StrEnum):
    """Why: RISK by a rule, DISPUTE while one is open, APPROVAL until a person has looked, MANUAL by an operator."""

    RISK = "RISK"
    DISPUTE = "DISPUTE"
    APPROVAL = "APPROVAL"
    MANUAL = "MANUAL"


class HoldScope(StrEnum):
    """What is kept: RELEASE of sales, or PAYOUT to the bank."""

    RELEASE = "RELEASE"
    PAYOUT = "PAYOUT"


#: Who places and lifts what no person did.
SYSTEM = "marketbill"
#: Holds ended, and shares taken up again, in one transaction.
BATCH_MAX = 500
_ROUNDS_MAX = 200

_PLACE = (
    insert(seller_hold)
    .on_conflict_do_nothing(
        index_elements=["platform_id", "source_type", "source_id", "seller_id", "kind", "scope"],
        index_where=seller_hold.c.lifted_at.is_(None),
    )
    .returning(seller_hold)
)
_PLACED = select(seller_hold).where(
    seller_hold.c.platform_id == bindparam("platform"),
    seller_hold.c.source_type == bindparam("source_type"),
    seller_hold.c.source_id == bindparam("source_id"),
    seller_hold.c.seller_id == bindparam("seller"),
    seller_hold.c.kind == bindparam("kind"),
    seller_hold.c.scope == bindparam("reach"),
    seller_hold.c.lifted_at.is_(None),
)
# Locked against being lifted: who lifts then finds all that was kept meanwhile.
_HELD = prepared(
    select(seller_hold.c.seller_id, seller_hold.c.payment_id)
    .where(
        seller_hold.c.platform_id == bindparam("platform"),
        seller_hold.c.seller_id == bindparam("sellers", type_=ARRAY(Uuid)).any_(),
        seller_hold.c.lifted_at.is_(None),
        seller_hold.c.scope == HoldScope.RELEASE.value,
        or_(
            seller_hold.c.payment_id.is_(None),
            seller_hold.c.payment_id == bindparam("payments", type_=ARRAY(Uuid)).any_(),
        ),
    )
    .order_by(seller_hold.c.id)
    .with_for_update(read=True)
)
_OPEN = (
    select(seller_hold)
    .where(
        seller_hold.c.platform_id == bindparam("platform"),
        seller_hold.c.seller_id == bindparam("sellers", type_=ARRAY(Uuid)).any_(),
        seller_hold.c.lifted_at.is_(None),
    )
    .order_by(seller_hold.c.placed_at, seller_hold.c.id)
)
_LIFT = (
    update(seller_hold)
    .where(seller_hold.c.platform_id == bindparam("platform"), seller_hold.c.lifted_at.is_(None))
    .values(lifted_at=bindparam("now"), lifted_by=bindparam("actor"), lift_reason=bindparam("why"))
    .returning(seller_hold)
)
_LIFT_ONE = _LIFT.where(seller_hold.c.id == bindparam("hold"))
_LIFT_SOURCE = _LIFT.where(
    seller_hold.c.source_type == bindparam("of_type"), seller_hold.c.source_id == bindparam("of_source")
)
_END = text(
    """
    with due as (
      select h.id from seller_hold h
      where h.platform_id = :platform and h.lifted_at is null and h.until <= :now
      order by h.until limit :limit for update skip locked
    )
    update seller_hold h set lifted_at = :now, lifted_by = :actor, lift_reason = 'Its end has come.' from due
    where h.platform_id = :platform and h.id = due.id
    """
)
_LIFTED = text(
    """
    select h.id, h.seller_id, h.payment_id, h.scope from seller_hold h
    where h.platform_id = :platform and h.lifted_at is not null and h.resumed_at is null
    order by h.lifted_at limit 1
    """
)
# What nothing keeps any more: another hold of the same seller keeps it still.
_FREE = """
    s.platform_id = :platform and s.seller_id = :seller and s.held_at is not null and s.released_at is null
    and (cast(:payment as uuid) is null or s.payment_id = :payment)
    and not exists (
      select from seller_hold h
      where h.platform_id = s.platform_id and h.seller_id = s.seller_id and h.lifted_at is null and h.scope = 'RELEASE'
        and (h.payment_id is null or h.payment_id = s.payment_id))
"""
_LOCK = text(
    f"""
    select y.id from payment y
    where y.platform_id = :platform and y.id in (
      select s.payment_id from payment_share s where {_FREE} order by s.payment_id limit :limit)
    order by y.id for update
    """  # noqa: S608 (our own words alone)
)
_RESUME = text(
    f"update payment_share s set held_at = null where s.payment_id = any(:payments) and {_FREE}"  # noqa: S608
).bindparams(bindparam("payments", type_=ARRAY(Uuid)))
#: A payment's next release, from its shares.
RESCHEDULE = prepared(
    text(
        """
        update payment y set release_on = (
          select min(s.release_on) from payment_share s
          where s.platform_id = y.platform_id and s.payment_id = y.id and s.released_at is null and s.held_at is null)
        where y.platform_id = :platform and y.id = any(:payments) and y.released_at is null
        """
    ).bindparams(bindparam("payments", type_=ARRAY(Uuid)))
)
_RESUMED = (
    update(seller_hold)
    .where(seller_hold.c.platform_id == bindparam("platform"), seller_hold.c.id == bindparam("hold"))
    .values(resumed_at=bindparam("now"))
)


async def place(
    scope: WriteScope,
    seller_id: UUID,
    payment_id: UUID | None,
    kind: HoldKind,
    reason: str,
    until: datetime | None,
    actor: str,
    source: Source | None = None,
    *,
    on: HoldScope = HoldScope.RELEASE,
    facts: Mapping[str, Any] | None = None,
) -> Row[Any]:
    """Keeps a seller's money from now on: of one payment, or of all. What was released before stays released.

    A source that placed such a hold already, which is open still, is given that one. Whoever names a payment has locked
    it. Raises InvalidInput for a missing reason or an end that has passed.
    """
    _check_end(scope, until)
    values = {
        "platform_id": scope.platform,
        "id": new_id(),
        "seller_id": seller_id,
        "payment_id": payment_id,
        "scope": on.value,
        "kind": kind.value,
        "reason": checked_reason(reason),
        "facts": dict(facts or {}),
        "source_type": source.type if source else None,
        "source_id": source.id if source else None,
        "placed_by": actor,
        "placed_at": scope.now,
        "until": until,
    }
    row = await scope.first(_PLACE, values)
    if row is not None or source is None:
        assert row is not None, "a hold of no source is always a new one"
        return row
    named = {"platform": scope.platform, "source_type": source.type, "source_id": source.id, "seller": seller_id}
    return await scope.one(_PLACED, {**named, "kind": kind.value, "reach": on.value})


async def lift(scope: WriteScope, which: Source | UUID, actor: str, reason: str) -> list[Row[Any]]:
    """Ends the open holds of a source, or one by its id; none when they have ended. What they kept is taken up by the
    worker soon after."""
    values = {"platform": scope.platform, "now": scope.now, "actor": actor, "why": checked_reason(reason)}
    if isinstance(which, UUID):
        rows = await scope.rows(_LIFT_ONE, {**values, "hold": which})
    else:
        rows = await scope.rows(_LIFT_SOURCE, {**values, "of_type": which.type, "of_source": which.id})
    if rows:
        await outbox.enqueue(scope, "release_payments", str(scope.platform))
    return list(rows)


async def held(scope: WriteScope, shares: Sequence[Row[Any]]) -> set[tuple[UUID, UUID]]:
    """Which of these shares an open hold keeps from release, by payment and seller."""
    payments = {share.payment_id for share in shares}
    values = {"sellers": list({share.seller_id for share in shares}), "payments": list(payments)}
    found = await scope.rows(_HELD, {"platform": scope.platform, **values})
    kept = {(row.payment_id, row.seller_id) for row in found}
    return {
        (share.payment_id, share.seller_id)
        for share in shares
        if (None, share.seller_id) in kept or (share.payment_id, share.seller_id) in kept
    }


async def open_holds(scope: Scope, sellers: Iterable[UUID]) -> list[Row[Any]]:
    """The open holds of sellers, of both scopes, oldest first."""
    return list(await scope.rows(_OPEN, {"platform": scope.platform, "sellers": list(sellers)}))


async def without_payouts(scope: Scope, sellers: Iterable[UUID]) -> dict[UUID, Row[Any]]:
    """Of these sellers, those whose payouts are held, each with the first hold that says so."""
    found: dict[UUID, Row[Any]] = {}
    for row in await open_holds(scope, sellers):
        if row.scope == HoldScope.PAYOUT:
            found.setdefault(row.seller_id, row)
    return found


async def gate_to_pay_out(scope: Scope, seller_id: UUID, *, path: tuple[str, ...] = ()) -> None:
    """Raises SellerNotAllowed when the seller's payouts are held."""
    hold = (await without_payouts(scope, [seller_id])).get(seller_id)
    if hold is not None:
        raise refusal(hold, path=path)


def refusal(hold: Row[Any], *, path: tuple[str, ...] = ()) -> Refusal:
    """What is said where a hold keeps a payout from being made."""
    return SellerNotAllowed(
        f"Payouts of this seller are held since {hold.placed_at.date()}: {hold.reason}",
        seller_id=public_id("seller", hold.seller_id),
        gate="PAYOUT",
        path=path,
    )


async def load(scope: Scope, id: UUID, *, path: tuple[str, ...] = ()) -> Row[Any]:
    """Raises NotFound."""
    row = await scope.first(
        select(seller_hold).where(seller_hold.c.platform_id == scope.platform, seller_hold.c.id == id)
    )
    if row is None:
        raise NotFound("seller hold", public_id("seller hold", id), path=path)
    return row


async def end_due(services: Services, platform: PlatformId) -> None:
    """Lifts the holds whose end has come, and takes up what lifted holds had kept; safe in many workers at once."""
    async with services.db.write(platform) as scope:
        await scope.run(_END, {"platform": platform, "now": scope.now, "limit": BATCH_MAX, "actor": SYSTEM})
    for _ in range(_ROUNDS_MAX):
        async with services.db.write(platform) as scope:
            if not await _take_up(scope):
                return


async def _take_up(scope: WriteScope) -> bool:
    """A batch of what one lifted hold had kept; False when there is none. Payments are locked before anything else."""
    hold = await scope.first(_LIFTED, {"platform": scope.platform})
    if hold is None:
        return False
    kept = {"platform": scope.platform, "seller": hold.seller_id, "payment": hold.payment_id}
    payments = [row.id for row in await scope.rows(_LOCK, {**kept, "limit": BATCH_MAX})]
    if payments:
        await scope.run(_RESUME, {**kept, "payments": payments})
        await scope.run(RESCHEDULE, {"platform": scope.platform, "payments": payments})
    if len(payments) < BATCH_MAX:
        await scope.run(_RESUMED, {"platform": scope.platform, "hold": hold.id, "now": scope.now})
    return True


def _check_end(scope: WriteScope, until: datetime | None) -> None:
    if until is not None and until <= scope.now:
        raise InvalidInput("The end of a hold lies in the future.", path=("until",), constraint="> now")
