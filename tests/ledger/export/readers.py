"""Exports read back by programs of others (hledger, beancount, csv, DuckDB): what every account holds."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

Names = Counter[tuple[str, str]]
"""Minor units by the account's name in the format and currency, as debits minus credits; no zeros."""

DECIMALS = {"EUR": 2, "JPY": 0, "KWD": 3}

needs_hledger = pytest.mark.skipif(
    shutil.which("hledger") is None, reason="hledger is not installed (apt-get install hledger)"
)


def hledger(file: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return _run("hledger", "-f", str(file), *words)


def bean_check(file: Path) -> subprocess.CompletedProcess[str]:
    return _run(str(Path(sys.executable).with_name("bean-check")), "--no-cache", str(file))


def hledger_balances(file: Path) -> Names:
    done = hledger(file, "balance", "--flat", "-O", "json")
    assert done.returncode == 0, done.stderr
    found: Names = Counter()
    for name, _, _, amounts in json.loads(done.stdout)[0]:
        for amount in amounts:
            quantity, currency = amount["aquantity"], amount["acommodity"]
            exact = Decimal(quantity["decimalMantissa"]).scaleb(-quantity["decimalPlaces"])
            found[name, currency] += _minor(exact, currency)
    return _without_zeros(found)


def beancount_balances(file: Path) -> Names:
    query = "select account, currency, sum(number) group by account, currency"
    done = _run(str(Path(sys.executable).with_name("bean-query")), "-f", "csv", str(file), query)
    assert done.returncode == 0, done.stderr
    found: Names = Counter()
    for name, currency, number in list(csv.reader(io.StringIO(done.stdout)))[1:]:
        found[name.strip(), currency.strip()] += _minor(Decimal(number.strip()), currency.strip())
    return _without_zeros(found)


def csv_rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def csv_balances(file: Path) -> Names:
    """By code. The exact decimal and the minor units of each row must say the same."""
    found: Names = Counter()
    for row in csv_rows(file):
        assert _minor(Decimal(row["amount"]), row["currency"]) == int(row["amount_minor"])
        found[row["debit_account"], row["currency"]] += int(row["amount_minor"])
        found[row["credit_account"], row["currency"]] -= int(row["amount_minor"])
    return _without_zeros(found)


def parquet_balances(file: Path) -> Names:
    """By code."""
    statement = """
    select account, currency, sum(minor)::bigint, sum(exact) from (
      select debit_account as account, currency, amount_minor as minor, amount as exact from read_parquet($file)
      union all select credit_account, currency, -amount_minor, -amount from read_parquet($file)
    ) group by all
    """
    found: Names = Counter()
    for name, currency, minor, exact in parquet_rows(file, statement):
        assert _minor(exact, currency) == minor
        found[name, currency] += minor
    return _without_zeros(found)


def parquet_rows(file: Path, statement: str) -> list[tuple]:
    with duckdb.connect() as connection:
        return connection.execute(statement, {"file": str(file)}).fetchall()


def _minor(exact: Decimal, currency: str) -> int:
    minor = exact.scaleb(DECIMALS[currency])
    assert minor == int(minor), (exact, currency)
    return int(minor)


def _without_zeros(found: Names) -> Names:
    return Counter({name: minor for name, minor in found.items() if minor})


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment, timeout=120)
