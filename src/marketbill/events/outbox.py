"""The outbox: jobs that a transaction owes. They are committed with the facts, so a crash loses neither or both.

`enqueue` is for the use cases; `relay` is for the loop that hands them to the broker, at least once.

Messages carry no work, so their order decides nothing: a job says "look at this platform", and what it finds there is
ordered by its own tables. They are handed on in the order in which they fell due and were owed (`available_at`, `id`),
so a platform's jobs keep the order of its transactions as long as one relay runs; equal jobs of one look are one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ARRAY, Uuid, bindparam, insert, text

from marketbill.db import SystemScope, WriteScope
from marketbill.events.model import outbox_message
from marketbill.ids import PlatformId, new_id
from marketbill.prepared import prepared

TAKE_LIMIT = 500

_INSERT = insert(outbox_message)
_INSERT_ONE = prepared(
    insert(outbox_message).values({column.name: bindparam(column.name) for column in outbox_message.c})
)
_TAKE = text(
    """
    select platform_id, id, actor, arguments from outbox_message
    where available_at <= :now order by available_at, id limit :limit
    for update skip locked
    """
).columns(*(outbox_message.c[name] for name in ("platform_id", "id", "actor", "arguments")))
_DELETE = text(
    """
    delete from outbox_message m
    using unnest(cast(:platforms as uuid[]), cast(:ids as uuid[])) as sent (platform_id, id)
    where m.platform_id = sent.platform_id and m.id = sent.id
    """
).bindparams(bindparam("platforms", type_=ARRAY(Uuid)), bindparam("ids", type_=ARRAY(Uuid)))


@dataclass(frozen=True, slots=True)
class Job:
    """What the broker is told: the actor's name and its arguments, all text. Equal jobs are one job."""

    actor: str
    arguments: tuple[str, ...]


async def enqueue(scope: WriteScope, actor: str, *arguments: str, after: timedelta | None = None) -> None:
    """Owes a job from `after` on (default: at once). It may run more than once, and equal jobs may be run as one."""
    await scope.run(_INSERT_ONE, _row(scope.platform, actor, arguments, scope.now, after))


async def enqueue_for(
    scope: SystemScope, jobs: Sequence[tuple[PlatformId, str, tuple[str, ...]]], *, after: timedelta | None = None
) -> None:
    """The same for a system loop: many jobs, each of its own platform."""
    if jobs:
        rows = [_row(platform, actor, arguments, scope.now, after) for platform, actor, arguments in jobs]
        await scope.connection.execute(_INSERT, rows)


async def relay(scope: SystemScope, send: Callable[[Sequence[Job]], Any], limit: int = TAKE_LIMIT) -> int:
    """Takes due messages, gives the distinct jobs among them to `send` (which may be async), deletes them.

    Gives the number of messages taken. If `send` raises, the transaction ends without the deletion and they stay.
    """
    values = {"now": scope.now, "limit": limit}
    taken = (await scope.connection.execute(_TAKE, values)).all()
    if not taken:
        return 0
    sent = send(list(dict.fromkeys(Job(row.actor, tuple(row.arguments)) for row in taken)))
    if sent is not None:
        await sent
    ids = {"platforms": [row.platform_id for row in taken], "ids": [row.id for row in taken]}
    await scope.connection.execute(_DELETE, ids)
    return len(taken)


def _row(
    platform: PlatformId, actor: str, arguments: Sequence[str], now: datetime, after: timedelta | None
) -> dict[str, Any]:
    return {
        "platform_id": platform,
        "id": new_id(),
        "actor": actor,
        "arguments": list(arguments),
        "available_at": now + after if after else now,
        "created_at": now,
    }
