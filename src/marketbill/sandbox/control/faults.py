"""Faults: set them, list them, take them away."""

from __future__ import annotations

from difflib import get_close_matches

from starlette.routing import Route

from marketbill.sandbox.clock import DAY
from marketbill.sandbox.control.plane import Ask, Plane
from marketbill.sandbox.event_types import EVENT_TYPES
from marketbill.sandbox.faults import FAULTS_MAX, SECONDS_DEFAULT, Fault, FaultKind, any_step
from marketbill.sandbox.idempotency import may_have_key
from marketbill.sandbox.limits import GLOBAL_RATE, REASONS
from marketbill.sandbox.parameters import compile_table
from marketbill.sandbox.wire import ApiError, Doc, invalid

#: Most requests or deliveries that one fault may strike in a row.
NEXT_MAX = 1_000_000
#: Longest wait for a slow answer, in real seconds; for a late execution or an event, by the sandbox's clock.
SLOW_SECONDS_MAX = 600
LATE_SECONDS_MAX = DAY
EVENT_SECONDS_MAX = 30 * DAY
SEED_MAX = 2**63 - 1

_FAULT = compile_table(f"kind!:({'|'.join(FaultKind)}) on next:i rate:n seconds:n reason:({'|'.join(REASONS)})")
_SEED = compile_table("seed!:i")


def routes(plane: Plane) -> list[Route]:
    return [
        plane.route("faults", "GET", listing),
        plane.route("faults", "POST", add, _FAULT),
        plane.route("faults", "DELETE", clear),
        plane.route("faults/seed", "POST", seed, _SEED),
        plane.route("faults/{fault}", "DELETE", delete),
    ]


def listing(ask: Ask) -> Doc:
    faults = ask.desk.faults
    return {
        "seed": faults.seed,
        "faults": [fault.shown() for fault in faults.all()],
        "survived": faults.survived(),
    }


def add(ask: Ask) -> Doc:
    """Set a fault for the ``next`` so many (one when nothing is said), or for each with a ``rate`` of chance."""
    params, faults = ask.params, ask.desk.faults
    kind = FaultKind(params["kind"])
    remaining, rate = params.get("next"), params.get("rate")
    if remaining is not None and rate is not None:
        raise invalid("Give `next` (so many, then it is gone) or `rate` (each with a chance), not both.", param="rate")
    if remaining is not None and not 1 <= remaining <= NEXT_MAX:
        raise invalid(f"Invalid next: must be from 1 to {NEXT_MAX}", param="next")
    if rate is not None:
        rate = float(rate)
        if not 0 <= rate <= 1:
            raise invalid("Invalid rate: must be from 0 to 1, such as 0.05 for one in twenty", param="rate")
    elif remaining is None:
        remaining = 1
    seconds = _seconds(kind, params.get("seconds"))
    reason = params.get("reason")
    if reason is not None and kind is not FaultKind.RATE_LIMIT:
        raise invalid(f"Only rate_limit has a `reason`, {kind.value} has none.", param="reason")
    if kind is FaultKind.RATE_LIMIT:
        reason = reason or GLOBAL_RATE
    on = params.get("on")
    if on is not None:
        on = _checked_type(on) if kind.of_webhooks else _checked_endpoint(ask.api.routes.all, kind, on)
    if len(faults.all()) >= FAULTS_MAX:
        raise invalid(f"There are {FAULTS_MAX} faults already, which is the limit: take some away first.")
    with ask.desk.store.transaction():
        fault = faults.add(
            kind,
            on=on,
            remaining=remaining,
            rate=rate,
            seconds=seconds,
            reason=reason,
            now=ask.desk.clock.now(),
        )
    return fault.shown()


def _seconds(kind: FaultKind, given: float | str | None) -> float | None:
    if kind not in SECONDS_DEFAULT:
        if given is not None:
            allowed = ", ".join(sorted(SECONDS_DEFAULT))
            raise invalid(f"{kind.value} takes no `seconds`; {allowed} do.", param="seconds")
        return None
    seconds = SECONDS_DEFAULT[kind] if given is None else float(given)
    most = {FaultKind.SLOW: SLOW_SECONDS_MAX, FaultKind.ERROR_LATE: LATE_SECONDS_MAX}.get(kind, EVENT_SECONDS_MAX)
    if not 0 < seconds <= most:
        raise invalid(f"Invalid seconds: must be more than 0 and at most {most} for {kind.value}", param="seconds")
    return seconds


def _checked_endpoint(known: list[tuple[str, str]], kind: FaultKind, on: str) -> str:
    method, _, path = on.partition(" ")
    wanted = path.split("/")
    if not any(method == one and _covers(wanted, template.split("/")) for one, template in known):
        near = get_close_matches(on, [f"{one} {template}" for one, template in known], n=1, cutoff=0)
        raise invalid(
            f"`on` names no endpoint: {on!r}. Write a method and a path, such as {near[0]!r}; "
            "`*` stands for any one step of a path. Without `on`, every request is meant.",
            param="on",
        )
    if kind is FaultKind.IN_FLIGHT and not may_have_key(method, path):
        raise invalid(f"Only a POST has an idempotency key that can be in flight, {on!r} has none.", param="on")
    return on


def _covers(wanted: list[str], template: list[str]) -> bool:
    """Return whether a path with any steps names an endpoint: also by an id in place of a name in braces."""
    steps = zip(wanted, template, strict=False)
    return len(wanted) == len(template) and all(
        one == step or (one and (any_step(one) or any_step(step))) for one, step in steps
    )


def _checked_type(on: str) -> str:
    known = on in EVENT_TYPES or on == "*"
    if on.endswith(".*"):
        known = any(name.startswith(on[:-1]) for name in EVENT_TYPES)
    if not known:
        near = get_close_matches(on, sorted(EVENT_TYPES), n=1, cutoff=0)
        raise invalid(
            f"`on` names no event type: {on!r}. Write one such as {near[0]!r}, or a group such as 'payout.*'. "
            "Without `on`, every event is meant.",
            param="on",
        )
    return on


def delete(ask: Ask) -> Doc:
    fault = _named(ask)
    with ask.desk.store.transaction():
        ask.desk.faults.remove(fault)
    return {**fault.shown(), "deleted": True}


def _named(ask: Ask) -> Fault:
    wanted = ask.path["fault"]
    for fault in ask.desk.faults.all():
        if fault.id == wanted:
            return fault
    raise ApiError(404, f"No such fault: '{wanted}'", code="resource_missing", param="fault")


def clear(ask: Ask) -> Doc:
    """Take all faults away; what they have done stays counted."""
    gone = list(ask.desk.faults.all())
    with ask.desk.store.transaction():
        for fault in gone:
            ask.desk.faults.remove(fault)
    return {"deleted": [fault.id for fault in gone]}


def seed(ask: Ask) -> Doc:
    """Begin the sequence of chances anew, from a number of one's own."""
    number = ask.params["seed"]
    if not 0 <= number <= SEED_MAX:
        raise invalid(f"Invalid seed: must be from 0 to {SEED_MAX}", param="seed")
    with ask.desk.store.transaction():
        ask.desk.faults.set_seed(number)
    return listing(ask)
