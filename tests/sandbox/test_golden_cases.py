"""The golden cases: recorded and documented exchanges of the real provider, replayed against the sandbox."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import stripe

from marketbill.sandbox.cards import CARDS

CASES = {case["id"]: case for case in json.loads(Path(__file__).with_name("golden_cases.json").read_bytes())["cases"]}

#: Cases whose subject this sandbox does not have, and why.
OUT_OF_SCOPE = {
    "REV-01": "transfer reversals",
    "REV-02": "transfer reversals",
    "REV-03": "transfer reversals",
    "REF-01": "refunds",
    "REF-02": "refunds",
    "REF-03": "refunds",
    "REF-04": "refunds and disputes",
    "REF-05": "refunds",
    "REF-06": "refunds",
    "DIS-01": "disputes",
    "DIS-03": "disputes",
    "DIS-04": "disputes",
    "LIM-01": "injected faults",
    "BAL-02": "refunds",
    "TAX-01": "tax calculations",
    "TAX-02": "tax calculations",
    "TAX-03": "tax calculations",
}
IN_SCOPE = [name for name in CASES if name not in OUT_OF_SCOPE]

_UNITS = ("days", "hours", "minutes", "seconds")


class Story:
    """One golden case on its way: what its steps saved and what must be true after its request."""

    def __init__(self, case: dict[str, Any], bench: Any, receiver: Any, soon: Callable[..., Any]) -> None:
        self.case = case
        self.bench = bench
        self.receiver = receiver
        self.soon = soon
        self.saved: dict[str, Any] = {}

    def run(self) -> None:
        for step in self.case["given"]:
            self.given(step)
        seen = {event["id"] for event in self.all_events()}
        before = self.balances()
        answer = self.given({**self.case, "as": "$"} if "request" in self.case else self.case)
        after = self.balances()
        for step in self.case.get("then", []):
            self.given(step)
        self.check_effects(answer, before, after)
        events = self.all_events()
        for wanted in self.case["events"]:
            self.check_event(wanted, events)
        for unwanted in self.case.get("events_absent", []):
            name, _, endpoint = unwanted.partition(" -> ")
            if endpoint:
                path = self.saved[endpoint]["url"].removeprefix(self.receiver.base)
                assert not self.receiver.of_type(name, path)
            else:
                assert not [event for event in events if event["type"] == name and event["id"] not in seen]

    def given(self, step: dict[str, Any]) -> Any:
        if "fixture" in step:
            return getattr(self, step["fixture"])(self.filled(step))
        request = step["request"]
        if "fixture" in request:
            return getattr(self, request["fixture"])(self.filled(request))
        answer = self.send(request)
        expected = step.get("expect", {})
        assert answer.status == expected.get("status", answer.status), answer.body
        for name, value in expected.get("headers", {}).items():
            self.match(value, {key.lower(): text for key, text in answer.headers.items()}.get(name.lower()), name)
        if "json" in expected:
            self.match(expected["json"], answer.body, "$", root=answer.body)
        if "as" in step:
            self.saved[step["as"]] = {**answer.body, "headers": answer.headers}
        return answer

    def send(self, request: dict[str, Any]) -> Any:
        request = self.filled(request)
        form = request.get("form")
        if form:
            # The endpoints of the cases are nobody's; deliveries go to the test's own receiver.
            form = form.replace("http://127.0.0.1:9/", self.receiver.base + "/")
        if form is None and "json" not in request and request["method"] == "POST":
            form = ""
        return self.bench.call(
            request["method"], request["path"], form, json_body=request.get("json"), headers=request.get("headers")
        )

    def filled(self, value: Any) -> Any:
        """Return a value with its placeholders replaced."""
        if isinstance(value, dict):
            return {key: item if key in ("given", "then") else self.filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        if not isinstance(value, str):
            return value
        return re.sub(r"\{\{([^}]+)\}\}", lambda found: str(self.looked_up(found[1])), value)

    def looked_up(self, path: str) -> Any:
        node: Any = self.saved
        for step in path.split("."):
            if isinstance(node, dict) and step not in node:
                node = {key.lower(): item for key, item in node.items()}[step.lower()]
            else:
                node = node[step]
        return node["id"] if isinstance(node, dict) else node

    def match(self, wanted: Any, actual: Any, path: str, root: Any = None) -> None:
        """Check a value: objects as subsets, lists from their beginning, words with an at sign as matchers."""
        wanted = self.filled(wanted)
        if isinstance(wanted, dict):
            assert isinstance(actual, dict), f"{path}: {actual!r} is no object"
            for name, value in wanted.items():
                if value == "@absent":
                    assert name not in actual, f"{path}.{name} is there"
                else:
                    assert name in actual, f"{path}.{name} is missing"
                    self.match(value, actual[name], f"{path}.{name}", actual)
            if not wanted:
                assert not actual, path
        elif isinstance(wanted, list):
            assert isinstance(actual, list), path
            assert len(actual) >= len(wanted) if wanted else actual == [], path
            for position, value in enumerate(wanted):
                self.match(value, actual[position], f"{path}[{position}]", root)
        elif isinstance(wanted, str) and wanted.startswith("@"):
            assert self.matches(wanted, actual, root), f"{path}: {actual!r} is not {wanted}"
        else:
            assert actual == wanted, f"{path}: {actual!r} is not {wanted!r}"

    def matches(self, matcher: str, actual: Any, parent: Any) -> bool:
        word, _, rest = matcher[1:].partition(":")
        if word == "any":
            return True
        if word in ("int", "number"):
            return isinstance(actual, int) and not isinstance(actual, bool)
        if word == "nonempty":
            return bool(actual)
        if word == "midnight_utc":
            return actual % 86_400 == 0
        if word.startswith("id("):
            return isinstance(actual, str) and actual.startswith(word[3:-1] + "_")
        if word == "re":
            return re.search(rest, actual) is not None
        if word == "contains":
            return rest in actual
        if word == "in":
            return actual in json.loads(rest)
        if word == "ne":
            return actual != rest
        if word.startswith("created+"):
            return actual == parent["created"] + int(word.removeprefix("created+"))
        if word == "newest_first_after":
            events = self.all_events(platform_only=True)
            place = [event["id"] for event in events].index(rest)
            wanted = [e["id"] for e in events[:place] if e["type"] in ("transfer.created", "transfer.reversed")]
            return [event["id"] for event in actual] == wanted
        raise AssertionError(f"unknown matcher {matcher}")

    def balances(self) -> dict[str, int]:
        held: dict[str, int] = {}
        names = {self.bench.platform: "platform"}
        names |= {value["id"]: name for name, value in self.saved.items() if value.get("object") == "account"}
        for row in self.bench.control("balances")["balances"]:
            name = names.get(row["account"])
            for part in ("available", "pending"):
                held[f"{name}.{part}.{row['currency']}"] = row[part]
        return held

    def check_effects(self, answer: Any, before: dict[str, int], after: dict[str, int]) -> None:
        effects = self.case.get("effects", {})
        for name, moved in effects.get("balance", {}).items():
            assert after.get(name, 0) - before.get(name, 0) == moved, name
        for wanted in effects.get("balance_transactions", []):
            fields = {name: value for name, value in wanted.items() if name != "account"}
            account = self.saved[wanted["account"]]["id"] if "account" in wanted else None
            found = self.bench.get("/v1/balance_transactions?limit=100", account=account)["data"]
            assert any(self.fits(fields, transaction) for transaction in found), wanted
        for request, count in effects.get("count", {}).items():
            path = request.removeprefix("GET ")
            assert len(self.bench.get(path)["data"]) == count

    def fits(self, wanted: Any, actual: Any) -> bool:
        try:
            self.match(wanted, actual, "")
        except (AssertionError, KeyError):
            return False
        return True

    def all_events(self, *, platform_only: bool = False) -> list[Any]:
        events = list(self.bench.events())
        if not platform_only:
            for value in self.saved.values():
                if value.get("object") == "account" and not value.get("deleted"):
                    answer = self.bench.call("GET", "/v1/events?limit=100", account=value["id"])
                    events += answer.body["data"] if answer.status == 200 else []
        return events

    def check_event(self, wanted: dict[str, Any], events: list[Any]) -> None:
        if "deliver_to" in wanted:
            endpoint = self.saved[wanted["deliver_to"]]
            path = endpoint["url"].removeprefix(self.receiver.base)
            received = self.soon(lambda: self.receiver.of_type(wanted["type"], path))[0]
            stripe.Webhook.construct_event(
                received.body,
                received.headers["Stripe-Signature"],
                endpoint["secret"],
                tolerance=wanted.get("signature", {}).get("tolerance", 300),
            )
            self.match(wanted.get("body", {"type": wanted["type"]}), received.event, wanted["type"])
            return
        fields: dict[str, Any] = {"type": wanted["type"]}
        if "account" in wanted:
            fields["account"] = wanted["account"]
        if "data.object" in wanted:
            fields["data"] = {"object": wanted["data.object"]}
        assert any(self.fits(fields, event) for event in events), f"no event {wanted}"

    # The cases' own fixtures, by name.

    def connected_account(self, step: dict[str, Any]) -> None:
        bench, bank = self.bench, step["external_account"]
        made = bench.post(
            "/v1/accounts",
            f"country={step['country']}&default_currency={step['default_currency']}&email=s@example.com"
            "&controller[fees][payer]=application&controller[losses][payments]=application"
            "&controller[stripe_dashboard][type]=express&capabilities[transfers][requested]=true"
            f"&settings[payouts][schedule][interval]={step['payouts']}&external_account[object]=bank_account"
            f"&external_account[country]=US&external_account[currency]={step['default_currency']}"
            f"&external_account[routing_number]={bank['routing']}&external_account[account_number]={bank['number']}",
        )
        if step["capabilities"]["transfers"] == "active":
            bench.control(f"accounts/{made['id']}/onboard", {"outcome": "complete"})
        for currency, amount in step.get("available", {}).items():
            bench.control(f"accounts/{made['id']}/fund", {"currency": currency, "amount": amount})
        self.saved[step["as"]] = made

    def complete_onboarding(self, step: dict[str, Any]) -> None:
        self.bench.control(f"accounts/{step['account']}/onboard", {"outcome": "complete"})

    def customer_with_saved_card(self, step: dict[str, Any]) -> None:
        token = next(token for token, card in CARDS.items() if card.number == step["card"])
        customer = self.bench.post("/v1/customers", "email=a@example.com")
        method = self.bench.post(f"/v1/payment_methods/{token}/attach", f"customer={quote(customer['id'])}")
        self.saved[step["as"]], self.saved[step["pm_as"]] = customer, method

    def advance_clock(self, step: dict[str, Any]) -> None:
        self.bench.advance(**{unit: step[unit] for unit in _UNITS if unit in step})

    def inflight(self, step: dict[str, Any]) -> None:
        self.bench.control("in_flight", {"account": self.bench.platform, "key": step["key"], "held": True})

    def last_event(self, step: dict[str, Any]) -> None:
        self.saved[step["as"]] = self.bench.events()[0]


@pytest.mark.parametrize("name", IN_SCOPE)
def test_golden_case(name: str, bench: Any, receiver: Any, soon: Any) -> None:
    Story(CASES[name], bench, receiver, soon).run()
    assert bench.control("state")["books_balance"]


def test_every_case_is_in_scope_or_has_a_reason() -> None:
    assert set(OUT_OF_SCOPE) <= set(CASES)
    assert len(IN_SCOPE) + len(OUT_OF_SCOPE) == len(CASES)


def test_every_exchange_is_checked_against_the_published_wire(bench: Any, wire_spec: Any) -> None:
    """Where the specification is at hand, the bench checks all that passes it, in this and every other test."""
    bench.pay(1_000)
    assert wire_spec.findings(bench.exchanges) == []
    method, path, sent, answer = bench.exchanges[-1]
    answer.body["invented"] = 1
    assert wire_spec.findings([(method, path, sent, answer)]) != []
    bench.exchanges.clear()
