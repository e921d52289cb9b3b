"""What the API answers, as tables for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

_STEPS = {"charge": "J1", "psp-fee": "J2", "split": "J3", "funds-available": "J4", "release": "J5"}
_LATER = {"transfer": "J6", "payout-created": "J7", "payout-paid": "J8"}


def split_table(split: Mapping[str, Any]) -> Table:
    """Who gets what of a basket."""
    table = _table("The split: 121.00 EUR, 21 % tax included; fee 10 % of the gross + 0.30 an order", "seller")
    _numbers(table, "gross", "tax in it", "fee", "tax on fee", "seller gets")
    table.add_column("tax on the fee")
    for share in split["sellers"]:
        amounts = share["amounts"]
        cells = [amounts[name]["decimal"] for name in ("gross", "tax", "fee", "feeTax", "sellerNet")]
        table.add_row(
            share["seller"]["name"], *cells, f"{share['feeTax']['label']} {_percent(share['feeTax']['rate'])} %"
        )
    totals = split["totals"]
    table.add_section()
    table.add_row(
        "sum",
        totals["gross"]["decimal"],
        totals["tax"]["decimal"],
        totals["fee"]["decimal"],
        totals["feeTax"]["decimal"],
        totals["sellerNet"]["decimal"],
        "",
    )
    return table


def line_table(split: Mapping[str, Any]) -> Table:
    """How each amount of each line came about."""
    table = _table("The split, explained", "line", "amount", "arithmetic")
    _numbers(table, "exact", "rounded")
    table.add_column("rounding")
    table.add_column("rule", overflow="fold")
    for line in split["lines"]:
        for step in line["explanation"]:
            table.add_row(
                line["lineId"],
                step["name"],
                step["formula"],
                step["exact"],
                step["rounded"]["decimal"],
                step["rounding"].lower().replace("_", " "),
                step["rule"],
            )
        table.add_section()
    return table


def journal_table(entries: Sequence[Mapping[str, Any]], sellers: Mapping[str, str]) -> Table:
    """Journal entries with their postings; sellers by their letters."""
    table = _table("The journal of that sale", "", "entry", "debit", "credit")
    _numbers(table, "amount")
    order = _STEPS | _LATER
    for entry in sorted(entries, key=lambda one: order.get(one["kind"], "J9")):
        for number, posting in enumerate(entry["postings"]):
            table.add_row(
                order.get(entry["kind"], "") if number == 0 else "",
                entry["kind"] if number == 0 else "",
                _named(posting["debit"]["code"], sellers),
                _named(posting["credit"]["code"], sellers),
                posting["amount"]["decimal"],
            )
    return table


def trial_table(trial: Mapping[str, Any]) -> Table:
    """The trial balance of one currency."""
    table = _table(f"Trial balance, {trial['currency']}", "account", "kind")
    _numbers(table, "accounts", "debit", "credit")
    for row in trial["rows"]:
        table.add_row(
            row["code"], row["kind"].lower(), str(row["accounts"]), _amount(row["debit"]), _amount(row["credit"])
        )
    table.add_section()
    table.add_row("sum", "", "", trial["debit"]["decimal"], trial["credit"]["decimal"])
    return table


def statement_table(drawn: Mapping[str, Any]) -> Table:
    """A seller's statement."""
    table = _table(f"Statement of {drawn['seller']['name']}, {drawn['currency']}", "time (UTC)", "section", "what")
    _numbers(table, "amount", "moved", "balance")
    table.add_row("", "OPENING", "", "", "", drawn["opening"]["total"]["decimal"])
    for line in drawn["lines"]["nodes"]:
        inside = line["origin"] and line["target"]
        table.add_row(
            line["effectiveAt"][:16].replace("T", " "),
            line["section"],
            line["description"],
            line["amount"]["decimal"],
            f"{line['moved']['decimal']} to {line['target'].lower()}" if inside else "",
            line["balanceAfter"]["decimal"],
        )
    table.add_row("", "CLOSING", "", "", "", drawn["closing"]["total"]["decimal"])
    return table


def fee_table(report: Mapping[str, Any]) -> Table:
    """The operator's fees by seller and rule."""
    table = _table(f"Fee report, {report['currency']}", "seller", "fee rule")
    _numbers(table, "sales", "gross", "fee", "tax on fee")
    for row in report["rows"]:
        name = row["seller"]["name"] if row["seller"] else ""
        cells = [row[column]["decimal"] for column in ("gross", "fee", "feeTax")]
        table.add_row(name, f"version {row['feeScheduleVersion']}", str(row["sales"]), *cells)
    table.add_section()
    revenue = f"the account holds {report['revenue']['decimal']}"
    table.add_row("sum", revenue, "", "", report["fee"]["decimal"], "")
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _numbers(table: Table, *columns: str) -> None:
    for column in columns:
        table.add_column(column, justify="right", overflow="fold")


def _percent(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _amount(money: Mapping[str, str]) -> str:
    return money["decimal"] if money["minor"] != "0" else ""


def _named(code: str, sellers: Mapping[str, str]) -> str:
    for id, letter in sellers.items():
        code = code.replace(id, letter)
    return code
