"""The journal, read: entries, their postings, and how they hang together."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import strawberry

from marketbill.errors import InvalidInput, NotFound
from marketbill.ids import KIND, PREFIX, parse_id, public_id
from marketbill.ledger import entries
from marketbill.ledger.entries import RecordedEntry, RecordedPosting
from marketbill.ledger.entry import Phase
from marketbill_graphql import declare
from marketbill_graphql.access import PLATFORM_READERS, TENANT, access
from marketbill_graphql.connections import Connection, Position, page, sorted_by, window
from marketbill_graphql.context import Context, Info
from marketbill_graphql.money import Money, amount
from marketbill_graphql.nodes import Node, finds, or_null
from marketbill_graphql.scalars import JSON, BigInt

if TYPE_CHECKING:
    from marketbill_graphql.ledger import LedgerAccount

strawberry.enum(
    Phase,
    name="JournalEntryPhase",
    description="POSTED moves money, HELD keeps it aside until it is posted or released, RELEASED gives a hold back.",
)


@declare.output(PLATFORM_READERS)
class Posting(Node):
    """A positive amount moved from one account (credit) to another (debit) of the same currency."""

    posting: strawberry.Private[RecordedPosting]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="pst_…")
    amount: Money

    @declare.computed
    async def debit(self, info: Info) -> Annotated["LedgerAccount", strawberry.lazy("marketbill_graphql.ledger")]:
        """The account that is debited."""
        return await _load_account(info.context, self.posting.debit_account_id)

    @declare.computed
    async def credit(self, info: Info) -> Annotated["LedgerAccount", strawberry.lazy("marketbill_graphql.ledger")]:
        """The account that is credited."""
        return await _load_account(info.context, self.posting.credit_account_id)


@declare.output(PLATFORM_READERS)
class EntrySource:
    """The business object that an entry is about."""

    type: str = strawberry.field(description="payment, transfer, payout and so on.")
    id: strawberry.ID


@declare.output(PLATFORM_READERS)
class JournalEntry(Node):
    """One business fact: one or more postings, recorded together and never changed."""

    entry: strawberry.Private[RecordedEntry]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="ent_…")
    number: BigInt = strawberry.field(description="Its place in the platform's journal.")
    phase: Phase
    kind: str = strawberry.field(description="charge, split, release, transfer, payout-paid and so on.")
    key: str = strawberry.field(description="Names the fact; the journal holds it once.")
    description: str
    source: EntrySource
    reason: JSON = strawberry.field(description="What the amounts come from: rule versions, provider objects.")
    effective_at: datetime = strawberry.field(description="When it counts in the books.")
    occurred_at: datetime = strawberry.field(
        description="When it happened: as effectiveAt, or earlier, in a period that was closed when it was recorded."
    )
    recorded_at: datetime = strawberry.field(description="When it was written down.")
    expires_at: datetime | None = strawberry.field(description="When a hold ends unless it is posted before.")
    hash: str = strawberry.field(
        description="SHA-256 in hex over the hash of the entry before it and its own canonical line: the seal on both."
    )

    @declare.computed
    async def postings(self, info: Info) -> list[Posting]:
        """The entry's postings, in order: of a hold what it keeps aside; a release has none."""
        found = await info.context.load(entries.postings_by_entries, self.entry.id)
        return [_posting(posting) for posting in found or []]

    @declare.computed
    async def resolves(self, info: Info) -> "JournalEntry | None":
        """The hold that it posts or releases."""
        return await _load_named(info.context, self.entry.resolves)

    @declare.computed
    async def reverses(self, info: Info) -> "JournalEntry | None":
        """The entry that it undoes."""
        return await _load_named(info.context, self.entry.reverses)

    @declare.computed
    async def settled_by(self, info: Info) -> "JournalEntry | None":
        """What became of it: the entry that posted or released this hold, or that reversed this entry."""
        found = await info.context.load(entries.entries_by_named, self.entry.id)
        return entry_of(found) if found is not None else None


@strawberry.type
class JournalQueries:
    @declare.query(PLATFORM_READERS)
    async def journal_entry(self, info: Info, id: strawberry.ID) -> JournalEntry | None:
        """An entry of the journal."""
        return await or_null(_find_entry(info.context, id))

    @declare.query(PLATFORM_READERS)
    async def journal_entries(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        source: strawberry.ID | None = None,
        kind: str | None = None,
    ) -> Connection[JournalEntry]:
        """The journal, newest first; with `source`, the entries of one payment, transfer or payout, oldest first."""
        if source is not None and kind is not None:
            raise InvalidInput("Give either source or kind.", path=("kind",), constraint="source or kind")
        asked = window(list_name="journalEntries", first=first, after=after, last=None, before=None)
        number = _number(asked.after)
        if source is None:
            found: Sequence[RecordedEntry] = await info.context.read(
                lambda scope: entries.entry_page(scope, kind=kind, before=number, limit=asked.rows_wanted)
            )
        else:
            source_id = _source_id(source)
            by_source = await info.context.read(
                lambda scope: entries.entries_by_sources(scope, [source_id], after=number or 0, limit=asked.rows_wanted)
            )
            found = by_source[source_id]
        return page(
            found,
            asked,
            list_name="journalEntries",
            node=entry_of,
            position=lambda entry: Position((entry.number,), entry.id),
        )


async def entries_of(context: Context, source: UUID) -> list[JournalEntry]:
    """The entries about one business object, oldest first, at most a hundred."""
    return [entry_of(entry) for entry in await context.load(entries.entries_by_sources, source) or []]


@finds("journal entry", PLATFORM_READERS)
async def _find_entry(context: Context, id: str) -> JournalEntry | None:
    entry = await context.load(entries.entries_by_ids, parse_id("journal entry", id))
    return entry_of(entry) if entry is not None else None


@finds("posting", PLATFORM_READERS)
async def _find_posting(context: Context, id: str) -> Posting | None:
    posting = await context.load(entries.postings_by_ids, parse_id("posting", id))
    return _posting(posting) if posting is not None else None


async def load_entry(context: Context, id: UUID) -> JournalEntry:
    """An entry that there is."""
    return entry_of(await context.load(entries.entries_by_ids, id))


async def _load_named(context: Context, id: UUID | None) -> JournalEntry | None:
    return await load_entry(context, id) if id is not None else None


async def _load_account(context: Context, id: UUID) -> "LedgerAccount":
    from marketbill_graphql.ledger import load_account

    return await load_account(context, id)


def entry_of(entry: RecordedEntry) -> JournalEntry:
    return JournalEntry(
        entry=entry,
        id=strawberry.ID(public_id("journal entry", entry.id)),
        number=BigInt(entry.number),
        kind=entry.kind,
        key=entry.key,
        description=entry.description,
        source=EntrySource(type=entry.source.type, id=strawberry.ID(_source_text(entry.source))),
        reason=JSON(entry.reason),
        effective_at=entry.effective_at,
        occurred_at=entry.occurred_at or entry.effective_at,
        recorded_at=entry.recorded_at,
        phase=entry.phase,
        expires_at=entry.expires_at,
        hash=entry.hash.hex(),
    )


def _posting(posting: RecordedPosting) -> Posting:
    return Posting(
        posting=posting,
        id=strawberry.ID(public_id("posting", posting.id)),
        amount=amount(posting.amount, posting.currency),
    )


def _source_text(source: Any) -> str:
    return public_id(source.type, source.id) if source.type in PREFIX else str(source.id)


def _source_id(text: str) -> UUID:
    kind = KIND.get(text[:64].partition("_")[0])
    if kind is None:
        raise NotFound("source", text[:64], path=("source",))
    return parse_id(kind, text, path=("source",))


def _number(position: Position | None) -> int | None:
    return None if position is None else sorted_by(position, int)[0]
