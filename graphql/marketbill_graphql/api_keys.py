"""API keys: made, listed, revoked."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row

from marketbill.actor import Role
from marketbill.ids import parse_id, public_id
from marketbill.platforms import keys
from marketbill_graphql import declare
from marketbill_graphql.access import OPERATOR, OPERATORS, TENANT, access
from marketbill_graphql.context import Context, Info
from marketbill_graphql.errors import AnyMutationError, RefusalsAsData
from marketbill_graphql.nodes import Node, finds


@strawberry.enum(description="The roles of API keys; sellers and buyers have tokens.")
class KeyRole(StrEnum):
    OPERATOR = "OPERATOR"
    OPERATOR_READONLY = "OPERATOR_READONLY"
    SERVICE = "SERVICE"


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


ApiKeyCreateError = Annotated[AnyMutationError, strawberry.union("ApiKeyCreateError")]
ApiKeyRevokeError = Annotated[AnyMutationError, strawberry.union("ApiKeyRevokeError")]


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


@finds("api key", OPERATORS)
async def _find_api_key(context: Context, id: str) -> Node | None:
    key = parse_id("api key", id)
    found = [row for row in await context.read(keys.listing) if row.id == key]
    return api_key_of(found[0]) if found else None


@strawberry.type
class ApiKeyQueries:
    @declare.query(OPERATORS)
    async def api_keys(self, info: Info) -> list[ApiKey]:
        """The platform's API keys, newest first."""
        return [api_key_of(row) for row in await info.context.read(keys.listing)]


@strawberry.type
class ApiKeyCommands:
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
