"""Stored formulas are read exactly, and nothing else is."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbill.rules.formula import (
    DEPTH_MAX,
    LENGTH_MAX,
    NUMBER_LENGTH_MAX,
    FormulaUnreadable,
    read,
    shape,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("512", Fraction(512)),
        ("4999 * 21 / (100 + 21)", Fraction(104979, 121)),
        ("4131 * 5.5 / 100", Fraction(4131 * 55, 1000)),
        ("4999 - 512 - 108", Fraction(4379)),
        ("100 / 10 / 5", Fraction(2)),
        ("5 - -3", Fraction(8)),
        ("-(2 + 3) * -4", Fraction(20)),
        ("1 / -4", Fraction(-1, 4)),
        ("2+3*4", Fraction(14)),
        (" 7 ", Fraction(7)),
    ],
)
def test_arithmetic_is_exact(text: str, value: Fraction) -> None:
    assert read(text).value == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "ends early"),
        ("1 +", "ends early"),
        ("(1 + 2", "not closed"),
        ("1 + 2)", "cannot"),
        ("1 2", "follow each other"),
        ("1 . 5", "other characters"),
        ("* 2", "where a number must"),
        ("5 / (3 - 3)", "divides by zero"),
        ("2 ** 3", "where a number must"),
        ("1e9", "other characters"),
        (".5", "other characters"),
        ("٣ + 1", "other characters"),
        ("__import__('os')", "other characters"),
        ("{gross} + 1", "where a number must"),
        ("(" * (DEPTH_MAX + 1) + "1" + ")" * (DEPTH_MAX + 1), "nested deeper"),
        ("-" * (DEPTH_MAX + 2) + "1", "nested deeper"),
        ("9" * (NUMBER_LENGTH_MAX + 1), "characters"),
        ("1 + " * (LENGTH_MAX // 4) + "1", "characters"),
    ],
)
def test_what_is_no_formula_is_refused_with_the_reason(text: str, problem: str) -> None:
    with pytest.raises(FormulaUnreadable, match=problem):
        read(text)


def test_the_form_of_a_formula_is_its_text_without_its_numbers() -> None:
    formula, form = read("4999 * 5.5 / (100 + 5.5)"), shape("{gross} * {rate} / (100 + {rate})")
    assert formula.shape == form.shape == "#*#/(#+#)"
    assert formula.numbers == (4999, Fraction("5.5"), 100, Fraction("5.5"))
    assert form.places == ("gross", "rate", 100, "rate")
    assert read("5 - -3").numbers == (5, -3)
    assert read("5 - -3").shape == shape("{one} - {other}").shape


def _sums(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(inner, st.sampled_from(["+", "-"]), inner).map(lambda parts: f"({parts[0]} {parts[1]} {parts[2]})")


def _products(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(inner, st.integers(1, 999)).map(lambda parts: f"{parts[0]} * {parts[1]} / {parts[1] + 1}")


def _parts(text: str) -> list[str]:
    return text.replace("(", "( ").replace(")", " )").split()


@given(st.recursive(st.integers(0, 10**6).map(str), lambda inner: _sums(inner) | _products(inner), max_leaves=20))
def test_it_agrees_with_fractions(text: str) -> None:
    wrapped = "".join(f"Fraction({part})" if part.isdigit() else part for part in _parts(text))
    expected = eval(wrapped, {"Fraction": Fraction})  # noqa: S307 - the text was made here
    assert read(text).value == expected
