"""A statement as a PDF that a person reads: a summary, where the money stands, every movement, in the seller's
language."""

from typing import Any

from marketbill.ids import public_id
from marketbill.statements.document import PDF_LINES_MAX, Party, StatementDocument, check_length
from marketbill.statements.statement import Bucket, Line
from marketbill.statements.typesetting import pdf
from marketbill.statements.words import Language, Tongue

_WORDS = (
    "summary",
    "where",
    "movements",
    "section",
    "count",
    "amount",
    "balance",
    "opening",
    "closing",
    "day",
    "what",
    "no lines",
    "total",
)
#: Kinds of entries whose own description says more than their word.
_TOLD = ("fx-conversion", "manual", "reversal")


def statement_pdf(document: StatementDocument, language: Language) -> bytes:
    """Raises LimitExceeded beyond `PDF_LINES_MAX` lines. Blocks: run it in a thread."""
    check_length(document.statement, PDF_LINES_MAX)
    return pdf("statement", _data(document, Tongue(language)))


def party(of: Party, tongue: Tongue, role: str) -> dict[str, Any]:
    """A party as the head of a document shows it."""
    vat = f"{tongue.label('vat number')} {of.vat_number}" if of.vat_number else ""
    return {
        "role": tongue.label(role),
        "name": of.name,
        "lines": [line for line in (*of.lines, tongue.country(of.country), vat, of.reference) if line],
    }


def _data(document: StatementDocument, tongue: Tongue) -> dict[str, Any]:
    told, currency = document.statement, document.statement.currency
    number = document.number or tongue.label("draft")
    facts = [
        (tongue.label("number"), number),
        (tongue.label("period"), tongue.period(told.start, told.end)),
        (tongue.label("currency"), currency),
    ]
    if document.issued_at is not None:
        facts.append((tongue.label("issued"), tongue.day(document.issued_at)))
    if document.recorded_later:
        facts.append((tongue.label("previous"), tongue.amount(document.previous_closing or 0, currency)))
        facts.append((tongue.label("recorded later"), tongue.amount(document.recorded_later, currency)))
    return {
        "language": tongue.language,
        "title": tongue.label("statement"),
        "issuer": {"name": document.issuer.name},
        "parties": [party(document.seller, tongue, "seller")],
        "facts": facts,
        "foot": f"{number} · {public_id('seller', told.seller)}",
        "page": tongue.label("page"),
        "words": {name: tongue.label(name) for name in _WORDS},
        "opening": tongue.amount(told.opening.total, currency),
        "closing": tongue.amount(told.closing.total, currency),
        "totals": [
            {
                "section": tongue.section(total.section),
                "lines": str(total.lines),
                "amount": tongue.amount(total.amount, currency),
            }
            for total in told.totals
        ],
        "buckets": [_bucket(bucket, document, tongue) for bucket in Bucket],
        "lines": [_line(line, currency, tongue) for line in document.lines],
    }


def _bucket(bucket: Bucket, document: StatementDocument, tongue: Tongue) -> dict[str, str]:
    told = document.statement
    sign = -1 if bucket is Bucket.DEBT else 1
    held = {
        name: tongue.amount(sign * getattr(position, bucket.lower()), told.currency)
        for name, position in (("opening", told.opening), ("closing", told.closing))
    }
    return {"name": _capital(tongue.bucket(bucket)), **held}


def _line(line: Line, currency: str, tongue: Tongue) -> dict[str, str]:
    kind, section = tongue.kind(line.kind), tongue.section(line.section)
    note = line.description if line.kind in _TOLD else ""
    if line.amount == 0 and line.moved and line.origin and line.target:
        moved = tongue.amount(line.moved, currency)
        note = f"{moved}: {tongue.bucket(line.origin)} → {tongue.bucket(line.target)}"
    return {
        "day": tongue.day(line.effective_at),
        "what": section if line.kind == "split" else kind,
        "note": note,
        "source": line.source_id,
        "amount": tongue.amount(line.amount, currency),
        "balance": tongue.amount(line.balance_after, currency),
    }


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
