"""`marketbill ledger reverse`, `approve`, `reject`, `corrections` and `correction-limit`."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Table

from marketbill.cli import terminal
from marketbill.cli.failure import WrongUse
from marketbill.cli.ledger.operating import Data, PlatformName, Reason, instant, person, reading, writing

if TYPE_CHECKING:
    from uuid import UUID

    from marketbill.db import ReadScope
    from marketbill.ledger.operations.correction import Correction
    from marketbill.ledger.operations.correction_limit import LimitSetting
    from marketbill.ledger.operations.replacement import Replacement


def reverse(
    entry: str,
    /,
    *,
    reason: Reason,
    replace: Annotated[
        list[str] | None,
        Parameter(help='What is booked in its place, "DEBIT CREDIT AMOUNT CURRENCY"; repeat it.', negative=""),
    ] = None,
    description: Annotated[str, Parameter(help="What the replacement is, in words.")] = "Replacement",
    manual: Annotated[
        bool, Parameter(help="The replacement has legs of no flow; else those of the entry's kind.", negative="")
    ] = False,
    effective_at: Annotated[str | None, Parameter(help="Default: when the entry was.")] = None,
    platform: PlatformName = None,
    data: Data = None,
) -> None:
    """Correct an entry by one that mirrors it; nothing is ever edited or deleted.

    With --replace what is right is booked beside it, both or neither. Above the limit of its currency (`marketbill
    ledger correction-limit`) it waits for another person's `marketbill ledger approve`. In a closed period's place it
    is booked at the first open instant. A hold is voided instead; a reversal is not reversed.

    Example: marketbill ledger reverse ent_01jd8x0q4mf0v9k2s7c3b6n1ra --reason "booked twice"
    Example: marketbill ledger reverse ent_01jd8x0q4mf0v9k2s7c3b6n1ra --reason "figure of another day"
    --replace "expenses:psp-fee psp:pending 2.07 EUR"

    Parameters
    ----------
    entry
        Id of the entry (ent_...).
    """
    from marketbill.ids import parse_id
    from marketbill.ledger.operations import correction

    id = parse_id("journal entry", entry, path=("entry",))
    at = instant(effective_at) if effective_at else None
    anew = _replacement(replace, description, manual=manual) if replace else None
    name, made = asyncio.run(
        writing(
            platform,
            data,
            lambda scope: correction.request(scope, id, by=person(), reason=reason, effective_at=at, replacement=anew),
        )
    )
    _tell(name, made)


def approve(correction: str, /, *, platform: PlatformName = None, data: Data = None) -> None:
    """Book a correction that waits, as another person than who asked for it.

    A person is an API key, or a user of this system at its terminal. Where an account's guard refuses the reversal, the
    correction goes on waiting.

    Example: marketbill ledger approve cor_01jd8x0q4mf0v9k2s7c3b6n1ra

    Parameters
    ----------
    correction
        Id of the correction (cor_...), as `marketbill ledger corrections` tells it.
    """
    from marketbill.ids import parse_id
    from marketbill.ledger.operations import correction as corrections_

    id = parse_id("correction", correction, path=("correction",))
    name, made = asyncio.run(writing(platform, data, lambda scope: corrections_.approve(scope, id, by=person())))
    _tell(name, made)


def reject(correction: str, /, *, reason: Reason, platform: PlatformName = None, data: Data = None) -> None:
    """End a correction that waits; whoever asked for it may take it back so.

    Example: marketbill ledger reject cor_01jd8x0q4mf0v9k2s7c3b6n1ra --reason "the entry is right"

    Parameters
    ----------
    correction
        Id of the correction (cor_...).
    """
    from marketbill.ids import parse_id
    from marketbill.ledger.operations import correction as corrections_

    id = parse_id("correction", correction, path=("correction",))
    name, made = asyncio.run(
        writing(platform, data, lambda scope: corrections_.reject(scope, id, by=person(), reason=reason))
    )
    _tell(name, made)


def corrections(
    *,
    waiting: Annotated[bool, Parameter(help="Only those that wait for approval.", negative="")] = False,
    platform: PlatformName = None,
    data: Data = None,
) -> None:
    """List corrections with who asked for them, who decided, and why; the newest hundred.

    Example: marketbill ledger corrections --waiting
    """
    name, found = asyncio.run(reading(platform, data, lambda scope: _corrections(scope, waiting=waiting)))
    table = Table(title=f"{name}: corrections", title_justify="left")
    table.add_column("correction", no_wrap=True)
    table.add_column("state")
    table.add_column("amount", justify="right")
    table.add_column("of which entry, by whom and why", overflow="fold")
    for one in found:
        told = [_id("journal entry", one.entry_id), _deed("asked for", one.requested_by, one.requested_at, one.reason)]
        if one.decided_by is not None and one.decided_at is not None:
            deed = "rejected" if one.reversal_id is None else "approved" if one.needs_approval else "booked"
            told.append(_deed(deed, one.decided_by, one.decided_at, one.decision_reason))
        table.add_row(_id("correction", one.id), one.status.lower(), _amounts(one), "\n".join(told))
    console = terminal.console()
    if found:
        console.print(table)
    else:
        console.print(f"{name}: no correction {'waits' if waiting else 'was made yet'}.")


def correction_limit(
    currency: str,
    amount: str | None = None,
    /,
    *,
    reason: Annotated[str | None, Parameter(help="With an amount, why; it is kept.")] = None,
    platform: PlatformName = None,
    data: Data = None,
) -> None:
    """Show up to what amount one person corrects alone, or set it; above it a second person approves.

    What counts is all that the entry moves in the currency, or its replacement where that is more. A limit does not
    count for whoever raised it, until somebody else sets one.

    Example: marketbill ledger correction-limit EUR
    Example: marketbill ledger correction-limit EUR 250.00 --reason "asked by the auditor"

    Parameters
    ----------
    currency
        Such as EUR.
    amount
        The new limit, such as 250.00; 0 has every correction approved.
    """
    from marketbill.ledger.operations import correction_limit as limit
    from marketbill.money import parse_decimal

    if (amount is None) is not (reason is None):
        raise WrongUse("an amount and --reason go together")
    if amount is not None and reason is not None:
        minor = parse_decimal(amount, currency)
        name, _ = asyncio.run(
            writing(
                platform,
                data,
                lambda scope: limit.set_limit(scope, currency=currency, amount=minor, by=person(), reason=reason),
            )
        )
        print(f"{name}: one person corrects up to {terminal.money(minor, currency)} alone.")
        return
    name, (own, settings) = asyncio.run(reading(platform, data, lambda scope: _limit(scope, currency)))
    print(f"{name}: {person()} corrects up to {terminal.money(own, currency)} alone.")
    for one in settings:
        print(f"  {one.set_at:%Y-%m-%d %H:%M} {terminal.money(one.amount, currency)} by {one.set_by}: {one.reason}")


def _replacement(legs: Sequence[str], description: str, *, manual: bool) -> "Replacement":
    from marketbill.ledger.operations.replacement import MANUAL, Asked, Replacement
    from marketbill.money import parse_decimal

    asked: list[Asked] = []
    for leg in legs:
        words = leg.split()
        if len(words) != 4:
            raise WrongUse(f'{leg!r} is no posting: write "expenses:psp-fee psp:pending 2.07 EUR"')
        debit, credit, amount, currency = words
        asked.append(Asked(debit, credit, parse_decimal(amount, currency), currency))
    return Replacement.asked(asked, description=description, kind=MANUAL if manual else None)


def _tell(name: str, made: "Correction") -> None:
    id, entry = _id("correction", made.id), _id("journal entry", made.entry_id)
    match made.status.value:
        case "POSTED":
            reversal = _id("journal entry", made.reversal_id) if made.reversal_id else ""
            anew = f", replaced by {_id('journal entry', made.replacement_id)}" if made.replacement_id else ""
            print(f"{name}: {entry} is reversed by {reversal}{anew} ({id}).")
        case "PENDING":
            print(f"{name}: {id} waits: {_amounts(made)} are above the limit of one person.")
            print(f"Another one approves it until {made.expires_at:%Y-%m-%d}: marketbill ledger approve {id}")
        case status:
            print(f"{name}: {id} is {status.lower()}; {entry} stands as it is.")


def _deed(deed: str, by: str, at: datetime, why: str | None) -> str:
    return f"{deed} by {by} on {at:%Y-%m-%d %H:%M}" + (f": {why}" if why else "")


def _amounts(made: "Correction") -> str:
    return ", ".join(terminal.money(amount, currency) for currency, amount in sorted(made.amounts.items()))


async def _corrections(scope: "ReadScope", *, waiting: bool) -> "list[Correction]":
    from marketbill.ledger.operations import correction
    from marketbill.ledger.operations.correction import CorrectionStatus
    from marketbill.paging import PAGE_MAX, PageRequest

    status = [CorrectionStatus.PENDING] if waiting else None
    page = await correction.corrections(scope, PageRequest(PAGE_MAX), status=status)
    return [correction.correction_of(row) for row in page.rows]


async def _limit(scope: "ReadScope", currency: str) -> "tuple[int, list[LimitSetting]]":
    from marketbill.ledger.operations import correction_limit as limit

    limits = await limit.limits(scope, [currency], by=person())
    return limits[currency], await limit.settings(scope, currency=currency)


def _id(kind: str, id: "UUID") -> str:
    from marketbill.ids import public_id

    return public_id(kind, id)
