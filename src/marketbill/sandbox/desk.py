"""The desk: everything a request handler or due work needs, handed over in one piece."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from marketbill.sandbox.clock import SandboxClock
from marketbill.sandbox.faults import Faults
from marketbill.sandbox.schedule import Schedule, Work
from marketbill.sandbox.store import Store
from marketbill.sandbox.wire import Doc


@dataclass(frozen=True, slots=True)
class Origin:
    """The API request that caused an event."""

    request_id: str
    idempotency_key: str | None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Which events a webhook endpoint wants."""

    id: str
    connect: bool
    api_version: str
    enabled_events: frozenset[str]

    def wants(self, event_type: str) -> bool:
        return "*" in self.enabled_events or event_type in self.enabled_events


class Desk:
    """State, time, faults and due work of one sandbox, and who is asking at the moment."""

    def __init__(self, state_path: Path | None, *, base_url: str, work: dict[str, Work]) -> None:
        self.base_url = base_url.rstrip("/")
        self.store = Store(state_path)
        self.clock = SandboxClock(self.store)
        self.faults = Faults(self.store)
        self.schedule = Schedule(self, work)
        #: The request being answered, or None while due work is done.
        self.origin: Origin | None = None
        #: Set when there may be something to deliver or to do.
        self.wake = asyncio.Event()
        #: When each account's available balance was last told, by ``balance.available`` for funds that skip pending.
        self.told: dict[str, int] = {}
        self.store.on_rollback.append(self.told.clear)
        self._endpoints: dict[str, list[Endpoint]] = {}
        self.store.on_rollback.append(self.forget_endpoints)

    def platform_of(self, account: str) -> str:
        """Return the platform that an account is connected to; a platform is its own."""
        found = self.store.kind_and_account(account)
        if found is None or found[0] != "account":
            raise LookupError(f"account {account} is not in the sandbox state")
        return found[1]

    def forget_endpoints(self) -> None:
        self._endpoints.clear()

    def endpoints(self, platform: str) -> list[Endpoint]:
        """Return the enabled webhook endpoints of a platform."""
        known = self._endpoints.get(platform)
        if known is None:
            known = [
                _endpoint(doc)
                for doc in self.store.select("webhook_endpoint", platform, order="ASC", limit=100)
                if doc["status"] == "enabled"
            ]
            self._endpoints[platform] = known
        return known


def _endpoint(doc: Doc) -> Endpoint:
    return Endpoint(
        id=doc["id"],
        connect=doc["_connect"],
        api_version=doc["api_version"],
        enabled_events=frozenset(doc["enabled_events"]),
    )
