"""Reading and writing the fields of inputs and answers."""

from decimal import Decimal
from enum import StrEnum
from typing import Any

import strawberry
from strawberry.utils.str_converters import to_camel_case

from marketbill.errors import InvalidInput


def given(input: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """The fields of an update that were given. Raises InvalidInput for an explicit null where there is no "none"."""
    changes: dict[str, Any] = {}
    for name in names:
        value = getattr(input, name)
        if value is strawberry.UNSET:
            continue
        if value is None:
            raise InvalidInput(
                "This field cannot be emptied: leave it out to keep it.",
                path=(to_camel_case(name),),
                constraint="not null",
            )
        changes[name] = value.value if isinstance(value, StrEnum) else value
    return changes


def plain(value: Decimal) -> Decimal:
    """A stored percentage without the zeros that its column adds."""
    whole = value == value.to_integral_value()
    return value.quantize(Decimal(1)) if whole else value.normalize()
