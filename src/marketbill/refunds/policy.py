"""The policy of returns: which version holds, and the versions there were."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, bindparam, select

from marketbill.db import Scope
from marketbill.prepared import prepared
from marketbill.refunds.model import return_policy
from marketbill.rules.return_policy import DEFAULT, ReturnPolicy, policy_of

_ALL = select(return_policy).where(return_policy.c.platform_id == bindparam("platform"))
_NEWEST = prepared(_ALL.order_by(return_policy.c.version.desc()).limit(1))
_VERSION = prepared(_ALL.where(return_policy.c.version == bindparam("version")))
_PAGE = prepared(
    _ALL.where(return_policy.c.version < bindparam("below"))
    .order_by(return_policy.c.version.desc())
    .limit(bindparam("limit"))
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
