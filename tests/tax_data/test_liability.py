"""What the built-in table decides can be booked: each scheme and each place is the name of an account."""

from marketbill.ledger import chart
from marketbill.tax_data import built_in
from marketbill.tax_data.liability import built_in_liability


def test_what_is_withheld_has_an_account() -> None:
    schemes = {held.scheme for row in built_in_liability().rows for held in row.withheld}
    assert {chart.account(chart.WITHHELD_TAX, "INR", scheme).code for scheme in schemes} == {"tax:withheld:in-tcs"}


def test_tax_that_the_platform_owes_has_an_account_in_every_place() -> None:
    for place in built_in().jurisdictions:
        assert chart.account(chart.DEEMED_TAX, "EUR", place).code == f"tax:deemed:{place}"
