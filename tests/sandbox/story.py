"""A golden case on its way: steps, placeholders, matchers, effects, in the notation that the cases' `about` tells."""

from __future__ import annotations

import ast
import json
import operator
import re
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from http.client import HTTPException
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import stripe
from tests.sandbox.fixtures import Fixtures

#: The endpoints of the cases are nobody's; deliveries go to the test's own receiver.
NOBODY = "http://127.0.0.1:9/"
PAGES_MAX = 20
#: Stands for an answer that never came.
NO_ANSWER = SimpleNamespace(status=0, headers={}, body={})

_EVENT_FIELDS = frozenset(
    ("id", "object", "type", "account", "api_version", "context", "created", "data", "livemode", "pending_webhooks",
     "request")
)  # fmt: skip
_PLACEHOLDER = re.compile(r"\{\{([^}]+)\}\}")
_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
}


class Story(Fixtures):
    """One case: what its steps saved and what must be true after its request.

    `bench` speaks to a fresh sandbox, `receiver` is where its webhooks arrive, `soon` waits for what happens by itself.
    """

    def __init__(self, case: dict[str, Any], bench: Any, receiver: Any, soon: Callable[..., Any]) -> None:
        super().__init__(bench, receiver, soon)
        self.case = case
        #: The account that the request being checked acts on; None for the platform.
        self.acting: str | None = None
        self.asked = ""

    def run(self) -> None:
        for step in self.case.get("given", []):
            self.step(step)
        seen = {event["id"] for event in self.all_events()}
        before = self.balances()
        self.step({**self.case, "as": "$"})
        after = self.balances()
        for step in self.case.get("then", []):
            self.step(step)
        self.check_effects(self.filled(self.case.get("effects", {})), before, after)
        for wanted in self.case.get("events", []):
            self.check_event(self.filled(wanted))
        for unwanted in self.case.get("events_absent", []):
            self.check_absent(self.filled(unwanted), seen)

    def step(self, step: dict[str, Any]) -> None:
        """Set a fixture, or send a request and check its answer."""
        request = step if "fixture" in step else step["request"]
        if "fixture" in request:
            fixture = self.filled(request)
            getattr(self, f"given_{fixture['fixture']}")(fixture)
            return
        answer = self.send(self.filled(request))
        expected = step.get("expect", {})
        assert answer.status == (expected.get("status", answer.status) or 0), answer.body
        headers = {name.lower(): text for name, text in answer.headers.items()}
        for name, value in expected.get("headers", {}).items():
            if value == "@absent":
                assert name.lower() not in headers, name
            else:
                self.match(value, headers.get(name.lower()), name)
        if "as" in step:
            self.saved[step["as"]] = {**answer.body, "headers": answer.headers}
        if "json" in expected:
            self.match(expected["json"], answer.body, "$", answer.body)

    def send(self, request: dict[str, Any]) -> Any:
        form, sent = request.get("form"), request.get("json")
        if isinstance(form, dict):
            form = urlencode(form)
        if form:
            form = form.replace(NOBODY, self.receiver.base + "/")
        if sent is not None:
            sent = json.loads(json.dumps(sent).replace(NOBODY, self.receiver.base + "/"))
        if form is None and sent is None and request["method"] == "POST":
            form = ""
        headers = request.get("headers") or {}
        self.set_faults(request["method"], request["path"])
        self.acting, self.asked = headers.get("Stripe-Account"), request["path"]
        try:
            return self.bench.call(request["method"], request["path"], form, json_body=sent, headers=headers)
        except (OSError, HTTPException):
            # The connection was cut; a case says so by the status 0.
            self.bench.close()
            return NO_ANSWER

    def filled(self, value: Any) -> Any:
        """Return a value with its placeholders replaced; one that is nothing but a placeholder keeps its type."""
        if isinstance(value, dict):
            later = ("given", "then")
            return {self.filled(key): item if key in later else self.filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        if not isinstance(value, str):
            return value
        whole = _PLACEHOLDER.fullmatch(value)
        if whole is not None:
            return self.looked_up(whole[1].strip())
        return _PLACEHOLDER.sub(lambda found: str(self.looked_up(found[1].strip())), value)

    def looked_up(self, path: str) -> Any:
        node = _below(self.saved, path)
        return node["id"] if isinstance(node, dict) and "id" in node else node

    # Matchers.

    def match(self, wanted: Any, actual: Any, path: str, parent: Any = None) -> None:
        """Check a value: objects as subsets, lists from their beginning, words with an at sign as matchers."""
        wanted = self.filled(wanted)
        if isinstance(wanted, dict):
            assert isinstance(actual, dict), f"{path}: {actual!r} is no object"
            assert wanted or not actual, f"{path}: {actual!r} is not empty"
            for name, value in wanted.items():
                if value == "@absent":
                    assert name not in actual, f"{path}.{name} is there"
                    continue
                assert name in actual, f"{path}.{name} is missing"
                self.match(value, actual[name], f"{path}.{name}", actual)
        elif isinstance(wanted, list):
            assert isinstance(actual, list), f"{path}: {actual!r} is no list"
            assert len(actual) >= len(wanted) if wanted else actual == [], f"{path}: {actual!r}"
            for position, value in enumerate(wanted):
                self.match(value, actual[position], f"{path}[{position}]", parent)
        elif isinstance(wanted, str) and wanted.startswith("@"):
            assert self.matches(wanted, actual, parent), f"{path}: {actual!r} is not {wanted}"
        else:
            assert (actual is wanted) if isinstance(wanted, bool) else actual == wanted, (
                f"{path}: {actual!r} is not {wanted!r}"
            )

    def matches(self, matcher: str, actual: Any, parent: Any) -> bool:
        word, _, rest = matcher[1:].partition(":")
        number = _is_number(actual)
        simple: dict[str, Callable[[], bool]] = {
            "any": lambda: True,
            "int": lambda: isinstance(actual, int) and number,
            "number": lambda: number,
            "nonempty": lambda: bool(actual),
            "midnight_utc": lambda: number and actual % 86_400 == 0,
            "re": lambda: isinstance(actual, str) and re.search(rest, actual) is not None,
            "contains": lambda: actual is not None and rest in actual,
            "in": lambda: actual in json.loads(rest),
            "ne": lambda: actual != rest and str(actual) != rest,
            "newest_first_after": lambda: self.is_newest_first(rest, actual),
        }
        if word in simple:
            return simple[word]()
        if found := re.fullmatch(r"id\((.+)\)", word):
            return isinstance(actual, str) and actual.startswith(tuple(f"{p}_" for p in found[1].split("|")))
        if found := re.fullmatch(r"created\s*\+\s*(\d+)", word):
            return actual == parent["created"] + int(found[1])
        if found := re.fullmatch(r"round\((.+)\)", matcher[1:]):
            exact = self.computed(found[1], parent)
            return actual in {int(exact.quantize(Decimal(1), how)) for how in (ROUND_HALF_UP, ROUND_HALF_EVEN)}
        if found := re.fullmatch(r"sum\((\w+)\)\s*==\s*(.+)", matcher[1:]):
            return sum(entry[found[1]] for entry in actual) == self.worth(found[2])
        raise AssertionError(f"unknown matcher {matcher}")

    def computed(self, expression: str, parent: Any) -> Decimal:
        """Compute with numbers and names: fields of the object at hand, or of what the steps saved."""

        def value(node: ast.AST) -> Decimal:
            if isinstance(node, ast.BinOp):
                return _OPERATORS[type(node.op)](value(node.left), value(node.right))
            if isinstance(node, ast.UnaryOp):
                return _OPERATORS[type(node.op)](value(node.operand))
            if isinstance(node, ast.Constant):
                return Decimal(str(node.value))
            path = ast.unparse(node)
            scope = parent if isinstance(parent, dict) and path.split(".")[0] in parent else self.saved
            if isinstance(parent, dict) and "rate" in path and path not in parent:
                path, scope = "exchange_rate", parent
            return Decimal(str(_below(scope, path)))

        return value(ast.parse(expression.strip().replace("$", "_answer"), mode="eval").body)

    def worth(self, words: str) -> int:
        """Return what `balance.usd`, `acct.balance.usd` or `balance.pending.usd` is worth, or a number."""
        steps = words.strip().split(".")
        if "balance" not in steps:
            return int(words)
        at = steps.index("balance")
        account = self.saved[steps[0]]["id"] if at else self.acting
        parts = steps[at + 1 : -1] or ["available", "pending"]
        held = self.bench.get("/v1/balance", account=account)
        return sum(row["amount"] for part in parts for row in held[part] if row["currency"] == steps[-1])

    def is_newest_first(self, identifier: str, actual: list[Any]) -> bool:
        """Whether a list is what came after one entry, as far as the request asked for it, newest first."""
        query = parse_qs(urlsplit(self.asked).query)
        if not urlsplit(self.asked).path.startswith("/v1/events"):
            moments = [entry["created"] for entry in actual]
            return moments == sorted(moments, reverse=True) and identifier not in [entry["id"] for entry in actual]
        events = self.events_of(self.acting)
        types = [word for name in query if name.startswith("type") for word in query[name]]
        place = [event["id"] for event in events].index(identifier)
        wanted = [
            event["id"]
            for event in events[:place]
            if not types
            or any(event["type"] == one or (one[-1] == "*" and event["type"].startswith(one[:-1])) for one in types)
        ]
        return [event["id"] for event in actual] == wanted[-int(query.get("limit", ["10"])[0]) :]

    # Effects and events.

    def accounts(self) -> dict[str, str | None]:
        """Return the accounts of the case by name; the platform's is None."""
        named = {name: value["id"] for name, value in self.saved.items() if _is_account(value)}
        return {"platform": None, **named}

    def balances(self) -> dict[str, int]:
        held: dict[str, int] = {}
        for name, account in self.accounts().items():
            answer = self.bench.call("GET", "/v1/balance", account=account)
            if answer.status != 200:
                continue
            for part, rows in answer.body.items():
                for row in rows if isinstance(rows, list) else ():
                    key = f"{name}.{part}.{row['currency']}"
                    held[key] = held.get(key, 0) + row["amount"]
        return held

    def check_effects(self, effects: dict[str, Any], before: dict[str, int], after: dict[str, int]) -> None:
        assert set(effects) <= {"balance", "balance_transactions", "count"}, effects
        for name, moved in effects.get("balance", {}).items():
            assert after.get(name, 0) - before.get(name, 0) == moved, name
        for wanted in effects.get("balance_transactions", []):
            fields = {name: value for name, value in wanted.items() if name != "account"}
            account = self.identifier(wanted["account"]) if "account" in wanted else None
            found = self.bench.get("/v1/balance_transactions?limit=100", account=account)["data"]
            assert any(self.fits(fields, transaction) for transaction in found), (wanted, found)
        for request, count in effects.get("count", {}).items():
            found = self.bench.get(request.removeprefix("GET "))["data"]
            assert len(found) == count, (request, found)

    def fits(self, wanted: Any, actual: Any) -> bool:
        try:
            self.match(wanted, actual, "", actual)
        except (AssertionError, KeyError):
            return False
        return True

    def events_of(self, account: str | None) -> list[Any]:
        """Return every event of an account, newest first."""
        found: list[Any] = []
        after = ""
        for _ in range(PAGES_MAX):
            answer = self.bench.call("GET", f"/v1/events?limit=100{after}", account=account)
            if answer.status != 200:
                break
            found += answer.body["data"]
            if not answer.body["has_more"]:
                break
            after = f"&starting_after={found[-1]['id']}"
        return found

    def all_events(self) -> list[Any]:
        return [event for account in self.accounts().values() for event in self.events_of(account)]

    def check_event(self, wanted: dict[str, Any]) -> None:
        """Check that an event happened; with `deliver_to`, that it was delivered there, signed, so many times."""
        fields = _nested({name: value for name, value in wanted.items() if name.partition(".")[0] in _EVENT_FIELDS})
        if "deliver_to" not in wanted:
            fields |= wanted.get("body", {})
            events = self.all_events()
            assert any(self.fits(fields, event) for event in events), (wanted, [event["type"] for event in events])
            return
        endpoint = self.saved[wanted["deliver_to"]]
        fields |= wanted.get("body", {})
        # However a case calls the number of deliveries, it is the one number that is no field of the event.
        numbers = [value for name, value in wanted.items() if name not in _EVENT_FIELDS and _is_number(value)]
        attempts = max(numbers, default=1)

        def fitting() -> list[Any]:
            got = self.receiver.of_type(wanted["type"], self.path_of(endpoint))
            got = [one for one in got if self.fits(fields, one.event)]
            return got if len(got) >= attempts else []

        received = self.soon(fitting)
        given = wanted.get("signature", {})
        for one in received:
            stripe.Webhook.construct_event(
                one.body,
                one.headers["Stripe-Signature"],
                given.get("secret", endpoint["secret"]),
                tolerance=given.get("tolerance", 300),
            )
        assert len({one.headers["Stripe-Signature"] for one in received}) >= min(attempts, len(received))

    def check_absent(self, unwanted: str | dict[str, Any], seen: set[str]) -> None:
        """Check that an event did not happen since the request, or (`type -> endpoint`) did not arrive there."""
        if isinstance(unwanted, dict):
            name, endpoint = unwanted["type"], unwanted.get("deliver_to", "")
        else:
            name, _, endpoint = (part.strip() for part in unwanted.partition("->"))
        if endpoint:
            self.soon(lambda: not self.untried_deliveries())
            assert not self.receiver.of_type(name, self.path_of(self.saved[endpoint]))
        else:
            assert not [event for event in self.all_events() if event["type"] == name and event["id"] not in seen]

    def untried_deliveries(self) -> list[Any]:
        rows = self.bench.control("deliveries")["deliveries"]
        return [row for row in rows if row["state"] == "pending" and not row["attempts"]]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_account(value: Any) -> bool:
    kind = value.get("object") if isinstance(value, dict) else None
    return kind in ("account", "v2.core.account") and not value.get("deleted")


def _below(node: Any, path: str) -> Any:
    """Follow `a.b.0.c` or `a.b[0].c` through objects (header names in any case) and lists."""
    for step in re.sub(r"\[(\d+)\]", r".\1", path).split("."):
        name = "$" if step == "_answer" else step
        if isinstance(node, list):
            node = node[int(name)]
        elif name in node:
            node = node[name]
        else:
            node = {key.lower(): item for key, item in node.items()}[name.lower()]
    return node


def _nested(fields: dict[str, Any]) -> dict[str, Any]:
    """Make `{"data.object": {...}}` of an expected event `{"data": {"object": {...}}}`."""
    result: dict[str, Any] = {}
    for path, value in fields.items():
        *above, last = path.split(".")
        node = result
        for step in above:
            node = node.setdefault(step, {})
        if isinstance(value, dict) and isinstance(node.get(last), dict):
            node[last] |= value
        else:
            node[last] = value
    return result
