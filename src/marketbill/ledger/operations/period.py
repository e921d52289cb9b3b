"""Closing periods: from then on nothing is effective before the period's end, so what it held never changes again.

A period is closed under the lock of the books. What comes later and happened before is effective at the first open
instant, or refused if it asks for that (`entry.IfClosed`). The trial balance at the close is sealed onto that of the
period before; the proof recomputes it from the postings.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, text

from marketbill.db import Scope, WriteScope
from marketbill.ledger import head as heads
from marketbill.ledger.balances import Cut, cut_values, watermark, with_held
from marketbill.ledger.books import Books
from marketbill.ledger.chain import GENESIS, period_line, seal
from marketbill.ledger.model import ledger_period
from marketbill.ledger.operations.refusal import AccountBalance, AlreadyClosed, PeriodNotOver, SuspenseNotZero

#: What the code of a suspense account begins with: money whose place is not known yet.
SUSPENSE = "suspense:"
#: The most periods of one list.
PERIODS_MAX = 200
#: Accounts whose balances are read by one statement.
_PAGE = 5_000

_NETS = """
    with {known}
    select a.code, a.currency, coalesce(run.balance, 0) + coalesce(late.net, 0) as net
    from (
      select * from ledger_account a
      where a.platform_id = :platform and starts_with(a.code, :prefix)
        and (a.code, a.currency) > (:after_code, :after_currency)
      order by a.code, a.currency limit :limit
    ) as a {held}
    order by a.code, a.currency
"""
_SINCE = text(
    """
    select a.code, a.currency, sum(side.net) as net
    from posting p
    cross join lateral (values (p.debit_account_id, p.amount), (p.credit_account_id, -p.amount)) as side (id, net)
    join ledger_account a on a.platform_id = :platform and a.id = side.id
    where p.platform_id = :platform and p.number > :known and not p.held and p.effective_at < :until
    group by a.code, a.currency
    """
)
_CLOSED_UNTIL = text("select closed_until from ledger_head where platform_id = :platform")
_PERIODS = select(ledger_period).order_by(ledger_period.c.closed_until.desc())

Nets = Counter[tuple[str, str]]
"""Net debits by code and currency."""


@dataclass(frozen=True, slots=True)
class Period:
    """A closed period: it ends before `closed_until`, and was closed by `closed_by` when the journal held `entries`."""

    closed_until: datetime
    closed_at: datetime
    closed_by: str
    entries: int
    trial_hash: bytes


async def close(scope: WriteScope, *, until: datetime, by: str) -> Period:
    """Closes the books for whatever is effective before `until`, for ever.

    Writers of the same books wait for its end, not for the balances of the accounts: those are read before the lock is
    taken, and what came meanwhile is added under it. Raises PeriodNotOver for a time to come, AlreadyClosed for one
    that is not after the last close, and SuspenseNotZero naming each suspense account that is not zero at `until`.
    """
    if until > scope.now:
        raise PeriodNotOver(until=until, now=scope.now)
    _check_open(await closed_until(scope), until)
    known = await watermark(scope)
    nets = await _nets(scope, until, known)
    head = await heads.lock(scope)
    _check_open(head.closed_until, until)
    values = {"platform": scope.platform, "known": known, "until": until}
    for row in await scope.rows(_SINCE, values):
        nets[row.code, row.currency] += int(row.net)
    suspense = _suspense(nets)
    if suspense:
        raise SuspenseNotZero(until=until, balances=suspense)
    before = await periods(scope, limit=1)
    period = _sealed(
        nets, head, before[0].trial_hash if before else GENESIS, until, max(scope.now, head.recorded_at), by
    )
    await scope.run(insert(ledger_period), {"platform_id": scope.platform} | asdict(period))
    await heads.revise(scope, closed_until=until)
    return period


async def periods(scope: Scope, *, before: datetime | None = None, limit: int = PERIODS_MAX) -> list[Period]:
    """The closed periods, the last one first; with `before`, those that end before that instant. At most 200."""
    statement = _PERIODS.where(ledger_period.c.platform_id == scope.platform).limit(min(limit, PERIODS_MAX))
    if before is not None:
        statement = statement.where(ledger_period.c.closed_until < before)
    return [_period(row) for row in await scope.rows(statement)]


async def closed_until(scope: Scope) -> datetime | None:
    """The end of the last closed period, the first open instant; None when none was closed."""
    return await scope.scalar(_CLOSED_UNTIL, {"platform": scope.platform})


async def suspense_balances(scope: Scope, until: datetime) -> Sequence[AccountBalance]:
    """What suspense accounts hold just before `until`: each of them keeps the period from being closed."""
    return _suspense(await _nets(scope, until, await watermark(scope), prefix=SUSPENSE))


async def _nets(scope: Scope, until: datetime, known: int, *, prefix: str = "") -> Nets:
    """What each account held just before `until` by the postings up to the number `known`."""
    nets: Nets = Counter()
    after, cut = (prefix, ""), Cut.before(until)
    while True:
        values = {
            "platform": scope.platform,
            "prefix": prefix,
            "after_code": after[0],
            "after_currency": after[1],
            "limit": _PAGE,
            **cut_values(cut, known=known),
        }
        rows = await scope.rows(with_held(_NETS, cut), values)
        nets.update({(row.code, row.currency): int(row.net) for row in rows})
        if len(rows) < _PAGE:
            return nets
        after = (rows[-1].code, rows[-1].currency)


def _check_open(closed_until: datetime | None, until: datetime) -> None:
    if closed_until is not None and until <= closed_until:
        raise AlreadyClosed(until=until, closed_until=closed_until)


def _suspense(nets: Nets) -> Sequence[AccountBalance]:
    return [
        AccountBalance(code, currency, net)
        for (code, currency), net in sorted(nets.items())
        if net and code.startswith(SUSPENSE)
    ]


def _sealed(nets: Nets, head: Books, previous: bytes, until: datetime, at: datetime, by: str) -> Period:
    line = period_line(
        closed_until=until,
        closed_at=at,
        closed_by=by,
        entries=head.entries,
        entry_hash=head.hash,
        balances=[(code, currency, net) for (code, currency), net in nets.items() if net],
    )
    return Period(until, at, by, head.entries, seal(previous, line))


def _period(row: Row[Any]) -> Period:
    return Period(row.closed_until, row.closed_at, row.closed_by, row.entries, bytes(row.trial_hash))
