"""After the trouble: everybody is up, every question gets its answer, all waits run out, and nothing moves any more."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import aiohttp
import asyncpg
import redis
from machine import admin

from marketbill.db import Database
from marketbill.demo.sandbox import SandboxControl
from marketbill.embedded.stack import Stack
from turmoil.traders import Traders, Wish
from turmoil.troubles import LONGEST_WAIT, OPEN_LEASES, insist, move_clocks

#: Leases, then retries, then the provider's funds and payouts; holds of an account last a week.
_WAITS = (
    *[timedelta(seconds=200)] * 3,
    *[timedelta(minutes=20)] * 3,
    *[timedelta(hours=2)] * 3,
    *[timedelta(hours=9)] * 2,
    *[timedelta(days=1)] * 9,
)
#: For a brief run: few things failed often enough to wait for hours.
_WAITS_BRIEF = (
    *[timedelta(seconds=200)] * 2,
    *[timedelta(minutes=20)] * 2,
    *[timedelta(hours=5)] * 2,
    *[timedelta(days=3)] * 3,
)
STEPS = len(_WAITS) + 2
_ANSWERS_ROUNDS_MAX = 60
#: A rest is believed when it has lasted as long.
_STILL_SECONDS = 0.3
_REST_SECONDS_MAX = 90.0
_OWED = """
select (select count(*) from outbox_message where available_at <= :now)
     + (select count(*) from inbox_event where next_attempt_at <= :now)
     + (select count(*) from provider_intent where next_attempt_at <= :now)
     + (select count(*) from schedule where next_due_at <= :now)
""".replace(":now", "now() + make_interval(secs => (select coalesce(sum(shift_seconds), 0) from test_clock))")


class NoRest(Exception):
    """The machine goes on and on; the text says with what."""


async def come_to_rest(
    stack: Stack,
    db: Database,
    sandbox: SandboxControl,
    traders: Traders,
    step: Callable[[str], None],
    *,
    brief: bool,
) -> list[Wish]:
    """Gives the wishes that never got an answer: there must be none. Raises NoRest."""
    step("everybody is up again")
    await _healthy(stack)
    step("every question gets its answer")
    wait = OPEN_LEASES
    for _ in range(_ANSWERS_ROUNDS_MAX):
        if not await traders.ask_again():
            break
        await move_clocks(db, sandbox, wait)
        wait = min(wait * 2, LONGEST_WAIT)
    connection = await admin(stack)
    try:
        await _last_words(connection, stack, traders, sandbox)
        for wait in _WAITS_BRIEF if brief else _WAITS:
            step(f"waiting {wait} of the platforms' time")
            await rest(connection, stack)
            await move_clocks(db, sandbox, wait)
        await rest(connection, stack)
    finally:
        await connection.close()
    return [wish for wish in traders.wishes if not wish.ended]


async def _healthy(stack: Stack) -> None:
    async def ask() -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
            for url in (f"{stack.api_url}/ready", f"{stack.sandbox_url}/_sandbox/health"):
                async with http.get(url) as response:
                    response.raise_for_status()

    await insist(ask)


async def _last_words(connection: asyncpg.Connection, stack: Stack, traders: Traders, sandbox: SandboxControl) -> None:
    """Sellers complete their onboarding, and who has not paid yet is not waited for."""
    await rest(connection, stack)
    accounts = await connection.fetch("select provider_account from seller where transfers <> 'ACTIVE'")
    for row in accounts:
        if row["provider_account"] is not None:
            await sandbox.complete(row["provider_account"])
    canceled = {wish.input["id"] for wish in traders.wishes if wish.operation == "paymentCancel" and wish.answer}
    waiting = [
        wish.answer["payment"]["id"]
        for wish in traders.wishes
        if wish.operation == "paymentCreate" and wish.answer and "paymentMethodToken" not in wish.input
    ]
    for id in waiting:
        if id not in canceled:
            await traders.insist(traders.wish("paymentCancel", id=id))


async def rest(connection: asyncpg.Connection, stack: Stack) -> None:
    """Waits until nothing is owed, due, queued or undelivered for a while."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _REST_SECONDS_MAX
    client: Any = redis.Redis.from_url(stack.running.broker_url)
    still_since: float | None = None
    async with SandboxControl(stack.sandbox_url or "") as sandbox:
        while True:
            stack.check()
            owed = await connection.fetchval(_OWED)
            queued = await asyncio.to_thread(client.hlen, "marketbill:marketbill.msgs")
            pending = await sandbox.deliveries_pending()
            if owed or queued or pending:
                still_since = None
                if loop.time() > until:
                    raise NoRest(f"{owed} things are owed, {queued} jobs queued, {pending} events not delivered")
            else:
                still_since = still_since or loop.time()
                if loop.time() - still_since > _STILL_SECONDS:
                    break
            await asyncio.sleep(0.05)
    client.close()
