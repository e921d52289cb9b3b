"""Refunds: money of a sale back to its buyer, and the sellers' parts of it back to the platform.

A refund is created from a preview, whose token it must fit. In one transaction what it undoes of the sale is kept and
the sellers' parts are begun to be taken back (`recovery.clawback`). Once each of those is decided, it is approved: its
bearers' parts are booked against what the buyer is owed (R1), and the provider is asked. What the provider does of it
is applied by `outcome`. A seller from whom nothing can be had owes it: the buyer never waits for that.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, insert, select, update

from marketbill.actor import Actor
from marketbill.db import Scope, WriteScope
from marketbill.errors import NotFound, PreviewStale
from marketbill.events import outbox
from marketbill.idempotency import keys as idempotency
from marketbill.ids import PaymentId, RefundId, SellerId, new_id, parse_id, public_id
from marketbill.ledger import chart, journal
from marketbill.ledger.journal import JournalEntry, Posting, Source
from marketbill.payments import recording
from marketbill.platforms.keys import tenant
from marketbill.prepared import prepared
from marketbill.provider import intent as intents
from marketbill.provider.kinds import CREATE_REFUND, KINDS
from marketbill.recovery import clawback
from marketbill.recovery.clawback import Funding
from marketbill.refunds import arithmetic, booking, tax_return
from marketbill.refunds import draft as drafts
from marketbill.refunds.arithmetic import NothingLeft, Returned
from marketbill.refunds.booking import Taken
from marketbill.refunds.draft import Plan, RefundDraft
from marketbill.refunds.model import RefundStatus, refund, refund_share
from marketbill.rules.line_return import AboveRest, QuantityAboveLine
from marketbill.rules.return_policy import Cause
from marketbill.services import Services
from marketbill.text import checked_reason

JOB = KINDS[CREATE_REFUND].job
#: What the provider is told of a cause, in its own words; the others it has none for.
_PROVIDER_REASON = {Cause.FRAUD: "fraudulent", Cause.REMORSE: "requested_by_customer"}
_ONE = (refund.c.platform_id == bindparam("platform")) & (refund.c.id == bindparam("refund"))
_LOAD = prepared(select(refund).where(_ONE))
_LOCK = prepared(select(refund).where(_ONE).with_for_update())


async def preview(services: Services, actor: Actor, draft: RefundDraft) -> Plan:
    """What a refund would do now, with the token that creates exactly that. Raises what `draft.plan` raises."""
    async with services.db.read(tenant(actor)) as scope:
        payment = await recording.load(scope, _payment_id(draft), path=("paymentId",))
        return await drafts.plan(scope, services.vault, payment, draft)


async def create(services: Services, actor: Actor, *, idempotency_key: str, token: str, draft: RefundDraft) -> Row[Any]:
    """Does what the preview of this token showed. Raises PreviewStale when that is not what would happen now, and what
    `draft.plan` raises."""
    platform = tenant(actor)
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope,
            actor=actor.idempotency_scope,
            operation="refundCreate",
            key=idempotency_key,
            body={**draft.told(), "token": token},
        )
        if claim.replay is not None:
            return await load(scope, RefundId(parse_id("refund", claim.replay["id"])))
        payment = await recording.load(scope, _payment_id(draft), path=("paymentId",), lock=True)
        try:
            plan = await drafts.plan(scope, services.vault, payment, draft)
        except (AboveRest, QuantityAboveLine, NothingLeft) as gone:
            raise PreviewStale from gone
        if token != plan.token:
            raise PreviewStale
        row = await _insert(scope, payment, draft, plan.made, actor.id)
        cause = Source("refund", row.id)
        await arithmetic.keep(scope, cause, payment, plan.made)
        is_decided = await clawback.begin(scope, cause, payment, plan.made.parts)
        await idempotency.finish(scope, claim, {"id": public_id("refund", row.id)})
        await outbox.enqueue(scope, JOB, str(platform))
        if is_decided:
            row = await approve(scope, payment, row) or row
        return row


async def load(scope: Scope, id: RefundId, *, path: tuple[str, ...] = (), lock: bool = False) -> Row[Any]:
    """One refund. Raises NotFound. Its payment is locked before it is."""
    row = await scope.first(_LOCK if lock else _LOAD, {"platform": scope.platform, "refund": id})
    if row is None:
        raise NotFound("refund", public_id("refund", id), path=path)
    return row


async def approve(scope: WriteScope, payment: Row[Any], row: Row[Any]) -> Row[Any] | None:
    """Books a refund whose parts are decided and has the provider asked (R1); its payment and its own row are locked.

    None while a reversal is undecided. Posts: nothing may be locked after it.
    """
    cause = Source("refund", row.id)
    funding = await clawback.funding(scope, cause)
    if funding is None:
        return None
    made = await arithmetic.kept(scope, cause, payment)
    if made is None:
        raise AssertionError(f"{public_id('refund', row.id)} keeps nothing")
    debts = await clawback.book(scope, cause, funding)
    row = await ask(scope, row, status=RefundStatus.SENDING.value, booked_at=scope.now)
    await journal.post_all(scope, [*debts, _approved(scope, row, made, funding)])
    await tax_return.tell(scope, cause, payment)
    return row


async def ask(scope: WriteScope, row: Row[Any], **values: Any) -> Row[Any]:
    """Opens a request to the provider for a refund that is locked, and writes `values` with it."""
    intent = await intents.open_intent(
        scope,
        kind=CREATE_REFUND,
        subject_id=row.id,
        request={
            "charge": row.charge,
            "amount": row.amount,
            "currency": row.currency,
            "reason": _PROVIDER_REASON.get(Cause(row.cause)),
        },
        send_now=False,
    )
    await outbox.enqueue(scope, JOB, str(scope.platform))
    return await change(scope, row.id, intent_id=intent.id, **values)


async def change(scope: WriteScope, id: UUID, **values: Any) -> Row[Any]:
    """Writes what became of a refund; gives its row."""
    return await scope.one(
        update(refund)
        .where(refund.c.platform_id == scope.platform, refund.c.id == id)
        .values(**values, updated_at=scope.now)
        .returning(refund)
    )


def owed(row: Row[Any]) -> chart.AccountRef:
    """The account of what buyers are owed, in the currency in which a refund's sale was settled."""
    return chart.account(chart.REFUND_PAYABLE, row.settlement_currency)


def entry(
    row: Row[Any],
    scope: WriteScope,
    kind: str,
    words: str,
    postings: Sequence[Posting],
    *,
    of: str | None = None,
    reason: dict[str, Any] | None = None,
) -> JournalEntry:
    """An entry of a refund; `of` is which one it is, where there may be several."""
    id = public_id("refund", row.id)
    return JournalEntry(
        key=f"{kind}:{id}" + (f":{of}" if of else ""),
        kind=kind,
        source=Source("refund", row.id),
        postings=tuple(postings),
        effective_at=scope.now,
        description=f"{words} {id}",
        reason={"payment": public_id("payment", row.payment_id), "cause": row.cause} | (reason or {}),
    )


def _payment_id(draft: RefundDraft) -> PaymentId:
    return PaymentId(parse_id("payment", draft.payment_id, path=("paymentId",)))


async def _insert(scope: WriteScope, payment: Row[Any], draft: RefundDraft, made: Returned, by: str) -> Row[Any]:
    id = new_id()
    row = await scope.one(
        insert(refund)
        .values(
            platform_id=scope.platform,
            id=id,
            payment_id=payment.id,
            kind=draft.kind.value,
            cause=draft.cause.value,
            reason=checked_reason(draft.reason),
            reference=draft.reference,
            wanted=draft.told()["lines"],
            currency=made.currency,
            amount=made.amount,
            settlement_currency=made.settlement_currency,
            settlement_amount=made.settlement_amount,
            policy_version=made.policy_version,
            status=RefundStatus.RECOVERING.value,
            charge=payment.provider_charge,
            attempt=1,
            created_by=by,
            created_at=scope.now,
            updated_at=scope.now,
        )
        .returning(refund)
    )
    shares = [
        {
            "platform_id": scope.platform,
            "refund_id": id,
            "seller_id": seller,
            "currency": made.settlement_currency,
            "part": part,
            "recharge": made.recharges.get(seller, 0),
        }
        for seller, part in made.parts.items()
    ]
    if shares:
        await scope.run(insert(refund_share), shares)
    return row


def _approved(scope: WriteScope, row: Row[Any], made: Returned, funding: Sequence[Funding]) -> JournalEntry:
    taken = [Taken(SellerId(one.seller_id), one.pending, one.payable) for one in funding]
    reason = {"reason": row.reason, "policy_version": made.policy_version, "terms": made.terms.told()}
    if row.reference is not None:
        reason["reference"] = row.reference
    return entry(row, scope, "refund", "Refund", booking.postings(made, taken, owed(row)), reason=reason)
