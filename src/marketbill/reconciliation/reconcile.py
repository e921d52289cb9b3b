"""Reconciling: what the provider says moved against what we kept and booked, in both directions, without an end.

Time is gone through in windows: first what is new, up to a little before now, for what moved just now may be booked in
a moment; then, over and over again, what is not too old, for a refund may fail and a row be changed long after; then
the times of the drifts that are open, which close when they are found no more. A window that holds more than is read at
once is halved. The provider is asked outside any transaction, and a cursor remembers how far every platform is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

import structlog
from sqlalchemy import bindparam, select

from marketbill.errors import Unavailable
from marketbill.errors import told as words_of
from marketbill.events import outbox
from marketbill.ids import PlatformId
from marketbill.platforms.credentials import provider_of
from marketbill.platforms.model import provider_credential
from marketbill.provider.port import Provider
from marketbill.reconciliation import cursor as cursors
from marketbill.reconciliation import drifts, kept, told
from marketbill.reconciliation.cursor import Cursor
from marketbill.reconciliation.matching import Kept, Matched, Thing, Told, match
from marketbill.reconciliation.told import BY_TRANSACTION, TooMany
from marketbill.services import Services

#: The job's name.
RECONCILE = "reconcile"
#: So long something may take to be booked before it is missed.
PATIENCE = timedelta(minutes=15)
#: The longest window.
WINDOW_MAX = timedelta(days=1)
#: A window that is not halved any more.
WINDOW_MIN = timedelta(seconds=1)
#: Windows of new time, and of old, in one job; and of drifts that are open.
WINDOWS_MAX, OPEN_MAX = 64, 20
#: Movements of either side after which a job begins no other window of its kind.
MOVEMENTS_MAX = 10_000
#: How old what is compared again may be.
AGAIN_FOR = timedelta(days=60)
GOES_ON_AFTER = timedelta(seconds=5)

_CONNECTED = select(provider_credential.c.created_at).where(provider_credential.c.platform_id == bindparam("platform"))
log = structlog.get_logger("marketbill.reconciliation")


class TooDense(Exception):
    """One second holds more movements than can be compared."""


@dataclass(frozen=True, slots=True)
class Window:
    """From one instant (whole seconds), and before another."""

    start: datetime
    end: datetime


async def reconcile(services: Services, platform: PlatformId) -> None:
    """One cycle of a platform; safe to run in many workers at once, of which one does it. Raises Unavailable."""
    async with services.db.write(platform) as scope:
        connected = await scope.first(_CONNECTED, {"platform": platform})
        if connected is None:
            return
        begin = _whole(connected.created_at)
        cursor = await cursors.claim(scope, begin=begin)
        provider = await provider_of(services, scope)
        now = scope.now
    if cursor is None:
        return
    error, more = None, False
    try:
        more = await _cycle(services, platform, provider, cursor, begin=begin, now=now)
    except Unavailable:
        raise
    except Exception as failed:
        error = words_of(failed)
        log.error("reconciliation failed", error=error)
    async with services.db.write(platform) as scope:
        await cursors.let_go(scope, cursor, error=error, ended=not more)
        if more and error is None:
            await outbox.enqueue(scope, RECONCILE, str(platform), after=GOES_ON_AFTER)


async def compare(services: Services, platform: PlatformId, start: datetime, end: datetime) -> None:
    """Compares one time at once, whatever was compared before.

    What is younger than `PATIENCE` is left out. Raises Unavailable, Unknown and Refused, TooDense.
    """
    async with services.db.read(platform) as scope:
        provider = await provider_of(services, scope)
        now = scope.now
    for window in _windows(_whole(start), min(_whole(end), _whole(now - PATIENCE))):
        await _compare(services, platform, provider, window, now)


async def _cycle(
    services: Services, platform: PlatformId, provider: Provider, cursor: Cursor, *, begin: datetime, now: datetime
) -> bool:
    """Gives whether there is more of the new time than one job should go through."""
    horizon = _whole(now - PATIENCE)
    fresh, count = cursor.fresh_until, 0
    for window in islice(_windows(fresh, horizon), WINDOWS_MAX):
        if count >= MOVEMENTS_MAX:
            break
        count += await _compare(services, platform, provider, window, now)
        fresh = window.end
        async with services.db.write(platform) as scope:
            await cursors.came_to(scope, cursor, fresh_until=fresh)
    if fresh < horizon:
        return True
    # Round and round: what one cycle does not come to, the next ones do.
    oldest, count = max(begin, _whole(now - AGAIN_FOR)), 0
    again = cursor.again_until if oldest <= cursor.again_until < cursor.fresh_until else oldest
    for window in islice(_windows(again, cursor.fresh_until), WINDOWS_MAX):
        if count >= MOVEMENTS_MAX:
            break
        count += await _compare(services, platform, provider, window, now)
        again = window.end
    async with services.db.write(platform) as scope:
        await cursors.came_to(scope, cursor, again_until=again)
    await _look_again(services, platform, provider, now)
    return False


async def _look_again(services: Services, platform: PlatformId, provider: Provider, now: datetime) -> None:
    """At the drifts that are open and lay in none of the windows."""
    async with services.db.read(platform) as scope:
        instants = await drifts.not_seen_since(scope, now, limit=OPEN_MAX)
    for second in dict.fromkeys(map(_whole, instants)):
        await _compare(services, platform, provider, Window(second, second + WINDOW_MIN), now)


async def _compare(services: Services, platform: PlatformId, provider: Provider, window: Window, now: datetime) -> int:
    """A window, halved until it can be read at once; gives how many movements of either side were in it."""
    try:
        matched, count = await _examine(services, platform, provider, window, now)
    except TooMany:
        half = _whole(window.start + (window.end - window.start) / 2)
        if half <= window.start:
            raise TooDense(f"More moved at {window.start:%Y-%m-%d %H:%M:%S} than can be compared.") from None
        halves = (Window(window.start, half), Window(half, window.end))
        return sum([await _compare(services, platform, provider, one, now) for one in halves])
    async with services.db.write(platform) as scope:
        await drifts.keep(scope, matched, window.start, window.end)
    return count


async def _examine(
    services: Services, platform: PlatformId, provider: Provider, window: Window, now: datetime
) -> tuple[Matched, int]:
    """Both sides of a window, and what of either lies outside it. The provider is read first: what it told and we
    booked meanwhile is then too young to be judged, and not missed."""
    last = window.end - WINDOW_MIN
    theirs, origins = await told.platform_told(provider, window.start, last)
    async with services.db.read(platform) as scope:
        sources = await kept.touched(scope, window.start, window.end)
        accounts = await kept.accounts_of(scope, sources, window.start, window.end)
        accounts |= await drifts.accounts_in(scope, window.start, window.end)
        accounts |= {origin.destination for origin in origins.values() if origin.destination}
    theirs += await told.payouts_told(provider, accounts, window.start, last)
    async with services.db.read(platform) as scope:
        names = await kept.names_of(scope, theirs, origins)
        for type, ids in (kept.sources_of(names) | kept.transactions_of(scope, theirs)).items():
            sources.setdefault(type, set()).update(ids)
        ours = await kept.kept_of(scope, sources)
        heard = await kept.waiting(scope, theirs)
    theirs = [replace(one, name=names.get((one.thing, one.id))) for one in theirs]
    theirs += await _elsewhere(provider, theirs, ours)
    return match(theirs, ours, horizon=now - PATIENCE, waiting=heard), len(theirs) + len(ours)


async def _elsewhere(provider: Provider, theirs: list[Told], ours: list[Kept]) -> list[Told]:
    """The provider's side of ours that it has at another time than we do."""
    there = {(one.thing, one.id) for one in theirs}
    lacking = {
        (one.thing, one.provider_id, one.account)
        for one in ours
        if one.provider_id and (one.thing, one.provider_id) not in there
    }
    payouts = [(account, id) for thing, id, account in lacking if thing is Thing.PAYOUT and account]
    own = {id for thing, id, _ in lacking if thing in BY_TRANSACTION}
    objects = {id for thing, id, _ in lacking if thing is not Thing.PAYOUT and id not in own}
    found, _ = await told.objects_told(provider, objects)
    found += await told.transactions_told(provider, own)
    found += await told.single_payouts(provider, payouts)
    return [one for one in found if (one.thing, one.id) not in there]


def _windows(start: datetime, end: datetime) -> Iterator[Window]:
    while start < end:
        window = Window(start, min(start + WINDOW_MAX, end))
        yield window
        start = window.end


def _whole(at: datetime) -> datetime:
    return at.replace(microsecond=0)
