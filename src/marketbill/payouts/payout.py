"""Payouts: from a seller's provider account to his bank, on request. The money is claimed in the ledger first."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, insert, select, update

from marketbill.actor import Actor
from marketbill.db import Scope, WriteScope
from marketbill.errors import InsufficientFunds, InvalidInput, NotFound, SellerNotAllowed, StateConflict
from marketbill.events import outbox
from marketbill.idempotency import keys as idempotency
from marketbill.ids import PayoutId, PlatformId, SellerId, new_id, parse_id, public_id
from marketbill.ledger import accounts, chart, journal
from marketbill.ledger.journal import GuardBroken, JournalEntry, Posting, Source
from marketbill.money import bounded, decimal_text, exponent
from marketbill.payouts.model import PayoutStatus, payout
from marketbill.platforms.credentials import provider_of
from marketbill.platforms.keys import tenant
from marketbill.provider import claim as claims
from marketbill.provider import ending
from marketbill.provider import intent as intents
from marketbill.provider import saga as sagas
from marketbill.provider.intent import Intent
from marketbill.provider.kinds import CREATE_PAYOUT
from marketbill.provider.model import provider_intent
from marketbill.provider.objects import Payout
from marketbill.provider.port import INTENT_METADATA, Provider
from marketbill.provider.saga import Done, Refusal, Saga, Setback
from marketbill.provider.stripe.units import payable_part, to_stripe_payout
from marketbill.sellers import seller as sellers
from marketbill.sellers.onboarding import doubt, open_gates, payout_gate
from marketbill.services import Services

_ROUNDS_MAX = 200
_ONE = (payout.c.platform_id == bindparam("platform")) & (payout.c.id == bindparam("payout"))
_LOCK = (
    select(payout, provider_intent.c.request["account_id"].as_string().label("account"))
    .join(
        provider_intent,
        (provider_intent.c.platform_id == payout.c.platform_id) & (provider_intent.c.id == payout.c.intent_id),
    )
    .where(_ONE)
    .with_for_update(of=payout)
)
_FROM_PROVIDER = {
    "pending": PayoutStatus.CREATED,
    "in_transit": PayoutStatus.IN_TRANSIT,
    "paid": PayoutStatus.PAID,
    "failed": PayoutStatus.FAILED,
    "canceled": PayoutStatus.CANCELED,
}
_RETURNED = (PayoutStatus.FAILED, PayoutStatus.CANCELED, PayoutStatus.REFUSED)


class PayoutMismatch(StateConflict):
    """The provider tells of another amount, currency or account than the payout has: never booked, always an alarm."""


@dataclass(frozen=True, slots=True)
class PayoutDraft:
    """A payout as requested; without `amount` (minor units) everything that is available is paid out."""

    seller_id: str
    currency: str
    amount: int | None = None


async def create(services: Services, actor: Actor, *, idempotency_key: str, draft: PayoutDraft) -> Row[Any]:
    """Claims the money in the ledger (J7) and leaves the call to the worker.

    Raises NotFound, InvalidInput, SellerNotAllowed (gate PAYOUT), InsufficientFunds.
    """
    platform = tenant(actor)
    exponent(draft.currency, path=("currency",))
    if draft.amount is not None:
        bounded(draft.amount, path=("amount",))
        if draft.amount <= 0:
            raise InvalidInput("The amount must be more than zero.", path=("amount",), constraint="> 0")
    seller_id = SellerId(parse_id("seller", draft.seller_id, path=("sellerId",)))
    if actor.seller is not None and actor.seller != seller_id:
        raise NotFound("seller", draft.seller_id, path=("sellerId",))
    body = {"seller_id": draft.seller_id, "currency": draft.currency, "amount": draft.amount}
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="payoutCreate", key=idempotency_key, body=body
        )
        if claim.replay is not None:
            return await load(scope, PayoutId(parse_id("payout", claim.replay["id"])))
        seller = await sellers.load(scope, seller_id, path=("sellerId",), lock=True)
        _gate(seller)
        amount = draft.amount or await _available(scope, seller_id, draft.currency)
        to_stripe_payout(amount, draft.currency)
        row = await _insert(scope, seller, draft.currency, amount)
        await idempotency.finish(scope, claim, {"id": public_id("payout", row.id)})
        await outbox.enqueue(scope, "execute_payouts", str(platform))
        await _claim_money(scope, row)
        return row


async def load(scope: Scope, id: PayoutId, *, path: tuple[str, ...] = ()) -> Row[Any]:
    """One payout. Raises NotFound."""
    row = await scope.first(select(payout).where(_ONE), {"platform": scope.platform, "payout": id})
    if row is None:
        raise NotFound("payout", public_id("payout", id), path=path)
    return row


async def execute_payouts(services: Services, platform: PlatformId) -> None:
    """Asks the provider for every payout that is due now; safe to run in many workers at once."""
    for _ in range(_ROUNDS_MAX):
        async with services.db.write(platform) as scope:
            claimed = await claims.claim_due(scope, [CREATE_PAYOUT], sagas.BATCH_MAX)
            provider = await provider_of(services, scope) if claimed else None
        if provider is not None:
            await sagas.run(services.db, platform, provider, PAYOUT, claimed)
        if len(claimed) < sagas.BATCH_MAX:
            return


async def apply(scope: WriteScope, id: PayoutId, told: Payout, *, account: str) -> None:
    """What the provider says of a payout of `account`, in any order: `failed` wins over `paid`, nothing else goes back
    (J8). A payout that was taken for refused, but was made, claims its money again.

    Raises PayoutMismatch, and GuardBroken when money that must be claimed again is gone.
    """
    # Before the payout's row is locked: so does the worker who records what his own request made.
    await ending.record_news(scope, CREATE_PAYOUT, [(id, told.id)])
    row = await scope.first(_LOCK, {"platform": scope.platform, "payout": id})
    if row is None:
        return
    _match(row, told, account)
    current, new = PayoutStatus(row.status), _FROM_PROVIDER[told.status]
    entries: list[JournalEntry] = []
    if current is PayoutStatus.REFUSED and new not in _RETURNED:
        entries.append(_reclaimed(row, scope))
        current = PayoutStatus.CREATED
    if current in _RETURNED or (current is PayoutStatus.PAID and new is not PayoutStatus.FAILED):
        return
    values: dict[str, Any] = {"provider_payout": told.id, "arrival_on": told.arrival_date, "reason": None}
    if new is PayoutStatus.PAID:
        entries.append(_paid(row, scope))
        values |= {"status": new, "paid_at": scope.now}
    elif new in _RETURNED:
        entries.append(_returned(row, scope, after_paid=current is PayoutStatus.PAID, provider_payout=told.id))
        values |= {"status": new, "reason": told.failure_code or new.lower()}
    elif (current, new) != (PayoutStatus.IN_TRANSIT, PayoutStatus.CREATED):
        values["status"] = new
    await _update(scope, row.id, values)
    await journal.post_all(scope, entries)


def _match(row: Row[Any], told: Payout, account: str) -> None:
    ours, theirs = (row.amount, row.currency, row.account), (told.amount, told.currency, account)
    if ours != theirs:
        id = public_id("payout", row.id)
        raise PayoutMismatch(f"{id} is {ours}, but the provider's {told.id} is {theirs}.", current_state=row.status)


async def _look_up(provider: Provider, intent: Intent) -> Payout | None:
    since = intent.created_at - timedelta(minutes=5)
    account, until = intent.request["account_id"], intent.look_up_until
    for found in await provider.find_payouts(account, created_from=since, created_until=until):
        if found.intent_id == intent.public_id:
            return found
    return None


async def _send(provider: Provider, intent: Intent) -> Payout:
    return await provider.create_payout(
        intent.request["account_id"],
        key=intent.key,
        amount=intent.request["amount"],
        currency=intent.request["currency"],
        metadata={
            "marketbill_payout": public_id("payout", intent.subject_id),
            INTENT_METADATA: intent.public_id,
        },
    )


def _mismatch(intent: Intent, made: Payout) -> str | None:
    asked, told = (intent.request["amount"], intent.request["currency"]), (made.amount, made.currency)
    return None if told == asked else f"{intent.public_id} asked for {asked}, but the provider's {made.id} is {told}."


async def _succeeded(scope: WriteScope, done: Sequence[Done[Payout]]) -> None:
    for one in done:
        await apply(scope, PayoutId(one.intent.subject_id), one.made, account=one.intent.request["account_id"])


async def _failed(scope: WriteScope, setback: Setback) -> None:
    """The money goes back on a definite answer only: without one the payout may have been made."""
    await doubt(scope, setback)
    row = await scope.first(_LOCK, {"platform": scope.platform, "payout": setback.intent.subject_id})
    if row is None or row.status != PayoutStatus.CREATED:
        return
    if setback.refused:
        await _give_back(scope, row, setback.reason)
    else:
        await _update(scope, row.id, {"reason": setback.reason})


async def _abandoned(scope: WriteScope, intent: Intent, reason: str) -> None:
    """An operator gave it up, after a look-up proved that it was not made."""
    row = await scope.first(_LOCK, {"platform": scope.platform, "payout": intent.subject_id})
    if row is not None and row.status == PayoutStatus.CREATED:
        await _give_back(scope, row, f"Abandoned by an operator: {reason}")


async def _retried(scope: WriteScope, intent: Intent) -> None:
    row = await load(scope, PayoutId(intent.subject_id))
    if row.status != PayoutStatus.CREATED:
        raise StateConflict(
            "This payout gave its money back: ask for another one with payoutCreate.",
            current_state=row.status,
            path=("id",),
        )


async def _give_back(scope: WriteScope, row: Row[Any], reason: str) -> None:
    await _update(scope, row.id, {"status": PayoutStatus.REFUSED, "reason": reason[:500]})
    await journal.post_all(scope, [_returned(row, scope, after_paid=False)])


def _gate_of(intent: Intent) -> str:
    return payout_gate(intent.request["account_id"])


async def _open_gates(scope: WriteScope, waiting: Sequence[Intent]) -> Collection[str]:
    return await open_gates(scope, {intent.request["account_id"] for intent in waiting})


def _gate(seller: Row[Any]) -> None:
    if seller.provider_account is None or not seller.payouts_enabled:
        raise SellerNotAllowed(
            f"{seller.name} cannot be paid out yet: the provider still needs something from him.",
            seller_id=public_id("seller", seller.id),
            gate="PAYOUT",
            path=("sellerId",),
        )


async def _available(scope: Scope, seller_id: SellerId, currency: str) -> int:
    amount = payable_part(await _custody(scope, seller_id, currency), currency)
    if amount <= 0:
        raise InsufficientFunds(
            "There is nothing to pay out in this currency.", available_minor=0, currency=currency, path=("amount",)
        )
    return amount


async def _custody(scope: Scope, seller_id: SellerId, currency: str) -> int:
    ref = chart.custody_available(seller_id, currency)
    account = (await accounts.accounts_by_refs(scope, [ref])).get(ref)
    return account.available if account else 0


async def _insert(scope: WriteScope, seller: Row[Any], currency: str, amount: int) -> Row[Any]:
    id = new_id()
    intent = await intents.open_intent(
        scope,
        kind=CREATE_PAYOUT,
        subject_id=id,
        request={"account_id": seller.provider_account, "amount": amount, "currency": currency},
        send_now=False,
    )
    row = await scope.one(
        insert(payout)
        .values(
            platform_id=scope.platform,
            id=id,
            seller_id=seller.id,
            currency=currency,
            amount=amount,
            status=PayoutStatus.CREATED,
            intent_id=intent.id,
            created_at=scope.now,
            updated_at=scope.now,
        )
        .returning(payout)
    )
    return row


async def _claim_money(scope: WriteScope, row: Row[Any]) -> None:
    seller_id, currency = SellerId(row.seller_id), row.currency
    posting = Posting(
        chart.custody_in_transit(seller_id, currency), chart.custody_available(seller_id, currency), row.amount
    )
    try:
        await journal.post_all(scope, [_entry(row, scope, "payout-created", "Payout", posting)])
    except GuardBroken as broken:
        available = await _custody(scope, seller_id, currency)
        raise InsufficientFunds(
            f"Only {decimal_text(available, currency)} {currency} is available.",
            available_minor=available,
            currency=currency,
            path=("amount",),
        ) from broken


def _paid(row: Row[Any], scope: WriteScope) -> JournalEntry:
    seller_id, currency = SellerId(row.seller_id), row.currency
    posting = Posting(
        chart.custody_owed(seller_id, currency), chart.custody_in_transit(seller_id, currency), row.amount
    )
    return _entry(row, scope, "payout-paid", "Paid out", posting)


def _returned(
    row: Row[Any], scope: WriteScope, *, after_paid: bool, provider_payout: str | None = None
) -> JournalEntry:
    """`provider_payout` is None when the provider never made it; a payout may come back in either way, once each."""
    seller_id, currency = SellerId(row.seller_id), row.currency
    source = chart.custody_owed(seller_id, currency) if after_paid else chart.custody_in_transit(seller_id, currency)
    posting = Posting(chart.custody_available(seller_id, currency), source, row.amount)
    return _entry(row, scope, "payout-failed", "Payout came back", posting, of=provider_payout)


def _reclaimed(row: Row[Any], scope: WriteScope) -> JournalEntry:
    seller_id, currency = SellerId(row.seller_id), row.currency
    posting = Posting(
        chart.custody_in_transit(seller_id, currency), chart.custody_available(seller_id, currency), row.amount
    )
    return _entry(row, scope, "payout-reclaimed", "Made after all: claimed again for payout", posting)


def _entry(
    row: Row[Any], scope: WriteScope, kind: str, words: str, posting: Posting, *, of: str | None = None
) -> JournalEntry:
    id = public_id("payout", row.id)
    return JournalEntry(
        key=f"{kind}:{id}" + (f":{of}" if of else ""),
        kind=kind,
        source=Source("payout", row.id),
        postings=(posting,),
        effective_at=scope.now,
        description=f"{words} {id}",
        reason={"seller": public_id("seller", row.seller_id)},
    )


async def _update(scope: WriteScope, id: UUID, values: dict[str, Any]) -> None:
    await scope.run(
        update(payout)
        .where(payout.c.platform_id == scope.platform, payout.c.id == id)
        .values(**values, updated_at=scope.now)
    )


#: The saga of a payout. Its money is claimed before it is asked for, and goes back when it is refused for certain.
PAYOUT = Saga(
    kind=CREATE_PAYOUT,
    look_up=_look_up,
    send=_send,
    provider_id=lambda made: made.id,
    mismatch=_mismatch,
    succeeded=_succeeded,
    failed=_failed,
    refusal=Refusal.RETURNS,
    gate=_gate_of,
    open_gates=_open_gates,
    retried=_retried,
    abandoned=_abandoned,
)
