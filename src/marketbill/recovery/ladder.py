"""The ladder climbed: each open debt takes its steps when they are due, once each, with what was told to whom."""

from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, bindparam, insert, select, text, update

from marketbill.db import WriteScope
from marketbill.ids import PlatformId, public_id
from marketbill.money import decimal_text
from marketbill.payouts.model import debt
from marketbill.prepared import prepared
from marketbill.recovery import policy
from marketbill.recovery.model import debt_step
from marketbill.rules.debt_ladder import DEBIT_COUNTRIES, Ladder, Planned, Step
from marketbill.sellers import suspension
from marketbill.sellers.model import seller
from marketbill.sellers.suspension import SuspensionCause
from marketbill.services import Services

#: Sellers whose debts take their steps in one transaction.
BATCH_MAX = 50
_ROUNDS_MAX = 200
#: SQL: debts `d` that have a step to take.
DUE = "d.next_step_at <= :now"
#: SQL: suspensions `u` for debts of sellers who owe nothing any more, and were not let off anything.
PAID = (
    "u.lifted_at is null and u.cause = 'DEBT' and u.written_off_at is null and not exists ("
    "select from debt o where o.platform_id = u.platform_id and o.seller_id = u.seller_id and o.remaining > 0)"
)
_PAID_UP = text(
    f"""
    select u.seller_id from seller_suspension u where u.platform_id = :platform and {PAID}
    order by u.seller_id limit :limit
    """  # noqa: S608 (our own words alone)
)
_STILL_PAID_UP = text(
    f"""
    select u.seller_id, (
        select d.id from debt d where d.platform_id = u.platform_id and d.seller_id = u.seller_id
          and d.closed_at is not null order by d.closed_at desc, d.id desc limit 1
      ) as last_paid
    from seller_suspension u where u.platform_id = :platform and u.seller_id = any(:sellers) and {PAID}
    """  # noqa: S608 (our own words alone)
).bindparams(bindparam("sellers", type_=ARRAY(Uuid)))
_SELLERS = text(
    f"""
    select distinct d.seller_id from debt d where d.platform_id = :platform and {DUE}
    order by d.seller_id limit :limit
    """  # noqa: S608 (our own words alone)
)
_LOCK_SELLERS = prepared(
    select(seller)
    .where(seller.c.platform_id == bindparam("platform"), seller.c.id == bindparam("sellers", type_=ARRAY(Uuid)).any_())
    .order_by(seller.c.id)
    .with_for_update(skip_locked=True)
)
_DEBTS = prepared(
    select(debt)
    .where(
        debt.c.platform_id == bindparam("platform"),
        debt.c.seller_id == bindparam("sellers", type_=ARRAY(Uuid)).any_(),
        debt.c.remaining > 0,
    )
    .order_by(debt.c.seller_id, debt.c.currency, debt.c.created_at, debt.c.id)
    .with_for_update()
)
_TAKEN = prepared(
    select(debt_step.c.debt_id, debt_step.c.step).where(
        debt_step.c.platform_id == bindparam("platform"),
        debt_step.c.debt_id == bindparam("debts", type_=ARRAY(Uuid)).any_(),
    )
)


async def keep_up_debts(services: Services, platform: PlatformId) -> None:
    """Takes every step that is due, and lifts the suspensions of those who owe nothing any more; safe to run in many
    workers at once."""
    for _ in range(_ROUNDS_MAX):
        async with services.db.write(platform) as scope:
            lifted = await _lift_paid(scope)
        if lifted < BATCH_MAX:
            break
    for _ in range(_ROUNDS_MAX):
        async with services.db.write(platform) as scope:
            values = {"platform": platform, "now": scope.now, "limit": BATCH_MAX}
            due = [row.seller_id for row in await scope.rows(_SELLERS, values)]
            if not due:
                return
            locked = await scope.rows(_LOCK_SELLERS, {"platform": platform, "sellers": due})
            await _climb(scope, {row.id: row for row in locked})
        if len(due) < BATCH_MAX or not locked:
            return


async def _lift_paid(scope: WriteScope) -> int:
    """How many sellers may sell again. Read once more when they are locked: none of them may owe anything by then."""
    found = await scope.rows(_PAID_UP, {"platform": scope.platform, "limit": BATCH_MAX})
    if not found:
        return 0
    ids = [row.seller_id for row in found]
    locked = await scope.rows(_LOCK_SELLERS, {"platform": scope.platform, "sellers": ids})
    values = {"platform": scope.platform, "sellers": [row.id for row in locked]}
    rows = await scope.rows(_STILL_PAID_UP, values)
    for row in rows:
        last = f", the last {public_id('debt', row.last_paid)}" if row.last_paid else ""
        await suspension.lift_paid(scope, [row.seller_id], reason=f"All debts of the seller are paid{last}.")
    return len(rows)


async def _climb(scope: WriteScope, owners: dict[UUID, Row[Any]]) -> None:
    """The sellers are locked first, then their debts, as wherever debts are paid."""
    if not owners:
        return
    _, ladder = await policy.current(scope)
    open_debts = await scope.rows(_DEBTS, {"platform": scope.platform, "sellers": sorted(owners)})
    taken: dict[UUID, list[Step]] = {}
    ids = {"platform": scope.platform, "debts": [row.id for row in open_debts]}
    for row in await scope.rows(_TAKEN, ids):
        taken.setdefault(row.debt_id, []).append(Step(row.step))
    owed: dict[tuple[UUID, str], int] = {}
    for row in open_debts:
        owed[row.seller_id, row.currency] = owed.get((row.seller_id, row.currency), 0) + row.remaining
    suspended = {id for id, row in owners.items() if row.suspended}
    for row in open_debts:
        total = owed[row.seller_id, row.currency]
        await _step(scope, ladder, row, owners[row.seller_id], taken.get(row.id, []), total, suspended)


async def _step(
    scope: WriteScope,
    ladder: Ladder,
    row: Row[Any],
    owner: Row[Any],
    taken: list[Step],
    owed: int,
    suspended: set[UUID],
) -> None:
    due = ladder.due(row.created_at, taken, scope.now, owed=owed, currency=row.currency)
    if not due and row.next_step_at is not None and row.next_step_at > scope.now:
        return
    for planned in due:
        outcome, note = await _take(scope, planned, row, owner, owed, suspended)
        await scope.run(
            insert(debt_step).values(
                platform_id=scope.platform,
                debt_id=row.id,
                step=planned.step.value,
                due_at=min(planned.due_at, scope.now),
                done_at=scope.now,
                outcome=outcome,
                note=note,
            )
        )
    done = [*taken, *(planned.step for planned in due)]
    last = max(done, key=list(Step).index, default=Step.NETTING)
    await scope.run(
        update(debt)
        .where(debt.c.platform_id == scope.platform, debt.c.id == row.id)
        .values(step=last.value, next_step_at=ladder.next_after(row.created_at, done))
    )


async def _take(
    scope: WriteScope, planned: Planned, row: Row[Any], owner: Row[Any], owed: int, suspended: set[UUID]
) -> tuple[str, str]:
    """Takes a step: how it came out, and what is told of it."""
    amount = f"{decimal_text(row.remaining, row.currency)} {row.currency}"
    reference = public_id("debt", row.id)
    match planned.step:
        case Step.NETTING:
            return "TAKEN", f"New sales pay the debt of {amount} before anything is transferred."
        case Step.NOTICE:
            cause = public_id(row.cause_type, row.cause_id)
            since = f"{row.created_at:%Y-%m-%d}"
            return "TOLD", f"You owe {amount} since {since} for {cause}. Pay it to the platform's bank as {reference}."
        case Step.DEBIT:
            if owner.country not in DEBIT_COUNTRIES:
                return "NOT_ALLOWED", f"Bank accounts in {owner.country} are not debited for debts."
            return "ALLOWED", f"The seller's bank account may be debited {amount}, as {reference}."
        case Step.RECEIVABLE:
            return "TAKEN", f"The debt of {amount} is a receivable of its own."
        case Step.SUSPENSION:
            return await _suspend(scope, planned, row, owner, owed, suspended)
        case Step.WRITE_OFF:
            return "DUE", f"Two people decide whether {amount} is written off."


async def _suspend(
    scope: WriteScope, planned: Planned, row: Row[Any], owner: Row[Any], owed: int, suspended: set[UUID]
) -> tuple[str, str]:
    why = (
        f"{(scope.now - row.created_at).days} days after the debt began"
        if planned.due_at <= scope.now
        else f"because he owes {decimal_text(owed, row.currency)} {row.currency}, above the limit"
    )
    if owner.id in suspended:
        return "SUSPENDED_BEFORE", f"The seller was suspended already, {why}."
    suspended.add(owner.id)
    note = f"The seller may sell nothing from now on, {why}, until he owes nothing or an operator lifts it."
    await suspension.place(scope, owner.id, SuspensionCause.DEBT, by=suspension.SYSTEM, reason=note)
    return "SUSPENDED", note
