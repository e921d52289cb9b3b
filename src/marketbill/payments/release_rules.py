"""A platform's rules of release: published versions that never change, each kept by the sales made under it."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, func, insert, select

from marketbill.actor import Actor
from marketbill.db import Scope
from marketbill.errors import InvalidInput, LimitExceeded, Path
from marketbill.idempotency import keys as idempotency
from marketbill.ids import new_id, parse_id, public_id
from marketbill.paging import Page, PageRequest, newest_first
from marketbill.payments.model import release_rule
from marketbill.platforms.keys import tenant
from marketbill.platforms.model import platform
from marketbill.prepared import prepared
from marketbill.rules.release import (
    HoldFrom,
    ReleaseRule,
    ReleaseTerms,
    ReserveRule,
    RiskRule,
    RiskSign,
    hold_days_legal,
)
from marketbill.services import Services

VERSIONS_MAX = 1000
#: Rules of one kind in a version, and names in a rule.
RULES_MAX = 100
NAMES_MAX = 100
NAME_LENGTH_MAX = 100
RESERVE_DAYS_MAX = 730
#: Without rules, everything is held as the platform says, nothing is kept back, and no risk is looked for.
NO_TERMS = ReleaseTerms()
#: Versions that a process keeps ready: they never change.
_READY_MAX = 512

_ready: dict[tuple[UUID, UUID], ReleaseTerms] = {}
_LOAD = prepared(
    select(release_rule).where(
        release_rule.c.platform_id == bindparam("platform"), release_rule.c.id == bindparam("version")
    )
)
#: The version in force, to be read with what else a sale needs.
IN_FORCE = (
    select(release_rule.c.id)
    .where(release_rule.c.platform_id == platform.c.platform_id)
    .order_by(release_rule.c.version.desc())
    .limit(1)
    .correlate(platform)
    .scalar_subquery()
)
_LATEST = (
    select(release_rule)
    .where(release_rule.c.platform_id == bindparam("platform"))
    .order_by(release_rule.c.version.desc())
    .limit(1)
)
_LOCK = (
    select(platform.c.country).where(platform.c.platform_id == bindparam("platform")).with_for_update(key_share=True)
)


async def publish(services: Services, actor: Actor, *, idempotency_key: str, terms: ReleaseTerms) -> Row[Any]:
    """Publishes rules as the next version: they hold for sales from now on. Raises InvalidInput, LimitExceeded."""
    document = to_document(terms)
    async with services.db.write(tenant(actor)) as scope:
        claim = await idempotency.claim(
            scope,
            actor=actor.idempotency_scope,
            operation="releaseRulesPublish",
            key=idempotency_key,
            body=document,
        )
        if claim.replay is not None:
            return await load(scope, parse_id("release rule", claim.replay["id"]))
        check(terms, country=await scope.scalar(_LOCK, {"platform": scope.platform}))
        count = await scope.scalar(
            select(func.count()).select_from(release_rule).where(release_rule.c.platform_id == scope.platform)
        )
        if count >= VERSIONS_MAX:
            raise LimitExceeded(f"A platform has at most {VERSIONS_MAX} versions of its rules of release.")
        row = await scope.one(
            insert(release_rule)
            .values(
                platform_id=scope.platform,
                id=new_id(),
                version=count + 1,
                document=document,
                published_at=scope.now,
                published_by=actor.id,
            )
            .returning(release_rule)
        )
        await idempotency.finish(scope, claim, {"id": public_id("release rule", row.id)})
        return row


async def in_force(scope: Scope) -> Row[Any] | None:
    """The version in force; None while the platform published none."""
    return await scope.first(_LATEST, {"platform": scope.platform})


async def load(scope: Scope, id: UUID) -> Row[Any]:
    return await scope.one(_LOAD, {"platform": scope.platform, "version": id})


async def page(scope: Scope, asked: PageRequest) -> Page:
    """The versions, newest first."""
    return await newest_first(
        scope, select(release_rule).where(release_rule.c.platform_id == scope.platform), release_rule.c.id, asked
    )


async def terms_of(scope: Scope, id: UUID | None) -> ReleaseTerms:
    """The rules of a version; none where a sale was made under none."""
    if id is None:
        return NO_TERMS
    ready = _ready.get((scope.platform, id))
    if ready is None:
        if len(_ready) >= _READY_MAX:
            _ready.clear()
        ready = _ready[scope.platform, id] = of_document((await load(scope, id)).document)
    return ready


def to_document(terms: ReleaseTerms) -> dict[str, Any]:
    """The rules as they are kept, in JSON."""
    return {
        "releases": [
            {
                "from": rule.start.value,
                "days": rule.days,
                "groups": sorted(rule.groups),
                "categories": sorted(rule.categories),
            }
            for rule in terms.releases
        ],
        "reserves": [
            {
                "percent": str(rule.percent),
                "days": rule.days,
                "groups": sorted(rule.groups),
                "cap": dict(sorted(rule.cap.items())),
            }
            for rule in terms.reserves
        ],
        "risks": [
            {
                "sign": rule.sign.value,
                "days": rule.days,
                "hold_days": rule.hold_days,
                "threshold": str(rule.threshold),
                "minimum": rule.minimum,
                "groups": sorted(rule.groups),
            }
            for rule in terms.risks
        ],
    }


def of_document(document: Mapping[str, Any]) -> ReleaseTerms:
    return ReleaseTerms(
        releases=tuple(
            ReleaseRule(HoldFrom(one["from"]), one["days"], frozenset(one["groups"]), frozenset(one["categories"]))
            for one in document["releases"]
        ),
        reserves=tuple(
            ReserveRule(Decimal(one["percent"]), one["days"], frozenset(one["groups"]), one["cap"])
            for one in document["reserves"]
        ),
        risks=tuple(
            RiskRule(
                RiskSign(one["sign"]),
                one["days"],
                one["hold_days"],
                Decimal(one["threshold"]),
                one["minimum"],
                frozenset(one["groups"]),
            )
            for one in document["risks"]
        ),
    )


def check(terms: ReleaseTerms, *, country: str) -> None:
    """Raises InvalidInput naming the first wrong field. Nothing may be held for longer than the law of the platform's
    country lets it."""
    longest = hold_days_legal(country)
    for name, rules in (("releases", terms.releases), ("reserves", terms.reserves), ("risks", terms.risks)):
        if len(rules) > RULES_MAX:
            raise InvalidInput(f"At most {RULES_MAX} rules of a kind.", path=(name,), constraint=f"<= {RULES_MAX}")
        for index, rule in enumerate(rules):
            _check_names(rule.groups, (name, str(index), "sellerGroups"))
    for index, rule in enumerate(terms.releases):
        at = ("releases", str(index))
        _check_names(rule.categories, (*at, "categories"))
        _check_range(rule.days, 0, longest, (*at, "days"), "A hold lasts at most as long as the law lets it")
    for index, rule in enumerate(terms.reserves):
        at = ("reserves", str(index))
        if not 0 < rule.percent <= 100 or rule.percent != rule.percent.quantize(Decimal("0.0001")):
            raise InvalidInput(
                "A reserve is more than 0 and at most 100 percent, with at most four decimals.",
                path=(*at, "percent"),
                constraint="0 < percent <= 100",
            )
        _check_range(rule.days, 1, min(RESERVE_DAYS_MAX, longest), (*at, "days"), "A reserve is kept for a time")
        for place, amount in enumerate(rule.cap.values()):
            if amount < 0:
                raise InvalidInput("A cap is not negative.", path=(*at, "cap", str(place)), constraint=">= 0")
    for index, rule in enumerate(terms.risks):
        _check_risk(rule, ("risks", str(index)), longest)


def _check_risk(rule: RiskRule, at: Path, longest: int) -> None:
    _check_range(rule.days, 1, 365, (*at, "days"), "A sign of risk is looked for in a number of days")
    _check_range(rule.minimum, 1, 1_000_000, (*at, "minimumSales"), "A sign of risk needs sales that show it")
    if rule.hold_days is not None:
        _check_range(rule.hold_days, 1, longest, (*at, "holdDays"), "A hold lasts at most as long as the law lets it")
    if rule.sign is RiskSign.VOLUME_SPIKE and rule.threshold <= 1:
        raise InvalidInput("A spike is more than once the usual.", path=(*at, "threshold"), constraint="> 1")
    if rule.sign is RiskSign.DISPUTE_RATE and not 0 < rule.threshold <= 100:
        raise InvalidInput("A rate is in percent.", path=(*at, "threshold"), constraint="0 < threshold <= 100")


def _check_range(value: int, least: int, most: int, path: Path, what: str) -> None:
    if not least <= value <= most:
        raise InvalidInput(f"{what}: {least} to {most}.", path=path, constraint=f"{least} <= {path[-1]} <= {most}")


def _check_names(names: Sequence[str] | frozenset[str], path: Path) -> None:
    if len(names) > NAMES_MAX or any(not 1 <= len(name.strip()) <= NAME_LENGTH_MAX for name in names):
        raise InvalidInput(
            f"At most {NAMES_MAX} names, each of 1 to {NAME_LENGTH_MAX} characters.",
            path=path,
            constraint=f"<= {NAMES_MAX} names of 1..{NAME_LENGTH_MAX} characters",
        )
