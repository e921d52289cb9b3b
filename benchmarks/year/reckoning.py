"""The reckoning: books against the provider and against themselves, and every seller's statements, month by month."""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import text

from marketbill.ids import SellerId
from marketbill.reconciliation.check import Verdict
from marketbill.reconciliation.verify import verify
from marketbill.statements.statement import statement
from year.world import Machine, Market

CURRENCY = "EUR"


@dataclass(slots=True)
class Statements:
    """What reading them showed: how many, those that do not chain or close, and the seconds that each took."""

    read: int = 0
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def p95_ms(self) -> float:
        ordered = sorted(self.seconds)
        return 1000 * ordered[int(len(ordered) * 0.95)] if ordered else 0.0


async def broken_checks(machine: Machine, market: Market) -> tuple[int, list[str]]:
    """How many checks `verify` made, and those that are broken."""

    checks = await verify(machine.services, market.platform)
    return len(checks), [f"{check}" for check in checks if check.verdict is Verdict.BROKEN]


async def read_statements(
    market: Market, names: Sequence[str], months: Sequence[datetime], told: Callable[[int], None]
) -> Statements:
    """Every month of every seller: each closes by its own lines, and opens where the one before closed."""
    found = Statements()
    for done, name in enumerate(names):
        closing = 0
        async with market.machine.services.db.read(market.platform) as scope:
            for start, end in itertools.pairwise(months):
                begun = time.perf_counter()
                drawn = await statement(
                    scope, seller=SellerId(market.sellers[name]), currency=CURRENCY, start=start, end=end
                )
                found.seconds.append(time.perf_counter() - begun)
                found.read += 1
                if not drawn.agrees:
                    found.wrong.append(f"{name} {start:%Y-%m}: its lines do not make its closing")
                if drawn.opening.total != closing:
                    found.wrong.append(f"{name} {start:%Y-%m}: opens with {drawn.opening.total}, not {closing}")
                closing = drawn.closing.total
        told(done + 1)
    return found


def months_of(begin: datetime, end: datetime) -> list[datetime]:
    """The first instants of all months from the one `begin` is in to the one after `end`'s."""
    at = datetime(begin.year, begin.month, 1, tzinfo=UTC)
    found = [at]
    while at <= end:
        at = datetime(at.year + at.month // 12, at.month % 12 + 1, 1, tzinfo=UTC)
        found.append(at)
    return found


async def counted(market: Market, table: str) -> int:
    """How many rows of a table the platform has."""
    async with market.machine.services.db.read(market.platform) as scope:
        return await scope.scalar(text(f"select count(*) from {table} where platform_id = :p"), {"p": scope.platform})
