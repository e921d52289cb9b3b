"""A seller: creation and changes by the platform, and the gates (may sell, may receive transfers, may be paid out)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Text, Uuid, bindparam, select, text, update

from marketbill.actor import Actor
from marketbill.db import Scope
from marketbill.errors import (
    InvalidInput,
    NotFound,
    ProviderRefused,
    ProviderUnavailable,
    SellerNotAllowed,
    StateConflict,
)
from marketbill.idempotency import keys as idempotency
from marketbill.ids import SellerId, new_id, parse_id, public_id
from marketbill.platforms.keys import tenant
from marketbill.prepared import prepared
from marketbill.rules.tax.parties import SellerTax
from marketbill.rules.tax.vat_number import vat_number_valid
from marketbill.sellers import onboarding
from marketbill.sellers.model import seller as table
from marketbill.services import Services
from marketbill.text import check_usable

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_INSERT = prepared(
    text(
        """
        insert into seller (platform_id, id, name, email, country, vat_number, vat_number_valid, external_ref,
                            suspended, transfers, payouts_enabled, requirements, created_at, updated_at, version,
                            groups)
        values (:platform, :seller, :name, :email, :country, :vat_number, :vat_valid, :external_ref,
                false, 'UNREQUESTED', false, '{}', :now, :now, 1, :groups)
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
    """

    name: str
    email: str
    country: str
    vat_number: str | None = None
    external_ref: str | None = None
    groups: Sequence[str] = ()


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
                "vat_valid": _vat_valid(draft.country, draft.vat_number),
                "external_ref": draft.external_ref,
                "groups": sorted(draft.groups),
                "now": scope.now,
            },
        )
        if row is None:
            raise await _taken(scope, draft.external_ref)
        opening = await onboarding.open_account(services, scope, row)
        await idempotency.finish(scope, claim, {"id": public_id("seller", row.id)})
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
    """Changes some of name, email, vat_number, groups and suspended (the gate to sell).

    Raises NotFound, StateConflict.
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
        vat_valid = _vat_valid(row.country, new["vat_number"])
        await scope.run(
            update(table)
            .where(table.c.platform_id == platform, table.c.id == seller_id)
            .values(**changes, vat_number_valid=vat_valid, updated_at=scope.now, version=row.version + 1)
        )
        await idempotency.finish(scope, claim, {"id": id})
        return await load(scope, seller_id)


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
    """The seller's tax status for the platform's fee."""
    return SellerTax(row.country, row.vat_number_valid)


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


def _vat_valid(country: str, number: str | None) -> bool:
    return number is not None and vat_number_valid(country=country, number=number)


async def _taken(scope: Scope, external_ref: str | None) -> InvalidInput:
    holder = await scope.scalar(
        select(table.c.id).where(table.c.platform_id == scope.platform, table.c.external_ref == external_ref)
    )
    return InvalidInput(
        f"The seller {public_id('seller', holder)} has this external reference already.",
        path=("externalRef",),
        constraint="unique in the platform",
    )
