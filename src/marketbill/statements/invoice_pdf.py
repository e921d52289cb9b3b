"""A fee invoice, or a credit note, as a PDF in the seller's language."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from marketbill.ids import public_id
from marketbill.payments.model import TaxKind
from marketbill.rules.tax.line_tax import Liable
from marketbill.statements.issued import party_of
from marketbill.statements.model import InvoiceKind
from marketbill.statements.statement_pdf import party
from marketbill.statements.typesetting import pdf
from marketbill.statements.words import Language, Tongue

_WORDS = ("what", "net", "rate", "tax", "total")


def invoice_pdf(invoice: Row[Any], lines: Sequence[Row[Any]], language: Language) -> bytes:
    """Blocks: run it in a thread."""
    tongue, currency = Tongue(language), invoice.currency
    is_credit = invoice.kind == InvoiceKind.CREDIT_NOTE
    issuer, customer = party_of(invoice.issuer), party_of(invoice.seller)
    facts = [
        (tongue.label("number"), invoice.number),
        (tongue.label("issued"), tongue.day(invoice.issued_at)),
        (tongue.label("period"), tongue.period(invoice.period_start, invoice.period_end)),
        (tongue.label("currency"), currency),
    ]
    if invoice.corrects:
        facts.append((tongue.label("corrects"), ", ".join(invoice.corrects)))
    data = {
        "language": tongue.language,
        "title": tongue.label("credit note" if is_credit else "fee invoice"),
        "issuer": {"name": issuer.name},
        "parties": [party(issuer, tongue, "supplier"), party(customer, tongue, "customer")],
        "facts": facts,
        "foot": f"{invoice.number} · {public_id('seller', invoice.seller_id)}",
        "page": tongue.label("page"),
        "currency": currency,
        "words": {name: tongue.label(name) for name in _WORDS},
        "lines": [_line(line, currency, tongue) for line in lines],
        "net": tongue.amount(invoice.net, currency),
        "tax": tongue.amount(invoice.tax, currency),
        "total": tongue.amount(invoice.net + invoice.tax, currency),
        "notes": [tongue.label("credit set-off note" if is_credit else "set-off note")],
    }
    return pdf("invoice", data)


def _line(line: Row[Any], currency: str, tongue: Tongue) -> dict[str, str]:
    note = ""
    if line.liable == Liable.BUYER:
        note = tongue.label("reverse charge")
    elif line.liable == Liable.NOBODY:
        note = tongue.label("no tax")
    return {
        "what": tongue.label("platform fees" if line.service == TaxKind.FEE else "services"),
        "note": note,
        "net": tongue.amount(line.net, currency),
        "rate": "" if line.rate is None else tongue.percent(line.rate),
        "tax": tongue.amount(line.tax, currency),
        "total": tongue.amount(line.net + line.tax, currency),
    }
