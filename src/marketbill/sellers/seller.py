"""A seller: creation and changes by the platform, and the gates (may sell, may receive transfers, may be paid out)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Text, Uuid, bindparam, select, text, update

from marketbill.actor import Actor
from marketbill.db import Scope, WriteScope
from marketbill.errors import (
    InvalidInput,
    NotFound,
    ProviderRefused,
    ProviderUnavailable,
    SellerNotAllowed,
    StateConflict,
)
from marketbill.idempotency import keys as idempotency
from marketbill.ids import PlatformId, SellerId, new_id, parse_id, public_id
from marketbill.platforms.keys import tenant
from marketbill.prepared import prepared
from marketbill.rules.tax.parties import SellerTax
from marketbill.rules.tax.registration import checked_registrations
from marketbill.rules.tax.vat_number import check_country
from marketbill.sellers import onboarding, suspension, vat_check
from marketbill.sellers.model import seller as table
from marketbill.sellers.suspension import SuspensionCause
from marketbill.services import Services
from marketbill.text import check_usable

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_INSERT = prepared(
    text(
        """
        insert into seller (platform_id, id, name, email, country, vat_number, vat_number_valid, vat_status,
                            external_ref, suspended, transfers, payouts_enabled, requirements, created_at, updated_at,
                            version, groups, tax_registrations, small_business)
        values (:platform, :seller, :name, :email, :country, :vat_number, :vat_valid, :vat_status, :external_ref,
                false, 'UNREQUESTED', false, '{}', :now, :now, 1, :groups, :tax_registrations, :small_business)
        on conflict (platform_id, external_ref) do nothing
        returning *
        """
    )
    .bindparams(bindparam("groups", type_=ARRAY(Text)))
    .columns(*table.c)
)
_BY_IDS = prepared(
    select(table).where(
        table.c.platform_id == bindparam("platform"), table.c.id == bindparam("ids", type_=ARRAY(Uuid)).any_()
    )
)
NAME_LENGTH_MAX = 200
EXTERNAL_REF_LENGTH_MAX = 100
#: Groups of one seller.
GROUPS_MAX = 20
_GROUP = re.compile("[a-z][a-z0-9-]{0,39}")


@dataclass(frozen=True, slots=True)
class SellerDraft:
    """What a seller is made of; `external_ref` is the platform's own name for him, unique in the platform.

    `groups` are what fee rules may ask for, such as `founders`.
    `tax_registrations`: where he accounts for tax beside his own country (`EU` for the One Stop Shop, `US-CA`);
    `small_business`: exempt at home by the size of his business.
    """

    name: str
    email: str
    country: str
    vat_number: str | None = None
    external_ref: str | None = None
    groups: Sequence[str] = ()
    tax_registrations: tuple[str, ...] = ()
    small_business: bool = False


async def create(services: Services, actor: Actor, *, idempotency_key: str, draft: SellerDraft) -> Row[Any]:
    """Makes a seller and his account at the provider.

    When the provider cannot be reached the seller stands all the same; his account follows with the onboarding link.
    Raises InvalidInput for a wrong field or an external reference that another seller has.
    """
    platform = tenant(actor)
    check(draft)
    body = {
        "name": draft.name,
        "email": draft.email,
        "country": draft.country,
        "vat_number": draft.vat_number,
        "external_ref": draft.external_ref,
    } | ({"groups": sorted(draft.groups)} if draft.groups else {})
    registrations = checked_registrations(draft.tax_registrations, path=("taxRegistrations",))
    # A body of before these fields were there is still the same request.
    body |= {"tax_registrations": registrations} if registrations else {}
    body |= {"small_business": True} if draft.small_business else {}
    stands = vat_check.standing(services, country=draft.country, number=draft.vat_number)
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="sellerCreate", key=idempotency_key, body=body
        )
        if claim.replay is not None:
            return await load(scope, SellerId(parse_id("seller", claim.replay["id"])))
        row = await scope.first(
            _INSERT,
            {
                "platform": platform,
                "seller": new_id(),
                "name": draft.name,
                "email": draft.email,
                "country": draft.country,
                "vat_number": draft.vat_number,
                "vat_valid": stands.valid,
                "vat_status": stands.status,
                "external_ref": draft.external_ref,
                "groups": sorted(draft.groups),
                "tax_registrations": registrations,
                "small_business": draft.small_business,
                "now": scope.now,
            },
        )
        if row is None:
            raise await _taken(scope, draft.external_ref)
        check_id = await vat_check.open_check(scope, row.id, stands, draft.vat_number)
        opening = await onboarding.open_account(services, scope, row)
        await idempotency.finish(scope, claim, {"id": public_id("seller", row.id)})
    if check_id is not None:
        row = await _asked(services, platform, SellerId(row.id), check_id)
    if opening is None:
        return row
    try:
        return await onboarding.make_account(services, platform, opening)
    except (ProviderUnavailable, ProviderRefused):
        return row


async def change(
    services: Services,
    actor: Actor,
    *,
    idempotency_key: str,
    id: str,
    changes: Mapping[str, Any],
    expected_version: int | None = None,
) -> Row[Any]:
    """Changes some of name, email, vat_number, tax_registrations, small_business, groups and suspended (the gate to
    sell).

    Raises NotFound, StateConflict, InvalidInput.
    """
    platform = tenant(actor)
    seller_id = SellerId(parse_id("seller", id, path=("id",)))
    body = {"id": id, "expected": expected_version, **changes}
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="sellerUpdate", key=idempotency_key, body=body
        )
        if claim.replay is not None:
            return await load(scope, seller_id)
        row = await load(scope, seller_id, path=("id",), lock=True)
        if expected_version is not None and row.version != expected_version:
            raise StateConflict(
                f"The seller is at version {row.version}: read it again before changing it.",
                current_state=str(row.version),
                path=("expectedVersion",),
            )
        new = {**row._mapping, **changes}
        check(SellerDraft(new["name"], new["email"], row.country, new["vat_number"], row.external_ref, new["groups"]))
        values = dict(changes)
        if "tax_registrations" in changes:
            registrations = checked_registrations(changes["tax_registrations"], path=("taxRegistrations",))
            values["tax_registrations"] = registrations
        check_id = None
        if new["vat_number"] != row.vat_number:
            stands = vat_check.standing(services, country=row.country, number=new["vat_number"])
            values |= {"vat_number_valid": stands.valid, "vat_status": stands.status, "vat_checked_at": None}
            check_id = await vat_check.open_check(scope, seller_id, stands, new["vat_number"])
        await scope.run(
            update(table)
            .where(table.c.platform_id == platform, table.c.id == seller_id)
            .values(**values, updated_at=scope.now, version=row.version + 1)
        )
        if "suspended" in changes:
            await _record_suspension(scope, actor, seller_id, suspended=changes["suspended"])
        await idempotency.finish(scope, claim, {"id": id})
        changed = await load(scope, seller_id)
    return changed if check_id is None else await _asked(services, platform, seller_id, check_id)


async def _record_suspension(scope: WriteScope, actor: Actor, id: SellerId, *, suspended: bool) -> None:
    """Who shut or opened the gate. One who is suspended for debts, and by an operator too, is not let go by paying."""
    if suspended:
        await suspension.record(scope, id, SuspensionCause.OPERATOR, by=actor.id, reason="Suspended by an operator.")
    else:
        await suspension.lift(scope, id, by=actor.id, reason="Lifted by an operator.")


async def _asked(services: Services, platform: PlatformId, id: SellerId, check_id: UUID) -> Row[Any]:
    """The seller after the register was asked about his number, whether or not it answered."""
    await vat_check.ask(services, platform, check_id)
    async with services.db.read(platform) as scope:
        return await load(scope, id)


async def load(scope: Scope, id: SellerId, *, path: tuple[str, ...] = (), lock: bool = False) -> Row[Any]:
    """One seller. Raises NotFound."""
    statement = select(table).where(table.c.platform_id == scope.platform, table.c.id == id)
    row = await scope.first(statement.with_for_update() if lock else statement)
    if row is None:
        raise NotFound("seller", public_id("seller", id), path=path)
    return row


async def by_ids(scope: Scope, ids: Iterable[UUID]) -> dict[UUID, Row[Any]]:
    """The sellers among `ids` that exist, in one statement."""
    rows = await scope.rows(_BY_IDS, {"platform": scope.platform, "ids": list(ids)})
    return {row.id: row for row in rows}


def gate_to_sell(row: Row[Any], *, path: tuple[str, ...] = ()) -> None:
    """Raises SellerNotAllowed when the seller may not sell now."""
    if not may_sell(row):
        why = "is suspended" if row.suspended else "has no connected account at the provider any more"
        raise SellerNotAllowed(
            f"{row.name} {why} and may not sell now.",
            seller_id=public_id("seller", row.id),
            gate="SELL",
            path=path,
        )


def may_sell(row: Row[Any]) -> bool:
    """The gate to sell: the platform has not suspended him, and the provider still shows us his account."""
    return not row.suspended and not onboarding.disconnected(row)


def tax_of(row: Row[Any]) -> SellerTax:
    """The seller's tax status, for the tax on his sales and on the platform's fee."""
    return SellerTax(row.country, row.vat_number_valid, frozenset(row.tax_registrations), row.small_business)


def check(draft: SellerDraft) -> None:
    """Raises InvalidInput naming the first wrong field."""
    check_usable(draft.name, path=("name",))
    check_usable(draft.email, path=("email",))
    check_usable(draft.vat_number, path=("vatNumber",))
    check_usable(draft.external_ref, path=("externalRef",))
    if not 1 <= len(draft.name) <= NAME_LENGTH_MAX:
        raise InvalidInput("The name has 1 to 200 characters.", path=("name",), constraint="1..200 characters")
    if len(draft.email) > 254 or not _EMAIL.fullmatch(draft.email):
        raise InvalidInput("This is not an e-mail address.", path=("email",), constraint="name@host.domain")
    SellerTax(draft.country, False)
    if draft.vat_number is not None and not 1 <= len(draft.vat_number) <= 32:
        raise InvalidInput("A VAT number has 1 to 32 characters.", path=("vatNumber",), constraint="1..32 characters")
    if draft.vat_number is not None:
        check_country(country=draft.country, number=draft.vat_number, path=("vatNumber",))
    if draft.external_ref is not None and not 1 <= len(draft.external_ref) <= EXTERNAL_REF_LENGTH_MAX:
        raise InvalidInput(
            "An external reference has 1 to 100 characters.", path=("externalRef",), constraint="1..100 characters"
        )
    if len(draft.groups) > GROUPS_MAX or len(set(draft.groups)) < len(draft.groups):
        raise InvalidInput(
            f"A seller is in at most {GROUPS_MAX} groups, in each once.",
            path=("groups",),
            constraint=f"<= {GROUPS_MAX}",
        )
    for index, group in enumerate(draft.groups):
        if not _GROUP.fullmatch(group):
            raise InvalidInput(
                f"{group[:60]!r} is no name of a group: use small letters, digits and hyphens, such as 'founders'.",
                path=("groups", str(index)),
                constraint=_GROUP.pattern,
            )


async def _taken(scope: Scope, external_ref: str | None) -> InvalidInput:
    holder = await scope.scalar(
        select(table.c.id).where(table.c.platform_id == scope.platform, table.c.external_ref == external_ref)
    )
    return InvalidInput(
        f"The seller {public_id('seller', holder)} has this external reference already.",
        path=("externalRef",),
        constraint="unique in the platform",
    )
