"""Payout runs: a date of a schedule has come, and everybody who has enough is paid.

A run goes through the sellers in batches by their ids, each batch in one transaction that moves the run on, so that one
that was interrupted goes on where it stood and pays nobody twice. What it did with each seller's money is kept. Where
somebody of a batch cannot be booked, each has a transaction of his own, and only that one waits for the next date.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import ARRAY, Row, Uuid, bindparam, insert, select, text, update

from marketbill.db import WriteScope
from marketbill.errors import Unavailable, told
from marketbill.events import outbox
from marketbill.ids import PlatformId, new_id, public_id
from marketbill.ledger import journal
from marketbill.money import decimal_text
from marketbill.payments import holds
from marketbill.payouts import booking, lines, pauses, payees, schedule, terms
from marketbill.payouts.lines import Line, Open, Purse
from marketbill.payouts.model import Rail, RunOutcome, payout_run, payout_run_result, payout_schedule
from marketbill.payouts.opening import Opening, open_payouts
from marketbill.prepared import prepared
from marketbill.provider.stripe.units import payable_part
from marketbill.rules.payout_calendar import Interval, Terms
from marketbill.sellers.model import seller
from marketbill.services import Services

#: Sellers paid in one transaction.
BATCH_MAX = 200
#: Batches of one job; a larger run goes on in the next.
_ROUNDS_MAX = 50
_RUNS_MAX = 200
JOB = "run_payouts"
#: SQL: whether a platform `p` has a date that came, or a run under way.
DUE = (
    "exists (select from payout_schedule d where d.platform_id = p.platform_id and d.next_at <= :now)"
    " or exists (select from payout_run r where r.platform_id = p.platform_id and r.finished_at is null)"
)

_DATES_DUE = (
    select(payout_schedule)
    .where(payout_schedule.c.platform_id == bindparam("platform"), payout_schedule.c.next_at <= bindparam("now"))
    .order_by(payout_schedule.c.next_at)
    .limit(_RUNS_MAX)
    .with_for_update(skip_locked=True)
)
_NEXT = (
    update(payout_schedule)
    .where(payout_schedule.c.platform_id == bindparam("platform"), payout_schedule.c.id == bindparam("schedule"))
    .values(next_at=bindparam("at"), next_on=bindparam("on"), next_why=bindparam("why"))
)
_UNDER_WAY = (
    select(payout_run)
    .where(payout_run.c.platform_id == bindparam("platform"), payout_run.c.finished_at.is_(None))
    .order_by(payout_run.c.started_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)
# Those who have something open, in the order of the index on that; a schedule of one's own goes before the one for all.
# A join with the schedules could be a hash of the holders, which forgets their order: then the limit would skip some.
_SELLERS = prepared(
    text(
        """
        with recursive holder as (
          (select i.seller_id from payout_item i where i.platform_id = :platform and i.claimed <> i.amount
             and i.seller_id > :after order by i.seller_id limit 1)
          union all
          select (select i.seller_id from payout_item i where i.platform_id = :platform and i.claimed <> i.amount
             and i.seller_id > h.seller_id order by i.seller_id limit 1)
          from holder h where h.seller_id is not null
        )
        select h.seller_id from holder h where h.seller_id is not null and (
          select d.seller_id from payout_schedule d where d.platform_id = :platform and d.seller_id = h.seller_id
        ) is null
        limit :limit
        """
    )
)
_LOCKED = prepared(
    select(seller.c.id, seller.c.name, seller.c.provider_account, seller.c.payouts_enabled)
    .where(seller.c.platform_id == bindparam("platform"), seller.c.id == bindparam("ids", type_=ARRAY(Uuid)).any_())
    .order_by(seller.c.id)
    .with_for_update(key_share=True)
)
_MOVE_ON = (
    update(payout_run)
    .where(payout_run.c.platform_id == bindparam("platform"), payout_run.c.id == bindparam("run"))
    .values(
        last_seller=bindparam("last"),
        sellers=payout_run.c.sellers + bindparam("number"),
        finished_at=bindparam("finished"),
    )
)
_SAME_PLACE = (
    select(payout_run)
    .where(
        payout_run.c.platform_id == bindparam("platform"),
        payout_run.c.id == bindparam("run"),
        payout_run.c.finished_at.is_(None),
        payout_run.c.last_seller.is_not_distinct_from(bindparam("last", type_=Uuid)),
    )
    .with_for_update()
)
_NOBODY = UUID(int=0)
_SET_ASIDE = "This payout could not be booked, and waits for the next date; the platform's operators look at it."
log = structlog.get_logger()


@dataclass(slots=True)
class _Batch:
    """The batch that a transaction is at: of which run, and whom."""

    run: Row[Any] | None = None
    ids: Sequence[UUID] = ()


async def run_payouts(services: Services, platform: PlatformId) -> None:
    """Begins the runs whose date has come, and carries on those under way; safe to run in many workers at once."""
    async with services.db.write(platform) as scope:
        await _begin(scope)
    for _ in range(_ROUNDS_MAX):
        if not await _pay_batch(services, platform, BATCH_MAX):
            return
    async with services.db.write(platform) as scope:
        await outbox.enqueue(scope, JOB, str(platform))


async def _begin(scope: WriteScope) -> None:
    """Dates that passed while nobody ran are one run."""
    for row in await scope.rows(_DATES_DUE, {"platform": scope.platform, "now": scope.now}):
        wanted = terms.read(row.terms)
        await scope.run(
            insert(payout_run).values(
                platform_id=scope.platform,
                id=new_id(),
                schedule_id=row.id,
                seller_id=row.seller_id,
                terms=row.terms,
                due_at=row.next_at,
                due_on=row.next_on,
                why=row.next_why,
                started_at=scope.now,
            )
        )
        following = schedule.next_values(wanted, schedule.next_of(wanted, scope.now))
        values = {"at": following["next_at"], "on": following["next_on"], "why": following["next_why"]}
        await scope.run(_NEXT, {"platform": scope.platform, "schedule": row.id, **values})


async def _pay_batch(services: Services, platform: PlatformId, most: int) -> bool:
    """One batch in one transaction; False when there is none. A defect in one seller's money stops nobody else."""
    batch = _Batch()
    try:
        async with services.db.write(platform) as scope:
            return await _carry_on(scope, batch, most)
    except Unavailable:
        raise
    except Exception as defect:
        if batch.run is None or not batch.ids:
            raise
        if len(batch.ids) > 1:
            for _ in batch.ids:
                await _pay_batch(services, platform, 1)
            return True
        [seller] = batch.ids
        log.error("payout of a run not booked", seller=public_id("seller", seller), error=told(defect))
        async with services.db.write(platform) as scope:
            await _set_aside(scope, batch.run, seller)
        return True


async def _carry_on(scope: WriteScope, batch: _Batch, most: int) -> bool:
    """A batch of the oldest run that nobody is at; False when there is none."""
    run = await scope.first(_UNDER_WAY, {"platform": scope.platform})
    if run is None:
        return False
    ids = await _next_sellers(scope, run, most)
    batch.run, batch.ids = run, ids
    await _move_on(scope, run, ids, finished=run.seller_id is not None or len(ids) < most)
    if ids:
        await _pay(scope, run, ids)
    return True


async def _move_on(scope: WriteScope, run: Row[Any], ids: Sequence[UUID], *, finished: bool) -> None:
    await scope.run(
        _MOVE_ON,
        {
            "platform": scope.platform,
            "run": run.id,
            "last": ids[-1] if ids else run.last_seller,
            "number": len(ids),
            "finished": scope.now if finished else None,
        },
    )


async def _set_aside(scope: WriteScope, before: Row[Any], seller: UUID) -> None:
    """Moves a run on past a seller who cannot be paid, unless somebody did so meanwhile."""
    run = await scope.first(_SAME_PLACE, {"platform": scope.platform, "run": before.id, "last": before.last_seller})
    if run is None:
        return
    await _move_on(scope, run, [seller], finished=run.seller_id is not None)
    results = [
        _result(scope, run, purse, RunOutcome.BLOCKED, have, have, _SET_ASIDE)
        for purse, items in (await lines.open_items(scope, [seller])).items()
        if (have := lines.total(items)) > 0
    ]
    if results:
        await scope.run(insert(payout_run_result), results)


async def _next_sellers(scope: WriteScope, run: Row[Any], most: int) -> list[UUID]:
    if run.seller_id is not None:
        return [run.seller_id]
    values = {"platform": scope.platform, "after": run.last_seller or _NOBODY, "limit": most}
    return [row.seller_id for row in await scope.rows(_SELLERS, values)]


async def _pay(scope: WriteScope, run: Row[Any], ids: Sequence[UUID]) -> None:
    found = await scope.rows(_LOCKED, {"platform": scope.platform, "ids": list(ids)})
    by_id = {row.id: row for row in found}
    paused = await pauses.of(scope, ids)
    known = await payees.of(scope, ids)
    held = await holds.without_payouts(scope, ids)
    wanted = terms.read(run.terms)
    results: list[dict[str, Any]] = []
    openings: list[Opening] = []
    for purse, items in (await lines.open_items(scope, ids)).items():
        have = lines.total(items)
        if have <= 0:
            continue  # more was taken back than came: it is set off against what comes
        who = by_id[purse.seller]
        outcome, reason, opening = _decide(
            run, wanted, purse, items, who, paused.get(purse.seller), purse.seller in known, held.get(purse.seller)
        )
        paid = opening.amount if opening else 0
        if opening:
            openings.append(opening)
        results.append(_result(scope, run, purse, outcome, have, have - paid, reason))
    made = await open_payouts(scope, openings)
    by_purse = {(row.seller_id, row.currency, row.rail): row.id for row in made}
    for result in results:
        result["payout_id"] = by_purse.get((result["seller_id"], result["currency"], result["rail"]))
    if results:
        await scope.run(insert(payout_run_result), results)
    await journal.post_all(scope, [booking.created(row, scope) for row in made])


def _result(
    scope: WriteScope, run: Row[Any], purse: Purse, outcome: RunOutcome, have: int, carried: int, reason: str | None
) -> dict[str, Any]:
    return {
        "platform_id": scope.platform,
        "run_id": run.id,
        "id": new_id(),
        "seller_id": purse.seller,
        "currency": purse.currency,
        "rail": purse.rail,
        "outcome": outcome,
        "amount": have,
        "carried": carried,
        "payout_id": None,
        "reason": reason,
    }


def _decide(
    run: Row[Any],
    wanted: Terms,
    purse: Purse,
    items: Sequence[Open],
    who: Row[Any],
    pause: Row[Any] | None,
    has_payee: bool,
    hold: Row[Any] | None,
) -> tuple[RunOutcome, str | None, Opening | None]:
    have, currency = lines.total(items), purse.currency
    least, words = wanted.minimum.get(currency, 0), "the minimum"
    if wanted.interval is Interval.THRESHOLD:
        if currency not in wanted.threshold:
            return RunOutcome.CARRIED, f"The schedule has no threshold in {currency}.", None
        if wanted.threshold[currency] >= least:
            least, words = wanted.threshold[currency], "the threshold"
    amount = payable_part(have, currency)
    if have < least or amount == 0:
        shown = decimal_text(least, currency) if have < least else decimal_text(1, currency)
        return RunOutcome.CARRIED, f"Below {words} of {shown} {currency}; it waits for the next date.", None
    if hold is not None:
        return RunOutcome.BLOCKED, f"Payouts are held: {hold.reason}", None
    if pause is not None:
        sent_back = public_id("payout", pause.payout_id)
        return RunOutcome.BLOCKED, f"The bank sent {sent_back} back ({pause.reason}): another account is needed.", None
    if purse.rail is Rail.PROVIDER and (who.provider_account is None or not who.payouts_enabled):
        return RunOutcome.BLOCKED, "The provider still needs something from the seller.", None
    if purse.rail is Rail.BANK and not has_payee:
        return RunOutcome.BLOCKED, "No bank account of the seller is known.", None
    taken: list[Line] | None = lines.allot(items, amount)
    assert taken is not None, "the amount is of these items"
    opening = Opening(purse.seller, currency, amount, taken, account=who.provider_account, rail=purse.rail, run=run.id)
    rest = (
        f"{decimal_text(have - amount, currency)} {currency} cannot be paid out; it waits." if have > amount else None
    )
    return RunOutcome.PAID, rest, opening
