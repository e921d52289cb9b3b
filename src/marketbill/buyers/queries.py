"""Reading buyers. A buyer sees himself, a seller nobody."""

from typing import Any

from sqlalchemy import Row, Select, false, select

from marketbill.actor import Actor
from marketbill.buyers.model import buyer
from marketbill.db import Scope
from marketbill.errors import NotFound
from marketbill.ids import parse_id
from marketbill.paging import Page, PageRequest, newest_first


async def page(scope: Scope, actor: Actor, request: PageRequest) -> Page:
    """Buyers, newest first."""
    return await newest_first(scope, _visible(scope, actor), buyer.c.id, request)


async def by_id(scope: Scope, actor: Actor, id: str, *, path: tuple[str, ...] = ("id",)) -> Row[Any]:
    """One buyer. Raises NotFound."""
    row = await scope.first(_visible(scope, actor).where(buyer.c.id == parse_id("buyer", id, path=path)))
    if row is None:
        raise NotFound("buyer", id, path=path)
    return row


async def by_external_ref(scope: Scope, actor: Actor, external_ref: str) -> Row[Any] | None:
    """The buyer that the platform calls so."""
    return await scope.first(_visible(scope, actor).where(buyer.c.external_ref == external_ref))


def _visible(scope: Scope, actor: Actor) -> Select[Any]:
    statement = select(buyer).where(buyer.c.platform_id == scope.platform)
    if actor.seller is not None:
        return statement.where(false())
    return statement if actor.buyer is None else statement.where(buyer.c.id == actor.buyer)
