"""Payout schedules: a platform's own for all its sellers, and those of single sellers, which go before it.

The next date is computed when the schedule is set and when a date has come, and kept with the reason why it is that
one.
"""

from collections.abc import Collection
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Date, Row, Text, Uuid, bindparam, select, text
from sqlalchemy.dialects.postgresql import JSONB

from marketbill.actor import Actor
from marketbill.db import Instant, Scope
from marketbill.errors import NotFound
from marketbill.idempotency import keys as idempotency
from marketbill.ids import SellerId, new_id, parse_id, public_id
from marketbill.paging import Page, PageRequest, newest_first
from marketbill.payouts import calendar, terms
from marketbill.payouts.model import payout_schedule
from marketbill.platforms.keys import tenant
from marketbill.rules.payout_calendar import ON_REQUEST, Due, Interval, Terms, next_due, upcoming
from marketbill.sellers import seller as sellers
from marketbill.services import Services

#: Why there is no next date.
ON_REQUEST_WORDS = "paid out on request only"
_SET = (
    text(
        """
        insert into payout_schedule (platform_id, id, seller_id, terms, next_at, next_on, next_why, created_at,
          updated_at, changed_by)
        values (:platform, :id, :seller, :terms, :next_at, :next_on, :next_why, :now, :now, :by)
        on conflict (platform_id, seller_id) do update set terms = excluded.terms, next_at = excluded.next_at,
          next_on = excluded.next_on, next_why = excluded.next_why, updated_at = excluded.updated_at,
          changed_by = excluded.changed_by
        returning *
        """
    )
    .bindparams(
        bindparam("terms", type_=JSONB),
        bindparam("seller", type_=Uuid),
        bindparam("next_at", type_=Instant),
        bindparam("next_on", type_=Date),
        bindparam("next_why", type_=Text),
    )
    .columns(*payout_schedule.c)
)
_OF = select(payout_schedule).where(
    payout_schedule.c.platform_id == bindparam("platform"),
    payout_schedule.c.seller_id.is_(None)
    | (payout_schedule.c.seller_id == bindparam("sellers", type_=ARRAY(Uuid)).any_()),
)


async def put(
    services: Services, actor: Actor, *, idempotency_key: str, seller_id: str | None, wanted: Terms
) -> Row[Any]:
    """Sets the schedule of a seller, or of all who have none of their own; what was computed before gives way.

    Raises NotFound, InvalidInput.
    """
    platform = tenant(actor)
    terms.check(wanted)
    body = {"seller_id": seller_id, "terms": terms.as_json(wanted)}
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="payoutScheduleSet", key=idempotency_key, body=body
        )
        if claim.replay is not None:
            return await by_id(scope, actor, claim.replay["id"])
        seller = None
        if seller_id is not None:
            seller = SellerId(parse_id("seller", seller_id, path=("sellerId",)))
            await sellers.load(scope, seller, path=("sellerId",))
        due = next_of(wanted, scope.now)
        values = {
            "platform": platform,
            "id": new_id(),
            "seller": seller,
            "terms": terms.as_json(wanted),
            **next_values(wanted, due),
            "now": scope.now,
            "by": actor.id,
        }
        row = await scope.one(_SET, values)
        await idempotency.finish(scope, claim, {"id": public_id("payout schedule", row.id)})
        return row


async def by_id(scope: Scope, actor: Actor, id: str) -> Row[Any]:
    """One schedule: a seller sees his own, and the one for all. Raises NotFound."""
    row = await scope.first(
        select(payout_schedule).where(
            payout_schedule.c.platform_id == scope.platform,
            payout_schedule.c.id == parse_id("payout schedule", id, path=("id",)),
        )
    )
    if row is None or (actor.seller is not None and row.seller_id not in (None, actor.seller)):
        raise NotFound("payout schedule", id, path=("id",))
    return row


async def page(scope: Scope, request: PageRequest) -> Page:
    """All schedules of a platform, newest first."""
    statement = select(payout_schedule).where(payout_schedule.c.platform_id == scope.platform)
    return await newest_first(scope, statement, payout_schedule.c.id, request)


async def of(scope: Scope, sellers: Collection[UUID]) -> dict[UUID, Row[Any] | None]:
    """The schedule that holds for each of these sellers; None where nobody set one."""
    rows = await scope.rows(_OF, {"platform": scope.platform, "sellers": list(sellers)})
    found = {row.seller_id: row for row in rows}
    return {seller: found.get(seller, found.get(None)) for seller in sellers}


async def terms_of(scope: Scope, seller: UUID) -> Terms:
    """The terms that hold for a seller."""
    row = (await of(scope, [seller]))[seller]
    return ON_REQUEST if row is None else terms.read(row.terms)


def next_of(wanted: Terms, after: datetime) -> Due | None:
    """The first date later than `after` by the schedule's calendars."""
    return next_due(wanted, after, _closed(wanted))


def dates(wanted: Terms, after: datetime, number: int) -> list[Due]:
    """The next dates by the schedule's calendars."""
    return upcoming(wanted, after, _closed(wanted), number)


def next_values(wanted: Terms, due: Due | None) -> dict[str, Any]:
    """The columns that keep a computed date."""
    if due is None:
        why = ON_REQUEST_WORDS if wanted.interval is Interval.MANUAL else "no day of the coming year is open"
        return {"next_at": None, "next_on": None, "next_why": why}
    return {"next_at": due.at, "next_on": due.on, "next_why": due.why}


def _closed(wanted: Terms) -> Any:
    def closed(day: date) -> str | None:
        return calendar.closed(wanted.calendars, day)

    return closed
