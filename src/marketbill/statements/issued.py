"""Statements as issued: once one has its number it says the same for ever, byte for byte.

What is issued is not the lines but the state of the books that they are read from: the last posting known. Postings are
never changed, so the same lines come out whenever they are read. What is recorded later for a period that was issued
already is in no later period's lines either; the next statement tells it as a sum between the two balances.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, insert, select

from marketbill.actor import Actor
from marketbill.db import Scope
from marketbill.errors import InvalidInput, NotFound, StateConflict
from marketbill.idempotency import keys as idempotency
from marketbill.ids import SellerId, new_id, parse_id, public_id
from marketbill.ledger.balances import watermark
from marketbill.money import exponent
from marketbill.paging import Page, PageRequest, newest_first
from marketbill.platforms.keys import tenant
from marketbill.sellers import seller as sellers
from marketbill.services import Services
from marketbill.statements import numbers
from marketbill.statements.document import (
    Party,
    Read,
    StatementDocument,
    draw_up,
    parties,
)
from marketbill.statements.model import issued_statement
from marketbill.statements.statement import statement

#: What the numbers of statements begin with.
KIND = "ST"

_OF_PLATFORM = issued_statement.c.platform_id == bindparam("platform")
_OVERLAPPING = (
    select(issued_statement)
    .where(
        issued_statement.c.platform_id == bindparam("platform"),
        issued_statement.c.seller_id == bindparam("seller"),
        issued_statement.c.currency == bindparam("currency"),
        issued_statement.c.period_start < bindparam("end"),
        issued_statement.c.period_end > bindparam("start"),
    )
    .order_by(issued_statement.c.period_start)
    .limit(1)
)
_SAME = select(issued_statement).where(
    _OF_PLATFORM,
    issued_statement.c.seller_id == bindparam("seller"),
    issued_statement.c.currency == bindparam("currency"),
    issued_statement.c.period_start == bindparam("start"),
    issued_statement.c.period_end == bindparam("end"),
)
_PREVIOUS_CLOSING = (
    select(issued_statement.c.closing)
    .where(
        _OF_PLATFORM,
        issued_statement.c.seller_id == bindparam("seller"),
        issued_statement.c.currency == bindparam("currency"),
        issued_statement.c.period_end == bindparam("start"),
    )
    .order_by(issued_statement.c.id.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class IssueDraft:
    """Which statement to issue: [start, end) of a seller in one currency."""

    seller_id: str
    currency: str
    start: datetime
    end: datetime


async def issue(services: Services, actor: Actor, *, idempotency_key: str, draft: IssueDraft) -> Row[Any]:
    """Gives the statement of a period that is over its number; the same one when it was issued before.

    Raises NotFound, UnknownCurrency, InvalidInput for a period that does not run forward or is not over, StateConflict
    for one that overlaps another statement's.
    """
    platform = tenant(actor)
    exponent(draft.currency, path=("currency",))
    seller = SellerId(parse_id("seller", draft.seller_id, path=("sellerId",)))
    body = {**asdict(draft), "start": draft.start.isoformat(), "end": draft.end.isoformat()}
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="statementIssue", key=idempotency_key, body=body
        )
        if claim.replay is not None:
            return await by_id(scope, actor, claim.replay["id"])
        if draft.end > scope.now:
            raise InvalidInput(
                f"A statement is issued once its period is over: it is {scope.now.isoformat()} for this platform.",
                path=("period", "until"),
                constraint=f"<= {scope.now.isoformat()}",
            )
        # Two who issue the same period wait for one another.
        await sellers.load(scope, seller, path=("sellerId",), lock=True)
        period = {"seller": seller, "currency": draft.currency, "start": draft.start, "end": draft.end}
        values = {"platform": scope.platform, **period}
        row = await scope.first(_SAME, values)
        if row is not None:
            await idempotency.finish(scope, claim, {"id": public_id("statement", row.id)})
            return row
        overlapping = await scope.first(_OVERLAPPING, values)
        if overlapping is not None:
            raise _overlaps(overlapping)
        own, of = await parties(scope, seller)
        entity, issuer = await numbers.issuer_for(scope, own, of.country)
        told = await statement(scope, **period, known=await watermark(scope), limit=1)
        previous = await scope.scalar(_PREVIOUS_CLOSING, values)
        number = await numbers.take(scope, entity, KIND)
        id = new_id()
        await scope.run(
            insert(issued_statement).values(
                platform_id=scope.platform,
                id=id,
                seller_id=seller,
                currency=draft.currency,
                period_start=draft.start,
                period_end=draft.end,
                legal_entity=number.legal_entity,
                series=number.series,
                number=number.text,
                known=told.as_of,
                opening=told.opening.total,
                closing=told.closing.total,
                previous_closing=previous,
                issuer=asdict(issuer),
                seller=asdict(of),
                issued_at=scope.now,
                issued_by=actor.id,
            )
        )
        await idempotency.finish(scope, claim, {"id": public_id("statement", id)})
        return await by_id(scope, actor, public_id("statement", id))


def _overlaps(issued: Row[Any]) -> StateConflict:
    """Statements follow one another: the closing of one is the opening of the next, and nothing is told twice."""
    since, until = issued.period_start.isoformat(), issued.period_end.isoformat()
    return StateConflict(
        f"Statement {issued.number} tells of {since} to {until} already: issue a period before or after it.",
        current_state="ISSUED",
        path=("period",),
    )


async def document_of(read: Read, row: Row[Any]) -> StatementDocument:
    """An issued statement with its lines, as it was when it was issued."""
    drawn = await draw_up(
        read,
        seller=SellerId(row.seller_id),
        currency=row.currency,
        start=row.period_start,
        end=row.period_end,
        known=row.known,
    )
    return StatementDocument(
        statement=drawn.statement,
        lines=drawn.lines,
        issuer=party_of(row.issuer),
        seller=party_of(row.seller),
        number=row.number,
        issued_at=row.issued_at,
        previous_closing=row.previous_closing,
    )


def party_of(kept: dict[str, Any]) -> Party:
    """A party as it was kept with a document."""
    return Party(**{**kept, "lines": tuple(kept["lines"])})


async def page(scope: Scope, actor: Actor, request: PageRequest, *, seller: UUID | None = None) -> Page:
    """Issued statements, newest first; a seller sees his own."""
    found = select(issued_statement).where(issued_statement.c.platform_id == scope.platform)
    for only in (seller, actor.seller):
        if only is not None:
            found = found.where(issued_statement.c.seller_id == only)
    return await newest_first(scope, found, issued_statement.c.id, request)


async def by_id(scope: Scope, actor: Actor, id: str) -> Row[Any]:
    """One issued statement. Raises NotFound."""
    found = select(issued_statement).where(
        issued_statement.c.platform_id == scope.platform,
        issued_statement.c.id == parse_id("statement", id, path=("id",)),
    )
    row = await scope.first(found)
    if row is None or actor.seller not in (None, row.seller_id):
        raise NotFound("statement", id, path=("id",))
    return row
