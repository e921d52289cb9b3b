"""The platform's fee rule, in versions: a new one takes over for new payments, an old one is never edited."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, bindparam, func, insert, select

from marketbill.actor import Actor
from marketbill.db import Scope, WriteScope
from marketbill.errors import InvalidInput
from marketbill.idempotency import keys as idempotency
from marketbill.ids import new_id, parse_id, public_id
from marketbill.platforms.keys import tenant
from marketbill.platforms.model import fee_rule as table
from marketbill.platforms.model import platform
from marketbill.rules.fees.rule import FeeTaxMode, FixedScope
from marketbill.rules.fees.schedule import FeeBase, FeeRule, Schedule
from marketbill.rules.fees.validity import check_schedule
from marketbill.services import Services

VERSIONS_MAX = 1000
_CURRENT = select(table).where(table.c.platform_id == bindparam("platform")).order_by(table.c.version.desc()).limit(1)

# Two who publish at once take two numbers; payments, which refer to the platform, do not wait.
_LOCK = (
    select(platform.c.platform_id)
    .where(platform.c.platform_id == bindparam("platform"))
    .with_for_update(key_share=True)
)


@dataclass(frozen=True, slots=True)
class FeeRuleDraft:
    """A fee rule to be published: `percent` of `base`, plus a fixed amount per currency (minor units)."""

    percent: Decimal
    fixed: Mapping[str, int]
    fixed_scope: FixedScope
    base: FeeBase
    fee_tax_mode: FeeTaxMode

    def check(self) -> None:
        """Raises InvalidInput naming the wrong field."""
        try:
            check_schedule(_one_rule("", 1, self.percent, self.fixed, self.fixed_scope, self.base, self.fee_tax_mode))
        except InvalidInput as error:
            error.path = ("feeRule", *error.path[2:])
            raise

    def body(self) -> dict[str, Any]:
        return {
            "percent": str(self.percent),
            "fixed": dict(self.fixed),
            "fixed_scope": self.fixed_scope,
            "base": self.base,
            "fee_tax_mode": self.fee_tax_mode,
        }


async def publish(services: Services, actor: Actor, *, idempotency_key: str, draft: FeeRuleDraft) -> Row[Any]:
    """Publishes the next version, in force from now on."""
    async with services.db.write(tenant(actor)) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="feeRulePublish", key=idempotency_key, body=draft.body()
        )
        if claim.replay is not None:
            id = parse_id("fee rule", claim.replay["id"])
            row = await scope.one(select(table).where(table.c.platform_id == scope.platform, table.c.id == id))
            return row
        row = await add(scope, draft)
        await idempotency.finish(scope, claim, {"id": public_id("fee rule", row.id)})
        return row


async def add(scope: WriteScope, draft: FeeRuleDraft) -> Row[Any]:
    """Adds the next version within a transaction."""
    await scope.run(_LOCK, {"platform": scope.platform})
    newest = await scope.scalar(select(func.max(table.c.version)).where(table.c.platform_id == scope.platform))
    id, version = new_id(), (newest or 0) + 1
    draft.check()
    if version > VERSIONS_MAX:
        raise InvalidInput(f"A platform has at most {VERSIONS_MAX} versions of its fee rule.", path=("feeRule",))
    row = await scope.one(
        insert(table)
        .values(
            platform_id=scope.platform,
            id=id,
            version=version,
            percent=draft.percent,
            fixed=dict(draft.fixed),
            fixed_scope=draft.fixed_scope,
            base=draft.base,
            fee_tax_mode=draft.fee_tax_mode,
            created_at=scope.now,
        )
        .returning(table)
    )
    return row


async def current(scope: Scope) -> Row[Any]:
    """The version in force."""
    row = await scope.one(_CURRENT, {"platform": scope.platform})
    return row


async def listing(scope: Scope) -> list[Row[Any]]:
    """All versions, newest first."""
    return list(await scope.rows(_CURRENT.limit(VERSIONS_MAX), {"platform": scope.platform}))


def schedule_of(row: Row[Any]) -> Schedule:
    """The pure schedule of a stored version: one rule that holds for every line."""
    return _one_rule(
        public_id("fee rule", row.id),
        row.version,
        # The column has four decimals; an explanation reads better without its zeros.
        row.percent.normalize(),
        row.fixed,
        FixedScope(row.fixed_scope),
        FeeBase(row.base),
        FeeTaxMode(row.fee_tax_mode),
    )


def _one_rule(
    id: str,
    version: int,
    percent: Decimal,
    fixed: Mapping[str, int],
    fixed_scope: FixedScope,
    base: FeeBase,
    tax_mode: FeeTaxMode,
) -> Schedule:
    rule = FeeRule("commission", percent=percent, fixed=fixed, fixed_scope=fixed_scope, base=base, tax_mode=tax_mode)
    return Schedule(id, version, (rule,))
