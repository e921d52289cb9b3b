"""The jobs that belong to no platform."""

from datetime import timedelta
from functools import partial

import pytest

from marketbill.db import Database
from marketbill.events import inbox
from marketbill.idempotency import keys
from marketbill.ids import PlatformId
from marketbill.provider.objects import ProviderEvent
from marketbill_workers.jobs import prune_old


class Services:
    """What pruning needs of them."""

    def __init__(self, db: Database) -> None:
        self.db = db


async def test_pruning_forgets_old_keys_and_events_in_batches_and_keeps_the_others(
    db: Database, platform: PlatformId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "PRUNE_LIMIT", 2)
    async with db.write(platform) as scope:
        recent, scope.now = scope.now, scope.now - inbox.KEPT - timedelta(hours=1)
        events = [ProviderEvent(f"evt_{n}", "x", None, scope.now, False, {"id": "x"}, None) for n in range(6)]
        await inbox.store(scope, [(event, b"{}") for event in events])
        await inbox.mark_handled(scope, [f"evt_{n}" for n in range(5)])
        await keys.claim(scope, actor="a", operation="old", key="k", body=b"")
        scope.now = recent
        await keys.claim(scope, actor="a", operation="new", key="k", body=b"")
    monkeypatch.setattr(inbox, "prune", partial(inbox.prune, limit=2))

    await prune_old(Services(db))  # pyright: ignore[reportArgumentType]

    async with db.write(platform) as scope:
        assert await inbox.known(scope, [f"evt_{n}" for n in range(6)]) == {"evt_5"}
        assert (await keys.claim(scope, actor="a", operation="old", key="k", body=b"")).replay is None
