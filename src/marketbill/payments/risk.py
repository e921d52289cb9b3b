"""Signs of risk: what the rules see in a seller's record holds his releases, with a written notice of what they saw."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, bindparam, text

from marketbill.db import WriteScope
from marketbill.ids import PlatformId
from marketbill.ledger.journal import Source
from marketbill.payments import holds, release_rules
from marketbill.payments.holds import SYSTEM, HoldKind
from marketbill.rules.release import COMPARED_DAYS, Record, RiskRule, RiskSign, sign_of
from marketbill.services import Services

JOB = "assess_risk"
#: Sellers looked at in one transaction.
BATCH_MAX = 500
_ROUNDS_MAX = 2000
_NOTICE = " Nothing is lost: what you sell is kept for you. Answer this platform if you think that it is wrong."

_SELLERS = text(
    """
    select distinct s.seller_id as id from payment_share s
    join payment y on y.platform_id = s.platform_id and y.id = s.payment_id
    where s.platform_id = :platform and s.seller_id > :after and y.created_at >= :since and y.booked_at is not null
    order by s.seller_id limit :limit
    """
).bindparams(bindparam("after", type_=Uuid))
# What counts in one currency; a spike in one is one, whatever else is sold.
_RECORDS = text(
    """
    select s.seller_id, x.groups, x.created_at, y.currency,
           count(*) filter (where y.created_at >= :since) as sales,
           coalesce(cast(sum(s.gross) filter (where y.created_at >= :since) as bigint), 0) as gross,
           coalesce(cast(sum(s.gross) filter (where y.created_at < :since) as bigint), 0) as gross_before,
           (select count(distinct h.source_id) from seller_hold h
            where h.platform_id = :platform and h.seller_id = s.seller_id and h.kind = 'DISPUTE'
              and h.placed_at >= :since) as disputed
    from payment_share s
    join payment y on y.platform_id = s.platform_id and y.id = s.payment_id
    join seller x on x.platform_id = s.platform_id and x.id = s.seller_id
    where s.platform_id = :platform and s.seller_id = any(:sellers) and y.booked_at is not null
      and y.created_at >= :compared
    group by s.seller_id, x.groups, x.created_at, y.currency order by s.seller_id, y.currency
    """
).bindparams(bindparam("sellers", type_=ARRAY(Uuid)))
# What was lifted is not placed again for the same days.
_HELD = text(
    """
    select h.seller_id from seller_hold h
    where h.platform_id = :platform and h.seller_id = any(:sellers) and h.kind = 'RISK'
      and h.facts ->> 'sign' = :sign and (h.lifted_at is null or h.placed_at > :since)
    """
).bindparams(bindparam("sellers", type_=ARRAY(Uuid)))


async def assess_risk(services: Services, platform: PlatformId) -> None:
    """Looks at everybody who sold lately, by the rules in force; safe to run in many workers at once."""
    async with services.db.read(platform) as scope:
        version = await release_rules.in_force(scope)
        rules = release_rules.of_document(version.document).risks if version is not None else ()
    if version is None or not rules:
        return
    after = UUID(int=0)
    for _ in range(_ROUNDS_MAX):
        async with services.db.write(platform) as scope:
            since = scope.now - timedelta(days=max(rule.days for rule in rules))
            values = {"platform": platform, "after": after, "since": since, "limit": BATCH_MAX}
            ids = [row.id for row in await scope.rows(_SELLERS, values)]
            for rule in rules if ids else ():
                await _look(scope, version.id, rule, ids)
        if len(ids) < BATCH_MAX:
            return
        after = ids[-1]


async def _look(scope: WriteScope, version: UUID, rule: RiskRule, ids: list[UUID]) -> None:
    since = scope.now - timedelta(days=rule.days)
    named = {"platform": scope.platform, "sellers": ids, "since": since}
    rows = await scope.rows(_RECORDS, {**named, "compared": since - timedelta(days=COMPARED_DAYS)})
    held = {row.seller_id for row in await scope.rows(_HELD, {**named, "sign": rule.sign.value})}
    for row in rows:
        seen = sign_of(rule, _record(scope, row)) if _is_for(rule, row) and row.seller_id not in held else None
        if seen is None:
            continue
        held.add(row.seller_id)
        await holds.place(
            scope,
            row.seller_id,
            None,
            HoldKind.RISK,
            seen + _NOTICE,
            _end(scope, rule, row),
            SYSTEM,
            Source(f"risk:{rule.sign.value}", version),
            facts={
                "sign": rule.sign.value,
                "currency": row.currency,
                "sales": row.sales,
                "gross": row.gross,
                "gross_before": row.gross_before,
                "disputed": row.disputed,
            },
        )


def _is_for(rule: RiskRule, row: Row[Any]) -> bool:
    return not rule.groups or not rule.groups.isdisjoint(row.groups)


def _record(scope: WriteScope, row: Row[Any]) -> Record:
    return Record((scope.now - row.created_at).days, row.sales, row.gross, row.gross_before, row.disputed)


def _end(scope: WriteScope, rule: RiskRule, row: Row[Any]) -> datetime | None:
    """A rule without days of its own holds until somebody lifts it; a new seller, until he is not new any more."""
    if rule.hold_days is not None:
        return scope.now + timedelta(days=rule.hold_days)
    return row.created_at + timedelta(days=rule.days) if rule.sign is RiskSign.NEW_SELLER else None
