"""The line between callers and the API: where rate limits hold, and where faults strike requests.

The API behind it knows nothing of this: it answers a request, or is told with which refusal.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import orjson
from starlette.types import Message, Receive, Scope, Send

from marketbill.sandbox.connection import cut
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.dispatch import BROKEN, Answer, Api
from marketbill.sandbox.faults import Fault, FaultKind
from marketbill.sandbox.idempotency import key_in_use, may_have_key
from marketbill.sandbox.limits import GLOBAL_RATE, Caller, Gate, lock_timeout, rate_limited
from marketbill.sandbox.wire import BODY_BYTES_MAX, ApiError

#: Most requests that wait for a late execution; one more is never executed, which a 500 may mean as well.
LATE_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Late:
    """A request that was answered with 500 and will be executed all the same."""

    at: float
    scope: Scope
    body: bytes | None


class Line:
    """Answers ``/v1`` and ``/v2`` over HTTP."""

    def __init__(self, desk: Desk, api: Api) -> None:
        self._desk = desk
        self._api = api
        self.gate = Gate(desk.store)
        self._late: list[Late] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        self.execute_late()
        if self.gate.open:
            await self._serve(scope, body, receive, send)
            return
        caller = self._caller(scope)
        reason = self.gate.refusal(caller, self._desk.clock.precise())
        if reason is not None:
            await self._send(send, self._api.answer(scope, body, refusal=rate_limited(reason)))
            return
        with self.gate.inside(caller):
            await self._serve(scope, body, receive, send)

    def _caller(self, scope: Scope) -> Caller:
        given = dict(scope["headers"])
        acting = given.get(b"stripe-account") or given.get(b"stripe-context") or b""
        account = b" ".join((given.get(b"authorization", b""), acting)).decode("latin-1")
        found = self._api.routes.find(scope["method"], scope["path"])
        if found is None:
            return Caller(account, None)
        endpoint, names = found
        changed = next(iter(names.values()), None) if scope["method"] == "POST" else None
        return Caller(account, (scope["method"], endpoint.handler), changed)

    async def _serve(self, scope: Scope, body: bytes | None, receive: Receive, send: Send) -> None:
        faults = self._desk.faults
        key = _key(scope) if faults.all() else ""
        fault = faults.strike_request(scope["method"], scope["path"], keyed=bool(key))
        if fault is None:
            await self._send(send, self._api.answer(scope, body))
            return
        if fault.kind is FaultKind.CUT_BEFORE:
            await self._desk.store.committed()
            await cut(scope, receive, send)
            return
        answer = self._api.answer(
            scope, body, refusal=_refusal(fault, key), postpone=fault.kind is FaultKind.ERROR_LATE
        )
        if fault.kind is FaultKind.ERROR_AFTER:
            self._api.spoil(scope, answer)
        elif fault.kind is FaultKind.ERROR_LATE:
            self._note_late(scope, body, answer, fault.seconds or 0)
        elif fault.kind is FaultKind.MALFORMED:
            answer.body = answer.body[: len(answer.body) // 2]
        elif fault.kind is FaultKind.MISSING_FIELDS:
            answer.body = _without_fields(answer.body)
        elif fault.kind is FaultKind.SLOW:
            try:
                await self._rest(answer, fault.seconds or 0)
            except asyncio.CancelledError:
                # The server stops and waits no longer; the caller sees it as one that was killed.
                await cut(scope, receive, send)
                return
        elif fault.kind is FaultKind.CUT_AFTER:
            await self._desk.store.committed()
            await cut(scope, receive, send)
            return
        await self._send(send, answer)

    def _note_late(self, scope: Scope, body: bytes | None, answer: Answer, seconds: float) -> None:
        """Have a postponed request executed later; anything else that was struck (a read, a replay) is a mere 500."""
        if not answer.postponed:
            if answer.status == 200:
                self._api.spoil(scope, answer)
        elif len(self._late) < LATE_MAX:
            # Its key has its answer already, so it is executed without one.
            headers = [header for header in scope["headers"] if header[0] != b"idempotency-key"]
            self._late.append(Late(self._desk.clock.precise() + seconds, {**scope, "headers": headers}, body))
            asyncio.get_running_loop().call_later(seconds, self.execute_late)

    def execute_late(self) -> None:
        """Execute what was answered with 500 and is due by now."""
        if not self._late:
            return
        now = self._desk.clock.precise()
        due = [late for late in self._late if late.at <= now]
        self._late = [late for late in self._late if late.at > now]
        for late in sorted(due, key=lambda late: late.at):
            self._api.answer(late.scope, late.body)

    async def _rest(self, answer: Answer, seconds: float) -> None:
        """Let an answer wait, its key in use meanwhile."""
        in_flight = self._api.answers.in_flight
        holds = answer.key is not None and answer.key not in in_flight
        if holds and answer.key is not None:
            in_flight.add(answer.key)
        try:
            await self._desk.store.committed()
            await asyncio.sleep(seconds)
        finally:
            if holds and answer.key is not None:
                in_flight.discard(answer.key)

    async def _send(self, send: Send, answer: Answer) -> None:
        await self._desk.store.committed()
        headers = [
            *answer.headers,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(answer.body)).encode()),
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


def _refusal(fault: Fault, key: str) -> ApiError | None:
    """Return what is answered in place of execution; None for a fault that lets the request be executed."""
    if fault.kind is FaultKind.ERROR_BEFORE:
        return BROKEN
    if fault.kind is FaultKind.IN_FLIGHT:
        return key_in_use(key)
    if fault.kind is FaultKind.RATE_LIMIT:
        return rate_limited(fault.reason or GLOBAL_RATE)
    if fault.kind is FaultKind.LOCK_TIMEOUT:
        return lock_timeout()
    return None


def _without_fields(body: bytes) -> bytes:
    """Return a body with its first word only: the kind of an object, or that it is an error."""
    sent = orjson.loads(body)
    return orjson.dumps({"error": {}} if "error" in sent else {"object": sent.get("object")})


def _key(scope: Scope) -> str:
    """Return the idempotency key of a request that may have one, or an empty text."""
    if not may_have_key(scope["method"], scope["path"]):
        return ""
    return dict(scope["headers"]).get(b"idempotency-key", b"").decode("latin-1")


async def _body(receive: Receive) -> bytes | None:
    """Read the body; None when it is longer than allowed."""
    message: Message = await receive()
    body = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        if len(body) <= BODY_BYTES_MAX:
            body += message.get("body", b"")
    return None if len(body) > BODY_BYTES_MAX else body
