"""What the provider does of a refund, in any order and more than once: paid, waiting, sent back, or refused.

Paid (R3) is booked when its balance transaction is known, out of pending money where the charge's own was still
pending. One that the buyer's bank sends back leaves the buyer's claim standing (FAILED): it is asked for anew (`retry`)
or becomes credit (`settle`). One that the provider refuses is undone whole: every bearer has his part back.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, select

from marketbill.actor import Actor
from marketbill.db import WriteScope
from marketbill.defects import Defects
from marketbill.errors import StateConflict
from marketbill.idempotency import keys as idempotency
from marketbill.ids import PaymentId, PlatformId, RefundId, parse_id, public_id
from marketbill.ledger import accounts as ledger_accounts
from marketbill.ledger import chart, entries, journal
from marketbill.ledger.journal import JournalEntry, Posting, Source
from marketbill.payments import recording
from marketbill.platforms.credentials import provider_of
from marketbill.platforms.keys import tenant
from marketbill.prepared import prepared
from marketbill.provider import claim as claims
from marketbill.provider import ending
from marketbill.provider import saga as sagas
from marketbill.provider.intent import Intent
from marketbill.provider.kinds import CREATE_REFUND
from marketbill.provider.objects import BalanceTransaction, Refund
from marketbill.provider.port import INTENT_METADATA, Provider
from marketbill.provider.saga import Done, Refusal, Saga, Setback
from marketbill.recovery import clawback
from marketbill.refunds import arithmetic, booking, tax_return
from marketbill.refunds import refund as refunds
from marketbill.refunds.model import RefundStatus, refund
from marketbill.services import Services
from marketbill.text import checked_reason

_ROUNDS_MAX = 200
#: SQL: whether a refund `r` waits for its approval.
DECIDABLE = "r.status = 'RECOVERING'"
#: SQL: whether the pending money that a refund `r` was taken of became available.
ARRIVED = "r.available_on <= :now and r.available_at is null"
#: Refunds looked at in one round.
BATCH_MAX = 50
_RECOVERING = prepared(
    select(refund.c.id, refund.c.payment_id)
    .where(
        refund.c.platform_id == bindparam("platform"),
        refund.c.status == RefundStatus.RECOVERING.value,
        refund.c.id > bindparam("after"),
    )
    .order_by(refund.c.id)
    .limit(BATCH_MAX)
)
_ARRIVED = prepared(
    select(refund)
    .where(
        refund.c.platform_id == bindparam("platform"),
        refund.c.available_on <= bindparam("now"),
        refund.c.available_at.is_(None),
    )
    .order_by(refund.c.id)
    .limit(BATCH_MAX)
    .with_for_update(skip_locked=True)
)
_OPEN = (RefundStatus.SENDING, RefundStatus.PENDING, RefundStatus.SUCCEEDED)


class RefundMismatch(StateConflict):
    """The provider tells of another amount, currency or charge than the refund has: never booked, always an alarm."""


async def execute_refunds(services: Services, platform: PlatformId) -> None:
    """Approves what waited for reversals, asks the provider for what is due, and books what became available; safe to
    run in many workers at once."""
    defects = Defects()
    await _approve_decided(services, platform, defects)
    with defects.of("refunds whose money became available"):
        await _book_arrived(services, platform)
    for _ in range(_ROUNDS_MAX):
        async with services.db.write(platform) as scope:
            claimed = await claims.claim_due(scope, [CREATE_REFUND], sagas.BATCH_MAX)
            provider = await provider_of(services, scope) if claimed else None
        if provider is not None:
            await sagas.run(services.db, platform, provider, REFUND, claimed)
        if len(claimed) < sagas.BATCH_MAX:
            break
    defects.end()


async def apply(scope: WriteScope, id: RefundId, told: Refund) -> None:
    """What the provider says of a refund. Raises RefundMismatch."""
    # Before the rows are locked: so does the worker who records what his own request made.
    by = parse_id("provider intent", told.intent_id) if told.intent_id is not None else None
    await ending.record_news(scope, CREATE_REFUND, [(id, told.id)], by=by)
    await _apply(scope, id, told)


async def _apply(scope: WriteScope, id: RefundId, told: Refund) -> None:
    row = await _locked(scope, id)
    if row is None or RefundStatus(row.status) not in _OPEN or not _is_current(row, told):
        return
    _match(row, told)
    made: list[JournalEntry] = []
    values: dict[str, Any] = {"provider_refund": told.id, "explanation": told.pending_reason}
    if told.balance_transaction is not None and row.paid_transaction is None:
        made.append(_paid(row, scope, told.balance_transaction, values))
    match told.status:
        case "succeeded":
            values |= {"status": RefundStatus.SUCCEEDED.value, "succeeded_at": row.succeeded_at or scope.now}
        case "failed" | "canceled":
            was_paid = row.paid_transaction is not None or bool(made)
            if was_paid and told.failed_with is None:
                values |= {"status": RefundStatus.PENDING.value}  # its money is not back yet: the provider tells again
            else:
                if told.failed_with is not None and was_paid:
                    made.append(_came_back(row, scope, told.failed_with))
                    values["failed_transaction"] = told.failed_with.id
                values |= {
                    "status": RefundStatus.FAILED.value,
                    "failed_at": scope.now,
                    "explanation": told.failure_reason or told.status,
                }
        case "pending" | "requires_action":
            if row.status == RefundStatus.SENDING:
                values["status"] = RefundStatus.PENDING.value
    await refunds.change(scope, row.id, **values)
    await journal.post_all(scope, made)


async def retry(services: Services, actor: Actor, *, idempotency_key: str, id: str, reason: str) -> Row[Any]:
    """Asks the provider anew for a refund that the bank sent back: the buyer has given another account, or the bank
    has made a mistake. Raises NotFound, StateConflict."""
    platform = tenant(actor)
    async with services.db.write(platform) as scope:
        row, claim = await _open_case(scope, actor, "refundRetry", idempotency_key, id, reason)
        if claim.replay is None:
            # This attempt's dates are forgotten with it: its pending money counts as available from now on.
            is_pending = row.available_on is not None and row.available_at is None and row.paid_amount
            arrived = [_arrived(row, scope)] if is_pending else []
            row = await refunds.ask(
                scope,
                row,
                status=RefundStatus.SENDING.value,
                attempt=row.attempt + 1,
                explanation=f"Asked for anew: {reason}"[:500],
                provider_refund=None,
                paid_transaction=None,
                paid_amount=None,
                failed_transaction=None,
                available_on=None,
                available_at=None,
                succeeded_at=None,
                failed_at=None,
            )
            await idempotency.finish(scope, claim, {"id": id})
            await journal.post_all(scope, arrived)
        return row


async def settle(services: Services, actor: Actor, *, idempotency_key: str, id: str, reason: str) -> Row[Any]:
    """Gives the buyer credit for a refund that the bank sent back. Raises NotFound, StateConflict."""
    platform = tenant(actor)
    async with services.db.write(platform) as scope:
        row, claim = await _open_case(scope, actor, "refundSettle", idempotency_key, id, reason)
        if claim.replay is None:
            row = await refunds.change(
                scope,
                row.id,
                status=RefundStatus.CREDITED.value,
                settled_by=actor.id,
                explanation=f"Given as credit: {reason}"[:500],
            )
            await idempotency.finish(scope, claim, {"id": id})
            credit = chart.account(chart.BUYER_CREDIT, row.settlement_currency)
            posting = Posting(refunds.owed(row), credit, row.settlement_amount)
            await journal.post_all(
                scope, [refunds.entry(row, scope, "refund-paid", "Given as credit", [posting], of="credit")]
            )
        return row


async def _open_case(
    scope: WriteScope, actor: Actor, operation: str, key: str, id: str, reason: str
) -> tuple[Row[Any], idempotency.Claim]:
    """A refund that the bank sent back, locked, and the claim of the request about it."""
    refund_id = RefundId(parse_id("refund", id, path=("id",)))
    kept = checked_reason(reason)
    claim = await idempotency.claim(
        scope, actor=actor.idempotency_scope, operation=operation, key=key, body={"id": id, "reason": kept}
    )
    if claim.replay is not None:
        return await refunds.load(scope, refund_id, path=("id",)), claim
    row = await refunds.load(scope, refund_id, path=("id",), lock=True)
    if row.status != RefundStatus.FAILED:
        raise StateConflict(
            "Only a refund that the buyer's bank sent back is open.", current_state=row.status, path=("id",)
        )
    return row, claim


async def _approve_decided(services: Services, platform: PlatformId, defects: Defects) -> None:
    after = RefundId(UUID(int=0))
    for _ in range(_ROUNDS_MAX):
        async with services.db.read(platform) as scope:
            waiting = await scope.rows(_RECOVERING, {"platform": platform, "after": after})
        for one in waiting:
            with defects.of(public_id("refund", one.id)):
                await _approve(services, platform, one)
        if len(waiting) < BATCH_MAX:
            return
        after = RefundId(waiting[-1].id)


async def _approve(services: Services, platform: PlatformId, waiting: Row[Any]) -> None:
    async with services.db.write(platform) as scope:
        payment = await recording.load(scope, PaymentId(waiting.payment_id), lock=True)
        row = await refunds.load(scope, RefundId(waiting.id), lock=True)
        if row.status == RefundStatus.RECOVERING:
            await refunds.approve(scope, payment, row)


async def _book_arrived(services: Services, platform: PlatformId) -> None:
    for _ in range(_ROUNDS_MAX):
        async with services.db.write(platform) as scope:
            rows = await scope.rows(_ARRIVED, {"platform": platform, "now": scope.now})
            for row in rows:
                await refunds.change(scope, row.id, available_at=scope.now)
            await journal.post_all(scope, [_arrived(row, scope) for row in rows if row.paid_amount])
        if len(rows) < BATCH_MAX:
            return


async def _locked(scope: WriteScope, id: RefundId) -> Row[Any] | None:
    """The refund, after its payment is locked; None when it is none of ours."""
    found = await scope.first(
        select(refund.c.payment_id).where(refund.c.platform_id == scope.platform, refund.c.id == id)
    )
    if found is None:
        return None
    await recording.load(scope, PaymentId(found.payment_id), lock=True)
    return await refunds.load(scope, id, lock=True)


def _is_current(row: Row[Any], told: Refund) -> bool:
    """Whether it is what this attempt made: what an earlier one made was told to its end."""
    if row.provider_refund is not None:
        return row.provider_refund == told.id
    return told.intent_id is None or told.intent_id == public_id("provider intent", row.intent_id)


def _match(row: Row[Any], told: Refund) -> None:
    ours, theirs = (row.amount, row.currency, row.charge), (told.amount, told.currency, told.charge_id)
    if ours != theirs:
        id = public_id("refund", row.id)
        raise RefundMismatch(f"{id} is {ours}, but the provider's {told.id} is {theirs}.", current_state=row.status)


def _paid(row: Row[Any], scope: WriteScope, transaction: BalanceTransaction, values: dict[str, Any]) -> JournalEntry:
    """R3, by the provider's own figure; a fee that it gives back or takes with it is in the figure's net."""
    _match_currency(row, transaction)
    taken = -transaction.net
    is_pending = transaction.available_on > scope.now
    currency = row.settlement_currency
    source = chart.psp_pending(currency) if is_pending else chart.psp_available(currency)
    values |= {"paid_transaction": transaction.id, "paid_amount": taken}
    if is_pending:
        values["available_on"] = transaction.available_on
    postings = [
        *booking.fx_difference(refunds.owed(row), source, expected=row.settlement_amount, real=-transaction.amount),
        *_fee(transaction, source),
    ]
    reason = {"provider_refund": values["provider_refund"], "balance_transaction": transaction.id}
    return refunds.entry(row, scope, "refund-paid", "Refund paid", postings, of=str(row.attempt), reason=reason)


def _fee(transaction: BalanceTransaction, source: chart.AccountRef) -> list[Posting]:
    cost = chart.psp_fee(source.currency)
    if transaction.fee > 0:
        return [Posting(cost, source, transaction.fee)]
    return [Posting(source, cost, -transaction.fee)] if transaction.fee else []


def _came_back(row: Row[Any], scope: WriteScope, transaction: BalanceTransaction) -> JournalEntry:
    _match_currency(row, transaction)
    available = chart.psp_available(row.settlement_currency)
    postings = booking.fx_return(refunds.owed(row), available, expected=row.settlement_amount, real=transaction.amount)
    reason = {"balance_transaction": transaction.id}
    return refunds.entry(row, scope, "refund-failed", "Refund came back", postings, of=str(row.attempt), reason=reason)


def _arrived(row: Row[Any], scope: WriteScope) -> JournalEntry:
    currency = row.settlement_currency
    posting = Posting(chart.psp_pending(currency), chart.psp_available(currency), row.paid_amount)
    return refunds.entry(row, scope, "refund-available", "Refund available", [posting], of=str(row.attempt))


def _match_currency(row: Row[Any], transaction: BalanceTransaction) -> None:
    if transaction.currency != row.settlement_currency:
        raise RefundMismatch(
            f"{public_id('refund', row.id)} is settled in {row.settlement_currency}, but {transaction.id} is in"
            f" {transaction.currency}.",
            current_state=row.status,
        )


async def _look_up(provider: Provider, intent: Intent) -> Refund | None:
    for found in await provider.find_refunds(intent.request["charge"]):
        if found.intent_id == intent.public_id:
            return found
    return None


async def _send(provider: Provider, intent: Intent) -> Refund:
    return await provider.create_refund(
        key=intent.key,
        metadata={
            "marketbill_refund": public_id("refund", intent.subject_id),
            INTENT_METADATA: intent.public_id,
        },
        **intent.request,
    )


def _mismatch(intent: Intent, made: Refund) -> str | None:
    asked = tuple(intent.request[name] for name in ("amount", "currency", "charge"))
    told = (made.amount, made.currency, made.charge_id)
    return None if told == asked else f"{intent.public_id} asked for {asked}, but the provider's {made.id} is {told}."


async def _succeeded(scope: WriteScope, done: Sequence[Done[Refund]]) -> None:
    for one in done:
        await _apply(scope, RefundId(one.intent.subject_id), one.made)


async def _failed(scope: WriteScope, setback: Setback) -> None:
    if setback.refused:
        await _refused(scope, setback.intent, setback.reason)
        return
    row = await _locked(scope, RefundId(setback.intent.subject_id))
    if row is not None and row.status == RefundStatus.SENDING:
        await refunds.change(scope, row.id, explanation=setback.reason[:500])


async def _abandoned(scope: WriteScope, intent: Intent, reason: str) -> None:
    await _refused(scope, intent, f"Abandoned by an operator: {reason}")


async def _retried(scope: WriteScope, intent: Intent) -> None:
    row = await refunds.load(scope, RefundId(intent.subject_id))
    if row.status != RefundStatus.SENDING:
        raise StateConflict(
            "This refund is over: create another one, or retry it by refundRetry.",
            current_state=row.status,
            path=("id",),
        )


async def _refused(scope: WriteScope, intent: Intent, reason: str) -> None:
    """The provider does not do it. One that it did before, and the bank sent back, is the open case that it was."""
    id = RefundId(intent.subject_id)
    row = await _locked(scope, id)
    if row is None or row.status != RefundStatus.SENDING or row.intent_id != intent.id:
        return
    if row.attempt > 1:
        await refunds.change(scope, id, status=RefundStatus.FAILED.value, failed_at=scope.now, explanation=reason[:500])
        return
    payment = await recording.load(scope, PaymentId(row.payment_id))
    cause = Source("refund", id)
    await refunds.change(scope, id, status=RefundStatus.REFUSED.value, explanation=reason[:500])
    await arithmetic.undo(scope, cause, payment)
    undone = refunds.entry(
        row, scope, "refund-undone", "Refund undone", booking.mirrored(await _approval(scope, row)), reason=None
    )
    given = await clawback.give_back(scope, cause)
    await journal.post_all(scope, [undone, *given])
    await tax_return.tell(scope, cause, payment, undoes=True)


async def _approval(scope: WriteScope, row: Row[Any]) -> list[Posting]:
    """The postings of R1, as they were booked."""
    found = (await entries.entries_by_sources(scope, [row.id]))[row.id]
    approved = next(one for one in found if one.kind == "refund")
    postings = (await entries.postings_by_entries(scope, [approved.id]))[approved.id]
    ids = {id for one in postings for id in (one.debit_account_id, one.credit_account_id)}
    accounts = await ledger_accounts.accounts_by_ids(scope, list(ids))
    return [
        Posting(
            chart.named(accounts[one.debit_account_id].code, accounts[one.debit_account_id].currency),
            chart.named(accounts[one.credit_account_id].code, accounts[one.credit_account_id].currency),
            one.amount,
        )
        for one in sorted(postings, key=lambda one: one.ordinal)
    ]


#: The saga of a refund. What was taken for it is given back when it is refused for certain.
REFUND = Saga(
    kind=CREATE_REFUND,
    look_up=_look_up,
    send=_send,
    provider_id=lambda made: made.id,
    mismatch=_mismatch,
    succeeded=_succeeded,
    failed=_failed,
    refusal=Refusal.RETURNS,
    retried=_retried,
    abandoned=_abandoned,
)
