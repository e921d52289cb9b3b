"""What waits: nothing here is wrong, but a person should know of it. What waits too long is told by the doctor."""

from marketbill.db import ReadScope
from marketbill.health.findings import count_waiting
from marketbill.health.waits import WAITS, Kind
from marketbill.reconciliation.check import Check, holds, warning

#: What may explain a difference that is seen a moment later, or is a matter for an operator.
_TOLD = (
    Kind.EVENT_UNHANDLED,
    Kind.EVENT_PARKED,
    Kind.REQUEST_UNRESOLVED,
    Kind.REQUEST_HELD,
    Kind.REQUEST_GIVEN_UP,
    Kind.PAYMENT_UNSETTLED,
    Kind.PAYMENT_UNTRANSFERRED,
    Kind.TRANSFER_HELD,
    Kind.TRANSFER_REFUSED,
    Kind.DRIFT_OPEN,
)


async def find_waiting(scope: ReadScope) -> list[Check]:
    """A warning for each kind of thing that waits."""
    counts = await count_waiting(scope)
    found = [warning("waits", WAITS[kind].words, f"{counts[kind]:,}") for kind in _TOLD if counts.get(kind)]
    return found or [holds("waits", "events, requests, payments, transfers", "none")]
