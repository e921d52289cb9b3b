"""Where is my money: every cent of a seller that is not paid out yet, with its state, the reason it is there, since
when, until when, and whose turn it is.

The amounts come from the things themselves (shares, transfers, reserves, payouts, debts), not from the accounts; what
they add up to is held against the accounts, and a difference is never hidden: it is told as `BOOKED_OTHERWISE`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Text, Uuid, bindparam, text

from marketbill.db import ReadScope, Scope
from marketbill.ids import SellerId
from marketbill.ledger.accounts import SellerPosition, seller_positions


class Place(StrEnum):
    """Which of the seller's accounts holds it. A DEBT is what he owes, below zero."""

    PENDING = "PENDING"
    PAYABLE = "PAYABLE"
    RESERVE = "RESERVE"
    AT_PROVIDER = "AT_PROVIDER"
    IN_TRANSIT = "IN_TRANSIT"
    DEBT = "DEBT"


class Why(StrEnum):
    """Why it is there and not in the seller's bank account."""

    FUNDS_PENDING = "FUNDS_PENDING"
    AWAITING_DELIVERY = "AWAITING_DELIVERY"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    HOLD_PERIOD = "HOLD_PERIOD"
    RISK_HOLD = "RISK_HOLD"
    DISPUTE_HOLD = "DISPUTE_HOLD"
    APPROVAL_HOLD = "APPROVAL_HOLD"
    MANUAL_HOLD = "MANUAL_HOLD"
    BEING_RELEASED = "BEING_RELEASED"
    BEING_TRANSFERRED = "BEING_TRANSFERRED"
    ACCOUNT_INCOMPLETE = "ACCOUNT_INCOMPLETE"
    TRANSFER_REFUSED = "TRANSFER_REFUSED"
    ROLLING_RESERVE = "ROLLING_RESERVE"
    TO_BE_PAID_OUT = "TO_BE_PAID_OUT"
    PAYOUT_UNDER_WAY = "PAYOUT_UNDER_WAY"
    BEING_RETURNED = "BEING_RETURNED"
    OWED_BY_SELLER = "OWED_BY_SELLER"
    BOOKED_OTHERWISE = "BOOKED_OTHERWISE"


class Party(StrEnum):
    """Whose turn it is."""

    PROVIDER = "PROVIDER"
    BANK = "BANK"
    PLATFORM = "PLATFORM"
    SELLER = "SELLER"
    MARKETBILL = "MARKETBILL"


@dataclass(frozen=True, slots=True)
class Heap:
    """All money of one currency, place and reason. Amounts in minor units; `until` is when the first of it goes on,
    `until_last` the last, where that is known. `detail` is the words of one hold or refusal, where all have the same.
    """

    currency: str
    place: Place
    why: Why
    party: Party
    amount: int
    number: int
    since: datetime | None = None
    until: datetime | None = None
    until_last: datetime | None = None
    by: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The heaps of one seller and currency; `position` is what his accounts say. Both are equal, cent for cent, unless
    a heap says BOOKED_OTHERWISE."""

    position: SellerPosition
    heaps: tuple[Heap, ...]

    @property
    def total(self) -> int:
        return sum(heap.amount for heap in self.heaps)


# A hold shows before anything else that a share waits for: it is a decision, and somebody can be asked about it.
_ITEMS = """
    with share as (
      select s.payment_id as id, coalesce(y.settlement_currency, y.currency) as currency,
             coalesce(s.settled_net, s.seller_net) - s.returned as amount, s.hold_from, s.release_on, s.released_at,
             s.transfers_planned_at, y.booked_at, y.available_at, y.available_on, s.seller_id
      from payment_share s
      join payment y on y.platform_id = s.platform_id and y.id = s.payment_id
      where s.platform_id = :platform and s.seller_id = any(:sellers) and y.booked_at is not null
        and (s.released_at is null or s.transfers_planned_at is null)
    ), item as (
      select x.seller_id, x.id, 'payment' as noun, x.currency, 'PENDING' as place,
             case when h.id is not null then h.kind || '_HOLD' when x.available_at is null then 'FUNDS_PENDING'
                  when x.release_on is null then 'AWAITING_' || x.hold_from
                  when x.release_on > :now then 'HOLD_PERIOD' else 'BEING_RELEASED' end as why,
             case when h.id is not null then 'PLATFORM' when x.available_at is null then 'PROVIDER'
                  when x.release_on is null then 'PLATFORM' else 'MARKETBILL' end as party,
             x.amount, coalesce(h.placed_at, x.booked_at) as since,
             case when h.id is not null then h.until when x.available_at is null then x.available_on
                  else x.release_on end as until, h.placed_by as by, h.reason as detail
      from share x
      left join lateral (
        select * from seller_hold h
        where h.platform_id = :platform and h.seller_id = x.seller_id and h.lifted_at is null and h.scope = 'RELEASE'
          and (h.payment_id is null or h.payment_id = x.id)
        order by h.placed_at, h.id limit 1
      ) h on true
      where x.released_at is null
      union all
      select x.seller_id, x.id, 'payment', x.currency, 'PAYABLE', 'BEING_TRANSFERRED', 'MARKETBILL', x.amount,
             x.released_at, null, null, null
      from share x where x.released_at is not null
      union all
      select t.seller_id, t.id, 'transfer', t.currency, 'PAYABLE',
             case t.status when 'HELD' then 'ACCOUNT_INCOMPLETE' when 'REFUSED' then 'TRANSFER_REFUSED'
                           else 'BEING_TRANSFERRED' end,
             case t.status when 'HELD' then 'SELLER' when 'REFUSED' then 'PLATFORM' else 'PROVIDER' end,
             t.amount, t.created_at, null, null, t.reason
      from transfer t
      where t.platform_id = :platform and t.seller_id = any(:sellers) and t.status in ('PENDING', 'HELD', 'REFUSED')
      union all
      select r.seller_id, r.id, 'reserve', r.currency, 'RESERVE', 'ROLLING_RESERVE', 'MARKETBILL', r.amount,
             r.created_at, r.release_on, null, null
      from reserve r where r.platform_id = :platform and r.seller_id = any(:sellers) and r.released_at is null
      union all
      select i.seller_id, i.id, 'payout item', i.currency,
             case i.rail when 'BANK' then 'PAYABLE' else 'AT_PROVIDER' end,
             case when h.id is null then 'TO_BE_PAID_OUT' else h.kind || '_HOLD' end,
             case when h.id is null then 'SELLER' else 'PLATFORM' end,
             i.amount - i.claimed, coalesce(h.placed_at, i.created_at), h.until, h.placed_by, h.reason
      from payout_item i
      left join lateral (
        select * from seller_hold h
        where h.platform_id = :platform and h.seller_id = i.seller_id and h.lifted_at is null and h.scope = 'PAYOUT'
        order by h.placed_at, h.id limit 1
      ) h on true
      where i.platform_id = :platform and i.seller_id = any(:sellers) and i.claimed <> i.amount
      union all
      select o.seller_id, o.id, 'payout', o.currency, 'IN_TRANSIT', 'PAYOUT_UNDER_WAY', 'BANK', o.amount,
             o.created_at, o.arrival_on, null, o.reason
      from payout o
      where o.platform_id = :platform and o.seller_id = any(:sellers) and o.rail = 'PROVIDER'
        and o.status in ('CREATED', 'IN_TRANSIT')
      union all
      select c.seller_id, c.cause_id, c.cause_type, c.currency, k.place, 'BEING_RETURNED', 'MARKETBILL', k.amount,
             c.created_at, null, null, null
      from clawback c
      cross join lateral (values
        ('PENDING', c.pending),
        ('PAYABLE', c.payable + (
          select coalesce(cast(sum(r.amount) as bigint), 0) from reversal r
          where r.platform_id = :platform and r.cause_type = c.cause_type and r.cause_id = c.cause_id
            and r.seller_id = c.seller_id and r.status in ('DONE', 'LOWERED')))
      ) as k (place, amount)
      where c.platform_id = :platform and c.seller_id = any(:sellers) and c.booked_at is null and c.returned_at is null
      union all
      select d.seller_id, d.cause_id, d.cause_type, d.currency, 'DEBT', 'OWED_BY_SELLER', 'SELLER', - d.remaining,
             d.created_at, null, null, null
      from debt d where d.platform_id = :platform and d.seller_id = any(:sellers) and d.remaining > 0
    )
"""
_HEAPS = text(
    f"""
    {_ITEMS}
    select seller_id, currency, place, why, party, cast(sum(amount) as bigint) as amount, count(*) as number,
           min(since) as since, min(until) as until, max(until) as until_last,
           case when count(distinct by) = 1 then min(by) end as by,
           case when count(distinct detail) = 1 then min(detail) end as detail
    from item where amount <> 0
    group by seller_id, currency, place, why, party order by seller_id, currency, place, why, party
    """  # noqa: S608 (our own words alone)
).bindparams(bindparam("sellers", type_=ARRAY(Uuid)))
_PAGE = text(
    f"""
    {_ITEMS}
    select * from item
    where amount <> 0 and (cast(:currency as text) is null or currency = :currency)
      and (cast(:why as text) is null or why = :why)
      and (cast(:after as uuid) is null or (id, place, why) < (:after, cast(:place as text), cast(:reason as text)))
    order by id desc, place desc, why desc limit :limit
    """  # noqa: S608 (our own words alone)
).bindparams(
    bindparam("sellers", type_=ARRAY(Uuid)),
    bindparam("currency", type_=Text),
    bindparam("why", type_=Text),
    bindparam("after", type_=Uuid),
)


async def whereabouts(scope: ReadScope, seller: UUID) -> list[Whereabouts]:
    """Where a seller's money is now, one for each currency that he has any of."""
    return (await whereabouts_of(scope, [seller]))[seller]


async def whereabouts_of(scope: ReadScope, sellers: Sequence[UUID]) -> dict[UUID, list[Whereabouts]]:
    """The same of several sellers (at most `ledger.limits.READ_MAX`), in one statement."""
    rows = await scope.rows(_HEAPS, {"platform": scope.platform, "sellers": list(sellers), "now": scope.now})
    heaps: dict[tuple[UUID, str], list[Heap]] = {}
    for row in rows:
        heaps.setdefault((row.seller_id, row.currency), []).append(_heap(row))
    positions: dict[tuple[UUID, str], SellerPosition] = {
        (seller, one.currency): one
        for seller, held in (await seller_positions(scope, [SellerId(id) for id in sellers])).items()
        for one in held
    }
    found: dict[UUID, list[Whereabouts]] = {seller: [] for seller in sellers}
    for seller, currency in sorted(heaps.keys() | positions.keys()):
        position = positions.get((seller, currency), SellerPosition(currency))
        mine = heaps.get((seller, currency), [])
        if mine or any(_accounts(position).values()):
            found[seller].append(_held_against(mine, position))
    return found


async def pieces(
    scope: Scope,
    seller: UUID,
    *,
    limit: int,
    currency: str | None = None,
    why: Why | None = None,
    after: tuple[UUID, str, str] | None = None,
) -> Sequence[Row[Any]]:
    """The things that a seller's heaps are made of, newest first: payments, transfers, reserves, payouts and debts;
    those after the one of this id, place and reason."""
    id, place, reason = after or (None, None, None)
    values = {"platform": scope.platform, "sellers": [seller], "now": scope.now, "limit": limit}
    values |= {"after": id, "place": place, "reason": reason}
    return await scope.rows(_PAGE, {**values, "currency": currency, "why": why.value if why else None})


def _held_against(heaps: Sequence[Heap], position: SellerPosition) -> Whereabouts:
    """What the accounts hold beside the things is a heap of its own: corrections of the books, what is in passing
    between two entries, and what is too small to be transferred."""
    found = dict.fromkeys(Place, 0)
    for heap in heaps:
        found[heap.place] += heap.amount
    rests = {place: amount - found[place] for place, amount in _accounts(position).items()}
    more = [
        Heap(position.currency, place, Why.BOOKED_OTHERWISE, Party.PLATFORM, rest, 1)
        for place, rest in rests.items()
        if rest
    ]
    return Whereabouts(position, (*heaps, *more))


def _accounts(position: SellerPosition) -> Mapping[Place, int]:
    return {
        Place.PENDING: position.pending,
        Place.PAYABLE: position.payable,
        Place.RESERVE: position.reserve,
        Place.AT_PROVIDER: position.available,
        Place.IN_TRANSIT: position.in_transit,
        Place.DEBT: -position.debt,
    }


def _heap(row: Row[Any]) -> Heap:
    return Heap(
        currency=row.currency,
        place=Place(row.place),
        why=Why(row.why),
        party=Party(row.party),
        amount=row.amount,
        number=row.number,
        since=row.since,
        until=row.until,
        until_last=row.until_last,
        by=row.by,
        detail=row.detail,
    )
