"""What waits: nothing here is wrong, but a person should know of it."""

from sqlalchemy import text

from marketbill.db import ReadScope
from marketbill.reconciliation.check import Check, holds, warning

_WAITING = text(
    """
    select
      (select count(*) from inbox_event where platform_id = :platform and handled_at is null) as events,
      (select count(*) from inbox_event where platform_id = :platform and handled_at is null and attempts > 1)
        as failed,
      (select count(*) from provider_intent where platform_id = :platform and status = 'ABANDONED') as abandoned,
      (select count(*) from provider_intent where platform_id = :platform and status = 'UNKNOWN') as unknown,
      (select count(*) from payment where platform_id = :platform and succeeded_at is not null and settled_at is null)
        as unsettled,
      (select count(*) from transfer where platform_id = :platform and status = 'HELD') as held,
      (select count(*) from transfer where platform_id = :platform and status = 'REFUSED') as refused
    """
)
_WORDS = {
    "events": "events of the provider not handled yet",
    "failed": "events of the provider that failed",
    "abandoned": "requests to the provider given up",
    "unknown": "requests to the provider without an answer",
    "unsettled": "payments without the provider's fee yet",
    "held": "transfers held until the seller may receive",
    "refused": "transfers refused by the provider",
}


async def find_waiting(scope: ReadScope) -> list[Check]:
    """A warning for each kind of thing that is stuck or under way."""
    row = await scope.first(_WAITING, {"platform": scope.platform})
    counts = row._mapping if row is not None else {}
    found = [warning("stuck", words, f"{counts[name]:,}") for name, words in _WORDS.items() if counts.get(name)]
    return found or [holds("stuck", "events, requests, transfers", "none")]
