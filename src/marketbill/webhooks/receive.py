"""Receiving a provider's webhooks: check who signed, keep it raw, owe the job that handles it, answer. No more.

Deliveries come in bursts. While one transaction is being written, later deliveries of the same platform wait together
and are written by the next one, so a burst costs a few transactions and a lone delivery waits for nobody.
"""

import asyncio
import time
from datetime import datetime
from enum import IntEnum, StrEnum

import structlog

from marketbill.crypto import Vault
from marketbill.db import Database
from marketbill.errors import NotFound, Unavailable
from marketbill.events import inbox, outbox
from marketbill.ids import PlatformId, public_id
from marketbill.platforms.credentials import WebhookCredentials, webhook_credentials
from marketbill.provider.objects import ProviderEvent
from marketbill.provider.port import BadEvent, BadSignature
from marketbill.provider.stripe import (
    API_VERSION,
    HANDLED_TYPES,
    check_body,
    knows_version,
    parse_event,
    verify_signature,
)

__all__ = ["BadEvent", "BadSignature", "ReceiveResult", "Receiver", "UnknownEndpoint"]

#: The actor that works through a platform's inbox.
HANDLER = "handle_events"
#: Deliveries written by one transaction.
BATCH_MAX = 100
#: Deliveries of one platform that wait to be written; more are refused, and the provider delivers them again.
WAITING_MAX = 2_000
#: Seconds for which the signing secrets are believed; a signature that does not fit has them read again.
SECRETS_FRESH_SECONDS = 5.0
_PLATFORMS_MAX = 10_000
#: Characters of a text from outside that a reason to park repeats.
SHOWN_MAX = 100
log = structlog.get_logger()


class ReceiveResult(StrEnum):
    """All are answered with 200. IGNORED: an event of a type that we did not subscribe to; nothing is kept.
    PARKED: kept, and handled when an operator says so."""

    STORED = "STORED"
    DUPLICATE = "DUPLICATE"
    IGNORED = "IGNORED"
    PARKED = "PARKED"


class Signer(IntEnum):
    """Whose signing secret it was, by its place in `WebhookCredentials.secrets`."""

    PLATFORM = 0
    CONNECTED_ACCOUNTS = 1


class UnknownEndpoint(NotFound):
    """No platform listens at this address, or it has not connected its provider."""


class _Waiting:
    """A verified delivery until its transaction has ended."""

    __slots__ = ("event", "parked", "raw", "stored")

    def __init__(self, event: ProviderEvent, raw: bytes) -> None:
        self.event = event
        self.raw = raw
        self.parked = _reason_to_park(event)
        self.stored: asyncio.Future[bool] = asyncio.get_running_loop().create_future()


class Receiver:
    """The webhook endpoint of one process (of one event loop)."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault
        self._credentials: dict[PlatformId, tuple[float, WebhookCredentials]] = {}
        self._waiting: dict[PlatformId, list[_Waiting]] = {}
        self._writers: set[asyncio.Task[None]] = set()

    async def receive(
        self, platform: PlatformId, raw: bytes, signature_header: str | None, now: datetime
    ) -> ReceiveResult:
        """Stores an event, once, with the job that handles it. `now` is the machine's time, which dates signatures.

        Raises UnknownEndpoint, BadSignature, BadEvent; Unavailable when the database is away or too many wait, and then
        nothing is kept and the provider must deliver again.
        """
        credentials, signer = await self._verified(platform, raw, signature_header, now)
        check_body(raw)
        event = parse_event(raw)
        if event.livemode is not credentials.livemode:
            raise BadEvent("The event is of another mode (live or test) than the platform's key.")
        if (event.account is not None) is not (signer is Signer.CONNECTED_ACCOUNTS):
            raise BadEvent(
                "The event is of a connected account, but it was signed for the platform's own endpoint."
                if event.account is not None
                else "The event is of no connected account, but it was signed for their endpoint."
            )
        if event.type not in HANDLED_TYPES:
            return ReceiveResult.IGNORED
        if len(self._waiting.get(platform, ())) >= WAITING_MAX:
            raise Unavailable("Too many events wait to be kept just now; deliver this one again.")
        waiting = _Waiting(event, raw)
        if platform in self._waiting:
            self._waiting[platform].append(waiting)
        else:
            self._waiting[platform] = [waiting]
            writer = asyncio.create_task(self._write(platform))
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)
        if not await waiting.stored:
            return ReceiveResult.DUPLICATE
        return ReceiveResult.PARKED if waiting.parked else ReceiveResult.STORED

    async def _verified(
        self, platform: PlatformId, raw: bytes, header: str | None, now: datetime
    ) -> tuple[WebhookCredentials, Signer]:
        known = self._credentials.get(platform)
        if known is not None and time.monotonic() - known[0] < SECRETS_FRESH_SECONDS:
            try:
                return known[1], Signer(verify_signature(raw, header, known[1].secrets, now))
            except BadSignature:
                pass  # the secrets may have changed a moment ago
        async with self._db.read(platform) as scope:
            credentials = await webhook_credentials(self._vault, scope)
        if credentials is None:
            raise UnknownEndpoint("platform", public_id("platform", platform))
        signer = Signer(verify_signature(raw, header, credentials.secrets, now))
        if len(self._credentials) >= _PLATFORMS_MAX:
            self._credentials.clear()
        self._credentials[platform] = (time.monotonic(), credentials)
        return credentials, signer

    async def _write(self, platform: PlatformId) -> None:
        """Writes what waits, batch after batch, until nothing does."""
        while batch := self._waiting[platform][:BATCH_MAX]:
            self._waiting[platform] = self._waiting[platform][BATCH_MAX:]
            try:
                stored = await self._store(platform, batch)
            except Exception as error:  # every caller gets it, and answers the provider with it
                for waiting in batch:
                    if not waiting.stored.done():
                        waiting.stored.set_exception(error)
                continue
            for waiting in batch:
                if not waiting.stored.done():
                    waiting.stored.set_result(waiting.event.id in stored)
                stored.discard(waiting.event.id)
        del self._waiting[platform]

    async def _store(self, platform: PlatformId, batch: list[_Waiting]) -> set[str]:
        async with self._db.write(platform) as scope:
            parked = {waiting.event.id: waiting.parked for waiting in batch if waiting.parked}
            stored = await inbox.store(scope, [(waiting.event, waiting.raw) for waiting in batch], parked=parked)
            if stored - parked.keys():
                await outbox.enqueue(scope, HANDLER, str(platform))
        for id in stored & parked.keys():
            log.error("event parked", id=id, reason=parked[id])
        return stored


def _reason_to_park(event: ProviderEvent) -> str | None:
    """Our endpoints are registered with our version, so another one shows that somebody changed them."""
    if knows_version(event.api_version):
        return None
    theirs = (event.api_version or "")[:SHOWN_MAX]
    return (
        f"Its api_version {theirs!r} is not ours ({API_VERSION}): look at the webhook endpoint at the provider, then"
        " replay the event."
    )
