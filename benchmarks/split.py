"""Splits per second on one core: 1, 3, 10 and 200 lines, alone and with the full trace written as JSON.

    .venv/bin/python benchmarks/split.py [--seconds S] [--profile]

A sale has a commission of 10 % and 0.30 an order with tax on top, of three sellers in turn; a rich one has besides a
shared coupon, shipping, graduated tiers, a listing fee, a buyer's fee, an affiliate's part and the provider's fee. With
trace is what a sale costs: `split`, `to_trace` and the JSON text. Figures are the best of five rounds, in processor
time. `--profile` shows where the time of three lines with trace goes.
"""

import argparse
import cProfile
import pstats
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
from machine import RESULTS, console, save
from rich.table import Table

from marketbill.rules.basket import Basket, BasketLine, Discount, Shipping
from marketbill.rules.fees.conditions import Conditions
from marketbill.rules.fees.rule import FixedScope
from marketbill.rules.fees.schedule import FeeKind, FeePayer, FeeRule, Period, Schedule, Tier, TierMode, Tiers
from marketbill.rules.fees.terms import FeeTerms
from marketbill.rules.split import split
from marketbill.rules.tax.parties import PlatformTax, SellerTax
from marketbill.rules.tax.terms import TaxTerms

ROUNDS = 5
SIZES = (1, 3, 10, 200)
#: Three-line sales with trace, a second.
GOAL = 2_000
_SELLERS = {
    "seller_a": SellerTax("NL", vat_number_valid=True),
    "seller_b": SellerTax("DE", vat_number_valid=True),
    "seller_c": SellerTax("NL", vat_number_valid=False),
}
_TAX = TaxTerms(PlatformTax("NL", Decimal(21)), _SELLERS)
_AT = datetime(2026, 3, 1, tzinfo=UTC)
_COMMISSION = FeeRule("commission", percent=Decimal(10), fixed={"EUR": 30})
_PLAIN = FeeTerms(Schedule("fee_1", 1, (_COMMISSION,)), _AT)
_LADDER = Tiers(TierMode.GRADUATED, Period.MONTH, (Tier({}, Decimal(10)), Tier({"EUR": 10_000_00}, Decimal(8))))
_RICH = FeeTerms(
    Schedule(
        "fee_2",
        1,
        (
            FeeRule("commission", tiers=_LADDER, fixed={"EUR": 30}, minimum={"EUR": 50}, maximum={"EUR": 50_00}),
            FeeRule("books", percent=Decimal(5), when=Conditions(categories=frozenset({"books"}))),
            FeeRule("listing", stack="listing", fixed={"EUR": 10}, fixed_scope=FixedScope.LINE, account="listing"),
            FeeRule("service", stack="service", payer=FeePayer.BUYER, percent=Decimal(3), account="service"),
            FeeRule("card", stack="card", kind=FeeKind.PROCESSOR, percent=Decimal("1.5"), fixed={"EUR": 25}),
            FeeRule("aff", stack="aff", kind=FeeKind.PART, recipient="seller_f", percent=Decimal(4)),
        ),
    ),
    _AT,
    volumes={"seller_a": {Period.MONTH: 999_000}},
)


def basket(lines: int, *, is_rich: bool) -> Basket:
    """A sale of so many lines, of the three sellers in turn."""
    sellers = list(_SELLERS)
    made = tuple(
        BasketLine(
            id=f"{index + 1:03d}",
            seller_id=sellers[index % 3],
            description="A thing that somebody bought",
            category="books/old" if index % 4 == 1 else "toys",
            quantity=1 + index % 2,
            unit_price=(4999, 3999, 3102)[index % 3],
            tax_rate=Decimal(21),
            tax_inclusive=True,
        )
        for index in range(lines)
    )
    if not is_rich:
        return Basket("EUR", made)
    coupon = Discount("WELCOME", percent=Decimal(10), platform_percent=Decimal(40))
    return Basket("EUR", made, (Shipping("seller_a", 495),), (coupon,))


def rate(work: Callable[[], object], seconds: float) -> float:
    """How often the work is done in a second of processor time, in the best round."""
    best = 0.0
    for _ in range(ROUNDS):
        done, begun = 0, time.process_time()
        end = begun + seconds / ROUNDS
        while (now := time.process_time()) < end:
            work()
            done += 1
        best = max(best, done / (now - begun))
    return best


def measure(seconds: float) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for is_rich, fees in ((False, _PLAIN), (True, _RICH)):
        for lines in SIZES:
            sale = basket(lines, is_rich=is_rich)
            trace = orjson.dumps(split(sale, fees, _TAX).to_trace())
            rows.append(
                {
                    "sale": "rich" if is_rich else "plain",
                    "lines": lines,
                    "splits_per_s": round(rate(lambda sale=sale, fees=fees: split(sale, fees, _TAX), seconds)),
                    "with_trace_per_s": round(
                        rate(lambda sale=sale, fees=fees: orjson.dumps(split(sale, fees, _TAX).to_trace()), seconds)
                    ),
                    "trace_bytes": len(trace),
                }
            )
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    table = Table(title="Splits per second of one core", title_justify="left")
    for name in ("sale", "lines", "splits/s", "with trace/s", "us a line\nwith trace", "trace bytes"):
        table.add_column(name, justify="left" if name == "sale" else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            row["sale"],
            str(row["lines"]),
            f"{row['splits_per_s']:,}",
            f"{row['with_trace_per_s']:,}",
            f"{1e6 / row['with_trace_per_s'] / row['lines']:.0f}",
            f"{row['trace_bytes']:,}",
        )
    console.print(table)
    reached = next(row["with_trace_per_s"] for row in rows if (row["sale"], row["lines"]) == ("plain", 3))
    verdict = "reached" if reached >= GOAL else "not reached"
    console.print(f"three lines with full trace: {reached:,} a second (goal: at least {GOAL:,}; {verdict})")


def profile() -> None:
    sale = basket(3, is_rich=False)
    with cProfile.Profile() as profiler:
        for _ in range(3_000):
            orjson.dumps(split(sale, _PLAIN, _TAX).to_trace())
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="processor time for each figure")
    parser.add_argument("--profile", action="store_true", help="show where the time goes, and measure nothing")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="where the JSON is written")
    given = parser.parse_args()
    if given.profile:
        profile()
        return
    rows = measure(given.seconds)
    show(rows)
    save("split", {"rows": rows, "seconds": given.seconds, "rounds": ROUNDS}, folder=given.results)


if __name__ == "__main__":
    main()
