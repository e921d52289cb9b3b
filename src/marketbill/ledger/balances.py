"""What accounts held at an instant, as the books tell now or as they told at an earlier one.

Two times answer two questions. *As of* an instant counts what was effective by then, whenever it was recorded: the
truth as far as we know it now. *As known at* an instant counts what was recorded by then: what somebody who looked at
that instant was told. Holds are pending and move no balance.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text

from marketbill.db import Scope
from marketbill.errors import InvalidInput
from marketbill.ledger.chart import Side
from marketbill.ledger.lag import AHEAD, AHEAD_US, LAG_MAX, reach_ms
from marketbill.ledger.limits import bounded

_LAST = 2**63 - 1
END_OF_TIME = datetime.fromisoformat("9999-12-31T23:59:59.999999+00:00")


@dataclass(frozen=True, slots=True)
class Cut:
    """A place in an account's time: what is effective before `at`, and of `at` itself the postings up to `number`."""

    at: datetime
    number: int = _LAST

    @classmethod
    def before(cls, at: datetime) -> "Cut":
        """Everything strictly before `at`, as at the start of a period."""
        return cls(at, 0)


def _reaches() -> str:
    reaches = ((lag, reach_ms(lag)) for lag in range(1, LAG_MAX + 1))
    return ", ".join(f"({lag}, interval '{ms} milliseconds')" if ms else f"({lag}, null)" for lag, ms in reaches)


def _in_order(side: str) -> str:
    return f"""
      (select p.effective_at, p.number, p.{side}_balance_after as balance from posting p
       where p.platform_id = :platform and p.{side}_account_id = a.id and p.{side}_lag <= 0 and not p.held
         and (p.effective_at, p.number) <= (cut.at, cut.number) and p.number <= (select number from known)
       order by p.effective_at desc, p.number desc limit 1)
    """  # noqa: S608


def _ahead(side: str) -> str:
    return f"""
      (select p.effective_at from posting p
       where p.platform_id = :platform and p.{side}_account_id = a.id
         and p.{side}_lag = {AHEAD} and p.{side}_lag <> 0
         and p.effective_at > :known_at and p.number <= (select number from known)
       order by p.effective_at desc limit 1)
    """  # noqa: S608


def _late(side: str) -> str:
    return f"""
      case when (
        select p.{side}_lag from posting p
        where p.platform_id = :platform and p.{side}_account_id = a.id and p.{side}_lag > 0
        order by p.{side}_lag limit 1
      ) is not null then (
        select sum((
          select sum(p.amount) from posting p
          where p.platform_id = :platform and p.{side}_account_id = a.id
            and p.{side}_lag = step.lag and p.{side}_lag <> 0 and p.effective_at >= step.since
            and (p.effective_at, p.number) <= (cut.at, cut.number)
            and p.number > coalesce(run.number, 0) and p.number <= (select number from known)))
        from (
          select lag, coalesce(coalesce(run.effective_at, cut.at) - reach, '-infinity') as since
          from (values {_reaches()}) as step (lag, reach) offset 0
        ) as step
      ) end
    """  # noqa: S608


# Behind row-level security, only a plain comparison with a value that stands already is looked up in an index; so
# whatever is computed for one is computed in a step of its own.
#
# The number of the last posting known at an instant. An entry is never recorded before the one in front of it, so the
# last of them is found by halving the journal, some twenty-five probes of its numbers, in the same round trip.
KNOWN = """
    recursive probe (low, high, middle) as (
      select cast(0 as bigint), head.entries, (head.entries + 1) / 2 from ledger_head head
      where head.platform_id = :platform and cast(:known_at as timestamptz) is not null
      union all
      select half.low, half.high, (half.low + half.high + 1) / 2
      from probe
      cross join lateral (
        select e.recorded_at from journal_entry e
        where e.platform_id = :platform and e.number = probe.middle limit 1
      ) as e
      cross join lateral (
        select case when e.recorded_at <= :known_at then probe.middle else probe.low end as low,
               case when e.recorded_at <= :known_at then probe.high else probe.middle - 1 end as high
      ) as half
      where probe.low < probe.high
    ), known (number) as (
      select case when cast(:known_at as timestamptz) is null then cast(:known as bigint) else coalesce((
        select e.first_posting + e.posting_count - 1 from journal_entry e
        where e.platform_id = :platform and e.number = (select max(low) from probe)), 0) end
    )
"""
# What an account `a` held at a cut. The last posting that came in order ends a run in which recording order and
# effective order agree: its running balance holds everything before the cut but the late postings recorded after it,
# and those are added, step of lag by step (`ledger.lag`).
HELD = f"""
    left join lateral (
      {_in_order("debit")} union all {_in_order("credit")} order by 1 desc, 2 desc limit 1
    ) as run on true
    left join lateral (
      select sum(side.net) as net from (values ({_late("debit")}), (-{_late("credit")})) as side (net)
    ) as late on true
"""  # noqa: S608
_CUT = "cross join (select cast(:at as timestamptz) as at, cast(:number as bigint) as number) as cut"
# Where the cut lies after the instant at which it should have been known, it is looked for from there: all that was
# known is effective by then, but for what was ahead of its recording.
_CUT_OF_KNOWN = f"""
    cross join lateral (
      select least(cut.at, cast(:at as timestamptz)) as at,
             case when cut.at < :at then {_LAST} else cast(:number as bigint) end as number
      from (
        select greatest(max(effective_at), cast(:known_at as timestamptz) + interval '{AHEAD_US} microseconds') as at
        from ({_ahead("debit")} union all {_ahead("credit")}) as ahead
      ) as cut
    ) as cut
"""  # noqa: S608


@cache
def _with_held(statement: str, *, of_known: bool) -> TextClause:
    cut = _CUT_OF_KNOWN if of_known else _CUT
    return text(statement.replace("{known}", KNOWN).replace("{held}", cut + HELD))


def with_held(statement: str, cut: Cut, known_at: datetime | None = None) -> TextClause:
    """`statement` over accounts `a`, its words `{known}` and `{held}` replaced; `cut_values` are its values.

    It finds each account's net debits at the cut: `run.balance` and `late.net` together, null where nothing moved it.
    """
    return _with_held(statement, of_known=known_at is not None and cut.at > known_at)


def cut_values(cut: Cut, *, known: int | None = None, known_at: datetime | None = None) -> dict[str, Any]:
    """The values of what `with_held` puts in: of what was recorded up to the posting `known`, or by `known_at`."""
    return {"at": cut.at, "number": cut.number, "known": _LAST if known is None else known, "known_at": known_at}


_AT = """
    with {known}
    select a.id, a.side, coalesce(run.balance, 0) + coalesce(late.net, 0) as net
    from ledger_account a {held}
    where a.platform_id = :platform and a.id = any(cast(:ids as uuid[]))
"""
_KNOWN = text(f"with {KNOWN} select number from known")  # noqa: S608 (our own words alone)
_HEAD = text("select postings from ledger_head where platform_id = :platform")


async def balance_at(
    scope: Scope, account_ids: Iterable[UUID], at: datetime | None = None, *, known_at: datetime | None = None
) -> dict[UUID, int]:
    """What each account held at the end of the instant `at` (effective time), as it was known at `known_at`.

    Without `at`, whatever is known counts; without `known_at`, whatever is recorded by now. Positive on the account's
    own side, in minor units. At most `READ_MAX` accounts; unknown ids are missing. Raises InvalidInput for an instant
    in the future.
    """
    return await _read(scope, account_ids, asked_cut(scope, at), None, past(scope, known_at, "knownAt"))


async def balances_at(
    scope: Scope, account_ids: Iterable[UUID], cut: Cut, *, known: int | None = None
) -> dict[UUID, int]:
    """What each account held at a cut of effective time; as `balance_at`, and a cut may lie in the future.

    `known` (see `watermark`) leaves out what was recorded later, so that several reads tell of the same books.
    """
    return await _read(scope, account_ids, cut, known, None)


async def watermark(scope: Scope, *, known_at: datetime | None = None) -> int:
    """The number of the last posting recorded, now or at an instant. Postings are never changed, so it names one state
    of the books. Raises InvalidInput for an instant in the future."""
    if known_at is None:
        return await scope.scalar(_HEAD, {"platform": scope.platform}) or 0
    values = {"platform": scope.platform, "known": 0, "known_at": past(scope, known_at, "knownAt")}
    return await scope.scalar(_KNOWN, values) or 0


async def _read(
    scope: Scope, account_ids: Iterable[UUID], cut: Cut, known: int | None, known_at: datetime | None
) -> dict[UUID, int]:
    values = {
        "platform": scope.platform,
        "ids": bounded(list(account_ids)),
        **cut_values(cut, known=known, known_at=known_at),
    }
    rows = await scope.rows(with_held(_AT, cut, known_at), values)
    return {row.id: int(row.net) if row.side == Side.DEBIT else -int(row.net) for row in rows}


def asked_cut(scope: Scope, at: datetime | None) -> Cut:
    """Everything effective by the instant `at`. Raises InvalidInput when that is in the future."""
    return Cut(past(scope, at, "at") or END_OF_TIME)


def past(scope: Scope, instant: datetime | None, field: str) -> datetime | None:
    """The same instant. Raises InvalidInput naming `field` when it has not come yet on the platform's clock."""
    if instant is not None and instant > scope.now:
        now = scope.now.isoformat()
        raise InvalidInput(
            f"{field} lies in the future: it is {now} for this platform.", path=(field,), constraint=f"<= {now}"
        )
    return instant
