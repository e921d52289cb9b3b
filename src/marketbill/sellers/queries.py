"""Reading sellers. A seller sees himself."""

from typing import Any

from sqlalchemy import Row, Select, select

from marketbill.actor import Actor
from marketbill.db import Scope
from marketbill.errors import NotFound
from marketbill.ids import parse_id
from marketbill.paging import Page, PageRequest, newest_first
from marketbill.sellers.model import seller


async def page(scope: Scope, actor: Actor, request: PageRequest, *, search: str | None = None) -> Page:
    """Sellers, newest first; `search` is the beginning of a name, in any case."""
    statement = _visible(scope, actor)
    if search:
        statement = statement.where(seller.c.name.istartswith(search, autoescape=True))
    return await newest_first(scope, statement, seller.c.id, request)


async def by_id(scope: Scope, actor: Actor, id: str, *, path: tuple[str, ...] = ("id",)) -> Row[Any]:
    """One seller. Raises NotFound."""
    row = await scope.first(_visible(scope, actor).where(seller.c.id == parse_id("seller", id, path=path)))
    if row is None:
        raise NotFound("seller", id, path=path)
    return row


async def by_external_ref(scope: Scope, actor: Actor, external_ref: str) -> Row[Any] | None:
    """The seller that the platform calls so."""
    return await scope.first(_visible(scope, actor).where(seller.c.external_ref == external_ref))


def _visible(scope: Scope, actor: Actor) -> Select[Any]:
    statement = select(seller).where(seller.c.platform_id == scope.platform)
    return statement if actor.seller is None else statement.where(seller.c.id == actor.seller)
