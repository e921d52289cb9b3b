"""A schedule that cannot be charged is refused before it is published, naming the rule and the fix."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.rules.shop import AT, rule, schedule

from marketbill.errors import InvalidInput
from marketbill.money import AmountTooLarge, UnknownCurrency
from marketbill.rules.countries import UnknownCountry
from marketbill.rules.fees.conditions import Conditions, ValueBand
from marketbill.rules.fees.schedule import (
    FeeKind,
    FeePayer,
    FeeRule,
    Period,
    Schedule,
    Tier,
    TierMode,
    Tiers,
    Unmatched,
)
from marketbill.rules.fees.validity import (
    RULES_MAX,
    STACKS_MAX,
    TIERS_MAX,
    BandEmpty,
    BaseStackUnknown,
    BuyerFeeKind,
    DuplicateRule,
    FixedFeeNegative,
    LimitsCrossed,
    PeriodEmpty,
    RecipientUnclear,
    RulesOverlap,
    RuleUnnamed,
    ScheduleEmpty,
    ShareMisplaced,
    StackEmpty,
    TiersUnclear,
    TooManyRules,
    check_schedule,
)
from marketbill.rules.rates import RateOutOfRange, RateTooPrecise
from marketbill.text import TextUnusable

HOUR = timedelta(hours=1)


def ladder(*steps: tuple[dict[str, int], str]) -> Tiers:
    return Tiers(TierMode.GRADUATED, Period.MONTH, tuple(Tier(start, Decimal(percent)) for start, percent in steps))


@pytest.mark.parametrize(
    ("changes", "error", "path"),
    [
        ({"name": ""}, RuleUnnamed, ("name",)),
        ({"name": "x" * 101}, RuleUnnamed, ("name",)),
        ({"name": "a\x00"}, TextUnusable, ("name",)),
        ({"stack": ""}, RuleUnnamed, ("stack",)),
        ({"account": ""}, RuleUnnamed, ("account",)),
        ({"percent": Decimal(101)}, RateOutOfRange, ("percent",)),
        ({"percent": Decimal("0.00001")}, RateTooPrecise, ("percent",)),
        ({"fixed": {"EUR": -1}}, FixedFeeNegative, ("fixed", "EUR")),
        ({"minimum": {"EUR": -1}}, FixedFeeNegative, ("minimum", "EUR")),
        ({"maximum": {"EUR": 10**15 + 1}}, AmountTooLarge, ("maximum", "EUR")),
        ({"fixed": {"XXX": 1}}, UnknownCurrency, ("fixed", "XXX")),
        ({"minimum": {"EUR": 2, "USD": 1}, "maximum": {"EUR": 1, "USD": 1}}, LimitsCrossed, ("minimum", "EUR")),
        ({"percent": Decimal(1), "tiers": ladder(({}, "1"))}, TiersUnclear, ("tiers",)),
        ({"tiers": ladder()}, TiersUnclear, ("tiers",)),
        ({"tiers": ladder(*[({"EUR": n}, "1") for n in range(TIERS_MAX + 1)])}, TiersUnclear, ("tiers",)),
        ({"tiers": ladder(({"EUR": 1}, "1"))}, TiersUnclear, ("tiers", "0", "start")),
        ({"tiers": ladder(({}, "1"), ({}, "2"))}, TiersUnclear, ("tiers", "1", "start")),
        ({"tiers": ladder(({}, "1"), ({"EUR": 0}, "2"))}, TiersUnclear, ("tiers", "1", "start", "EUR")),
        (
            {"tiers": ladder(({}, "1"), ({"EUR": 5}, "2"), ({"EUR": 5}, "3"))},
            TiersUnclear,
            ("tiers", "2", "start", "EUR"),
        ),
        ({"tiers": ladder(({}, "1"), ({"EUR": 5}, "2"), ({"USD": 9}, "3"))}, TiersUnclear, ("tiers", "2", "start")),
        ({"tiers": ladder(({}, "101"))}, RateOutOfRange, ("tiers", "0", "percent")),
        ({"tiers": ladder(({}, "1"), ({"EUR": -5}, "2"))}, FixedFeeNegative, ("tiers", "1", "start", "EUR")),
        ({"kind": FeeKind.PART}, RecipientUnclear, ("recipient",)),
        ({"actual_share": Decimal(50)}, ShareMisplaced, ("actualShare",)),
        ({"recipient": "seller_1"}, RecipientUnclear, ("recipient",)),
        (
            {"kind": FeeKind.PART, "recipient": "seller_1", "payer": FeePayer.BUYER},
            BuyerFeeKind,
            ("payer",),
        ),
        ({"kind": FeeKind.PROCESSOR, "payer": FeePayer.BUYER}, BuyerFeeKind, ("payer",)),
        ({"holds_from": AT, "holds_until": AT}, PeriodEmpty, ("holdsUntil",)),
        ({"when": Conditions(seller_countries=frozenset({"EL"}))}, UnknownCountry, ("when", "sellerCountries")),
        ({"when": Conditions(buyer_countries=frozenset({"UK"}))}, UnknownCountry, ("when", "buyerCountries")),
        ({"when": Conditions(currencies=frozenset({"HRK"}))}, UnknownCurrency, ("when", "currencies")),
        ({"when": Conditions(values=(ValueBand("EUR", 5, 5),))}, BandEmpty, ("when", "values", "0")),
        ({"when": Conditions(values=(ValueBand("EUR", -1),))}, BandEmpty, ("when", "values", "0")),
        ({"when": Conditions(values=(ValueBand("EURO", 1),))}, UnknownCurrency, ("when", "values", "0", "currency")),
        ({"based_on": "ads"}, BaseStackUnknown, ("basedOn",)),
        ({"based_on": "commission"}, BaseStackUnknown, ("basedOn",)),
    ],
)
def test_a_rule_is_refused_by_its_field(
    changes: dict[str, Any], error: type[InvalidInput], path: tuple[str, ...]
) -> None:
    wrong = replace(FeeRule("second"), **changes)
    with pytest.raises(error) as refusal:
        check_schedule(schedule(rule("first", 1), wrong))
    assert refusal.value.path == ("rules", "1", *path)
    assert refusal.value.message


@pytest.mark.parametrize(
    "changes",
    [
        {"minimum": {"EUR": 1}, "maximum": {"EUR": 1}},
        {"minimum": {"EUR": 5}, "maximum": {"USD": 1}},
        {"tiers": ladder(({"EUR": 0}, "1"), ({"EUR": 1, "USD": 1}, "2"), ({"EUR": 2, "USD": 2}, "3"))},
        {"tiers": ladder(*[({"EUR": n}, "1") for n in range(TIERS_MAX)])},
        {"kind": FeeKind.PART, "recipient": "seller_1"},
        {"kind": FeeKind.PROCESSOR},
        {"payer": FeePayer.BUYER},
        {"holds_from": AT, "holds_until": AT + HOUR},
        {"stack": "service", "based_on": "commission"},
        {"name": "x" * 100, "account": "listing"},
        {"when": Conditions(values=(ValueBand("EUR", 0, 1),), seller_countries=frozenset({"GR"}))},
    ],
)
def test_a_rule_that_can_be_charged_is_taken(changes: dict[str, Any]) -> None:
    check_schedule(schedule(rule("first", 1), replace(FeeRule("second"), **changes)))


def test_a_schedule_has_rules_and_not_too_many() -> None:
    with pytest.raises(ScheduleEmpty):
        check_schedule(schedule())
    many = [rule(f"r{n}") for n in range(RULES_MAX)]
    check_schedule(schedule(*many))
    with pytest.raises(TooManyRules) as refusal:
        check_schedule(schedule(*many, rule("more")))
    assert refusal.value.count == RULES_MAX + 1
    stacks = [rule(f"r{n}", stack=f"s{n}" if n else "commission") for n in range(STACKS_MAX)]
    check_schedule(schedule(*stacks))
    with pytest.raises(TooManyRules, match="stacks"):
        check_schedule(schedule(*stacks, rule("more", stack="more")))


def test_two_rules_of_one_name_are_refused() -> None:
    with pytest.raises(DuplicateRule) as refusal:
        check_schedule(schedule(rule("one"), rule("one", stack="other")))
    assert refusal.value.path == ("rules", "1", "name")


def test_a_fee_on_a_fee_stands_behind_it_with_its_whole_stack() -> None:
    early = rule("early", stack="service")
    on_fee = rule("on-fee", stack="service", based_on="commission")
    with pytest.raises(BaseStackUnknown) as refusal:
        check_schedule(schedule(early, rule("first"), on_fee))
    assert (refusal.value.rule, refusal.value.stack, refusal.value.path) == (
        "on-fee",
        "commission",
        ("rules", "2", "basedOn"),
    )
    check_schedule(schedule(rule("first"), early, on_fee))


def of(**dimensions: str) -> Conditions:
    return Conditions(**{name: frozenset(values.split()) for name, values in dimensions.items()})


def bands(*values: ValueBand) -> Conditions:
    return Conditions(values=values)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {}),
        ({"when": of(channels="a")}, {}),
        ({"when": of(channels="a b")}, {"when": of(channels="b c")}),
        ({"when": of(channels="a")}, {"when": of(products="x")}),
        ({"when": of(seller_groups="gold")}, {"when": of(seller_groups="new")}),
        ({"when": of(categories="books")}, {"when": of(categories="books/old")}),
        ({"when": of(categories="books/old toys")}, {"when": of(categories="books")}),
        ({"when": of(categories="toys")}, {"when": of(categories="toys")}),
        ({"when": bands(ValueBand("EUR", 1, 5))}, {"when": bands(ValueBand("EUR", 4, 9))}),
        ({"when": bands(ValueBand("EUR", 4, 9))}, {"when": bands(ValueBand("EUR", 1, 5))}),
        ({"when": bands(ValueBand("EUR", 4))}, {"when": bands(ValueBand("EUR", 8))}),
        ({"holds_until": AT}, {}),
        ({"holds_until": AT + HOUR}, {"holds_from": AT}),
        ({"holds_from": AT}, {"holds_until": AT + HOUR}),
    ],
)
def test_two_rules_of_one_position_that_can_both_hold_are_refused(first: Any, second: Any) -> None:
    rules = schedule(rule("other"), rule("first", position=3, **first), rule("second", position=3, **second))
    with pytest.raises(RulesOverlap) as refusal:
        check_schedule(rules)
    error = refusal.value
    assert {error.first, error.second} == {"first", "second"}
    assert error.position == 3
    assert error.path[::2] == ("rules", "position")
    assert error.path[1] == {"first": "1", "second": "2"}[error.second]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"position": 4}),
        ({}, {"stack": "other"}),
        *(
            ({"when": of(**{name: "NL"})}, {"when": of(**{name: "DE"})})
            for name in ("sellers", "products", "channels", "seller_countries", "buyer_countries", "payment_methods")
        ),
        ({"when": of(currencies="EUR")}, {"when": of(currencies="USD")}),
        ({"when": of(categories="books")}, {"when": of(categories="bookshops toys/old")}),
        ({"when": bands(ValueBand("EUR", 1, 5))}, {"when": bands(ValueBand("EUR", 5, 9))}),
        ({"when": bands(ValueBand("EUR", 5, 9))}, {"when": bands(ValueBand("EUR", 1, 5))}),
        ({"when": bands(ValueBand("EUR", 5))}, {"when": bands(ValueBand("EUR", 1, 5))}),
        ({"when": bands(ValueBand("EUR", 1))}, {"when": bands(ValueBand("USD", 1))}),
        ({"holds_until": AT}, {"holds_from": AT}),
        ({"holds_from": AT}, {"holds_until": AT}),
    ],
)
def test_two_rules_that_never_meet_may_share_a_position(first: Any, second: Any) -> None:
    second = {"position": 3, **second}
    check_schedule(schedule(rule("first", position=3, **first), rule("second", **second)))


def test_a_required_stack_without_a_rule_is_refused_where_it_would_refuse_every_sale() -> None:
    schedule = Schedule("fee_1", 1, (FeeRule("a", percent=Decimal(10)),), required=frozenset({"commission", "listing"}))
    with pytest.raises(StackEmpty, match="'listing'") as refused:
        check_schedule(schedule)
    assert refused.value.path == ("required",)
    check_schedule(replace(schedule, unmatched=Unmatched.FREE))
