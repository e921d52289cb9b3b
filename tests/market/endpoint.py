"""The webhook endpoint of a test: receives as the API does, or keeps events to deliver them in another order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from marketbill import clock
from marketbill.errors import Refusal
from marketbill.ids import PlatformId, parse_id
from marketbill.platforms.credentials import webhook_credentials
from marketbill.sandbox.webhooks import signature
from marketbill.services import Services
from marketbill.webhooks.receive import Receiver, ReceiveResult


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook as it came in."""

    platform: PlatformId
    raw: bytes
    signature: str | None

    @property
    def event(self) -> dict[str, Any]:
        return orjson.loads(self.raw)

    @property
    def type(self) -> str:
        return self.event["type"]


class Endpoint:
    """While `holding`, events are accepted but kept in `kept`; `deliver` hands them on later."""

    def __init__(self) -> None:
        self.services: Services | None = None
        self.receiver: Receiver | None = None
        self.holding = False
        self.kept: list[Delivery] = []
        #: What came in so far, handed on or kept.
        self.seen: list[Delivery] = []
        self.refused: list[Refusal] = []

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/webhooks/stripe/{platform}", self._hook, methods=["POST"])])

    async def deliver(self, deliveries: Sequence[Delivery]) -> list[ReceiveResult]:
        return [await self.receive(delivery) for delivery in deliveries]

    async def receive(self, delivery: Delivery) -> ReceiveResult:
        assert self.services is not None
        if self.receiver is None:
            self.receiver = Receiver(self.services.db, self.services.vault)
        return await self.receiver.receive(delivery.platform, delivery.raw, delivery.signature, clock.now())

    async def secrets(self, platform: PlatformId) -> tuple[str, str]:
        """The signing secrets that the platform keeps: of its own events, and of its connected accounts'."""
        assert self.services is not None
        async with self.services.db.read(platform) as scope:
            credentials = await webhook_credentials(self.services.vault, scope)
        assert credentials is not None
        return credentials.secrets

    async def signed(self, platform: PlatformId, event: Mapping[str, Any], *, at: int | None = None) -> Delivery:
        """An event as the provider would sign it for this platform, now or at another second."""
        raw = orjson.dumps(event)
        secret = (await self.secrets(platform))[1 if event.get("account") else 0]
        moment = int(clock.now().timestamp()) if at is None else at
        return Delivery(platform, raw, signature((secret,), raw, moment))

    async def _hook(self, request: Request) -> PlainTextResponse:
        platform = PlatformId(parse_id("platform", request.path_params["platform"]))
        delivery = Delivery(platform, await request.body(), request.headers.get("stripe-signature"))
        self.seen.append(delivery)
        if self.holding:
            self.kept.append(delivery)
            return PlainTextResponse("kept")
        try:
            return PlainTextResponse(await self.receive(delivery))
        except Refusal as refusal:
            self.refused.append(refusal)
            return PlainTextResponse(refusal.message, status_code=400)
