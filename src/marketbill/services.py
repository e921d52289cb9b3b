"""What a use case works with, made once per process and passed in: no globals, nothing imported for its effects."""

import time
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from marketbill.actor import Actor
from marketbill.config import Settings
from marketbill.crypto import Vault
from marketbill.db import Database
from marketbill.provider.port import Provider
from marketbill.provider.stripe import connect

#: Seconds for which another process may still accept an API key that was revoked in this one.
KEY_FRESH_SECONDS = 2.0
_REMEMBERED_MAX = 10_000


class VerifiedKeys:
    """API keys that were verified a moment ago, by hash: a busy key does not cost a transaction per request."""

    def __init__(self) -> None:
        self._seen: dict[bytes, tuple[float, UUID, Actor]] = {}

    def get(self, secret_hash: bytes) -> Actor | None:
        seen = self._seen.get(secret_hash)
        return seen[2] if seen and time.monotonic() - seen[0] < KEY_FRESH_SECONDS else None

    def put(self, secret_hash: bytes, key_id: UUID, actor: Actor) -> None:
        if len(self._seen) >= _REMEMBERED_MAX:
            self._seen.clear()
        self._seen[secret_hash] = (time.monotonic(), key_id, actor)

    def forget(self, key_id: UUID) -> None:
        """Forgets a key that was just revoked."""
        self._seen = {secret: seen for secret, seen in self._seen.items() if seen[1] != key_id}


@dataclass(slots=True)
class Services:
    """The database, the vault and the provider clients of one process (of one event loop). `close` when done."""

    settings: Settings
    db: Database
    vault: Vault
    keys: VerifiedKeys = field(default_factory=VerifiedKeys)
    _providers: dict[str, Provider] = field(default_factory=dict)

    @classmethod
    def create(cls, settings: Settings, *, application: str = "marketbill") -> Self:
        database = Database(
            settings.database_url.get_secret_value(),
            pool_size=settings.database_pool_size,
            application=application,
        )
        return cls(settings, database, Vault(settings.marketbill_secret_key.get_secret_value()))

    def provider(self, secret_key: str) -> Provider:
        """The provider's client for one secret key; one per key and process, connections are kept."""
        provider = self._providers.get(secret_key)
        if provider is None:
            if len(self._providers) >= _REMEMBERED_MAX:
                self._providers.clear()
            provider = self._providers[secret_key] = connect(secret_key, self.settings.provider_base_url)
        return provider

    async def close(self) -> None:
        for provider in self._providers.values():
            await provider.close()
        await self.db.dispose()
