"""Drifts as they are kept: opened when they are found, closed when they are found no more, accepted by an operator."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Text, bindparam, select, text, update

from marketbill.actor import Actor
from marketbill.db import Instant, ReadScope, Scope, WriteScope
from marketbill.errors import NotFound, StateConflict
from marketbill.idempotency import keys as idempotency
from marketbill.ids import new_id, parse_id, public_id
from marketbill.paging import Page, PageRequest, newest_first
from marketbill.platforms.keys import tenant
from marketbill.reconciliation.matching import DriftKind, Finding, Matched, Side, Thing
from marketbill.reconciliation.model import drift
from marketbill.services import Services
from marketbill.text import checked_reason

# What changed since an operator accepted it is to be looked at again.
_KEEP = text(
    """
    insert into drift as d (platform_id, id, key, kind, side, thing, about, name, provider_id, account, currency,
      expected, found, at, opened_at, seen_at)
    values (:platform, :id, :key, :kind, :side, :thing, :about, :name, :provider_id, :account, :currency, :expected,
      :found, :at, :now, :now)
    on conflict (platform_id, key) where closed_at is null do update set seen_at = excluded.seen_at,
      expected = excluded.expected, found = excluded.found,
      accepted_by = case when (d.expected, d.found) = (excluded.expected, excluded.found) then d.accepted_by end,
      accepted_at = case when (d.expected, d.found) = (excluded.expected, excluded.found) then d.accepted_at end,
      accept_reason = case when (d.expected, d.found) = (excluded.expected, excluded.found) then d.accept_reason end
    """
)
_CLOSE = text(
    """
    update drift set closed_at = :now
    where platform_id = :platform and closed_at is null and at >= :start and at < :end and key <> all(:keys)
      and (provider_id is null or provider_id <> all(:undecided)) and (name is null or name <> all(:undecided))
    """
).bindparams(
    bindparam("start", type_=Instant),
    bindparam("end", type_=Instant),
    bindparam("keys", type_=ARRAY(Text)),
    bindparam("undecided", type_=ARRAY(Text)),
)
_OPEN_BEFORE = text(
    """
    select at, account from drift where platform_id = :platform and closed_at is null and seen_at < :now
    order by seen_at, id limit :limit
    """
)
_ACCOUNTS = text(
    """
    select distinct account from drift
    where platform_id = :platform and closed_at is null and at >= :start and at < :end and account is not null
    limit 1000
    """
).bindparams(bindparam("start", type_=Instant), bindparam("end", type_=Instant))
_ONE = select(drift).where(drift.c.platform_id == bindparam("platform"), drift.c.id == bindparam("drift"))

#: What is to be done about a drift, by its kind and side; `{name}` is ours, `{id}` the provider's.
_TO_DO: Mapping[tuple[DriftKind, Side], str] = {
    (DriftKind.MISSING, Side.BOOKS): "the provider moved this money and we know nothing of it: find out who did it"
    " (look at {id} at the provider), have it undone there or book it, then it closes by itself; or accept it",
    (DriftKind.MISSING, Side.PROVIDER): "we booked this and the provider does not know it: look for {id} at the"
    " provider, then correct the entries of {name} (`marketbill ledger reverse`)",
    (DriftKind.DUPLICATE, Side.PROVIDER): "the provider did this twice for {name}: have {id} undone at the provider"
    " (reverse or refund it)",
    (DriftKind.DUPLICATE, Side.BOOKS): "it is booked more than once: reverse the entry too many of {name}"
    " (`marketbill ledger reverse`)",
    (
        DriftKind.ALTERED,
        Side.BOOKS,
    ): "the provider's figure counts: compare {name} with {id}, and correct the entry"
    " that differs (`marketbill ledger reverse`)",
    (DriftKind.LATE, Side.BOOKS): "it should have been booked by now: see that workers run, and what waits of it"
    " (`marketbill doctor --all`); it closes by itself",
}


def to_do(row: Row[Any]) -> str:
    """What a person does about a drift."""
    words = _TO_DO.get((DriftKind(row.kind), Side(row.side)), _TO_DO[DriftKind.ALTERED, Side.BOOKS])
    return words.format(name=row.name or row.provider_id or "it", id=row.provider_id or "it")


async def keep(scope: WriteScope, matched: Matched, start: datetime, end: datetime) -> None:
    """Keeps what was found in a time, and closes what is found in it no more."""
    values = {"platform": scope.platform, "now": scope.now}
    if matched.findings:
        await scope.run(_KEEP, [values | _row(one) for one in sorted(matched.findings, key=lambda one: one.key)])
    await scope.run(
        _CLOSE,
        values
        | {
            "start": start,
            "end": end,
            "keys": [one.key for one in matched.findings],
            "undecided": list(matched.undecided),
        },
    )


async def accounts_in(scope: ReadScope, start: datetime, end: datetime) -> set[str]:
    """The connected accounts of which a drift is open that is of this time."""
    values = {"platform": scope.platform, "start": start, "end": end}
    return {row.account for row in await scope.rows(_ACCOUNTS, values)}


async def not_seen_since(scope: ReadScope, now: datetime, *, limit: int) -> list[datetime]:
    """When the money moved of those drifts that are open and were looked at longest ago."""
    rows = await scope.rows(_OPEN_BEFORE, {"platform": scope.platform, "now": now, "limit": limit})
    return [row.at for row in rows]


async def accept(services: Services, actor: Actor, *, idempotency_key: str, id: str, reason: str) -> Row[Any]:
    """An operator knows of a drift and leaves it as it is: it alarms nobody any more while its amounts stay the same.

    Raises NotFound, InvalidInput, StateConflict for one that is closed.
    """
    reason = checked_reason(reason)
    drift_id = parse_id("drift", id, path=("id",))
    async with services.db.write(tenant(actor)) as scope:
        claim = await idempotency.claim(
            scope,
            actor=actor.idempotency_scope,
            operation="driftAccept",
            key=idempotency_key,
            body={"id": id, "reason": reason},
        )
        row = await _load(scope, drift_id, lock=True)
        if claim.replay is not None:
            return row
        if row.closed_at is not None:
            raise StateConflict(
                "This drift is closed: there is nothing to accept.", current_state="CLOSED", path=("id",)
            )
        accepted = await scope.one(
            update(drift)
            .where(drift.c.platform_id == scope.platform, drift.c.id == drift_id)
            .values(accepted_by=actor.id, accepted_at=scope.now, accept_reason=reason)
            .returning(drift)
        )
        await idempotency.finish(scope, claim, {"id": id})
        return accepted


async def drifts(
    scope: Scope,
    request: PageRequest,
    *,
    is_open: bool | None = None,
    kinds: Collection[DriftKind] | None = None,
    things: Collection[Thing] | None = None,
) -> Page:
    """Drifts, newest first. Those that were accepted are open too, until they are found no more."""
    statement = select(drift).where(drift.c.platform_id == scope.platform)
    if is_open is not None:
        statement = statement.where(drift.c.closed_at.is_(None) if is_open else drift.c.closed_at.is_not(None))
    if kinds is not None:
        statement = statement.where(drift.c.kind.in_([one.value for one in kinds]))
    if things is not None:
        statement = statement.where(drift.c.thing.in_([one.value for one in things]))
    return await newest_first(scope, statement, drift.c.id, request)


async def open_drifts(scope: Scope, *, limit: int) -> list[Row[Any]]:
    """Those that are open and that nobody accepted, the oldest first."""
    statement = (
        select(drift)
        .where(drift.c.platform_id == scope.platform, drift.c.closed_at.is_(None), drift.c.accepted_by.is_(None))
        .order_by(drift.c.opened_at, drift.c.id)
        .limit(limit)
    )
    return list(await scope.rows(statement))


async def by_id(scope: Scope, id: str) -> Row[Any]:
    """One drift. Raises NotFound."""
    return await _load(scope, parse_id("drift", id, path=("id",)))


async def _load(scope: Scope, id: UUID, *, lock: bool = False) -> Row[Any]:
    values = {"platform": scope.platform, "drift": id}
    row = await scope.first(_ONE.with_for_update() if lock else _ONE, values)
    if row is None:
        raise NotFound("drift", public_id("drift", id), path=("id",))
    return row


def _row(found: Finding) -> dict[str, Any]:
    return {
        "id": new_id(),
        "key": found.key,
        "kind": found.kind.value,
        "side": found.side.value,
        "thing": found.thing.value,
        "about": found.about,
        "name": found.name,
        "provider_id": found.provider_id,
        "account": found.account,
        "currency": found.currency,
        "expected": found.expected,
        "found": found.found,
        "at": found.at,
    }
