"""The chaos hour: a marketplace trades while everything goes wrong at once; then it is quiet, and every cent is there.

    .venv/bin/python benchmarks/chaos.py [--seed 7] [--minutes 2] [--keep DIR] [--brief]

The whole product as `marketbill up` starts it. Faults of the provider (every kind, at changing rates), kills of every
process (PostgreSQL and the broker too), both clocks moved. Ends with the count of each trouble that was survived, the
kinds of fault that had no chance to strike, and the reckoning: clients, books and provider agree one for one. Exits 0
only when all of it is exact.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from machine import admin, console, save
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from turmoil import calm
from turmoil.reckoning import Finding, reckon, short
from turmoil.traders import Traders
from turmoil.troubles import FAULTS, Troubles

from marketbill.db import Database
from marketbill.demo.api import Api
from marketbill.demo.sandbox import SandboxControl
from marketbill.embedded.stack import Stack

CALLERS = 6
BRIEF_SECONDS = 5
SELLERS_AT_FIRST = 5
_FEES = {"EUR": 30, "USD": 30, "JPY": 30}


async def run(stack: Stack, *, seed: int, seconds: float, brief: bool, progress: Progress) -> dict[str, Any]:
    assert stack.sandbox_url is not None
    bar = progress.add_task("a market is opened", total=seconds + calm.STEPS * 2)
    db = Database(stack.environment["DATABASE_URL"], pool_size=2, application="chaos")
    stop = asyncio.Event()
    async with (
        Api(stack.api_url, stack.bootstrap_key) as api,
        SandboxControl(stack.sandbox_url) as sandbox,
    ):
        operator_key, secret_key = await open_market(api, sandbox)
        async with Traders(stack.api_url, operator_key, seed) as traders:
            await open_shops(stack, sandbox, traders)
            troubles = Troubles(stack, sandbox, db, traders, seed, seconds)
            begun = time.monotonic()
            trading = asyncio.create_task(traders.trade(stop, callers=CALLERS))
            ticking = asyncio.create_task(tick(progress, bar, traders, begun))
            await troubles.make()
            stop.set()
            traders.gate.set()
            survived = await troubles.end()
            await trading
            ticking.cancel()
            progress.update(bar, completed=seconds)

            def step(what: str) -> None:
                progress.update(bar, description=what, advance=2)

            tried = sum(wish.tries for wish in traders.wishes)
            unanswered = await calm.come_to_rest(stack, db, sandbox, traders, step, brief=brief)
            progress.update(bar, description="the reckoning")
            connection = await admin(stack)
            findings = await reckon(stack, connection, traders, secret_key, unanswered)
            await connection.close()
    await db.dispose()
    return {
        "seed": seed,
        "seconds": seconds,
        "requests": Counter(wish.operation for wish in traders.wishes),
        "tries": tried,
        "tries_without_an_answer": dict(traders.unanswered),
        "faults": survived,
        "never_struck": sorted(FAULTS.keys() - survived.keys()),
        "troubles": dict(troubles.done),
        "findings": findings,
    }


async def open_market(api: Api, sandbox: SandboxControl) -> tuple[str, str]:
    """A platform with its own account at the provider; gives the operator's key and the provider's."""
    fee = {
        "percent": "10",
        "fixed": [{"minor": str(amount), "currency": currency} for currency, amount in _FEES.items()],
        "fixedScope": "ORDER",
        "base": "GROSS",
        "feeTaxMode": "EXCLUSIVE",
    }
    made = await api.do(
        "platformCreate",
        idempotencyKey="chaos",
        name="Chaos Market",
        country="NL",
        defaultCurrency="EUR",
        feeTaxRate="21",
        holdFrom="CAPTURE",
        holdDays=0,
        feeRule=fee,
    )
    secret = await sandbox.create_platform(name="Chaos Market", country="NL", currency="eur")
    await api.as_(made["operatorKey"]).do("providerConnect", idempotencyKey="chaos", secretKey=secret)
    return made["operatorKey"], secret


async def open_shops(stack: Stack, sandbox: SandboxControl, traders: Traders) -> None:
    """The first sellers may receive and be paid out; the last of them is not asked for his papers until the end."""
    for _ in range(SELLERS_AT_FIRST):
        made = await traders.insist(traders.seller("NL"), seconds=30)
        assert made.answer is not None, made
        traders.sellers.append(made.answer["seller"]["id"])
    connection = await admin(stack)
    accounts = await connection.fetch("select provider_account from seller order by id limit $1", SELLERS_AT_FIRST - 1)
    for row in accounts:
        await sandbox.complete(row["provider_account"])
    while (await connection.fetchval("select count(*) from seller where payouts_enabled") or 0) < len(accounts):
        await asyncio.sleep(0.05)
    await connection.close()


async def tick(progress: Progress, bar: Any, traders: Traders, begun: float) -> None:
    while True:
        done = sum(wish.ended for wish in traders.wishes)
        progress.update(
            bar, completed=time.monotonic() - begun, description=f"{done} of {len(traders.wishes)} requests"
        )
        await asyncio.sleep(0.5)


@contextlib.contextmanager
def stack_in(folder: Path | None) -> Iterator[Stack]:
    with contextlib.ExitStack() as undo:
        if folder is None:
            folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="marketbill-chaos-")))
        yield undo.enter_context(Stack(folder / "data", api_port=0, sandbox_port=0, report=lambda _: None))


def show(figures: dict[str, Any]) -> None:
    table = Table(title=f"Survived in {figures['seconds']:.0f} s (seed {figures['seed']})", title_justify="left")
    table.add_column("trouble")
    table.add_column("times", justify="right")
    for name, count in [*sorted(figures["faults"].items()), *sorted(figures["troubles"].items())]:
        table.add_row(name.replace("_", " "), str(count))
    table.add_row("client tries without an answer", str(sum(figures["tries_without_an_answer"].values())))
    console.print(table)
    if figures["never_struck"]:
        console.print(f"Never struck: {', '.join(figures['never_struck'])}.", style="yellow")
    proof = Table(title="The reckoning", title_justify="left")
    proof.add_column("what")
    proof.add_column("number", justify="right")
    proof.add_column("wrong", overflow="fold")
    for finding in figures["findings"]:
        proof.add_row(finding.question, str(finding.number), short(finding.wrong) or "nothing")
    console.print(proof)


def exact(findings: list[Finding]) -> bool:
    return not any(finding.wrong for finding in findings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=7, help="everything random follows from it")
    parser.add_argument("--minutes", type=float, default=2.0, help="how long trouble is made")
    parser.add_argument("--keep", type=Path, help="keep the machine's data and logs in this folder")
    parser.add_argument("--brief", action="store_true", help=f"{BRIEF_SECONDS} seconds of trouble, and nothing saved")
    arguments = parser.parse_args()
    seconds = BRIEF_SECONDS if arguments.brief else arguments.minutes * 60
    columns = (TextColumn("{task.description:<44}", markup=False), BarColumn(), TimeElapsedColumn())
    begun = time.monotonic()
    with stack_in(arguments.keep) as stack, Progress(*columns, console=console, transient=True) as progress:
        work = run(stack, seed=arguments.seed, seconds=seconds, brief=arguments.brief, progress=progress)
        figures = asyncio.run(work)
    show(figures)
    right = exact(figures["findings"])
    if not arguments.brief:
        save("chaos", {**figures, "exact": right, "took_seconds": round(time.monotonic() - begun)})
    console.print("Every cent is there." if right else "NOT exact: see above.", style="green" if right else "red")
    sys.exit(0 if right else 1)


if __name__ == "__main__":
    main()
