"""What a resolver knows about its request."""

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

import strawberry

from marketbill.actor import Actor
from marketbill.db import ReadScope
from marketbill.errors import Forbidden
from marketbill.ids import PlatformId
from marketbill.services import Services
from marketbill_graphql.loading import Batch, Loader, Reader

Answer = TypeVar("Answer")
ActorBatch = Callable[[ReadScope, Actor, Sequence[Any]], Awaitable[Mapping[Any, Any]]]


class Context:
    """The verified caller, the services, and this operation's reads."""

    def __init__(self, services: Services, actor: Actor, *, request_id: str, shared_reads: bool) -> None:
        self.services = services
        self.actor = actor
        self.request_id = request_id
        self._shared_reads = shared_reads
        self._reader: Reader | None = None
        self._loaders: dict[Batch | ActorBatch, Loader[Any, Any]] = {}

    @property
    def platform(self) -> PlatformId:
        """The caller's tenant. Raises Forbidden for the bootstrap key, which has none."""
        if self.actor.platform is None:
            raise Forbidden("The bootstrap key belongs to no platform; use one of the platform's API keys.")
        return self.actor.platform

    async def read(self, work: Callable[[ReadScope], Awaitable[Answer]]) -> Answer:
        """The answer of `work`, given a read scope of the caller's platform."""
        return await self._reads()(work)

    def load(self, batch: Batch, key: Hashable) -> Awaitable[Any]:
        """The value of one key, fetched by `batch(scope, keys)` together with the others of its kind; None for none."""
        loader = self._loaders.get(batch)
        if loader is None:
            loader = self._loaders[batch] = Loader(batch, self._reads())
        return loader.load(key)

    def load_own(self, batch: ActorBatch, key: Hashable) -> Awaitable[Any]:
        """As `load`, for a `batch(scope, actor, keys)` that finds only what the actor may see."""
        loader = self._loaders.get(batch)
        if loader is None:
            actor = self.actor
            loader = self._loaders[batch] = Loader(lambda scope, keys: batch(scope, actor, keys), self._reads())
        return loader.load(key)

    async def close(self) -> None:
        """Ends the operation's reads, also those of fields that nobody waits for any more."""
        for loader in self._loaders.values():
            await loader.close()
        if self._reader is not None:
            await self._reader.close()

    def _reads(self) -> Reader:
        if self._reader is None:
            self._reader = Reader(self.services.db, self.platform, shared=self._shared_reads)
        return self._reader


Info = strawberry.Info[Context, None]
