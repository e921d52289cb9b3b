"""Delivery of events to webhook endpoints: signed, several at once, again after a failure, over restarts.

Stripe repeats what was not accepted for three days live, and three times within hours in a sandbox. Here the waits are
short, so that a story need not last that long, and by the sandbox's clock: moving it forward brings them along.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import time
from contextlib import suppress
from dataclasses import dataclass

import aiohttp

from marketbill.sandbox.deliveries import OLD_SECRET, Attempt, keep_attempts, let_go
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.wire import Doc, new_secret

log = logging.getLogger(__name__)

CONCURRENCY_MAX = 16
#: How many deliveries are taken from the table at once.
BATCH_MAX = 128
TIMEOUT_SECONDS = 20
#: Seconds of the sandbox's clock until the next attempt, by attempts made. After the last one the delivery has failed.
RETRY_SECONDS = (1, 5, 30, 120, 600, 1800, 3600)
#: Longest rest of the loop, in seconds, when nothing wakes it: due work of real time is looked at this often.
REST_SECONDS_MAX = 1.0
REASON_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one endpoint."""

    id: int
    attempts: int
    endpoint: str
    url: str
    #: What it is signed with: two secrets for a while after a new one was made.
    secrets: tuple[str, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Result:
    """What came of an attempt: the HTTP status, or why there was none."""

    delivery: Delivery
    status: int | None
    reason: str | None
    seconds: float

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def signature(secrets: tuple[str, ...], body: bytes, moment: int) -> str:
    """Return the ``Stripe-Signature`` header of a body sent at a moment, one ``v1`` for each secret."""
    signed = f"{moment}.".encode() + body
    digests = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={moment}", *(f"v1={digest}" for digest in digests)])


def _secrets(endpoint: Doc, *, old: bool, now: int) -> tuple[str, ...]:
    """Return what a delivery is signed with; with ``old``, the secret of before, or one that nobody knows."""
    before = endpoint.get("_old_secret")
    if old:
        return (before or new_secret("whsec_"),)
    if before is not None and now < endpoint["_old_secret_until"]:
        return (endpoint["_secret"], before)
    return (endpoint["_secret"],)


class Courier:
    """Delivers what is pending and does what is due, until it is stopped. Not for more than one loop."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._stopping = False
        self._slots = asyncio.Semaphore(CONCURRENCY_MAX)
        #: Deliveries being attempted now.
        self._busy: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._results: list[Result] = []
        #: When what waits for its next attempt was signed last.
        self._signed_at: dict[int, int] = {}

    async def run(self) -> None:
        """Work until :meth:`stop`; one session with kept connections serves every attempt."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        connector = aiohttp.TCPConnector(limit=CONCURRENCY_MAX, keepalive_timeout=30)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector, auto_decompress=False) as session:
            while not self._stopping:
                self._desk.wake.clear()
                try:
                    busy = self._desk.schedule.run(self._desk.clock.now()) > 0
                    self._record()
                    await self._desk.store.committed()
                    self._start(session)
                except Exception:
                    # One broken entry must not end delivery for everything else.
                    log.exception("sandbox courier could not do its round")
                    await asyncio.sleep(REST_SECONDS_MAX)
                    continue
                if busy:
                    await asyncio.sleep(0)
                    continue
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._desk.wake.wait(), self._rest())
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._record()

    def stop(self) -> None:
        self._stopping = True
        self._desk.wake.set()

    def _rest(self) -> float:
        """Return how long nothing can be due: until the next retry, at most a second."""
        now = self._desk.clock.precise()
        row = self._desk.store.db.execute(
            "SELECT min(next_at) FROM deliveries WHERE state = 'pending' AND next_at > ?", (now,)
        ).fetchone()
        if row[0] is None:
            return REST_SECONDS_MAX
        return min(REST_SECONDS_MAX, max(0.01, row[0] - now))

    def _start(self, session: aiohttp.ClientSession) -> None:
        if len(self._busy) > BATCH_MAX // 2:
            # Enough to do; those under way come first in the table, so a small batch would hold only them.
            return
        rows = self._desk.store.db.execute(
            "SELECT d.id, d.attempts, d.event, d.endpoint, d.trouble FROM deliveries d "
            "WHERE d.state = 'pending' AND d.next_at <= ? ORDER BY d.next_at, d.id LIMIT ?",
            (self._desk.clock.precise(), BATCH_MAX),
        ).fetchall()
        for identifier, attempts, event, endpoint_id, trouble in rows:
            if identifier in self._busy:
                continue
            endpoint = self._desk.store.find("webhook_endpoint", endpoint_id)
            stored = self._desk.store.db.execute("SELECT doc FROM events WHERE id = ?", (event,)).fetchone()
            if endpoint is None or endpoint["status"] != "enabled" or stored is None:
                with self._desk.store.transaction():
                    self._desk.store.db.execute(
                        "UPDATE deliveries SET state = 'failed', reason = 'endpoint gone or disabled' WHERE id = ?",
                        (identifier,),
                    )
                continue
            old = trouble == OLD_SECRET and attempts == 0
            secrets = _secrets(endpoint, old=old, now=self._desk.clock.now())
            delivery = Delivery(identifier, attempts, endpoint_id, endpoint["url"], secrets, stored[0])
            self._busy.add(identifier)
            task = asyncio.create_task(self._attempt(session, delivery))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _attempt(self, session: aiohttp.ClientSession, delivery: Delivery) -> None:
        async with self._slots:
            status: int | None = None
            reason: str | None = None
            begun = time.monotonic()
            # A repetition within the same second is dated with the next: every attempt has a signature of its own.
            moment = max(int(time.time()), self._signed_at.get(delivery.id, 0) + 1)
            self._signed_at[delivery.id] = moment
            headers = {
                "Content-Type": "application/json; charset=utf-8",
                "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
                "Stripe-Signature": signature(delivery.secrets, delivery.body, moment),
            }
            try:
                async with session.post(
                    delivery.url, data=delivery.body, headers=headers, allow_redirects=False
                ) as response:
                    await response.content.read(1024)
                    status = response.status
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                reason = f"{type(error).__name__}: {error}"[:REASON_LENGTH_MAX]
        self._results.append(Result(delivery, status, reason, time.monotonic() - begun))
        if len(self._results) in (CONCURRENCY_MAX, len(self._busy)):
            # Results are written several at once; the loop's own rest bounds how long the last ones wait.
            self._desk.wake.set()

    def _record(self) -> None:
        """Write what came of the attempts since the last time, in one transaction."""
        if not self._results:
            return
        results, self._results = self._results, []
        store, now = self._desk.store, self._desk.clock.precise()
        with store.transaction():
            for result in results:
                attempts = result.delivery.attempts + 1
                state, next_at = "delivered", 0.0
                if not result.delivered:
                    again = attempts <= len(RETRY_SECONDS)
                    state = "pending" if again else "failed"
                    next_at = now + RETRY_SECONDS[attempts - 1] if again else 0.0
                store.db.execute(
                    "UPDATE deliveries SET state = ?, attempts = ?, next_at = ?, answered = ?, reason = ? "
                    "WHERE id = ? AND state = 'pending'",
                    (state, attempts, next_at, result.status, result.reason, result.delivery.id),
                )
                if state != "pending":
                    self._signed_at.pop(result.delivery.id, None)
                if result.delivered:
                    let_go(store, result.delivery.endpoint, after=result.delivery.id)
            keep_attempts(
                store,
                [Attempt(one.delivery.id, int(now), one.status, one.reason, one.seconds) for one in results],
            )
        self._busy.difference_update(result.delivery.id for result in results)
