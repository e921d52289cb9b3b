"""Faults: trouble that somebody asked for, at the door of the API and on the way of events.

A fault strikes the next so many requests (or deliveries) that match it, or each with a probability. Whether it does is
computed from the seed, the fault's place among those added since the seed was set, and how many it has looked at:
the same seed and the same sequence give the same trouble, also over a restart, for all of it is in the state.

At the door:

``error_before``
    500, nothing executed. Execution never began, so no answer is kept: the same key executes next time.
``error_after``
    500 though the request was executed. The 500 is what the key keeps (Stripe keeps the first answer, 500 included),
    so the same key never tells what happened: only a look-up does.
``error_late``
    500, which is what the key keeps, and executed only so many seconds of the sandbox's clock afterwards: a look-up
    before that finds nothing. Stripe warns of this (a 500 is indeterminate). A restart before that forgets the request.
``cut_before``, ``cut_after``
    The connection is cut without an answer, before or after execution. After it, the true answer is kept, and the same
    key brings it.
``slow``
    Executed at once, answered after so many real seconds. Until then the key is in use: the same key gets 409.
``malformed``, ``missing_fields``
    Executed, the true answer kept; what arrives is half of its text, or a JSON object without its fields.
``in_flight``
    409 ``idempotency_key_in_use`` for a request with a key; nothing executed or kept.
``rate_limit``, ``lock_timeout``
    429, before keys are looked at; nothing executed or kept.

On the way of events, for one delivery of one event to one endpoint:

``webhook_drop``
    Never sent; the delivery has failed.
``webhook_duplicate``, ``webhook_duplicate_new_id``
    Sent twice, with the same event id, or as two events with an id each (both are in the event list).
``webhook_delay``
    Sent after so many seconds of the sandbox's clock.
``webhook_reorder``
    Held until a later event has arrived at the same endpoint, at most so many seconds of the sandbox's clock.
``webhook_old_secret``
    The first attempt is signed with the endpoint's secret of before; where it never had one, with one nobody knows.
    What is refused for it is sent again, signed well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

from marketbill.sandbox.store import Store
from marketbill.sandbox.wire import Doc

#: Most faults that are set at one time.
FAULTS_MAX = 100


class FaultKind(StrEnum):
    ERROR_BEFORE = "error_before"
    ERROR_AFTER = "error_after"
    ERROR_LATE = "error_late"
    CUT_BEFORE = "cut_before"
    CUT_AFTER = "cut_after"
    SLOW = "slow"
    MALFORMED = "malformed"
    MISSING_FIELDS = "missing_fields"
    IN_FLIGHT = "in_flight"
    RATE_LIMIT = "rate_limit"
    LOCK_TIMEOUT = "lock_timeout"
    WEBHOOK_DROP = "webhook_drop"
    WEBHOOK_DUPLICATE = "webhook_duplicate"
    WEBHOOK_DUPLICATE_NEW_ID = "webhook_duplicate_new_id"
    WEBHOOK_DELAY = "webhook_delay"
    WEBHOOK_REORDER = "webhook_reorder"
    WEBHOOK_OLD_SECRET = "webhook_old_secret"  # noqa: S105 - the name of a fault

    @property
    def of_webhooks(self) -> bool:
        return self.value.startswith("webhook_")


#: Seconds of the kinds that take time: real ones for a slow answer, of the sandbox's clock for all else.
SECONDS_DEFAULT = {
    FaultKind.ERROR_LATE: 60.0,
    FaultKind.SLOW: 2.0,
    FaultKind.WEBHOOK_DELAY: 60.0,
    FaultKind.WEBHOOK_REORDER: 5.0,
}


@dataclass(slots=True)
class Fault:
    """One fault that is set."""

    id: str
    kind: FaultKind
    #: ``POST /v1/transfers`` with ``*`` or a name in braces for any one step; an event type, or ``payout.*``.
    on: str | None
    #: How many it still strikes; None when it strikes by ``rate``.
    remaining: int | None
    rate: float | None
    seconds: float | None
    reason: str | None
    created: int
    #: Its place among the faults added since the seed was set.
    stream: int
    #: How many requests or deliveries it has looked at since the seed was set.
    seen: int = 0
    hits: int = 0

    def shown(self) -> Doc:
        return {
            "id": self.id,
            "kind": self.kind.value,
            "on": self.on,
            "next": self.remaining,
            "rate": self.rate,
            "seconds": self.seconds,
            "reason": self.reason,
            "hits": self.hits,
            "created": self.created,
        }


class Faults:
    """The faults that are set in one state, and how many times each kind has struck."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: list[Fault] | None = None
        store.on_rollback.append(self._forget)

    def _forget(self) -> None:
        self._known = None

    def all(self) -> list[Fault]:
        """Return the faults that are set, oldest first."""
        if self._known is None:
            rows = self._store.db.execute(
                "SELECT id, kind, target, remaining, rate, seconds, reason, created, stream, seen, hits "
                "FROM faults ORDER BY seq"
            ).fetchall()
            self._known = [Fault(row[0], FaultKind(row[1]), *row[2:]) for row in rows]
        return self._known

    def survived(self) -> dict[str, int]:
        """Return how many times each kind has struck since the state began, also by faults that are gone."""
        counts = dict(self._store.db.execute("SELECT kind, hits FROM fault_hits").fetchall())
        return {kind.value: counts[kind.value] for kind in FaultKind if kind.value in counts}

    @property
    def seed(self) -> int:
        return int(self._store.meta("fault_seed") or "0")

    def set_seed(self, seed: int) -> None:
        """Begin the sequence of chances anew, also for the faults that are set; call inside a transaction."""
        self._store.set_meta("fault_seed", str(seed))
        known = self.all()
        for stream, fault in enumerate(known):
            fault.stream, fault.seen = stream, 0
            self._store.db.execute("UPDATE faults SET stream = ?, seen = 0 WHERE id = ?", (stream, fault.id))
        self._store.set_meta("fault_streams", str(len(known)))

    def add(
        self,
        kind: FaultKind,
        *,
        on: str | None,
        remaining: int | None,
        rate: float | None,
        seconds: float | None,
        reason: str | None,
        now: int,
    ) -> Fault:
        """Set a fault; call inside a transaction."""
        number = int(self._store.meta("fault_last") or "0") + 1
        stream = int(self._store.meta("fault_streams") or "0")
        self._store.set_meta("fault_last", str(number))
        self._store.set_meta("fault_streams", str(stream + 1))
        fault = Fault(f"fault_{number}", kind, on, remaining, rate, seconds, reason, now, stream)
        known = self.all()
        self._store.db.execute(
            "INSERT INTO faults (id, kind, target, remaining, rate, seconds, reason, created, stream, seen, hits) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)",
            (fault.id, kind.value, on, remaining, rate, seconds, reason, now, stream),
        )
        known.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        """Take a fault away; call inside a transaction."""
        self._store.db.execute("DELETE FROM faults WHERE id = ?", (fault.id,))
        self.all().remove(fault)

    def strike_request(self, method: str, path: str, *, keyed: bool) -> Fault | None:
        """Return the fault that strikes a request, the oldest of several; its own transaction keeps the count."""
        if not self.all():
            return None
        matching = [
            fault
            for fault in self.all()
            if not fault.kind.of_webhooks
            and (keyed or fault.kind is not FaultKind.IN_FLIGHT)
            and (fault.on is None or _on_endpoint(fault.on, method, path))
        ]
        if not matching:
            return None
        with self._store.transaction():
            return self._strike(matching)

    def strike_delivery(self, event_type: str) -> Fault | None:
        """Return the fault that strikes a delivery of an event; call inside a transaction."""
        matching = [
            fault
            for fault in self.all()
            if fault.kind.of_webhooks and (fault.on is None or _on_type(fault.on, event_type))
        ]
        return self._strike(matching)

    def _strike(self, matching: Iterable[Fault]) -> Fault | None:
        for fault in matching:
            fault.seen += 1
            strikes = fault.rate is None or self._chance(fault) < fault.rate
            if strikes:
                fault.hits += 1
                if fault.remaining is not None:
                    fault.remaining -= 1
                self._store.db.execute(
                    "INSERT INTO fault_hits (kind, hits) VALUES (?, 1) "
                    "ON CONFLICT (kind) DO UPDATE SET hits = hits + 1",
                    (fault.kind.value,),
                )
            if fault.remaining == 0:
                self.remove(fault)
            else:
                self._store.db.execute(
                    "UPDATE faults SET seen = ?, hits = ?, remaining = ? WHERE id = ?",
                    (fault.seen, fault.hits, fault.remaining, fault.id),
                )
            if strikes:
                return fault
        return None

    def _chance(self, fault: Fault) -> float:
        """Return a number from 0 up to 1 that only the seed, the fault and its count decide."""
        text = f"{self.seed}/{fault.stream}/{fault.seen}".encode()
        return int.from_bytes(blake2b(text, digest_size=8).digest()) / 2**64


def any_step(step: str) -> bool:
    """Return whether a step of ``on`` stands for any one step of a path."""
    return step == "*" or (step.startswith("{") and step.endswith("}"))


def _on_endpoint(on: str, method: str, path: str) -> bool:
    wanted_method, _, wanted_path = on.partition(" ")
    wanted, steps = wanted_path.split("/"), path.split("/")
    return (
        wanted_method == method
        and len(wanted) == len(steps)
        and all(any_step(one) or one == step for one, step in zip(wanted, steps, strict=True))
    )


def _on_type(on: str, event_type: str) -> bool:
    return event_type.startswith(on[:-1]) if on.endswith("*") else event_type == on
