"""The money path, printed from the chart, the flows and the worked journal: `docs/money-path.md`."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

from marketbill.ledger import worked_journal
from marketbill.ledger.chart import CHART, AccountKind, Family, Guard, Side
from marketbill.ledger.flows import FLOWS
from marketbill.ledger.flows.template import Area, Form

_TITLES = {
    AccountKind.ASSET: "Assets",
    AccountKind.LIABILITY: "Liabilities",
    AccountKind.REVENUE: "Revenue",
    AccountKind.EXPENSE: "Expenses",
    AccountKind.EQUITY: "Equity",
    AccountKind.CUSTODY: "Custody, off the balance sheet",
}
_FORMS = {
    Form.MIRROR: "The postings of the entry that it reverses, each the other way round.",
    Form.FREE: "Any two accounts of the platform's books, or any two of custody.",
    Form.RELEASE: "None.",
}
_HEAD = """
# The money path

Which accounts a platform's books have, and every way in which money may move between them.

This page is printed by `marketbill ledger money-path` from `ledger/chart.py`, `ledger/flows` and
`ledger/worked_journal.py`; with `--check` it says whether the page still equals them. Do not edit it.

Every entry of the journal is of a kind, and every kind is a flow on this page. An entry is refused that names an
account which is not here, or that joins two accounts which its flow does not join. `*` stands for a seller, a dispute,
a country or a name.

In the drawings an arrow goes from the account whose balance falls to the one whose balance rises. Where a line ends in
dots, both rise (a sale: the provider holds more, and the sellers are owed more); where it ends in crosses, both fall.
"""
_MAP = """
The path of one basket, from the charge to the payouts, then a refund in part and a dispute that is lost; its steps are
told with their amounts at the end. The drawings of the single parts, below, show every path there is. Custody mirrors
what sellers hold in their own accounts at the provider: no posting crosses between it and the platform's books, and it
nets to zero per seller and currency.
"""
_ACCOUNTS = """
Each account exists once per currency. Side: where its balance is read as positive. Guard: an entry is refused after
which less than nothing would be available.
"""
_WORKED = """
A basket of 121.00 EUR from three sellers (A and C in the Netherlands, B in Germany). The fee is 10 % of gross per line
and 0.30 per order, with Dutch VAT of 21 % on it, reverse charge for B. The provider takes 2.07 of the charge, and 20.00
each for a dispute received and contested. Then 20.00 of A's line are refunded, and the other 101.00 are disputed and
lost.

What is payable to a seller never goes below zero, so what must be given back is fetched first (R2 before R1, D4 and D5
before D3): by a transfer's reversal or, where that does not reach, as the seller's debt.
"""
_END = """
It ends with these balances, in cents, as net debits. All other accounts, and all of custody, are back at zero.
"""

Path = tuple[Family, Family, str]
"""Debit, credit, and what it is called."""


def text() -> str:
    """The whole page."""
    parts = [
        _HEAD.lstrip(),
        "## The map",
        _MAP,
        _map(_worked_paths()),
        "## Accounts",
        _ACCOUNTS,
        *_accounts(),
        "## Flows\n",
        *(part for area in Area for part in _area(area)),
        "## The worked journal",
        _WORKED,
        _steps(),
        _END.lstrip(),
        _balances(),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _accounts() -> Iterator[str]:
    for kind, title in _TITLES.items():
        yield f"### {title}\n"
        yield _table(
            ("account", "side", "guard", "owner", "what it is"),
            (
                (
                    f"`{family.pattern}`",
                    family.side.lower(),
                    "not below zero" if family.guard is Guard.NOT_NEGATIVE else "",
                    family.part.name if family.part and family.part.form is None else "",
                    family.meaning,
                )
                for family in CHART
                if family.kind is kind
            ),
        )


def _area(area: Area) -> Iterator[str]:
    templates = [template for template in FLOWS.values() if template.area is area]
    yield f"### {area}\n"
    if any(template.legs for template in templates):
        yield _map((leg.debit, leg.credit, template.kind) for template in templates for leg in template.legs)
    for template in templates:
        yield f"#### {template.kind}\n"
        source = f" Source: {' or '.join(template.sources)}." if template.sources else ""
        yield f"{template.when}{source}\n"
        if not template.legs:
            yield f"Postings: {_FORMS[template.form]}\n"
            continue
        yield _table(
            ("debit", "credit", "amount", "how often"),
            (
                (f"`{leg.debit.pattern}`", f"`{leg.credit.pattern}`", leg.amount, str(leg.times))
                for leg in template.legs
            ),
        )


def _worked_paths() -> Iterator[Path]:
    ids = {name: UUID(int=place) for place, name in enumerate(worked_journal.OBJECTS)}
    for step in worked_journal.STORY:
        for posting in step.entry(ids, datetime(2026, 1, 1, tzinfo=UTC)).postings:
            yield posting.debit.family, posting.credit.family, f"{step.name} {step.kind}"


def _map(paths: Iterable[Path]) -> str:
    """A drawing: the accounts that are touched, by kind, and a line per pair of accounts and direction."""
    lines: dict[tuple[Family, str, Family], list[str]] = {}
    for debit, credit, name in paths:
        lines.setdefault(_line(debit, credit), []).append(name)
    touched = {family for one, _, other in lines for family in (one, other)}
    drawn = ["```mermaid", "flowchart LR"]
    books = [kind for kind in AccountKind if kind is not AccountKind.CUSTODY]
    drawn.append('  subgraph books["The platform\'s books"]')
    for kind in books:
        drawn += _subgraph(kind, touched, indent="    ")
    drawn.append("  end")
    drawn += _subgraph(AccountKind.CUSTODY, touched, indent="  ")
    for (one, line, other), names in lines.items():
        drawn.append(f'  {_node(one)} {line}|"{"<br/>".join(dict.fromkeys(names))}"| {_node(other)}')
    return "\n".join([*drawn, "```", ""])


def _line(debit: Family, credit: Family) -> tuple[Family, str, Family]:
    if debit.side is credit.side:
        return (credit, "-->", debit) if debit.side is Side.DEBIT else (debit, "-->", credit)
    return (debit, "o--o" if debit.side is Side.DEBIT else "x--x", credit)


def _subgraph(kind: AccountKind, touched: set[Family], *, indent: str) -> list[str]:
    families = [family for family in CHART if family in touched and family.kind is kind]
    if not families:
        return []
    return [
        f'{indent}subgraph {kind.lower()}["{_TITLES[kind]}"]',
        *(f'{indent}  {_node(family)}["{family.pattern}"]' for family in families),
        f"{indent}end",
    ]


def _node(family: Family) -> str:
    return family.pattern.translate(_NODE)


def _steps() -> str:
    rows: list[tuple[str, ...]] = []
    for step in worked_journal.STORY:
        for place, (debit, credit, amount) in enumerate(step.postings):
            first = (step.name, step.what, f"`{step.kind}`") if place == 0 else ("", "", "")
            rows.append((*first, f"`{debit}`", f"`{credit}`", str(amount)))
    return _table(("step", "what happens", "flow", "debit", "credit", "cents"), rows)


def _balances() -> str:
    held = worked_journal.end_balances()
    rows = ((f"`{code}`", str(cents)) for code, cents in sorted(held.items()) if cents)
    return _table(("account", "cents"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


_NODE = str.maketrans(":*-", "___")
