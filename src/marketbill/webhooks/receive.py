"""Receiving a provider's webhook: check who signed it, keep it raw, owe the job that handles it, answer. No more."""

from datetime import datetime
from enum import StrEnum

from marketbill.crypto import Vault
from marketbill.db import Database
from marketbill.errors import NotFound
from marketbill.events import inbox, outbox
from marketbill.ids import PlatformId, public_id
from marketbill.platforms.credentials import webhook_credentials
from marketbill.provider.port import BadEvent, BadSignature
from marketbill.provider.stripe import HANDLED_TYPES, parse_event, verify_signature

__all__ = ["BadEvent", "BadSignature", "ReceiveResult", "UnknownEndpoint", "receive"]

#: The actor that works through a platform's inbox.
HANDLER = "handle_events"


class ReceiveResult(StrEnum):
    """All three are answered with 200. IGNORED: an event of a kind that we did not subscribe to."""

    STORED = "STORED"
    DUPLICATE = "DUPLICATE"
    IGNORED = "IGNORED"


class UnknownEndpoint(NotFound):
    """No platform listens at this address, or it has not connected its provider."""


async def receive(
    db: Database, vault: Vault, platform_id: PlatformId, raw: bytes, signature_header: str | None, now: datetime
) -> ReceiveResult:
    """Stores an event, once, with the job that handles it. `now` is the machine's time, which signatures are dated by.

    Raises UnknownEndpoint, BadSignature, BadEvent; Unavailable when the database is away, and then nothing is kept and
    the provider must deliver again.
    """
    async with db.write(platform_id) as scope:
        credentials = await webhook_credentials(vault, scope)
        if credentials is None:
            raise UnknownEndpoint("platform", public_id("platform", platform_id))
        verify_signature(raw, signature_header, credentials.secrets, now)
        event = parse_event(raw)
        if event.livemode is not credentials.livemode:
            raise BadEvent("The event is of another mode (live or test) than the platform's key.")
        if event.type not in HANDLED_TYPES:
            return ReceiveResult.IGNORED
        if not await inbox.store(scope, event, raw):
            return ReceiveResult.DUPLICATE
        await outbox.enqueue(scope, HANDLER, str(platform_id))
        return ReceiveResult.STORED
