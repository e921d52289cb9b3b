"""Gap-free numbers of documents, per legal entity and series, and the legal entity that issues to a seller.

Tax law asks for one or more series without gaps (Directive 2006/112/EC, art. 226 (2)). A number is taken in the
transaction that writes its document, under the lock of the series' row: what is undone gives it back, and whoever comes
at the same time waits for it.
"""

from dataclasses import dataclass

from sqlalchemy import bindparam, select, text

from marketbill.db import Scope, WriteScope
from marketbill.statements.document import Party
from marketbill.statements.model import legal_entity

#: The entity that issues where none is named for a seller's country; without a row it is the platform itself.
MAIN = "MAIN"

_TAKE = text(
    """
    insert into number_series (platform_id, legal_entity, series, last) values (:platform, :entity, :series, 1)
    on conflict (platform_id, legal_entity, series) do update set last = number_series.last + 1
    returning last
    """
)
_FOR_COUNTRY = (
    select(legal_entity)
    .where(
        legal_entity.c.platform_id == bindparam("platform"),
        (bindparam("country") == legal_entity.c.seller_countries.any_()) | (legal_entity.c.code == MAIN),
    )
    .order_by(legal_entity.c.code == MAIN, legal_entity.c.code)
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Number:
    """A number that was taken: in which series, and as it is written."""

    legal_entity: str
    series: str
    text: str


async def take(scope: WriteScope, entity: str, kind: str) -> Number:
    """The next number of a kind of documents ("INV") in the year of the transaction, such as `INV-2018-000001`.

    It holds the series until the transaction ends: take it late, and lock nothing after it.
    """
    series = f"{kind}-{scope.now.year}"
    values = {"platform": scope.platform, "entity": entity, "series": series}
    count = await scope.scalar(_TAKE, values)
    prefix = "" if entity == MAIN else f"{entity}-"
    return Number(entity, series, f"{prefix}{series}-{count:06d}")


async def issuer_for(scope: Scope, own: Party, country: str) -> tuple[str, Party]:
    """The code of the legal entity that issues to sellers of a country, and how it stands on a document; `own` is the
    platform, which stands for itself where no entity is told."""
    row = await scope.first(_FOR_COUNTRY, {"platform": scope.platform, "country": country})
    if row is None:
        return MAIN, own
    return row.code, Party(
        name=row.name, country=row.country, vat_number=row.vat_number or "", lines=tuple(row.address)
    )
