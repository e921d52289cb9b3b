"""The webhook endpoint of a test: receives as the API does, or keeps events to deliver them in another order."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from marketbill import clock
from marketbill.errors import Refusal
from marketbill.ids import PlatformId, parse_id
from marketbill.services import Services
from marketbill.webhooks.receive import ReceiveResult, receive


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook as it came in."""

    platform: PlatformId
    raw: bytes
    signature: str | None

    @property
    def type(self) -> str:
        return orjson.loads(self.raw)["type"]


class Endpoint:
    """While `holding`, events are accepted but kept in `kept`; `deliver` hands them on later."""

    def __init__(self) -> None:
        self.services: Services | None = None
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
        db, vault = self.services.db, self.services.vault
        return await receive(db, vault, delivery.platform, delivery.raw, delivery.signature, clock.now())

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
