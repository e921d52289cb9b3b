"""Reading a stored formula: integers, decimals, + - * / and parentheses, evaluated exactly and nothing else."""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from marketbill.errors import InvalidInput

#: Characters of a formula; the longest that a split writes has a number for each of its fees.
LENGTH_MAX = 10_000
#: Characters of one number: the largest amount has 16 digits, a sum of weights a few more.
NUMBER_LENGTH_MAX = 40
#: Parentheses within parentheses, and signs before a number.
DEPTH_MAX = 20

_WORD = re.compile(r"[0-9]+(?:\.[0-9]+)?|[-+*/()]|\{[a-z_]+\}", re.ASCII)
_BLANKS = re.compile(r"[0-9.] +[0-9.]")
#: What stands for a number in a shape.
_NUMBER = "#"


class FormulaUnreadable(InvalidInput):
    """Text that is no formula, or one beyond the limits."""

    def __init__(self, text: str, problem: str) -> None:
        super().__init__(
            f"{text[:80]!r} is not a formula: {problem}.", constraint="integers, decimals, + - * / and parentheses"
        )
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula that was read. `shape` is its text with `#` for every number; `numbers` are these, in their order."""

    shape: str
    numbers: tuple[int | Fraction, ...]
    value: Fraction


@dataclass(frozen=True, slots=True)
class Shape:
    """The form that formulas have, such as `{gross} - {tax}`: a name, or a number that must be there, in each place."""

    shape: str
    places: tuple[str | int | Fraction, ...]


@lru_cache(maxsize=2048)
def read(text: str) -> Formula:
    """The formula of a text, and its exact value. Raises `FormulaUnreadable`, also for a division by zero.

    The last ones are remembered: a shop asks the same few prices, and every amount is named in several formulas.
    """
    if len(text) > LENGTH_MAX:
        raise FormulaUnreadable(text, f"it has more than {LENGTH_MAX} characters")
    reader = _Reader(text, _words(text))
    numerator, denominator = reader.sum(0)
    reader.end()
    return Formula("".join(reader.shape), tuple(reader.numbers), Fraction(numerator, denominator))


@lru_cache(maxsize=512)
def shape(template: str) -> Shape:
    """The shape of a template: names in braces stand for numbers, a number stands for itself."""
    places: list[str | int | Fraction] = []
    written: list[str] = []
    for word in _words(template):
        if word[0] == "{":
            places.append(word[1:-1])
        elif word[0].isdigit():
            places.append(int(word))
        else:
            written.append(word)
            continue
        written.append(_NUMBER)
    return Shape("".join(written), tuple(places))


def _words(text: str) -> list[str]:
    words = _WORD.findall(text)
    if "".join(words) != text.replace(" ", ""):
        raise FormulaUnreadable(text, "it holds other characters")
    if _BLANKS.search(text):
        raise FormulaUnreadable(text, "two numbers follow each other")
    return words


class _Reader:
    """Reads by descent. A value is a numerator and a denominator above zero: a Fraction is made once, at the end."""

    def __init__(self, text: str, words: list[str]) -> None:
        self.shape: list[str] = []
        self.numbers: list[int | Fraction] = []
        self._text = text
        self._words = words
        self._place = 0

    def sum(self, depth: int) -> tuple[int, int]:
        if depth > DEPTH_MAX:
            raise FormulaUnreadable(self._text, f"it is nested deeper than {DEPTH_MAX}")
        above, below = self._product(depth)
        while (sign := self._next()) in ("+", "-"):
            self._take()
            other, beneath = self._product(depth)
            above = above * beneath + (other if sign == "+" else -other) * below
            below *= beneath
        return above, below

    def end(self) -> None:
        if self._place < len(self._words):
            raise FormulaUnreadable(self._text, f"{self._words[self._place]!r} stands where it cannot")

    def _product(self, depth: int) -> tuple[int, int]:
        above, below = self._factor(depth)
        while (sign := self._next()) in ("*", "/"):
            self._take()
            other, beneath = self._factor(depth)
            if sign == "/":
                other, beneath = beneath, other
                if not beneath:
                    raise FormulaUnreadable(self._text, "it divides by zero")
                if beneath < 0:
                    other, beneath = -other, -beneath
            above, below = above * other, below * beneath
        return above, below

    def _factor(self, depth: int) -> tuple[int, int]:
        word = self._take()
        if word == "(":
            value = self.sum(depth + 1)
            if self._take() != ")":
                raise FormulaUnreadable(self._text, "a parenthesis is not closed")
            return value
        if word == "-":
            if depth > DEPTH_MAX:
                raise FormulaUnreadable(self._text, f"it is nested deeper than {DEPTH_MAX}")
            above, below = self._factor(depth + 1)
            return -above, below
        if not word[:1].isdigit():
            raise FormulaUnreadable(self._text, f"{word!r} stands where a number must" if word else "it ends early")
        return self._number(word)

    def _number(self, word: str) -> tuple[int, int]:
        if len(word) > NUMBER_LENGTH_MAX:
            raise FormulaUnreadable(self._text, f"a number has more than {NUMBER_LENGTH_MAX} characters")
        whole, _, decimals = word.partition(".")
        above, below = int(whole + decimals), 10 ** len(decimals)
        number = Fraction(above, below) if decimals else above
        if self._is_signed():
            # `5 - -3` has the numbers 5 and -3: the sign belongs to the number where it cannot mean a subtraction.
            self.shape.pop()
            number = -number
        self.numbers.append(number)
        self.shape.append(_NUMBER)
        return above, below

    def _is_signed(self) -> bool:
        place = self._place - 2
        return place >= 0 and self._words[place] == "-" and (place == 0 or self._words[place - 1] in "+-*/(")

    def _next(self) -> str:
        return self._words[self._place] if self._place < len(self._words) else ""

    def _take(self) -> str:
        word = self._next()
        self._place += 1
        if word and not word[0].isdigit():
            self.shape.append(word)
        return word
