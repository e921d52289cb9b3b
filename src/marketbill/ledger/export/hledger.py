"""The books as an hledger journal, which `hledger check --strict` accepts.

Every account and commodity is declared. A period that does not start with the books begins with their opening
balances. The journal ends with an assertion of what every account holds in every currency, as the ledger itself has
kept it: `hledger check` so proves that the entries lead exactly from the ones to the others.
"""

from collections.abc import AsyncGenerator
from datetime import date, timedelta

from marketbill.ledger.entry import Phase
from marketbill.ledger.export.books import Books, Report
from marketbill.ledger.export.names import hledger_name
from marketbill.ledger.export.record import Entry
from marketbill.ledger.export.text import amount, aside, encoded, head, on_one_line, tags
from marketbill.money import decimal_text, exponent

_TYPES = {"assets": "A", "liabilities": "L", "revenue": "R", "expenses": "X", "equity": "E"}
#: What would end a description, or split it in two.
_SEPARATORS = str.maketrans(";|", ",/")


async def hledger_journal(books: Books, report: Report | None = None) -> AsyncGenerator[str]:
    """The journal, in parts."""
    yield head(books) + "decimal-mark .\n\n"
    yield "".join(f"account {root}  ; type: {letter}\n" for root, letter in _TYPES.items())
    currencies: set[str] = set()
    async for page in books.accounts():
        currencies.update(currency for opened in page for currency in opened.currencies)
        yield "".join(f"account {hledger_name(opened.account)}\n" for opened in page)
    yield "\n" + "".join(f"commodity {_sample(currency)}\n" for currency in sorted(currencies))
    opening = f"\n{books.period.first} * (opening) opening balances\n"
    async for page in books.openings():
        yield opening + "".join(f"    {hledger_name(one.account)}  {amount(one.net, one.currency)}\n" for one in page)
        opening = ""
    yield "\n"
    async for page in books.entries(report):
        yield "".join(map(_transaction, page))
    yield f"{last_day(books)} * (closing) what every account holds\n"
    async for page in books.closings():
        yield "".join(
            f"    {hledger_name(one.account)}  0 {one.currency} = {amount(one.net, one.currency)}\n" for one in page
        )


def last_day(books: Books) -> date:
    """The last day of the period; without an end, the day of the last entry."""
    if books.period.end is not None:
        return books.period.end - timedelta(days=1)
    latest = books.latest_at.date()
    return latest if books.period.first is None else max(latest, books.period.first)


def _sample(currency: str) -> str:
    """How amounts look: with a point, even where there are no decimals."""
    return f"1000{'.'.ljust(exponent(currency) + 1, '0')} {currency}"


def _transaction(entry: Entry) -> str:
    if entry.phase != Phase.POSTED:
        return aside(entry, hledger_name)
    description = " ".join(on_one_line(entry.description).translate(_SEPARATORS).split())
    facts = tags(entry)
    if description != entry.description:
        facts.append(("description", encoded(entry.description)))
    lines = [
        f"{entry.effective_at.date()} * ({entry.number}) {description}".rstrip(),
        f"    ; {', '.join(f'{tag}:{fact}' for tag, fact in facts)}",
    ]
    for posting in entry.postings:
        text = decimal_text(posting.amount, posting.currency)
        lines.append(f"    {hledger_name(posting.debit)}  {text} {posting.currency}")
        lines.append(f"    {hledger_name(posting.credit)}  -{text} {posting.currency}")
    return "\n".join(lines) + "\n\n"
