"""Open holds: money that is kept aside, and its return."""

from dataclasses import replace
from typing import Annotated

import strawberry

from marketbill.db import ReadScope
from marketbill.interventions import books
from marketbill.ledger import entries, hold
from marketbill.paging import Page, PageRequest
from marketbill_graphql import declare
from marketbill_graphql.access import OPERATOR, PLATFORM_READERS
from marketbill_graphql.connections import Connection, connection, page_request
from marketbill_graphql.context import Info
from marketbill_graphql.errors import AnyMutationError, RefusalsAsData
from marketbill_graphql.journal import JournalEntry, entry_of, load_entry


@declare.input
class LedgerHoldVoidInput:
    """Which hold to give back, and why."""

    idempotency_key: str
    id: strawberry.ID = strawberry.field(description="ent_… of the hold.")
    reason: str = strawberry.field(description="1 to 500 characters; kept in the books.")


LedgerHoldVoidError = Annotated[AnyMutationError, strawberry.union("LedgerHoldVoidError")]


@declare.output(OPERATOR)
class LedgerHoldVoidPayload:
    """The hold; `settledBy` is the entry that gave it back."""

    hold: JournalEntry | None = None
    errors: list[LedgerHoldVoidError]


@strawberry.type
class HoldQueries:
    @declare.query(PLATFORM_READERS)
    async def ledger_holds(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[JournalEntry]:
        """The holds that are open, newest first."""
        asked = page_request(list_name="ledgerHolds", first=first, after=after, last=last, before=before)
        found = await info.context.read(lambda scope: _open_holds(scope, asked))
        return connection(found, list_name="ledgerHolds", node=entry_of)


@strawberry.type
class HoldCommands:
    @declare.command(OPERATOR, RefusalsAsData())
    async def ledger_hold_void(self, info: Info, input: LedgerHoldVoidInput) -> LedgerHoldVoidPayload:
        """Gives back all that a hold keeps aside; a second time changes nothing."""
        id = await books.void_hold(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            id=input.id,
            reason=input.reason,
        )
        return LedgerHoldVoidPayload(hold=await load_entry(info.context, id), errors=[])


async def _open_holds(scope: ReadScope, asked: PageRequest) -> Page:
    found = await hold.open_holds(scope, asked)
    by_id = await entries.entries_by_ids(scope, [row.id for row in found.rows])
    return replace(found, rows=[by_id[row.id] for row in found.rows])
