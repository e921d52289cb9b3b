"""Our side of reconciliation: the rows that money moved for, and what their entries moved at the provider.

The money at the provider is on `psp:pending` and `psp:available`; what sellers hold there is on their custody accounts.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Integer, Row, Text, Uuid, bindparam, text

from marketbill.db import Instant, ReadScope
from marketbill.errors import NotFound
from marketbill.ids import PREFIX, parse_id, public_id
from marketbill.payouts.treasury import source_of
from marketbill.reconciliation.matching import Kept, Stage, Thing, Told
from marketbill.reconciliation.told import ACCOUNTS_MAX, BY_TRANSACTION, Origin, TooMany

#: Things whose money moved in one window; a window of more is halved.
SOURCES_MAX = 2_000

_IDS = bindparam("ids", type_=ARRAY(Uuid))
_TEXTS = bindparam("texts", type_=ARRAY(Text))
_SPAN = (bindparam("start", type_=Instant), bindparam("end", type_=Instant), bindparam("limit", type_=Integer))
# What moved the platform's money at the provider, by the accounts' own index of time.
_TOUCHED = text(
    """
    with psp as (
      select id from ledger_account where platform_id = :platform and code in ('psp:pending', 'psp:available')
    ), moved as (
      select p.entry_number from psp join posting p on p.platform_id = :platform and p.debit_account_id = psp.id
        and p.effective_at >= :start and p.effective_at < :end
      union
      select p.entry_number from psp join posting p on p.platform_id = :platform and p.credit_account_id = psp.id
        and p.effective_at >= :start and p.effective_at < :end
    )
    select distinct e.source_type, e.source_id from moved
    join journal_entry e on e.platform_id = :platform and e.number = moved.entry_number
    limit :limit
    """
).bindparams(*_SPAN)
_PAYOUTS_MADE = text(
    """
    select id, seller_id from payout where platform_id = :platform and created_at >= :start and created_at < :end
    limit :limit
    """
).bindparams(*_SPAN)
_ACCOUNTS = text(
    """
    select provider_account from seller where platform_id = :platform and provider_account is not null
      and id in (
        select unnest(cast(:ids as uuid[])) union
        select seller_id from transfer where platform_id = :platform and id = any(:transfers))
    limit :limit
    """
).bindparams(_IDS, bindparam("transfers", type_=ARRAY(Uuid)), bindparam("limit", type_=Integer))
_BY_PROVIDER_PAYMENT = text(
    "select id, provider_payment from payment where platform_id = :platform and provider_payment = any(:texts)"
).bindparams(_TEXTS)
_BY_PROVIDER_PAYOUT = text(
    "select id, provider_payout from payout where platform_id = :platform and provider_payout = any(:texts)"
).bindparams(_TEXTS)
# The span stands before the look-up, as `ledger.entries` says why.
_BOOKED = text(
    r"""
    with span as materialized (
      select e.source_type, e.source_id, e.kind, e.effective_at, e.recorded_at, e.first_posting,
             e.first_posting + e.posting_count - 1 as last_posting
      from journal_entry e where e.platform_id = :platform and e.source_id = any(:ids)
    )
    select span.source_type, span.source_id, span.kind = 'transfer-reversal' as takes_back, p.currency,
      min(span.effective_at) filter (where d.code like 'psp\:%' or c.code like 'psp\:%') as at,
      max(span.recorded_at) as latest,
      sum(case when d.code in ('psp:pending', 'psp:available') then p.amount else 0 end
        - case when c.code in ('psp:pending', 'psp:available') then p.amount else 0 end) as moved,
      sum(case when d.kind = 'CUSTODY' and d.code like '%\:available' then p.amount else 0 end
        - case when c.kind = 'CUSTODY' and c.code like '%\:available' then p.amount else 0 end) as held
    from span
    cross join lateral (
      select * from posting where platform_id = :platform and number between span.first_posting and span.last_posting
      order by number limit 2000) p
    join ledger_account d on d.platform_id = :platform and d.id = p.debit_account_id
    join ledger_account c on c.platform_id = :platform and c.id = p.credit_account_id
    where not p.held
    group by 1, 2, 3, 4
    """
).bindparams(_IDS)
_PAYMENTS = text(
    """
    select id, provider_charge, coalesce(settlement_currency, currency) as currency, settled_at, created_at, updated_at,
      coalesce(settlement_gross, gross) as amount, provider_fee as fee
    from payment where platform_id = :platform and id = any(:ids)
    """
).bindparams(_IDS)
_TRANSFERS = text(
    """
    select id, provider_transfer, currency, amount, reversed, status, created_at, updated_at
    from transfer where platform_id = :platform and id = any(:ids)
    """
).bindparams(_IDS)
_PAYOUTS = text(
    """
    select o.id, o.provider_payout, o.currency, o.amount, o.status, o.created_at, o.updated_at,
      i.request ->> 'account_id' as account
    from payout o join provider_intent i on i.platform_id = o.platform_id and i.id = o.intent_id
    where o.platform_id = :platform and o.id = any(:ids)
    """
).bindparams(_IDS)
_REFUNDS = text(
    """
    select id, provider_refund, settlement_currency as currency, status, created_at, updated_at
    from refund where platform_id = :platform and id = any(:ids)
    """
).bindparams(_IDS)
_DISPUTES = text(
    """
    select id, provider_dispute, coalesce(settlement_currency, currency) as currency, opened_at, updated_at
    from dispute where platform_id = :platform and id = any(:ids)
    """
).bindparams(_IDS)
_BY_PROVIDER_DISPUTE = text(
    "select id, provider_dispute from dispute where platform_id = :platform and provider_dispute = any(:texts)"
).bindparams(_TEXTS)
# What the provider did by itself is booked under its transaction's id, which makes the source's.
_TRANSACTIONS = text(
    """
    select distinct on (e.source_id) e.source_id as id, e.reason ->> 'balance_transaction' as transaction,
      e.reason ->> 'type' as type
    from journal_entry e
    where e.platform_id = :platform and e.source_id = any(:ids) and e.source_type = 'balance transaction'
      and e.reason ->> 'balance_transaction' is not null
    order by e.source_id, e.number
    """
).bindparams(_IDS)
_WAITING = text(
    """
    select distinct object_id from inbox_event
    where platform_id = :platform and object_id = any(:texts) and handled_at is null
    """
).bindparams(_TEXTS)
_STAGES = {
    "CREATED": Stage.UNDER_WAY,
    "IN_TRANSIT": Stage.UNDER_WAY,
    "PAID": Stage.PAID,
    "FAILED": Stage.RETURNED,
    "CANCELED": Stage.RETURNED,
    "REFUSED": Stage.RETURNED,
}

Sources = Mapping[str, Collection[UUID]]
"""Ids of rows by the kind of source that the ledger knows them as."""


@dataclass(slots=True)
class _Booked:
    """What the entries of a source moved, by currency: `moved` of the platform's money, `held` of a seller's."""

    moved: dict[str, int]
    back: dict[str, int]
    held: dict[str, int]
    at: datetime | None = None
    latest: datetime | None = None


async def touched(scope: ReadScope, start: datetime, end: datetime) -> dict[str, set[UUID]]:
    """The sources whose entries moved money at the provider in a time, and the payouts made in it. Raises TooMany."""
    values = {"platform": scope.platform, "start": start, "end": end, "limit": SOURCES_MAX}
    found: defaultdict[str, set[UUID]] = defaultdict(set)
    for row in await _all(scope, _TOUCHED, values):
        found[row.source_type].add(row.source_id)
    for row in await _all(scope, _PAYOUTS_MADE, values):
        found["payout"].add(row.id)
    return dict(found)


async def accounts_of(scope: ReadScope, sources: Sources, start: datetime, end: datetime) -> set[str]:
    """The connected accounts that were paid out, or got a transfer, in a time. Raises TooMany."""
    span = {"platform": scope.platform, "start": start, "end": end, "limit": SOURCES_MAX}
    sellers = {row.seller_id for row in await _all(scope, _PAYOUTS_MADE, span)}
    values = {
        "platform": scope.platform,
        "ids": list(sellers),
        "transfers": list(sources.get("transfer", ())),
        "limit": ACCOUNTS_MAX,
    }
    return {row.provider_account for row in await _all(scope, _ACCOUNTS, values)}


async def names_of(
    scope: ReadScope, told: Iterable[Told], origins: Mapping[tuple[Thing, str], Origin]
) -> dict[tuple[Thing, str], str]:
    """What we call each of the provider's objects: by its payment, its payout, its group, or the name it bears."""
    told = list(told)
    payments = {origin.payment_id for origin in origins.values() if origin.payment_id}
    values = {"platform": scope.platform, "texts": list(payments)}
    by_payment = {row.provider_payment: row.id for row in await scope.rows(_BY_PROVIDER_PAYMENT, values)}
    values = {"platform": scope.platform, "texts": [one.id for one in told if one.thing is Thing.PAYOUT]}
    by_payout = {row.provider_payout: row.id for row in await scope.rows(_BY_PROVIDER_PAYOUT, values)}
    values = {"platform": scope.platform, "texts": [one.id for one in told if one.thing is Thing.DISPUTE]}
    by_dispute = {row.provider_dispute: row.id for row in await scope.rows(_BY_PROVIDER_DISPUTE, values)}
    names: dict[tuple[Thing, str], str] = {}
    for one in told:
        key = (one.thing, one.id)
        origin = origins.get(key)
        name = one.name
        if one.thing is Thing.CHARGE and origin is not None:
            paid = by_payment.get(origin.payment_id)
            name = public_id("payment", paid) if paid else name or origin.transfer_group
        elif one.thing is Thing.PAYOUT and one.id in by_payout:
            name = public_id("payout", by_payout[one.id])
        elif one.thing is Thing.DISPUTE and one.id in by_dispute:
            name = public_id("dispute", by_dispute[one.id])
        if name is not None and _id_of(one.thing, name) is not None:
            names[key] = name
    return names


def sources_of(names: Mapping[tuple[Thing, str], str]) -> dict[str, set[UUID]]:
    """The sources that are called so."""
    found: defaultdict[str, set[UUID]] = defaultdict(set)
    for (thing, _), name in names.items():
        id = _id_of(thing, name)
        if id is not None:
            found[_SOURCES[thing]].add(id)
    return dict(found)


async def kept_of(scope: ReadScope, sources: Sources) -> list[Kept]:
    """What we have of each source, with what its entries moved."""
    ids = {id for found in sources.values() for id in found}
    if not ids:
        return []
    booked = await _booked(scope, ids)
    found: list[Kept] = []
    for row in await scope.rows(_PAYMENTS, _of(scope, sources, "payment")):
        found.append(_payment(row, booked["payment", row.id]))
    for row in await scope.rows(_TRANSFERS, _of(scope, sources, "transfer")):
        found += _transfer(row, booked["transfer", row.id])
    for row in await scope.rows(_PAYOUTS, _of(scope, sources, "payout")):
        found.append(_payout(row, booked["payout", row.id]))
    for row in await scope.rows(_REFUNDS, _of(scope, sources, "refund")):
        found.append(_refund(row, booked["refund", row.id]))
    for row in await scope.rows(_DISPUTES, _of(scope, sources, "dispute")):
        found.append(_dispute(row, booked["dispute", row.id]))
    for row in await scope.rows(_TRANSACTIONS, _of(scope, sources, "balance transaction")):
        found.append(_transaction(row, booked["balance transaction", row.id]))
    return [*found, *_without_row(booked, {one.name for one in found})]


def _without_row(booked: Mapping[tuple[str, UUID], _Booked], known: Collection[str]) -> Iterator[Kept]:
    """Entries that moved the platform's money at the provider for nothing that we have a row of."""
    for (type, id), one in booked.items():
        moved = {currency: amount for currency, amount in one.moved.items() if amount}
        name = public_id(type, id) if type in PREFIX else f"{type} {id}"
        if moved and type != "balance transaction" and name not in known and one.at and one.latest:
            currency = next(iter(moved))
            yield Kept(Thing.OTHER, name, None, one.at, one.latest, moved, currency)


def transactions_of(scope: ReadScope, told: Iterable[Told]) -> dict[str, set[UUID]]:
    """The sources of what the provider did by itself."""
    own = {source_of(scope.platform, one.id).id for one in told if one.thing in BY_TRANSACTION}
    return {"balance transaction": own} if own else {}


async def waiting(scope: ReadScope, told: Iterable[Told]) -> set[str]:
    """Ids of the provider's of which an event waits to be handled."""
    ids = {id for one in told for id in (one.id, *one.words)}
    rows = await scope.rows(_WAITING, {"platform": scope.platform, "texts": list(ids)})
    return {row.object_id for row in rows}


async def _all(scope: ReadScope, statement: Any, values: Mapping[str, Any]) -> list[Row[Any]]:
    rows = list(await scope.rows(statement, values))
    if len(rows) >= values["limit"]:
        raise TooMany
    return rows


def _of(scope: ReadScope, sources: Sources, type: str) -> dict[str, Any]:
    return {"platform": scope.platform, "ids": list(sources.get(type, ()))}


async def _booked(scope: ReadScope, ids: Collection[UUID]) -> defaultdict[tuple[str, UUID], _Booked]:
    booked: defaultdict[tuple[str, UUID], _Booked] = defaultdict(lambda: _Booked({}, {}, {}))
    for row in await scope.rows(_BOOKED, {"platform": scope.platform, "ids": list(ids)}):
        one = booked[row.source_type, row.source_id]
        moved = one.back if row.takes_back else one.moved
        moved[row.currency] = moved.get(row.currency, 0) + int(row.moved)
        one.held[row.currency] = one.held.get(row.currency, 0) + int(row.held)
        one.at = min(filter(None, (one.at, row.at)), default=None)
        one.latest = max(filter(None, (one.latest, row.latest)))
    return booked


def _payment(row: Row[Any], booked: _Booked) -> Kept:
    return Kept(
        thing=Thing.CHARGE,
        name=public_id("payment", row.id),
        provider_id=row.provider_charge,
        at=booked.at or row.created_at,
        latest=booked.latest or row.updated_at,
        booked=booked.moved,
        currency=row.currency,
        facts={"amount": row.amount, "fee": row.fee} if row.settled_at else {},
        awaited=row.settled_at is None,
    )


def _transfer(row: Row[Any], booked: _Booked) -> list[Kept]:
    common: dict[str, Any] = {
        "name": public_id("transfer", row.id),
        "provider_id": row.provider_transfer,
        "at": booked.at or row.created_at,
        "latest": max(booked.latest or row.updated_at, row.updated_at),
        "currency": row.currency,
    }
    sent = Kept(
        Thing.TRANSFER, booked=booked.moved, facts={"amount": row.amount}, awaited=row.status != "SENT", **common
    )
    return [sent, Kept(Thing.REVERSAL, booked=booked.back, facts={"amount": row.reversed}, **common)]


def _payout(row: Row[Any], booked: _Booked) -> Kept:
    return Kept(
        thing=Thing.PAYOUT,
        name=public_id("payout", row.id),
        provider_id=row.provider_payout,
        at=row.created_at,
        latest=max(booked.latest or row.updated_at, row.updated_at),
        # What was claimed, and is with the provider or gone; nothing when the provider never had it.
        booked=booked.held if row.provider_payout else {},
        currency=row.currency,
        facts={"amount": row.amount},
        stage=_STAGES[row.status],
        awaited=row.provider_payout is None,
        account=row.account,
    )


def _refund(row: Row[Any], booked: _Booked) -> Kept:
    return Kept(
        thing=Thing.REFUND,
        name=public_id("refund", row.id),
        provider_id=row.provider_refund,
        at=booked.at or row.created_at,
        latest=max(booked.latest or row.updated_at, row.updated_at),
        booked=booked.moved,
        currency=row.currency,
        awaited=row.status in ("RECOVERING", "SENDING", "PENDING"),
    )


def _dispute(row: Row[Any], booked: _Booked) -> Kept:
    return Kept(
        thing=Thing.DISPUTE,
        name=public_id("dispute", row.id),
        provider_id=row.provider_dispute,
        at=booked.at or row.opened_at,
        latest=max(booked.latest or row.updated_at, row.updated_at),
        booked=booked.moved,
        currency=row.currency,
    )


def _transaction(row: Row[Any], booked: _Booked) -> Kept:
    assert booked.at is not None, "it has an entry that moved the platform's money"
    assert booked.latest is not None, "and was recorded then"
    return Kept(
        thing=Thing.TOPUP if (row.type or "").startswith("topup") else Thing.OTHER,
        name=row.transaction,
        provider_id=row.transaction,
        at=booked.at,
        latest=booked.latest,
        booked=booked.moved,
        currency=next(iter(booked.moved)),
    )


_SOURCES = {
    Thing.CHARGE: "payment",
    Thing.TRANSFER: "transfer",
    Thing.REVERSAL: "transfer",
    Thing.REFUND: "refund",
    Thing.DISPUTE: "dispute",
    Thing.PAYOUT: "payout",
}


def _id_of(thing: Thing, name: str) -> UUID | None:
    if thing not in _SOURCES:
        return None
    try:
        return parse_id(_SOURCES[thing], name)
    except NotFound:
        return None
