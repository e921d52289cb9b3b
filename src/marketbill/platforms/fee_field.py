"""A field of a fee document: its place, and what may stand there. Whatever else stands there is refused by its path."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, TypeVar, cast

from marketbill.errors import InvalidInput, Path
from marketbill.money import exponent, parse_decimal
from marketbill.rules.rates import rate_parts
from marketbill.text import check_usable, is_blank

#: Characters of a text: a name, an id, a word of a condition.
TEXT_LENGTH_MAX = 200
#: Items of a list: the values of one dimension, the rules of a schedule.
ITEMS_MAX = 1000
_SHOWN_MAX = 40

Word = TypeVar("Word", bound=StrEnum)


class FieldUnknown(InvalidInput):
    """A key that a document does not have."""

    def __init__(self, key: str, *, allowed: Sequence[str], path: Path) -> None:
        super().__init__(
            f"{key[:_SHOWN_MAX]!r} is no key here: there are {', '.join(allowed)}.",
            path=path,
            constraint=f"one of {', '.join(allowed)}",
        )
        self.key = key


class FieldMissing(InvalidInput):
    """A key that must be there."""

    def __init__(self, *, path: Path, right: str) -> None:
        super().__init__(f"{path[-1]} is missing: {right}.", path=path, constraint="required")


class FieldMalformed(InvalidInput):
    """A value of the wrong form; `right` says which form it has."""

    def __init__(self, value: object, *, path: Path, right: str) -> None:
        shown = "nothing" if value is None else repr(value)
        shown = shown if len(shown) <= _SHOWN_MAX else f"{shown[:_SHOWN_MAX]}..."
        super().__init__(f"{shown} does not do here: write {right}.", path=path, constraint=right)


@dataclass(frozen=True, slots=True)
class Field:
    """A value of a document, and the path to it."""

    value: Any
    path: Path

    @property
    def is_there(self) -> bool:
        return self.value is not None

    def keys(self, allowed: Sequence[str]) -> "Mapping[str, Field]":
        """The field's own fields by key, also those that are not there. Raises FieldMalformed, FieldUnknown."""
        found = self._mapping("a mapping of keys to values")
        for key in found:
            if key not in allowed:
                raise FieldUnknown(str(key), allowed=allowed, path=(*self.path, str(key)[:_SHOWN_MAX]))
        return {key: Field(found.get(key), (*self.path, key)) for key in allowed}

    def items(self) -> "Iterator[Field]":
        """The fields of a list; nothing where there is no list. Raises FieldMalformed, for too long a list too."""
        if self.value is None:
            return
        if not isinstance(self.value, list):
            raise FieldMalformed(self.value, path=self.path, right="a list, such as [a, b]")
        found = cast("list[Any]", self.value)
        if len(found) > ITEMS_MAX:
            raise FieldMalformed(f"a list of {len(found)}", path=self.path, right=f"at most {ITEMS_MAX} items")
        for index, value in enumerate(found):
            yield Field(value, (*self.path, str(index)))

    def text(self) -> str:
        """Raises FieldMissing, FieldMalformed, TextUnusable."""
        if self.value is None:
            raise FieldMissing(path=self.path, right=f"write 1 to {TEXT_LENGTH_MAX} characters")
        if not isinstance(self.value, str) or not 1 <= len(self.value) <= TEXT_LENGTH_MAX or is_blank(self.value):
            raise FieldMalformed(self.value, path=self.path, right=f"a text of 1 to {TEXT_LENGTH_MAX} characters")
        check_usable(self.value, path=self.path)
        return self.value

    def texts(self) -> frozenset[str]:
        return frozenset(item.text() for item in self.items())

    def word(self, words: type[Word], default: Word | None) -> Word:
        """One of an enumeration's words. Raises FieldMissing where there is no default, FieldMalformed."""
        allowed = " or ".join(words)
        if self.value is None and default is not None:
            return default
        if self.value is None:
            raise FieldMissing(path=self.path, right=f"write {allowed}")
        if not isinstance(self.value, str) or self.value not in list(words):
            raise FieldMalformed(self.value, path=self.path, right=allowed)
        return words(self.value)

    def whole(self) -> int | None:
        """A whole number of either sign, of at most nine digits."""
        if self.value is None:
            return None
        text = self._number("a whole number, such as 10")
        if not text.removeprefix("-").isascii() or not text.removeprefix("-").isdigit() or len(text) > 9:
            raise FieldMalformed(self.value, path=self.path, right="a whole number, such as 10")
        return int(text)

    def percent(self) -> Decimal:
        """0 to 100 with at most four decimals. Raises FieldMalformed, RateOutOfRange, RateTooPrecise."""
        right = "a percentage, such as '8.5'"
        text = self._number(right)
        try:
            rate = Decimal(text) if len(text) <= 20 and "_" not in text else None
        except InvalidOperation:
            rate = None
        if rate is None:
            raise FieldMalformed(self.value, path=self.path, right=right)
        rate_parts(rate, path=self.path)
        return Decimal(plain(rate))

    def amount(self, currency: str) -> int:
        """An amount in major units, as minor units. Raises FieldMalformed, NotAnAmount, TooManyDecimals and so on."""
        amount = parse_decimal(self._number("an amount, such as '0.30'"), currency, path=self.path)
        if amount < 0:
            raise FieldMalformed(self.value, path=self.path, right="an amount of zero or more")
        return amount

    def amounts(self) -> dict[str, int]:
        """Amounts by currency, in the order of their currencies."""
        if self.value is None:
            return {}
        found = self._mapping("amounts by currency, such as {EUR: '0.30'}")
        for currency in found:
            exponent(str(currency)[:_SHOWN_MAX], path=(*self.path, str(currency)[:_SHOWN_MAX]))
        return {currency: Field(found[currency], (*self.path, currency)).amount(currency) for currency in sorted(found)}

    def instant(self) -> datetime | None:
        """An instant with its time zone, or a day (its beginning in UTC)."""
        if self.value is None:
            return None
        right = "2027-03-01 (its beginning, UTC) or 2027-03-01T09:30:00Z"
        try:
            at = datetime.fromisoformat(self.value) if isinstance(self.value, str) else None
        except ValueError:
            at = None
        if at is not None and at.tzinfo is None and len(str(self.value)) == len("2027-03-01"):
            return at.replace(tzinfo=UTC)
        if at is None or at.tzinfo is None:
            raise FieldMalformed(self.value, path=self.path, right=right)
        try:
            return at.astimezone(UTC)
        except OverflowError:
            raise FieldMalformed(self.value, path=self.path, right=right) from None

    def _number(self, right: str) -> str:
        """A number's digits. A binary fraction (0.3) has lost them already, so it is not taken."""
        if isinstance(self.value, int) and not isinstance(self.value, bool):
            return str(self.value) if abs(self.value) < 10**20 else "9" * 41
        if not isinstance(self.value, str):
            raise FieldMalformed(self.value, path=self.path, right=f"{right}, as a text")
        return self.value

    def _mapping(self, right: str) -> Mapping[str, Any]:
        if not isinstance(self.value, dict):
            raise FieldMalformed(self.value, path=self.path, right=right)
        found = cast("dict[str, Any]", self.value)
        if len(found) > ITEMS_MAX:
            raise FieldMalformed(f"{len(found)} keys", path=self.path, right=f"at most {ITEMS_MAX} keys")
        return found


def plain(rate: Decimal) -> str:
    """A percentage without an exponent and without zeros that say nothing: `8.5`, `10`."""
    text = format(rate, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
