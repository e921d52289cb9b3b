"""A platform's own tax rates, beside the built-in ones or in their place, and the table that comes of both.

Rows are only inserted, each with who added it and why. The table of a platform is built once in a process for each of
its versions and shared.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, insert, select

from marketbill.actor import Actor
from marketbill.db import Scope, WriteScope
from marketbill.errors import InvalidInput, NotFound, StateConflict
from marketbill.idempotency import keys as idempotency
from marketbill.ids import PlatformId, new_id, parse_id, public_id
from marketbill.platforms.keys import tenant
from marketbill.platforms.model import platform, tax_rate_row
from marketbill.prepared import prepared
from marketbill.rules.basket import TextTooLong
from marketbill.rules.tax.own_rates import OwnRate, standing
from marketbill.rules.tax.rate_checks import check_row, check_rows
from marketbill.rules.tax.rate_row import RateRow
from marketbill.rules.tax.rate_table import RateTable
from marketbill.services import Services
from marketbill.tax_data import built_in
from marketbill.text import check_usable, checked_reason

#: Own rows of one platform.
ROWS_MAX = 2000
_TEXT_LENGTH_MAX = {"jurisdiction": 6, "tax": 50, "category": 50, "supply": 50, "legalSource": 500, "note": 500}
_URL_LENGTH_MAX = 1000
#: Tables that a process keeps; the one unused for longest gives way.
_TABLES_MAX = 256

_LOCK = (
    select(platform.c.platform_id)
    .where(platform.c.platform_id == bindparam("platform"))
    .with_for_update(key_share=True)
)
_NEWEST = prepared(
    select(tax_rate_row.c.id, tax_rate_row.c.version)
    .where(tax_rate_row.c.platform_id == bindparam("platform"))
    .order_by(tax_rate_row.c.version.desc())
    .limit(1)
)
_ROWS = (
    select(tax_rate_row)
    .where(tax_rate_row.c.platform_id == bindparam("platform"))
    .order_by(tax_rate_row.c.version)
    .limit(ROWS_MAX)
)


@dataclass(frozen=True, slots=True)
class TaxRateDraft:
    """A row to be added. `tax` may be empty where the place has rates: then it is called as there.

    `replaces` is the public id of an own row that this one takes the place of, for a row that was wrong.
    """

    jurisdiction: str
    category: str
    rate: Decimal
    valid_from: date
    legal_source: str
    source_url: str
    reason: str
    valid_to: date | None = None
    supply: str = ""
    tax: str = ""
    note: str = ""
    estimate: bool = False
    replaces: str | None = None

    def body(self) -> dict[str, Any]:
        return {
            "jurisdiction": self.jurisdiction,
            "category": self.category,
            "rate": str(self.rate),
            "validFrom": self.valid_from.isoformat(),
            "validTo": self.valid_to.isoformat() if self.valid_to else None,
            "legalSource": self.legal_source,
            "sourceUrl": self.source_url,
            "reason": self.reason,
            "supply": self.supply,
            "tax": self.tax,
            "note": self.note,
            "estimate": self.estimate,
            "replaces": self.replaces,
        }


@dataclass(frozen=True, slots=True)
class OwnTaxRate:
    """A row as it was added; `row` ends where a later one closed it."""

    id: UUID
    row: RateRow
    version: int
    replaces: UUID | None
    reason: str
    added_by: str
    added_at: datetime


class OwnRowReplaced(StateConflict):
    """A row that another has replaced cannot be replaced again."""

    def __init__(self, id: str) -> None:
        super().__init__(
            f"{id} was replaced already: replace the row that took its place.",
            current_state="REPLACED",
            path=("replaces",),
        )


class TooManyOwnRows(InvalidInput):
    """A platform with `ROWS_MAX` own rows."""

    def __init__(self) -> None:
        super().__init__(
            f"A platform has at most {ROWS_MAX} tax rates of its own.",
            path=("jurisdiction",),
            constraint=f"<= {ROWS_MAX} rows",
        )


async def publish(services: Services, actor: Actor, *, idempotency_key: str, draft: TaxRateDraft) -> UUID:
    """As `add`, in a transaction with its idempotency key; gives the row's id."""
    async with services.db.write(tenant(actor)) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="taxRateAdd", key=idempotency_key, body=draft.body()
        )
        if claim.replay is not None:
            return parse_id("tax rate", claim.replay["id"])
        made = await add(scope, draft, by=actor.id)
        await idempotency.finish(scope, claim, {"id": public_id("tax rate", made.id)})
        return made.id


async def add(scope: WriteScope, draft: TaxRateDraft, *, by: str) -> OwnTaxRate:
    """Adds a row. It takes the built-in row's place while it holds, and ends an own open row that began before it.

    Raises `RateRowUnsound` and its kin (no source, an overlap with an own row, a gap), `RateOutOfRange`,
    `RateTooPrecise`, `NoRateOnDate` where the tax that it comes on top of has no rate on its first day, `NotFound` for
    a row to replace that there is not, and `OwnRowReplaced`.
    """
    await scope.run(_LOCK, {"platform": scope.platform})
    entered = await _entered(scope)
    if len(entered) >= ROWS_MAX:
        raise TooManyOwnRows()
    reason = checked_reason(draft.reason)
    row = _row_of(draft, on=scope.now.date())
    replaced = _replaced(draft, entered)
    id = new_id()
    drafted = OwnRate(public_id("tax rate", id), row, public_id("tax rate", replaced) if replaced else None)
    rows = [one.row for one in standing([*map(_own, entered), drafted])]
    check_rows(rows, gaps=False)
    table = built_in().overlaid(rows)
    if row.on_top_of:
        table.rate(row.jurisdiction, row.category, row.valid_from, row.supply, path=("validFrom",))
    values = {
        "platform_id": scope.platform,
        "id": id,
        "version": len(entered) + 1,
        "jurisdiction": row.jurisdiction,
        "tax": row.tax,
        "category": row.category,
        "supply": row.supply,
        "rate": row.rate,
        "valid_from": row.valid_from,
        "valid_to": row.valid_to,
        "legal_source": row.legal_source,
        "source_url": row.source_url,
        "note": row.note,
        "estimate": row.estimate,
        "replaces_id": replaced,
        "reason": reason,
        "added_by": by,
        "added_at": scope.now,
    }
    await scope.run(insert(tax_rate_row), values)
    return OwnTaxRate(id, row, len(entered) + 1, replaced, reason, by, scope.now)


async def own_rows(scope: Scope) -> list[OwnTaxRate]:
    """The platform's rows that stand, each with the end that a later one gave it; in the order they were added."""
    entered = await _entered(scope)
    rows = {one.id: one.row for one in standing(map(_own, entered))}
    return [
        OwnTaxRate(row.id, rows[id], row.version, row.replaces_id, row.reason, row.added_by, row.added_at)
        for row in entered
        if (id := public_id("tax rate", row.id)) in rows
    ]


async def load(scope: Scope, id: UUID) -> OwnTaxRate:
    """A row as it was added. Raises NotFound."""
    for row in await _entered(scope):
        if row.id == id:
            one = _own(row)
            return OwnTaxRate(row.id, one.row, row.version, row.replaces_id, row.reason, row.added_by, row.added_at)
    raise NotFound("tax rate", public_id("tax rate", id), path=("id",))


async def table_for(scope: Scope) -> RateTable:
    """The built-in rates with the platform's own in their place. One statement, where it has not changed."""
    newest = await scope.first(_NEWEST, {"platform": scope.platform})
    if newest is None:
        return built_in()
    kept = _kept.get(scope.platform, newest.id)
    if kept is None:
        rows = [one.row for one in standing(map(_own, await _entered(scope)))]
        kept = built_in().overlaid(rows)
        _kept.put(scope.platform, newest.id, kept)
    return kept


class _Tables:
    """The tables of the platforms met lately, each with the newest row it was built from.

    By the row's id and not by its number: a number can come again after a transaction that was undone.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tables: OrderedDict[PlatformId, tuple[UUID, RateTable]] = OrderedDict()

    def get(self, platform: PlatformId, newest: UUID) -> RateTable | None:
        with self._lock:
            found = self._tables.get(platform)
            if found is None or found[0] != newest:
                return None
            self._tables.move_to_end(platform)
            return found[1]

    def put(self, platform: PlatformId, newest: UUID, table: RateTable) -> None:
        with self._lock:
            self._tables[platform] = newest, table
            self._tables.move_to_end(platform)
            while len(self._tables) > _TABLES_MAX:
                self._tables.popitem(last=False)


_kept = _Tables()


async def _entered(scope: Scope) -> Sequence[Row[Any]]:
    return await scope.rows(_ROWS, {"platform": scope.platform})


def _own(row: Row[Any]) -> OwnRate:
    return OwnRate(
        id=public_id("tax rate", row.id),
        row=RateRow(
            jurisdiction=row.jurisdiction,
            tax=row.tax,
            category=row.category,
            # The column has four decimals; a rate reads better without its zeros.
            rate=_plain(row.rate),
            valid_from=row.valid_from,
            valid_to=row.valid_to,
            legal_source=row.legal_source,
            source_url=row.source_url,
            retrieved=row.added_at.date(),
            supply=row.supply,
            note=row.note,
            estimate=row.estimate,
            on_top_of=_on_top_of(row.jurisdiction),
        ),
        replaces=public_id("tax rate", row.replaces_id) if row.replaces_id else None,
    )


def _row_of(draft: TaxRateDraft, *, on: date) -> RateRow:
    texts = {
        "jurisdiction": draft.jurisdiction,
        "tax": draft.tax,
        "category": draft.category,
        "supply": draft.supply,
        "legalSource": draft.legal_source,
        "note": draft.note,
        "sourceUrl": draft.source_url,
    }
    for field, text in texts.items():
        check_usable(text, path=(field,))
        limit = _TEXT_LENGTH_MAX.get(field, _URL_LENGTH_MAX)
        if len(text) > limit:
            raise TextTooLong(length=len(text), limit=limit, path=(field,))
    row = RateRow(
        jurisdiction=draft.jurisdiction,
        tax=draft.tax.strip() or _tax_of(draft.jurisdiction),
        category=draft.category,
        rate=draft.rate,
        valid_from=draft.valid_from,
        valid_to=draft.valid_to,
        legal_source=draft.legal_source.strip(),
        source_url=draft.source_url.strip(),
        retrieved=on,
        supply=draft.supply,
        note=draft.note.strip(),
        estimate=draft.estimate,
        on_top_of=_on_top_of(draft.jurisdiction),
    )
    check_row(row)
    return row


def _replaced(draft: TaxRateDraft, entered: Sequence[Row[Any]]) -> UUID | None:
    if draft.replaces is None:
        return None
    id = parse_id("tax rate", draft.replaces, path=("replaces",))
    if id not in {row.id for row in entered}:
        raise NotFound("tax rate", draft.replaces, path=("replaces",))
    if id in {row.replaces_id for row in entered}:
        raise OwnRowReplaced(draft.replaces)
    return id


def _on_top_of(jurisdiction: str) -> str:
    rows = built_in().history(jurisdiction, "standard")
    return rows[-1].on_top_of if rows else ""


def _tax_of(jurisdiction: str) -> str:
    rows = built_in().history(jurisdiction, "standard")
    return rows[-1].tax if rows else ""


def _plain(rate: Decimal) -> Decimal:
    return rate.quantize(Decimal(1)) if rate == rate.to_integral_value() else rate.normalize()
