"""The published wire: every exchange with a sandbox, and every event it delivers, against the provider's specification.

The specification (OpenAPI 3.0.3, of the first and of the second API version) is no part of the repository. It is looked
for in the folder that `MARKETBILL_WIRE_SPEC` names, or in a folder `stripe` of any folder beside the checkout; without
it nothing is checked, and the one test that says so is skipped with the reason.

Checks are strict: an answer may hold no field that the specification does not know, and a request that was accepted may
hold no parameter that it does not know. Exchanges of one shape (same endpoint, status, fields and words) are checked
once in a process, which keeps the checking of a whole suite to seconds.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from openapi_schema_validator import OAS30Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4
from starlette.types import Scope

from marketbill.sandbox.dispatch import Answer, Api
from marketbill.sandbox.webhooks import Courier, Delivery

FIRST, SECOND = "stripe-connect-spec.json", "stripe-v2-core-spec.json"
NOT_FOUND = (
    "the wire specification is not here: no folder beside the checkout holds stripe/" + FIRST + ", and "
    "MARKETBILL_WIRE_SPEC names none"
)
#: Endpoints that the provider has and the specification leaves out; only the form of their refusals is checked.
BEYOND = re.compile(r"/v1/(tax/registrations|radar/early_fraud_warnings)(/[^/]+)?")

#: A cursor of the second version: it is in the addresses that answers give, and no parameter by itself.
_PAGE = re.compile(r"(?:^|(?<=&))page=[^&]*&?")
_WORD = re.compile(r"[a-z][a-z_.]{0,47}")
_INTEGER = re.compile(r"-?[0-9]+")
_LENGTH_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer; `path` includes the query, `sent` is a form (text) or decoded JSON."""

    method: str
    path: str
    sent: Any
    status: int
    body: Any


class Specification:
    """One OpenAPI document."""

    def __init__(self, path: Path) -> None:
        self._document = json.loads(path.read_bytes())
        self._schemas: dict[str, Any] = self._document["components"]["schemas"]
        resource = Resource.from_contents(self._document, default_specification=DRAFT4)
        self._registry: Any = Registry().with_resource("urn:spec", resource)
        self._validators: dict[int, Any] = {}
        # Literal steps win over steps in braces.
        templates = sorted(self._document["paths"], key=lambda template: template.count("{"))
        self._routes = [(re.compile(re.sub(r"\{[^}]+\}", "[^/]+", one) + r"\Z"), one) for one in templates]

    def correct(self, kind: str, field: str, schema: Any) -> None:
        """Replace what the specification says of one field, before anything is checked."""
        self._schemas[kind]["properties"][field] = schema

    def operation(self, method: str, path: str) -> tuple[str, Any] | None:
        """Return the path template and the operation of a request; None when the specification has none."""
        for pattern, template in self._routes:
            operations = self._document["paths"][template]
            if method.lower() in operations and pattern.match(path):
                return template, operations[method.lower()]
        return None

    def answer_findings(self, operation: Any, status: int, body: Any) -> list[str]:
        answer = operation["responses"].get(str(status)) if status < 400 else operation["responses"]["default"]
        if answer is None:
            return [f"status {status} is not in the specification"]
        return self._findings(body, answer["content"]["application/json"]["schema"])

    def request_findings(self, operation: Any, query: str, sent: Any) -> list[str]:
        """Return what an accepted request should have been refused for."""
        if "requestBody" in operation:
            schema = self._followed(next(iter(operation["requestBody"]["content"].values()))["schema"])
        else:
            parameters = [one for one in operation["parameters"] if one["in"] == "query"]
            schema = {
                "type": "object",
                "properties": {one["name"]: one["schema"] for one in parameters},
                "additionalProperties": False,
            }
            required = [one["name"] for one in parameters if one.get("required")]
            if required:
                schema["required"] = required
            sent = query
        if not isinstance(sent, str):
            return self._check(sent, schema)
        return self._check(self._typed(_decoded(sent), schema), schema, keep=False)

    def object_findings(self, kind: str, value: Any) -> list[str]:
        """Check an object by its kind; a kind that the specification does not have is not checked."""
        if kind not in self._schemas:
            return []
        return self._findings(value, self._schemas[kind])

    def error_findings(self, body: Any) -> list[str]:
        return self.object_findings("error", body)

    def properties(self, kind: str) -> frozenset[str] | None:
        """Return the fields of a kind of object; None when the specification does not have it."""
        schema = self._schemas.get(kind)
        return None if schema is None else frozenset(schema["properties"])

    def _findings(self, value: Any, schema: Any) -> list[str]:
        return self._check(value, schema) + self._unknown(value, schema, "")

    def _check(self, value: Any, schema: Any, *, keep: bool = True) -> list[str]:
        """Validate by a schema. One that is part of the document lives as long as it and may be kept compiled."""
        validator = self._validators.get(id(schema)) if keep else None
        if validator is None:
            validator = OAS30Validator(_absolute(schema), registry=self._registry)
            if keep:
                self._validators[id(schema)] = validator
        return [
            f"{'.'.join(map(str, error.absolute_path)) or 'body'}: {error.message[:_LENGTH_SHOWN]}"
            for error in validator.iter_errors(value)
        ]

    def _followed(self, schema: Any) -> Any:
        while isinstance(schema, dict) and "$ref" in schema:
            schema = self._schemas[schema["$ref"].rsplit("/", 1)[1]]
        return schema or {}

    def _unknown(self, value: Any, schema: Any, at: str) -> list[str]:
        """Return the fields of an answer that its schema does not have."""
        schema = self._followed(schema)
        if "anyOf" in schema:
            fitting = [self._unknown(value, one, at) for one in schema["anyOf"] if not self._check(value, one)]
            return min(fitting, key=len) if fitting else []
        if isinstance(value, list):
            items = schema.get("items", {})
            return [one for n, item in enumerate(value) for one in self._unknown(item, items, f"{at}[{n}]")]
        if not isinstance(value, dict) or "properties" not in schema:
            return []
        found: list[str] = []
        for name, item in value.items():
            if name in schema["properties"]:
                found += self._unknown(item, schema["properties"][name], f"{at}.{name}")
            elif not isinstance(schema.get("additionalProperties"), dict):
                found.append(f"{at}.{name}: unknown field")
        return found

    def _typed(self, value: Any, schema: Any) -> Any:
        """Give the texts of a form the types of their schema; what does not fit is left as it is."""
        schema = self._followed(schema)
        if "anyOf" in schema:
            for one in schema["anyOf"]:
                typed = self._typed(value, one)
                if not self._check(typed, one):
                    return typed
            return value
        kind = schema.get("type")
        if isinstance(value, dict):
            if kind == "array":
                if not all(key.isdigit() for key in value):
                    return value
                return [self._typed(value[key], schema.get("items", {})) for key in sorted(value, key=int)]
            properties, others = schema.get("properties", {}), schema.get("additionalProperties")
            rest = others if isinstance(others, dict) else {}
            return {name: self._typed(item, properties.get(name, rest)) for name, item in value.items()}
        if kind == "integer" and _INTEGER.fullmatch(value):
            return int(value)
        if kind == "number":
            try:
                return float(value)
            except ValueError:
                return value
        if kind == "boolean" and value in ("true", "false"):
            return value == "true"
        return value


class Wire:
    """The specification of both API versions, and what was found so far, by shape."""

    def __init__(self, folder: Path) -> None:
        self._first = Specification(folder / FIRST)
        # Made from TypeScript, which has one kind of number, it calls rates whole; the Python library says float.
        self._first.correct("exchange_rate", "rates", {"type": "object", "additionalProperties": {"type": "number"}})
        self._second = Specification(folder / SECOND)
        self._known: dict[Any, list[str]] = {}

    def findings(self, exchange: Exchange) -> list[str]:
        """Return what is wrong with an exchange; a refused request only has to be refused in the right form."""
        path, _, query = exchange.path.partition("?")
        specification = self._second if path.startswith("/v2/") else self._first
        operation = specification.operation(exchange.method, path)
        template = operation[0] if operation else path
        shape = (exchange.method, template, exchange.status, _form_shape(query), _sent_shape(exchange.sent))
        key = (shape, _shape(exchange.body))
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._look(specification, operation, exchange, path, query)
        return [f"{exchange.method} {exchange.path} {exchange.sent!r}: {finding}" for finding in known]

    def event_findings(self, event: Any) -> list[str]:
        """Check an event with the object it carries, which the specification of an event leaves open."""
        key = ("event", _shape(event))
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._look_at_event(event)
        return [f"event {event.get('type')}: {finding}" for finding in known]

    def _look(
        self, specification: Specification, operation: Any, exchange: Exchange, path: str, query: str
    ) -> list[str]:
        refused = exchange.status >= 400
        if operation is None:
            if refused:
                return specification.error_findings(exchange.body)
            return [] if BEYOND.fullmatch(path) else ["the endpoint is not in the specification"]
        found = specification.answer_findings(operation[1], exchange.status, exchange.body)
        if not refused:
            given = _PAGE.sub("", query) if specification is self._second else query
            found += specification.request_findings(operation[1], given, exchange.sent)
        if operation[0].startswith("/v1/events") and not refused:
            for event in exchange.body.get("data", []) if exchange.body["object"] == "list" else [exchange.body]:
                found += self._look_at_event(event)
        return found

    def _look_at_event(self, event: Any) -> list[str]:
        if event.get("object") != "event":
            return [] if event.get("object") == "v2.core.event" else ["the body is no event"]
        found = self._first.object_findings("event", event)
        carried = event["data"]["object"]
        kind = carried.get("object", "")
        kind = f"deleted_{kind}" if carried.get("deleted") else kind
        found += self._first.object_findings(kind, carried)
        properties = self._first.properties(kind)
        previous = event["data"].get("previous_attributes") or {}
        if properties is not None:
            found += [f"previous_attributes.{name}: unknown field" for name in previous if name not in properties]
        return found


def _absolute(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            name: "urn:spec" + value if name == "$ref" and str(value).startswith("#") else _absolute(value)
            for name, value in schema.items()
        }
    return [_absolute(item) for item in schema] if isinstance(schema, list) else schema


def _decoded(form: str) -> dict[str, Any]:
    """Decode `a=1&b[c]=2&d[]=x` into nested objects; lists stay keyed by position."""
    root: dict[str, Any] = {}
    for name, value in parse_qsl(form, keep_blank_values=True):
        steps = [name.split("[", 1)[0], *re.findall(r"\[([^\]]*)\]", name)]
        node = root
        for step in steps[:-1]:
            node = node.setdefault(step if step else str(len(node)), {})
        node[steps[-1] if steps[-1] else str(len(node))] = value
    return root


def _shape(value: Any) -> Any:
    """What makes one JSON value like another: names, types, and words (which may be of an enumeration)."""
    if isinstance(value, dict):
        return tuple(sorted((name, _shape(item)) for name, item in value.items()))
    if isinstance(value, list):
        return frozenset(_shape(item) for item in value)
    if isinstance(value, str):
        return value if _WORD.fullmatch(value) else ""
    return type(value).__name__


def _form_shape(form: str) -> Any:
    pairs = parse_qsl(form, keep_blank_values=True)
    return frozenset((name, "0" if _INTEGER.fullmatch(value) else _shape(value)) for name, value in pairs)


def _sent_shape(sent: Any) -> Any:
    return _form_shape(sent) if isinstance(sent, str) else _shape(sent)


def folder_beside(checkout: Path) -> Path | None:
    """Return the folder of the specification beside a checkout."""
    try:
        beside = sorted(checkout.parent.iterdir())
    except OSError:
        return None
    return next((one / "stripe" for one in beside if (one / "stripe" / FIRST).is_file()), None)


def folder_at_hand() -> Path | None:
    """Return the folder of the specification: the one that is named, or one beside this checkout."""
    named = os.environ.get("MARKETBILL_WIRE_SPEC")
    return Path(named).resolve() if named else folder_beside(Path(__file__).resolve().parents[1])


@lru_cache(maxsize=1)
def wire() -> Wire | None:
    """Return the specification where it is at hand.

    :raises FileNotFoundError: `MARKETBILL_WIRE_SPEC` names a folder without it.
    """
    folder = folder_at_hand()
    return Wire(folder) if folder is not None else None


#: What was found wrong since it was last taken, on every sandbox of this process.
_FOUND: list[str] = []


def findings_taken() -> list[str]:
    """Return what was found since the last call."""
    found = _FOUND.copy()
    _FOUND.clear()
    return found


def watch_sandboxes(report: Callable[[list[str]], None] = _FOUND.extend) -> None:
    """Check every exchange of every sandbox that this process will run, and every event that they deliver."""
    if wire() is None:
        return
    answer, attempt = Api.answer, Courier._attempt

    def answering(self: Api, scope: Scope, body: bytes | None, **told: Any) -> Answer:
        # As the API gave it: a fault may spoil it on its way to the caller, which is then no exchange of the real wire.
        given = answer(self, scope, body, **told)
        report(exchange_findings(scope, body or b"", given.status, given.body))
        return given

    async def attempting(self: Courier, session: Any, delivery: Delivery) -> None:
        report(event_findings(delivery.body))
        await attempt(self, session, delivery)

    Api.answer = answering
    Courier._attempt = attempting


def watch_sandboxes_of_child(specification: str, findings: str) -> None:
    """Do the same in a program that a test has started; what is found is appended to a file, a line each."""
    os.environ["MARKETBILL_WIRE_SPEC"] = specification

    def report(found: list[str]) -> None:
        if found:
            with open(findings, "a") as file:
                file.writelines(line.replace("\n", " ") + "\n" for line in found)

    watch_sandboxes(report)


def event_findings(raw: bytes) -> list[str]:
    """Check the body of a webhook; nothing is found where the specification is not at hand."""
    specification = wire()
    return [] if specification is None else specification.event_findings(json.loads(raw))


def exchange_findings(scope: Scope, taken: bytes, status: int, given: bytes) -> list[str]:
    """Check an exchange of the API; nothing is found where the specification is not at hand."""
    specification = wire()
    if specification is None:
        return []
    query = scope["query_string"].decode("latin-1")
    path = scope["path"] + (f"?{query}" if query else "")
    try:
        body = json.loads(given)
        sent: Any = "" if status >= 400 else taken.decode()
        if scope["path"].startswith("/v2/") and sent:
            sent = json.loads(sent)
    except ValueError as error:
        return [f"{scope['method']} {path}: {error}"]
    return specification.findings(Exchange(scope["method"], path, sent, status, body))
