"""Whatever the tables decide can be booked: each place and each scheme names an account of the chart."""

import csv
from importlib.resources import files

from marketbill.ledger import chart
from marketbill.tax_data.liability import built_in_liability


def test_every_place_of_the_rates_has_an_account() -> None:
    text = files("marketbill.tax_data").joinpath("rates.csv").read_text(encoding="utf-8")
    places = {line["jurisdiction"] for line in csv.DictReader(text.splitlines())}
    assert len(places) > 60
    for place in places:
        assert chart.account(chart.DEEMED_TAX, "EUR", place).code == f"tax:deemed:{place}"


def test_every_scheme_that_withholds_has_an_account() -> None:
    schemes = {held.scheme for row in built_in_liability().rows for held in row.withheld}
    assert {chart.account(chart.WITHHELD_TAX, "INR", scheme).code for scheme in schemes} == {"tax:withheld:in-tcs"}
