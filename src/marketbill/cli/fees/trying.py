"""`marketbill fees preview` and `why`."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Table

from marketbill.cli import terminal
from marketbill.cli.fees.basket import read_basket
from marketbill.cli.fees.file import placed, read_document
from marketbill.cli.joining import joined, platform_named
from marketbill.cli.ledger.operating import Data, PlatformName

if TYPE_CHECKING:
    from marketbill.db import ReadScope
    from marketbill.payments.fee_preview import FeePreview, Why
    from marketbill.payments.order import Order
    from marketbill.rules.fees.resolver import Rejection
    from marketbill.rules.fees.schedule import Schedule


def preview(
    file: Annotated[Path, Parameter(help="YAML file of the schedule.")],
    /,
    *,
    basket: Annotated[Path, Parameter(help="YAML file of a basket: currency, lines (seller, amount, category ...).")],
    platform: PlatformName = None,
    data: Data = None,
) -> None:
    """Split a basket as a file of fees would: every fee of every line, and why it is charged. Nothing is kept.

    Example: marketbill fees preview fees.yaml --basket basket.yaml
    """
    schedule, asked = _schedule(file), read_document(basket)

    _show(asyncio.run(_previewed(platform, data, lambda scope: read_basket(scope, asked, basket), schedule)))


def why(
    *,
    seller: Annotated[str, Parameter(help="His id (sel_...), or the platform's own name for him.")],
    amount: Annotated[str, Parameter(help="The price of the line, tax included, such as 20.00.")],
    currency: Annotated[str, Parameter(help="Such as EUR.")],
    category: Annotated[str, Parameter(help="Such as books/children.")] = "",
    product: Annotated[str, Parameter(help="The platform's own id of the product.")] = "",
    channel: Annotated[str, Parameter(help="Where it is sold, such as app.")] = "",
    method: Annotated[str, Parameter(help="By which it is paid, such as card.")] = "",
    buyer_country: Annotated[str, Parameter(help="ISO 3166-1, such as NL.")] = "",
    file: Annotated[Path | None, Parameter(help="YAML file of a schedule; default: the one in force.")] = None,
    platform: PlatformName = None,
    data: Data = None,
) -> None:
    """Tell which rule a sale of one line is charged by, and of every other rule why it is not.

    Example: marketbill fees why --seller anna --category books --amount 20.00 --currency EUR
    """
    schedule = _schedule(file) if file is not None else None
    line = {"seller": seller, "amount": amount, "category": category, "product": product}
    asked = {"currency": currency, "channel": channel, "method": method, "buyer_country": buyer_country}
    document = {key: value for key, value in asked.items() if value}
    document["lines"] = [{key: value for key, value in line.items() if value}]  # pyright: ignore[reportArgumentType]

    _show(
        asyncio.run(_previewed(platform, data, lambda scope: read_basket(scope, document, Path("the line")), schedule))
    )


async def _previewed(
    platform: str | None,
    data: Path | None,
    read: "Callable[[ReadScope], Awaitable[Order]]",
    schedule: "Schedule | None",
) -> "FeePreview":
    from marketbill.payments.fee_preview import preview as previewed
    from marketbill.payments.provider_taxes import Taxes, with_taxes

    async with joined(data) as services:
        id, _ = await platform_named(services, platform)

        async def plan(taxes: Taxes | None) -> "FeePreview":
            async with services.db.read(id) as scope:
                return await previewed(scope, await read(scope), taxes, schedule=schedule)

        return await with_taxes(services, id, plan)


def _schedule(file: Path) -> "Schedule":
    from marketbill.errors import InvalidInput, NotFound
    from marketbill.platforms.fee_schedule import draft_schedule

    try:
        return draft_schedule(read_document(file))
    except (InvalidInput, NotFound) as error:
        raise placed(file, error) from None


def _show(found: "FeePreview") -> None:
    console, plan = terminal.console(), found.plan
    table = Table(title=f"Fees in {plan.currency}", title_justify="left")
    table.add_column("line")
    table.add_column("fee", overflow="fold")
    for heading in ("percent part", "fixed part", "fee", "tax", "price", "seller gets"):
        table.add_column(heading, justify="right")
    for line in plan.lines:
        price, net = line.amounts.gross, line.amounts.seller_net
        for place, fee in enumerate(line.fees):
            cells = [_plain(part, plan.currency) for part in (fee.percent_part, fee.fixed_part, fee.amount, fee.tax)]
            ends = [_plain(price, plan.currency), _plain(net, plan.currency)] if place == 0 else ["", ""]
            table.add_row(line.line_id if place == 0 else "", f"{fee.stack}: {fee.name}", *cells, *ends)
        if not line.fees:
            ends = [_plain(price, plan.currency), _plain(net, plan.currency)]
            table.add_row(line.line_id, "none", "", "", "", "", *ends)
    console.print(table)
    for one in found.why:
        _tell(one)


def _tell(one: "Why") -> None:
    for stack in one.stacks:
        charged = stack.winner.name if stack.winner is not None else "no rule"
        print(f"line {one.line_id}, {stack.stack}: {charged} is charged")
        for rejected in stack.rejected:
            print(f"  not {rejected.rule.name}: {reason(rejected)}")


def reason(rejected: "Rejection") -> str:
    """Why a rule is not charged, in words."""
    from marketbill.rules.fees.resolver import Rank, Reason

    match rejected.reason:
        case Reason.CONDITION:
            return "; ".join(
                f"{miss.dimension.replace('_', ' ')} must be {miss.expected}, and is {miss.actual or 'not known'}"
                for miss in rejected.misses
            )
        case Reason.NOT_YET:
            return f"it holds from {rejected.expected} on"
        case Reason.NO_LONGER:
            return f"it held until {rejected.expected}"
        case Reason.OWN_LINE:
            return "it is a part for the line's own seller, who has the money already"
        case Reason.OUTRANKED:
            ranks = {
                Rank.POSITION: "by its position",
                Rank.DIMENSIONS: "because it asks for more",
                Rank.ORDER: "because it stands first",
                None: "",
            }
            return f"{rejected.outranked_by} goes before it {ranks[rejected.rank]}".rstrip()


def _plain(amount: int, currency: str) -> str:
    from marketbill.money import decimal_text

    return decimal_text(amount, currency)
