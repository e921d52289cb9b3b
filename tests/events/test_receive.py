"""Receiving a webhook: what is kept, what is refused, and that the job is owed with it."""

import asyncio
from datetime import timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import insert, text, update
from stripe import WebhookSignature

from marketbill import clock
from marketbill.crypto import Vault
from marketbill.db import Database
from marketbill.events import inbox, outbox
from marketbill.events.outbox import Job
from marketbill.ids import PlatformId
from marketbill.platforms.model import provider_credential
from marketbill.webhooks.receive import BadEvent, BadSignature, Receiver, ReceiveResult, UnknownEndpoint

VAULT = Vault("a master key of the tests, 32 letters or more")
PLATFORM_SECRET, CONNECT_SECRET = "whsec_platform", "whsec_connect"


@pytest.fixture
async def connected(db: Database, platform: PlatformId) -> PlatformId:
    """A platform with provider credentials."""

    def seal(column: str, value: str) -> str:
        return VAULT.encrypt(value, context=f"{platform}:provider_credential:{column}")

    async with db.write(platform) as scope:
        await scope.run(
            text(
                "insert into platform (platform_id, name, country, default_currency, fee_tax_rate, hold_from,"
                " hold_days, created_at, updated_at)"
                " values (:platform, 'Market', 'NL', 'EUR', 21, 'CAPTURE', 0, :now, :now)"
            ),
            {"platform": platform, "now": scope.now},
        )
        await scope.run(
            insert(provider_credential),
            {
                "platform_id": platform,
                "secret_key": seal("secret_key", "sk_test_1"),
                "secret_key_hint": "st_1",
                "webhook_secret": seal("webhook_secret", PLATFORM_SECRET),
                "connect_webhook_secret": seal("connect_webhook_secret", CONNECT_SECRET),
                "provider_account": "acct_1",
                "livemode": False,
                "created_at": scope.now,
                "updated_at": scope.now,
            },
        )
    return platform


def event(id: str = "evt_1", **fields: Any) -> bytes:
    return orjson.dumps(
        {
            "object": "event",
            "id": id,
            "type": "payment_intent.succeeded",
            "created": int(clock.now().timestamp()),
            "livemode": False,
            "data": {"object": {"id": "pi_1"}},
            **fields,
        }
    )


async def deliver(
    db: Database, platform: PlatformId, raw: bytes, *, secret: str = PLATFORM_SECRET, late: timedelta = timedelta(0)
) -> ReceiveResult:
    now = clock.now()
    header = WebhookSignature.generate_signature_header(raw.decode(), secret, timestamp=int(now.timestamp()))
    return await Receiver(db, VAULT).receive(platform, raw, header, now + late)


async def owed(db: Database) -> list[Job]:
    jobs: list[Job] = []
    async with db.system() as scope:
        await outbox.relay(scope, jobs.extend)
    return jobs


async def test_an_event_is_kept_raw_and_its_job_is_owed(db: Database, connected: PlatformId) -> None:
    raw = event()
    assert await deliver(db, connected, raw) is ReceiveResult.STORED
    async with db.write(connected) as scope:
        [kept] = await inbox.claim(scope, 10)
    assert (kept.id, kept.type, kept.object_id, kept.raw) == ("evt_1", "payment_intent.succeeded", "pi_1", raw)
    assert await owed(db) == [Job("handle_events", (str(connected),))]


async def test_a_duplicate_is_accepted_and_changes_nothing(db: Database, connected: PlatformId) -> None:
    await deliver(db, connected, event())
    await owed(db)
    assert await deliver(db, connected, event()) is ReceiveResult.DUPLICATE
    assert await owed(db) == []


async def test_a_burst_is_kept_once_each_in_a_few_transactions(db: Database, connected: PlatformId) -> None:
    receiver, now = Receiver(db, VAULT), clock.now()
    commits: list[object] = []
    sqlalchemy_event.listen(db.app.sync_engine, "commit", commits.append)

    async def arrive(raw: bytes) -> ReceiveResult:
        header = WebhookSignature.generate_signature_header(
            raw.decode(), PLATFORM_SECRET, timestamp=int(now.timestamp())
        )
        return await receiver.receive(connected, raw, header, now)

    await arrive(event("evt_first"))
    commits.clear()
    burst = [event(f"evt_{number % 40}") for number in range(60)]
    results = await asyncio.gather(*(arrive(raw) for raw in burst))
    assert results.count(ReceiveResult.STORED) == 40
    assert results.count(ReceiveResult.DUPLICATE) == 20
    assert len(commits) <= 3
    async with db.write(connected) as scope:
        assert len(await inbox.claim(scope, 100)) == 41


async def test_a_secret_that_was_changed_a_moment_ago_is_known(db: Database, connected: PlatformId) -> None:
    receiver, now = Receiver(db, VAULT), clock.now()
    for number, secret in enumerate((PLATFORM_SECRET, "whsec_new")):
        raw = event(f"evt_{number}")
        header = WebhookSignature.generate_signature_header(raw.decode(), secret, timestamp=int(now.timestamp()))
        assert await receiver.receive(connected, raw, header, now) is ReceiveResult.STORED
        sealed = VAULT.encrypt("whsec_new", context=f"{connected}:provider_credential:webhook_secret")
        async with db.write(connected) as scope:
            await scope.run(update(provider_credential).values(webhook_secret=sealed))


async def test_events_of_connected_accounts_come_under_their_own_secret(db: Database, connected: PlatformId) -> None:
    raw = event(type="payout.paid", account="acct_seller")
    assert await deliver(db, connected, raw, secret=CONNECT_SECRET) is ReceiveResult.STORED
    async with db.write(connected) as scope:
        [kept] = await inbox.claim(scope, 10)
    assert kept.account == "acct_seller"


async def test_an_event_that_we_did_not_ask_for_is_accepted_and_not_kept(db: Database, connected: PlatformId) -> None:
    assert await deliver(db, connected, event(type="invoice.paid")) is ReceiveResult.IGNORED
    assert await owed(db) == []


async def test_what_is_not_signed_now_by_our_provider_is_refused(db: Database, connected: PlatformId) -> None:
    with pytest.raises(BadSignature):
        await deliver(db, connected, event(), secret="whsec_other")
    with pytest.raises(BadSignature):
        await deliver(db, connected, event(), late=timedelta(minutes=10))
    with pytest.raises(BadSignature):
        await Receiver(db, VAULT).receive(connected, event(), None, clock.now())
    assert await owed(db) == []


@pytest.mark.parametrize("raw", [b"{}", b"no json", event(livemode=True)], ids=["nothing", "text", "live"])
async def test_what_is_signed_but_no_event_of_ours_is_refused(db: Database, connected: PlatformId, raw: bytes) -> None:
    with pytest.raises(BadEvent):
        await deliver(db, connected, raw)
    assert await owed(db) == []


async def test_nobody_listens_at_an_unknown_platform(db: Database, platform: PlatformId) -> None:
    with pytest.raises(UnknownEndpoint):
        await deliver(db, platform, event())
