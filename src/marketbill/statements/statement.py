"""A seller's statement: what stood at the start of a period, every movement in it, what stands at its end.

It is read from the ledger's own postings. A seller's position is what the platform owes him (pending, payable and
reserve), and what he holds at the provider (available and in transit to his bank), less what he owes the platform.
Sales add to it; fees and the tax on them, refunds and lost disputes take from it; payouts that were paid end it.
Releases, transfers, reserves and debts only move it from one bucket to another. Opening and lines make the closing, and
one period's closing is the next one's opening.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Select,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    column,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from marketbill.db import Instant, Scope
from marketbill.errors import InvalidInput
from marketbill.ids import PREFIX, SellerId, public_id
from marketbill.ledger import chart
from marketbill.ledger.accounts import SellerPosition, accounts_by_refs
from marketbill.ledger.balances import Cut, balances_at, watermark
from marketbill.ledger.entry import Source
from marketbill.ledger.model import journal_entry, ledger_account, posting

#: The most lines of one page.
LINES_MAX = 1_000


class Section(StrEnum):
    """What kind of movement a line is. RELEASES, RESERVE and TRANSFERS move the total about, the others change it.

    SALES_TAX is tax on his sales that the platform owes in his place or keeps back by law; PARTS are parts of a sale
    that went to another participant, or came from one. EXCHANGE is a sale that the provider settled in another
    currency: it leaves the statement of one and comes into that of the other; its description tells the rate.
    RECHARGES are services and costs that the seller was charged for. Of DEBTS, what becomes a debt and what sales pay
    of it only moves about; what the seller pays himself, and what is written off, changes the total.
    """

    SALES = "SALES"
    FEES = "FEES"
    FEE_TAX = "FEE_TAX"
    SALES_TAX = "SALES_TAX"
    PARTS = "PARTS"
    EXCHANGE = "EXCHANGE"
    REFUNDS = "REFUNDS"
    DISPUTES = "DISPUTES"
    RECHARGES = "RECHARGES"
    RELEASES = "RELEASES"
    RESERVE = "RESERVE"
    DEBTS = "DEBTS"
    TRANSFERS = "TRANSFERS"
    PAYOUTS = "PAYOUTS"
    ADJUSTMENTS = "ADJUSTMENTS"


class Bucket(StrEnum):
    """Where a seller's money stands: owed by the platform (PENDING, PAYABLE, RESERVE), at the provider (AVAILABLE,
    IN_TRANSIT), or owed to the platform (DEBT)."""

    PENDING = "PENDING"
    PAYABLE = "PAYABLE"
    RESERVE = "RESERVE"
    AVAILABLE = "AVAILABLE"
    IN_TRANSIT = "IN_TRANSIT"
    DEBT = "DEBT"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page goes on: a line's place within its period. `as_of` keeps all pages to one state of the books."""

    effective_at: datetime
    number: int
    section: Section
    as_of: int


@dataclass(frozen=True, slots=True)
class Line:
    """One movement. An entry has a line per section: a sale's split is a line of fees and a line of tax on them.

    `amount` is the effect on the seller's total, in minor units; `moved` went from the bucket `origin` to the bucket
    `target`, None standing for outside.
    """

    place: Place
    entry_id: UUID
    kind: str
    section: Section
    source: Source
    description: str
    amount: int
    moved: int
    origin: Bucket | None
    target: Bucket | None
    balance_after: int

    @property
    def effective_at(self) -> datetime:
        return self.place.effective_at

    @property
    def source_id(self) -> str:
        """The source's public id, such as `pay_…`."""
        if self.source.type in PREFIX:
            return public_id(self.source.type, self.source.id)
        return f"{self.source.type}_{self.source.id}"


@dataclass(frozen=True, slots=True)
class SectionTotal:
    """All lines of one section in the period: how many, and their effect on the total."""

    section: Section
    lines: int
    amount: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A seller's period [start, end) in one currency, with one page of its lines. Totals are of the whole period."""

    seller: SellerId
    currency: str
    start: datetime
    end: datetime
    as_of: int
    opening: SellerPosition
    closing: SellerPosition
    totals: tuple[SectionTotal, ...]
    lines: tuple[Line, ...]
    more: bool

    @property
    def line_count(self) -> int:
        return sum(total.lines for total in self.totals)

    @property
    def agrees(self) -> bool:
        """Opening and lines make the closing that the ledger tells; false means the books are broken."""
        return self.opening.total + sum(total.amount for total in self.totals) == self.closing.total


_OWN = (
    func.unnest(
        bindparam("ids", type_=ARRAY(Uuid)),
        bindparam("buckets", type_=ARRAY(Text)),
        bindparam("signs", type_=ARRAY(BigInteger)),
    )
    .table_valued(column("id", Uuid), column("bucket", Text), column("sign", BigInteger), name="own")
    .render_derived()
)


def _side(account: ColumnElement[UUID], counter: ColumnElement[UUID], direction: int) -> Select[*tuple[Any, ...]]:
    place = tuple_(posting.c.effective_at, posting.c.number)
    return (
        select(
            posting.c.entry_number,
            posting.c.effective_at,
            posting.c.number,
            (posting.c.amount * literal(direction, BigInteger)).label("debit"),
            counter.label("counter_id"),
        )
        .where(posting.c.platform_id == bindparam("platform"), account == _OWN.c.id, ~posting.c.held)
        .where(place >= tuple_(bindparam("from_at", type_=Instant), bindparam("from_number", type_=BigInteger)))
        .where(posting.c.effective_at < bindparam("end", type_=Instant))
        .where(posting.c.number <= bindparam("as_of", type_=BigInteger))
        .order_by(posting.c.effective_at, posting.c.number)
        .limit(bindparam("legs", type_=BigInteger))
    )


_LEG = union_all(
    _side(posting.c.debit_account_id, posting.c.credit_account_id, 1),
    _side(posting.c.credit_account_id, posting.c.debit_account_id, -1),
).lateral("leg")
_COUNTER = ledger_account.alias("counter")
_RETURN = journal_entry.c.kind.in_(("refund", "refund-undone", "dispute-lost", "dispute-restored"))
_SECTION = case(
    (journal_entry.c.kind.in_(("charge", "promo", "assignment")), Section.SALES),
    (journal_entry.c.kind == "fx-conversion", Section.EXCHANGE),
    (and_(_RETURN, _COUNTER.c.code == chart.PSP_FEE.pattern), Section.RECHARGES),
    (or_(journal_entry.c.kind.like("refund%"), _COUNTER.c.code == chart.REFUND_PAYABLE.pattern), Section.REFUNDS),
    (or_(journal_entry.c.kind.like("dispute%"), func.starts_with(_COUNTER.c.code, "dispute:")), Section.DISPUTES),
    (or_(_OWN.c.bucket == Bucket.DEBT, func.starts_with(_COUNTER.c.code, "seller-receivable:")), Section.DEBTS),
    (or_(_OWN.c.bucket == Bucket.RESERVE, _COUNTER.c.code.like("seller:%:reserve")), Section.RESERVE),
    (
        and_(journal_entry.c.kind == "recharge", not_(func.starts_with(_COUNTER.c.code, "tax:"))),
        Section.RECHARGES,
    ),
    (func.starts_with(_COUNTER.c.code, "revenue:platform-fee"), Section.FEES),
    (_COUNTER.c.code == "expenses:psp-fee", Section.FEES),
    (func.starts_with(_COUNTER.c.code, "tax:output-vat:"), Section.FEE_TAX),
    (func.starts_with(_COUNTER.c.code, "tax:"), Section.SALES_TAX),
    (journal_entry.c.kind == "split", Section.PARTS),
    (journal_entry.c.kind == "release", Section.RELEASES),
    (func.starts_with(journal_entry.c.kind, "transfer"), Section.TRANSFERS),
    (journal_entry.c.kind == "custody", Section.TRANSFERS),
    (journal_entry.c.kind.regexp_match("^(payout|bank)"), Section.PAYOUTS),
    else_=Section.ADJUSTMENTS,
)
_LEGS = (
    select(
        _OWN.c.bucket,
        (_OWN.c.sign * _LEG.c.debit).label("delta"),
        journal_entry.c.id.label("entry_id"),
        _LEG.c.effective_at,
        _LEG.c.number,
        journal_entry.c.number.label("entry_number"),
        journal_entry.c.kind,
        journal_entry.c.source_type,
        journal_entry.c.source_id,
        journal_entry.c.description,
        _SECTION.label("section"),
    )
    .select_from(_OWN.join(_LEG, true()))
    .join(
        journal_entry,
        and_(journal_entry.c.platform_id == bindparam("platform"), journal_entry.c.number == _LEG.c.entry_number),
    )
    .join(_COUNTER, and_(_COUNTER.c.platform_id == bindparam("platform"), _COUNTER.c.id == _LEG.c.counter_id))
)
_PAGE = _LEGS.order_by(_LEG.c.effective_at, _LEG.c.number).limit(bindparam("legs", type_=BigInteger))
_ALL = _LEGS.subquery()
_TOTALS = (
    select(
        _ALL.c.section, func.count(_ALL.c.entry_id.distinct()).label("lines"), func.sum(_ALL.c.delta).label("amount")
    )
    .group_by(_ALL.c.section)
    .order_by(_ALL.c.section)
)

_ORDER = {section: rank for rank, section in enumerate(Section)}
#: What a debit of the bucket's account does to the seller's total.
_SIGN = {
    Bucket.PENDING: -1,
    Bucket.PAYABLE: -1,
    Bucket.RESERVE: -1,
    Bucket.AVAILABLE: 1,
    Bucket.IN_TRANSIT: 1,
    Bucket.DEBT: -1,
}


async def statement(
    scope: Scope,
    *,
    seller: SellerId,
    currency: str,
    start: datetime,
    end: datetime,
    after: Place | None = None,
    limit: int = 100,
    known_at: datetime | None = None,
    known: int | None = None,
) -> Statement:
    """The statement of [start, end) by effective time, with at most `limit` lines after `after`.

    It tells what is recorded by now; with `known_at`, what was recorded by then, as it was told to who asked at that
    instant; with `known`, what was recorded up to that posting (a `watermark`). A seller without any movement has an
    empty statement. Raises InvalidInput for a period that does not run forward, an instant to come, a limit outside
    1..`LINES_MAX`, or an unknown currency.
    """
    if not start < end:
        raise InvalidInput("A period ends after it starts.", path=("period",), constraint="from < until")
    if not 1 <= limit <= LINES_MAX:
        raise InvalidInput(f"A page has 1 to {LINES_MAX} lines.", path=("first",), constraint=f"1..{LINES_MAX}")
    if after is not None:
        known = after.as_of
    as_of = await watermark(scope, known_at=known_at) if known is None else known
    books = await _Books.of(scope, seller, currency, start=start, end=end, as_of=as_of)
    lines, more = await books.page(after, limit)
    return Statement(
        seller=seller,
        currency=currency,
        start=start,
        end=end,
        as_of=as_of,
        opening=await books.position(Cut.before(start)),
        closing=await books.position(Cut.before(end)),
        totals=await books.totals(),
        lines=lines,
        more=more,
    )


async def lines_after(
    scope: Scope, after: Place, *, seller: SellerId, currency: str, start: datetime, end: datetime, limit: int
) -> tuple[tuple[Line, ...], bool]:
    """Only the next lines of a statement that was begun before, and whether there are more."""
    books = await _Books.of(scope, seller, currency, start=start, end=end, as_of=after.as_of)
    return await books.page(after, limit)


@dataclass(frozen=True, slots=True)
class _Books:
    """The seller's accounts, one a bucket, as far as they are open, over one period and one state of the books."""

    scope: Scope
    currency: str
    accounts: dict[Bucket, UUID]
    start: datetime
    end: datetime
    as_of: int

    @classmethod
    async def of(
        cls, scope: Scope, seller: SellerId, currency: str, *, start: datetime, end: datetime, as_of: int
    ) -> "_Books":
        refs = {
            Bucket.PENDING: chart.seller_pending(seller, currency),
            Bucket.PAYABLE: chart.seller_payable(seller, currency),
            Bucket.RESERVE: chart.seller_reserve(seller, currency),
            Bucket.AVAILABLE: chart.custody_available(seller, currency),
            Bucket.IN_TRANSIT: chart.custody_in_transit(seller, currency),
            Bucket.DEBT: chart.seller_receivable(seller, currency),
        }
        found = await accounts_by_refs(scope, list(refs.values()))
        opened = {bucket: found[ref].id for bucket, ref in refs.items() if ref in found}
        return cls(scope, currency, opened, start, end, as_of)

    async def position(self, cut: Cut) -> SellerPosition:
        held = await balances_at(self.scope, self.accounts.values(), cut, known=self.as_of)
        buckets = {bucket.value.lower(): held[id] for bucket, id in self.accounts.items()}
        return SellerPosition(currency=self.currency, **buckets)

    async def totals(self) -> tuple[SectionTotal, ...]:
        rows = await self.scope.rows(_TOTALS, self._values(self.start, 0, None))
        totals = (SectionTotal(Section(row.section), row.lines, int(row.amount)) for row in rows)
        return tuple(sorted(totals, key=lambda total: _ORDER[total.section]))

    async def page(self, after: Place | None, limit: int) -> tuple[tuple[Line, ...], bool]:
        """Reads postings until they hold `limit` lines and the start of another, or the period is at its end."""
        cut = Cut(after.effective_at, after.number - 1) if after else Cut.before(self.start)
        at, number = (after.effective_at, after.number) if after else (self.start, 0)
        balance = (await self.position(cut)).total
        legs = 4 * (limit + 2)
        while True:
            rows = await self.scope.rows(_PAGE, self._values(at, number, legs))
            is_complete = len(rows) < legs
            if not is_complete:
                rows = [row for row in rows if row.entry_id != rows[-1].entry_id]
            counted = _lines(rows, balance, self.as_of)
            rest = (line for line in counted if after is None or _follows(line.place, after))
            lines = list(islice(rest, limit + 1))
            if is_complete or len(lines) > limit:
                return tuple(lines[:limit]), len(lines) > limit
            legs *= 4

    def _values(self, at: datetime, number: int, legs: int | None) -> dict[str, Any]:
        return {
            "platform": self.scope.platform,
            "ids": list(self.accounts.values()),
            "buckets": list(self.accounts),
            "signs": [_SIGN[bucket] for bucket in self.accounts],
            "from_at": at,
            "from_number": number,
            "end": self.end,
            "as_of": self.as_of,
            "legs": legs,
        }


def _follows(place: Place, after: Place) -> bool:
    one = (place.effective_at, place.number, _ORDER[place.section])
    return one > (after.effective_at, after.number, _ORDER[after.section])


def _lines(legs: Sequence[Row[Any]], balance: int, as_of: int) -> Iterable[Line]:
    """Groups postings in order into lines, counting on from `balance`."""
    entries: dict[UUID, list[Row[Any]]] = {}
    for leg in legs:
        entries.setdefault(leg.entry_id, []).append(leg)
    for rows in entries.values():
        for section in sorted({Section(row.section) for row in rows}, key=_ORDER.__getitem__):
            line = _line(section, rows, balance, as_of)
            balance = line.balance_after
            yield line


def _line(section: Section, entry: Sequence[Row[Any]], balance: int, as_of: int) -> Line:
    moved = dict.fromkeys(_SIGN, 0)
    for row in entry:
        if row.section == section:
            moved[Bucket(row.bucket)] += row.delta
    amount = sum(moved.values())
    first = entry[0]
    return Line(
        place=Place(first.effective_at, first.number, section, as_of),
        entry_id=first.entry_id,
        kind=first.kind,
        section=section,
        source=Source(first.source_type, first.source_id),
        description=first.description,
        amount=amount,
        moved=max(sum(max(delta, 0) for delta in moved.values()), sum(max(-delta, 0) for delta in moved.values())),
        origin=next((bucket for bucket, delta in moved.items() if delta < 0), None),
        target=next((bucket for bucket, delta in moved.items() if delta > 0), None),
        balance_after=balance + amount,
    )
