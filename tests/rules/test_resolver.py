"""Which rule wins, and what every other one is told."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.rules.shop import AT, rule, schedule

from marketbill.rules.fees.conditions import Conditions, Facts, ValueBand
from marketbill.rules.fees.resolver import Miss, Rank, Reason, Rejection, by_stack, dimensions, resolve

FACTS = Facts(
    seller="seller_1",
    seller_groups=frozenset({"gold"}),
    category="books/children/old",
    product="sku-1",
    channel="web",
    seller_country="NL",
    buyer_country="DE",
    currency="EUR",
    payment_method="card",
    value=5000,
    at=AT,
)


def of(**dimensions: str) -> Conditions:
    return Conditions(**{name: frozenset(values.split()) for name, values in dimensions.items()})


EUR_50 = (ValueBand("EUR", 5000, 6000),)


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        (Conditions(), True),
        (of(sellers="seller_1 seller_2"), True),
        (of(sellers="seller_2"), False),
        (of(seller_groups="silver gold"), True),
        (of(seller_groups="silver"), False),
        (of(categories="books"), True),
        (of(categories="books/children/old"), True),
        (of(categories="books/children toys"), True),
        (of(categories="book"), False),
        (of(categories="books/children/old/torn"), False),
        (of(products="sku-1"), True),
        (of(products="sku-2"), False),
        (of(channels="web app"), True),
        (of(channels="app"), False),
        (of(seller_countries="NL"), True),
        (of(seller_countries="DE"), False),
        (of(buyer_countries="DE"), True),
        (of(buyer_countries="NL"), False),
        (of(currencies="EUR USD"), True),
        (of(currencies="USD"), False),
        (of(payment_methods="card"), True),
        (of(payment_methods="sepa"), False),
        (of(sellers="seller_1", channels="web", currencies="EUR"), True),
        (of(sellers="seller_1", channels="web", currencies="USD"), False),
        (Conditions(values=EUR_50), True),
        (Conditions(values=(ValueBand("EUR", 4000, 5000),)), False),
        (Conditions(values=(ValueBand("EUR", 4000, 5001),)), True),
        (Conditions(values=(ValueBand("EUR", 5001),)), False),
        (Conditions(values=(ValueBand("EUR", 0),)), True),
        (Conditions(values=(ValueBand("USD", 0),)), False),
        (Conditions(values=(ValueBand("USD", 0), ValueBand("EUR", 0, 1), ValueBand("EUR", 5000))), True),
    ],
)
def test_and_between_the_dimensions_and_or_within_them(when: Conditions, holds: bool) -> None:
    found = resolve(schedule(rule("one", 1, when=when)), "commission", FACTS)
    assert (found.winner is not None) is holds
    assert bool(found.rejected) is not holds


def test_a_position_then_more_dimensions_then_the_earlier_one() -> None:
    plain, second = rule("plain"), rule("second")
    narrow = rule("narrow", when=of(channels="web", categories="books"))
    wide = rule("wide", when=of(channels="web"))
    late, early = rule("late", position=7), rule("early", position=0)
    found = resolve(schedule(plain, second, wide, narrow, late, early), "commission", FACTS)
    assert found.winner is early
    assert found.rejected == tuple(
        Rejection(one, Reason.OUTRANKED, outranked_by="early", rank=Rank.POSITION)
        for one in (late, narrow, wide, plain, second)
    )
    without = resolve(schedule(plain, second, wide, narrow), "commission", FACTS)
    assert without.winner is narrow
    assert [one.rank for one in without.rejected] == [Rank.DIMENSIONS, Rank.DIMENSIONS, Rank.DIMENSIONS]
    equals = resolve(schedule(plain, second), "commission", FACTS)
    assert equals.winner is plain
    assert [(one.outranked_by, one.rank) for one in equals.rejected] == [("plain", Rank.ORDER)]


def test_a_rule_with_a_position_goes_before_a_narrower_one_without() -> None:
    narrow = rule("narrow", when=of(channels="web", categories="books"))
    found = resolve(schedule(narrow, rule("first", position=9)), "commission", FACTS)
    assert found.winner is not None
    assert found.winner.name == "first"


def test_a_rejected_rule_is_told_every_dimension_that_did_not_hold() -> None:
    missed = rule(
        "missed",
        when=replace(of(sellers="b a", seller_groups="new", categories="toys"), values=(ValueBand("EUR", 1, 2),)),
    )
    found = resolve(schedule(missed, rule("other", when=of(channels="web app"))), "commission", FACTS)
    assert found.rejected == (
        Rejection(
            missed,
            Reason.CONDITION,
            misses=(
                Miss("sellers", "a, b", "seller_1"),
                Miss("seller_groups", "new", "gold"),
                Miss("categories", "toys", "books/children/old"),
                Miss("values", "from 1 EUR below 2", "5000 EUR"),
            ),
        ),
    )


def test_a_band_without_an_end_says_so() -> None:
    found = resolve(schedule(rule("one", when=Conditions(values=(ValueBand("USD", 7),)))), "commission", FACTS)
    assert found.rejected[0].misses == (Miss("values", "from 7 USD", "5000 EUR"),)


def test_a_rule_holds_from_its_instant_and_no_longer_at_its_end() -> None:
    hour = timedelta(hours=1)
    cases = [
        (rule("now", holds_from=AT), True, None),
        (rule("soon", holds_from=AT + hour), False, Reason.NOT_YET),
        (rule("over", holds_until=AT), False, Reason.NO_LONGER),
        (rule("still", holds_until=AT + hour), True, None),
        (rule("while", holds_from=AT - hour, holds_until=AT + hour), True, None),
    ]
    for one, holds, reason in cases:
        found = resolve(schedule(one), "commission", FACTS)
        assert (found.winner is one) is holds
        if reason is not None:
            assert found.rejected[0].reason is reason
            assert found.rejected[0].expected == (one.holds_from or one.holds_until or AT).isoformat()


def test_an_exception_with_an_end_gives_way_to_the_rule_behind_it() -> None:
    exception = rule("exception", 5, when=of(sellers="seller_1"), holds_until=AT)
    found = resolve(schedule(rule("standard", 10), exception), "commission", FACTS)
    assert found.winner is not None
    assert found.winner.name == "standard"
    before = resolve(schedule(rule("standard", 10), exception), "commission", FACTS._replace(at=AT - timedelta(days=1)))
    assert before.winner is exception


def test_the_nearest_is_the_one_with_the_fewest_misses() -> None:
    far = rule("far", when=of(channels="app", currencies="USD"))
    near = rule("near", when=of(channels="web", currencies="USD"))
    found = resolve(schedule(far, near), "commission", FACTS)
    assert found.winner is None
    assert found.nearest is not None
    assert found.nearest.rule is near
    assert resolve(schedule(far), "unheard-of", FACTS).nearest is None


def test_stacks_stand_in_the_order_of_their_first_rules() -> None:
    rules = schedule(rule("a", stack="z"), rule("b", stack="y", position=1), rule("c", stack="z", position=1))
    assert {stack: [one.name for one in group] for stack, group in by_stack(rules).items()} == {
        "z": ["c", "a"],
        "y": ["b"],
    }
    assert list(by_stack(rules)) == ["z", "y"]


def test_dimensions_are_counted_and_their_values_are_not() -> None:
    assert [
        dimensions(when) for when in (Conditions(), of(channels="a b"), replace(of(sellers="a"), values=EUR_50))
    ] == [
        0,
        1,
        2,
    ]
