"""Write-offs: a debt that will not be paid is given up by two people, one who proposes and another who agrees."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select, update

from marketbill.actor import Actor
from marketbill.db import Scope, WriteScope
from marketbill.errors import NotFound, StateConflict
from marketbill.idempotency import keys as idempotency
from marketbill.ids import SellerId, new_id, parse_id, public_id
from marketbill.ledger import chart, journal
from marketbill.ledger.journal import JournalEntry, Posting, Source
from marketbill.payouts import debts
from marketbill.payouts.model import debt
from marketbill.platforms.keys import tenant
from marketbill.recovery.model import WriteOffStatus, write_off
from marketbill.services import Services
from marketbill.text import checked_reason


class SecondPersonNeeded(StateConflict):
    """Whoever proposed a write-off does not decide it."""

    def __init__(self) -> None:
        super().__init__(
            "Whoever proposed a write-off does not agree to it: another person must, with an API key of his own.",
            current_state=WriteOffStatus.PROPOSED,
            path=("id",),
        )


async def propose(services: Services, actor: Actor, *, idempotency_key: str, debt_id: str, reason: str) -> Row[Any]:
    """Proposes that what remains of a debt is written off. Raises NotFound, InvalidInput without a reason, and
    StateConflict for a debt that is paid or proposed already."""
    platform = tenant(actor)
    reason = checked_reason(reason)
    id = parse_id("debt", debt_id, path=("debtId",))
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope,
            actor=actor.idempotency_scope,
            operation="writeOffPropose",
            key=idempotency_key,
            body={"debt_id": debt_id, "reason": reason},
        )
        if claim.replay is not None:
            return await load(scope, parse_id("write-off", claim.replay["id"]))
        owed = await _lock_debt(scope, id)
        if owed is None:
            raise NotFound("debt", debt_id, path=("debtId",))
        if not owed.remaining:
            raise StateConflict("Nothing remains of this debt.", current_state="CLOSED", path=("debtId",))
        await _check_unproposed(scope, id)
        row = await scope.one(
            insert(write_off)
            .values(
                platform_id=platform,
                id=new_id(),
                debt_id=id,
                seller_id=owed.seller_id,
                currency=owed.currency,
                amount=owed.remaining,
                status=WriteOffStatus.PROPOSED.value,
                reason=reason,
                proposed_by=actor.id,
                proposed_at=scope.now,
            )
            .returning(write_off)
        )
        await idempotency.finish(scope, claim, {"id": public_id("write-off", row.id)})
        return row


async def approve(services: Services, actor: Actor, *, idempotency_key: str, id: str) -> Row[Any]:
    """Books it (D6): what remains of the debt, at most what was proposed. Raises NotFound, SecondPersonNeeded, and
    StateConflict when it was decided, or the debt is paid meanwhile."""
    platform, write_off_id = tenant(actor), parse_id("write-off", id, path=("id",))
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="writeOffApprove", key=idempotency_key, body={"id": id}
        )
        if claim.replay is not None:
            return await load(scope, write_off_id)
        row = await _open(scope, write_off_id)
        if row.proposed_by == actor.id:
            raise SecondPersonNeeded
        held = await debts.lock_open(scope, [row.seller_id])
        booked = held.pay_one(row.debt_id, row.amount)
        if not booked:
            raise StateConflict("The debt was paid meanwhile.", current_state="CLOSED", path=("id",))
        await held.record(scope)
        await _decide(scope, row.id, WriteOffStatus.BOOKED, actor, booked=booked)
        await idempotency.finish(scope, claim, {"id": id})
        await journal.post_all(scope, [_entry(scope, row, booked, actor)])
        return await load(scope, write_off_id)


async def reject(services: Services, actor: Actor, *, idempotency_key: str, id: str, reason: str) -> Row[Any]:
    """Ends a proposal, as another person than who made it; the debt stands. Raises NotFound, InvalidInput without a
    reason, SecondPersonNeeded, StateConflict."""
    platform, write_off_id = tenant(actor), parse_id("write-off", id, path=("id",))
    reason = checked_reason(reason)
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope,
            actor=actor.idempotency_scope,
            operation="writeOffReject",
            key=idempotency_key,
            body={"id": id, "reason": reason},
        )
        if claim.replay is not None:
            return await load(scope, write_off_id)
        row = await _open(scope, write_off_id)
        if row.proposed_by == actor.id:
            raise SecondPersonNeeded
        await _decide(scope, row.id, WriteOffStatus.REJECTED, actor, reason=reason)
        await idempotency.finish(scope, claim, {"id": id})
        return await load(scope, write_off_id)


async def load(scope: Scope, id: UUID, *, lock: bool = False) -> Row[Any]:
    """One write-off. Raises NotFound."""
    statement = select(write_off).where(write_off.c.platform_id == scope.platform, write_off.c.id == id)
    row = await scope.first(statement.with_for_update() if lock else statement)
    if row is None:
        raise NotFound("write-off", public_id("write-off", id), path=("id",))
    return row


async def _open(scope: WriteScope, id: UUID) -> Row[Any]:
    row = await load(scope, id, lock=True)
    if row.status != WriteOffStatus.PROPOSED:
        raise StateConflict("This write-off is decided.", current_state=row.status, path=("id",))
    return row


async def _lock_debt(scope: WriteScope, id: UUID) -> Row[Any] | None:
    mine = (debt.c.platform_id == scope.platform) & (debt.c.id == id)
    return await scope.first(select(debt).where(mine).with_for_update())


async def _check_unproposed(scope: Scope, debt_id: UUID) -> None:
    known = await scope.first(
        select(write_off.c.id).where(
            write_off.c.platform_id == scope.platform,
            write_off.c.debt_id == debt_id,
            write_off.c.status == WriteOffStatus.PROPOSED.value,
        )
    )
    if known is not None:
        raise StateConflict(
            f"{public_id('write-off', known.id)} proposes this already.", current_state="PROPOSED", path=("debtId",)
        )


async def _decide(
    scope: WriteScope,
    id: UUID,
    status: WriteOffStatus,
    actor: Actor,
    *,
    booked: int | None = None,
    reason: str | None = None,
) -> None:
    await scope.run(
        update(write_off)
        .where(write_off.c.platform_id == scope.platform, write_off.c.id == id)
        .values(
            status=status.value,
            decided_by=actor.id,
            decided_at=scope.now,
            decision_reason=reason,
            booked=booked,
        )
    )


def _entry(scope: WriteScope, row: Row[Any], amount: int, actor: Actor) -> JournalEntry:
    owner, currency = SellerId(row.seller_id), row.currency
    id = public_id("write-off", row.id)
    posting = Posting(chart.account(chart.BAD_DEBT, currency), chart.seller_receivable(owner, currency), amount)
    return JournalEntry(
        key=f"write-off:{id}",
        kind="write-off",
        source=Source("seller", row.seller_id),
        postings=(posting,),
        effective_at=scope.now,
        description=f"Debt of {public_id('seller', owner)} written off",
        reason={
            "write_off": id,
            "debt": public_id("debt", row.debt_id),
            "why": row.reason,
            "proposed_by": row.proposed_by,
            "approved_by": actor.id,
        },
    )
