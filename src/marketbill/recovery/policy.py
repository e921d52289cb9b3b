"""The ladder of debts of a platform: published in versions, the newest counts."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, insert, select

from marketbill.actor import Actor
from marketbill.db import Scope
from marketbill.errors import InvalidInput
from marketbill.idempotency import keys as idempotency
from marketbill.ids import PlatformId
from marketbill.money import bounded, exponent
from marketbill.platforms.keys import tenant
from marketbill.platforms.model import platform as platform_table
from marketbill.recovery.model import debt_policy
from marketbill.rules.debt_ladder import DEFAULT, Ladder, Step, checked_days
from marketbill.services import Services


async def publish(
    services: Services,
    actor: Actor,
    *,
    idempotency_key: str,
    steps: Sequence[tuple[Step, int]],
    limits: Mapping[str, int],
) -> Row[Any]:
    """Publishes a ladder: days by step, and the most that a seller may owe by currency (minor units).

    It counts for debts that are open too, from their next step on. Raises InvalidInput.
    """
    platform = tenant(actor)
    days = checked_days(steps)
    for currency, limit in limits.items():
        exponent(currency, path=("limits",))
        if bounded(limit, path=("limits",)) < 0:
            raise InvalidInput("A limit is not below zero.", path=("limits",), constraint=">= 0")
    kept = [{"step": step.value, "days": day} for step, day in days.items()]
    body = {"steps": kept, "limits": dict(sorted(limits.items()))}
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="debtPolicyPublish", key=idempotency_key, body=body
        )
        if claim.replay is not None:
            version = claim.replay["version"]
        else:
            # Whoever publishes holds the platform's row, so that versions follow one another.
            mine = platform_table.c.platform_id == platform
            await scope.first(select(platform_table.c.platform_id).where(mine).with_for_update())
            newest = await _newest(scope)
            version = 1 if newest is None else newest.version + 1
            await scope.run(
                insert(debt_policy).values(
                    platform_id=platform,
                    version=version,
                    published_by=actor.id,
                    published_at=scope.now,
                    **body,
                )
            )
            await idempotency.finish(scope, claim, {"version": version})
        return await scope.one(
            select(debt_policy).where(debt_policy.c.platform_id == platform, debt_policy.c.version == version)
        )


async def current(scope: Scope) -> tuple[int, Ladder]:
    """The ladder that counts, with its version; version 0 is the built-in one."""
    row = await _newest(scope)
    return (0, DEFAULT) if row is None else (row.version, ladder_of(row))


async def ladders(scope: Scope, platforms: Sequence[PlatformId]) -> dict[PlatformId, Ladder]:
    """The ladder of the scope's own platform, for who asks for it many times."""
    _, ladder = await current(scope)
    return dict.fromkeys(platforms, ladder)


def ladder_of(row: Row[Any]) -> Ladder:
    return Ladder({Step(one["step"]): one["days"] for one in row.steps}, row.limits)


async def _newest(scope: Scope) -> Row[Any] | None:
    statement = select(debt_policy).where(debt_policy.c.platform_id == scope.platform)
    return await scope.first(statement.order_by(debt_policy.c.version.desc()).limit(1))
