"""A buyer and his payment methods: the provider keeps the card, marketbill its token and what may be shown of it."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from marketbill.actor import Actor
from marketbill.buyers.customer import attach, make_customer
from marketbill.buyers.model import buyer as table
from marketbill.buyers.model import payment_method
from marketbill.db import Scope, WriteScope
from marketbill.errors import InvalidInput, NotFound
from marketbill.idempotency import keys as idempotency
from marketbill.ids import BuyerId, new_id, parse_id, public_id
from marketbill.platforms.credentials import provider_of
from marketbill.platforms.keys import tenant
from marketbill.provider.objects import PaymentMethod
from marketbill.services import Services
from marketbill.text import check_usable

METHODS_MAX = 100
_BY_IDS = select(table).where(
    table.c.platform_id == bindparam("platform"), table.c.id == bindparam("ids", type_=ARRAY(Uuid)).any_()
)
_METHODS_OF = select(payment_method).where(
    payment_method.c.platform_id == bindparam("platform"),
    payment_method.c.buyer_id == bindparam("buyers", type_=ARRAY(Uuid)).any_(),
)


@dataclass(frozen=True, slots=True)
class BuyerDraft:
    """What a buyer is made of; `external_ref` is the platform's own name for him, unique in the platform."""

    name: str
    email: str | None = None
    external_ref: str | None = None


async def create(services: Services, actor: Actor, *, idempotency_key: str, draft: BuyerDraft) -> Row[Any]:
    """Makes a buyer. His customer at the provider is made with his first payment method."""
    platform = tenant(actor)
    _check(draft)
    body = {"name": draft.name, "email": draft.email, "external_ref": draft.external_ref}
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="buyerCreate", key=idempotency_key, body=body
        )
        if claim.replay is not None:
            return await load(scope, BuyerId(parse_id("buyer", claim.replay["id"])))
        row = await scope.first(
            insert(table)
            .values(platform_id=platform, id=new_id(), **body, created_at=scope.now, updated_at=scope.now)
            .on_conflict_do_nothing(index_elements=["platform_id", "external_ref"])
            .returning(table)
        )
        if row is None:
            raise await _taken(scope, draft.external_ref)
        await idempotency.finish(scope, claim, {"id": public_id("buyer", row.id)})
        return row


async def attach_method(
    services: Services, actor: Actor, *, idempotency_key: str, buyer_id: str, token: str
) -> Row[Any]:
    """Attaches a payment method by the token that the provider's own form gave (`pm_…`).

    Raises NotFound, InvalidInput (a card number, or no token), Declined when the provider's check of the card fails,
    Refused, Unknown.
    """
    platform = tenant(actor)
    id = _own(actor, buyer_id)
    check_token(token, path=("token",))
    body = {"buyer_id": buyer_id, "token": token}
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="paymentMethodAttach", key=idempotency_key, body=body
        )
        if claim.replay is not None:
            return await _load_method(scope, parse_id("payment method", claim.replay["id"]))
        buyer = await load(scope, id, path=("buyerId",))
        provider = await provider_of(services, scope)
    # From the request's own key: repeated after a crash, the provider attaches once.
    key = hashlib.sha256(f"{actor.idempotency_scope}:{idempotency_key}".encode()).hexdigest()
    async with idempotency.attempt(services.db, claim, platform):
        again = claim.taken_over
        customer = buyer.provider_customer or await make_customer(services, platform, provider, buyer, look_first=again)
        attached = await attach(provider, token, customer, key=f"{public_id('buyer', id)}:{key}", look_first=again)
    async with services.db.write(platform) as scope:
        method = await _keep_method(scope, id, attached)
        await idempotency.finish(scope, claim, {"id": public_id("payment method", method.id)})
        return method


async def load(scope: Scope, id: BuyerId, *, path: tuple[str, ...] = ()) -> Row[Any]:
    """One buyer. Raises NotFound."""
    row = await scope.first(select(table).where(table.c.platform_id == scope.platform, table.c.id == id))
    if row is None:
        raise NotFound("buyer", public_id("buyer", id), path=path)
    return row


async def by_ids(scope: Scope, ids: Iterable[UUID]) -> dict[UUID, Row[Any]]:
    """The buyers among `ids` that exist, in one statement."""
    rows = await scope.rows(_BY_IDS, {"platform": scope.platform, "ids": list(ids)})
    return {row.id: row for row in rows}


async def methods_of(scope: Scope, buyers: Sequence[UUID]) -> dict[UUID, list[Row[Any]]]:
    """The payment methods of each buyer, newest first, at most `METHODS_MAX` a buyer asked for."""
    statement = _METHODS_OF.order_by(payment_method.c.id.desc()).limit(METHODS_MAX * max(1, len(buyers)))
    found: dict[UUID, list[Row[Any]]] = {buyer: [] for buyer in buyers}
    for row in await scope.rows(statement, {"platform": scope.platform, "buyers": list(buyers)}):
        found[row.buyer_id].append(row)
    return found


async def load_method(scope: Scope, id: UUID, *, path: tuple[str, ...]) -> Row[Any]:
    """A payment method with its buyer's customer at the provider. Raises NotFound."""
    row = await scope.first(
        select(payment_method, table.c.provider_customer)
        .join(table, (table.c.platform_id == payment_method.c.platform_id) & (table.c.id == payment_method.c.buyer_id))
        .where(payment_method.c.platform_id == scope.platform, payment_method.c.id == id)
    )
    if row is None:
        raise NotFound("payment method", public_id("payment method", id), path=path)
    return row


def _own(actor: Actor, text: str) -> BuyerId:
    id = BuyerId(parse_id("buyer", text, path=("buyerId",)))
    if actor.buyer is not None and actor.buyer != id:
        raise NotFound("buyer", text, path=("buyerId",))
    return id


async def _keep_method(scope: WriteScope, buyer: BuyerId, attached: PaymentMethod) -> Row[Any]:
    """The provider's method as ours, once: a request that was taken over may have kept it before."""
    kept = await scope.first(
        insert(payment_method)
        .values(
            platform_id=scope.platform,
            id=new_id(),
            buyer_id=buyer,
            provider_method=attached.id,
            kind=attached.kind,
            brand=attached.brand,
            last4=attached.last4,
            exp_month=attached.exp_month,
            exp_year=attached.exp_year,
            created_at=scope.now,
        )
        .on_conflict_do_nothing(index_elements=["platform_id", "provider_method"])
        .returning(payment_method)
    )
    return kept or await scope.one(
        select(payment_method).where(
            payment_method.c.platform_id == scope.platform,
            payment_method.c.buyer_id == buyer,
            payment_method.c.provider_method == attached.id,
        )
    )


async def _load_method(scope: Scope, id: UUID) -> Row[Any]:
    row = await scope.one(
        select(payment_method).where(payment_method.c.platform_id == scope.platform, payment_method.c.id == id)
    )
    return row


async def _taken(scope: Scope, external_ref: str | None) -> InvalidInput:
    holder = await scope.scalar(
        select(table.c.id).where(table.c.platform_id == scope.platform, table.c.external_ref == external_ref)
    )
    return InvalidInput(
        f"The buyer {public_id('buyer', holder)} has this external reference already.",
        path=("externalRef",),
        constraint="unique in the platform",
    )


def _check(draft: BuyerDraft) -> None:
    check_usable(draft.name, path=("name",))
    check_usable(draft.email, path=("email",))
    check_usable(draft.external_ref, path=("externalRef",))
    if not 1 <= len(draft.name) <= 200:
        raise InvalidInput("The name has 1 to 200 characters.", path=("name",), constraint="1..200 characters")
    if draft.email is not None and (len(draft.email) > 254 or "@" not in draft.email):
        raise InvalidInput("This is not an e-mail address.", path=("email",), constraint="name@host.domain")
    if draft.external_ref is not None and not 1 <= len(draft.external_ref) <= 100:
        raise InvalidInput(
            "An external reference has 1 to 100 characters.", path=("externalRef",), constraint="1..100 characters"
        )


def check_token(token: str, *, path: tuple[str, ...]) -> None:
    """Raises InvalidInput for what is not a provider's token; a card number must never come in."""
    well_formed = token.isascii() and token.replace("_", "").isalnum() and 4 <= len(token) <= 100
    if not well_formed or not token.startswith("pm_"):
        raise InvalidInput(
            "Give the provider's token of the payment method (pm_…), never a card number.",
            path=path,
            constraint="pm_…",
        )
