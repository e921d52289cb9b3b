"""What the provider says of a dispute, applied: its state, and each movement of its money, booked once (D1, D2).

Facts come in any order and more than once, each read from the provider at some moment. The dispute's row is locked, its
state only goes on (`rules.disputes.follows`), and a movement that has its row is booked already. What follows for the
sellers is the work of `disputes.settle`, which waits for the sale if it must.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, bindparam, select, text, update
from sqlalchemy.dialects.postgresql import insert

from marketbill.db import WriteScope
from marketbill.disputes import holding, policy
from marketbill.disputes.model import RecoverAt, dispute, dispute_movement
from marketbill.events import outbox
from marketbill.ids import new_id, public_id
from marketbill.ledger import chart, journal
from marketbill.ledger.journal import JournalEntry, Posting, Source
from marketbill.prepared import prepared
from marketbill.provider.objects import BalanceTransaction, Dispute
from marketbill.rules import disputes as rules
from marketbill.rules.disputes import OVER, DisputeStatus, Movement

EXECUTE = "execute_disputes"
_LOCK = prepared(
    select(dispute)
    .where(dispute.c.platform_id == bindparam("platform"), dispute.c.provider_dispute == bindparam("named"))
    .with_for_update()
)
_MOVED = prepared(
    text(
        "select balance_transaction from dispute_movement where platform_id = :platform and dispute_id = :dispute"
    ).columns(dispute_movement.c.balance_transaction)
)
_MARK = text(
    """
    update payment y set disputed = exists (
      select from dispute d where d.platform_id = y.platform_id and d.payment_id = y.id
        and d.status in ('NEEDS_RESPONSE', 'UNDER_REVIEW', 'LOST'))
    where y.platform_id = :platform and y.id = :payment
    """
)


class DisputeMismatch(Exception):
    """The provider tells of another charge, currency or sale than the dispute has: never booked, always an alarm."""


class _Sums(NamedTuple):
    """What the movements came to."""

    withdrawn: int
    reinstated: int
    won: int
    fees: int
    fees_returned: int
    currency: str | None


async def apply(scope: WriteScope, payment: Row[Any], told: Dispute) -> None:
    """What the provider says of a dispute of this payment, whose row the caller has locked.

    Raises DisputeMismatch.
    """
    row = await _locked(scope, payment, told)
    _match(row, payment, told)
    fresh = await _fresh(scope, row, told)
    believed = told.status if rules.follows(told.status, row.provider_status) else row.provider_status
    sums = _summed(row, fresh, told)
    status = rules.status_of(believed, amount=row.amount, won=sums.won)
    values: dict[str, Any] = {
        "status": status.value,
        "provider_status": believed,
        "network_reason": told.network_reason_code or row.network_reason,
        "settlement_currency": sums.currency,
        "withdrawn": sums.withdrawn,
        "reinstated": sums.reinstated,
        "won": sums.won,
        "fees": sums.fees,
        "fees_returned": sums.fees_returned,
        "updated_at": scope.now,
    }
    if believed == told.status:
        values |= {"due_by": told.due_by, "submissions": told.submission_count}
    values["closed_at"] = (row.closed_at or scope.now) if status in OVER else None
    changed = fresh or status != row.status
    if changed and _concerns_sellers(row, status, sums):
        values["settle_since"] = row.settle_since or scope.now
        await outbox.enqueue(scope, EXECUTE, str(scope.platform))
    await scope.run(update(dispute).where(*_this(scope, row.id)).values(**values))
    await scope.run(_MARK, {"platform": scope.platform, "payment": payment.id})
    await holding.follow(scope, payment, row, status)
    await _keep(scope, row, fresh, told)
    await journal.post_all(scope, [_entry(row, payment, one) for one in fresh if rules.movement_of(**_signs(one))])


async def _locked(scope: WriteScope, payment: Row[Any], told: Dispute) -> Row[Any]:
    """The dispute's row, made when this is the first that is heard of it."""
    named = {"platform": scope.platform, "named": told.id}
    row = await scope.first(_LOCK, named)
    if row is not None:
        return row
    holds = await policy.current(scope)
    await scope.run(
        insert(dispute)
        .values(
            platform_id=scope.platform,
            id=new_id(),
            payment_id=payment.id,
            provider_dispute=told.id,
            charge=told.charge_id,
            currency=told.currency,
            amount=told.amount,
            reason=told.reason,
            network_reason=told.network_reason_code,
            status=rules.status_of(told.status, amount=told.amount, won=0),
            provider_status=told.status,
            due_by=told.due_by,
            policy_version=holds.version,
            recover_at=holds.recover_at,
            opened_at=told.created,
            created_at=scope.now,
            updated_at=scope.now,
        )
        .on_conflict_do_nothing()
    )
    return await scope.one(_LOCK, named)


def _match(row: Row[Any], payment: Row[Any], told: Dispute) -> None:
    ours = (row.payment_id, row.charge, row.currency)
    theirs = (payment.id, told.charge_id, told.currency)
    if ours != theirs or told.currency != payment.currency:
        id = public_id("dispute", row.id)
        raise DisputeMismatch(
            f"{id} is of {public_id('payment', row.payment_id)} in {payment.currency} by {row.charge}, but the"
            f" provider's {told.id} is in {told.currency} by {told.charge_id}."
        )


async def _fresh(scope: WriteScope, row: Row[Any], told: Dispute) -> list[BalanceTransaction]:
    """The movements that are not booked yet, the oldest first."""
    known = {one.balance_transaction for one in await scope.rows(_MOVED, _named(scope, row.id))}
    fresh = [one for one in told.balance_transactions if one.id not in known]
    currencies = {one.currency for one in fresh} | ({row.settlement_currency} - {None})
    if len(currencies) > 1:
        raise DisputeMismatch(f"{public_id('dispute', row.id)} moved money in {' and '.join(sorted(currencies))}.")
    # What was withdrawn comes before what was given back of it, whatever the order of the list.
    return sorted(fresh, key=lambda one: (one.amount > 0, one.id))


def _summed(row: Row[Any], fresh: Sequence[BalanceTransaction], told: Dispute) -> _Sums:
    back = [one for one in fresh if one.amount > 0]
    out = [one for one in fresh if one.amount < 0]
    withdrawn = row.withdrawn - sum(one.amount for one in out)
    # With the first withdrawal nothing is won of what is disputed; each movement changes that by its amount.
    before = row.won if row.withdrawn or not withdrawn else row.amount
    return _Sums(
        withdrawn=withdrawn,
        reinstated=row.reinstated + sum(one.amount for one in back),
        won=max(0, before + sum(_disputed(one, told) for one in fresh)),
        fees=row.fees + sum(one.fee for one in fresh if one.fee > 0),
        fees_returned=row.fees_returned - sum(one.fee for one in fresh if one.fee < 0),
        currency=next((one.currency for one in fresh), row.settlement_currency),
    )


def _disputed(one: BalanceTransaction, told: Dispute) -> int:
    return rules.disputed_part(moved=one.amount, rate=one.exchange_rate, amount=told.amount)


def _concerns_sellers(row: Row[Any], status: DisputeStatus, sums: _Sums) -> bool:
    """Whether something may have to be taken from them, or given back to them."""
    return bool(sums.withdrawn) and (status in OVER or row.recover_at == RecoverAt.OPENED)


async def _keep(scope: WriteScope, row: Row[Any], fresh: Sequence[BalanceTransaction], told: Dispute) -> None:
    if fresh:
        await scope.run(
            insert(dispute_movement),
            [
                {
                    "platform_id": scope.platform,
                    "balance_transaction": one.id,
                    "dispute_id": row.id,
                    "currency": one.currency,
                    "amount": one.amount,
                    "disputed": _disputed(one, told),
                    "fee": one.fee,
                    "moved_at": one.created or one.available_on,
                    "created_at": scope.now,
                }
                for one in fresh
            ],
        )


def _signs(one: BalanceTransaction) -> dict[str, int]:
    return {"amount": one.amount, "fee": one.fee}


_KIND = {
    Movement.WITHDRAWN: ("dispute-opened", "Disputed"),
    Movement.COUNTERED: ("dispute-countered", "Dispute contested"),
    Movement.GIVEN_BACK: ("dispute-won", "Dispute won"),
}


def _entry(row: Row[Any], payment: Row[Any], moved: BalanceTransaction) -> JournalEntry:
    movement = rules.movement_of(**_signs(moved))
    assert movement is not None, "a movement of nothing is no entry"
    kind, words = _KIND[movement]
    currency, id = moved.currency, public_id("dispute", row.id)
    available = chart.psp_available(currency)
    disputed, fees = chart.account(chart.DISPUTED, currency, row.id), chart.account(chart.DISPUTE_FEE, currency)
    sides = ((disputed, -moved.amount), (fees, moved.fee))
    return JournalEntry(
        key=f"{kind}:{moved.id}",
        kind=kind,
        source=Source("dispute", row.id),
        postings=tuple(
            Posting(account, available, amount) if amount > 0 else Posting(available, account, -amount)
            for account, amount in sides
            if amount
        ),
        effective_at=moved.created or moved.available_on,
        description=f"{words} {payment.reference or public_id('payment', payment.id)}: {id}",
        reason={
            "payment": public_id("payment", payment.id),
            "provider_dispute": row.provider_dispute,
            "balance_transaction": moved.id,
            "reason": row.reason,
        },
    )


def _this(scope: WriteScope, id: UUID) -> tuple[Any, Any]:
    return dispute.c.platform_id == scope.platform, dispute.c.id == id


def _named(scope: WriteScope, id: UUID) -> dict[str, Any]:
    return {"platform": scope.platform, "dispute": id}
