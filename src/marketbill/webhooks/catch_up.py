"""Catching up: events that no webhook brought are taken from the provider's list of its last 30 days.

The list is walked down from its newest event to the last one of the walk before, and every id is compared with the
inbox: that the provider counts an event as delivered proves nothing, for our endpoint may have been gone, or the
database may be an older copy. The newest page is nearly always all there is. A long walk is spread over many jobs, each
of which goes on where the one before came to; only at its end does the cursor move.

What is found goes into the inbox as a webhook of it would, unique by its id. The provider lists events in the version
of its account, not in that of our endpoints; of such an event only ids are believed (`provider.stripe.facts`).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import bindparam, select, text

from marketbill.db import WriteScope
from marketbill.errors import Unavailable, told
from marketbill.events import cursor as cursors
from marketbill.events import inbox, outbox
from marketbill.events.cursor import OWN, Cursor, Walk
from marketbill.ids import PlatformId
from marketbill.platforms.credentials import provider_of
from marketbill.platforms.model import provider_credential
from marketbill.provider.objects import ProviderEvent
from marketbill.provider.port import BadEvent, ListedEvent, Provider
from marketbill.provider.stripe import CONNECT_TYPES, PLATFORM_TYPES, parse_event
from marketbill.services import Services
from marketbill.webhooks.receive import HANDLER

#: The jobs' names: a look at every list, and going on with the long ones.
CATCH_UP = "catch_up_events"
GO_ON = "go_on_catching_up"
#: What the provider keeps.
KEPT = timedelta(days=30)
#: Events appear in the list a little after their time, so each walk ends this much before the newest of the last one.
OVERLAP = timedelta(minutes=5)
#: Events in the first look, and in each of the next ones of a walk.
PAGE = 100
LIST_MAX = 1_000
#: Events have times of whole seconds, so a second is listed at once; one of more events is an error.
SECOND_MAX = 16_000
#: A job that has listed so many leaves the rest of the walk to another, after this.
JOB_MAX = 20_000
GOES_ON_AFTER = timedelta(seconds=10)
#: Connected accounts looked through in one job, those that waited longest first, and how many at once.
ACCOUNTS_MAX = 50
CALLS_MAX = 4

_CREDENTIAL = select(provider_credential.c.created_at, provider_credential.c.livemode).where(
    provider_credential.c.platform_id == bindparam("platform")
)
# Sellers about whom news may come that matter: who cannot receive yet, and who is being paid out. An account whose list
# cannot be read takes its turn like any other.
_ACCOUNTS = text(
    """
    select news.account from (
      select s.provider_account as account from seller s
      where s.platform_id = :platform and s.provider_account is not null and s.transfers <> 'ACTIVE'
        and s.created_at > :kept
      union
      select s.provider_account from payout o join seller s on s.platform_id = o.platform_id and s.id = o.seller_id
      where o.platform_id = :platform and o.provider_payout is not null and o.status in ('CREATED', 'IN_TRANSIT')
        and o.created_at > :kept and s.provider_account is not null
    ) news
    left join event_cursor c on c.platform_id = :platform and c.account = news.account
    order by c.tried_at nulls first, news.account limit :limit
    """
)
_WALKS = text(
    """
    select account from event_cursor where platform_id = :platform and walk_newest is not null
    order by tried_at, account limit :limit
    """
)
log = structlog.get_logger()


class TooDense(Exception):
    """One second has more events than can be listed."""


@dataclass(frozen=True, slots=True)
class _List:
    """The list of one account's events, as one job looks through it."""

    services: Services
    platform: PlatformId
    provider: Provider
    livemode: bool
    cursor: Cursor
    now: datetime

    @property
    def account_id(self) -> str | None:
        return self.cursor.account or None

    @property
    def since(self) -> datetime:
        return max(self.cursor.seen_until - OVERLAP, self.now - KEPT)

    async def events(self, until: datetime | None, limit: int) -> list[ListedEvent]:
        """The newest since the last walk, at most `limit`, oldest first."""
        return await self.provider.list_events(
            CONNECT_TYPES if self.account_id else PLATFORM_TYPES,
            self.since,
            created_until=until,
            account_id=self.account_id,
            limit=limit,
        )


async def catch_up(services: Services, platform: PlatformId) -> None:
    """Looks through what a platform's lists of events tell that no webhook did; safe to run in many workers at once."""
    await _look(services, platform, goes_on=False)


async def go_on(services: Services, platform: PlatformId) -> None:
    """Goes on with the lists that were too long for one job."""
    await _look(services, platform, goes_on=True)


async def _look(services: Services, platform: PlatformId, *, goes_on: bool) -> None:
    async with services.db.write(platform) as scope:
        credential = await scope.first(_CREDENTIAL, {"platform": platform})
        if credential is None:
            return
        provider = await provider_of(services, scope)
        values = {"platform": platform, "kept": scope.now - KEPT, "limit": ACCOUNTS_MAX}
        found = [row.account for row in await scope.rows(_WALKS if goes_on else _ACCOUNTS, values)]
        accounts = found if goes_on else [OWN, *found]
        begin = max(credential.created_at, scope.now - KEPT)
    gate = asyncio.Semaphore(CALLS_MAX)

    async def one(account: str) -> bool:
        async with gate:
            async with services.db.write(platform) as scope:
                cursor = await cursors.claim(scope, account, begin=begin, goes_on=goes_on)
            if cursor is None:
                return True
            return await _catch_up(_List(services, platform, provider, credential.livemode, cursor, scope.now))

    # All of them end before one's error ends the job.
    ended = await asyncio.gather(*(one(account) for account in accounts), return_exceptions=True)
    for result in ended:
        if isinstance(result, BaseException):
            raise result
    if not all(ended):
        async with services.db.write(platform) as scope:
            await outbox.enqueue(scope, GO_ON, str(platform), after=GOES_ON_AFTER)


async def _catch_up(listed: _List) -> bool:
    """One account's list; False when there is more of it. One that cannot be read fails alone, and its cursor says
    why."""
    newest, error = None, None
    try:
        newest = await _walk(listed)
    except Unavailable:
        raise
    except Exception as failed:
        error = told(failed)
        log.error("events not caught up", account=listed.account_id or "own", error=error)
    async with listed.services.db.write(listed.platform) as scope:
        if newest is not None:
            await cursors.complete(scope, listed.cursor, newest)
        else:
            await cursors.let_go(scope, listed.cursor, error=error)
    return newest is not None or error is not None


async def _walk(listed: _List) -> datetime | None:
    """Keeps what is new from the newest event down; gives the newest one's time, or None when there is more than one
    job should list. Each job comes at least a second further down."""
    walk, count = listed.cursor.walk, 0
    limit = LIST_MAX if walk else PAGE
    while count < JOB_MAX:
        events = await listed.events(walk.down_to if walk else None, limit)
        count += len(events)
        newest = walk.newest if walk else events[-1].event.created if events else listed.cursor.seen_until
        if len(events) < limit:
            if events:
                await _keep(listed, events)
            return newest
        down_to = events[0].event.created
        if walk and down_to >= walk.down_to:
            limit = _wider(limit, down_to)
            continue
        walk = Walk(newest, down_to)
        await _keep(listed, events, walk)
        limit = LIST_MAX
    return None


def _wider(limit: int, second: datetime) -> int:
    """For a second of more events than were listed."""
    if limit >= SECOND_MAX:
        what = f"More than {SECOND_MAX:,} events at {second:%Y-%m-%d %H:%M:%S}: the list cannot be looked through."
        raise TooDense(what)
    return min(limit * 4, SECOND_MAX)


async def _keep(listed: _List, events: Sequence[ListedEvent], walk: Walk | None = None) -> None:
    """Those that are new go into the inbox, with the job that handles them and the news of how far we are."""
    found = [(one.event, one.raw) for one in events if _admissible(listed, one)]
    stored = 0
    async with listed.services.db.write(listed.platform) as scope:
        for start in range(0, len(found), LIST_MAX):
            stored += len(await _store_new(scope, found[start : start + LIST_MAX]))
        if stored:
            await outbox.enqueue(scope, HANDLER, str(listed.platform))
        if walk:
            await cursors.step(scope, listed.cursor, walk)
    if stored:
        log.warning("events that no webhook brought", account=listed.account_id or "own", count=stored)


async def _store_new(scope: WriteScope, found: Sequence[tuple[ProviderEvent, bytes]]) -> set[str]:
    known = await inbox.known(scope, [event.id for event, _ in found])
    new = [(event, raw) for event, raw in found if event.id not in known]
    return await inbox.store(scope, new) if new else set()


def _admissible(listed: _List, one: ListedEvent) -> bool:
    """What the door would refuse stays out here too."""
    try:
        return parse_event(one.raw).livemode is listed.livemode
    except BadEvent:
        return False
