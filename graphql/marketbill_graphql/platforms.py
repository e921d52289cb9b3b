"""Platforms: the tenant itself, its provider connection, and who is asking."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row, select

from marketbill.actor import Role
from marketbill.db import Scope
from marketbill.ids import public_id
from marketbill.platforms import credentials, fee_schedule, platform
from marketbill.platforms.model import provider_credential
from marketbill.platforms.platform import PlatformDraft
from marketbill.provider.tax import TaxProvider
from marketbill.rules.settlement import SellerRate
from marketbill_graphql import declare
from marketbill_graphql.access import ANYONE, BOOTSTRAP, OPERATOR, OPERATORS, PLATFORM_READERS, TENANT, access
from marketbill_graphql.context import Context, Info
from marketbill_graphql.errors import AnyMutationError, ProviderRefused, RefusalsAsData
from marketbill_graphql.fee_schedules import FeeRuleInput, FeeSchedule, fee_rule_draft, fee_schedule_of
from marketbill_graphql.fields import given, plain
from marketbill_graphql.nodes import Node, finds
from marketbill_graphql.scalars import CurrencyCode


@strawberry.enum(description="From when sellers' money is held: the payment's capture, or the order's delivery.")
class HoldFrom(StrEnum):
    CAPTURE = "CAPTURE"
    DELIVERY = "DELIVERY"


strawberry.enum(
    SellerRate,
    description="By which rate sellers get the money of a sale that was settled in another currency: the provider's,"
    " the official middle rate of the day of the sale (the platform bears the difference), or the provider's less a"
    " markup that the platform earns.",
)


strawberry.enum(
    TaxProvider,
    description="Who calculates the tax of lines that state no rate: the built-in tables, or Stripe Tax.",
)


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
    vat_number: str | None = strawberry.field(
        directives=[access(OPERATORS)],
        description="Its own; who asks the register of VAT numbers names himself by it, and gets a receipt.",
    )
    tax_registrations: list[str] = strawberry.field(
        directives=[access(OPERATORS)],
        description="Where it accounts for tax on its sellers' sales: `GB`, `US-CA`, `AU`; `EU` for the One Stop Shop.",
    )
    hold_from: HoldFrom
    hold_days: int = strawberry.field(description="Days from `holdFrom` until sellers' money is released.")
    seller_rate: SellerRate
    seller_rate_markup: Decimal = strawberry.field(description="Percent; above 0 for MARKUP alone.")
    tax_provider: TaxProvider
    version: int = strawberry.field(description="Counts changes; pass it as `expectedVersion`.")
    created_at: datetime
    updated_at: datetime

    @declare.query(PLATFORM_READERS)
    async def fee_schedule(self, info: Info) -> FeeSchedule:
        """The fee schedule in force."""
        return fee_schedule_of(await info.context.read(fee_schedule.current))

    @declare.query(OPERATORS)
    async def provider(self, info: Info) -> ProviderConnection | None:
        """The connection to the payment provider, or null before `providerConnect`."""
        return await info.context.read(_connection)


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
class PlatformCreateInput:
    """A new platform with its first fee schedule, in its short form."""

    idempotency_key: str
    name: str
    country: str = strawberry.field(description="ISO 3166 alpha-2.")
    default_currency: CurrencyCode
    fee_tax_rate: Decimal | None = strawberry.field(
        default=None, description="Left out: the country's standard rate of today."
    )
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
    vat_number: str | None = strawberry.field(default=strawberry.UNSET, description="Null removes it.")
    tax_registrations: list[str] | None = strawberry.field(
        default=strawberry.UNSET, description="All of them, in the place of those before."
    )
    hold_from: HoldFrom | None = strawberry.UNSET
    hold_days: int | None = strawberry.UNSET
    seller_rate: SellerRate | None = strawberry.UNSET
    seller_rate_markup: Decimal | None = strawberry.field(
        default=strawberry.UNSET, description="Percent of what the provider settled, for MARKUP."
    )
    tax_provider: TaxProvider | None = strawberry.UNSET
    expected_version: int | None = strawberry.field(default=None, description="Refuse when it changed meanwhile.")


@declare.input
class ProviderConnectInput:
    """The payment provider's secret key."""

    idempotency_key: str
    secret_key: str


PlatformCreateError = Annotated[AnyMutationError, strawberry.union("PlatformCreateError")]
PlatformUpdateError = Annotated[AnyMutationError, strawberry.union("PlatformUpdateError")]
ProviderConnectError = Annotated[AnyMutationError | ProviderRefused, strawberry.union("ProviderConnectError")]


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
class ProviderConnectPayload:
    """The connection that now stands."""

    provider: ProviderConnection | None = None
    errors: list[ProviderConnectError]


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


@strawberry.type
class PlatformCommands:
    @declare.command(BOOTSTRAP, RefusalsAsData())
    async def platform_create(self, info: Info, input: PlatformCreateInput) -> PlatformCreatePayload:
        """Makes a platform, its first fee schedule and its first operator key."""
        draft = PlatformDraft(
            name=input.name,
            country=input.country,
            default_currency=input.default_currency,
            fee_tax_rate=input.fee_tax_rate,
            hold_from=input.hold_from.value,
            hold_days=input.hold_days,
            fee_rule=fee_rule_draft(input.fee_rule),
        )
        made = await platform.create(
            info.context.services, info.context.actor, idempotency_key=input.idempotency_key, draft=draft
        )
        return PlatformCreatePayload(platform=platform_of(made.platform), operator_key=made.operator_key, errors=[])

    @declare.command(OPERATOR, RefusalsAsData())
    async def platform_update(self, info: Info, input: PlatformUpdateInput) -> PlatformUpdatePayload:
        """Changes the platform's settings; new payments follow them."""
        names = ("name", "default_currency", "fee_tax_rate", "hold_from", "hold_days", "seller_rate")
        changes = given(input, (*names, "seller_rate_markup", "tax_registrations", "tax_provider"))
        if input.vat_number is not strawberry.UNSET:
            changes["vat_number"] = input.vat_number
        row = await platform.change(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            changes=changes,
            expected_version=input.expected_version,
        )
        return PlatformUpdatePayload(platform=platform_of(row), errors=[])

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


def platform_of(row: Row[Any]) -> Platform:
    return Platform(
        id=strawberry.ID(public_id("platform", row.platform_id)),
        name=row.name,
        country=row.country,
        default_currency=CurrencyCode(row.default_currency),
        fee_tax_rate=plain(row.fee_tax_rate),
        vat_number=row.vat_number,
        tax_registrations=list(row.tax_registrations),
        hold_from=HoldFrom(row.hold_from),
        hold_days=row.hold_days,
        seller_rate=SellerRate(row.seller_rate),
        seller_rate_markup=plain(row.seller_rate_markup),
        tax_provider=TaxProvider(row.tax_provider),
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


@finds("platform", TENANT)
async def _find_platform(context: Context, id: str) -> Node | None:
    platform.own_id(context.actor, id)
    return platform_of(await context.read(platform.load))


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
