"""The document of a fee schedule: one form for files, API and storage; what is wrong is told by its path."""

from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from marketbill.errors import NotFound, Refusal
from marketbill.platforms.fee_document import RULES_MAX, document_of, place_of, schedule_of_document
from marketbill.platforms.fee_field import FieldMalformed, FieldMissing, FieldUnknown
from marketbill.rules.fees.conditions import ValueBand
from marketbill.rules.fees.schedule import FeeBase, FeeKind, FeePayer, Period, TierMode, Unmatched

SELLER = "sel_01jd8x0q4mf0v9k2s7c3b6n1ra"

FULL: dict[str, Any] = {
    "name": "Standard 2027",
    "required": ["commission", "service"],
    "unmatched": "FREE",
    "above_line": "REFUSE",
    "rules": [
        {
            "name": "exception",
            "position": 1,
            "when": {"sellers": [SELLER]},
            "percent": "8",
            "base": "NET",
            "tax_mode": "EXCLUSIVE",
            "holds_until": "2027-03-01T00:00:00Z",
        },
        {
            "name": "commission",
            "when": {
                "categories": ["books", "music"],
                "buyer_countries": ["NO"],
                "values": [{"currency": "EUR", "from": "0.00", "until": "10.00"}, {"currency": "KWD", "from": "5.000"}],
            },
            "tiers": {
                "mode": "GRADUATED",
                "period": "MONTH",
                "steps": [{"percent": "10"}, {"from": {"EUR": "10000.00"}, "percent": "8.5"}],
            },
            "fixed": {"EUR": "0.30", "JPY": "30"},
            "fixed_scope": "LINE",
            "minimum": {"EUR": "0.50"},
            "maximum": {"EUR": "8.00"},
            "base": "NET_PLUS_SHIPPING",
            "tax_mode": "INCLUSIVE",
        },
        {
            "name": "service",
            "stack": "service",
            "payer": "BUYER",
            "account": "service",
            "fixed": {"EUR": "1.00"},
            "base": "GROSS",
            "tax_mode": "EXCLUSIVE",
        },
        {
            "name": "affiliate",
            "stack": "affiliate",
            "kind": "PART",
            "recipient": SELLER,
            "percent": "5",
            "base": "GROSS",
            "tax_mode": "EXCLUSIVE",
        },
    ],
}


def schedule(document: object) -> Any:
    return schedule_of_document(document, id="fee_x", version=3)


def test_a_document_says_everything_a_rule_has() -> None:
    read = schedule(FULL)
    assert (read.id, read.version, read.name, read.unmatched) == ("fee_x", 3, "Standard 2027", Unmatched.FREE)
    exception, commission, service, affiliate = read.rules
    assert exception.percent == Decimal(8)
    assert exception.holds_until == datetime(2027, 3, 1, tzinfo=UTC)
    assert exception.when.sellers == {SELLER}
    assert commission.fixed == {"EUR": 30, "JPY": 30}
    assert commission.when.values == (ValueBand("EUR", 0, 1000), ValueBand("KWD", 5000))
    assert commission.when.buyer_countries == {"NO"}
    assert (commission.tiers.mode, commission.tiers.period) == (TierMode.GRADUATED, Period.MONTH)
    assert commission.tiers.steps[1].start == {"EUR": 1_000_000}
    assert commission.base is FeeBase.NET_PLUS_SHIPPING
    assert (service.payer, service.account) == (FeePayer.BUYER, "service")
    assert (affiliate.kind, affiliate.recipient) == (FeeKind.PART, SELLER)


def test_a_document_is_its_own_form() -> None:
    assert document_of(schedule(FULL)) == FULL
    loose = deepcopy(FULL)
    loose["rules"][0] |= {"percent": "8.00", "holds_until": "2027-03-01", "stack": "commission", "fixed": {}}
    loose["rules"][1] |= {"fixed": {"JPY": 30, "EUR": "0.3"}}
    assert document_of(schedule(loose)) == FULL


BASE = {"name": "c", "percent": "10", "base": "GROSS", "tax_mode": "EXCLUSIVE"}
R = ("rules", "0")


@pytest.mark.parametrize(
    ("document", "error", "path"),
    [
        ([], FieldMalformed, ()),
        (None, FieldMalformed, ()),
        ({"rules": [BASE]}, FieldMissing, ("name",)),
        ({"name": "x"}, FieldMissing, ("rules",)),
        ({"name": "x", "rules": []}, FieldMissing, ("rules",)),
        ({"name": "x", "rules": {}}, FieldMalformed, ("rules",)),
        ({"name": "x", "rules": ["a"]}, FieldMalformed, R),
        ({"name": "x", "rules": [BASE] * (RULES_MAX + 1)}, FieldMalformed, ("rules",)),
        ({"name": "x", "rules": [BASE], "rule": 1}, FieldUnknown, ("rule",)),
        ({"name": "x", "rules": [BASE], "unmatched": "MAYBE"}, FieldMalformed, ("unmatched",)),
        ({"name": "x", "rules": [BASE], "required": "commission"}, FieldMalformed, ("required",)),
        ({"name": "\x07", "rules": [BASE]}, Refusal, ("name",)),
    ],
)
def test_a_wrong_document_is_refused(document: object, error: type[Refusal], path: tuple[str, ...]) -> None:
    with pytest.raises(error) as refused:
        schedule(document)
    assert refused.value.path == path


@pytest.mark.parametrize(
    ("change", "error", "path"),
    [
        ({"percent": None}, FieldMissing, "percent"),
        ({"percent": 8.5}, FieldMalformed, "percent"),
        ({"percent": True}, FieldMalformed, "percent"),
        ({"percent": "ten"}, FieldMalformed, "percent"),
        ({"percent": "1_0"}, FieldMalformed, "percent"),
        ({"percent": "101"}, Refusal, "percent"),
        ({"percent": "-1"}, Refusal, "percent"),
        ({"percent": "NaN"}, Refusal, "percent"),
        ({"percent": "8.12345"}, Refusal, "percent"),
        ({"base": None}, FieldMissing, "base"),
        ({"tax_mode": None}, FieldMissing, "tax_mode"),
        ({"base": "gross"}, FieldMalformed, "base"),
        ({"kind": "GIFT"}, FieldMalformed, "kind"),
        ({"position": "first"}, FieldMalformed, "position"),
        ({"position": 10**12}, FieldMalformed, "position"),
        ({"fixed": "0.30"}, FieldMalformed, "fixed"),
        ({"fixed": {"EUR": 0.3}}, FieldMalformed, "fixed.EUR"),
        ({"fixed": {"EUR": "0.305"}}, Refusal, "fixed.EUR"),
        ({"fixed": {"EUR": "-1"}}, FieldMalformed, "fixed.EUR"),
        ({"fixed": {"JPY": "0.30"}}, Refusal, "fixed.JPY"),
        ({"fixed": {"XXY": "1"}}, Refusal, "fixed.XXY"),
        ({"fixed": {"EUR": 10**40}}, Refusal, "fixed.EUR"),
        ({"recipient": "bob"}, NotFound, "recipient"),
        ({"when": {"sellers": ["bob"]}}, NotFound, "when.sellers.0"),
        ({"when": {"colour": ["red"]}}, FieldUnknown, "when.colour"),
        ({"when": {"categories": [""]}}, FieldMalformed, "when.categories.0"),
        ({"when": {"values": [{"from": "1"}]}}, FieldMissing, "when.values.0.currency"),
        ({"when": {"values": [{"currency": "EUR", "from": "2", "until": "2"}]}}, FieldMalformed, "when.values.0.until"),
        ({"tiers": {"mode": "GRADUATED", "period": "MONTH", "steps": []}}, FieldMalformed, "tiers.steps"),
        ({"tiers": {"mode": "GRADUATED", "steps": [{"percent": "1"}]}}, FieldMissing, "tiers.period"),
        ({"tiers": {"mode": "VOLUME", "period": "MONTH", "steps": [{}]}}, FieldMissing, "tiers.steps.0.percent"),
        ({"holds_until": "soon"}, FieldMalformed, "holds_until"),
        ({"holds_until": "2027-03-01T10:00:00"}, FieldMalformed, "holds_until"),
        ({"holds_until": 20270301}, FieldMalformed, "holds_until"),
        ({"name": "x" * 201}, FieldMalformed, "name"),
    ],
)
def test_a_wrong_rule_is_refused(change: dict[str, Any], error: type[Refusal], path: str) -> None:
    with pytest.raises(error) as refused:
        schedule({"name": "x", "rules": [BASE | change]})
    assert refused.value.path == (*R, *path.split("."))


def test_what_has_no_rate_needs_no_base() -> None:
    rule = {"name": "listing", "fixed": {"EUR": "1.00"}, "tax_mode": "EXCLUSIVE"}
    assert schedule({"name": "x", "rules": [rule]}).rules[0].base is FeeBase.GROSS


def test_what_the_rules_name_has_a_place_in_the_document() -> None:
    for named, place in [
        (("rules", "0", "basedOn"), ("rules", "0", "based_on")),
        (("rules", "0", "tiers", "1", "start", "EUR"), ("rules", "0", "tiers", "steps", "1", "from", "EUR")),
        (("rules", "0", "tiers"), ("rules", "0", "tiers")),
        (("rules", "0", "when", "sellerCountries"), ("rules", "0", "when", "seller_countries")),
        (("rules", "0", "fixed", "EUR"), ("rules", "0", "fixed", "EUR")),
    ]:
        assert place_of(named) == place
