"""Reversals: money of transfers comes back from sellers' accounts to the platform's balance (R2).

Best effort: whoever needs the money waits until the provider answered, or once failed to answer, and not longer. What
comes later pays what the seller owes by then, and goes back to him otherwise.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, bindparam, insert, select, text
from sqlalchemy.dialects.postgresql import JSONB

from marketbill.db import WriteScope
from marketbill.errors import StateConflict
from marketbill.events import outbox
from marketbill.ids import PlatformId, SellerId, new_id, public_id
from marketbill.ledger import chart, journal
from marketbill.ledger.journal import JournalEntry, Posting, Source
from marketbill.payouts import again, custody, items, netting, unsent
from marketbill.payouts.again import Again
from marketbill.payouts.items import Item
from marketbill.payouts.model import ReversalStatus, TransferStatus, reversal, transfer
from marketbill.payouts.netting import Due
from marketbill.payouts.unsent import Less
from marketbill.platforms.credentials import provider_of
from marketbill.prepared import prepared
from marketbill.provider import claim as claims
from marketbill.provider import intent as intents
from marketbill.provider import saga as sagas
from marketbill.provider.intent import Intent, IntentDraft
from marketbill.provider.kinds import REVERSE_TRANSFER
from marketbill.provider.model import provider_intent
from marketbill.provider.objects import Reversal
from marketbill.provider.port import INTENT_METADATA, Provider
from marketbill.provider.saga import Done, Refusal, Saga, Setback
from marketbill.sellers.model import seller
from marketbill.services import Services

#: Which job goes on when the reversals for a cause are decided.
JOBS = {"refund": "execute_refunds", "dispute": "execute_disputes"}
#: Waiting reversals looked at in one round.
_WAITING_MAX = 100
_ROUNDS_MAX = 200
_INSERT = insert(reversal)
_BY_IDS = prepared(
    select(reversal)
    .where(reversal.c.platform_id == bindparam("platform"), reversal.c.id == bindparam("ids", type_=ARRAY(Uuid)).any_())
    .order_by(reversal.c.id)
    .with_for_update()
)
_WAITING = prepared(
    select(reversal, provider_intent.c.last_error)
    .join(transfer, (transfer.c.platform_id == reversal.c.platform_id) & (transfer.c.id == reversal.c.transfer_id))
    .outerjoin(
        provider_intent,
        (provider_intent.c.platform_id == transfer.c.platform_id) & (provider_intent.c.id == transfer.c.intent_id),
    )
    .where(
        reversal.c.platform_id == bindparam("platform"),
        reversal.c.status == ReversalStatus.WAITING.value,
        (transfer.c.status != TransferStatus.PENDING.value)
        | (reversal.c.decided_at.is_(None) & provider_intent.c.last_error.is_not(None)),
    )
    .order_by(reversal.c.id)
    .limit(_WAITING_MAX)
    .with_for_update(of=reversal, skip_locked=True)
)
_SELLERS = prepared(
    select(seller.c.id)
    .where(seller.c.platform_id == bindparam("platform"), seller.c.id == bindparam("sellers", type_=ARRAY(Uuid)).any_())
    .order_by(seller.c.id)
    .with_for_update()
)
_CHANGE = text(
    """
    update reversal set status = :status, reason = :reason, claims = :claims,
      intent_id = coalesce(cast(:intent as uuid), intent_id),
      provider_reversal = coalesce(cast(:provider_reversal as text), provider_reversal),
      decided_at = coalesce(decided_at, cast(:decided_at as timestamptz)),
      done_at = case when :status = 'DONE' then cast(:now as timestamptz) end, updated_at = :now
    where platform_id = :platform and id = :reversal
    """
).bindparams(bindparam("claims", type_=JSONB))
_REVERSED = text(
    """
    update transfer set reversed = reversed + :amount, updated_at = :now
    where platform_id = :platform and id = :transfer
    """
)


class Wanted(NamedTuple):
    """What is to be taken back of a transfer (its row), in minor units."""

    transfer: Row[Any]
    amount: int


async def ask(
    scope: WriteScope, cause: Source, wanted: Sequence[Wanted], held: Sequence[Row[Any]], claimed: dict[UUID, int]
) -> None:
    """Writes the reversals down with their intents; those of transfers still under way wait for them.

    `held` are the sellers' items (`custody.lock`), `claimed` what this transaction claims of them; it is added to, and
    the caller records it.
    """
    ids = [new_id() for _ in wanted]
    sent = [one.transfer.status == TransferStatus.SENT for one in wanted]
    opened = await intents.open_intents(
        scope,
        [_draft(id, one.transfer, one.amount) for id, one, is_sent in zip(ids, wanted, sent, strict=True) if is_sent],
        send_now=False,
    )
    intent_ids = {intent.subject_id: intent.id for intent in opened}
    rows = [
        {
            "platform_id": scope.platform,
            "id": id,
            "transfer_id": one.transfer.id,
            "payment_id": one.transfer.payment_id,
            "seller_id": one.transfer.seller_id,
            "currency": one.transfer.currency,
            "amount": one.amount,
            "cause_type": cause.type,
            "cause_id": cause.id,
            "status": ReversalStatus.PENDING if is_sent else ReversalStatus.WAITING,
            "claims": custody.claim(
                held,
                claimed,
                (one.transfer.seller_id, one.transfer.currency),
                one.amount,
                first=one.transfer.id,
            )
            if is_sent
            else [],
            "missed": cause.type not in JOBS,
            "intent_id": intent_ids.get(id),
            "created_at": scope.now,
            "updated_at": scope.now,
        }
        for id, one, is_sent in zip(ids, wanted, sent, strict=True)
    ]
    if rows:
        await scope.run(_INSERT, rows)
        await outbox.enqueue(scope, "execute_reversals", str(scope.platform))


async def execute_reversals(services: Services, platform: PlatformId) -> None:
    """Asks the provider for every reversal that is due now; safe to run in many workers at once."""
    for _ in range(_ROUNDS_MAX):
        async with services.db.write(platform) as scope:
            woken = await _wake(scope)
        async with services.db.write(platform) as scope:
            claimed = await claims.claim_due(scope, [REVERSE_TRANSFER], sagas.BATCH_MAX)
            provider = await provider_of(services, scope) if claimed else None
        if provider is not None:
            await sagas.run(services.db, platform, provider, REVERSAL, claimed)
        if woken < _WAITING_MAX and len(claimed) < sagas.BATCH_MAX:
            return


async def _wake(scope: WriteScope) -> int:
    """Reversals whose transfer was sent are asked for; where it was not, it is lowered instead; where nobody knows yet,
    their causes wait no longer."""
    rows = await scope.rows(_WAITING, {"platform": scope.platform})
    if not rows:
        return 0
    # Whoever claims items holds their sellers.
    await scope.rows(_SELLERS, {"platform": scope.platform, "sellers": sorted({row.seller_id for row in rows})})
    transfers = {row.id: row for row in await unsent.lock(scope, [row.transfer_id for row in rows])}
    freed: list[Row[Any]] = []
    for row in rows:
        of = transfers[row.transfer_id]
        if of.status == TransferStatus.SENT:
            await _take(scope, row, of)
        elif await unsent.lower(scope, [Less(row.transfer_id, row.amount)], reason=_reason(row)):
            await _change(scope, row, ReversalStatus.LOWERED, reason="The transfer was not sent.", decided=True)
            freed.append(row)
        elif of.status == TransferStatus.PENDING:
            reason = "The transfer has no definite answer yet."
            await _change(scope, row, ReversalStatus.WAITING, reason=reason, decided=True)
        else:
            await _change(scope, row, ReversalStatus.REFUSED, reason="Nothing of the transfer is left.", decided=True)
    await _tell(scope, rows)
    await _post(scope, [], freed)
    return len(rows)


async def _take(scope: WriteScope, row: Row[Any], of: Row[Any]) -> None:
    """The transfer was sent: what it brought is claimed, as far as it is still there, and asked back."""
    _, held = await custody.lock(scope, [row.seller_id])
    claimed: dict[UUID, int] = {}
    kept = custody.claim(held, claimed, (row.seller_id, row.currency), row.amount, first=of.id)
    if sum(one["amount"] for one in kept) < row.amount:
        await _change(scope, row, ReversalStatus.REFUSED, reason="The seller was paid out already.", decided=True)
        return
    await custody.record(scope, claimed)
    [intent] = await intents.open_intents(scope, [_draft(row.id, of, row.amount)], send_now=False)
    await _change(scope, row, ReversalStatus.PENDING, claims=kept, intent=intent.id)


def _reason(row: Row[Any]) -> str:
    return f"Taken back for {public_id(row.cause_type, row.cause_id)}."


async def _change(
    scope: WriteScope,
    row: Row[Any],
    status: ReversalStatus,
    *,
    reason: str | None = None,
    claims: Sequence[Any] = (),
    intent: UUID | None = None,
    provider_reversal: str | None = None,
    decided: bool = False,
) -> None:
    await scope.run(
        _CHANGE,
        {
            "platform": scope.platform,
            "reversal": row.id,
            "status": status.value,
            "reason": reason,
            "claims": list(claims),
            "intent": intent,
            "provider_reversal": provider_reversal,
            "decided_at": scope.now if decided else None,
            "now": scope.now,
        },
    )


async def _let_go(scope: WriteScope, rows: Sequence[Row[Any]]) -> None:
    """The items that were kept for these reversals are free again."""
    back: dict[UUID, int] = {}
    for row in rows:
        for one in row.claims:
            back[UUID(one["item"])] = back.get(UUID(one["item"]), 0) - one["amount"]
    if back:
        await custody.lock(scope, {row.seller_id for row in rows})
        await custody.record(scope, back)


async def _tell(scope: WriteScope, rows: Sequence[Row[Any]]) -> None:
    for job in {JOBS[row.cause_type] for row in rows if row.cause_type in JOBS}:
        await outbox.enqueue(scope, job, str(scope.platform))


def _draft(id: UUID, of: Row[Any], amount: int) -> IntentDraft:
    request = {"transfer": of.provider_transfer, "amount": amount, "currency": of.currency}
    return IntentDraft(REVERSE_TRANSFER, id, request)


async def _look_up(provider: Provider, intent: Intent) -> Reversal | None:
    for found in await provider.find_reversals(intent.request["transfer"]):
        if found.intent_id == intent.public_id:
            return found
    return None


async def _send(provider: Provider, intent: Intent) -> Reversal:
    return await provider.reverse_transfer(
        intent.request["transfer"],
        key=intent.key,
        amount=intent.request["amount"],
        currency=intent.request["currency"],
        metadata={
            "marketbill_reversal": public_id("reversal", intent.subject_id),
            INTENT_METADATA: intent.public_id,
        },
    )


def _mismatch(intent: Intent, made: Reversal) -> str | None:
    asked = tuple(intent.request[name] for name in ("transfer", "amount", "currency"))
    told = (made.transfer_id, made.amount, made.currency)
    return None if told == asked else f"{intent.public_id} asked for {asked}, but the provider's {made.id} is {told}."


async def _succeeded(scope: WriteScope, done: Sequence[Done[Reversal]]) -> None:
    """R2: recorded and booked together."""
    made = {one.intent.subject_id: one.made for one in done}
    rows = await scope.rows(_BY_IDS, {"platform": scope.platform, "ids": list(made)})
    for row in rows:
        await _change(scope, row, ReversalStatus.DONE, provider_reversal=made[row.id].id, decided=True)
    transfers = {row.id: row for row in await unsent.lock(scope, [row.transfer_id for row in rows])}
    await scope.run(
        _REVERSED,
        [
            {"platform": scope.platform, "transfer": row.transfer_id, "amount": row.amount, "now": scope.now}
            for row in rows
        ],
    )
    await _let_go(scope, rows)
    await items.add(scope, [Item(row.seller_id, row.currency, Source("reversal", row.id), -row.amount) for row in rows])
    await _tell(scope, rows)
    entries = [_entry(scope, row, transfers[row.transfer_id], made[row.id]) for row in rows]
    await _post(scope, entries, rows)


async def _post(scope: WriteScope, entries: list[JournalEntry], came: Sequence[Row[Any]]) -> None:
    """Books reversals; what their causes did not wait for pays what the sellers owe, and is theirs otherwise."""
    late = [row for row in came if row.missed]
    dues = [
        Due(row.seller_id, row.currency, row.amount, Source("transfer", row.transfer_id), public_id("reversal", row.id))
        for row in late
    ]
    netted = await netting.net(scope, dues)
    await again.plan(
        scope,
        [
            Again(row.payment_id, row.seller_id, row.currency, rest)
            for row, rest in zip(late, netted.rests, strict=True)
            if rest
        ],
    )
    await journal.post_all(scope, [*entries, *netted.entries])


def _entry(scope: WriteScope, row: Row[Any], of: Row[Any], made: Reversal) -> JournalEntry:
    owner, currency = SellerId(row.seller_id), row.currency
    id = public_id("reversal", row.id)
    return JournalEntry(
        key=f"transfer-reversal:{id}",
        kind="transfer-reversal",
        source=Source("transfer", of.id),
        postings=(
            Posting(chart.psp_available(currency), chart.seller_payable(owner, currency), row.amount),
            Posting(chart.custody_owed(owner, currency), chart.custody_available(owner, currency), row.amount),
        ),
        effective_at=scope.now,
        description=f"Transfer {public_id('transfer', of.id)} reversed",
        reason={
            "reversal": id,
            "cause": public_id(row.cause_type, row.cause_id),
            "payment": public_id("payment", row.payment_id),
            "provider_reversal": made.id,
        },
    )


async def _failed(scope: WriteScope, setback: Setback) -> None:
    """Nobody waits for it any more; what is refused frees the seller's money."""
    await _set_back(scope, setback.intent, setback.reason, refused=setback.refused)


async def _abandoned(scope: WriteScope, intent: Intent, reason: str) -> None:
    await _set_back(scope, intent, f"Abandoned by an operator: {reason}", refused=True)


async def _set_back(scope: WriteScope, intent: Intent, reason: str, *, refused: bool) -> None:
    rows = await scope.rows(_BY_IDS, {"platform": scope.platform, "ids": [intent.subject_id]})
    for row in rows:
        if refused:
            await _change(scope, row, ReversalStatus.REFUSED, reason=reason[:500], decided=True)
            await _let_go(scope, [row])
        else:
            kept = ReversalStatus(row.status)
            await _change(scope, row, kept, reason=reason[:500], claims=row.claims, decided=True)
    await _tell(scope, rows)


async def _retried(scope: WriteScope, intent: Intent) -> None:
    [row] = await scope.rows(_BY_IDS, {"platform": scope.platform, "ids": [intent.subject_id]})
    if row.status != ReversalStatus.PENDING:
        raise StateConflict("This reversal is over.", current_state=row.status, path=("id",))


#: The saga of a reversal. A refusal is its end: what it did not bring becomes a debt, which new sales pay.
REVERSAL = Saga(
    kind=REVERSE_TRANSFER,
    look_up=_look_up,
    send=_send,
    provider_id=lambda made: made.id,
    mismatch=_mismatch,
    succeeded=_succeeded,
    failed=_failed,
    refusal=Refusal.ENDS,
    retried=_retried,
    abandoned=_abandoned,
)
