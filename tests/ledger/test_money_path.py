"""The page of the money path: it tells every account and every flow, and is what is published."""

import re
from pathlib import Path

from marketbill.ledger import worked_journal
from marketbill.ledger.chart import CHART, Side
from marketbill.ledger.flows import FLOWS
from marketbill.ledger.money_path import text

PAGE = text()
DRAWINGS = re.findall(r"```mermaid\n(.*?)```", PAGE, re.DOTALL)
NODE = re.compile(r'^ *(\w+)\["([^"]+)"\]$', re.MULTILINE)
LINE = re.compile(r'^ +(\w+) (-->|o--o|x--x)\|"([^"]+)"\| (\w+)$', re.MULTILINE)


def test_the_published_page_is_what_the_code_prints() -> None:
    assert (Path(__file__).parents[2] / "docs" / "money-path.md").read_text() == PAGE


def test_every_account_and_every_flow_is_told() -> None:
    for family in CHART:
        assert PAGE.count(f"| `{family.pattern}` | {family.side.lower()} |") == 1, family.pattern
        assert family.meaning in PAGE
    for kind, template in FLOWS.items():
        assert f"\n#### {kind}\n\n{template.when}" in PAGE
        section = PAGE.split(f"\n#### {kind}\n", 1)[1].split("\n#", 1)[0]
        assert section.count("\n| `") == len(template.legs)


def test_every_leg_is_drawn_in_the_direction_in_which_balances_move() -> None:
    drawn = set()
    for drawing in DRAWINGS[1:]:
        patterns = dict(NODE.findall(drawing))
        for one, line, names, other in LINE.findall(drawing):
            for kind in names.split("<br/>"):
                drawn.add((patterns[one], line, patterns[other], kind))

    expected = set()
    for kind, template in FLOWS.items():
        for leg in template.legs:
            debit, credit = leg.debit.pattern, leg.credit.pattern
            match leg.debit.side, leg.credit.side:
                case Side.DEBIT, Side.DEBIT:
                    expected.add((credit, "-->", debit, kind))
                case Side.CREDIT, Side.CREDIT:
                    expected.add((debit, "-->", credit, kind))
                case Side.DEBIT, Side.CREDIT:
                    expected.add((debit, "o--o", credit, kind))
                case _:
                    expected.add((debit, "x--x", credit, kind))
    assert drawn == expected


def test_a_drawing_names_no_account_that_it_does_not_show() -> None:
    for drawing in DRAWINGS:
        shown = set(dict(NODE.findall(drawing)))
        lines = LINE.findall(drawing)
        assert len(lines) == sum(mark in line for line in drawing.splitlines() for mark in ("-->", "o--o", "x--x"))
        assert {node for one, _, _, other in lines for node in (one, other)} == shown


def test_the_worked_journal_is_told_step_by_step_with_its_end() -> None:
    told = PAGE.split("\n## The worked journal\n", 1)[1]
    rows = [line.strip("| ").split(" | ") for line in told.splitlines() if line.startswith("|")]
    amounts = [int(row[-1]) for row in rows if len(row) > 2 and row[-1].isdigit()]
    assert amounts == [amount for step in worked_journal.STORY for _, _, amount in step.postings]
    assert ["`psp:available`", "9487"] in rows
    assert ["`tax:output-vat:NL`", "-5"] in rows
