"""A platform: its name, place, default currency, tax on its fee, and the rule by which sellers' money is held."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, insert, select, update

from marketbill.actor import Actor, Role
from marketbill.db import Scope
from marketbill.errors import Forbidden, InvalidInput, NotFound, StateConflict
from marketbill.idempotency import keys as idempotency
from marketbill.ids import PlatformId, derived_id, parse_id, public_id
from marketbill.money import exponent
from marketbill.platforms import fee_schedule, keys
from marketbill.platforms.fee_rule import FeeRuleDraft
from marketbill.platforms.model import platform as table
from marketbill.rules.settlement import SellerRate, SellerTerms
from marketbill.rules.tax.fee_tax import standard_rate
from marketbill.rules.tax.parties import PlatformTax
from marketbill.rules.tax.registration import checked_registrations
from marketbill.rules.tax.vat_number import check_country, vat_number_valid
from marketbill.services import Services
from marketbill.tax_data import built_in
from marketbill.text import check_usable

HOLD_FROM = ("CAPTURE", "DELIVERY")
HOLD_DAYS_MAX = 90
_NAME_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True)
class PlatformDraft:
    """What a platform is made of. `fee_tax_rate` is the percentage of tax on its own fee, at home; None takes the
    country's standard rate of the day from the tables.

    Sellers' money is released `hold_days` after `hold_from` (CAPTURE of the payment, or DELIVERY of the order).
    """

    name: str
    country: str
    default_currency: str
    fee_tax_rate: Decimal | None
    hold_from: str
    hold_days: int
    fee_rule: FeeRuleDraft


@dataclass(frozen=True, slots=True)
class CreatedPlatform:
    """A new platform and its first operator key, which is never shown again."""

    platform: Row[Any]
    operator_key: str


async def create(services: Services, actor: Actor, *, idempotency_key: str, draft: PlatformDraft) -> CreatedPlatform:
    """Makes a platform with its first fee schedule and its first operator key. Only for the bootstrap key."""
    if actor.role is not Role.BOOTSTRAP:
        raise Forbidden("Only the bootstrap key may create platforms.")
    stated = draft.fee_tax_rate if draft.fee_tax_rate is not None else Decimal(0)
    _check(draft.name, draft.country, draft.default_currency, stated, draft.hold_from, draft.hold_days)
    fees = draft.fee_rule.document()
    # The tenant's id comes from the idempotency key, so that a repeated request finds the tenant it made.
    id = PlatformId(derived_id(services.vault.hash(f"platformCreate:{idempotency_key}")))
    body = {
        "name": draft.name,
        "country": draft.country,
        "default_currency": draft.default_currency,
        "fee_tax_rate": str(draft.fee_tax_rate),
        "hold": [draft.hold_from, draft.hold_days],
        "fee_rule": draft.fee_rule.body(),
    }
    async with services.db.write(id) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="platformCreate", key=idempotency_key, body=body
        )
        context = f"{id}:idempotency:{idempotency_key}"
        if claim.replay is not None:
            secret = services.vault.decrypt(claim.replay["secret"], context=context)
            return CreatedPlatform(await load(scope), secret)
        rate = draft.fee_tax_rate
        if rate is None:
            rate = standard_rate(draft.country, built_in(), scope.now.date())
        await scope.run(
            insert(table).values(
                platform_id=id,
                name=draft.name,
                country=draft.country,
                default_currency=draft.default_currency,
                fee_tax_rate=rate,
                hold_from=draft.hold_from,
                hold_days=draft.hold_days,
                created_at=scope.now,
                updated_at=scope.now,
                version=1,
            )
        )
        first = await fee_schedule.add_draft(scope, fees, by=actor.id)
        await fee_schedule.publish_draft(scope, first.id, at=None, by=actor.id)
        _, secret = await keys.add(services, scope, name="First operator key", role=Role.OPERATOR)
        await idempotency.finish(scope, claim, {"secret": services.vault.encrypt(secret, context=context)})
        return CreatedPlatform(await load(scope), secret)


async def change(
    services: Services,
    actor: Actor,
    *,
    idempotency_key: str,
    changes: Mapping[str, Any],
    expected_version: int | None = None,
) -> Row[Any]:
    """Changes some of name, default_currency, fee_tax_rate, hold_from, hold_days, vat_number, tax_registrations,
    tax_provider, and of seller_rate with seller_rate_markup. Only new payments follow; sellers' rates do for what is
    settled from now on.

    Raises StateConflict when `expected_version` is not the current one.
    """
    platform = keys.tenant(actor)
    body = {name: str(value) for name, value in changes.items()} | {"expected": expected_version}
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="platformUpdate", key=idempotency_key, body=body
        )
        if claim.replay is not None:
            return await load(scope)
        row = (await scope.rows(select(table).where(table.c.platform_id == platform).with_for_update()))[0]
        if expected_version is not None and row.version != expected_version:
            raise StateConflict(
                f"The platform is at version {row.version}: read it again before changing it.",
                current_state=str(row.version),
                path=("expectedVersion",),
            )
        changes = _with_registrations(_with_seller_rate(changes))
        new = {**row._mapping, **changes}
        SellerTerms(SellerRate(new["seller_rate"]), new["seller_rate_markup"])
        _check(
            new["name"], row.country, new["default_currency"], new["fee_tax_rate"], new["hold_from"], new["hold_days"]
        )
        if changes.get("vat_number") is not None:
            _check_vat_number(row.country, changes["vat_number"])
        await scope.run(
            update(table)
            .where(table.c.platform_id == platform)
            .values(**changes, updated_at=scope.now, version=row.version + 1)
        )
        await idempotency.finish(scope, claim, {"id": public_id("platform", platform)})
        return await load(scope)


async def load(scope: Scope) -> Row[Any]:
    """The scope's platform. Raises NotFound."""
    row = await scope.first(select(table).where(table.c.platform_id == scope.platform))
    if row is None:
        raise NotFound("platform", public_id("platform", scope.platform))
    return row


async def seller_terms(scope: Scope) -> SellerTerms:
    """By which rate the platform's sellers get what is settled in another currency."""
    row = await load(scope)
    return SellerTerms(SellerRate(row.seller_rate), row.seller_rate_markup)


def _with_seller_rate(changes: Mapping[str, Any]) -> dict[str, Any]:
    """A policy that is chosen without a markup has none, whatever the one before had."""
    chosen = {"seller_rate_markup": Decimal(0)} if "seller_rate" in changes else {}
    return {**chosen, **changes}


def _with_registrations(changes: Mapping[str, Any]) -> Mapping[str, Any]:
    if "tax_registrations" not in changes:
        return changes
    path = ("taxRegistrations",)
    return {**changes, "tax_registrations": checked_registrations(changes["tax_registrations"], path=path)}


def _check_vat_number(country: str, number: str) -> None:
    path = ("vatNumber",)
    check_usable(number, path=path)
    check_country(country=country, number=number, path=path)
    if not vat_number_valid(country=country, number=number):
        raise InvalidInput(
            f"{number[:32]!r} does not have the form and the check digits of a VAT number of {country}.",
            path=path,
            constraint=f"a VAT number of {country}",
        )


def tax_of(row: Row[Any]) -> PlatformTax:
    """The platform's tax status, for the tax on its sellers' sales and on its own fees."""
    return PlatformTax(row.country, row.fee_tax_rate.normalize(), frozenset(row.tax_registrations))


def own_id(actor: Actor, text: str) -> PlatformId:
    """A platform id that a request names must be the credential's own; any other is not found."""
    id = PlatformId(parse_id("platform", text, path=("id",)))
    if id != actor.platform:
        raise NotFound("platform", text, path=("id",))
    return id


def _check(name: str, country: str, currency: str, rate: Decimal, hold_from: str, hold_days: int) -> None:
    check_usable(name, path=("name",))
    if not 1 <= len(name) <= _NAME_LENGTH_MAX:
        raise InvalidInput("The name has 1 to 200 characters.", path=("name",), constraint="1..200 characters")
    try:
        PlatformTax(country, rate)
    except InvalidInput as error:
        error.path = ("country",) if error.path == ("country",) else ("feeTaxRate",)
        raise
    exponent(currency, path=("defaultCurrency",))
    if hold_from not in HOLD_FROM:
        raise InvalidInput("Money is held from CAPTURE or from DELIVERY.", path=("holdFrom",))
    if not 0 <= hold_days <= HOLD_DAYS_MAX:
        raise InvalidInput("Money is held for 0 to 90 days.", path=("holdDays",), constraint="0..90")
