"""Parameter tables: a short notation, compiled once, that checks and types what a request sends.

Notation, fields apart by blanks: ``name`` is text, ``name!`` is required, ``name:i`` an integer (``:i?`` or
empty), ``:b`` a boolean, ``:n`` a number, ``:m`` metadata, ``:range`` a time or its bounds, ``:{...}`` an object,
``:object`` any object, ``:[...]`` a list, ``:(a|b)`` one of these words, ``:any`` anything, ``:later`` a parameter that
Stripe knows and this provider does not simulate (refused by name, never ignored). ``$word`` stands for a shared piece
of :data:`SHARED`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from marketbill.sandbox.wire import ApiError, Doc, invalid

METADATA_KEYS_MAX = 50
METADATA_KEY_LENGTH_MAX = 40
METADATA_VALUE_LENGTH_MAX = 500
TEXT_LENGTH_MAX = 5_000
INTEGER_DIGITS_MAX = 18

Reader = Callable[[Any, str], Any]

SHARED = {
    "$address": "{city country line1 line2 postal_code state}",
    "$script_address": "{city country line1 line2 postal_code state town}",
    "$shipping": "{address!:$address carrier name! phone tracking_number}",
    "$billing": "{address:$address email name phone tax_id}",
    "$page": "limit:i starting_after ending_before",
}

_TOKEN = re.compile(r"[{}\[\]]|\([^)]*\)|[^\s{}\[\]():]+|:")
_INTEGER = re.compile(r"-?[0-9]+\Z")
#: How a form counts the elements of a list.
_POSITION = re.compile(r"[0-9]{1,9}\Z")


@cache
def compile_table(text: str) -> Reader:
    """Compile the fields of one endpoint into a reader of its decoded parameters."""
    while "$" in text:
        text = re.sub(r"\$\w+", lambda match: SHARED[match.group()], text)
    tokens = _TOKEN.findall("{" + text + "}")
    reader, position = _type(tokens, 0)
    if position != len(tokens):
        raise ValueError(f"parameter table not closed near {tokens[position:]}")
    return reader


def _type(tokens: list[str], at: int) -> tuple[Reader, int]:
    word = tokens[at]
    if word == "{":
        return _fields(tokens, at + 1)
    if word == "[":
        item, after = _type(tokens, at + 1)
        return _list(item), after + 1
    if word.startswith("("):
        return _choice(tuple(word[1:-1].split("|"))), at + 1
    return _SIMPLE[word], at + 1


def _fields(tokens: list[str], at: int) -> tuple[Reader, int]:
    readers: dict[str, Reader] = {}
    required: list[str] = []
    while tokens[at] != "}":
        name = tokens[at].rstrip("!")
        if tokens[at].endswith("!"):
            required.append(name)
        at += 1
        readers[name] = _text
        if tokens[at] == ":":
            readers[name], at = _type(tokens, at + 1)
    return _object(readers, tuple(required)), at + 1


def _object(readers: dict[str, Reader], required: tuple[str, ...]) -> Reader:
    def read(value: Any, path: str) -> Any:
        if value == "" or value is None:
            return value
        if not isinstance(value, dict):
            raise invalid("Invalid object", param=path)
        result: Doc = {}
        unknown: list[str] = []
        for name, item in value.items():
            reader = readers.get(name)
            below = f"{path}[{name}]" if path else name
            if reader is None:
                unknown.append(below)
            else:
                result[name] = reader(item, below)
        if unknown:
            words = "parameter" if len(unknown) == 1 else "parameters"
            raise invalid(f"Received unknown {words}: {', '.join(unknown)}", code="parameter_unknown", param=unknown[0])
        for name in required:
            if result.get(name) is None:
                raise missing_parameter(f"{path}[{name}]" if path else name)
            if result[name] == "":
                raise empty_parameter(f"{path}[{name}]" if path else name)
        return result

    return read


def missing_parameter(path: str) -> ApiError:
    return invalid(f"Missing required param: {path}.", code="parameter_missing", param=path)


def empty_parameter(path: str) -> ApiError:
    return invalid(
        f"You passed an empty string for '{path}'. We assume empty values are an attempt to unset a parameter; "
        f"however '{path}' cannot be unset. You should remove '{path}' from your request or supply a non-empty value.",
        code="parameter_invalid_empty",
        param=path,
    )


def _list(item: Reader) -> Reader:
    def read(value: Any, path: str) -> Any:
        if value == "":
            return value
        if isinstance(value, dict) and all(_POSITION.match(key) for key in value):
            value = [value[key] for key in sorted(value, key=int)]
        if not isinstance(value, list):
            raise invalid("Invalid array", param=path)
        return [item(element, f"{path}[{position}]") for position, element in enumerate(value)]

    return read


def _choice(words: tuple[str, ...]) -> Reader:
    def read(value: Any, path: str) -> Any:
        if not isinstance(value, str):
            raise invalid("Invalid string", param=path)
        if value not in words:
            if value == "":
                raise empty_parameter(path)
            shown = [word for word in words if word]
            listed = shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"
            raise invalid(f"Invalid {path}: must be one of {listed}", param=path)
        return value

    return read


def _text(value: Any, path: str) -> Any:
    if value is None:
        return None
    if not isinstance(value, str):
        raise invalid(f"Invalid string: {value}", param=path)
    if len(value) > TEXT_LENGTH_MAX:
        raise invalid(
            f"Invalid string: {value[:20]}...; must be at most {TEXT_LENGTH_MAX} characters",
            code="parameter_invalid_string_blank" if not value.strip() else None,
            param=path,
        )
    if "\x00" in value:
        raise invalid("Invalid string: it contains a null character", param=path)
    return value


def _integer(value: Any, path: str) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if value == "":
        raise empty_parameter(path)
    if not isinstance(value, str) or len(value) > INTEGER_DIGITS_MAX or not _INTEGER.match(value):
        raise invalid(f"Invalid integer: {value}", code="parameter_invalid_integer", param=path)
    return int(value)


def _integer_or_empty(value: Any, path: str) -> Any:
    return value if value == "" else _integer(value, path)


def _boolean(value: Any, path: str) -> Any:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    if value == "":
        raise empty_parameter(path)
    raise invalid(f"Invalid boolean: {value}", param=path)


def _number(value: Any, path: str) -> Any:
    """A decimal that is passed through as text: nothing here computes with it."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"-?\d+(\.\d+)?", value):
        raise invalid(f"Invalid decimal: {value}", param=path)
    return value


def _metadata(value: Any, path: str) -> Any:
    if value == "" or value is None:
        return ""
    if not isinstance(value, dict):
        raise invalid("Invalid object", param=path)
    if len(value) > METADATA_KEYS_MAX:
        raise invalid(f"Metadata can hold at most {METADATA_KEYS_MAX} keys", param=path)
    for key, item in value.items():
        if len(key) > METADATA_KEY_LENGTH_MAX:
            raise invalid(
                f"Invalid {path} key: keys must be under {METADATA_KEY_LENGTH_MAX} characters in length.", param=path
            )
        if item is not None and not isinstance(item, str):
            raise invalid(f"Metadata values must be strings, but for key '{key}' you passed in an object", param=path)
        if item is not None and len(item) > METADATA_VALUE_LENGTH_MAX:
            raise invalid(
                f"Metadata values can have up to {METADATA_VALUE_LENGTH_MAX} characters, but you passed in a value "
                f"that is {len(item)} characters. Invalid value: {item[:20]}...",
                param=f"{path}[{key}]",
            )
    return value


def _range(value: Any, path: str) -> Any:
    if isinstance(value, dict):
        bounds: Doc = {}
        for name, item in value.items():
            if name not in ("gt", "gte", "lt", "lte"):
                raise invalid(
                    f"Received unknown parameter: {path}[{name}]", code="parameter_unknown", param=f"{path}[{name}]"
                )
            bounds[name] = _integer(item, f"{path}[{name}]")
        return bounds
    return {"gte": _integer(value, path), "lte": _integer(value, path)}


def _off_session(value: Any, path: str) -> Any:
    return True if value in ("one_off", "recurring") else _boolean(value, path)


def _any(value: Any, path: str) -> Any:
    return value


def _some_object(value: Any, path: str) -> Any:
    if value is not None and not isinstance(value, dict):
        raise invalid("Invalid object", param=path)
    return value


def _later(value: Any, path: str) -> Any:
    raise invalid(
        f"The sandbox provider does not simulate '{path}'. Leave it out, or test it against Stripe's own test mode.",
        code="parameter_unknown",
        param=path,
    )


_SIMPLE: dict[str, Reader] = {
    "s": _text,
    "i": _integer,
    "i?": _integer_or_empty,
    "b": _boolean,
    "n": _number,
    "m": _metadata,
    "range": _range,
    "off_session": _off_session,
    "any": _any,
    "object": _some_object,
    "later": _later,
}


def merged_metadata(present: dict[str, str], given: Any) -> dict[str, str]:
    """Return metadata after an update: an empty value removes its key, an empty whole removes everything."""
    if given == "":
        return {}
    kept = dict(present)
    for key, value in given.items():
        if value == "" or value is None:
            kept.pop(key, None)
        else:
            kept[key] = value
    if len(kept) > METADATA_KEYS_MAX:
        raise invalid(f"Metadata can hold at most {METADATA_KEYS_MAX} keys", param="metadata")
    return kept
