"""An entry as it stands, with its postings in the chart's words: what a hold's end or a reversal is made from."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from marketbill.db import Scope
from marketbill.errors import NotFound, Path
from marketbill.ids import public_id
from marketbill.ledger.chart import named
from marketbill.ledger.entry import Phase, Posting, Source


@dataclass(frozen=True, slots=True)
class Original:
    """`settled_by` is the entry that posted, released or reversed it, if one did."""

    id: UUID
    kind: str
    source: Source
    phase: Phase
    description: str
    effective_at: datetime
    expires_at: datetime | None
    reverses: UUID | None
    settled_by: UUID | None
    postings: tuple[Posting, ...]

    @property
    def public_id(self) -> str:
        return public_id("journal entry", self.id)


_ENTRY = text(
    """
    select e.id, e.kind, e.source_type, e.source_id, e.phase, e.description, e.effective_at, e.expires_at, e.reverses,
           coalesce(
             (select s.id from journal_entry s where s.platform_id = :platform and s.resolves = e.id),
             (select s.id from journal_entry s where s.platform_id = :platform and s.reverses = e.id)) as settled_by,
           d.code as debit, c.code as credit, p.amount, p.currency
    from journal_entry e
    left join posting p
      on p.platform_id = :platform and p.number >= e.first_posting and p.number < e.first_posting + e.posting_count
    left join ledger_account d on d.platform_id = :platform and d.id = p.debit_account_id
    left join ledger_account c on c.platform_id = :platform and c.id = p.credit_account_id
    where e.platform_id = :platform and e.id = :id
    order by p.number
    """
)


async def load(scope: Scope, id: UUID, *, path: Path = ("id",)) -> Original:
    """The entry with this id. Raises NotFound."""
    rows = await scope.rows(_ENTRY, {"platform": scope.platform, "id": id})
    if not rows:
        raise NotFound("journal entry", public_id("journal entry", id), path=path)
    first = rows[0]
    return Original(
        id=first.id,
        kind=first.kind,
        source=Source(first.source_type, first.source_id),
        phase=Phase(first.phase),
        description=first.description,
        effective_at=first.effective_at,
        expires_at=first.expires_at,
        reverses=first.reverses,
        settled_by=first.settled_by,
        postings=tuple(
            Posting(named(row.debit, row.currency), named(row.credit, row.currency), row.amount)
            for row in rows
            if row.amount is not None
        ),
    )
