"""Explaining an amount: of a payment, a journal entry, one posting or a statement line, down to what it was made of.

The tree of a payment comes from the trace that it was booked by, never from the rules of today. An operator sees all of
it; a seller sees his own lines, and of the journal what moved on his own accounts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from marketbill.actor import Actor
from marketbill.db import Scope
from marketbill.errors import Forbidden, InvalidInput, NotFound
from marketbill.ids import KIND, PREFIX, parse_id, public_id
from marketbill.insight.node import Node
from marketbill.insight.parts import TRACED_KINDS, Leg, Part, parts_of_sale
from marketbill.insight.sale import line_node, part_node
from marketbill.ledger import entries as journal
from marketbill.ledger.accounts import Account, accounts_by_ids
from marketbill.ledger.entries import RecordedEntry, RecordedPosting
from marketbill.ledger.flows import FLOWS
from marketbill.ledger.flows.template import Template
from marketbill.money import decimal_text
from marketbill.payments import queries as payments
from marketbill.payouts import queries as payouts
from marketbill.sellers import seller as sellers
from marketbill.statements.statement import Section

#: Characters of an id that is shown again in an error.
_ID_LENGTH_MAX = 64
_EXPLAINED = ("payment", "journal entry", "posting")
#: The sections of a statement that tell the account on the other side apart; all others are whole entries.
_ACCOUNTS_OF_SECTIONS = (
    ("buyer:refund-payable", Section.REFUNDS),
    ("dispute:", Section.DISPUTES),
    ("revenue:platform-fee", Section.FEES),
    ("expenses:psp-fee", Section.FEES),
    ("tax:output-vat:", Section.FEE_TAX),
    ("tax:", Section.SALES_TAX),
)


class NotExplainable(InvalidInput):
    """An id of a kind that has no amount of its own to explain."""

    def __init__(self, id: str) -> None:
        super().__init__(
            f"{id[:_ID_LENGTH_MAX]!r} cannot be explained: give the id of a payment (pay_…), of a journal entry (ent_…)"
            " or of a posting (pst_…).",
            path=("id",),
            constraint="pay_…, ent_… or pst_…",
        )


@dataclass(frozen=True, slots=True)
class _Books:
    """Some entries with their postings, as far as the actor may see them, and the accounts these move."""

    entries: Sequence[RecordedEntry]
    postings: Mapping[UUID, Sequence[RecordedPosting]]
    accounts: Mapping[UUID, Account]
    names: Mapping[UUID, str]

    def leg(self, entry: RecordedEntry, posting: RecordedPosting) -> Leg:
        debit, credit = self.accounts[posting.debit_account_id], self.accounts[posting.credit_account_id]
        return Leg(entry.kind, debit.code, credit.code)

    def words(self, account_id: UUID) -> str:
        """The code of an account as a person reads it: with the seller's name and not with his id."""
        account = self.accounts[account_id]
        if account.seller is None or account.seller not in self.names:
            return account.code
        return account.code.replace(public_id("seller", account.seller), self.names[account.seller])


async def explain(scope: Scope, actor: Actor, id: str, *, section: Section | None = None) -> Node:
    """The tree of a payment, a journal entry or a posting.

    A line of a statement is named by its entry and its `section`: then only the postings of that section are told.
    Raises NotExplainable, and NotFound for what there is not, or not for this actor; Forbidden for a buyer.
    """
    if actor.buyer is not None:
        raise Forbidden("A buyer's token explains nothing.")
    kind = KIND.get(id[:_ID_LENGTH_MAX].partition("_")[0])
    if kind not in _EXPLAINED:
        raise NotExplainable(id)
    if kind == "payment":
        return await _explain_payment(scope, actor, id)
    uuid = parse_id(kind, id, path=("id",))
    if kind == "posting":
        found = (await journal.postings_by_ids(scope, [uuid])).get(uuid)
        if found is None:
            raise NotFound(kind, id, path=("id",))
        return await _explain_entry(scope, actor, id, found.entry_id, only=found.number)
    return await _explain_entry(scope, actor, id, uuid, section=section)


async def _explain_payment(scope: Scope, actor: Actor, id: str) -> Node:
    row = await payments.by_id(scope, actor, id)
    trace, shares = row.trace, (await payments.shares_of(scope, actor, [row.id]))[row.id]
    lines = {f"{line.ordinal + 1:03d}": line for line in (await payments.lines_of(scope, actor, [row.id]))[row.id]}
    names = await sellers.by_ids(scope, {share.seller_id for share in shares})
    transfers = (await payouts.transfers_of(scope, actor, [row.id]))[row.id]
    by_source = await journal.entries_by_sources(scope, [row.id, *(transfer.id for transfer in transfers)])
    books = await _books(scope, actor, [entry for found in by_source.values() for entry in found])
    children: list[Node] = []
    for share in shares:
        seller_id = public_id("seller", share.seller_id)
        told = next(one for one in trace["sellers"] if one["seller_id"] == seller_id)
        own = [line for line in trace["lines"] if line["seller_id"] == seller_id]
        nodes = [line_node(trace, line, description=lines[line["line_id"]].description) for line in own]
        if told.get("received"):
            nodes.append(Node("part of others' sales", told["received"], row.currency))
        if more := share.processor_fee - told.get("processor_fee", 0):
            nodes.append(Node("the provider's fee: its own in place of the estimate", -more, row.currency))
        label = f"{names[share.seller_id].name} gets"
        note = f"of {decimal_text(told['gross'], row.currency)} {row.currency} sold"
        children.append(
            Node(label, share.seller_net, row.currency, reference=seller_id, note=note, children=tuple(nodes))
        )
    if actor.seller is None:
        children += _rate_nodes(row)
    booked = [_entry_node(books, entry) for entry in books.entries]
    if booked:
        children.append(Node("in the books", children=tuple(booked)))
    whole = actor.seller is None
    schedule = trace.get("schedule") or trace["fee_rule"]
    return Node(
        f"{row.reference or 'sale'}: {'the buyer paid' if whole else 'your part of a sale'}",
        _charged(trace) if whole else sum(share.gross for share in shares),
        row.currency,
        rule=f"fee:{schedule['id']}@{schedule['version']}",
        reference=id,
        note=f"{row.status.lower()}, created {row.created_at:%Y-%m-%d %H:%M} UTC",
        children=tuple(children),
    )


def _rate_nodes(row: Row[Any]) -> list[Node]:
    """The rates of exchange that the sale was decided or settled by, each with who told it and when."""
    nodes: list[Node] = []
    for base, quote, numerator, denominator, source, at in row.trace.get("inputs", {}).get("rates", ()):
        words = _rate_words(base, quote, numerator, denominator, at)
        nodes.append(Node("rate that the tax was decided by", source=source, note=words))
    if row.settlement_rate is not None:
        told = dict(row.settlement_rate)
        words = _rate_words(*(told.pop(name) for name in ("base", "quote", "numerator", "denominator", "at")))
        source, amount, currency = told.pop("source"), row.settlement_gross, row.settlement_currency
        evidence = {name: str(value) for name, value in told.items()}
        label = "settled by the provider"
        nodes.append(Node(label, amount, currency, source=source, note=words, evidence=evidence))
    return nodes


def _rate_words(base: str, quote: str, numerator: int, denominator: int, at: str) -> str:
    return f"1 {base} = {Fraction(numerator, denominator)} {quote}, of {at[:10]}"


async def _explain_entry(
    scope: Scope, actor: Actor, id: str, entry_id: UUID, *, only: int | None = None, section: Section | None = None
) -> Node:
    entry = (await journal.entries_by_ids(scope, [entry_id])).get(entry_id)
    if entry is None:
        raise NotFound("journal entry", id, path=("id",))
    books = await _books(scope, actor, [entry])
    shown = [one for one in books.postings[entry.id] if only in (None, one.number)]
    if section is not None:
        shown = [one for one in shown if _in_section(books.leg(entry, one), section)]
    if not shown and (actor.seller is not None or only is not None or section is not None):
        raise NotFound(KIND[id.partition("_")[0]], id, path=("id",))
    # What a reversal undoes is explained by what it undoes: by the payment of that entry.
    reversed_ = None
    if entry.reverses is not None:
        reversed_ = (await journal.entries_by_ids(scope, [entry.reverses])).get(entry.reverses)
    origin = entry if reversed_ is None else reversed_
    sale = await _sale_of(scope, actor, origin)
    postings = [_posting_node(books, entry, one, sale, origin) for one in shown]
    if only is not None:
        return replace(postings[0], children=(*postings[0].children, _context(entry)))
    extra = () if reversed_ is None else (Node("undoes", note=reversed_.description, reference=_id(reversed_)),)
    return replace(_entry_node(books, entry), children=(*postings, *_reason(entry), *extra))


@dataclass(frozen=True, slots=True)
class _Sale:
    """The payment that an entry comes from, as far as it explains its postings."""

    trace: Mapping[str, Any]
    parts: Mapping[Leg, Sequence[Part]]
    lines: Mapping[str, Mapping[str, Any]]
    rates: Sequence[Node]


async def _sale_of(scope: Scope, actor: Actor, entry: RecordedEntry) -> _Sale | None:
    payment_id: str | None = None
    if entry.source.type == "payment":
        payment_id = public_id("payment", entry.source.id)
    elif isinstance(told := entry.reason.get("payment"), str) and told.startswith(PREFIX["payment"]):
        payment_id = told
    if payment_id is None:
        return None
    try:
        row = await payments.by_id(scope, actor, payment_id)
    except NotFound:
        return None
    parts = parts_of_sale(row.trace, tax_country=row.tax_country)
    lines = {line["line_id"]: line for line in row.trace["lines"]}
    return _Sale(row.trace, parts, lines, _rate_nodes(row) if actor.seller is None else ())


async def _books(scope: Scope, actor: Actor, found: Sequence[RecordedEntry]) -> _Books:
    postings = await journal.postings_by_entries(scope, [entry.id for entry in found])
    ids = {id for own in postings.values() for one in own for id in (one.debit_account_id, one.credit_account_id)}
    accounts = await accounts_by_ids(scope, list(ids))
    if actor.seller is not None:
        own = {account.id for account in accounts.values() if account.seller == actor.seller}
        postings = {
            entry: [one for one in moved if own & {one.debit_account_id, one.credit_account_id}]
            for entry, moved in postings.items()
        }
        found = [entry for entry in found if postings[entry.id]]
    owners = {account.seller for account in accounts.values() if account.seller is not None}
    names = {id: row.name for id, row in (await sellers.by_ids(scope, owners)).items()}
    return _Books(found, postings, accounts, names)


def _entry_node(books: _Books, entry: RecordedEntry) -> Node:
    """An entry with its postings, without what these are made of."""
    postings = [_bare(books, one) for one in books.postings[entry.id]]
    currencies = {one.currency for one in books.postings[entry.id]}
    is_one = len(currencies) == 1 and entry.kind != "transfer"
    return Node(
        entry.kind,
        sum(one.amount for one in books.postings[entry.id]) if is_one else None,
        next(iter(currencies)) if is_one else None,
        reference=_id(entry),
        note=f"{entry.description}, {entry.effective_at:%Y-%m-%d %H:%M} UTC",
        children=tuple(postings),
    )


def _bare(books: _Books, posting: RecordedPosting) -> Node:
    label = f"debit {books.words(posting.debit_account_id)}, credit {books.words(posting.credit_account_id)}"
    return Node(label, posting.amount, posting.currency, reference=public_id("posting", posting.id))


def _posting_node(
    books: _Books, entry: RecordedEntry, posting: RecordedPosting, sale: _Sale | None, origin: RecordedEntry
) -> Node:
    """A posting with what it is made of: the lines' amounts of a sale's, what a seller earned of a release's."""
    leg = books.leg(entry, posting)
    node = replace(_bare(books, posting), note=_meaning(leg))
    if sale is None:
        return node
    if origin is not entry:
        leg = Leg(origin.kind, leg.credit, leg.debit)
    if leg.kind in TRACED_KINDS:
        parts = sale.parts.get(leg, ())
        made = tuple(part_node(sale.trace, sale.lines[one.line_id], one.name, one.amount) for one in parts)
        total = sum(one.amount for one in parts)
        stored = f"the trace of the sale gives {decimal_text(total, posting.currency)}"
        return replace(node, children=made, note=node.note if total == posting.amount else f"DIFFERS: {stored}")
    seller = next((books.accounts[id].seller for id in (posting.debit_account_id, posting.credit_account_id)
                   if books.accounts[id].seller is not None), None)  # fmt: skip
    if leg.kind in ("release", "transfer") and seller is not None:
        earned = _earned(sale, public_id("seller", seller))
        if posting.currency != sale.trace["currency"]:
            total = sum(one.amount or 0 for one in earned)
            label = "earned, before the provider converted it"
            earned = (Node(label, total, sale.trace["currency"], children=earned), *sale.rates)
        return replace(node, children=earned)
    return node


def _earned(sale: _Sale, seller_id: str) -> tuple[Node, ...]:
    """What one seller earned with a sale, line by line."""
    trace = sale.trace
    nodes = [
        part_node(trace, line, "seller_net", line["seller_net"])
        for line in trace["lines"]
        if line["seller_id"] == seller_id
    ]
    received = sum(one.get("received", 0) for one in trace["sellers"] if one["seller_id"] == seller_id)
    if received:
        nodes.append(Node("part of others' sales", received, trace["currency"]))
    return tuple(nodes)


def _context(entry: RecordedEntry) -> Node:
    note = f"{entry.description}, {entry.effective_at:%Y-%m-%d %H:%M} UTC"
    return Node(f"of the entry {entry.kind}", reference=_id(entry), note=note, children=_reason(entry))


def _reason(entry: RecordedEntry) -> tuple[Node, ...]:
    """Why there is such an entry: its kind's meaning, its source, and the reason that was kept with it."""
    template: Template | None = FLOWS.get(entry.kind)
    nodes = [Node("why", note=template.when)] if template is not None else []
    source = entry.source
    reference = public_id(source.type, source.id) if source.type in PREFIX else str(source.id)
    nodes.append(Node(f"comes from a {source.type}", reference=reference))
    nodes += [Node(str(name).replace("_", " "), note=str(told)) for name, told in entry.reason.items() if told]
    return tuple(nodes)


def _meaning(leg: Leg) -> str | None:
    """What the movement means in an entry of its kind, in the words of the map of money."""
    template = FLOWS.get(leg.kind)
    for one in template.legs if template is not None else ():
        if _fits(one.debit.pattern, leg.debit) and _fits(one.credit.pattern, leg.credit):
            return one.amount
    return None


def _fits(pattern: str, code: str) -> bool:
    wanted, given = pattern.split(":"), code.split(":")
    return len(wanted) == len(given) and all(one in ("*", other) for one, other in zip(wanted, given, strict=True))


#: What takes a return of sellers, and what gives it again.
_RETURNS = ("refund", "refund-undone", "dispute-lost", "dispute-restored")


def _in_section(leg: Leg, section: Section) -> bool:
    """Whether a seller's statement has this movement in this section, as `statements.statement` sorts them."""
    if leg.kind in ("charge", "promo", "assignment"):
        return section is Section.SALES
    if leg.kind == "recharge" and not leg.credit.startswith("tax:"):
        return section is Section.RECHARGES
    if leg.kind in _RETURNS and "expenses:psp-fee" in (leg.debit, leg.credit):
        return section is Section.RECHARGES
    for start, other in _ACCOUNTS_OF_SECTIONS:
        if leg.debit.startswith(start) or leg.credit.startswith(start):
            return section is other
    return (section is Section.PARTS) if leg.kind == "split" else True


def _charged(trace: Mapping[str, Any]) -> int:
    return trace["totals"].get("charged", trace["totals"]["gross"])


def _id(entry: RecordedEntry) -> str:
    return public_id("journal entry", entry.id)
