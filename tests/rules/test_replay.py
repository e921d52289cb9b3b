"""A sale computed again from what its trace keeps."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from tests.rules.shop import WORKED, basket, decisions, divide, fees, line, rule, schedule, tax

from marketbill.rules.fees.conditions import Conditions
from marketbill.rules.fees.schedule import Period, Tier, TierMode, Tiers
from marketbill.rules.fx import ExchangeRate, Rates
from marketbill.rules.replay import TraceNotReplayable, sale_of, split_again
from marketbill.rules.split import split, split_decided
from marketbill.rules.tax.line_tax import Liable, LineTax
from marketbill.rules.tax.parties import BuyerTax


def test_another_schedule_on_the_same_sale() -> None:
    trace = json.loads(json.dumps(divide(WORKED, fees(rule(percent=10, fixed={"EUR": 30}))).to_trace()))
    assert split_again(trace, schedule(rule(percent=10, fixed={"EUR": 30}))).totals.fee == 1240
    again = split_again(trace, schedule(rule(percent=12)))
    # 4999, 3999 and 3102 at 12 %: 599.88, 479.88 and 372.24.
    assert [part.amounts.fee for part in again.lines] == [600, 480, 372]
    assert again.totals.tax == 2100


def test_a_trace_keeps_what_rules_look_at() -> None:
    ladder = Tiers(TierMode.GRADUATED, Period.YEAR, (Tier({}, Decimal(10)), Tier({"EUR": 100}, Decimal(5))))
    one = basket(line("1", 1000, category="books/old", product="sku-1"), channel="app", payment_method="card")
    terms = fees(rule(percent=1), groups={"A": frozenset({"gold", "new"})}, volumes={"A": {Period.YEAR: 100}})
    rates = Rates({("EUR", "USD"): ExchangeRate("EUR", "USD", 11, 10, "ecb", datetime(2026, 2, 27, tzinfo=UTC))})
    terms_of_tax = tax(buyer=BuyerTax("US", region="US-CA", postcode="90001"))
    assert split(one, terms, terms_of_tax, rates).to_trace()["inputs"]["rates"] == []
    compared = LineTax(Decimal(21), Liable.SELLER, "x", evidence={"consignment_rate": "11/10 EUR/USD"})
    plan = split_decided(one, terms, terms_of_tax, decisions(one, terms_of_tax, {"1": compared}), rates)
    trace = json.loads(json.dumps(plan.to_trace()))
    assert "90001" not in json.dumps(trace)
    assert trace["inputs"]["sellers"] == {
        "A": {
            "country": "NL",
            "vat_number_valid": True,
            "fee_tax": {"rate": "21", "rule": "fee-vat:domestic", "label": "VAT", "jurisdiction": "NL"},
            "groups": ["gold", "new"],
            "volumes": {"YEAR": 100},
        }
    }
    sale = sale_of(trace)
    assert (sale.at, sale.rates, sale.tax.buyer) == (terms.at, rates, BuyerTax("US", region="US-CA"))
    when = Conditions(
        sellers=frozenset({"A"}),
        seller_groups=frozenset({"gold"}),
        categories=frozenset({"books"}),
        products=frozenset({"sku-1"}),
        channels=frozenset({"app"}),
        seller_countries=frozenset({"NL"}),
        buyer_countries=frozenset({"US"}),
        currencies=frozenset({"EUR"}),
        payment_methods=frozenset({"card"}),
    )
    assert split_again(trace, schedule(rule(tiers=ladder, when=when))).totals.fee == 50


def test_a_sale_of_another_shape_is_not_replayed() -> None:
    with pytest.raises(TraceNotReplayable) as refusal:
        split_again({"trace_version": 1}, schedule(rule()))
    assert refusal.value.version == 1
