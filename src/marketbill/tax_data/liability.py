"""The built-in table of who owes the tax on a sale: `liability.csv` and `practice.csv`, read once in a process."""

import csv
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from marketbill.rules.tax.liability import LiabilityTable, liability_table


@cache
def built_in_liability() -> LiabilityTable:
    """The table of the files."""
    return liability_table(_records("liability.csv"), _records("practice.csv"))


def _records(name: str) -> Iterator[dict[str, str]]:
    text = files("marketbill.tax_data").joinpath(name).read_text(encoding="utf-8")
    yield from csv.DictReader(text.splitlines())
