"""Faults and rate limits: trouble on purpose, and how often it struck."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from marketbill.sandbox.dashboard.frame import PREFIX, Frame, Look
from marketbill.sandbox.event_types import EVENT_TYPES
from marketbill.sandbox.faults import SECONDS_DEFAULT, FaultKind
from marketbill.sandbox.limits import REASONS

#: What a kind does, in a few words.
MEANING = {
    FaultKind.ERROR_BEFORE: "500, nothing executed",
    FaultKind.ERROR_AFTER: "500 after execution",
    FaultKind.ERROR_LATE: "500, executed later",
    FaultKind.CUT_BEFORE: "connection cut, nothing executed",
    FaultKind.CUT_AFTER: "connection cut after execution",
    FaultKind.SLOW: "a slow answer",
    FaultKind.MALFORMED: "executed; half an answer",
    FaultKind.MISSING_FIELDS: "executed; an answer without its fields",
    FaultKind.IN_FLIGHT: "409, the key is in use",
    FaultKind.RATE_LIMIT: "429, too many requests",
    FaultKind.LOCK_TIMEOUT: "429, the object is locked",
    FaultKind.WEBHOOK_DROP: "an event that is never sent",
    FaultKind.WEBHOOK_DUPLICATE: "an event sent twice",
    FaultKind.WEBHOOK_DUPLICATE_NEW_ID: "an event sent twice, as two",
    FaultKind.WEBHOOK_DELAY: "an event sent late",
    FaultKind.WEBHOOK_REORDER: "an event sent after a later one",
    FaultKind.WEBHOOK_OLD_SECRET: "an event signed with the secret of before",
}


def routes(frame: Frame) -> list[Route]:
    return [frame.route(f"{PREFIX}/faults", faults)]


def faults(look: Look) -> Response:
    known = look.desk.faults
    endpoints = sorted({f"{method} {path}" for method, path in look.api.routes.all})
    return look.page(
        "faults.html",
        faults=[fault.shown() for fault in known.all()],
        survived=known.survived(),
        seed=known.seed,
        meaning={kind.value: text for kind, text in MEANING.items()},
        timed=sorted(kind.value for kind in SECONDS_DEFAULT),
        targets=[*endpoints, *sorted(EVENT_TYPES)],
        reasons=REASONS,
        limits=look.line.gate.shown(),
    )
