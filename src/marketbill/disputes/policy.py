"""The policy on disputes: when sellers' parts are taken back, what is held meanwhile, and what a fraud warning does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, bindparam, insert, select

from marketbill.actor import Actor
from marketbill.db import Scope, WriteScope
from marketbill.disputes.model import DisputeHold, OnFraudWarning, RecoverAt, dispute_policy
from marketbill.errors import InvalidInput, Path
from marketbill.idempotency import keys as idempotency
from marketbill.money import bounded, exponent
from marketbill.platforms.keys import tenant
from marketbill.platforms.model import platform as platform_row
from marketbill.prepared import prepared
from marketbill.services import Services
from marketbill.text import checked_reason

_ALL = select(dispute_policy).where(dispute_policy.c.platform_id == bindparam("platform"))
_NEWEST = prepared(_ALL.order_by(dispute_policy.c.version.desc()).limit(1))
_VERSION = prepared(_ALL.where(dispute_policy.c.version == bindparam("version")))
_BELOW = prepared(
    _ALL.where(dispute_policy.c.version < bindparam("below"))
    .order_by(dispute_policy.c.version.desc())
    .limit(bindparam("limit"))
)
# Two who publish at once get one version after the other.
_TURN = select(platform_row.c.platform_id).where(platform_row.c.platform_id == bindparam("platform")).with_for_update()
_CURRENCIES_MAX = 50


@dataclass(frozen=True, slots=True)
class DisputePolicy:
    """What holds for disputes that come in. Amounts are minor units by currency; version 0 is the default.

    `countered_fees`: what the provider is expected to charge for answering, until it has charged it once in that
    currency. `refund_below`: up to which amount of a sale REFUND_BELOW refunds it.
    """

    version: int = 0
    recover_at: RecoverAt = RecoverAt.LOST
    hold: DisputeHold = DisputeHold.SELLER
    on_fraud_warning: OnFraudWarning = OnFraudWarning.NOTHING
    countered_fees: Mapping[str, int] = field(default_factory=dict)
    refund_below: Mapping[str, int] = field(default_factory=dict)


DEFAULT = DisputePolicy()


async def current(scope: Scope) -> DisputePolicy:
    """What holds now."""
    row = await newest(scope)
    return policy_of(row) if row is not None else DEFAULT


async def at_version(scope: Scope, version: int) -> DisputePolicy:
    """A version that held once."""
    if version == DEFAULT.version:
        return DEFAULT
    return policy_of(await _row(scope, version))


async def newest(scope: Scope) -> Row[Any] | None:
    """The row of what holds now; None while it is the default."""
    return await scope.first(_NEWEST, {"platform": scope.platform})


async def publish(
    services: Services, actor: Actor, *, idempotency_key: str, policy: DisputePolicy, note: str
) -> Row[Any]:
    """Makes a policy hold from now on, for disputes and warnings that come in later. `note` says why.

    Raises InvalidInput, UnknownCurrency.
    """
    platform = tenant(actor)
    note = checked_reason(note, path=("note",))
    _check(policy)
    body = {**_values(policy), "note": note}
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="disputePolicyPublish", key=idempotency_key, body=body
        )
        if claim.replay is not None:
            return await _row(scope, claim.replay["version"])
        version = await _insert(scope, policy, note, actor)
        await idempotency.finish(scope, claim, {"version": version})
        return await _row(scope, version)


async def versions(scope: Scope, *, below: int, limit: int) -> list[Row[Any]]:
    """Published versions below one, the newest first."""
    return list(await scope.rows(_BELOW, {"platform": scope.platform, "below": below, "limit": limit}))


def policy_of(row: Row[Any]) -> DisputePolicy:
    """A version as it was published."""
    return DisputePolicy(
        version=row.version,
        recover_at=RecoverAt(row.recover_at),
        hold=DisputeHold(row.hold),
        on_fraud_warning=OnFraudWarning(row.on_fraud_warning),
        countered_fees=row.countered_fees,
        refund_below=row.refund_below,
    )


async def _row(scope: Scope, version: int) -> Row[Any]:
    return await scope.one(_VERSION, {"platform": scope.platform, "version": version})


async def _insert(scope: WriteScope, policy: DisputePolicy, note: str, actor: Actor) -> int:
    await scope.one(_TURN, {"platform": scope.platform})
    newest_row = await newest(scope)
    version = (newest_row.version if newest_row else 0) + 1
    await scope.run(
        insert(dispute_policy).values(
            platform_id=scope.platform,
            version=version,
            **_values(policy),
            note=note,
            published_by=actor.id,
            published_at=scope.now,
        )
    )
    return version


def _values(policy: DisputePolicy) -> dict[str, Any]:
    return {
        "recover_at": policy.recover_at.value,
        "hold": policy.hold.value,
        "on_fraud_warning": policy.on_fraud_warning.value,
        "countered_fees": dict(policy.countered_fees),
        "refund_below": dict(policy.refund_below),
    }


def _check(policy: DisputePolicy) -> None:
    for name, amounts in (("counteredFees", policy.countered_fees), ("refundBelow", policy.refund_below)):
        _check_amounts(amounts, path=(name,))
    if policy.on_fraud_warning is OnFraudWarning.REFUND_BELOW and not policy.refund_below:
        raise InvalidInput(
            "Say up to which amount a sale is refunded when its issuer warns of fraud, in each currency you sell in.",
            path=("refundBelow",),
            constraint="at least one amount",
        )


def _check_amounts(amounts: Mapping[str, int], *, path: Path) -> None:
    if len(amounts) > _CURRENCIES_MAX:
        raise InvalidInput(
            f"Amounts in at most {_CURRENCIES_MAX} currencies.", path=path, constraint=f"<= {_CURRENCIES_MAX}"
        )
    for currency, amount in amounts.items():
        exponent(currency, path=path)
        bounded(amount, path=path)
        if amount < 0:
            raise InvalidInput("The amount must not be below zero.", path=path, constraint=">= 0")
