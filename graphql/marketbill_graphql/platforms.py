"""Platforms: the tenant itself, its keys, its fee rule, its provider connection, and who is asking."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row, select

from marketbill.actor import Role
from marketbill.db import Scope
from marketbill.errors import InvalidInput
from marketbill.ids import parse_id, public_id
from marketbill.platforms import credentials, fee_rule, keys, platform
from marketbill.platforms.fee_rule import FeeRuleDraft
from marketbill.platforms.model import provider_credential
from marketbill.platforms.platform import PlatformDraft
from marketbill.rules.fees import FeeBase, FeeTaxMode, FixedScope
from marketbill_graphql import declare
from marketbill_graphql.access import ANYONE, BOOTSTRAP, BUYER, OPERATOR, OPERATORS, TENANT, access
from marketbill_graphql.context import Context, Info
from marketbill_graphql.errors import AnyMutationError, ProviderRefused, RefusalsAsData
from marketbill_graphql.money import Money, MoneyInput, amount
from marketbill_graphql.nodes import Node, finds
from marketbill_graphql.scalars import CurrencyCode

strawberry.enum(FixedScope, description="What the fixed part of the fee is charged once for.")
strawberry.enum(FeeBase, description="What the fee's percentage is taken of: a line with its sales tax, or without.")
strawberry.enum(FeeTaxMode, description="Whether tax on the fee comes on top of the fee, or lies within it.")


@strawberry.enum(description="From when sellers' money is held: the payment's capture, or the order's delivery.")
class HoldFrom(StrEnum):
    CAPTURE = "CAPTURE"
    DELIVERY = "DELIVERY"


@strawberry.enum(description="The roles of API keys; sellers and buyers have tokens.")
class KeyRole(StrEnum):
    OPERATOR = "OPERATOR"
    OPERATOR_READONLY = "OPERATOR_READONLY"
    SERVICE = "SERVICE"


@declare.output(TENANT - BUYER)
class FeeRule(Node):
    """A version of the platform's fee: a percentage, and a fixed amount for each currency. Never edited."""

    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="fee_…")
    version: int
    percent: Decimal = strawberry.field(description='Percent of the base, such as "10".')
    fixed: list[Money] = strawberry.field(description="The fixed part, in each currency that has one.")
    fixed_scope: FixedScope
    base: FeeBase
    fee_tax_mode: FeeTaxMode
    created_at: datetime


@declare.output(OPERATORS)
class ProviderConnection:
    """The platform's account at the payment provider. The secrets themselves are never shown."""

    account: str = strawberry.field(description="The account's id at the provider.")
    livemode: bool = strawberry.field(description="False for test keys and the sandbox.")
    secret_key_hint: str = strawberry.field(description="The last characters of the secret key.")
    updated_at: datetime


@declare.output(ANYONE)
class Platform(Node):
    """A marketplace: the tenant that everything else belongs to."""

    id: strawberry.ID = strawberry.field(description="plt_…")
    name: str
    country: str = strawberry.field(description="ISO 3166 alpha-2.")
    default_currency: CurrencyCode
    fee_tax_rate: Decimal = strawberry.field(description="Percent of tax on the platform's fee, at home.")
    hold_from: HoldFrom
    hold_days: int = strawberry.field(description="Days from `holdFrom` until sellers' money is released.")
    version: int = strawberry.field(description="Counts changes; pass it as `expectedVersion`.")
    created_at: datetime
    updated_at: datetime

    @declare.query(TENANT - BUYER)
    async def fee_rule(self, info: Info) -> FeeRule:
        """The fee rule in force."""
        return fee_rule_of(await info.context.read(fee_rule.current))

    @declare.query(OPERATORS)
    async def fee_rules(self, info: Info) -> list[FeeRule]:
        """All versions of the fee rule, newest first."""
        return [fee_rule_of(row) for row in await info.context.read(fee_rule.listing)]

    @declare.query(OPERATORS)
    async def provider(self, info: Info) -> ProviderConnection | None:
        """The connection to the payment provider, or null before `providerConnect`."""
        return await info.context.read(_connection)


@declare.output(OPERATORS)
class ApiKey(Node):
    """A key of the platform's own programs and people."""

    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="key_…")
    name: str
    role: Role
    hint: str = strawberry.field(description="The last characters of the key, to tell keys apart.")
    created_at: datetime
    last_used_at: datetime | None = strawberry.field(description="To the minute.")
    revoked_at: datetime | None


@declare.output(ANYONE)
class Viewer:
    """Who is asking."""

    role: Role
    id: str = strawberry.field(description="The credential: key_…, sel_…, buy_… or bootstrap.")

    @declare.query(TENANT)
    async def platform(self, info: Info) -> Platform:
        """The platform that the credential belongs to."""
        return platform_of(await info.context.read(platform.load))


@declare.input
class FeeRuleInput:
    """A fee rule: `percent` of the base, plus a fixed amount in each currency that is sold in."""

    percent: Decimal
    fixed: list[MoneyInput] = strawberry.field(default_factory=list)
    fixed_scope: FixedScope = FixedScope.ORDER
    base: FeeBase
    fee_tax_mode: FeeTaxMode


@declare.input
class PlatformCreateInput:
    """A new platform with its first fee rule."""

    idempotency_key: str
    name: str
    country: str = strawberry.field(description="ISO 3166 alpha-2.")
    default_currency: CurrencyCode
    fee_tax_rate: Decimal
    hold_from: HoldFrom = HoldFrom.CAPTURE
    hold_days: int = 0
    fee_rule: FeeRuleInput


@declare.input
class PlatformUpdateInput:
    """What to change; a field that is left out stays."""

    idempotency_key: str
    name: str | None = strawberry.UNSET
    default_currency: CurrencyCode | None = strawberry.UNSET
    fee_tax_rate: Decimal | None = strawberry.UNSET
    hold_from: HoldFrom | None = strawberry.UNSET
    hold_days: int | None = strawberry.UNSET
    expected_version: int | None = strawberry.field(default=None, description="Refuse when it changed meanwhile.")


@declare.input
class ApiKeyCreateInput:
    """A new API key."""

    idempotency_key: str
    name: str
    role: KeyRole


@declare.input
class ApiKeyRevokeInput:
    """The key to revoke."""

    idempotency_key: str
    id: strawberry.ID


@declare.input
class ProviderConnectInput:
    """The payment provider's secret key."""

    idempotency_key: str
    secret_key: str


@declare.input
class FeeRulePublishInput:
    """The fee rule that takes over for new payments."""

    idempotency_key: str
    fee_rule: FeeRuleInput


PlatformCreateError = Annotated[AnyMutationError, strawberry.union("PlatformCreateError")]
PlatformUpdateError = Annotated[AnyMutationError, strawberry.union("PlatformUpdateError")]
ApiKeyCreateError = Annotated[AnyMutationError, strawberry.union("ApiKeyCreateError")]
ApiKeyRevokeError = Annotated[AnyMutationError, strawberry.union("ApiKeyRevokeError")]
ProviderConnectError = Annotated[AnyMutationError | ProviderRefused, strawberry.union("ProviderConnectError")]
FeeRulePublishError = Annotated[AnyMutationError, strawberry.union("FeeRulePublishError")]


@declare.output(BOOTSTRAP)
class PlatformCreatePayload:
    """The new platform, and its first operator key, which is shown this once."""

    platform: Platform | None = None
    operator_key: str | None = None
    errors: list[PlatformCreateError]


@declare.output(OPERATOR)
class PlatformUpdatePayload:
    """The platform after the change."""

    platform: Platform | None = None
    errors: list[PlatformUpdateError]


@declare.output(OPERATOR)
class ApiKeyCreatePayload:
    """The new key, and its secret, which is shown this once."""

    api_key: ApiKey | None = None
    secret: str | None = None
    errors: list[ApiKeyCreateError]


@declare.output(OPERATOR)
class ApiKeyRevokePayload:
    """The revoked key."""

    api_key: ApiKey | None = None
    errors: list[ApiKeyRevokeError]


@declare.output(OPERATOR)
class ProviderConnectPayload:
    """The connection that now stands."""

    provider: ProviderConnection | None = None
    errors: list[ProviderConnectError]


@declare.output(OPERATOR)
class FeeRulePublishPayload:
    """The version in force."""

    fee_rule: FeeRule | None = None
    errors: list[FeeRulePublishError]


@strawberry.type
class PlatformQueries:
    @declare.query(ANYONE)
    def viewer(self, info: Info) -> Viewer:
        """Who is asking."""
        actor = info.context.actor
        return Viewer(role=actor.role, id=actor.id)

    @declare.query(TENANT)
    async def platform(self, info: Info) -> Platform:
        """The caller's platform."""
        return platform_of(await info.context.read(platform.load))

    @declare.query(OPERATORS)
    async def api_keys(self, info: Info) -> list[ApiKey]:
        """The platform's API keys, newest first."""
        return [api_key_of(row) for row in await info.context.read(keys.listing)]


@strawberry.type
class PlatformCommands:
    @declare.command(BOOTSTRAP, RefusalsAsData())
    async def platform_create(self, info: Info, input: PlatformCreateInput) -> PlatformCreatePayload:
        """Makes a platform, its first fee rule and its first operator key."""
        draft = PlatformDraft(
            name=input.name,
            country=input.country,
            default_currency=input.default_currency,
            fee_tax_rate=input.fee_tax_rate,
            hold_from=input.hold_from.value,
            hold_days=input.hold_days,
            fee_rule=_fee_rule_draft(input.fee_rule),
        )
        made = await platform.create(
            info.context.services, info.context.actor, idempotency_key=input.idempotency_key, draft=draft
        )
        return PlatformCreatePayload(platform=platform_of(made.platform), operator_key=made.operator_key, errors=[])

    @declare.command(OPERATOR, RefusalsAsData())
    async def platform_update(self, info: Info, input: PlatformUpdateInput) -> PlatformUpdatePayload:
        """Changes the platform's settings; new payments follow them."""
        names = ("name", "default_currency", "fee_tax_rate", "hold_from", "hold_days")
        row = await platform.change(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            changes=given(input, names),
            expected_version=input.expected_version,
        )
        return PlatformUpdatePayload(platform=platform_of(row), errors=[])

    @declare.command(OPERATOR, RefusalsAsData())
    async def api_key_create(self, info: Info, input: ApiKeyCreateInput) -> ApiKeyCreatePayload:
        """Makes an API key."""
        made = await keys.create(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            name=input.name,
            role=input.role.value,
        )
        return ApiKeyCreatePayload(api_key=api_key_of(made.key), secret=made.secret, errors=[])

    @declare.command(OPERATOR, RefusalsAsData())
    async def api_key_revoke(self, info: Info, input: ApiKeyRevokeInput) -> ApiKeyRevokePayload:
        """Revokes an API key at once."""
        row = await keys.revoke(
            info.context.services, info.context.actor, idempotency_key=input.idempotency_key, id=input.id
        )
        return ApiKeyRevokePayload(api_key=api_key_of(row), errors=[])

    @declare.command(OPERATOR, RefusalsAsData())
    async def provider_connect(self, info: Info, input: ProviderConnectInput) -> ProviderConnectPayload:
        """Checks a secret key with the payment provider, registers the webhooks and keeps the key encrypted."""
        await credentials.provider_connect(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            secret_key=input.secret_key,
        )
        return ProviderConnectPayload(provider=await info.context.read(_connection), errors=[])

    @declare.command(OPERATOR, RefusalsAsData())
    async def fee_rule_publish(self, info: Info, input: FeeRulePublishInput) -> FeeRulePublishPayload:
        """Publishes the next version of the fee rule, in force for payments from now on."""
        row = await fee_rule.publish(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            draft=_fee_rule_draft(input.fee_rule),
        )
        return FeeRulePublishPayload(fee_rule=fee_rule_of(row), errors=[])


def given(input: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """The fields of an update that were given. Raises InvalidInput for an explicit null where there is no "none"."""
    changes: dict[str, Any] = {}
    for name in names:
        value = getattr(input, name)
        if value is strawberry.UNSET:
            continue
        if value is None:
            head, *rest = name.split("_")
            raise InvalidInput(
                "This field cannot be emptied: leave it out to keep it.",
                path=(head + "".join(word.title() for word in rest),),
                constraint="not null",
            )
        changes[name] = value.value if isinstance(value, StrEnum) else value
    return changes


def platform_of(row: Row[Any]) -> Platform:
    return Platform(
        id=strawberry.ID(public_id("platform", row.platform_id)),
        name=row.name,
        country=row.country,
        default_currency=CurrencyCode(row.default_currency),
        fee_tax_rate=plain(row.fee_tax_rate),
        hold_from=HoldFrom(row.hold_from),
        hold_days=row.hold_days,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def fee_rule_of(row: Row[Any]) -> FeeRule:
    return FeeRule(
        id=strawberry.ID(public_id("fee rule", row.id)),
        version=row.version,
        percent=plain(row.percent),
        fixed=[amount(minor, currency) for currency, minor in sorted(row.fixed.items())],
        fixed_scope=FixedScope(row.fixed_scope),
        base=FeeBase(row.base),
        fee_tax_mode=FeeTaxMode(row.fee_tax_mode),
        created_at=row.created_at,
    )


def api_key_of(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=strawberry.ID(public_id("api key", row.id)),
        name=row.name,
        role=Role(row.role),
        hint=row.hint,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )


@finds("platform", TENANT)
async def _find_platform(context: Context, id: str) -> Node | None:
    platform.own_id(context.actor, id)
    return platform_of(await context.read(platform.load))


@finds("api key", OPERATORS)
async def _find_api_key(context: Context, id: str) -> Node | None:
    key = parse_id("api key", id)
    found = [row for row in await context.read(keys.listing) if row.id == key]
    return api_key_of(found[0]) if found else None


@finds("fee rule", TENANT - BUYER)
async def _find_fee_rule(context: Context, id: str) -> Node | None:
    rule = parse_id("fee rule", id)
    found = [row for row in await context.read(fee_rule.listing) if row.id == rule]
    return fee_rule_of(found[0]) if found else None


async def _connection(scope: Scope) -> ProviderConnection | None:
    row = await scope.first(select(provider_credential).where(provider_credential.c.platform_id == scope.platform))
    if row is None:
        return None
    return ProviderConnection(
        account=row.provider_account,
        livemode=row.livemode,
        secret_key_hint=row.secret_key_hint,
        updated_at=row.updated_at,
    )


def _fee_rule_draft(input: FeeRuleInput) -> FeeRuleDraft:
    fixed: dict[str, int] = {}
    for index, item in enumerate(input.fixed):
        if item.currency in fixed:
            raise InvalidInput(
                f"There are two fixed amounts in {item.currency}.", path=("feeRule", "fixed", str(index), "currency")
            )
        fixed[item.currency] = item.minor
    return FeeRuleDraft(
        percent=input.percent,
        fixed=fixed,
        fixed_scope=input.fixed_scope,
        base=input.base,
        fee_tax_mode=input.fee_tax_mode,
    )


def plain(value: Decimal) -> Decimal:
    """A stored percentage without the zeros that its column adds."""
    whole = value == value.to_integral_value()
    return value.quantize(Decimal(1)) if whole else value.normalize()
