"""API keys: shown once, stored hashed, scoped by role, revocable. And who is behind a bearer credential.

A key reads `mb_<platform>_<secret>`: it carries its tenant, so that looking it up needs no view across tenants.
Seller and buyer tokens are JWTs (see `tokens`); the bootstrap key is a setting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, insert, select, update

from marketbill import crypto
from marketbill.actor import Actor, Role
from marketbill.db import Scope
from marketbill.errors import InvalidInput, NotFound, Unauthenticated
from marketbill.idempotency import keys as idempotency
from marketbill.ids import PlatformId, new_id, parse_id, public_id
from marketbill.platforms import tokens
from marketbill.platforms.model import api_key
from marketbill.services import Services
from marketbill.text import check_usable

KEY_ROLES = (Role.OPERATOR, Role.OPERATOR_READONLY, Role.SERVICE)
#: `last_used_at` is exact to this; a key in steady use costs one write in that time.
_LAST_USED_STEP = timedelta(minutes=1)
_NAME_LENGTH_MAX = 100
KEYS_MAX = 200

_BY_HASH = select(api_key).where(
    api_key.c.platform_id == bindparam("platform"),
    api_key.c.secret_hash == bindparam("secret_hash"),
    api_key.c.revoked_at.is_(None),
)
_TOUCH = (
    update(api_key)
    .where(api_key.c.platform_id == bindparam("platform"), api_key.c.id == bindparam("key"))
    .values(last_used_at=bindparam("at"))
)


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new key; `secret` is what the caller must keep, it is never shown again."""

    key: Row[Any]
    secret: str


async def create(services: Services, actor: Actor, *, idempotency_key: str, name: str, role: str) -> CreatedKey:
    """Makes a key. The same idempotency key gives the same secret again, for as long as the key is remembered."""
    check_usable(name, path=("name",))
    if not 1 <= len(name) <= _NAME_LENGTH_MAX:
        raise InvalidInput("A key needs a name of 1 to 100 characters.", path=("name",), constraint="1..100 characters")
    if role not in KEY_ROLES:
        raise InvalidInput("A key is for a backend.", path=("role",), constraint=", ".join(KEY_ROLES))
    platform = tenant(actor)
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope,
            actor=actor.idempotency_scope,
            operation="apiKeyCreate",
            key=idempotency_key,
            body={"name": name, "role": role},
        )
        context = f"{platform}:idempotency:{idempotency_key}"
        if claim.replay is not None:
            id = parse_id("api key", claim.replay["id"])
            return CreatedKey(await _load(scope, id), services.vault.decrypt(claim.replay["secret"], context=context))
        row, secret = await add(services, scope, name=name, role=Role(role))
        sealed = services.vault.encrypt(secret, context=context)
        await idempotency.finish(scope, claim, {"id": public_id("api key", row.id), "secret": sealed})
        return CreatedKey(row, secret)


async def add(services: Services, scope: Any, *, name: str, role: Role) -> tuple[Row[Any], str]:
    """Adds a key within a transaction; gives its row and its secret."""
    secret = f"mb_{public_id('platform', scope.platform)[4:]}_{crypto.random_secret()}"
    row = await scope.one(
        insert(api_key).returning(api_key),
        {
            "platform_id": scope.platform,
            "id": new_id(),
            "name": name,
            "role": role,
            "hint": secret[-4:],
            "secret_hash": services.vault.hash(secret),
            "created_at": scope.now,
        },
    )
    return row, secret


async def revoke(services: Services, actor: Actor, *, idempotency_key: str, id: str) -> Row[Any]:
    """Revokes a key at once; a second time changes nothing. Raises NotFound."""
    platform = tenant(actor)
    key_id = parse_id("api key", id, path=("id",))
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="apiKeyRevoke", key=idempotency_key, body={"id": id}
        )
        if claim.replay is None:
            row = await _load(scope, key_id, path=("id",))
            if row.revoked_at is None:
                await scope.run(
                    update(api_key)
                    .where(api_key.c.platform_id == platform, api_key.c.id == key_id)
                    .values(revoked_at=scope.now)
                )
            await idempotency.finish(scope, claim, {"id": id})
        row = await _load(scope, key_id, path=("id",))
    services.keys.forget(key_id)
    return row


async def listing(scope: Scope) -> Sequence[Row[Any]]:
    """All keys of the platform, newest first, without their secrets."""
    return await scope.rows(
        select(api_key).where(api_key.c.platform_id == scope.platform).order_by(api_key.c.id.desc()).limit(KEYS_MAX)
    )


async def authenticate(services: Services, token: str) -> Actor:
    """Who is behind a bearer credential: bootstrap key, API key, or seller or buyer token. Raises Unauthenticated."""
    bootstrap = services.settings.marketbill_bootstrap_key
    if bootstrap and crypto.same(token.encode(), bootstrap.get_secret_value().encode()):
        return Actor(Role.BOOTSTRAP, "bootstrap")
    if token.startswith("mb_"):
        return await _authenticate_key(services, token)
    if token.count(".") == 2:
        return await tokens.verify(services, token)
    raise Unauthenticated("This credential is not known: send `Authorization: Bearer <API key or token>`.")


async def _authenticate_key(services: Services, token: str) -> Actor:
    secret_hash = services.vault.hash(token)
    if actor := services.keys.get(secret_hash):
        return actor
    unknown = Unauthenticated("This API key is not known, or it was revoked.")
    try:
        platform = PlatformId(parse_id("platform", "plt_" + token.split("_")[1]))
    except NotFound:
        raise unknown from None
    async with services.db.read(platform) as scope:
        row = await scope.first(_BY_HASH, {"platform": platform, "secret_hash": secret_hash})
    if row is None:
        raise unknown
    actor = Actor(Role(row.role), public_id("api key", row.id), platform)
    await _touch(services, actor, row.id, row.last_used_at)
    services.keys.put(secret_hash, row.id, actor)
    return actor


async def _touch(services: Services, actor: Actor, key_id: UUID, last_used_at: datetime | None) -> None:
    async with services.db.write(tenant(actor)) as scope:
        if last_used_at is None or scope.now - last_used_at >= _LAST_USED_STEP:
            await scope.run(_TOUCH, {"platform": scope.platform, "key": key_id, "at": scope.now})


async def _load(scope: Scope, id: UUID, *, path: tuple[str, ...] = ()) -> Row[Any]:
    row = await scope.first(select(api_key).where(api_key.c.platform_id == scope.platform, api_key.c.id == id))
    if row is None:
        raise NotFound("api key", public_id("api key", id), path=path)
    return row


def tenant(actor: Actor) -> PlatformId:
    """The actor's platform. Only a BOOTSTRAP actor has none, and the edge keeps it from what needs one."""
    if actor.platform is None:
        raise Unauthenticated("The bootstrap key may only create platforms: use one of the platform's API keys.")
    return actor.platform
