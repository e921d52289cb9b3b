"""Replaying: an operator's wish that an event be handled which was parked or keeps failing; or that it never be."""

from marketbill.db import WriteScope
from marketbill.events import inbox, outbox
from marketbill.text import checked_reason
from marketbill.webhooks.receive import HANDLER


async def replay(scope: WriteScope, event_id: str) -> bool:
    """Has an unhandled event handled at once; False when the scope's platform has none of this id that waits."""
    if not await inbox.revive(scope, event_id):
        return False
    await outbox.enqueue(scope, HANDLER, str(scope.platform))
    return True


async def dismiss(scope: WriteScope, event_id: str, *, by: str, reason: str) -> bool:
    """Ends an event that failed or is parked, without any effect: who, when and why are kept until it is pruned.

    False when the scope's platform has none of this id. Raises InvalidInput when no reason is told.
    """
    return await inbox.dismiss(scope, event_id, by=by, reason=checked_reason(reason))
