"""The policy of returns: which version holds, the versions there were, and publishing the next."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, bindparam, insert, select

from marketbill.actor import Actor
from marketbill.db import Scope, WriteScope
from marketbill.errors import Path
from marketbill.idempotency import keys as idempotency
from marketbill.ids import new_id, public_id
from marketbill.platforms.keys import tenant
from marketbill.platforms.model import platform
from marketbill.prepared import prepared
from marketbill.refunds.model import return_policy
from marketbill.rules.return_policy import DEFAULT, Cause, PolicyIncomplete, ReturnPolicy, ReturnTerms, policy_of
from marketbill.services import Services
from marketbill.text import checked_reason

_ALL = select(return_policy).where(return_policy.c.platform_id == bindparam("platform"))
_NEWEST = prepared(_ALL.order_by(return_policy.c.version.desc()).limit(1))
_VERSION = prepared(_ALL.where(return_policy.c.version == bindparam("version")))
_PAGE = prepared(
    _ALL.where(return_policy.c.version < bindparam("below"))
    .order_by(return_policy.c.version.desc())
    .limit(bindparam("limit"))
)

_LOCK = (
    select(platform.c.platform_id)
    .where(platform.c.platform_id == bindparam("platform"))
    .with_for_update(key_share=True)
)


async def publish(
    services: Services,
    actor: Actor,
    *,
    idempotency_key: str,
    rows: Sequence[tuple[Cause, ReturnTerms]],
    note: str,
) -> Row[Any]:
    """Publishes the next version, which holds for what is created from now on; `note` says why it changed.

    Raises PolicyIncomplete, FeesWithoutPrice, InvalidInput.
    """
    kept = checked_reason(note, path=("note",))
    given = _matrix(rows)
    body = {"rows": ReturnPolicy(0, given).told(), "note": kept}
    async with services.db.write(tenant(actor)) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="returnPolicyPublish", key=idempotency_key, body=body
        )
        if claim.replay is not None:
            return await scope.one(_VERSION, {"platform": scope.platform, "version": claim.replay["version"]})
        row = await _insert(scope, given, kept, by=actor.id)
        await idempotency.finish(scope, claim, {"id": public_id("return policy", row.id), "version": row.version})
        return row


def _matrix(rows: Sequence[tuple[Cause, ReturnTerms]], *, path: Path = ("rows",)) -> dict[Cause, ReturnTerms]:
    given: dict[Cause, ReturnTerms] = {}
    for index, (cause, terms) in enumerate(rows):
        if cause in given:
            raise PolicyIncomplete(cause, missing=False, path=(*path, str(index)))
        given[cause] = terms
    return given


async def _insert(scope: WriteScope, rows: dict[Cause, ReturnTerms], note: str, *, by: str) -> Row[Any]:
    await scope.one(_LOCK, {"platform": scope.platform})
    last = await newest(scope)
    version = 1 if last is None else last.version + 1
    return await scope.one(
        insert(return_policy)
        .values(
            platform_id=scope.platform,
            version=version,
            id=new_id(),
            rows=ReturnPolicy(version, rows).told(),
            note=note,
            published_by=by,
            published_at=scope.now,
        )
        .returning(return_policy)
    )


async def current(scope: Scope) -> ReturnPolicy:
    """What holds now."""
    row = await newest(scope)
    return policy_of(row.version, row.rows) if row is not None else DEFAULT


async def at_version(scope: Scope, version: int) -> ReturnPolicy:
    """A version that held once; 0 is the default. A version that there is not is the caller's defect."""
    if version == DEFAULT.version:
        return DEFAULT
    row = await scope.one(_VERSION, {"platform": scope.platform, "version": version})
    return policy_of(row.version, row.rows)


async def newest(scope: Scope) -> Row[Any] | None:
    """The row of what holds now; None while it is the default."""
    return await scope.first(_NEWEST, {"platform": scope.platform})


async def versions(scope: Scope, *, below: int, limit: int) -> Sequence[Row[Any]]:
    """Published versions, the newest first, below one."""
    return await scope.rows(_PAGE, {"platform": scope.platform, "below": below, "limit": limit})
