"""The platform's fee schedules: drafts that may change, and published versions that never do.

A version holds from its instant on, until that of a later one comes. A payment keeps the version it was computed with.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Text, bindparam, cast, delete, func, insert, literal, select, update

from marketbill.actor import Actor
from marketbill.clock import rfc3339
from marketbill.db import Scope, WriteScope
from marketbill.errors import InvalidInput, LimitExceeded, NotFound, Path, StateConflict
from marketbill.idempotency import keys as idempotency
from marketbill.ids import new_id, parse_id, public_id
from marketbill.paging import Page, PageRequest, newest_first
from marketbill.platforms.fee_document import document_of, place_of, schedule_of_document
from marketbill.platforms.keys import tenant
from marketbill.platforms.model import fee_schedule as table
from marketbill.platforms.model import platform
from marketbill.prepared import prepared
from marketbill.rules.fees.schedule import Schedule
from marketbill.rules.fees.validity import check_schedule
from marketbill.services import Services

VERSIONS_MAX = 1000
DRAFTS_MAX = 100
#: The id of a schedule that is kept nowhere.
DRAFT_ID = "fee_draft"
#: Published schedules whose rules a process keeps ready: they never change.
_READY_MAX = 512

_CURRENT = prepared(
    select(table)
    .where(
        table.c.platform_id == bindparam("platform"),
        table.c.status == "PUBLISHED",
        table.c.effective_from <= bindparam("at"),
    )
    .order_by(table.c.effective_from.desc())
    .limit(1)
)
# Two who publish at once take two numbers; payments, which refer to the platform, do not wait.
_LOCK = (
    select(platform.c.platform_id)
    .where(platform.c.platform_id == bindparam("platform"))
    .with_for_update(key_share=True)
)
_ready: dict[tuple[UUID, int], Schedule] = {}


class Standing(StrEnum):
    """Where a schedule stands at an instant: not published, to come, in force, or taken over by a later one."""

    DRAFT = "DRAFT"
    SCHEDULED = "SCHEDULED"
    LIVE = "LIVE"
    SUPERSEDED = "SUPERSEDED"


class PublishInPast(InvalidInput):
    """A schedule that would hold from an instant that has passed: payments were computed without it."""

    def __init__(self, at: datetime, now: datetime) -> None:
        super().__init__(
            f"A schedule cannot hold from {rfc3339(at)}, which has passed: name an instant after {rfc3339(now)},"
            " or none for now.",
            path=("effectiveFrom",),
            constraint=f">= {rfc3339(now)}",
        )


class InstantTaken(InvalidInput):
    """Two published schedules from the same instant: nobody could tell which one holds."""

    def __init__(self, at: datetime, version: int) -> None:
        super().__init__(
            f"Version {version} holds from {rfc3339(at)} already: name another instant.",
            path=("effectiveFrom",),
            constraint="unique in the platform",
        )


class NotADraft(StateConflict):
    """A published schedule that was to be changed, published again or discarded."""

    def __init__(self, row: Row[Any], *, path: Path = ("id",)) -> None:
        super().__init__(
            f"{public_id('fee schedule', row.id)} is published as version {row.version} and never changes:"
            " make a new draft.",
            current_state=row.status,
            path=path,
        )


class ScheduleMissing(StateConflict):
    """A platform without a schedule in force at an instant."""

    def __init__(self, at: datetime) -> None:
        super().__init__(
            f"No fee schedule holds at {rfc3339(at)}: publish one first.", current_state="NONE", path=("feeSchedule",)
        )


async def draft(services: Services, actor: Actor, *, idempotency_key: str, document: object) -> Row[Any]:
    """Keeps a document as a new draft. Raises InvalidInput naming its first wrong field, under `document`."""

    checked = _checked(document)

    async def work(scope: WriteScope) -> Row[Any]:
        return await add_draft(scope, checked, by=actor.id)

    return await _once(services, actor, "feeScheduleDraft", idempotency_key, {"document": checked}, work)


async def change(services: Services, actor: Actor, *, idempotency_key: str, id: str, document: object) -> Row[Any]:
    """Puts another document in a draft's place. Raises InvalidInput, NotFound, NotADraft."""

    checked = _checked(document)

    async def work(scope: WriteScope) -> Row[Any]:
        return await change_draft(scope, parse_id("fee schedule", id, path=("id",)), checked)

    body = {"id": id, "document": checked}
    return await _once(services, actor, "feeScheduleUpdate", idempotency_key, body, work)


async def publish(
    services: Services, actor: Actor, *, idempotency_key: str, id: str, effective_from: datetime | None = None
) -> Row[Any]:
    """Publishes a draft as the next version, from an instant on, or from now on.

    Raises NotFound, NotADraft, PublishInPast, InstantTaken, and what the rules refuse.
    """

    async def work(scope: WriteScope) -> Row[Any]:
        schedule = parse_id("fee schedule", id, path=("id",))
        return await publish_draft(scope, schedule, at=effective_from, by=actor.id)

    body = {"id": id, "effective_from": rfc3339(effective_from) if effective_from else None}
    return await _once(services, actor, "feeSchedulePublish", idempotency_key, body, work)


async def discard(services: Services, actor: Actor, *, idempotency_key: str, id: str) -> str:
    """Drops a draft; gives its id. Raises NotFound, NotADraft."""
    async with services.db.write(tenant(actor)) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="feeScheduleDiscard", key=idempotency_key, body={"id": id}
        )
        if claim.replay is None:
            await discard_draft(scope, parse_id("fee schedule", id, path=("id",)))
            await idempotency.finish(scope, claim, {"id": id})
        return id


async def add_draft(scope: WriteScope, document: object, *, by: str) -> Row[Any]:
    """As `draft`, within a transaction."""
    await scope.run(_LOCK, {"platform": scope.platform})
    drafts = await scope.scalar(
        select(func.count()).where(table.c.platform_id == scope.platform, table.c.status == "DRAFT")
    )
    if drafts >= DRAFTS_MAX:
        raise LimitExceeded(f"A platform has at most {DRAFTS_MAX} drafts: discard some.", path=("document",))
    checked = _checked(document)
    return await scope.one(
        insert(table)
        .values(
            platform_id=scope.platform,
            id=new_id(),
            name=checked["name"],
            status="DRAFT",
            **_kept(checked),
            created_at=scope.now,
            created_by=by,
            updated_at=scope.now,
        )
        .returning(table)
    )


async def change_draft(scope: WriteScope, id: UUID, document: object) -> Row[Any]:
    """As `change`, within a transaction."""
    await _drafted(scope, id)
    checked = _checked(document)
    return await scope.one(
        update(table)
        .where(table.c.platform_id == scope.platform, table.c.id == id, table.c.status == "DRAFT")
        .values(name=checked["name"], **_kept(checked), updated_at=scope.now)
        .returning(table)
    )


async def discard_draft(scope: WriteScope, id: UUID) -> None:
    """As `discard`, within a transaction."""
    await _drafted(scope, id)
    await scope.run(
        delete(table).where(table.c.platform_id == scope.platform, table.c.id == id, table.c.status == "DRAFT")
    )


async def publish_draft(scope: WriteScope, id: UUID, *, at: datetime | None, by: str) -> Row[Any]:
    """As `publish`, within a transaction."""
    row = await _drafted(scope, id)
    if at is not None and at < scope.now:
        raise PublishInPast(at, scope.now)
    version = await _next_version(scope)
    draft_schedule(row.document)
    start = at or scope.now
    taken = await scope.scalar(
        select(table.c.version).where(table.c.platform_id == scope.platform, table.c.effective_from == start)
    )
    if taken is not None:
        raise InstantTaken(start, taken)
    return await scope.one(
        update(table)
        .where(table.c.platform_id == scope.platform, table.c.id == id, table.c.status == "DRAFT")
        .values(
            status="PUBLISHED",
            version=version,
            effective_from=start,
            published_at=scope.now,
            published_by=by,
            updated_at=scope.now,
        )
        .returning(table)
    )


async def load(scope: Scope, id: UUID, *, path: Path = ("id",)) -> Row[Any]:
    """One schedule, draft or published. Raises NotFound."""
    row = await scope.first(select(table).where(table.c.platform_id == scope.platform, table.c.id == id))
    if row is None:
        raise NotFound("fee schedule", public_id("fee schedule", id), path=path)
    return row


async def page(scope: Scope, request: PageRequest) -> Page:
    """Drafts and published schedules, newest made first."""
    return await newest_first(scope, select(table).where(table.c.platform_id == scope.platform), table.c.id, request)


async def current(scope: Scope, at: datetime | None = None) -> Row[Any]:
    """The schedule in force at an instant (default: now). Raises ScheduleMissing."""
    instant = at or scope.now
    row = await scope.first(_CURRENT, {"platform": scope.platform, "at": instant})
    if row is None:
        raise ScheduleMissing(instant)
    return row


async def standings(scope: Scope, ids: Sequence[UUID]) -> dict[UUID, Standing]:
    """Where each of these schedules stands now."""
    live = await scope.first(_CURRENT, {"platform": scope.platform, "at": scope.now})
    rows = await scope.rows(
        select(table.c.id, table.c.version, table.c.effective_from).where(
            table.c.platform_id == scope.platform, table.c.id.in_(ids)
        )
    )

    def standing(row: Row[Any]) -> Standing:
        if row.version is None:
            return Standing.DRAFT
        if live is not None and row.id == live.id:
            return Standing.LIVE
        return Standing.SCHEDULED if row.effective_from > scope.now else Standing.SUPERSEDED

    return {row.id: standing(row) for row in rows}


def schedule_of(row: Row[Any]) -> Schedule:
    """The pure schedule of a row (its id, version and document). That of a published version is made only once."""
    if row.version is None:
        return _schedule(row.document, id=row.id, version=None)
    ready = _ready.get((row.id, row.version))
    if ready is None:
        if len(_ready) >= _READY_MAX:
            _ready.clear()
        ready = _ready[row.id, row.version] = _schedule(row.document, id=row.id, version=row.version)
    return ready


class NoPlainRule(InvalidInput):
    """A stack without a rule that holds for everybody, so nothing says what an exception's other terms are."""

    def __init__(self, stack: str) -> None:
        super().__init__(
            f"The stack {stack[:60]!r} has no rule without conditions to take the other terms from: write the exception"
            " into a draft.",
            path=("stack",),
        )


def with_exception(row: Row[Any], *, seller: str, percent: str, until: str, stack: str) -> dict[str, Any]:
    """The document of a schedule with one seller's percentage added, which goes before every other rule of its stack.

    Its other terms are those of the stack's rule without conditions. Raises NoPlainRule.
    """
    document: dict[str, Any] = deepcopy(row.document)
    rules: list[dict[str, Any]] = document["rules"]
    own = [rule for rule in rules if rule.get("stack", "commission") == stack]
    usual = next((rule for rule in own if "when" not in rule and "holds_until" not in rule), None)
    if usual is None:
        raise NoPlainRule(stack)
    left_out = {"tiers", "position", "holds_from"}
    made = {key: value for key, value in usual.items() if key not in left_out} | {
        "name": f"exception {seller[-8:]} until {until[:10]}",
        "when": {"sellers": [seller]},
        "percent": percent,
        "holds_until": until,
    }
    # Without a position a rule that looks at more dimensions would go before it.
    made["position"] = min((rule["position"] for rule in own if "position" in rule), default=1) - 1
    rules.insert(rules.index(usual), made)
    return document


def draft_schedule(document: object, *, path: Path = ("document",)) -> Schedule:
    """The pure schedule of a document that is kept nowhere yet, once its rules can stand beside one another.

    Raises InvalidInput and NotFound naming the first wrong field.
    """
    schedule = schedule_of_document(document, id=DRAFT_ID, version=1, path=path)
    try:
        check_schedule(schedule)
    except InvalidInput as error:
        error.path = (*path, *place_of(error.path))
        raise
    return schedule


def _checked(document: object) -> dict[str, Any]:
    """The document as it is kept: in its one form."""
    return document_of(draft_schedule(document))


def _kept(document: dict[str, Any]) -> dict[str, Any]:
    """The columns of a document. Its hash is of the text that PostgreSQL gives of it, in which keys have an order."""
    kept = literal(document, table.c.document.type)
    return {"document": kept, "document_hash": func.sha256(func.convert_to(cast(kept, Text), "UTF8"))}


def _schedule(document: object, *, id: UUID, version: int | None) -> Schedule:
    return schedule_of_document(document, id=public_id("fee schedule", id), version=version or 1, path=("document",))


async def _drafted(scope: WriteScope, id: UUID) -> Row[Any]:
    """A draft, while nobody else changes or publishes one. Raises NotFound, NotADraft."""
    await scope.run(_LOCK, {"platform": scope.platform})
    row = await load(scope, id)
    if row.version is not None:
        raise NotADraft(row)
    return row


async def _next_version(scope: WriteScope) -> int:
    newest = await scope.scalar(select(func.max(table.c.version)).where(table.c.platform_id == scope.platform))
    version = (newest or 0) + 1
    if version > VERSIONS_MAX:
        raise LimitExceeded(f"A platform has at most {VERSIONS_MAX} versions of its fees.", path=("id",))
    return version


async def _once(
    services: Services, actor: Actor, operation: str, key: str, body: dict[str, Any], work: Callable[[WriteScope], Any]
) -> Row[Any]:
    async with services.db.write(tenant(actor)) as scope:
        claim = await idempotency.claim(scope, actor=actor.idempotency_scope, operation=operation, key=key, body=body)
        if claim.replay is not None:
            return await load(scope, parse_id("fee schedule", claim.replay["id"]))
        row = await work(scope)
        await idempotency.finish(scope, claim, {"id": public_id("fee schedule", row.id)})
        return row
