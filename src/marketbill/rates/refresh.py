"""Bringing the rates up to date: first from the history that is installed, then from the bank's feed where one is set.

Safe to run at any time and by many at once: what is known already stays. A feed that does not answer changes nothing;
sooner or later a rate is then too old, and whoever needs it is told so.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import structlog

from marketbill.db import Database
from marketbill.rates import ecb, store
from marketbill.rates.ecb import FeedUnreadable

#: What the background work loads of the installed history; the rest only for who asks for it (it takes seconds).
RECENT = timedelta(days=2 * 366)

log = structlog.get_logger("marketbill.rates")


@dataclass(frozen=True, slots=True)
class Refreshed:
    """How many rates were new, by where they came from; the newest day there is now; and why the feed gave none."""

    embedded: int
    live: int
    newest: date | None
    problem: str | None = None


async def refresh(db: Database, *, feed: str | None, since: date | None = None) -> Refreshed:
    """Loads the installed history from `since` on (None: all of it), then what the feed has beyond it.

    `feed` is its address, None to leave it alone. A feed that fails is told in the log and in `problem`.
    """
    async with db.system() as scope:
        embedded = await store.keep(scope, ecb.embedded(since))
        known, today = await store.newest(scope), scope.now.date()
    live, problem = 0, None
    if feed is not None and (known is None or known < today):
        try:
            fixings = await ecb.read_feed(feed, since=known, today=today)
        except FeedUnreadable as unreadable:
            problem = f"{unreadable}"
            log.error("exchange rates not refreshed", problem=problem, newest=f"{known}")
        else:
            async with db.system() as scope:
                live = await store.keep(scope, fixings)
                known = await store.newest(scope)
    return Refreshed(embedded, live, known, problem)


async def keep_up(db: Database, *, feed: str | None) -> None:
    """The background work's part: the recent history, and what the feed has beyond it."""
    async with db.system() as scope:
        since = await store.newest(scope) or scope.now.date() - RECENT
    await refresh(db, feed=feed, since=since)
