"""The fields of an answer, of the type that we expect: whatever is otherwise is a TypeError, and nobody acts on it.

A proxy's page, half an object or a number written as a text must end as "no definite answer", never as a row of ours.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from marketbill.money import exponent
from marketbill.provider.stripe.units import from_stripe

Json = Mapping[str, Any]
#: Longer ids do not exist.
_ID_LENGTH_MAX = 255
#: What a column of 64 bits holds, with room for the currencies whose unit here is a hundredth of the provider's.
_WHOLE_MAX = 2**53
_RATE_MIN, _RATE_MAX = Decimal("1e-9"), Decimal("1e9")


def text(data: Json, name: str) -> str:
    value = data[name]
    if not isinstance(value, str) or not value:
        raise TypeError(f"{name} is {_kind(value)}, not a text")
    return _storable(name, value)


def text_or_none(data: Json, name: str) -> str | None:
    return None if data.get(name) is None else text(data, name)


def one_of(data: Json, name: str, known: Collection[str]) -> str:
    """One of the words that we know what to do with."""
    value = text(data, name)
    if value not in known:
        raise ValueError(f"{name} is {value[:40]!r}, which we do not know")
    return value


def whole(data: Json, name: str) -> int:
    value = data[name]
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} is {_kind(value)}, not a whole number")
    if abs(value) > _WHOLE_MAX:
        raise ValueError(f"{name} is beyond all amounts")
    return value


def rate_or_none(data: Json, name: str) -> Decimal | None:
    """An exchange rate. It comes as a JSON number: its shortest decimal is what the provider wrote, and is exact."""
    value = data.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float | Decimal) or isinstance(value, bool):
        raise TypeError(f"{name} is {_kind(value)}, not a number")
    rate = Decimal(str(value))
    if not rate.is_finite() or not _RATE_MIN <= rate <= _RATE_MAX:
        raise ValueError(f"{name} is {rate}, which is no exchange rate")
    return rate


def part(data: Json, name: str) -> Json:
    """An object within; an empty one when it is not there."""
    value = data.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} is {_kind(value)}, not an object")
    return value


def parts(data: Json, name: str) -> list[Json]:
    """A list of objects within; an empty one when it is not there."""
    value = data.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise TypeError(f"{name} is {_kind(value)}, not a list of objects")
    return value


def texts(data: Json, name: str) -> tuple[str, ...]:
    value = data.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise TypeError(f"{name} is {_kind(value)}, not a list of texts")
    return tuple(_storable(name, one) for one in value)


def id_of(data: Json, name: str = "id") -> str:
    """An id, also of an object that is expanded."""
    value = data[name]
    found = value.get("id") if isinstance(value, Mapping) else value
    if not isinstance(found, str) or not 0 < len(found) <= _ID_LENGTH_MAX:
        raise TypeError(f"{name} is {_kind(found)}, not an id")
    return _storable(name, found)


def id_or_none(data: Json, name: str) -> str | None:
    return None if data.get(name) is None else id_of(data, name)


def currency(data: Json) -> str:
    """A currency that we know, in capitals."""
    code = text(data, "currency").upper()
    try:
        exponent(code)
    except Exception as error:
        raise ValueError(f"currency is {code[:10]!r}, which we do not know") from error
    return code


def amount(data: Json, name: str, code: str) -> int:
    """Minor units."""
    return from_stripe(whole(data, name), code)


def instant(data: Json, name: str) -> datetime:
    return datetime.fromtimestamp(whole(data, name), UTC)


def instant_or_none(data: Json, name: str) -> datetime | None:
    return None if data.get(name) is None else instant(data, name)


def _storable(name: str, value: str) -> str:
    value.encode()  # half of a surrogate pair is a ValueError
    if "\x00" in value:
        raise ValueError(f"{name} holds a character that no column can")
    return value


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__
