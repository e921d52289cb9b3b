"""Settling: what the provider says of charges becomes journal entries, whole batches in one transaction.

Facts may come in any order and more than once; each milestone of a payment is booked once, because the payment's row is
locked and says what is booked already (and the journal's keys say it a second time).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, bindparam, select

from marketbill.db import WriteScope
from marketbill.ids import PaymentId, PlatformId, public_id
from marketbill.ledger.journal import JournalEntry
from marketbill.payments import booking, conversion, processor_fee, progress, volumes
from marketbill.payments.conversion import Policy, RateAmiss
from marketbill.payments.model import PaymentStatus, payment
from marketbill.payments.progress import Progress
from marketbill.payments.recording import tell_if_revived
from marketbill.payments.release import begin_holds, release
from marketbill.prepared import prepared
from marketbill.provider.objects import BalanceTransaction
from marketbill.rules.fees.schedule import Schedule
from marketbill.rules.settlement import BY_PROVIDER
from marketbill.services import Services

#: Payments booked in one transaction.
BATCH_MAX = 200
_ROUNDS_MAX = 500

_LOCKED = prepared(
    select(payment)
    .where(payment.c.platform_id == bindparam("platform"), payment.c.id == bindparam("ids", type_=ARRAY(Uuid)).any_())
    .order_by(payment.c.id)
    .with_for_update()
)
_FUNDS_DUE = prepared(
    select(payment)
    .where(
        payment.c.platform_id == bindparam("platform"),
        payment.c.settled_at.is_not(None),
        payment.c.available_at.is_(None),
        payment.c.available_on <= bindparam("now"),
    )
    .order_by(payment.c.available_on)
    .limit(BATCH_MAX)
    .with_for_update(skip_locked=True)
)


class ChargeMismatch(Exception):
    """The provider charged another amount or currency than the payment says: never booked, always an alarm."""


@dataclass(frozen=True, slots=True)
class ChargeFact:
    """What the provider says of a payment's charge. `transaction` is None until its fee is known."""

    payment: PaymentId
    provider_payment: str
    charge: str
    amount: int
    currency: str
    occurred_at: datetime
    transaction: BalanceTransaction | None = None


async def lock(scope: WriteScope, ids: Iterable[PaymentId]) -> dict[PaymentId, Row[Any]]:
    """Locks those of these payments that exist, in the order in which everybody locks them: by id."""
    rows = await scope.rows(_LOCKED, {"platform": scope.platform, "ids": list(ids)})
    return {PaymentId(row.id): row for row in rows}


async def settle(scope: WriteScope, facts: Sequence[ChargeFact]) -> None:
    """Books charges within a transaction; facts of payments that are not ours are passed over.

    Raises ChargeMismatch; RateMissing and RateTooOld where a rate was promised that there is not.
    """
    merged = _merge(facts)
    rows = await scope.rows(_LOCKED, {"platform": scope.platform, "ids": list(merged)})
    steps = await progress.begin(scope, rows)
    policy = await _policy(scope, steps, merged)
    schedules = await processor_fee.schedules_of(scope, rows)
    for step in steps:
        fact = merged[PaymentId(step.row.id)]
        _book_charge(step, fact)
        if fact.transaction is not None:
            _book_provider_fee(step, fact, fact.transaction, policy)
            _bear_provider_fee(step, schedules, fact.occurred_at)
            _make_available(step, scope.now, already=fact.transaction.status == "available")
    await release(scope, steps)
    await volumes.add(scope, steps)
    await progress.record(scope, steps)


async def funds_available(services: Services, platform: PlatformId) -> None:
    """Books the funds that the provider has made available since, and releases what is due with them."""
    for _ in range(_ROUNDS_MAX):
        async with services.db.write(platform) as scope:
            rows = await scope.rows(_FUNDS_DUE, {"platform": platform, "now": scope.now})
            steps = await progress.begin(scope, rows)
            for step in steps:
                _make_available(step, scope.now)
            await release(scope, steps)
            await progress.record(scope, steps)
        if len(rows) < BATCH_MAX:
            return


def _merge(facts: Sequence[ChargeFact]) -> dict[PaymentId, ChargeFact]:
    merged: dict[PaymentId, ChargeFact] = {}
    for fact in facts:
        known = merged.get(fact.payment)
        if known is not None:
            fact = replace(
                known,
                transaction=known.transaction or fact.transaction,
                occurred_at=min(known.occurred_at, fact.occurred_at),
            )
        merged[fact.payment] = fact
    return merged


def _book_charge(step: Progress, fact: ChargeFact) -> None:
    row, values = step.row, step.values
    if values["booked_at"] is not None:
        return
    if (fact.amount, fact.currency) != (row.gross, row.currency):
        raise ChargeMismatch(
            f"{public_id('payment', row.id)}: charged {fact.amount} {fact.currency}, sold {row.gross} {row.currency}"
        )
    tell_if_revived(row, fact.provider_payment)
    values["status"] = PaymentStatus.SUCCEEDED
    values["provider_payment"] = fact.provider_payment
    values["provider_charge"] = fact.charge
    values["next_action"] = values["decline"] = None
    values["succeeded_at"] = values["succeeded_at"] or fact.occurred_at
    values["booked_at"] = fact.occurred_at
    begin_holds(step)
    for entry in _sale(step, fact.occurred_at):
        step.post(entry)


def _sale(step: Progress, at: datetime) -> list[JournalEntry]:
    """The entries with which a sale begins: the same whenever they are asked for."""
    made = (
        booking.charge(step.row, step.shares, at),
        booking.promo(step.row, step.shares, at),
        booking.split(step.row, step.shares, at),
    )
    return [entry for entry in made if entry is not None]


def _sold_on(step: Progress, fact: ChargeFact) -> date:
    return (step.values["succeeded_at"] or fact.occurred_at).date()


async def _policy(scope: WriteScope, steps: Sequence[Progress], facts: Mapping[PaymentId, ChargeFact]) -> Policy:
    """What conversions in these facts need to know; nothing where there are none, as nearly always."""
    wanted: list[tuple[str, str, date]] = []
    for step in steps:
        fact = facts[PaymentId(step.row.id)]
        transaction = fact.transaction
        if transaction and transaction.currency != step.row.currency and step.values["settled_at"] is None:
            wanted.append((step.row.currency, transaction.currency, _sold_on(step, fact)))
    return await conversion.policy_of(scope, wanted) if wanted else Policy(BY_PROVIDER, {})


def _convert(step: Progress, fact: ChargeFact, transaction: BalanceTransaction, policy: Policy) -> None:
    row, values, at = step.row, step.values, fact.occurred_at
    try:
        made = conversion.convert(
            row, step.shares, _sale(step, at), transaction, policy, sold_on=_sold_on(step, fact), at=at
        )
    except RateAmiss as amiss:
        raise ChargeMismatch(f"{public_id('payment', row.id)}: {amiss}") from amiss
    values["settlement_currency"] = transaction.currency
    values["settlement_gross"] = transaction.amount
    values["settlement_rate"] = made.rate
    step.nets = made.nets
    step.post(made.entry)


def _book_provider_fee(step: Progress, fact: ChargeFact, transaction: BalanceTransaction, policy: Policy) -> None:
    row, values = step.row, step.values
    if values["settled_at"] is not None:
        return
    if transaction.currency != row.currency:
        _convert(step, fact, transaction, policy)
    elif transaction.amount != row.gross:
        raise ChargeMismatch(
            f"{public_id('payment', row.id)}: the provider settles {transaction.amount} {transaction.currency}"
            f" for a sale of {row.gross} {row.currency}"
        )
    values["settled_at"] = fact.occurred_at
    values["provider_balance_transaction"] = transaction.id
    values["provider_fee"] = transaction.fee
    values["available_on"] = transaction.available_on
    settled, _ = step.as_settled()
    step.post(booking.provider_fee(settled, transaction.fee, transaction.id, fact.occurred_at))


def _bear_provider_fee(step: Progress, schedules: Mapping[UUID, Schedule], at: datetime) -> None:
    """The sellers' part of the provider's fee, which was an estimate until now."""
    row, values = step.row, step.values
    schedule = schedules.get(row.fee_schedule_id)
    if schedule is None or row.settled_at is not None or values["settlement_currency"] is not None:
        return
    step.borne = processor_fee.corrections(row, step.shares, schedule, values["provider_fee"])
    step.shares = [
        share._replace(
            processor_fee=share.processor_fee + step.borne.get(share.seller_id, 0),
            seller_net=share.seller_net - step.borne.get(share.seller_id, 0),
        )
        for share in step.shares
    ]
    values["processor_fee"] = sum(share.processor_fee for share in step.shares)
    values["seller_net"] = sum(share.seller_net for share in step.shares)
    step.post(booking.processor_fee(row, step.borne, at))


def _make_available(step: Progress, now: datetime, *, already: bool = False) -> None:
    values = step.values
    if values["available_at"] is not None or not (already or values["available_on"] <= now):
        return
    values["available_at"] = now
    settled, _ = step.as_settled()
    step.post(booking.funds_available(settled, values["provider_fee"], now))
