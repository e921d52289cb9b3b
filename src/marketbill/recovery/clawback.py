"""Clawback: what sellers give back for a refund or a lost dispute, taken step by step, and given again when it fails.

A cause (the refund, the dispute) goes through it so, with the payment's row locked by the caller each time:

1. `forecast` tells, without touching anything, from where each seller's part would come.
2. `begin` takes what the platform still has, and asks the provider to reverse transfers for the rest.
3. Whatever becomes of the reversals, the cause is never blocked: `funding` tells what came, and that the rest is debt;
   `book` writes that down, and gives the entry of the debts that must stand before the cause's own.
4. `give_back` undoes it for a refund that was refused, or a dispute that was won after all.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, bindparam, func, insert, select, text

from marketbill.db import Scope, WriteScope
from marketbill.errors import NotFound
from marketbill.events import outbox
from marketbill.ids import SellerId, public_id
from marketbill.ledger import chart
from marketbill.ledger.journal import JournalEntry, Posting, Source
from marketbill.payments.model import payment_share
from marketbill.payouts import again, custody, debts, netting, unpaid, unsent
from marketbill.payouts import reversal as reversals
from marketbill.payouts.again import Again
from marketbill.payouts.debts import Owed
from marketbill.payouts.model import ReversalStatus, TransferStatus, reversal, transfer
from marketbill.payouts.netting import Due
from marketbill.payouts.reversal import Wanted
from marketbill.payouts.unsent import Less
from marketbill.prepared import prepared
from marketbill.recovery import write_off
from marketbill.recovery.model import clawback
from marketbill.rules.clawback import Held, Standing, Taking, taking
from marketbill.sellers.model import seller

#: One seller's share of a payment.
_MINE = bindparam("sellers", type_=ARRAY(Uuid)).any_()
_SHARES = (
    select(
        payment_share.c.seller_id,
        payment_share.c.released_at,
        payment_share.c.transfers_planned_at,
        (func.coalesce(payment_share.c.settled_net, payment_share.c.seller_net) - payment_share.c.returned).label(
            "left"
        ),
    )
    .where(
        payment_share.c.platform_id == bindparam("platform"),
        payment_share.c.payment_id == bindparam("payment"),
        payment_share.c.seller_id == _MINE,
    )
    .order_by(payment_share.c.seller_id)
)
_READ_SHARES, _LOCK_SHARES = prepared(_SHARES), prepared(_SHARES.with_for_update())
_LOCK_SELLERS = prepared(
    select(seller.c.id)
    .where(seller.c.platform_id == bindparam("platform"), seller.c.id == _MINE)
    .order_by(seller.c.id)
    .with_for_update()
)
_TRANSFERS = (
    select(transfer)
    .where(
        transfer.c.platform_id == bindparam("platform"),
        transfer.c.payment_id == bindparam("payment"),
        transfer.c.seller_id == _MINE,
        transfer.c.status != TransferStatus.CANCELED.value,
    )
    .order_by(transfer.c.id)
)
_READ_TRANSFERS, _LOCK_TRANSFERS = prepared(_TRANSFERS), prepared(_TRANSFERS.with_for_update())
#: What reversals that are not over will take of each transfer.
_ASKED = prepared(
    select(reversal.c.transfer_id, func.sum(reversal.c.amount).label("amount"))
    .where(
        reversal.c.platform_id == bindparam("platform"),
        reversal.c.transfer_id == bindparam("transfers", type_=ARRAY(Uuid)).any_(),
        (reversal.c.status == ReversalStatus.WAITING.value) | (reversal.c.status == ReversalStatus.PENDING.value),
    )
    .group_by(reversal.c.transfer_id)
)
_RETURN = text(
    """
    update payment_share set returned = returned + :amount
    where platform_id = :platform and payment_id = :payment and seller_id = :seller
    """
)
#: What a share's release booked grows by what is released with what comes back.
_RELEASED = text(
    """
    update payment_share set released = released + :amount
    where platform_id = :platform and payment_id = :payment and seller_id = :seller
    """
)
_INSERT = insert(clawback)
_CAUSE = (clawback.c.platform_id == bindparam("platform")) & (
    (clawback.c.cause_type == bindparam("type")) & (clawback.c.cause_id == bindparam("cause"))
)
_OF_CAUSE = prepared(select(clawback).where(_CAUSE).order_by(clawback.c.seller_id).with_for_update())
_REVERSALS = prepared(
    select(reversal)
    .where(
        reversal.c.platform_id == bindparam("platform"),
        reversal.c.cause_type == bindparam("type"),
        reversal.c.cause_id == bindparam("cause"),
    )
    .order_by(reversal.c.id)
    .with_for_update()
)
_CAME = (ReversalStatus.DONE, ReversalStatus.LOWERED)
_MISSED = text(
    """
    update reversal set missed = true
    where platform_id = :platform and cause_type = :type and cause_id = :cause and status not in ('DONE', 'LOWERED')
    """
)
_BOOKED = text(
    """
    update clawback set booked_at = :now where platform_id = :platform and cause_type = :type and cause_id = :cause
    """
)
_GIVEN = text(
    """
    update clawback set returned_at = :now where platform_id = :platform and cause_type = :type and cause_id = :cause
    """
)


class Forecast(NamedTuple):
    """From where a seller's part would be taken now, in minor units of the settlement currency: `pending`, `payable`
    (what was not transferred, or not paid out by the platform's bank), `reverse` (from his account at the provider),
    and what would be a `debt`."""

    seller_id: SellerId
    amount: int
    pending: int
    payable: int
    reverse: int
    debt: int


class Funding(NamedTuple):
    """What a seller's part is booked from, in minor units: `amount = pending + payable`. `debt` is the part of
    `payable` that a debt must bring there first."""

    seller_id: SellerId
    amount: int
    pending: int
    payable: int
    debt: int


class _State(NamedTuple):
    """What was read of the sellers of one payment."""

    standings: dict[UUID, Standing]
    transfers: dict[UUID, Row[Any]]
    items: Sequence[Row[Any]]


async def forecast(scope: Scope, payment: Row[Any], parts: Mapping[SellerId, int]) -> list[Forecast]:
    """From where the parts would come now, by seller. It reads alone, and answers alike while nothing changes.

    Raises NotFound for a seller without a share in the payment."""
    values = _values(scope, payment, parts)
    shares = await scope.rows(_READ_SHARES, values)
    transfers = await scope.rows(_READ_TRANSFERS, values)
    free = await custody.free(scope, parts), await unpaid.free(scope, parts)
    standings = await _standings(scope, payment, parts, shares, transfers, *free)
    made = {id: taking(part, standings[id]) for id, part in parts.items() if part}
    return [
        Forecast(SellerId(id), parts[SellerId(id)], one.pending, one.payable, one.reverse, one.debt)
        for id, one in sorted(made.items())
    ]


async def begin(scope: WriteScope, cause: Source, payment: Row[Any], parts: Mapping[SellerId, int]) -> bool:
    """Takes the parts (minor units of the settlement currency); True when nothing has to be waited for.

    The payment's row is locked by the caller. A cause begins once: what it began is not begun again. When reversals
    that it has to wait for are decided, its job is owed (`execute_refunds`, `execute_disputes`). Raises NotFound for a
    seller without a share in the payment.
    """
    if await scope.rows(_OF_CAUSE, _cause(scope, cause)):
        return await funding(scope, cause) is not None
    state = await _locked(scope, payment, parts)
    made = {id: taking(part, state.standings[id]) for id, part in sorted(parts.items()) if part}
    if not made:
        return True
    await _give_up_unsent(scope, cause, made)
    currency = payment.settlement_currency or payment.currency
    await unpaid.take(scope, cause, currency, {id: one.unpaid for id, one in made.items()})
    claimed: dict[UUID, int] = {}
    wanted = [Wanted(state.transfers[id], amount) for one in made.values() for id, amount in one.reversed]
    await reversals.ask(scope, cause, wanted, state.items, claimed)
    await custody.record(scope, claimed)
    await scope.run(
        _RETURN,
        [
            {"platform": scope.platform, "payment": payment.id, "seller": id, "amount": one.own}
            for id, one in made.items()
        ],
    )
    await scope.run(_INSERT, [_row(scope, cause, payment, id, parts[id], one) for id, one in made.items()])
    return not wanted


async def funding(scope: WriteScope, cause: Source) -> list[Funding] | None:
    """What the cause's entry may be booked from, by seller; None while a reversal is undecided.

    What did not come by now is debt, and the answer stands when `book` is called in the same transaction.
    """
    rows = await scope.rows(_OF_CAUSE, _cause(scope, cause))
    asked = await scope.rows(_REVERSALS, _cause(scope, cause))
    if any(one.decided_at is None for one in asked):
        return None
    came: dict[UUID, int] = {}
    for one in asked:
        if one.status in _CAME and not one.missed:
            came[one.seller_id] = came.get(one.seller_id, 0) + one.amount
    return [
        Funding(
            SellerId(row.seller_id),
            row.amount,
            row.pending,
            row.amount - row.pending,
            row.debt + row.reverse - came.get(row.seller_id, 0),
        )
        for row in rows
    ]


async def book(scope: WriteScope, cause: Source, fundings: Sequence[Funding]) -> list[JournalEntry]:
    """Writes down that the cause takes what `funding` told; gives the entry of its debts (D5), if any, to be posted
    before the cause's own. Called once for a cause."""
    values = _cause(scope, cause) | {"now": scope.now}
    rows = {row.seller_id: row for row in await scope.rows(_OF_CAUSE, _cause(scope, cause))}
    await scope.run(_BOOKED, values)
    await scope.run(_MISSED, _cause(scope, cause))
    lacking = [one for one in fundings if one.debt]
    if not lacking:
        return []
    owed = [
        Owed(one.seller_id, rows[one.seller_id].currency, rows[one.seller_id].payment_id, cause, one.debt)
        for one in lacking
    ]
    await debts.incur(scope, owed)
    return [
        JournalEntry(
            key=f"debt:{public_id(cause.type, cause.id)}",
            kind="debt",
            source=cause,
            postings=tuple(debts.incurred(one.seller_id, one.currency, one.amount) for one in owed),
            effective_at=scope.now,
            description=f"Debt for {public_id(cause.type, cause.id)}",
            reason={"payment": public_id("payment", owed[0].payment_id)} if owed[0].payment_id else {},
        )
    ]


async def give_back(scope: WriteScope, cause: Source, *, more: Mapping[UUID, int] | None = None) -> list[JournalEntry]:
    """Gives the parts of a booked cause back to their sellers, once: the entries follow the caller's own, which puts
    each part where it was taken from (what `funding` told as pending and as payable).

    The debt of the cause is paid first, also what was written off of it; what was transferred before is transferred
    again, after older debts. `more` is what the caller's entries give each seller beside his part. The payment's row is
    locked by the caller.
    """
    rows = [row for row in await scope.rows(_OF_CAUSE, _cause(scope, cause)) if row.returned_at is None]
    if not rows:
        return []
    ids = [row.seller_id for row in rows]
    values = {"platform": scope.platform, "payment": rows[0].payment_id, "sellers": ids}
    shares = {row.seller_id: row for row in await scope.rows(_LOCK_SHARES, values)}
    await scope.run(_GIVEN, _cause(scope, cause) | {"now": scope.now})
    await scope.run(_MISSED, _cause(scope, cause))
    if any(row.booked_at is None for row in rows):
        raise ValueError(f"{public_id(cause.type, cause.id)} gives back what it has not booked")
    await scope.run(
        _RETURN,
        [
            {"platform": scope.platform, "payment": row.payment_id, "seller": row.seller_id, "amount": -row.own}
            for row in rows
        ],
    )
    released = [row for row in rows if row.pending and shares[row.seller_id].released_at]
    if released:
        await scope.run(
            _RELEASED,
            [
                {"platform": scope.platform, "payment": row.payment_id, "seller": row.seller_id, "amount": row.pending}
                for row in released
            ],
        )
    reopened = await write_off.reopen(scope, cause)
    held = await debts.lock_open(scope, ids)
    entries = reopened + [_released(scope, cause, row) for row in released]
    dues: list[tuple[Row[Any], Due]] = []
    for row in rows:
        back = _payable_back(row, shares[row.seller_id]) + (more or {}).get(row.seller_id, 0)
        due = _due(cause, row, back)
        paid = held.pay(row.seller_id, row.currency, due.amount, of=cause)
        if paid:
            entries.append(netting.set_off_entry(scope, due, paid))
        left = due.amount - paid - _planned_later(row, shares[row.seller_id])
        if left > 0:
            dues.append((row, due._replace(amount=left, key=f"{due.key}:rest")))
    await held.record(scope)
    netted = await netting.net(scope, [due for _, due in dues])
    await again.plan(
        scope,
        [
            Again(row.payment_id, row.seller_id, row.currency, rest)
            for (row, _), rest in zip(dues, netted.rests, strict=True)
            if rest
        ],
    )
    await outbox.enqueue(scope, "execute_transfers", str(scope.platform))
    return [*entries, *netted.entries]


async def _locked(scope: WriteScope, payment: Row[Any], parts: Mapping[SellerId, int]) -> _State:
    """The sellers' state, locked in the house's order: shares, sellers, transfers, items."""
    values = _values(scope, payment, parts)
    shares = await scope.rows(_LOCK_SHARES, values)
    await scope.rows(_LOCK_SELLERS, {"platform": scope.platform, "sellers": values["sellers"]})
    transfers = await scope.rows(_LOCK_TRANSFERS, values)
    free, items = await custody.lock(scope, parts)
    by_bank = await unpaid.free(scope, parts)
    standings = await _standings(scope, payment, parts, shares, transfers, free, by_bank)
    return _State(standings, {row.id: row for row in transfers}, items)


async def _standings(
    scope: Scope,
    payment: Row[Any],
    parts: Mapping[SellerId, int],
    shares: Sequence[Row[Any]],
    transfers: Sequence[Row[Any]],
    free: Mapping[custody.Purse, int],
    by_bank: Mapping[custody.Purse, int],
) -> dict[UUID, Standing]:
    missing = [id for id in sorted(parts) if id not in {share.seller_id for share in shares}]
    if missing:
        raise NotFound("seller", public_id("seller", missing[0]), path=("sellerId",))
    values = {"platform": scope.platform, "transfers": [row.id for row in transfers]}
    asked = {row.transfer_id: int(row.amount) for row in await scope.rows(_ASKED, values)} if transfers else {}
    currency = payment.settlement_currency or payment.currency
    held: dict[UUID, list[Held]] = {}
    for row in reversed(transfers):
        left = row.amount - row.reversed - asked.get(row.id, 0)
        under_way = row.status == TransferStatus.PENDING
        held.setdefault(row.seller_id, []).append(Held(row.id, left, row.status in unsent.NOT_SENT, under_way))
    return {
        share.seller_id: Standing(
            left=share.left,
            is_released=share.released_at is not None,
            is_planned=share.transfers_planned_at is not None,
            free=free.get((share.seller_id, currency), 0),
            transfers=held.get(share.seller_id, []),
            unpaid=by_bank.get((share.seller_id, currency), 0),
        )
        for share in shares
    }


async def _give_up_unsent(scope: WriteScope, cause: Source, made: Mapping[SellerId, Taking]) -> None:
    wanted = [Less(id, amount) for one in made.values() for id, amount in one.lowered]
    if wanted:
        await unsent.lower(scope, wanted, reason=f"Taken back for {public_id(cause.type, cause.id)}.")


def _payable_back(row: Row[Any], share: Row[Any]) -> int:
    """What of the part is payable once the caller's entry stands: what was pending too, where it was released since."""
    return row.amount if share.released_at is not None else row.amount - row.pending


def _planned_later(row: Row[Any], share: Row[Any]) -> int:
    """What is payable again and goes with the transfer of its share, which is not planned yet."""
    return row.own if share.released_at is not None and share.transfers_planned_at is None else 0


def _due(cause: Source, row: Row[Any], amount: int) -> Due:
    key = f"{public_id(cause.type, cause.id)}:{public_id('seller', row.seller_id)}:back"
    return Due(row.seller_id, row.currency, amount, cause, key)


def _released(scope: WriteScope, cause: Source, row: Row[Any]) -> JournalEntry:
    """Its share was released while the part was away: so is the part, now that it is back."""
    owner = SellerId(row.seller_id)
    posting = Posting(chart.seller_pending(owner, row.currency), chart.seller_payable(owner, row.currency), row.pending)
    id = public_id("payment", row.payment_id)
    return JournalEntry(
        key=f"release:{id}:{public_id('seller', owner)}:{public_id(cause.type, cause.id)}",
        kind="release",
        source=Source("payment", row.payment_id),
        postings=(posting,),
        effective_at=scope.now,
        description=f"Released {id}: given back by {public_id(cause.type, cause.id)}",
        reason={"cause": public_id(cause.type, cause.id)},
    )


def _values(scope: Scope, payment: Row[Any], parts: Mapping[SellerId, int]) -> dict[str, Any]:
    return {"platform": scope.platform, "payment": payment.id, "sellers": sorted(parts)}


def _cause(scope: Scope, cause: Source) -> dict[str, Any]:
    return {"platform": scope.platform, "type": cause.type, "cause": cause.id}


def _row(
    scope: WriteScope, cause: Source, payment: Row[Any], seller_id: UUID, part: int, made: Taking
) -> dict[str, Any]:
    return {
        "platform_id": scope.platform,
        "cause_type": cause.type,
        "cause_id": cause.id,
        "seller_id": seller_id,
        "payment_id": payment.id,
        "currency": payment.settlement_currency or payment.currency,
        "amount": part,
        "own": made.own,
        "pending": made.pending,
        "payable": made.payable,
        "reverse": made.reverse,
        "debt": made.debt,
        "created_at": scope.now,
    }
