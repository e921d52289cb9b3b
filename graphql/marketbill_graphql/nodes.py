"""`Node`: everything that has an id of its own, found again by that id alone."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import strawberry

from marketbill.errors import NotFound
from marketbill.ids import KIND
from marketbill_graphql import declare
from marketbill_graphql.access import TENANT, Roles
from marketbill_graphql.context import Context, Info

#: The longest text that can be an id of ours.
_ID_LENGTH_MAX = 64


@declare.interface(TENANT)
class Node:
    """Something with an id of its own."""

    id: strawberry.ID = strawberry.field(description="Unique across all kinds; the prefix tells the kind.")


Finder = Callable[[Context, str], Awaitable[Node | None]]
F = TypeVar("F", bound=Finder)
T = TypeVar("T")

_FINDERS: dict[str, tuple[Roles, Finder]] = {}


def finds(kind: str, roles: Roles) -> Callable[[F], F]:
    """Registers how a kind of id is found, for the roles that may see such an object at all."""

    def register(finder: F) -> F:
        _FINDERS[kind] = (roles, finder)
        return finder

    return register


@strawberry.type
class NodeQueries:
    @declare.query(TENANT)
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:
        """The object with this id, or null when there is none for this caller."""
        kind = KIND.get(id[:_ID_LENGTH_MAX].partition("_")[0])
        roles, finder = _FINDERS.get(kind or "", (frozenset(), None))
        if kind is None or finder is None or info.context.actor.role not in roles:
            return None
        return await or_null(finder(info.context, id))


async def or_null(found: Awaitable[T]) -> T | None:
    """What was found, or None: an id that is unknown, another's or no id at all is answered alike."""
    try:
        return await found
    except NotFound:
        return None
