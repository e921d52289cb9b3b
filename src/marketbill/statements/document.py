"""A whole statement with all that a rendering needs: every line, the parties, and its number once it is issued."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select

from marketbill.db import ReadScope, Scope
from marketbill.errors import LimitExceeded, NotFound
from marketbill.ids import SellerId, public_id
from marketbill.platforms.model import platform
from marketbill.sellers.model import seller as seller_table
from marketbill.statements.statement import LINES_MAX, Line, Statement, lines_after, statement
from marketbill.statements.words import Language, language_of

#: The most lines of one file.
FILE_LINES_MAX = 100_000
#: The most lines of one PDF, some two hundred pages.
PDF_LINES_MAX = 5_000

Read = Callable[[], AbstractAsyncContextManager[ReadScope]]

_SELLER = select(
    seller_table.c.name, seller_table.c.country, seller_table.c.vat_number, seller_table.c.external_ref
).where(seller_table.c.platform_id == bindparam("platform"), seller_table.c.id == bindparam("seller"))
_PLATFORM = select(platform.c.name, platform.c.country, platform.c.vat_number).where(
    platform.c.platform_id == bindparam("platform")
)


@dataclass(frozen=True, slots=True)
class Party:
    """Who stands on a document, as he was when it was drawn up. `lines` are further lines of his address."""

    name: str
    country: str
    vat_number: str = ""
    lines: tuple[str, ...] = ()
    reference: str = ""


@dataclass(frozen=True, slots=True)
class StatementDocument:
    """A statement with all of its lines. The last three are of an issued one; `previous_closing` is the balance that
    the statement issued before it ended with."""

    statement: Statement
    lines: tuple[Line, ...]
    issuer: Party
    seller: Party
    number: str = ""
    issued_at: datetime | None = None
    previous_closing: int | None = None

    @property
    def recorded_later(self) -> int:
        """What was recorded for earlier periods after their statements were issued."""
        return 0 if self.previous_closing is None else self.statement.opening.total - self.previous_closing

    @property
    def language(self) -> Language:
        """The seller's own."""
        return language_of(self.seller.country)


async def parties(scope: Scope, seller: SellerId) -> tuple[Party, Party]:
    """The platform and a seller as they are now. Raises NotFound."""
    found = await scope.first(_SELLER, {"platform": scope.platform, "seller": seller})
    if found is None:
        raise NotFound("seller", public_id("seller", seller), path=("sellerId",))
    own = await scope.one(_PLATFORM, {"platform": scope.platform})
    return (
        Party(name=own.name, country=own.country, vat_number=own.vat_number or ""),
        Party(
            name=found.name,
            country=found.country,
            vat_number=found.vat_number or "",
            reference=found.external_ref or "",
        ),
    )


async def draw_up(
    read: Read,
    *,
    seller: SellerId,
    currency: str,
    start: datetime,
    end: datetime,
    known_at: datetime | None = None,
    known: int | None = None,
    lines_max: int = FILE_LINES_MAX,
) -> StatementDocument:
    """The whole statement of [start, end), of one state of the books. Raises like `statement`, NotFound, and
    LimitExceeded when it has more than `lines_max` lines."""
    async with read() as scope:
        issuer, of = await parties(scope, seller)
        told = await statement(
            scope,
            seller=seller,
            currency=currency,
            start=start,
            end=end,
            limit=LINES_MAX,
            known_at=known_at,
            known=known,
        )
    check_length(told, lines_max)
    lines, more = list(told.lines), told.more
    while more:
        async with read() as scope:
            page, more = await lines_after(
                scope, lines[-1].place, seller=seller, currency=currency, start=start, end=end, limit=LINES_MAX
            )
        lines += page
    return StatementDocument(statement=told, lines=tuple(lines), issuer=issuer, seller=of)


def check_length(told: Statement, lines_max: int) -> None:
    """Raises LimitExceeded when a file of this kind cannot hold the statement."""
    if told.line_count > lines_max:
        raise LimitExceeded(
            f"The period has {told.line_count} lines, a file of this kind at most {lines_max}:"
            " ask for a shorter period.",
            path=("period",),
        )
