"""Transfers: what was released goes to each seller's provider account, once.

One round plans (released payments become transfers with intents), claims due intents, commits, asks the provider
outside any transaction, and records what it answered together with the journal entries. A process that dies in
between leaves claimed intents; when their lease is over they are looked up at the provider before they are tried again.
"""

import asyncio
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Text, Uuid, bindparam, insert, select, text, update

from marketbill.db import WriteScope
from marketbill.ids import PlatformId, SellerId, new_id, public_id
from marketbill.ledger import chart, journal
from marketbill.ledger.journal import JournalEntry, Posting, Source
from marketbill.payments.model import payment, payment_share
from marketbill.payouts.model import TransferStatus, transfer
from marketbill.platforms.credentials import provider_of
from marketbill.prepared import prepared
from marketbill.provider import claim as claims
from marketbill.provider import intent as intents
from marketbill.provider.claim import LeaseOver
from marketbill.provider.intent import Intent, IntentDraft
from marketbill.provider.port import INTENT_METADATA, PROVIDER_ERRORS, Provider, ProviderError, Transfer, Unknown
from marketbill.provider.retry import Action
from marketbill.provider.stripe.units import transferable_part
from marketbill.sellers.model import seller
from marketbill.sellers.onboarding import open_gates, transfer_gate
from marketbill.services import Services

CREATE_TRANSFER = "create_transfer"
#: Payments planned in one round.
PLAN_MAX = 100
#: Intents claimed in one round: as many as can be asked for within the lease, even by a slow provider.
CLAIM_MAX = 24
#: Calls to the provider under way at once from one worker.
CALLS_MAX = 8
_ROUNDS_MAX = 800

_RELEASED = prepared(
    select(payment.c.id, payment.c.currency, payment.c.provider_charge)
    .where(
        payment.c.platform_id == bindparam("platform"),
        payment.c.released_at.is_not(None),
        payment.c.transfers_planned_at.is_(None),
    )
    .order_by(payment.c.released_at)
    .limit(PLAN_MAX)
    .with_for_update(skip_locked=True)
)
_SHARES = prepared(
    select(payment_share.c.payment_id, payment_share.c.seller_id, payment_share.c.seller_net, seller.c.provider_account)
    .add_columns(seller.c.transfers)
    .join(
        seller,
        (seller.c.platform_id == payment_share.c.platform_id) & (seller.c.id == payment_share.c.seller_id),
    )
    .where(
        payment_share.c.platform_id == bindparam("platform"),
        payment_share.c.payment_id == bindparam("payments", type_=ARRAY(Uuid)).any_(),
        payment_share.c.seller_net > 0,
    )
)
_PLANNED = prepared(
    update(payment)
    .where(
        payment.c.platform_id == bindparam("platform"),
        payment.c.id == bindparam("payments", type_=ARRAY(Uuid)).any_(),
    )
    .values(transfers_planned_at=bindparam("now"))
)
_INSERT = insert(transfer)
_HELD = prepared(
    select(transfer, seller.c.provider_account)
    .join(seller, (seller.c.platform_id == transfer.c.platform_id) & (seller.c.id == transfer.c.seller_id))
    .where(
        transfer.c.platform_id == bindparam("platform"),
        transfer.c.status == TransferStatus.HELD.value,
        seller.c.transfers == "ACTIVE",
    )
    .limit(PLAN_MAX)
    .with_for_update(of=transfer, skip_locked=True)
)
_UNHOLD = (
    update(transfer)
    .where(transfer.c.platform_id == bindparam("platform"), transfer.c.id == bindparam("transfer"))
    .values(
        status=TransferStatus.PENDING.value, reason=None, intent_id=bindparam("intent"), updated_at=bindparam("now")
    )
)
_BY_IDS = prepared(
    select(transfer).where(
        transfer.c.platform_id == bindparam("platform"), transfer.c.id == bindparam("ids", type_=ARRAY(Uuid)).any_()
    )
)
_SENT = prepared(
    text(
        """
    update transfer t set status = 'SENT', reason = null, provider_transfer = sent.provider_transfer, sent_at = :now,
      updated_at = :now
    from unnest(cast(:ids as uuid[]), cast(:provider_ids as text[])) as sent (id, provider_transfer)
    where t.platform_id = :platform and t.id = sent.id
    """
    ).bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("provider_ids", type_=ARRAY(Text)))
)
_EXPLAIN = (
    update(transfer)
    .where(
        transfer.c.platform_id == bindparam("platform"),
        transfer.c.id == bindparam("transfer"),
        transfer.c.status != TransferStatus.SENT.value,
    )
    .values(status=bindparam("new_status"), reason=bindparam("new_reason"), updated_at=bindparam("now"))
)
_WAITS = "The seller's account at the provider cannot receive transfers yet."


@dataclass(frozen=True, slots=True)
class _Done:
    intent: Intent
    transfer: Transfer


@dataclass(frozen=True, slots=True)
class _Failed:
    intent: Intent
    error: ProviderError


async def execute_transfers(services: Services, platform: PlatformId) -> None:
    """Plans and executes everything that is due now; safe to run in many workers at once."""
    for _ in range(_ROUNDS_MAX):
        async with services.db.write(platform) as scope:
            planned = await _plan(scope)
            woken = await _wake(scope)
            claimed = await claims.claim_due(scope, [CREATE_TRANSFER], CLAIM_MAX)
            provider = await provider_of(services, scope) if claimed else None
        if provider is not None:
            results, defects = await _ask_all(services, platform, provider, claimed)
            await _record(services, platform, results)
            if defects:
                raise defects[0]
        if not planned and not woken and len(claimed) < CLAIM_MAX:
            return


async def _plan(scope: WriteScope) -> int:
    """Released payments become transfers, one for each seller with something to get."""
    rows = await scope.rows(_RELEASED, {"platform": scope.platform})
    if not rows:
        return 0
    payments = {row.id: row for row in rows}
    found = await scope.rows(_SHARES, {"platform": scope.platform, "payments": list(payments)})
    amounts = {
        (share.payment_id, share.seller_id): transferable_part(share.seller_net, payments[share.payment_id].currency)
        for share in found
    }
    shares = [share for share in found if amounts[share.payment_id, share.seller_id] > 0]
    ids = {(share.payment_id, share.seller_id): new_id() for share in shares}
    ready = [share for share in shares if share.transfers == "ACTIVE" and share.provider_account]
    opened = await intents.open_intents(
        scope,
        [
            _draft(
                ids[share.payment_id, share.seller_id],
                amount=amounts[share.payment_id, share.seller_id],
                currency=payments[share.payment_id].currency,
                destination=share.provider_account,
                charge=payments[share.payment_id].provider_charge,
                payment_id=share.payment_id,
            )
            for share in ready
        ],
        send_now=False,
    )
    intent_ids = {intent.subject_id: intent.id for intent in opened}
    if shares:
        await scope.run(
            _INSERT,
            [
                _row(
                    scope,
                    ids[share.payment_id, share.seller_id],
                    share,
                    payments[share.payment_id],
                    amounts[share.payment_id, share.seller_id],
                    intent_ids,
                )
                for share in shares
            ],
        )
    await scope.run(_PLANNED, {"platform": scope.platform, "payments": list(payments), "now": scope.now})
    return len(rows)


async def _wake(scope: WriteScope) -> int:
    """Transfers that were held for a seller who may receive now get their intents."""
    rows = await scope.rows(_HELD, {"platform": scope.platform})
    opened = await intents.open_intents(
        scope,
        [
            _draft(
                row.id,
                amount=row.amount,
                currency=row.currency,
                destination=row.provider_account,
                charge=row.source_charge,
                payment_id=row.payment_id,
            )
            for row in rows
        ],
        send_now=False,
    )
    if opened:
        await scope.run(
            _UNHOLD,
            [
                {"platform": scope.platform, "transfer": intent.subject_id, "intent": intent.id, "now": scope.now}
                for intent in opened
            ],
        )
    return len(rows)


def _draft(id: UUID, *, amount: int, currency: str, destination: str, charge: str, payment_id: UUID) -> IntentDraft:
    request = {
        "amount": amount,
        "currency": currency,
        "destination": destination,
        "source_transaction": charge,
        "transfer_group": public_id("payment", payment_id),
        "description": public_id("transfer", id),
    }
    return IntentDraft(CREATE_TRANSFER, id, request)


def _row(
    scope: WriteScope, id: UUID, share: Row[Any], paid: Row[Any], amount: int, intent_ids: dict[UUID, UUID]
) -> dict[str, Any]:
    held = id not in intent_ids
    return {
        "platform_id": scope.platform,
        "id": id,
        "payment_id": share.payment_id,
        "seller_id": share.seller_id,
        "currency": paid.currency,
        "amount": amount,
        "status": TransferStatus.HELD if held else TransferStatus.PENDING,
        "reason": _WAITS if held else None,
        "source_charge": paid.provider_charge,
        "intent_id": intent_ids.get(id),
        "created_at": scope.now,
        "updated_at": scope.now,
    }


async def _ask_all(
    services: Services, platform: PlatformId, provider: Provider, claimed: Sequence[Intent]
) -> tuple[list[_Done | _Failed], list[BaseException]]:
    """Asks for each of them, also when one meets a defect; those whose lease ran out are left to whoever is next."""
    gate = asyncio.Semaphore(CALLS_MAX)

    async def ask(intent: Intent) -> _Done | _Failed | None:
        async with gate:
            try:
                return _Done(intent, await _send(services, platform, provider, intent))
            except LeaseOver:
                return None
            except PROVIDER_ERRORS as error:
                return _Failed(intent, error)

    ended = await asyncio.gather(*(ask(intent) for intent in claimed), return_exceptions=True)
    results = [one for one in ended if isinstance(one, _Done | _Failed)]
    return results, [one for one in ended if isinstance(one, BaseException)]


async def _send(services: Services, platform: PlatformId, provider: Provider, intent: Intent) -> Transfer:
    """The transfer that an earlier attempt made, or a new one under the intent's key."""
    claims.check_lease(intent)
    if intent.look_up_first:
        for found in await intents.looked_up(provider.find_transfers(intent.request["transfer_group"])):
            if found.destination == intent.request["destination"] and _ours(found, intent):
                return found
        intent = await _with_live_key(services, platform, intent)
        claims.check_lease(intent)
    return await provider.create_transfer(
        key=intent.key,
        metadata={
            "marketbill_transfer": public_id("transfer", intent.subject_id),
            INTENT_METADATA: public_id("provider intent", intent.id),
        },
        **intent.request,
    )


def _ours(found: Transfer, intent: Intent) -> bool:
    return found.intent_id == public_id("provider intent", intent.id)


async def _with_live_key(services: Services, platform: PlatformId, intent: Intent) -> Intent:
    async with services.db.write(platform) as scope:
        return await claims.renew_key(scope, intent) if intent.key_expired(scope.now) else intent


async def _record(services: Services, platform: PlatformId, results: Sequence[_Done | _Failed]) -> None:
    done = [result for result in results if isinstance(result, _Done)]
    failed = [result for result in results if isinstance(result, _Failed)]
    async with services.db.write(platform) as scope:
        if failed:
            gates = await open_gates(scope, {failure.intent.request["destination"] for failure in failed})
            for failure in failed:
                await _record_failure(scope, failure, gates)
        if done:
            await _record_done(scope, done)


async def _record_failure(scope: WriteScope, failure: _Failed, open_now: Collection[str]) -> None:
    intent = failure.intent
    gate = transfer_gate(intent.request["destination"])
    decision = await intents.record_failure(
        scope, intent, failure.error, jitter=random.random(), held_for=gate, seems_free=gate in open_now
    )
    if decision is None:
        return
    ended = decision.action in (Action.GIVE_UP, Action.FINAL)
    refused = ended and not isinstance(failure.error, Unknown)
    await scope.run(
        _EXPLAIN,
        {
            "platform": scope.platform,
            "transfer": intent.subject_id,
            "new_status": TransferStatus.REFUSED if refused else TransferStatus.PENDING,
            "new_reason": intents.explanation(intent, failure.error, given_up=ended),
            "now": scope.now,
        },
    )


async def _record_done(scope: WriteScope, done: Sequence[_Done]) -> None:
    """J6: recorded and booked together, and only by the worker that ends the intent."""
    ended = await intents.record_successes(scope, [(result.intent, result.transfer.id) for result in done])
    mine = [result for result in done if result.intent.id in ended]
    if not mine:
        return
    ids = [result.intent.subject_id for result in mine]
    rows = {row.id: row for row in await scope.rows(_BY_IDS, {"platform": scope.platform, "ids": ids})}
    await scope.run(
        _SENT,
        {
            "platform": scope.platform,
            "ids": ids,
            "provider_ids": [result.transfer.id for result in mine],
            "now": scope.now,
        },
    )
    await journal.post_all(scope, [_entry(scope, rows[result.intent.subject_id], result.transfer) for result in mine])


def _entry(scope: WriteScope, row: Row[Any], sent: Transfer) -> JournalEntry:
    owner, currency = SellerId(row.seller_id), row.currency
    id = public_id("transfer", row.id)
    return JournalEntry(
        key=f"transfer:{id}",
        kind="transfer",
        source=Source("transfer", row.id),
        postings=(
            Posting(chart.seller_payable(owner, currency), chart.psp_available(currency), row.amount),
            Posting(chart.custody_available(owner, currency), chart.custody_owed(owner, currency), row.amount),
        ),
        effective_at=scope.now,
        description=f"Transfer {id}",
        reason={"payment": public_id("payment", row.payment_id), "provider_transfer": sent.id},
    )
