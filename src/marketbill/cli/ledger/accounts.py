"""`marketbill ledger freeze`, `unfreeze`, `close-account`, `guard`, `ceiling` and `account-changes`."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.table import Table

from marketbill.cli import terminal
from marketbill.cli.failure import CommandRefused
from marketbill.cli.ledger.operating import Data, PlatformName, Reason, person, reading, writing

if TYPE_CHECKING:
    from uuid import UUID

    from marketbill.db import ReadScope, Scope, WriteScope
    from marketbill.ledger.operations.account_terms import AccountChange


def freeze(code: str, currency: str, /, *, reason: Reason, platform: PlatformName = None, data: Data = None) -> None:
    """Have an account take no postings and no new holds, until it is opened again.

    Whatever needs the account is refused meanwhile, a seller's sales and payouts too. Its open holds can end.

    Example: marketbill ledger freeze seller:sel_01jd8x0q4mf0v9k2s7c3b6n1ra:payable EUR --reason "asked by the bank"

    Parameters
    ----------
    code
        The account's code, as the trial balance and `marketbill ledger export` tell it.
    currency
        Its currency.
    """
    from marketbill.ledger.operations import account_terms

    _change(code, currency, account_terms.freeze, reason, platform, data)


def unfreeze(code: str, currency: str, /, *, reason: Reason, platform: PlatformName = None, data: Data = None) -> None:
    """Open a frozen account again.

    Example: marketbill ledger unfreeze psp:available EUR --reason "settled with the bank"

    Parameters
    ----------
    code
        The account's code.
    currency
        Its currency.
    """
    from marketbill.ledger.operations import account_terms

    _change(code, currency, account_terms.unfreeze, reason, platform, data)


def close_account(
    code: str, currency: str, /, *, reason: Reason, platform: PlatformName = None, data: Data = None
) -> None:
    """Close an account for ever: it must be empty, with no hold open on it.

    Example: marketbill ledger close-account dispute:dis_01jd8x0q4mf0v9k2s7c3b6n1ra EUR --reason "written off"

    Parameters
    ----------
    code
        The account's code.
    currency
        Its currency.
    """
    from marketbill.ledger.operations import account_terms

    _change(code, currency, account_terms.close, reason, platform, data)


def guard(
    code: str,
    currency: str,
    guard: Literal["none", "not-negative"],
    /,
    *,
    reason: Reason,
    platform: PlatformName = None,
    data: Data = None,
) -> None:
    """Guard an account against going below zero, or no longer.

    Example: marketbill ledger guard psp:available EUR not-negative --reason "no overdraft at the provider"

    Parameters
    ----------
    code
        The account's code.
    currency
        Its currency.
    guard
        not-negative: what would leave less than nothing available is refused. none: it may go below zero.
    """
    from marketbill.ledger.chart import Guard
    from marketbill.ledger.operations import account_terms

    wanted = Guard.NOT_NEGATIVE if guard == "not-negative" else Guard.NONE
    _change(code, currency, account_terms.set_guard, reason, platform, data, wanted)


def ceiling(
    code: str,
    currency: str,
    amount: str,
    /,
    *,
    reason: Reason,
    platform: PlatformName = None,
    data: Data = None,
) -> None:
    """Set the most that an account may hold, with what holds would bring.

    Example: marketbill ledger ceiling buyer:credit EUR 50000.00 --reason "terms of the licence"
    Example: marketbill ledger ceiling buyer:credit EUR none --reason "licence extended"

    Parameters
    ----------
    code
        The account's code.
    currency
        Its currency.
    amount
        Such as 50000.00; none for no limit.
    """
    from marketbill.ledger.operations import account_terms
    from marketbill.money import parse_decimal

    most = None if amount == "none" else parse_decimal(amount, currency)
    _change(code, currency, account_terms.set_ceiling, reason, platform, data, most)


def account_changes(
    code: str | None = None,
    currency: Annotated[str | None, Parameter(help="With an account, its currency.")] = None,
    /,
    *,
    platform: PlatformName = None,
    data: Data = None,
) -> None:
    """List what operators changed of accounts, with who and why; the newest hundred.

    Example: marketbill ledger account-changes psp:available EUR

    Parameters
    ----------
    code
        The code of one account; default: all.
    currency
        Its currency.
    """
    name, found = asyncio.run(reading(platform, data, lambda scope: _changes(scope, code, currency)))
    table = Table(title=f"{name}: changes of accounts", title_justify="left")
    for heading in ("when (UTC)", "account", "what", "was", "became", "by", "why"):
        table.add_column(heading, overflow="fold")
    for account, one in found:
        table.add_row(
            f"{one.changed_at:%Y-%m-%d %H:%M}",
            account,
            one.term.lower(),
            one.was or "none",
            one.became or "none",
            one.changed_by,
            one.reason,
        )
    terminal.console().print(table)


def _change(
    code: str,
    currency: str,
    change: Callable[..., Awaitable[Any]],
    reason: str,
    platform: str | None,
    data: Path | None,
    *became: object,
) -> None:
    async def make(scope: "WriteScope") -> "AccountChange":
        account = await _account(scope, code, currency)
        return await change(scope, account, *became, by=person(), reason=reason)

    name, made = asyncio.run(writing(platform, data, make))
    was, now = made.was or "none", made.became or "none"
    print(f"{name}: {code} {currency}, {made.term.lower()}: {was} -> {now}.")


async def _account(scope: "Scope", code: str, currency: str) -> "UUID":
    from marketbill.ledger.accounts import accounts_by_refs
    from marketbill.ledger.chart import named

    ref = named(code, currency)
    found = await accounts_by_refs(scope, [ref])
    if ref not in found:
        raise CommandRefused(f"{code} {currency} has no posting yet: an account is opened by its first one")
    return found[ref].id


async def _changes(scope: "ReadScope", code: str | None, currency: str | None) -> "list[tuple[str, AccountChange]]":
    from marketbill.ledger.accounts import accounts_by_ids
    from marketbill.ledger.operations import account_terms
    from marketbill.paging import PAGE_MAX, PageRequest

    account = await _account(scope, code, currency or "") if code else None
    page = await account_terms.changes(scope, PageRequest(PAGE_MAX), account_id=account)
    found = [account_terms.change_of(row) for row in page.rows]
    accounts = await accounts_by_ids(scope, list({one.account_id for one in found}))
    names = {id: f"{account.code} {account.currency}" for id, account in accounts.items()}
    return [(names[one.account_id], one) for one in found]
