"""Idempotency keys: a client's request has one outcome, however often it is sent.

The key's row is inserted in the caller's transaction. A mutation that lives in one transaction is therefore atomic with
its key: a second request waits for the first and then gets its outcome. A mutation that leaves its transaction to ask
the provider commits the claim first, with what it begins, and finishes later; if its process dies, the next request
takes over after `LEASE`.
"""

import hashlib
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Uuid, bindparam, select, text, update

from marketbill.db import Database, SystemScope, WriteScope
from marketbill.errors import IdempotencyConflict, InvalidInput, Refusal
from marketbill.idempotency.model import idempotency_key
from marketbill.ids import PlatformId
from marketbill.prepared import prepared
from marketbill.text import check_usable

KEY_LENGTH_MAX = 255
#: So long the first request is believed to be under way.
LEASE = timedelta(seconds=60)
#: So long a key is remembered.
KEPT = timedelta(hours=48)
PRUNE_LIMIT = 5_000


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run a request, or, when `replay` is set, its outcome from the first time.

    `subject_id` is what an earlier try began, when this one takes over from it.
    """

    actor: str
    operation: str
    key: str
    replay: dict[str, Any] | None = None
    subject_id: UUID | None = None
    taken_over: bool = False


_INSERT = prepared(
    text(
        """
    insert into idempotency_key (platform_id, actor, operation, key, body_hash, subject_id, claimed_at)
    values (:platform, :actor, :operation, :key, :body_hash, :subject, :now)
    on conflict do nothing
    """
    ).bindparams(bindparam("subject", type_=Uuid))
)
_THIS = (
    (idempotency_key.c.platform_id == bindparam("platform"))
    & (idempotency_key.c.actor == bindparam("by"))
    & (idempotency_key.c.operation == bindparam("what"))
    & (idempotency_key.c.key == bindparam("named"))
)
_LOCK = prepared(select(idempotency_key).where(_THIS).with_for_update())
_TAKE_OVER = update(idempotency_key).where(_THIS).values(claimed_at=bindparam("now"))
_FINISH = prepared(
    update(idempotency_key)
    .where(_THIS)
    .values(outcome=bindparam("result", type_=idempotency_key.c.outcome.type), finished_at=bindparam("now"))
)
_RELEASE = (
    update(idempotency_key).where(_THIS, idempotency_key.c.finished_at.is_(None)).values(claimed_at=bindparam("at"))
)
_PRUNE = text(
    """
    delete from idempotency_key k using (
      select platform_id, actor, operation, key from idempotency_key
      where claimed_at < :before order by claimed_at limit :limit
    ) old
    where (k.platform_id, k.actor, k.operation, k.key) = (old.platform_id, old.actor, old.operation, old.key)
    """
)


async def claim(
    scope: WriteScope,
    *,
    actor: str,
    operation: str,
    key: str,
    body: bytes | Mapping[str, Any],
    begins: UUID | None = None,
) -> Claim:
    """Claims the key for this request. `actor` and `operation` are part of its name: keys of two callers never meet.

    `begins` is what this request will make, for a mutation that leaves its transaction: whoever takes over after a
    crash finds it as the claim's `subject_id`. Raises IdempotencyConflict when the key came with another body, or while
    its first request is under way.
    """
    if not 1 <= len(key) <= KEY_LENGTH_MAX:
        raise InvalidInput(
            "An idempotency key has 1 to 255 characters.", path=("idempotencyKey",), constraint="1..255 characters"
        )
    check_usable(key, path=("idempotencyKey",))
    mine = Claim(actor, operation, key)
    hashed = body_hash(body)
    values = {"platform": scope.platform, "actor": actor, "operation": operation, "key": key, "now": scope.now}
    if await scope.run(_INSERT, {**values, "body_hash": hashed, "subject": begins}) == 1:
        return mine
    row = await scope.first(_LOCK, _of(scope, mine))
    if row is None:  # forgotten between the two statements; the client's next try inserts it
        raise _under_way()
    if bytes(row.body_hash) != hashed:
        raise IdempotencyConflict(
            "This idempotency key was used with another request: use a new key for a new request.", in_progress=False
        )
    if row.outcome is not None:
        return Claim(actor, operation, key, replay=row.outcome, subject_id=row.subject_id)
    if row.claimed_at > scope.now - LEASE:
        raise _under_way()
    await scope.run(_TAKE_OVER, {**_of(scope, mine), "now": scope.now})
    return Claim(actor, operation, key, subject_id=row.subject_id, taken_over=True)


async def finish(scope: WriteScope, claim: Claim, outcome: Mapping[str, Any]) -> None:
    """Stores the outcome (JSON) that every later request with this key gets."""
    await scope.run(_FINISH, {**_of(scope, claim), "result": dict(outcome), "now": scope.now})


async def release(scope: WriteScope, claim: Claim) -> None:
    """Ends this attempt without an outcome: the same request may be sent again at once, and goes on from there."""
    await scope.run(_RELEASE, {**_of(scope, claim), "at": scope.now - LEASE})


@asynccontextmanager
async def attempt(db: Database, claim: Claim, platform: PlatformId) -> AsyncGenerator[None]:
    """For what asks the provider outside of a transaction: when it is refused, the key is released at once."""
    try:
        yield
    except Refusal:
        async with db.write(platform) as scope:
            await release(scope, claim)
        raise


async def prune(scope: SystemScope, *, older_than: timedelta = KEPT, limit: int = PRUNE_LIMIT) -> int:
    """Deletes up to `limit` keys that nobody need remember; gives their number."""
    pruned = await scope.connection.execute(_PRUNE, {"before": scope.now - older_than, "limit": limit})
    return pruned.rowcount


def body_hash(body: bytes | Mapping[str, Any]) -> bytes:
    """SHA-256 of the body; of a mapping, of its canonical JSON (keys sorted), so that field order does not matter."""
    return hashlib.sha256(body if isinstance(body, bytes) else _canonical(body)).digest()


def _canonical(body: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(body, option=orjson.OPT_SORT_KEYS, default=str)
    except TypeError:
        # A number beyond 64 bits or half a surrogate pair: whoever reads the field refuses it by its name.
        return json.dumps(body, sort_keys=True, default=str).encode()


def _of(scope: WriteScope, claim: Claim) -> dict[str, Any]:
    return {"platform": scope.platform, "by": claim.actor, "what": claim.operation, "named": claim.key}


def _under_way() -> IdempotencyConflict:
    return IdempotencyConflict(
        "The first request with this idempotency key is still under way; try again in a moment.", in_progress=True
    )
