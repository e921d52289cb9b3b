"""Findings: what waits longer than it may, as data. Counted across all platforms first, then named where any is."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, TextClause, text

from marketbill.db import ReadScope, SystemScope
from marketbill.health.waits import RECONNECT, WAITS, Kind, Wait
from marketbill.ids import PlatformId, public_id
from marketbill.money import decimal_text
from marketbill.provider.kinds import KINDS

#: Platforms and kinds that are told of in one look.
LATE_MAX = 10_000
#: Things of one kind that are named on one platform, the longest waiting first.
NAMED_MAX = 100


@dataclass(frozen=True, slots=True)
class Late:
    """How many things of a kind wait too long on a platform, and since when the first."""

    platform: PlatformId
    kind: Kind
    number: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that waits longer than it may, for a person: `what` it is, `why` if that is known, and what `to_do`.

    `id` is its public id, `platform` that of its platform; both are None for the processes themselves.
    """

    kind: str
    what: str
    since: datetime | None
    limit: timedelta
    to_do: str
    why: str | None = None
    id: str | None = None
    platform: str | None = None
    attempts: int | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "platform": self.platform,
            "id": self.id,
            "what": self.what,
            "since": self.since.isoformat() if self.since else None,
            "limitSeconds": int(self.limit.total_seconds()),
            "attempts": self.attempts,
            "why": self.why,
            "toDo": self.to_do,
        }


def _late(wait: Wait) -> str:
    """SQL: the rows that wait too long; with a `:patience` of 0 instead of 1, all that wait."""
    seconds = int(wait.limit.total_seconds())
    before = f"cast(:now as timestamptz) - cast(:patience as float8) * interval '{seconds} seconds'"
    return f"({wait.condition}) and {wait.since} <= {before}"


def _count(kind: Kind, wait: Wait, of: str) -> str:
    return (
        f"select '{kind}' as kind, w.platform_id, count(*) as number, min({wait.since}) as since"  # noqa: S608
        f" from {wait.table} where {of} and {_late(wait)} group by w.platform_id"
    )


def _counts() -> str:
    """SQL: all kinds on all platforms. What rarely waits is read once, by an index that holds nothing else. Of payments
    many wait, few of them too long: those are found platform by platform, from the beginning of such an index on."""
    often = [_count(kind, wait, "w.platform_id = p.platform_id") for kind, wait in WAITS.items() if wait.many]
    rarely = [_count(kind, wait, "true") for kind, wait in WAITS.items() if not wait.many]
    by_platform = f"select found.* from platform p, lateral ({' union all '.join(often)}) found"  # noqa: S608
    return " union all ".join([by_platform, *rarely])


_COUNTS = text(f"select * from ({_counts()}) late order by platform_id, kind limit {LATE_MAX}")  # noqa: S608
_COUNTS_OF_ONE = text(
    " union all ".join(_count(kind, wait, "w.platform_id = :platform") for kind, wait in WAITS.items())
)


def _names(wait: Wait) -> TextClause:
    return text(
        f"select {wait.detail}, {wait.since} as since, {wait.cut_off or 'false'} as cut_off"  # noqa: S608 (our own words alone)
        f" from {wait.table} {wait.joins}"
        f" where w.platform_id = :platform and {_late(wait)} order by {wait.since} limit {NAMED_MAX}"
    )


_NAMES: Mapping[Kind, TextClause] = {kind: _names(wait) for kind, wait in WAITS.items()}


async def count_late(scope: SystemScope, *, everything: bool = False) -> list[Late]:
    """What waits too long anywhere, counted by platform and kind; with `everything`, all that waits."""
    values = {"now": scope.now, "patience": 0.0 if everything else 1.0}
    rows = await scope.connection.execute(_COUNTS, values)
    return [Late(PlatformId(row.platform_id), Kind(row.kind), row.number, row.since) for row in rows]


async def count_waiting(scope: ReadScope) -> dict[Kind, int]:
    """All that waits on the scope's platform by kind, within its limit or not."""
    values = {"platform": scope.platform, "now": scope.now, "patience": 0.0}
    return {Kind(row.kind): row.number for row in await scope.rows(_COUNTS_OF_ONE, values)}


async def name_late(scope: ReadScope, kinds: Collection[Kind], *, everything: bool = False) -> list[Finding]:
    """What waits too long on the scope's platform, by kind, up to `NAMED_MAX` of each, the longest waiting first."""
    values = {"platform": scope.platform, "now": scope.now, "patience": 0.0 if everything else 1.0}
    found: list[Finding] = []
    for kind, wait in WAITS.items():
        if kind in kinds:
            rows = await scope.rows(_NAMES[kind], values)
            found += _without_repetition(found, [_finding(scope, kind, wait, row) for row in rows])
    return found


def _without_repetition(found: Sequence[Finding], more: Sequence[Finding]) -> list[Finding]:
    """A request that is overdue, say, and that has no end for long, is told of once."""
    told = {one.id for one in found}
    return [one for one in more if one.id not in told]


def advice(wait: Wait, id: str, *, since: datetime, now: datetime, due: datetime | None = None) -> str:
    """What is to do about something that waits since then; within its limit, nothing. `due`: it goes on by itself."""
    ends = since + wait.limit
    if ends <= now:
        return wait.to_do.format(id=id)
    if due is not None:
        return f"nothing to do: it goes on by itself at {due:%Y-%m-%d %H:%M} UTC"
    return f"nothing to do before {ends:%Y-%m-%d %H:%M} UTC: seen to by {wait.swept_by}"


def _finding(scope: ReadScope, kind: Kind, wait: Wait, row: Row[Any]) -> Finding:
    id = row.id if isinstance(row.id, str) else public_id(wait.noun, row.id)
    amount = "" if row.amount is None else f" {decimal_text(row.amount, row.currency)} {row.currency}"
    of = f" of {public_id(KINDS[row.about].subject, row.subject)}" if row.subject and row.about in KINDS else ""
    return Finding(
        kind=kind,
        what=f"{wait.noun} {row.about}{of}{amount}",
        since=row.since,
        limit=wait.limit,
        to_do=RECONNECT
        if row.cut_off
        else advice(wait, id, since=row.since, now=scope.now, due=row._mapping.get("due")),
        why=row.why,
        id=id,
        platform=public_id("platform", scope.platform),
        attempts=row.attempts,
    )
