"""The platform's rules of release, reserve and risk, as versions."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row

from marketbill.errors import InvalidInput
from marketbill.ids import parse_id, public_id
from marketbill.payments import release_rules
from marketbill.rules.release import HoldFrom, ReleaseRule, ReleaseTerms, ReserveRule, RiskRule, RiskSign
from marketbill_graphql import declare
from marketbill_graphql.access import OPERATOR, PLATFORM_READERS, TENANT, access
from marketbill_graphql.connections import Connection, connection, page_request
from marketbill_graphql.context import Context, Info
from marketbill_graphql.errors import AnyMutationError, RefusalsAsData
from marketbill_graphql.money import Money, MoneyInput, amount
from marketbill_graphql.nodes import Node, finds

strawberry.enum(
    HoldFrom,
    name="ReleaseEvent",
    description="What a hold begins with: the charge, the delivery (paymentDeliver), or an approval (paymentApprove).",
)
strawberry.enum(
    RiskSign,
    description="NEW_SELLER: made less than `days` days ago. VOLUME_SPIKE: sold in `days` days `threshold` times the"
    " usual. DISPUTE_RATE: `threshold` percent of the sales of `days` days are disputed.",
)


@declare.output(PLATFORM_READERS)
class ReleaseRuleTerms:
    """How long what some sellers sell in some categories is held; of several rules the first that fits holds."""

    event: HoldFrom
    days: int
    seller_groups: list[str] = strawberry.field(description="Sellers of any of these; empty: all.")
    categories: list[str] = strawberry.field(description="Lines of any of these; empty: all.")


@declare.output(PLATFORM_READERS)
class ReserveTerms:
    """What is kept back of each sale of some sellers, and for how long."""

    percent: Decimal
    days: int
    seller_groups: list[str]
    cap: list[Money] = strawberry.field(description="The most that is kept of a seller; a currency left out has none.")


@declare.output(PLATFORM_READERS)
class RiskTerms:
    """A sign of risk that holds the releases of a seller."""

    sign: RiskSign
    days: int
    threshold: Decimal
    minimum_sales: int
    hold_days: int | None = strawberry.field(description="Null: until somebody lifts the hold.")
    seller_groups: list[str]


@declare.output(PLATFORM_READERS)
class ReleaseRules(Node):
    """A version of the rules. It never changes; the latest holds for new sales."""

    terms: strawberry.Private[ReleaseTerms]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="rel_…")
    version: int
    published_at: datetime
    published_by: str

    @declare.computed
    def releases(self) -> list[ReleaseRuleTerms]:
        """Holds, in the order in which they are tried."""
        return [
            ReleaseRuleTerms(
                event=rule.start,
                days=rule.days,
                seller_groups=sorted(rule.groups),
                categories=sorted(rule.categories),
            )
            for rule in self.terms.releases
        ]

    @declare.computed
    def reserves(self) -> list[ReserveTerms]:
        """Reserves, in the order in which they are tried."""
        return [
            ReserveTerms(
                percent=rule.percent,
                days=rule.days,
                seller_groups=sorted(rule.groups),
                cap=[amount(minor, currency) for currency, minor in sorted(rule.cap.items())],
            )
            for rule in self.terms.reserves
        ]

    @declare.computed
    def risks(self) -> list[RiskTerms]:
        """Signs of risk; each is looked for."""
        return [
            RiskTerms(
                sign=rule.sign,
                days=rule.days,
                threshold=rule.threshold,
                minimum_sales=rule.minimum,
                hold_days=rule.hold_days,
                seller_groups=sorted(rule.groups),
            )
            for rule in self.terms.risks
        ]


@declare.input
class ReleaseRuleInput:
    """A hold of `days` days from an event on."""

    event: HoldFrom
    days: int
    seller_groups: list[str] = strawberry.field(default_factory=list)
    categories: list[str] = strawberry.field(default_factory=list)


@declare.input
class ReserveRuleInput:
    """`percent` (more than 0, at most 100) of each sale, for `days` days."""

    percent: Decimal
    days: int
    seller_groups: list[str] = strawberry.field(default_factory=list)
    cap: list[MoneyInput] = strawberry.field(default_factory=list)


@declare.input
class RiskRuleInput:
    """A sign of risk, and for how long it holds the seller's releases."""

    sign: RiskSign
    days: int
    threshold: Decimal = Decimal(0)
    minimum_sales: int = 1
    hold_days: int | None = None
    seller_groups: list[str] = strawberry.field(default_factory=list)


@declare.input
class ReleaseRulesPublishInput:
    """All rules of the next version; what no rule fits is held as the platform says (`holdFrom`, `holdDays`)."""

    idempotency_key: str
    releases: list[ReleaseRuleInput] = strawberry.field(default_factory=list)
    reserves: list[ReserveRuleInput] = strawberry.field(default_factory=list)
    risks: list[RiskRuleInput] = strawberry.field(default_factory=list)


ReleaseRulesPublishError = Annotated[AnyMutationError, strawberry.union("ReleaseRulesPublishError")]


@declare.output(OPERATOR)
class ReleaseRulesPublishPayload:
    """The new version."""

    release_rules: ReleaseRules | None = None
    errors: list[ReleaseRulesPublishError]


@strawberry.type
class ReleaseRulesQueries:
    @declare.query(PLATFORM_READERS)
    async def release_rules(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[ReleaseRules]:
        """The versions, newest first: the first of them holds for new sales."""
        asked = page_request(list_name="releaseRules", first=first, after=after, last=last, before=before)
        found = await info.context.read(lambda scope: release_rules.page(scope, asked))
        return connection(found, list_name="releaseRules", node=rules_of)


@strawberry.type
class ReleaseRulesCommands:
    @declare.command(OPERATOR, RefusalsAsData())
    async def release_rules_publish(self, info: Info, input: ReleaseRulesPublishInput) -> ReleaseRulesPublishPayload:
        """Publishes rules of release, reserve and risk. They hold for new sales; what was sold keeps its own."""
        row = await release_rules.publish(
            info.context.services, info.context.actor, idempotency_key=input.idempotency_key, terms=_terms(input)
        )
        return ReleaseRulesPublishPayload(release_rules=rules_of(row), errors=[])


def rules_of(row: Row[Any]) -> ReleaseRules:
    return ReleaseRules(
        terms=release_rules.of_document(row.document),
        id=strawberry.ID(public_id("release rule", row.id)),
        version=row.version,
        published_at=row.published_at,
        published_by=row.published_by,
    )


def _terms(input: ReleaseRulesPublishInput) -> ReleaseTerms:
    return ReleaseTerms(
        tuple(
            ReleaseRule(one.event, one.days, frozenset(one.seller_groups), frozenset(one.categories))
            for one in input.releases
        ),
        tuple(
            ReserveRule(one.percent, one.days, frozenset(one.seller_groups), _cap(one.cap, str(place)))
            for place, one in enumerate(input.reserves)
        ),
        tuple(
            RiskRule(one.sign, one.days, one.hold_days, one.threshold, one.minimum_sales, frozenset(one.seller_groups))
            for one in input.risks
        ),
    )


def _cap(given: list[MoneyInput], place: str) -> dict[str, int]:
    cap: dict[str, int] = {}
    for index, one in enumerate(given):
        if one.currency in cap:
            raise InvalidInput(
                f"There are two caps in {one.currency}.", path=("reserves", place, "cap", str(index), "currency")
            )
        cap[one.currency] = one.minor
    return cap


@finds("release rule", PLATFORM_READERS)
async def _find_rules(context: Context, id: str) -> ReleaseRules:
    version = parse_id("release rule", id, path=("id",))
    return rules_of(await context.read(lambda scope: release_rules.load(scope, version)))
