"""Tax rates: the built-in ones, and a platform's own in their place."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

import strawberry

from marketbill.db import ReadScope
from marketbill.ids import public_id
from marketbill.platforms import tax_rates
from marketbill.platforms.tax_rates import OwnTaxRate, TaxRateDraft
from marketbill.rules.tax.rate_row import RateRow
from marketbill.rules.tax.rate_table import RateTable, UnknownJurisdiction
from marketbill_graphql import declare
from marketbill_graphql.access import BUYER, OPERATOR, OPERATORS, TENANT, access
from marketbill_graphql.context import Info
from marketbill_graphql.errors import AnyMutationError, RefusalsAsData
from marketbill_graphql.fields import plain


@declare.output(OPERATORS)
class TaxRateEntry:
    """How a rate of the platform's own came to be there."""

    id: strawberry.ID = strawberry.field(description="txr_…")
    replaces: strawberry.ID | None = strawberry.field(description="The own rate that this one took the place of.")
    reason: str
    added_by: str = strawberry.field(description="key_…, or terminal:… for a user of the machine.")
    added_at: datetime


@declare.output(TENANT - BUYER)
class TaxRate:
    """What is charged in a place, on what, from when until when, and by which law."""

    jurisdiction: str = strawberry.field(
        description='ISO 3166 code, such as "DE" or "CA-ON"; "XI" is Northern Ireland.'
    )
    tax: str = strawberry.field(description='What the tax is called, such as "VAT".')
    category: str = strawberry.field(description='The category of rates, such as "standard" or "reduced".')
    supply: str | None = strawberry.field(description="The product it is the rate of; null for the whole category.")
    rate: Decimal = strawberry.field(description='Percent, such as "21".')
    total: Decimal = strawberry.field(description="With the tax that it comes on top of, if any.")
    valid_from: date
    valid_to: date | None = strawberry.field(description="The first day it holds no more; null while none is known.")
    legal_source: str
    source_url: str = strawberry.field(description="Where a person can check it.")
    retrieved: date = strawberry.field(description="When it was taken down.")
    note: str | None
    estimate: bool = strawberry.field(description="Good for a guess shown to a buyer, not for a tax return.")
    entry: TaxRateEntry | None = strawberry.field(
        directives=[access(OPERATORS)], description="Who added it and why; null for a built-in rate."
    )


@declare.input
class TaxRateAddInput:
    """A rate of the platform's own. It takes the built-in one's place for as long as it holds."""

    idempotency_key: str
    jurisdiction: str = strawberry.field(
        description='ISO 3166 code, such as "DE" or "CA-ON"; "XI" is Northern Ireland.'
    )
    category: str = strawberry.field(description='A category of rates, such as "standard" or "reduced".')
    supply: str | None = strawberry.field(
        default=None, description='The product that alone has this rate, such as "books".'
    )
    rate: Decimal = strawberry.field(description='Percent, such as "21".')
    valid_from: date
    valid_to: date | None = strawberry.field(
        default=None,
        description="The first day it holds no more; without it, it holds until the next own rate begins.",
    )
    legal_source: str = strawberry.field(description="The act and its section, 1 to 500 characters.")
    source_url: str = strawberry.field(description="An https address where a person can check it.")
    tax: str | None = strawberry.field(default=None, description="Its name; needed where the place has no rates yet.")
    note: str | None = None
    estimate: bool = False
    replaces: strawberry.ID | None = strawberry.field(
        default=None, description="txr_…, an own rate that was wrong and that this one takes the place of."
    )
    reason: str = strawberry.field(description="1 to 500 characters; kept with the rate.")


TaxRateAddError = Annotated[AnyMutationError, strawberry.union("TaxRateAddError")]


@declare.output(OPERATOR)
class TaxRateAddPayload:
    """The rate that was added."""

    tax_rate: TaxRate | None = None
    errors: list[TaxRateAddError]


@strawberry.type
class TaxRateQueries:
    @declare.query(TENANT - BUYER)
    async def tax_rates(self, info: Info, jurisdiction: str, on: date | None = None) -> list[TaxRate]:
        """The rates that hold in a place on a day (today, in UTC): the categories first, then the products."""

        async def listed(scope: ReadScope) -> list[TaxRate]:
            table = await tax_rates.table_for(scope)
            if jurisdiction not in table.jurisdictions:
                raise UnknownJurisdiction(jurisdiction, path=("jurisdiction",))
            own = {_key(one.row): one for one in await tax_rates.own_rows(scope)}
            day = on or scope.now.date()
            return [
                _rate(row, table.rate(row.jurisdiction, row.category, day, row.supply).rate, own.get(_key(row)))
                for row in table.on(jurisdiction, day)
            ]

        return await info.context.read(listed)


@strawberry.type
class TaxRateCommands:
    @declare.command(OPERATOR, RefusalsAsData())
    async def tax_rate_add(self, info: Info, input: TaxRateAddInput) -> TaxRateAddPayload:
        """Adds a tax rate, or overrides a built-in one, for sales whose tax is decided from now on.

        Refused without a source, and where it would overlap another own rate or leave days without any.
        """
        id = await tax_rates.publish(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            draft=TaxRateDraft(
                jurisdiction=input.jurisdiction,
                category=input.category,
                supply=input.supply or "",
                rate=input.rate,
                valid_from=input.valid_from,
                valid_to=input.valid_to,
                legal_source=input.legal_source,
                source_url=input.source_url,
                tax=input.tax or "",
                note=input.note or "",
                estimate=input.estimate,
                replaces=input.replaces,
                reason=input.reason,
            ),
        )

        async def added(scope: ReadScope) -> TaxRate:
            made, table = await tax_rates.load(scope, id), await tax_rates.table_for(scope)
            return _rate(made.row, _total(table, made.row), made)

        return TaxRateAddPayload(tax_rate=await info.context.read(added), errors=[])


def _rate(row: RateRow, total: Decimal, own: OwnTaxRate | None) -> TaxRate:
    return TaxRate(
        jurisdiction=row.jurisdiction,
        tax=row.tax,
        category=row.category,
        supply=row.supply or None,
        rate=plain(row.rate),
        total=plain(total),
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        legal_source=row.legal_source,
        source_url=row.source_url,
        retrieved=row.retrieved,
        note=row.note or None,
        estimate=row.estimate,
        entry=_entry(own) if own else None,
    )


def _entry(own: OwnTaxRate) -> TaxRateEntry:
    return TaxRateEntry(
        id=strawberry.ID(public_id("tax rate", own.id)),
        replaces=strawberry.ID(public_id("tax rate", own.replaces)) if own.replaces else None,
        reason=own.reason,
        added_by=own.added_by,
        added_at=own.added_at,
    )


def _total(table: RateTable, row: RateRow) -> Decimal:
    if not row.on_top_of:
        return row.rate
    return row.rate + table.rate(row.on_top_of, row.category, row.valid_from, row.supply).rate


def _key(row: RateRow) -> tuple[str, str, date]:
    return row.jurisdiction, row.subject, row.valid_from
