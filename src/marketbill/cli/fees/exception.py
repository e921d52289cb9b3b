"""`marketbill fees exception`."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from marketbill.cli.ledger.operating import Data, PlatformName, instant, person, writing

if TYPE_CHECKING:
    from sqlalchemy import Row

    from marketbill.db import WriteScope


def exception(
    seller: str,
    /,
    *,
    percent: Annotated[str, Parameter(help="The percentage that he is charged, such as 8 or 7.5.")],
    until: Annotated[str, Parameter(help="When it ends: a day (its beginning, UTC) or an instant.")],
    stack: Annotated[str, Parameter(help="Which of the stacked fees.")] = "commission",
    platform: PlatformName = None,
    data: Data = None,
) -> None:
    """Give one seller another percentage until a date: makes a draft of the live schedule with that rule added.

    The rest of the rule (fixed part, minimum, base, tax) is that of the stack's rule without conditions.

    Example: marketbill fees exception anna --percent 8 --until 2027-03-01

    Parameters
    ----------
    seller
        His id (sel_...), or the platform's own name for him.
    """
    from marketbill.clock import rfc3339
    from marketbill.ids import public_id

    end = rfc3339(instant(until))

    async def work(scope: "WriteScope") -> "Row[Any]":
        from marketbill.payments.fee_preview import seller_named
        from marketbill.platforms import fee_schedule

        row = await seller_named(scope, seller)
        live = await fee_schedule.current(scope)
        document = fee_schedule.with_exception(
            live, seller=public_id("seller", row.id), percent=percent, until=end, stack=stack
        )
        return await fee_schedule.add_draft(scope, document, by=person())

    name, row = asyncio.run(writing(platform, data, work))
    id = public_id("fee schedule", row.id)
    print(f"{name}: {id} is a draft with the exception. Publish it: marketbill fees publish {id}")
