"""`marketbill up` and `marketbill demo`: the whole product on one computer."""

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from marketbill.cli import terminal
from marketbill.cli.failure import CommandRefused
from marketbill.cli.programs import check_port

if TYPE_CHECKING:
    from rich.console import Console

    from marketbill.demo.api import Api
    from marketbill.demo.market import Market
    from marketbill.embedded.stack import Stack

_MARKET_FILE = "demo-market.json"
_KEYS_FILE = "api-keys.json"
#: The address that the provider sends its events to.
_PUBLIC_URL_FILE = "public-url"


def up(
    *,
    data: Annotated[Path | None, Parameter(help="Folder that keeps everything; default: your data directory.")] = None,
    port: Annotated[int, Parameter(help="Port of the API; 0 takes any free one.")] = 8000,
    sandbox_port: Annotated[int, Parameter(help="Port of the sandbox provider; 0 takes any free one.")] = 8001,
    worker_threads: Annotated[int | None, Parameter(help="Background jobs under way at once.")] = None,
    demo_market: Annotated[bool, Parameter(help="Load the small demo marketplace on the first start.")] = True,
) -> None:
    """Start PostgreSQL, the broker, the sandbox provider, API, workers and relay, and keep them running.

    Needs nothing but Python. The first start loads a small demo marketplace. Ctrl-C ends everything; the next start
    finds all data again. With STRIPE_SECRET_KEY set there is no sandbox and no demo marketplace.

    Example: marketbill up --data ./market --port 8080
    """
    from marketbill.embedded.stack import Stack

    check_port(port, option="--port")
    check_port(sandbox_port, option="--sandbox-port")
    _refuse_sandbox_data(data)
    console = terminal.console()
    console.print("Starting PostgreSQL, broker, sandbox, API, workers ...", style="dim")
    with Stack(data, api_port=port, sandbox_port=sandbox_port, worker_threads=worker_threads) as stack:
        asyncio.run(_move_webhooks(stack))
        market = asyncio.run(_load(stack, console)) if demo_market and stack.sandbox_url else None
        _show(stack, market, console)
        stack.wait_forever()
    console.print("Everything has ended; the data is kept.", style="dim")


def demo(
    *,
    story: Annotated[
        Literal["day", "c11"],
        Parameter(help="day: one marketplace day. c11: the worked journal, from sale to written-off debt."),
    ] = "day",
) -> int:
    """Run a story unattended in a temporary folder, and show the books.

    The day: a platform, three sellers and two buyers; sales in EUR, JPY and KWD, one authenticated, one declined; time
    passes, money is released, transferred and paid out. The story c11: one basket of three sellers, a refund in part, a
    dispute that is lost, a debt that is written off; our journal stands beside the worked one, posting by posting.

    Exits 1 when anything does not balance, or differs. Takes well under a minute.

    Example: marketbill demo --story c11
    """
    _refuse_live("the demo sells for play money")
    if os.environ.get("STRIPE_SECRET_KEY"):
        raise CommandRefused("STRIPE_SECRET_KEY is set, so there is no sandbox to play the demo in: unset it")
    import tempfile

    from marketbill.embedded.stack import Stack

    console = terminal.console()
    with tempfile.TemporaryDirectory(prefix="marketbill-demo-", ignore_cleanup_errors=True) as folder:
        stack = Stack(Path(folder), api_port=0, sandbox_port=0, report=lambda _: None)
        with console.status("starting PostgreSQL, broker, sandbox, API, workers"):
            stack.__enter__()
        try:
            return asyncio.run(_play(stack, console, story))
        finally:
            stack.stop()


async def _play(stack: "Stack", console: "Console", story: str) -> int:
    from marketbill.cli.books import check_table
    from marketbill.demo.stage import open_stage, proven

    async with open_stage(stack.api_url, stack.sandbox_url or "", stack.environment, console) as stage:
        checks = await (stage.day() if story == "day" else stage.worked_story()).run()
    console.print(check_table("Proof", checks))
    if not proven(checks):
        raise CommandRefused("the books of the demo do not agree: the table above names what is broken")
    console.print(f"Everything balances: {terminal.counted(len(checks), 'check')}, to the cent.")
    return 0


async def _move_webhooks(stack: "Stack") -> None:
    """Tells the provider of every platform where the API is, when it is not where it was at the last start."""
    from marketbill.cli.joining import platforms
    from marketbill.config import Settings
    from marketbill.embedded.keys import write_private
    from marketbill.platforms.credentials import renew_webhooks
    from marketbill.services import Services

    kept = stack.data / _PUBLIC_URL_FILE
    if kept.exists() and kept.read_text().strip() != stack.api_url:
        settings = Settings(**{name.lower(): value for name, value in stack.environment.items()})  # pyright: ignore[reportArgumentType]
        services = Services.create(settings, application="marketbill-up")
        try:
            for platform, _ in await platforms(services):
                await renew_webhooks(services, platform)
        finally:
            await services.close()
    write_private(kept, f"{stack.api_url}\n")


async def _load(stack: "Stack", console: "Console") -> "Market":
    """The demo market of this data folder; made now when it has none, or only a part of it."""
    from marketbill.demo.api import Api
    from marketbill.demo.market import first_sales, market_text, open_market, read_market
    from marketbill.demo.sandbox import SandboxControl
    from marketbill.embedded.keys import write_private

    kept = stack.data / _MARKET_FILE
    market = read_market(kept)
    async with Api(stack.api_url, stack.bootstrap_key) as api, SandboxControl(stack.sandbox_url or "") as sandbox:
        if market is None:
            with console.status("loading the demo marketplace"):
                market = await open_market(api, sandbox)
                write_private(kept, market_text(market))
        if not market.has_sales:
            with console.status("selling a little"):
                await first_sales(api.as_(market.service_key), market)
                market.has_sales = True
                write_private(kept, market_text(market))
        if not market.readonly_key:
            market.readonly_key = await _readonly_key(api, market)
            write_private(kept, market_text(market))
        await _keep_keys(stack, api, market)
    return market


async def _readonly_key(api: "Api", market: "Market") -> str:
    made = await api.as_(market.operator_key).do(
        "apiKeyCreate",
        idempotencyKey=f"up:{market.platform}:readonly",
        name="Demo reader",
        role="OPERATOR_READONLY",
    )
    return made["secret"]


async def _keep_keys(stack: "Stack", api: "Api", market: "Market") -> None:
    import json
    import secrets

    from marketbill.embedded.keys import write_private

    service = api.as_(market.service_key)
    start = secrets.token_hex(8)
    seller, buyer = await asyncio.gather(
        service.do(
            "sellerTokenCreate",
            idempotencyKey=f"up:{start}:seller",
            sellerId=market.sellers["A"],
            lifetimeSeconds=86_400,
        ),
        service.do(
            "buyerTokenCreate",
            idempotencyKey=f"up:{start}:buyer",
            buyerId=market.buyers["anna"],
            lifetimeSeconds=86_400,
        ),
    )
    keys = {
        "BOOTSTRAP": stack.bootstrap_key,
        "OPERATOR": market.operator_key,
        "OPERATOR_READONLY": market.readonly_key,
        "SERVICE": market.service_key,
        "SELLER": seller["token"],
        "BUYER": buyer["token"],
    }
    write_private(stack.data / _KEYS_FILE, json.dumps(keys, indent=2) + "\n")


def _show(stack: "Stack", market: "Market | None", console: "Console") -> None:
    import json

    from rich.panel import Panel

    lines = [
        f"GraphQL    {stack.api_url}/graphql",
        f"Explorer   {stack.api_url}/explorer",
        *([f"Sandbox    {stack.sandbox_url}"] if stack.sandbox_url else ["Stripe     itself: no sandbox"]),
        f"Data       {stack.data}",
    ]
    if market:
        lines += [f"Keys       {stack.data / _KEYS_FILE}"]
    console.print(Panel("\n".join(lines), title="marketbill runs", expand=False))
    if market is None:
        _line(console, "Create a platform with the mutation platformCreate and this key:")
        _line(console, f"  BOOTSTRAP  {stack.bootstrap_key}\n")
    else:
        keys = json.loads((stack.data / _KEYS_FILE).read_text())
        _line(console, "Keys by role (seller and buyer tokens live for a day; a new start makes new ones):")
        for role, key in keys.items():
            _line(console, f"  {role:<17} {key}")
        from marketbill.cli.examples import curl_lines

        for title, line in curl_lines(stack.api_url, keys, market):
            _line(console, f"\n# {title}\n{line}")
    _line(console, "\nCtrl-C ends everything and keeps the data.")
    sys.stdout.flush()


def _line(console: "Console", text: str) -> None:
    # Not wrapped, so that it can be pasted.
    console.print(text, soft_wrap=True, markup=False, highlight=False)


def _refuse_sandbox_data(data: Path | None) -> None:
    """Raises CommandRefused where a market that lives at the sandbox would be brought up with Stripe itself."""
    from marketbill.embedded.folder import default_data_folder

    folder = data or default_data_folder()
    if os.environ.get("STRIPE_SECRET_KEY") and (folder.expanduser() / _MARKET_FILE).exists():
        raise CommandRefused(
            f"STRIPE_SECRET_KEY is set, so api.stripe.com is asked, but the market in {folder} is the sandbox's: unset"
            " the key, or name another folder with --data"
        )


def _refuse_live(what: str) -> None:
    if os.environ.get("STRIPE_SECRET_KEY", "").startswith(("sk_live_", "rk_live_")):
        raise CommandRefused(f"STRIPE_SECRET_KEY is a live key, and {what}: unset it first")
