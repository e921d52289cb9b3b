"""The golden cases' own fixtures, by name: what they seed through the API or the control plane of the sandbox."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

from marketbill.sandbox.cards import CARDS

_UNITS = {"weeks": 604_800, "days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
US_ROUTING = "110000000"

#: Parts of the words that cases use for faults, and the kind meant.
_FAULTS = {
    "lock": "lock_timeout", "rate": "rate_limit", "429": "rate_limit", "flight": "in_flight", "409": "in_flight",
    "malformed": "malformed", "json": "malformed", "missing": "missing_fields", "slow": "slow",
}  # fmt: skip
_CUT = frozenset(("cut", "timeout", "connection", "disconnect", "reset"))


def fault_kind(word: str) -> str:
    """Return the sandbox's name of a fault: of a 500 or a cut connection, after execution unless it says before."""
    if word.startswith("webhook_"):
        return word
    for part, kind in _FAULTS.items():
        if part in word:
            return kind
    cause = "cut" if _CUT & set(re.split("[^a-z]+", word)) else "error"
    return f"{cause}_before" if "before" in word else f"{cause}_after"


class Fixtures:
    """Seeds of a case. A fixture `x` is the method `given_x`, which takes the filled step."""

    def __init__(self, bench: Any, receiver: Any, soon: Callable[..., Any]) -> None:
        self.bench = bench
        self.receiver = receiver
        self.soon = soon
        #: What the steps saved, by name.
        self.saved: dict[str, Any] = {}
        #: Faults for the next request of the case; what the runner itself asks in between must not meet them.
        self.faults: list[dict[str, Any]] = []

    def identifier(self, given: str) -> str:
        """Return the id of what a step calls by its name or by its id."""
        return self.saved[given]["id"] if given in self.saved else given

    def path_of(self, endpoint: dict[str, Any]) -> str:
        return endpoint["url"].removeprefix(self.receiver.base)

    def given_connected_account(self, step: dict[str, Any]) -> None:
        country, currency = step.get("country", "US"), step.get("default_currency", "usd")
        capabilities = step.get("capabilities", {"transfers": "active"})
        wanted = {name: status for name, status in capabilities.items() if status != "unrequested"}
        controller = step.get("controller") or {
            "fees": {"payer": "application"},
            "losses": {"payments": "application"},
            "stripe_dashboard": {"type": "express"},
        }
        schedule = step.get("payouts", "manual")
        schedule = {"interval": schedule} if isinstance(schedule, str) else schedule
        body: dict[str, Any] = {
            "country": country,
            "default_currency": currency,
            "email": "s@example.com",
            "controller": controller,
            "capabilities": {name: {"requested": "true"} for name in wanted},
            "settings": {"payouts": {"schedule": schedule}},
        }
        bank = step.get("external_account")
        if bank:
            body["external_account"] = {
                "object": "bank_account",
                "country": "US" if bank.get("routing") == US_ROUTING else country,
                "currency": bank.get("currency", currency),
                "account_number": bank["number"],
                **({"routing_number": bank["routing"]} if bank.get("routing") else {}),
            }
        made = self.bench.post("/v1/accounts", _form(body))
        if "active" in wanted.values():
            outcome = "complete" if bank else "payouts_blocked"
            self.bench.control(f"accounts/{made['id']}/onboard", {"outcome": outcome})
        for name, status in wanted.items():
            if status != ("active" if "active" in wanted.values() else "inactive"):
                self.bench.control(f"accounts/{made['id']}/capability", {"name": name, "status": status})
        for currency, amount in (step.get("available") or {}).items():
            self.bench.control(f"accounts/{made['id']}/fund", {"currency": currency, "amount": amount})
        self.saved[step["as"]] = self.bench.get(f"/v1/accounts/{made['id']}")

    def given_complete_onboarding(self, step: dict[str, Any]) -> None:
        account = self.identifier(step["account"])
        made = self.bench.control(f"accounts/{account}/onboard", {"outcome": step.get("outcome", "complete")})
        if "as" in step:
            self.saved[step["as"]] = made

    def given_customer_with_saved_card(self, step: dict[str, Any]) -> None:
        given = step["card"]
        token = given if given in CARDS else next(name for name, card in CARDS.items() if card.number == given)
        customer = self.bench.post("/v1/customers", "email=a@example.com")
        method = self.bench.post(f"/v1/payment_methods/{token}/attach", f"customer={quote(customer['id'])}")
        self.saved[step["as"]] = customer
        if "pm_as" in step:
            self.saved[step["pm_as"]] = method

    def given_advance_clock(self, step: dict[str, Any]) -> None:
        seconds = sum(seconds * step.get(unit, 0) for unit, seconds in _UNITS.items())
        assert seconds > 0, step
        self.bench.control("clock", {"advance_seconds": seconds})

    def given_inflight(self, step: dict[str, Any]) -> None:
        headers = step.get("request", {}).get("headers", {})
        account = headers.get("Stripe-Account") or self.bench.platform
        self.bench.control("in_flight", {"account": account, "key": step["key"], "held": step.get("held", True)})

    def given_fault(self, step: dict[str, Any]) -> None:
        kind = fault_kind(str(step["kind"]))
        more = {name: step[name] for name in ("on", "next", "rate", "seconds", "reason") if name in step}
        self.faults.append({"kind": kind, **more})

    def set_faults(self, method: str, path: str) -> None:
        """Set what the case wanted, on the request that comes now unless it said on which."""
        place = re.sub(r"/[a-z]+_[A-Za-z0-9]*[A-Z0-9][A-Za-z0-9]*", "/*", path.partition("?")[0])
        for fault in self.faults:
            on = {} if fault["kind"].startswith("webhook_") else {"on": f"{method} {place}"}
            self.bench.control("faults", {**on, **fault})
        self.faults.clear()

    def given_endpoint_behaviour(self, step: dict[str, Any]) -> None:
        """The receiver answers so for the next deliveries to one endpoint, or to all there are.

        The statuses are a list, or one status so many times; a delay is in seconds.
        """
        endpoints = [value for value in self.saved.values() if value.get("object") == "webhook_endpoint"]
        statuses: list[int] = []
        status, times, delay = 200, 1, 0.0
        for name, value in step.items():
            if isinstance(value, str) and name not in ("fixture", "as"):
                endpoints = [one for one in endpoints if self.identifier(value) in (one["id"], one["url"])] or endpoints
            elif isinstance(value, list):
                statuses = value
            elif "delay" in name or "seconds" in name:
                delay = value
            elif isinstance(value, int) and value >= 100:
                status = value
            elif isinstance(value, int):
                times = value
        assert endpoints, "no endpoint"
        for endpoint in endpoints:
            told = self.receiver.behaviours.setdefault(self.path_of(endpoint), [])
            told.extend((one, delay) for one in statuses or [status] * times)

    def given_first_dispute_of(self, step: dict[str, Any]) -> None:
        name = "payment_intent" if "pi" in step else "charge"
        given = step.get("pi") or step["charge"]
        account = self.identifier(step["account"]) if "account" in step else None
        identifier = self.identifier(given)
        if name == "charge" and identifier.startswith("pi_"):
            name = "payment_intent"
        found = self.bench.get(f"/v1/disputes?{name}={identifier}&limit=100", account=account)["data"]
        assert found, f"{identifier} has no dispute"
        self.saved[step["as"]] = found[-1]

    def given_last_event(self, step: dict[str, Any]) -> None:
        account = self.identifier(step["account"]) if "account" in step else None
        self.saved[step["as"]] = self.bench.events(step.get("type"), account)[0]


def _form(value: Any) -> str:
    """Write nested objects as a form: `a[b]=c`."""

    def flat(item: Any, path: str) -> list[tuple[str, str]]:
        if isinstance(item, dict):
            below = [flat(part, f"{path}[{name}]" if path else name) for name, part in item.items()]
        elif isinstance(item, list):
            below = [flat(part, f"{path}[]") for part in item]
        else:
            text = str(item)
            return [(path, text.lower() if isinstance(item, bool) else text)]
        return [pair for pairs in below for pair in pairs]

    return re.sub("%5B(.*?)%5D", r"[\1]", urlencode(flat(value, "")))
