"""Handling what came in: events become facts, facts become transitions that may be applied twice and in any order.

A batch is claimed and committed, what must be read from the provider is read outside any transaction, and then all
effects and the mark "handled" are one transaction. When a batch fails, its events are tried one by one, so that a bad
event waits alone with its error; only when the provider is away do they wait together.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeGuard

import structlog

from marketbill import errors
from marketbill.errors import NotFound, Unavailable
from marketbill.events import inbox
from marketbill.events.inbox import StoredEvent
from marketbill.ids import PaymentId, PayoutId, PlatformId, RefundId, parse_id
from marketbill.payments import charging, recording, settle
from marketbill.payments.settle import ChargeFact
from marketbill.payouts import pauses, treasury
from marketbill.payouts import payout as payouts
from marketbill.payouts import transfer as transfers
from marketbill.platforms.credentials import provider_of
from marketbill.provider.objects import BalanceTransaction, PaymentState, Payout, Refund
from marketbill.provider.port import BadObject, Failure, Provider, Unknown
from marketbill.provider.stripe import parse_event
from marketbill.provider.stripe.facts import (
    AccountChanged,
    ChargeSucceeded,
    Fact,
    FundsAvailable,
    OwnMoneyMoved,
    PaymentChanged,
    PayoutChanged,
    RefundChanged,
    fact_of,
)
from marketbill.refunds import outcome as refunds
from marketbill.sellers import onboarding
from marketbill.services import Services
from marketbill.webhooks import disputed

BATCH_MAX = 100
CALLS_MAX = 8
_ROUNDS_MAX = 200
#: From this many charges on, their balance transactions are read as a list instead of one by one.
_LIST_FROM = 4
#: So many events in a row without an answer of the provider, and the others are not tried now.
_SILENT_MAX = 3
#: Claims without an end after which an event, and who was claimed with it, is tried alone: it may end its worker.
_UNTOLD_MAX = 3
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Told:
    """An event and the fact in it; `fact` is None when there is nothing to do but mark it handled."""

    event: StoredEvent
    fact: Fact | None


@dataclass(slots=True)
class _Read:
    """What the provider was asked for, by id."""

    transactions: dict[str, BalanceTransaction] = field(default_factory=dict)
    payments: dict[str, PaymentState] = field(default_factory=dict)
    payouts: dict[str, Payout] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)

    def came_back(self, fact: Fact | None) -> TypeGuard[PayoutChanged]:
        """Whether it is a payout of ours that failed: then the account's bank may be closed for payouts."""
        told = self.payouts.get(fact.payout_id) if isinstance(fact, PayoutChanged) else None
        return told is not None and told.status == "failed"


async def handle_events(services: Services, platform: PlatformId) -> None:
    """Handles every waiting event of a platform; safe to run in many workers at once."""
    for _ in range(_ROUNDS_MAX):
        async with services.db.write(platform) as scope:
            events = await inbox.claim(scope, BATCH_MAX)
            provider = await provider_of(services, scope) if events else None
        if provider is None:
            return
        if not await _handle(services, platform, provider, events):
            await _handle_apart(services, platform, provider, events)
        if len(events) < BATCH_MAX:
            return


async def _handle(services: Services, platform: PlatformId, provider: Provider, events: Sequence[StoredEvent]) -> bool:
    """All events in one transaction; False when one of them is bad, which only trying them one by one can tell."""
    if any(event.untold > _UNTOLD_MAX for event in events):
        return False
    try:
        await _apply(services, platform, provider, events)
    except Unavailable:
        raise
    except Exception as error:
        if _is_away(error) and all(event.attempts <= 1 for event in events):
            await _postpone(services, platform, events, error)
            return True
        log.warning("batch of events failed, trying them one by one", count=len(events), error=type(error).__name__)
        return False
    return True


async def _handle_apart(
    services: Services, platform: PlatformId, provider: Provider, events: Sequence[StoredEvent]
) -> None:
    """One by one; the rest is postponed when the provider gives no answer to several in a row.

    In a new order each time, so that a few for which it never answers are not always the first.
    """
    waiting = random.sample(events, len(events))
    silent = 0
    while waiting and silent < _SILENT_MAX:
        silent = silent + 1 if await _handle_alone(services, platform, provider, waiting.pop()) else 0
    if waiting:
        reason = Unknown(Failure(None, "no_answer", "The provider gave no answer to the events before this one."))
        await _postpone(services, platform, waiting, reason)


async def _handle_alone(services: Services, platform: PlatformId, provider: Provider, event: StoredEvent) -> bool:
    """True when the provider was silent. Whatever is wrong with an event stays with it."""
    try:
        await _apply(services, platform, provider, [event])
    except Unavailable:
        raise
    except Exception as error:
        await _postpone(services, platform, [event], error)
        return _is_away(error)
    return False


def _is_away(error: Exception) -> bool:
    """Whether the provider gave no answer at all; one that we do not understand is a matter of its event alone."""
    if not isinstance(error, Unknown):
        return False
    status = error.failure.status
    return status is None or status >= 500 or status == 429


async def _postpone(services: Services, platform: PlatformId, events: Sequence[StoredEvent], error: Exception) -> None:
    """Notes why, and when to try again; an event is never given up while it is the provider that does not answer. One
    whose object is broken waits for an operator at once, for it will not be another one tomorrow."""
    reason = f"{error}" if isinstance(error, BadObject) else errors.told(error)
    log.error("events not handled", ids=[event.id for event in events[:5]], count=len(events), error=reason)
    most = inbox.ATTEMPTS_AWAY if isinstance(error, Unknown) else inbox.ATTEMPTS_MAX
    async with services.db.write(platform) as scope:
        for event in events:
            at = None if isinstance(error, BadObject) else inbox.retry_at(scope.now, min(event.attempts, most))
            await inbox.mark_failed(scope, event.id, reason, at, attempts_most=most)


async def _apply(services: Services, platform: PlatformId, provider: Provider, events: Sequence[StoredEvent]) -> None:
    told = [_Told(event, fact_of(parse_event(event.raw))) for event in events]
    told = await _without_old_news(services, platform, told)
    facts = [item.fact for item in told]
    read = await _read(provider, told)
    disputes = await disputed.read(provider, facts)
    accounts = {fact.account_id for fact in facts if isinstance(fact, AccountChanged) or read.came_back(fact)}
    if accounts:
        await onboarding.refresh(services, platform, accounts)
    changed = {fact.account_id for fact in facts if isinstance(fact, AccountChanged) and fact.bank_changed}
    if changed:
        async with services.db.write(platform) as scope:
            await pauses.bank_changed(scope, changed)
    # Each payout in a transaction of its own: whoever posts holds the books' lock, and may lock no row after that.
    for fact in facts:
        if isinstance(fact, PayoutChanged) and fact.payout:
            async with services.db.write(platform) as scope:
                told_payout = read.payouts[fact.payout_id]
                id = PayoutId(parse_id("payout", fact.payout))
                await payouts.apply(scope, id, told_payout, account=fact.account_id)
    for id, refund in _refunds(facts, read):
        async with services.db.write(platform) as scope:
            await refunds.apply(scope, id, refund)
    await disputed.apply(services, platform, disputes)
    changed = [
        (payment_id, read.payments[fact.payment_id])
        for fact in facts
        if isinstance(fact, PaymentChanged) and (payment_id := _payment(fact.transfer_group))
    ]
    charges = _charges(told, read)
    async with services.db.write(platform) as scope:
        # All at once and by id, so that two workers with the same payments wait for one another and never in a circle.
        rows = await settle.lock(scope, {id for id, _ in changed} | {charge.payment for charge in charges})
        taken = {id: state.id for id, state in changed} | {one.payment: one.provider_payment for one in charges}
        late = charging.unanswered(rows, taken, scope.now)
        for payment_id, state in changed:
            if payment_id in rows:
                rows[payment_id] = await recording.record_state(scope, rows[payment_id], state, services)
        await inbox.mark_handled(scope, [event.id for event in events])
        if any(isinstance(fact, FundsAvailable) for fact in facts):
            await transfers.funds_came(scope)
        if any(isinstance(fact, OwnMoneyMoved) for fact in facts):
            await treasury.money_moved(scope)
        await settle.settle(scope, charges)
    await charging.record_taken(services, platform, late)
    if any(isinstance(fact, FundsAvailable) for fact in facts):
        await settle.funds_available(services, platform)


async def _without_old_news(services: Services, platform: PlatformId, told: Sequence[_Told]) -> list[_Told]:
    """Without the making of payouts that we know to be made: nearly all, and each would be read from the provider."""
    begun = [(fact.payout, fact.payout_id) for item in told if _is_begun(fact := item.fact) and fact.payout]
    if not begun:
        return list(told)
    async with services.db.read(platform) as scope:
        known = await payouts.are_known(scope, begun)
    return [
        replace(item, fact=None) if _is_begun(item.fact) and item.fact.payout_id in known else item for item in told
    ]


def _is_begun(fact: Fact | None) -> TypeGuard[PayoutChanged]:
    return isinstance(fact, PayoutChanged) and fact.begun


def _charges(told: Sequence[_Told], read: _Read) -> list[ChargeFact]:
    charges: list[ChargeFact] = []
    for item in told:
        fact = item.fact
        if isinstance(fact, ChargeSucceeded) and (payment_id := _payment(fact.transfer_group)):
            transaction = read.transactions[fact.balance_transaction] if fact.balance_transaction else None
            charges.append(
                ChargeFact(
                    payment=payment_id,
                    provider_payment=fact.payment_id,
                    charge=fact.charge_id,
                    amount=fact.amount,
                    currency=fact.currency,
                    occurred_at=item.event.occurred_at,
                    transaction=transaction,
                )
            )
    return charges


def _refunds(facts: Sequence[Fact | None], read: _Read) -> list[tuple[RefundId, Refund]]:
    """Each refund of ours once, as the provider told it."""
    told = {fact.refund_id: fact.refund for fact in facts if isinstance(fact, RefundChanged) and fact.refund}
    found: list[tuple[RefundId, Refund]] = []
    for provider_id, ours in told.items():
        try:
            found.append((RefundId(parse_id("refund", ours)), read.refunds[provider_id]))
        except NotFound:
            log.warning("a refund names none of ours", provider_refund=provider_id, refund=ours[:100])
    return found


def _payment(transfer_group: str | None) -> PaymentId | None:
    """Our payment that a transfer group names; None for a charge that is not ours."""
    try:
        return PaymentId(parse_id("payment", transfer_group or ""))
    except NotFound:
        return None


async def _read(provider: Provider, told: Sequence[_Told]) -> _Read:
    read, gate = _Read(), asyncio.Semaphore(CALLS_MAX)
    wanted = {
        item.fact.balance_transaction: item.event
        for item in told
        if isinstance(item.fact, ChargeSucceeded)
        and item.fact.balance_transaction
        and _payment(item.fact.transfer_group)
    }
    if len(wanted) >= _LIST_FROM:
        since = min(event.occurred_at for event in wanted.values()) - timedelta(minutes=1)
        until = max(event.occurred_at for event in wanted.values()) + timedelta(minutes=1)
        listed = await provider.list_balance_transactions(
            created_from=since, created_until=until, type="charge", limit=2 * len(wanted)
        )
        read.transactions = {found.id: found for found in listed if found.id in wanted}

    async def transaction(id: str) -> None:
        async with gate:
            read.transactions[id] = await provider.retrieve_balance_transaction(id)

    async def payment(id: str) -> None:
        async with gate:
            read.payments[id] = await provider.retrieve_payment(id)

    async def payout(fact: PayoutChanged) -> None:
        async with gate:
            read.payouts[fact.payout_id] = await provider.retrieve_payout(fact.account_id, fact.payout_id)

    async def refund(id: str) -> None:
        async with gate:
            read.refunds[id] = await provider.retrieve_refund(id)

    facts = [item.fact for item in told]
    refund_ids = {fact.refund_id for fact in facts if isinstance(fact, RefundChanged) and fact.refund}
    payments = {fact.payment_id for fact in facts if isinstance(fact, PaymentChanged) and _payment(fact.transfer_group)}
    payout_facts = {fact.payout_id: fact for fact in facts if isinstance(fact, PayoutChanged) and fact.payout}
    await asyncio.gather(
        *(transaction(id) for id in wanted if id not in read.transactions),
        *(payment(id) for id in payments),
        *(payout(fact) for fact in payout_facts.values()),
        *(refund(id) for id in refund_ids),
    )
    return read
