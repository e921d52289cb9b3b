"""The scalars of the API. Each takes one spelling only and refuses floats, so no amount ever passes through one."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NewType

import strawberry
from graphql import (
    EnumValueNode,
    FloatValueNode,
    GraphQLError,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
    VariableNode,
)
from strawberry.types.scalar import ScalarDefinition

from marketbill import money
from marketbill.clock import rfc3339

BigInt = NewType("BigInt", int)
CurrencyCode = NewType("CurrencyCode", str)
JSON = NewType("JSON", object)
FeeDocument = NewType("FeeDocument", object)

_BIG_INT_MAX = 2**63 - 1
_EXACT_JSON_INT_MAX = 2**53
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})", re.ASCII)
_DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)


def _parse_big_int(value: Any) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        number = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > _EXACT_JSON_INT_MAX:
            raise GraphQLError("BigInt beyond 2^53 must be written as a string.")
        number = value
    else:
        raise GraphQLError('BigInt takes a whole number as a string, such as "1210"; a decimal number is refused.')
    if abs(number) > _BIG_INT_MAX:
        raise GraphQLError("BigInt is limited to 64 bits.")
    return number


def _parse_big_int_literal(node: ValueNode, _variables: Any = None) -> int:
    if isinstance(node, IntValueNode):
        # A literal is text, so it is exact at any size; it follows the rule for strings.
        return _parse_big_int(node.value)
    return _parse_big_int(_text_of(node))


def _parse_decimal(value: Any) -> Decimal:
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise GraphQLError(
            'Decimal takes a string, such as "12.5"; a JSON number is refused because it may be rounded.'
        )
    return Decimal(value)


def _serialize_decimal(value: Any) -> str:
    return value if isinstance(value, str) else format(value, "f")


def _parse_instant(value: Any) -> datetime:
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise GraphQLError('DateTime takes RFC 3339 with a time zone, such as "2026-03-01T09:30:00Z".')
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise GraphQLError(f"DateTime {value!r} is not in the calendar.") from None


def _parse_date(value: Any) -> date:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise GraphQLError('Date takes the form "2026-03-01".')
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise GraphQLError(f"Date {value!r} is not in the calendar.") from None


def _parse_currency(value: Any) -> str:
    if not isinstance(value, str):
        raise GraphQLError('CurrencyCode takes a string, such as "EUR".')
    try:
        money.exponent(value)
    except money.UnknownCurrency as refusal:
        raise GraphQLError(refusal.message) from None
    return value


def _refuse_json(_value: Any) -> Any:
    raise GraphQLError("JSON is for answers only.")


def _parse_fee_document(value: Any) -> Any:
    """The fields are read by who knows them; a float anywhere has lost its digits, and is refused there."""
    return value


def _parse_fee_document_literal(node: ValueNode, variables: Any = None) -> Any:
    match node:
        case ObjectValueNode():
            return {field.name.value: _parse_fee_document_literal(field.value, variables) for field in node.fields}
        case ListValueNode():
            return [_parse_fee_document_literal(item, variables) for item in node.values]
        case IntValueNode() | FloatValueNode() | StringValueNode() | EnumValueNode():
            return node.value  # a literal is text, so it is exact
        case VariableNode():
            return (variables or {}).get(node.name.value)
        case _:
            return None


def _text_of(node: ValueNode) -> Any:
    return node.value if isinstance(node, StringValueNode) else None


def _literal(parse: Any) -> Any:
    def parse_literal(node: ValueNode, _variables: Any = None) -> Any:
        return parse(_text_of(node))

    return parse_literal


def _scalar(name: str, description: str, *, parse: Any, serialize: Any, literal: Any = None) -> ScalarDefinition:
    return strawberry.scalar(
        name=name,
        description=description,
        serialize=serialize,
        parse_value=parse,
        parse_literal=literal or _literal(parse),
    )


SCALARS: dict[object, ScalarDefinition] = {
    BigInt: _scalar(
        "BigInt",
        "A signed 64-bit integer as a string. JSON integers within 2^53 are taken too; decimal numbers are refused.",
        parse=_parse_big_int,
        serialize=str,
        literal=_parse_big_int_literal,
    ),
    CurrencyCode: _scalar(
        "CurrencyCode",
        "A current ISO 4217 code with 0, 2 or 3 decimals, in capitals.",
        parse=_parse_currency,
        serialize=str,
    ),
    Decimal: _scalar(
        "Decimal",
        'An exact decimal number as a string, such as "12.5". JSON numbers are refused.',
        parse=_parse_decimal,
        serialize=_serialize_decimal,
    ),
    datetime: _scalar(
        "DateTime",
        "An instant, RFC 3339, to the microsecond. Answers are in UTC with `Z`; input must name its offset.",
        parse=_parse_instant,
        serialize=rfc3339,
    ),
    date: _scalar(
        "Date", 'A calendar day, such as "2026-03-01".', parse=_parse_date, serialize=lambda day: day.isoformat()
    ),
    FeeDocument: _scalar(
        "FeeDocument",
        "A fee schedule's document: an object, in the form that a file of it has (`name`, `rules` and so on). Amounts"
        ' are texts in major units, such as "0.30", percentages texts, such as "8.5".',
        parse=_parse_fee_document,
        serialize=lambda value: value,
        literal=_parse_fee_document_literal,
    ),
    JSON: _scalar("JSON", "Any JSON value; never an input.", parse=_refuse_json, serialize=lambda value: value),
}
"""Python types and the scalars that stand for them."""
