"""A stored trace proves itself, and whoever changes a number in it is found."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rules.sales import trace_of

from marketbill.rules.proof.finding import Flaw
from marketbill.rules.recompute import recompute

Trace = dict[str, Any]
Place = tuple[Any, ...]

#: Sales as version 1 stored them: of every scope and mode, bounded and not. They are kept for ever.
OLD: dict[str, Trace] = json.loads((Path(__file__).parent / "traces" / "version_1.json").read_text())

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
#: Texts that hold numbers; a text elsewhere (an id, a rule, a label) is a name.
_NUMERIC = {"formula", "exact", "fee_tax_rate", "tax_rate", "rate"}
#: Where a number may change and nothing with it: half a percent more of three cents; a volume within its tier. What
#: follows from them is told by computing the sale again, and nothing at all may follow.
_WITHOUT_EFFECT = {"percent", "platform_percent", "platform", "buyer", "sellers", "volumes", "rates"}


@pytest.mark.parametrize("name", OLD)
def test_a_stored_sale_of_version_1_proves_itself(name: str) -> None:
    assert recompute(OLD[name]) == []


@given(st.data())
def test_whoever_changes_any_number_of_a_stored_sale_is_found(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(OLD)))
    place, number = data.draw(st.sampled_from(list(_numbers(OLD[name]))))
    other = data.draw(st.integers(0, 20_000).filter(lambda drawn: str(drawn) != number))
    assert recompute(_with(OLD[name], place, str(other))), (name, place, number, other)


@given(st.integers(0, 10_000))
def test_every_sale_that_can_be_split_proves_itself(seed: int) -> None:
    assert recompute(trace_of(seed)) == []


@given(st.integers(0, 300), st.data())
def test_whoever_changes_any_number_of_a_sale_is_found(seed: int, data: st.DataObject) -> None:
    trace = trace_of(seed)
    numbers = [one for one in _numbers(trace) if not (one[0][0] == "inputs" and _WITHOUT_EFFECT.intersection(one[0]))]
    place, number = data.draw(st.sampled_from(numbers))
    other = data.draw(st.integers(0, 20_000).filter(lambda drawn: str(drawn) != number))
    assert recompute(_with(trace, place, str(other))), (seed, place, number, other)


def _changed(part: str, value: Any, *place: Any, of: str = "worked sale") -> list[tuple[Flaw, str, str, str, str]]:
    trace = copy.deepcopy(OLD[of])
    at: Any = trace[part]
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    return [(one.flaw, one.subject, one.name, one.stored, one.recomputed) for one in recompute(trace)]


def test_a_formula_is_computed_again() -> None:
    tax = (0, "explanation", 1)
    assert _changed("lines", "4999 * 21 / (100 + 20)", *tax, "formula")[0] == (
        *(Flaw.EXACT, "line 001", "tax"),
        *("104979/121", "34993/40"),
    )
    assert _changed("lines", "4999 x 21", *tax, "formula") == [
        (Flaw.FORMULA, "line 001", "tax", "4999 x 21", "it holds other characters")
    ]


def test_a_rounding_is_done_again() -> None:
    assert _changed("lines", 869, 0, "explanation", 1, "rounded")[0] == (
        *(Flaw.ROUNDED, "line 001", "tax"),
        *("869", "868"),
    )
    assert _changed("lines", "NONE", 0, "explanation", 1, "rounding")[0][:3] == (Flaw.ROUNDED, "line 001", "tax")
    assert _changed("lines", "DOWN", 0, "explanation", 1, "rounding")[0] == (
        *(Flaw.MALFORMED, "line 001", "tax"),
        *("DOWN", "a known rounding"),
    )


def test_a_cent_given_to_another_line_is_seen() -> None:
    trace = copy.deepcopy(OLD["worked sale"])
    for line, shared in ((0, 11), (1, 11)):  # 30 cents are due as 12, 10 and 8
        trace["lines"][line]["explanation"][4]["rounded"] = shared
    found = {(one.subject, one.stored, one.recomputed) for one in recompute(trace) if one.flaw is Flaw.SHARE}
    assert found == {("line 001", "11", "12"), ("line 002", "11", "10")}


def test_a_formula_starts_from_the_amounts_that_were_computed_before() -> None:
    trace = copy.deepcopy(OLD["worked sale"])
    tax = trace["lines"][0]["explanation"][1]
    tax.update(formula="4000 * 21 / (100 + 21)", exact="84000/121", rounded=694)
    first = recompute(trace)[0]
    assert (first.flaw, first.name, first.stored, first.recomputed) == (Flaw.OPERAND, "tax", "4000", "4999 (gross)")
    assert _changed("lines", "4999", 0, "explanation", 1, "formula")[-1][0] is Flaw.OPERAND


def test_an_amount_has_the_value_of_its_last_step() -> None:
    found = _changed("lines", 513, 0, "fee")
    assert (Flaw.AMOUNT, "line 001", "fee", "513", "512") in found
    assert (Flaw.IDENTITY, "line 001", "seller net + fee + fee tax", "4999", "5000") in found
    assert (Flaw.SUM, "seller anna", "fee", "512", "513") in found
    assert (Flaw.SUM, "sale", "fee", "1240", "1241") in found


def test_an_amount_without_a_step_is_not_explained() -> None:
    trace = copy.deepcopy(OLD["worked sale"])
    trace["lines"][0]["explanation"].pop()
    found = [(one.flaw, one.name, one.stored, one.recomputed) for one in recompute(trace)]
    assert found == [(Flaw.AMOUNT, "seller_net", "4379", "None")]


def test_totals_are_sums() -> None:
    assert _changed("totals", 1241, "fee") == [
        (Flaw.SUM, "sale", "fee", "1241", "1240"),
        (Flaw.IDENTITY, "sale", "seller net + fee + fee tax", "12100", "12101"),
    ]
    assert _changed("sellers", "berta", 1, "seller_id")[0][:3] == (Flaw.SUM, "sale", "sellers")


def test_every_amount_names_the_one_rule_and_the_one_decision_on_tax() -> None:
    assert _changed("fee_rule", 4, "version")[0] == (
        *(Flaw.RULE, "line 001", "fee rule"),
        *("fee:fee_01standard@3", "fee:fee_01standard@4"),
    )
    assert _changed("sellers", "20", 0, "fee_tax_rate") == [(Flaw.RULE, "line 001", "fee_tax_rate", "21", "20")]


@pytest.mark.parametrize("trace", [{}, {"trace_version": 9}, {"trace_version": True}, {"trace_version": 1}])
def test_what_is_no_trace_is_a_finding_and_no_crash(trace: Trace) -> None:
    assert [one.flaw for one in recompute(trace)] == [Flaw.MALFORMED]


@given(st.data())
def test_no_value_of_another_kind_makes_it_stumble(data: st.DataObject) -> None:
    trace = copy.deepcopy(data.draw(st.sampled_from([OLD["worked sale"], trace_of(7)])))
    place = data.draw(st.sampled_from([place for place in _places(trace) if place]))
    odd = data.draw(st.sampled_from([None, True, [], {}, "", "x", 1.5]))
    at: Any = trace
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = odd
    recompute(trace)


def test_a_finding_is_a_sentence() -> None:
    trace = copy.deepcopy(OLD["worked sale"])
    trace["totals"]["tax"] = 2101
    assert str(recompute(trace)[0]) == "sale, tax: 2101 is stored, 2100 recomputed (SUM)"


def _places(value: Any, place: Place = ()) -> Iterator[Place]:
    yield place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _places(inner, (*place, key))


def _numbers(trace: Trace) -> Iterator[tuple[Place, str]]:
    """Every number there is, with its place: in a text, the place ends with where it stands in the text."""
    for place in _places(trace):
        value: Any = trace
        for key in place:
            value = value[key]
        if type(value) is int:
            yield place, str(value)
        elif isinstance(value, str) and (place[-1] in _NUMERIC or {"slices", "withheld"}.intersection(place)):
            for match in _NUMBER.finditer(value):
                yield (*place, match.span()), match[0]


def _with(trace: Trace, place: Place, number: str) -> Trace:
    """The trace with another number in one place."""
    changed = copy.deepcopy(trace)
    *outer, last = place
    if isinstance(last, tuple):
        *outer, key = outer
    else:
        key = last
    at: Any = changed
    for inner in outer:
        at = at[inner]
    at[key] = at[key][: last[0]] + number + at[key][last[1] :] if isinstance(last, tuple) else int(number)
    return changed
