"""Transfers: what was released goes to each seller's provider account, once.

One round plans (released shares become transfers with intents), claims due intents, commits, asks the provider
outside any transaction, and records what it answered together with the journal entries. A process that dies in
between leaves claimed intents; when their lease is over they are looked up at the provider before they are tried again.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Text, Uuid, bindparam, func, insert, select, text, update

from marketbill.db import WriteScope
from marketbill.errors import StateConflict
from marketbill.events import outbox
from marketbill.ids import PlatformId, SellerId, new_id, public_id
from marketbill.ledger import chart, journal
from marketbill.ledger.journal import JournalEntry, Posting, Source
from marketbill.payments.model import payment, payment_share
from marketbill.payouts import exposure, items, netting, payees, reversal_waits
from marketbill.payouts.items import Item
from marketbill.payouts.model import Rail, TransferStatus, transfer
from marketbill.payouts.netting import Due
from marketbill.payouts.reserve import reserves
from marketbill.platforms.credentials import provider_of
from marketbill.prepared import prepared
from marketbill.provider import claim as claims
from marketbill.provider import intent as intents
from marketbill.provider import saga as sagas
from marketbill.provider.intent import Intent, IntentDraft
from marketbill.provider.kinds import CREATE_TRANSFER
from marketbill.provider.objects import Transfer
from marketbill.provider.port import INTENT_METADATA, Provider
from marketbill.provider.retry import FOR_WANT_OF_FUNDS
from marketbill.provider.saga import Done, Saga, Setback
from marketbill.provider.stripe.units import transferable_part
from marketbill.sellers.model import seller
from marketbill.sellers.onboarding import doubt, open_gates, transfer_gate
from marketbill.services import Services

#: A seller's share: the payment's id and his.
_Share = tuple[UUID, UUID]
#: Shares planned in one round.
PLAN_MAX = 200
_ROUNDS_MAX = 800

#: In the currency in which the provider has the money.
_NET = func.coalesce(payment_share.c.settled_net, payment_share.c.seller_net)
_RELEASED = prepared(
    select(
        payment_share.c.payment_id,
        payment_share.c.seller_id,
        payment_share.c.release_rule_id,
        (_NET - payment_share.c.returned).label("net"),
        seller.c.provider_account,
        seller.c.transfers,
        func.coalesce(payment.c.settlement_currency, payment.c.currency).label("currency"),
        func.coalesce(payment.c.settlement_gross, payment.c.gross).label("charged"),
        payment.c.provider_charge,
        payment.c.release_by,
    )
    .join(
        payment,
        (payment.c.platform_id == payment_share.c.platform_id) & (payment.c.id == payment_share.c.payment_id),
    )
    .join(
        seller,
        (seller.c.platform_id == payment_share.c.platform_id) & (seller.c.id == payment_share.c.seller_id),
    )
    .where(
        payment_share.c.platform_id == bindparam("platform"),
        payment_share.c.released_at.is_not(None),
        payment_share.c.transfers_planned_at.is_(None),
    )
    .order_by(payment_share.c.released_at)
    .limit(PLAN_MAX)
    .with_for_update(of=payment_share, skip_locked=True)
)
#: What transfers take from the charges of payments already.
_TAKEN = prepared(
    select(transfer.c.payment_id, func.sum(transfer.c.amount).label("amount"))
    .where(
        transfer.c.platform_id == bindparam("platform"),
        transfer.c.payment_id == bindparam("payments", type_=ARRAY(Uuid)).any_(),
        transfer.c.source_charge != "",
        transfer.c.status != TransferStatus.CANCELED.value,
    )
    .group_by(transfer.c.payment_id)
)
_PLANNED = prepared(
    text(
        """
        update payment_share s set transfers_planned_at = :now
        from unnest(cast(:payments as uuid[]), cast(:sellers as uuid[])) as p (payment_id, seller_id)
        where s.platform_id = :platform and s.payment_id = p.payment_id and s.seller_id = p.seller_id
        """
    ).bindparams(bindparam("payments", type_=ARRAY(Uuid)), bindparam("sellers", type_=ARRAY(Uuid)))
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
#: What a debt leaves of a transfer that was not sent.
_LOWERED = text(
    """
    update transfer set amount = case when :left > 0 then :left else amount end, updated_at = :now,
      status = case when :left > 0 then status else 'CANCELED' end,
      reason = case when :left > 0 then reason else 'All of it paid what the seller owed.' end
    where platform_id = :platform and id = :transfer
    """
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
        transfer.c.status.not_in((TransferStatus.SENT.value, TransferStatus.CANCELED.value)),
    )
    .values(status=bindparam("new_status"), reason=bindparam("new_reason"), updated_at=bindparam("now"))
)
#: In a request: the provider is asked for the seller's balance before it is sent.
_DOUBTFUL = "doubtful"
_WAITS = "The seller's account at the provider cannot receive transfers yet."


async def execute_transfers(services: Services, platform: PlatformId) -> None:
    """Plans and executes everything that is due now; safe to run in many workers at once."""
    for _ in range(_ROUNDS_MAX):
        async with services.db.write(platform) as scope:
            planned, paid = await _plan(scope)
            woken, paid_late = await _wake(scope)
            claimed = await claims.claim_due(scope, [CREATE_TRANSFER], sagas.BATCH_MAX)
            provider = await provider_of(services, scope) if claimed else None
            await journal.post_all(scope, [*paid, *paid_late])
        if provider is not None:
            await sagas.run(services.db, platform, provider, TRANSFER, claimed)
        if not planned and not woken and len(claimed) < sagas.BATCH_MAX:
            return


async def funds_came(scope: WriteScope) -> None:
    """Transfers that the platform's balance was too small for are tried again now."""
    if await claims.hurry(scope, CREATE_TRANSFER, FOR_WANT_OF_FUNDS):
        await outbox.enqueue(scope, "execute_transfers", str(scope.platform))


async def _plan(scope: WriteScope) -> tuple[int, list[JournalEntry]]:
    """Released shares pay debts, leave what is kept in reserve, and become transfers where there is something left; how
    many, and what is to be posted."""
    rows = await scope.rows(_RELEASED, {"platform": scope.platform})
    if not rows:
        return 0, []
    kept_back = await reserves(scope, rows)
    dues = [_due(share) for share in rows]
    netted = await netting.net(scope, dues)
    kept = await kept_back.keep(scope, rows, [due.amount for due in dues], netted.rests)
    amounts = {
        _of(share): transferable_part(rest, share.currency) for share, rest in zip(rows, kept.rests, strict=True)
    }
    by_bank = await payees.on_bank_rail(scope, {share.seller_id for share in rows})
    due_now = [share for share in rows if amounts[_of(share)] > 0]
    await items.add(scope, [_for_bank(share, amounts[_of(share)]) for share in due_now if share.seller_id in by_bank])
    shares = [share for share in due_now if share.seller_id not in by_bank]
    sources = await _sources(scope, shares, amounts)
    ids = {_of(share): new_id() for share in shares}
    ready = [share for share in shares if share.transfers == "ACTIVE" and share.provider_account]
    doubtful = await exposure.doubtful(scope, {share.seller_id for share in ready})
    opened = await intents.open_intents(
        scope,
        [
            draft(
                ids[_of(share)],
                amount=amounts[_of(share)],
                currency=share.currency,
                destination=share.provider_account,
                charge=sources[_of(share)],
                payment_id=share.payment_id,
                doubtful=share.seller_id in doubtful,
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
                _row(scope, ids[_of(share)], share, amounts[_of(share)], sources[_of(share)], intent_ids)
                for share in shares
            ],
        )
    planned = {"payments": [row.payment_id for row in rows], "sellers": [row.seller_id for row in rows]}
    await scope.run(_PLANNED, {"platform": scope.platform, "now": scope.now, **planned})
    return len(rows), [*netted.entries, *kept.entries]


def _due(share: Row[Any]) -> Due:
    key = f"{public_id('payment', share.payment_id)}:{public_id('seller', share.seller_id)}"
    return Due(share.seller_id, share.currency, max(share.net, 0), Source("payment", share.payment_id), key)


def _for_bank(share: Row[Any], amount: int) -> Item:
    """No transfer for a seller whom the platform's own bank pays: what is payable becomes a piece of his payouts."""
    return Item(share.seller_id, share.currency, Source("payment", share.payment_id), amount, Rail.BANK)


def _of(share: Row[Any]) -> _Share:
    return share.payment_id, share.seller_id


async def _wake(scope: WriteScope) -> tuple[int, list[JournalEntry]]:
    """Transfers that were held for a seller who may receive now pay what he owes by now, and get their intents; how
    many, and what is to be posted."""
    rows = await scope.rows(_HELD, {"platform": scope.platform})
    netted = await netting.net(scope, [_due_of_held(row) for row in rows])
    amounts = {row.id: transferable_part(rest, row.currency) for row, rest in zip(rows, netted.rests, strict=True)}
    doubtful = await exposure.doubtful(scope, {row.seller_id for row in rows})
    lowered = [row for row in rows if amounts[row.id] < row.amount]
    if lowered:
        await scope.run(
            _LOWERED,
            [
                {"platform": scope.platform, "transfer": row.id, "left": amounts[row.id], "now": scope.now}
                for row in lowered
            ],
        )
    opened = await intents.open_intents(
        scope,
        [
            draft(
                row.id,
                amount=amounts[row.id],
                currency=row.currency,
                destination=row.provider_account,
                charge=row.source_charge,
                payment_id=row.payment_id,
                doubtful=row.seller_id in doubtful,
            )
            for row in rows
            if amounts[row.id]
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
    return len(rows), netted.entries


def _due_of_held(row: Row[Any]) -> Due:
    id = public_id("transfer", row.id)
    return Due(row.seller_id, row.currency, row.amount, Source("transfer", row.id), id)


async def _sources(scope: WriteScope, shares: Sequence[Row[Any]], amounts: Mapping[_Share, int]) -> dict[_Share, str]:
    """The charge that each transfer takes its money from, empty for the platform's own balance.

    Together they may not take more than was charged, and sellers get more where the platform paid a discount or
    promised a better rate than the provider's: the largest come from the charge as far as it goes.
    """
    room = {share.payment_id: share.charged for share in shares}
    for row in await scope.rows(_TAKEN, {"platform": scope.platform, "payments": list(room)}):
        room[row.payment_id] -= int(row.amount)
    sources: dict[_Share, str] = {}
    for share in sorted(shares, key=lambda share: (-amounts[_of(share)], _of(share))):
        fits = amounts[_of(share)] <= room[share.payment_id]
        sources[_of(share)] = share.provider_charge if fits else ""
        room[share.payment_id] -= amounts[_of(share)] if fits else 0
    return sources


def draft(
    id: UUID, *, amount: int, currency: str, destination: str, charge: str, payment_id: UUID, doubtful: bool
) -> IntentDraft:
    """`doubtful`: the seller's balance is asked for first (`exposure`)."""
    request = {
        "amount": amount,
        "currency": currency,
        "destination": destination,
        "source_transaction": charge or None,
        "transfer_group": public_id("payment", payment_id),
        "description": public_id("transfer", id),
        **({_DOUBTFUL: True} if doubtful else {}),
    }
    return IntentDraft(CREATE_TRANSFER, id, request)


def _row(
    scope: WriteScope, id: UUID, share: Row[Any], amount: int, source: str, intent_ids: dict[UUID, UUID]
) -> dict[str, Any]:
    held = id not in intent_ids
    return {
        "platform_id": scope.platform,
        "id": id,
        "payment_id": share.payment_id,
        "seller_id": share.seller_id,
        "currency": share.currency,
        "amount": amount,
        "status": TransferStatus.HELD if held else TransferStatus.PENDING,
        "reason": _WAITS if held else None,
        "source_charge": source,
        "intent_id": intent_ids.get(id),
        "created_at": scope.now,
        "updated_at": scope.now,
    }


async def _look_up(provider: Provider, intent: Intent) -> Transfer | None:
    for found in await provider.find_transfers(intent.request["transfer_group"]):
        if found.destination == intent.request["destination"] and found.intent_id == intent.public_id:
            return found
    return None


async def _send(provider: Provider, intent: Intent) -> Transfer:
    request = {name: value for name, value in intent.request.items() if name != _DOUBTFUL}
    if _DOUBTFUL in intent.request:
        await exposure.check(provider, request["destination"], request["currency"])
    return await provider.create_transfer(
        key=intent.key,
        metadata={
            "marketbill_transfer": public_id("transfer", intent.subject_id),
            INTENT_METADATA: intent.public_id,
        },
        **request,
    )


def _mismatch(intent: Intent, made: Transfer) -> str | None:
    asked = tuple(intent.request[name] for name in ("amount", "currency", "destination"))
    told = (made.amount, made.currency, made.destination)
    return None if told == asked else f"{intent.public_id} asked for {asked}, but the provider's {made.id} is {told}."


def _gate(intent: Intent) -> str:
    return transfer_gate(intent.request["destination"])


async def _open_gates(scope: WriteScope, waiting: Sequence[Intent]) -> Collection[str]:
    return await open_gates(scope, {intent.request["destination"] for intent in waiting})


async def _failed(scope: WriteScope, setback: Setback) -> None:
    """The money stays payable; the transfer says what it waits for."""
    status = TransferStatus.REFUSED if setback.refused else TransferStatus.PENDING
    await _explain(scope, setback.intent, status, setback.reason)
    await reversal_waits.tell(scope, [setback.intent.subject_id])
    await doubt(scope, setback)


async def _abandoned(scope: WriteScope, intent: Intent, reason: str) -> None:
    await _explain(scope, intent, TransferStatus.REFUSED, f"Abandoned by an operator: {reason}")
    await reversal_waits.tell(scope, [intent.subject_id])


async def _retried(scope: WriteScope, intent: Intent) -> None:
    [row] = await scope.rows(_BY_IDS, {"platform": scope.platform, "ids": [intent.subject_id]})
    if row.status == TransferStatus.CANCELED:
        raise StateConflict(
            "This transfer's money was taken back, or goes with another transfer.",
            current_state=row.status,
            path=("id",),
        )
    await _explain(scope, intent, TransferStatus.PENDING, "An operator wants it tried again.")


async def _explain(scope: WriteScope, intent: Intent, status: TransferStatus, reason: str) -> None:
    values = {"platform": scope.platform, "transfer": intent.subject_id, "now": scope.now}
    await scope.run(_EXPLAIN, {**values, "new_status": status.value, "new_reason": reason})


async def _succeeded(scope: WriteScope, done: Sequence[Done[Transfer]]) -> None:
    """J6: recorded and booked together."""
    ids = [one.intent.subject_id for one in done]
    rows = {row.id: row for row in await scope.rows(_BY_IDS, {"platform": scope.platform, "ids": ids})}
    await scope.run(
        _SENT,
        {
            "platform": scope.platform,
            "ids": ids,
            "provider_ids": [one.made.id for one in done],
            "now": scope.now,
        },
    )
    await reversal_waits.tell(scope, ids)
    await items.add(
        scope, [Item(row.seller_id, row.currency, Source("transfer", row.id), row.amount) for row in rows.values()]
    )
    await journal.post_all(scope, [_entry(scope, rows[one.intent.subject_id], one.made) for one in done])


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


#: The saga of a transfer. Its money is not claimed before it is sent, so what was refused stays payable.
TRANSFER = Saga(
    kind=CREATE_TRANSFER,
    look_up=_look_up,
    send=_send,
    provider_id=lambda made: made.id,
    mismatch=_mismatch,
    succeeded=_succeeded,
    failed=_failed,
    together=True,
    gate=_gate,
    open_gates=_open_gates,
    retried=_retried,
    abandoned=_abandoned,
)
