"""The books as a beancount file (syntax of version 3), which `bean-check` accepts.

As in the hledger journal, entries lead from opening balances to what the ledger has kept as every account's balance.
The tolerance of each assertion is set to nothing: left to itself, beancount forgives a difference of one cent.
"""

from collections import Counter
from collections.abc import AsyncGenerator
from datetime import date, timedelta
from itertools import accumulate

from marketbill.ledger.entry import Phase
from marketbill.ledger.export.books import Books, Report
from marketbill.ledger.export.hledger import last_day
from marketbill.ledger.export.names import beancount_name
from marketbill.ledger.export.record import Entry, Opened
from marketbill.ledger.export.text import amount, aside, head, tags
from marketbill.money import decimal_text

#: Currencies are declared on a day before any entry.
_BEFORE_ALL = date(1970, 1, 1)
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"})


async def beancount_file(books: Books, report: Report | None = None) -> AsyncGenerator[str]:
    """The file, in parts."""
    yield f'{head(books)}option "title" {_quoted(books.name)}\noption "name_income" "Revenue"\n'
    currencies: set[str] = set()
    async for page in books.accounts():
        currencies.update(currency for opened in page for currency in opened.currencies)
        yield "".join(_open(opened, books.period.first) for opened in page)
    for currency in sorted(currencies):
        yield f'option "operating_currency" "{currency}"\n{_BEFORE_ALL} commodity {currency}\n'
    opening = f'\n{books.period.first} * "opening balances"\n'
    async for page in books.openings():
        yield opening + "".join(f"  {beancount_name(one.account)}  {amount(one.net, one.currency)}\n" for one in page)
        opening = ""
    yield "\n"
    async for page in books.entries(report):
        yield "".join(map(_transaction, page))
    async for part in _assertions(books):
        yield part


async def _assertions(books: Books) -> AsyncGenerator[str]:
    """What every account holds. Beancount counts what lies under an account to it, so such accounts come last."""
    day = last_day(books) + timedelta(days=1)
    parents = {beancount_name(account) for account in await books.parents()}
    sums: Counter[tuple[str, str]] = Counter()
    own: list[tuple[str, str]] = []
    async for page in books.closings():
        lines: list[str] = []
        for one in page:
            name = beancount_name(one.account)
            for above in parents.intersection(accumulate(name.split(":"), "{}:{}".format)):
                sums[above, one.currency] += one.net
            if name in parents:
                own.append((name, one.currency))
            else:
                lines.append(_balance(day, name, one.net, one.currency))
        yield "".join(lines)
    yield "".join(_balance(day, name, sums[name, currency], currency) for name, currency in own)


def _balance(day: date, name: str, net: int, currency: str) -> str:
    return f"{day} balance {name}  {decimal_text(net, currency)} ~ 0 {currency}\n"


def _open(opened: Opened, first: date | None) -> str:
    account, day = opened.account, opened.first_at.date()
    return (
        f"{day if first is None else max(day, first)} open {beancount_name(account)} {','.join(opened.currencies)}\n"
        f"  code: {_quoted(account.code)}\n"
    )


def _transaction(entry: Entry) -> str:
    if entry.phase != Phase.POSTED:
        return aside(entry, beancount_name)
    lines = [f"{entry.effective_at.date()} * {_quoted(entry.description)}", f"  number: {entry.number}"]
    lines += [f"  {tag}: {_quoted(fact)}" for tag, fact in tags(entry, str)]
    for posting in entry.postings:
        text = decimal_text(posting.amount, posting.currency)
        lines.append(f"  {beancount_name(posting.debit)}  {text} {posting.currency}")
        lines.append(f"  {beancount_name(posting.credit)}  -{text} {posting.currency}")
    return "\n".join(lines) + "\n\n"


def _quoted(text: str) -> str:
    return f'"{text.translate(_ESCAPES)}"'
