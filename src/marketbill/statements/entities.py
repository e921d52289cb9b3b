"""The companies of a platform that issue its documents, with the address that the law wants on an invoice."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert

from marketbill.actor import Actor
from marketbill.db import Scope
from marketbill.errors import InvalidInput, LimitExceeded
from marketbill.idempotency import keys as idempotency
from marketbill.platforms.keys import tenant
from marketbill.rules.countries import known_country
from marketbill.services import Services
from marketbill.statements.model import legal_entity
from marketbill.text import check_usable, is_blank

#: The most companies of a platform.
ENTITIES_MAX = 200
ADDRESS_LINES_MAX = 6
_LENGTH_MAX = 200
_VAT_NUMBER_MAX = 40
_COUNTRIES_MAX = 300
_CODE = re.compile("[A-Z0-9]{1,12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class EntityDraft:
    """A company as it is to be. `seller_countries` are those whose sellers it issues documents to."""

    code: str
    name: str
    country: str
    vat_number: str | None
    address: tuple[str, ...]
    seller_countries: tuple[str, ...]


async def set(services: Services, actor: Actor, *, idempotency_key: str, draft: EntityDraft) -> Row[Any]:
    """Writes a company down, or changes it; documents issued before stay as they are. Raises InvalidInput,
    LimitExceeded."""
    platform = tenant(actor)
    _check(draft)
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope,
            actor=actor.idempotency_scope,
            operation="legalEntitySet",
            key=idempotency_key,
            body=asdict(draft),
        )
        if claim.replay is None:
            codes = {row.code for row in await all(scope)}
            if draft.code not in codes and len(codes) >= ENTITIES_MAX:
                raise LimitExceeded(f"A platform has at most {ENTITIES_MAX} companies.", path=("code",))
            values = {
                **asdict(draft),
                "address": list(draft.address),
                "seller_countries": sorted({*draft.seller_countries}),
                "updated_at": scope.now,
                "updated_by": actor.id,
            }
            written = insert(legal_entity).values(platform_id=scope.platform, **values)
            await scope.run(
                written.on_conflict_do_update(
                    index_elements=["platform_id", "code"], set_={**values, "code": draft.code}
                )
            )
            await idempotency.finish(scope, claim, {"code": draft.code})
        return next(row for row in await all(scope) if row.code == draft.code)


async def all(scope: Scope) -> Sequence[Row[Any]]:
    """Every company, by code."""
    statement = (
        select(legal_entity)
        .where(legal_entity.c.platform_id == scope.platform)
        .order_by(legal_entity.c.code)
        .limit(ENTITIES_MAX)
    )
    return await scope.rows(statement)


def _check(draft: EntityDraft) -> None:
    if not _CODE.fullmatch(draft.code):
        raise InvalidInput(
            "A code is 1 to 12 capital letters and digits.", path=("code",), constraint=f"^{_CODE.pattern}$"
        )
    check_usable(draft.name, path=("name",))
    if is_blank(draft.name) or len(draft.name) > _LENGTH_MAX:
        raise InvalidInput(
            f"A name has 1 to {_LENGTH_MAX} characters.", path=("name",), constraint=f"1..{_LENGTH_MAX} characters"
        )
    check_usable(draft.vat_number, path=("vatNumber",))
    if draft.vat_number is not None and len(draft.vat_number) > _VAT_NUMBER_MAX:
        raise InvalidInput(
            f"A VAT number has at most {_VAT_NUMBER_MAX} characters.",
            path=("vatNumber",),
            constraint=f"<= {_VAT_NUMBER_MAX} characters",
        )
    known_country(draft.country, path=("country",))
    if len(draft.address) > ADDRESS_LINES_MAX or any(len(line) > _LENGTH_MAX for line in draft.address):
        raise InvalidInput(
            f"An address has at most {ADDRESS_LINES_MAX} lines of at most {_LENGTH_MAX} characters.",
            path=("address",),
            constraint=f"<= {ADDRESS_LINES_MAX} lines",
        )
    for line in draft.address:
        check_usable(line, path=("address",))
    if len(draft.seller_countries) > _COUNTRIES_MAX:
        raise InvalidInput("That is more countries than there are.", path=("sellerCountries",))
    for country in draft.seller_countries:
        known_country(country, path=("sellerCountries",))
