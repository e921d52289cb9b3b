"""Payouts: from a seller's provider account to his bank, on request. The money is claimed in the ledger first."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, bindparam, select, update

from marketbill.db import Scope, WriteScope
from marketbill.errors import InsufficientFunds, NotFound, StateConflict
from marketbill.events import outbox
from marketbill.ids import PayoutId, PlatformId, SellerId, parse_id, public_id
from marketbill.ledger import journal
from marketbill.ledger.journal import JournalEntry
from marketbill.payouts import booking, instant, lines, pauses
from marketbill.payouts.lines import Purse
from marketbill.payouts.model import PayoutStatus, Rail, payout
from marketbill.platforms.credentials import provider_of
from marketbill.provider import claim as claims
from marketbill.provider import ending
from marketbill.provider import saga as sagas
from marketbill.provider.intent import Intent
from marketbill.provider.kinds import CREATE_PAYOUT
from marketbill.provider.model import provider_intent
from marketbill.provider.objects import Payout
from marketbill.provider.port import INTENT_METADATA, Provider
from marketbill.provider.saga import Done, Refusal, Saga, Setback
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
_MADE = select(payout.c.provider_payout).where(
    payout.c.platform_id == bindparam("platform"),
    payout.c.id == bindparam("ids", type_=ARRAY(Uuid)).any_(),
    payout.c.provider_payout.is_not(None),
)
_FROM_PROVIDER = {
    "pending": PayoutStatus.CREATED,
    "in_transit": PayoutStatus.IN_TRANSIT,
    "paid": PayoutStatus.PAID,
    "failed": PayoutStatus.FAILED,
    "canceled": PayoutStatus.CANCELED,
}
#: It came back, or was never made: what it had is the seller's again.
RETURNED = (PayoutStatus.FAILED, PayoutStatus.CANCELED, PayoutStatus.REFUSED)


class PayoutMismatch(StateConflict):
    """The provider tells of another amount, currency or account than the payout has: never booked, always an alarm."""


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
    async with services.db.write(platform) as scope:
        await outbox.enqueue(scope, "execute_payouts", str(platform))


async def are_known(scope: Scope, made: Collection[tuple[str, str]]) -> set[str]:
    """Of payouts by our public ids and the provider's: the provider's ids of those that we know to be made."""
    ids = [id for public, _ in made if (id := _id_or_none(public)) is not None]
    rows = await scope.rows(_MADE, {"platform": scope.platform, "ids": ids}) if ids else ()
    return {row.provider_payout for row in rows}


def _id_or_none(public: str) -> UUID | None:
    try:
        return parse_id("payout", public)
    except NotFound:
        return None


async def apply(scope: WriteScope, id: PayoutId, told: Payout, *, account: str) -> None:
    """What the provider says of a payout of `account`, in any order: `failed` wins over `paid`, nothing else goes back
    (J8). A payout that was taken for refused, but was made, claims its money again.

    Raises PayoutMismatch, and InsufficientFunds when money that must be claimed again is gone.
    """
    # Before the payout's row is locked: so does the worker who records what his own request made.
    await ending.record_news(scope, CREATE_PAYOUT, [(id, told.id)])
    await journal.post_all(scope, await _take(scope, id, told, account=account))


async def _take(scope: WriteScope, id: PayoutId, told: Payout, *, account: str) -> list[JournalEntry]:
    """Records what the provider says; what follows for the books is the caller's to post, last."""
    row = await scope.first(_LOCK, {"platform": scope.platform, "payout": id})
    if row is None:
        return []
    _match(row, told, account)
    current, new = PayoutStatus(row.status), _FROM_PROVIDER[told.status]
    entries: list[JournalEntry] = []
    if current is PayoutStatus.REFUSED and new not in RETURNED:
        purse = Purse(row.seller_id, row.currency, Rail.PROVIDER)
        await sellers.load(scope, SellerId(row.seller_id), lock=True)
        if not await lines.reclaim(scope, row.id, purse, row.amount):
            raise InsufficientFunds(
                f"{public_id('payout', id)} was made after all, but its money went elsewhere meanwhile.",
                available_minor=0,
                currency=row.currency,
            )
        entries.append(booking.reclaimed(row, scope))
        current = PayoutStatus.CREATED
    if current in RETURNED or (current is PayoutStatus.PAID and new is not PayoutStatus.FAILED):
        return []
    values: dict[str, Any] = {"provider_payout": told.id, "arrival_on": told.arrival_date, "reason": None}
    if told.trace:
        values["bank_reference"] = told.trace
    if new is PayoutStatus.PAID:
        entries += [booking.paid(row, scope), *await instant.recharge(scope, row)]
        values |= {"status": new, "paid_at": scope.now}
    elif new in RETURNED:
        reason = told.failure_code or new.lower()
        entries.append(booking.returned(row, scope, after_paid=current is PayoutStatus.PAID, of=told.id))
        values |= {"status": new, "reason": reason}
        await lines.let_go(scope, row.id)
        if new is PayoutStatus.FAILED:
            await pauses.pause(scope, row, reason)
    elif (current, new) != (PayoutStatus.IN_TRANSIT, PayoutStatus.CREATED):
        values["status"] = new
    await _update(scope, row.id, values)
    return entries


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
        instant=intent.request.get("instant", False),
    )


def _mismatch(intent: Intent, made: Payout) -> str | None:
    asked, told = (intent.request["amount"], intent.request["currency"]), (made.amount, made.currency)
    return None if told == asked else f"{intent.public_id} asked for {asked}, but the provider's {made.id} is {told}."


async def _succeeded(scope: WriteScope, done: Sequence[Done[Payout]]) -> None:
    await ending.record_news(scope, CREATE_PAYOUT, [(one.intent.subject_id, one.made.id) for one in done])
    entries: list[JournalEntry] = []
    for one in sorted(done, key=lambda one: one.intent.subject_id):
        id = PayoutId(one.intent.subject_id)
        entries += await _take(scope, id, one.made, account=one.intent.request["account_id"])
    await journal.post_all(scope, entries)


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
    await lines.let_go(scope, row.id)
    await journal.post_all(scope, [booking.returned(row, scope, after_paid=False)])


def _gate_of(intent: Intent) -> str:
    return payout_gate(intent.request["account_id"])


async def _open_gates(scope: WriteScope, waiting: Sequence[Intent]) -> Collection[str]:
    return await open_gates(scope, {intent.request["account_id"] for intent in waiting})


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
    together=True,
    refusal=Refusal.RETURNS,
    gate=_gate_of,
    open_gates=_open_gates,
    retried=_retried,
    abandoned=_abandoned,
)
