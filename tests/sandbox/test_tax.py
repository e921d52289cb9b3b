"""Tax in the sandbox: zero without a registration, by the table with one; transactions and what is taken back."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from marketbill.sandbox.tax_places import place_of
from marketbill.sandbox.tax_rates import rate
from marketbill.sandbox.wire import ApiError

SEATTLE = (
    "customer_details[address][country]=US&customer_details[address][state]=WA"
    "&customer_details[address][postal_code]=98104&customer_details[address_source]=shipping"
)
BERLIN = "customer_details[address][country]=DE&customer_details[address_source]=billing"


def line(amount: int, *, number: int = 0, more: str = "") -> str:
    return f"line_items[{number}][amount]={amount}&line_items[{number}][reference]=L{number}{more}"


def registered(bench: Any, country: str, options: str, more: str = "active_from=now") -> Any:
    return bench.post("/v1/tax/registrations", f"country={country}&{options}&{more}")


@pytest.fixture
def washington(bench: Any) -> Any:
    registered(bench, "US", "country_options[us][type]=state_sales_tax&country_options[us][state]=WA")
    return bench


@pytest.mark.parametrize(
    ("country", "state", "amount", "on_top", "within"),
    [
        ("US", "WA", 1_000, 65, 61),  # 6.5 %: 65; 1000 * 6.5 / 106.5 = 61.03
        ("DE", None, 1_190, 226, 190),  # 19 %: 226.1; 190
        ("FI", None, 1_255, 320, 255),  # 25.5 %: 320.025; 255
        ("CA", "ON", 100, 13, 12),  # 13 %: 13; 11.504 rounds up
        ("JP", None, 5, 1, 0),  # 10 %: 0.5 rounds up; 0.4545 rounds down
        ("US", "OR", 1_000, 0, 0),
    ],
)
def test_rates_are_applied_exactly_and_rounded_half_up(
    country: str, state: str | None, amount: int, on_top: int, within: int
) -> None:
    found = rate(country, state)
    assert found is not None
    assert (found.on_top(amount), found.within(amount)) == (on_top, within)


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"country": "US", "postal_code": "98104"}, ("US", "WA")),
        ({"country": "US", "postal_code": "10001-1234", "state": "NY"}, ("US", "NY")),
        ({"country": "ca", "postal_code": "V5K 0A1"}, ("CA", "BC")),
        ({"country": "CA", "state": "QC"}, ("CA", "QC")),
        ({"country": "DE"}, ("DE", None)),
        ({"country": "US"}, None),
        ({"country": "US", "state": "WA"}, None),
        ({"country": "US", "postal_code": "ABCDE", "state": "WA"}, None),
        ({"country": "CA"}, None),
    ],
)
def test_an_address_is_a_jurisdiction_or_refused(given: dict[str, str], place: tuple[str, str | None] | None) -> None:
    if place is None:
        with pytest.raises(ApiError) as refused:
            place_of(given, param="customer_details[address]")
        assert refused.value.code == "customer_tax_location_invalid"
    else:
        found = place_of(given, param="customer_details[address]")
        assert (found.country, found.state) == place


def test_no_registration_no_tax(bench: Any) -> None:
    made = bench.post("/v1/tax/calculations", f"currency=usd&{line(1_000)}&{SEATTLE}")
    assert (made["amount_total"], made["tax_amount_exclusive"]) == (1_000, 0)
    assert made["tax_breakdown"][0]["taxability_reason"] == "not_collecting"
    assert "line_items" not in made


def test_a_registration_makes_tax_in_its_state_alone(washington: Any) -> None:
    """1000 + 6.5 % on top; 1065 with 65 within; 500 of shipping + 32.5 rounded up."""
    inclusive = line(1_065, number=1, more="&line_items[1][tax_behavior]=inclusive")
    form = f"currency=usd&{line(1_000)}&{inclusive}&shipping_cost[amount]=500&{SEATTLE}"
    made = washington.post("/v1/tax/calculations", form + "&expand[]=line_items.data.tax_breakdown")
    assert [item["amount_tax"] for item in made["line_items"]["data"]] == [65, 65]
    assert made["shipping_cost"]["amount_tax"] == 33
    assert (made["tax_amount_exclusive"], made["tax_amount_inclusive"]) == (98, 65)
    assert made["amount_total"] == 1_000 + 1_065 + 500 + 98
    assert sum(part["amount"] for part in made["tax_breakdown"]) == 163
    [detail] = made["line_items"]["data"][1]["tax_breakdown"]
    assert (detail["taxable_amount"], detail["jurisdiction"]["state"]) == (1_000, "WA")
    oregon = SEATTLE.replace("=WA", "=OR").replace("98104", "97035")
    assert washington.post("/v1/tax/calculations", f"currency=usd&{line(1_000)}&{oregon}")["tax_amount_exclusive"] == 0
    assert washington.get(f"/v1/tax/calculations/{made['id']}")["amount_total"] == made["amount_total"]
    lines = washington.get(f"/v1/tax/calculations/{made['id']}/line_items?limit=1")
    assert (lines["has_more"], lines["data"][0]["reference"]) == (True, "L0")
    rest = washington.get(f"/v1/tax/calculations/{made['id']}/line_items?starting_after={lines['data'][0]['id']}")
    assert [item["reference"] for item in rest["data"]] == ["L1"]


def test_one_registration_of_the_union_collects_in_all_of_it_but_not_from_its_businesses(bench: Any) -> None:
    bench.post("/v1/tax/settings", "head_office[address][country]=NL&defaults[tax_behavior]=inferred_by_currency")
    registered(bench, "NL", "country_options[nl][type]=oss_union")
    form = f"currency=eur&{line(1_190)}&{BERLIN}"
    made = bench.post("/v1/tax/calculations", form)
    assert (made["tax_amount_inclusive"], made["amount_total"]) == (190, 1_190)
    vat = "&customer_details[tax_ids][0][type]=eu_vat&customer_details[tax_ids][0][value]=DE136695976"
    business = bench.post("/v1/tax/calculations", form + vat)
    assert business["tax_amount_inclusive"] == 0
    assert business["tax_breakdown"][0]["taxability_reason"] == "reverse_charge"
    exempt = bench.post("/v1/tax/calculations", form + "&customer_details[taxability_override]=customer_exempt")
    assert exempt["tax_breakdown"][0]["taxability_reason"] == "customer_exempt"


def test_a_customer_brings_his_address(washington: Any) -> None:
    at = "address[country]=US&address[postal_code]=98104"
    here, nowhere = washington.post("/v1/customers", at), washington.post("/v1/customers", "email=a@example.com")
    made = washington.post("/v1/tax/calculations", f"currency=usd&{line(1_000)}&customer={here['id']}")
    assert (made["tax_amount_exclusive"], made["customer"]) == (65, here["id"])
    error = washington.refusal("/v1/tax/calculations", f"currency=usd&{line(1_000)}&customer={nowhere['id']}")
    assert (error["code"], error["param"]) == ("customer_tax_location_invalid", "customer")


def test_registrations_begin_and_end(bench: Any) -> None:
    now = bench.control("clock")["now"]
    options = "country_options[de][type]=standard"
    made = registered(bench, "DE", options, f"active_from={now + 86_400}&expires_at={now + 3 * 86_400}")
    assert made["status"] == "scheduled"
    form = f"currency=eur&{line(1_000)}&{BERLIN}"
    taxes = []
    for _ in range(3):
        taxes.append(bench.post("/v1/tax/calculations", form)["tax_amount_exclusive"])
        bench.advance(days=2)
    assert taxes == [0, 190, 0]
    assert [doc["id"] for doc in bench.get("/v1/tax/registrations?status=expired")["data"]] == [made["id"]]
    assert bench.get("/v1/tax/registrations?status=active")["data"] == []
    again = bench.post(f"/v1/tax/registrations/{made['id']}", "expires_at=")
    assert (again["status"], again["expires_at"]) == ("active", None)
    assert len(bench.get("/v1/tax/registrations")["data"]) == 1


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ("country=US&active_from=now&country_options[us][type]=state_sales_tax", "country_options[us][state]"),
        ("country=DE&active_from=now&country_options[fr][type]=standard", "country_options[de][type]"),
        ("country=DE&active_from=soon&country_options[de][type]=standard", "active_from"),
        ("country=DE&active_from=now&expires_at=1&country_options[de][type]=standard", "expires_at"),
    ],
)
def test_a_registration_that_makes_no_sense_is_refused(bench: Any, form: str, param: str) -> None:
    assert bench.refusal("/v1/tax/registrations", form)["param"] == param


@pytest.mark.parametrize(
    ("form", "param"),
    [
        (f"currency=usd&{SEATTLE}", "line_items"),
        (f"currency=usd&{line(-1)}&{SEATTLE}", "line_items[0][amount]"),
        (f"currency=usd&{line(100)}&line_items[0][quantity]=0&{SEATTLE}", "line_items[0][quantity]"),
        (f"currency=usd&{line(100)}&line_items[1][amount]=5&line_items[1][reference]=L0&{SEATTLE}",
         "line_items[1][reference]"),
        (f"currency=usd&{line(100)}", "customer_details"),
        (f"currency=usd&{line(100)}&customer_details[address][country]=DE", "customer_details[address_source]"),
        (f"currency=usd&{line(100)}&{BERLIN.replace('DE', 'Germany')}", "customer_details[address][country]"),
        (f"currency=kwd&{line(1_001)}&{BERLIN}", "line_items[0][amount]"),
    ],
)  # fmt: skip
def test_a_calculation_that_makes_no_sense_is_refused(bench: Any, form: str, param: str) -> None:
    assert bench.refusal("/v1/tax/calculations", form)["param"] == param


class Sale:
    """A sale of 1000 and 500 and 300 of shipping in Washington: 65, 33 and 20 of tax, 1918 in all."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        form = f"currency=usd&{line(1_000)}&{line(500, number=1)}&shipping_cost[amount]=300&{SEATTLE}"
        self.calculation = bench.post("/v1/tax/calculations", form)
        self.id = self.sold("order_1")["id"]
        self.lines = bench.get(f"/v1/tax/transactions/{self.id}/line_items")["data"]

    def sold(self, reference: str) -> Any:
        form = f"calculation={self.calculation['id']}&reference={reference}&metadata[a]=b"
        return self.bench.post("/v1/tax/transactions/create_from_calculation", form)

    def back(self, mode: str, reference: str, more: str = "") -> str:
        return f"mode={mode}&original_transaction={quote(self.id)}&reference={reference}{more}"

    def reversed(self, mode: str, reference: str, more: str = "") -> Any:
        form = self.back(mode, reference, more) + "&expand[]=line_items"
        return self.bench.post("/v1/tax/transactions/create_reversal", form)

    def refused(self, mode: str, reference: str, more: str = "") -> Any:
        return self.bench.refusal("/v1/tax/transactions/create_reversal", self.back(mode, reference, more))


@pytest.fixture
def sale(washington: Any) -> Sale:
    return Sale(washington)


def amounts(transaction: Any) -> list[tuple[int, int]]:
    found = [(item["amount"], item["amount_tax"]) for item in transaction["line_items"]["data"]]
    ship = transaction["shipping_cost"]
    return found + ([(ship["amount"], ship["amount_tax"])] if ship else [])


def test_a_calculation_becomes_a_transaction(sale: Sale) -> None:
    made = sale.bench.get(f"/v1/tax/transactions/{sale.id}?expand[]=line_items")
    assert amounts(made) == [(1_000, 65), (500, 33), (300, 20)]
    assert (made["type"], made["reversal"], made["metadata"]) == ("transaction", None, {"a": "b"})
    form = f"calculation={sale.calculation['id']}&reference=order_1"
    error = sale.bench.refusal("/v1/tax/transactions/create_from_calculation", form)
    assert (error["code"], error["param"]) == ("resource_already_exists", "reference")


def test_a_calculation_lasts_ninety_days(sale: Sale) -> None:
    sale.bench.advance(days=89, hours=23)
    sale.sold("order_2")
    sale.bench.advance(hours=2)
    form = f"calculation={sale.calculation['id']}&reference=order_3"
    assert "expired" in sale.bench.refusal("/v1/tax/transactions/create_from_calculation", form)["message"]
    unknown = "calculation=taxcalc_nope&reference=order_3"
    error = sale.bench.refusal("/v1/tax/transactions/create_from_calculation", unknown)
    assert (error["code"], error["param"]) == ("resource_missing", "calculation")


def test_a_full_reversal_takes_everything_once(sale: Sale) -> None:
    made = sale.reversed("full", "back")
    assert amounts(made) == [(-1_000, -65), (-500, -33), (-300, -20)]
    assert (made["type"], made["reversal"]) == ("reversal", {"original_transaction": sale.id})
    assert made["line_items"]["data"][0]["reversal"] == {"original_line_item": sale.lines[0]["id"]}
    assert "already fully reversed" in sale.refused("full", "again")["message"]


def test_a_flat_amount_is_spread_in_proportion_and_the_rest_can_follow(sale: Sale) -> None:
    """Half of 1918 is 959: 532 of 1065 (500 + 32), 267 of 533 (250 + 17) and 160 of 320 (150 + 10)."""
    made = sale.reversed("partial", "half", "&flat_amount=-959")
    assert amounts(made) == [(-500, -32), (-250, -17), (-150, -10)]
    assert sale.refused("partial", "more", "&flat_amount=-960")["param"] == "flat_amount"
    assert amounts(sale.reversed("full", "rest")) == [(-500, -33), (-250, -16), (-150, -10)]


def test_lines_are_reversed_by_name_up_to_what_is_left(sale: Sale) -> None:
    def one(amount: int, tax: int) -> str:
        name = sale.lines[0]["id"]
        return (
            f"&line_items[0][original_line_item]={name}&line_items[0][amount]={amount}"
            f"&line_items[0][amount_tax]={tax}&line_items[0][reference]=R"
        )

    assert amounts(sale.reversed("partial", "first", one(-600, -39))) == [(-600, -39)]
    assert sale.refused("partial", "second", one(-401, -26))["param"] == "line_items"
    assert sale.refused("partial", "second", one(401, 26))["param"] == "line_items[0][amount]"
    assert sale.refused("partial", "first", one(-1, 0))["param"] == "reference"
    assert sale.refused("partial", "both", one(-1, 0) + "&flat_amount=-5")["param"] == "flat_amount"
    assert sale.refused("partial", "none")["param"] == "line_items"
    ship = "&shipping_cost[amount]=-300&shipping_cost[amount_tax]=-20"
    assert amounts(sale.reversed("partial", "ship", ship)) == [(-300, -20)]
    assert sale.refused("partial", "ship again", ship)["param"] == "shipping_cost"


def test_ten_partial_reversals_and_no_more(sale: Sale) -> None:
    for number in range(10):
        made = sale.reversed("partial", f"part{number}", "&flat_amount=-10")
    assert sale.refused("partial", "part10", "&flat_amount=-10")["param"] == "original_transaction"
    nested = f"mode=full&original_transaction={made['id']}&reference=nested"
    assert "cannot be reversed" in sale.bench.refusal("/v1/tax/transactions/create_reversal", nested)["message"]
    assert sum(amount + tax for amount, tax in amounts(sale.reversed("full", "rest"))) == -(1_918 - 100)


def test_settings_tell_what_is_missing(bench: Any) -> None:
    fresh = bench.get("/v1/tax/settings")
    assert (fresh["status"], fresh["status_details"]) == ("pending", {"pending": {"missing_fields": ["head_office"]}})
    made = bench.post("/v1/tax/settings", "head_office[address][country]=US&head_office[address][state]=CA")
    assert (made["status"], made["head_office"]["address"]["state"]) == ("active", "CA")
    assert bench.events("tax.settings.updated")[0]["data"]["previous_attributes"]["status"] == "pending"
