"""Write-offs: a debt that will not be paid is given up by two people, one who proposes and another who agrees."""

from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, bindparam, insert, select, text, update

from marketbill.actor import Actor
from marketbill.db import Scope, WriteScope
from marketbill.errors import NotFound, StateConflict
from marketbill.idempotency import keys as idempotency
from marketbill.ids import SellerId, new_id, parse_id, public_id
from marketbill.ledger import chart, journal
from marketbill.ledger.journal import JournalEntry, Posting, Source
from marketbill.ledger.model import journal_entry
from marketbill.payouts import debts
from marketbill.payouts.model import debt
from marketbill.platforms.keys import tenant
from marketbill.recovery.model import WriteOffStatus, write_off
from marketbill.sellers import suspension
from marketbill.services import Services
from marketbill.text import checked_reason

_OF_CAUSE = (
    select(debt.c.id)
    .where(
        debt.c.platform_id == bindparam("platform"),
        debt.c.cause_type == bindparam("type"),
        debt.c.cause_id == bindparam("cause"),
    )
    .order_by(debt.c.seller_id)
    .with_for_update()
)
_BOOKED = (
    select(write_off)
    .where(
        write_off.c.platform_id == bindparam("platform"),
        write_off.c.debt_id == bindparam("debts", type_=ARRAY(Uuid)).any_(),
        write_off.c.status == WriteOffStatus.BOOKED.value,
    )
    .order_by(write_off.c.id)
)
_REOPEN = text(
    "update debt set remaining = remaining + :booked, closed_at = null where platform_id = :platform and id = :debt"
)


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
        await suspension.written_off(scope, row.seller_id)
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


async def reopen(scope: WriteScope, cause: Source) -> list[JournalEntry]:
    """Debts of a cause that falls away are owed again, so that what is given back for it pays them instead of going to
    sellers who never paid: the entries that reverse their write-offs, to be posted before what pays them."""
    # Locked first, so that a write-off that is agreed to just now is seen.
    owed = await scope.rows(_OF_CAUSE, {"platform": scope.platform, "type": cause.type, "cause": cause.id})
    rows = await scope.rows(_BOOKED, {"platform": scope.platform, "debts": [row.id for row in owed]})
    for row in rows:
        await scope.run(_REOPEN, {"platform": scope.platform, "debt": row.debt_id, "booked": row.booked})
    return [await _reversed(scope, row, cause) for row in rows]


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


async def _reversed(scope: WriteScope, row: Row[Any], cause: Source) -> JournalEntry:
    id, owner = public_id("write-off", row.id), SellerId(row.seller_id)
    booked = await scope.scalar(
        select(journal_entry.c.id).where(
            journal_entry.c.platform_id == scope.platform, journal_entry.c.key == f"write-off:{id}"
        )
    )
    receivable, bad_debt = chart.seller_receivable(owner, row.currency), chart.account(chart.BAD_DEBT, row.currency)
    return JournalEntry(
        key=f"write-off-reversed:{id}",
        kind="reversal",
        source=Source("seller", row.seller_id),
        postings=(Posting(receivable, bad_debt, row.booked),),
        effective_at=scope.now,
        description=f"Debt of {public_id('seller', owner)} is not lost: its cause fell away",
        reason={"write_off": id, "cause": public_id(cause.type, cause.id)},
        reverses=booked,
    )
