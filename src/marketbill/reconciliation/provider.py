"""The ledger against the provider: its balances of the platform and of every seller are what our accounts say.

Our books follow the provider's events, so a moment lies between the two. What is known to be under way is counted in:
funds that are due but not booked as available yet, and payouts that are claimed here but not sent yet.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import bindparam, select, text

from marketbill.db import ReadScope
from marketbill.ids import PlatformId, public_id
from marketbill.ledger import balances
from marketbill.platforms.credentials import provider_of
from marketbill.platforms.model import provider_credential
from marketbill.provider.port import Provider
from marketbill.reconciliation.check import Check, Verdict, broken, compared, holds, warning
from marketbill.services import Services

CALLS_MAX = 8
SELLERS_MAX = 100_000
#: Times that both are read again when the books moved between the two readings.
_ROUNDS_MAX = 5
_ROUND_PAUSE_S = 0.5

_OWN = text(
    "select code, currency, debits - credits as balance from ledger_account"
    " where platform_id = :platform and code in ('psp:pending', 'psp:available')"
)
_CUSTODY = text(
    r"""
    select s.id, s.name, s.provider_account, a.currency, coalesce(sum(a.debits - a.credits), 0) as balance
    from seller s
    left join ledger_account a
      on a.platform_id = :platform and a.owner_id = s.id and a.code like 'custody:%\:available'
    where s.platform_id = :platform and s.provider_account is not null
    group by s.id, s.name, s.provider_account, a.currency
    limit :limit
    """
)
_FUNDS_DUE = text(
    "select coalesce(settlement_currency, currency) as currency,"
    " sum(coalesce(settlement_gross, gross) - provider_fee) as amount from payment where platform_id = :platform"
    " and settled_at is not null and available_at is null and available_on <= :now group by 1"
)
_PAYOUTS_UNSENT = text(
    "select seller_id, currency, sum(amount) as amount from payout where platform_id = :platform"
    " and status = 'CREATED' and rail = 'PROVIDER' and provider_payout is null group by seller_id, currency"
)


@dataclass(frozen=True, slots=True)
class Held:
    """What the provider holds for an account in a currency, in minor units."""

    pending: int
    available: int


Holdings = Mapping[tuple[str, str], Held]


class BalanceReader(Protocol):
    """Reads many accounts' balances at once, by provider account and currency; the sandbox can, Stripe cannot."""

    async def __call__(self, accounts: Sequence[str]) -> Holdings: ...


@dataclass(frozen=True, slots=True)
class _Books:
    own: Counter[tuple[str, str]]
    sellers: dict[str, UUID]
    custody: Counter[tuple[str, str]]
    watermark: int


async def prove_provider(services: Services, platform: PlatformId, *, reader: BalanceReader | None) -> list[Check]:
    """The balances of the platform and of all its sellers. Raises Unknown or Refused, as the port does."""
    async with services.db.read(platform) as scope:
        connected = await scope.first(
            select(provider_credential.c.provider_account).where(
                provider_credential.c.platform_id == bindparam("platform")
            ),
            {"platform": platform},
        )
        if connected is None:
            return [warning("provider balances", "platform", "no provider is connected")]
        provider = await provider_of(services, scope)
    checks: list[Check] = []
    for round in range(_ROUNDS_MAX):
        if round:
            await asyncio.sleep(_ROUND_PAUSE_S)
        before = await _books(services, platform)
        own, held = await _holdings(provider, connected.provider_account, list(before.sellers), reader)
        after = await _books(services, platform)
        checks = [*_compare_own(after, own), *_compare_sellers(after, held)]
        if before.watermark == after.watermark and all(check.verdict is Verdict.HOLDS for check in checks):
            break
    return checks


async def _books(services: Services, platform: PlatformId) -> _Books:
    async with services.db.read(platform) as scope:
        return await _read_books(scope)


async def _read_books(scope: ReadScope) -> _Books:
    values: dict[str, Any] = {"platform": scope.platform}
    own: Counter[tuple[str, str]] = Counter()
    for row in await scope.rows(_OWN, values):
        own[row.code, row.currency] += int(row.balance)
    for row in await scope.rows(_FUNDS_DUE, {**values, "now": scope.now}):
        own["psp:pending", row.currency] -= int(row.amount)
        own["psp:available", row.currency] += int(row.amount)
    sellers: dict[str, UUID] = {}
    custody: Counter[tuple[str, str]] = Counter()
    account_of: dict[UUID, str] = {}
    for row in await scope.rows(_CUSTODY, {**values, "limit": SELLERS_MAX}):
        sellers[row.provider_account] = row.id
        account_of[row.id] = row.provider_account
        if row.currency is not None:
            custody[row.provider_account, row.currency] += int(row.balance)
    for row in await scope.rows(_PAYOUTS_UNSENT, values):
        if row.seller_id in account_of:
            custody[account_of[row.seller_id], row.currency] += int(row.amount)
    return _Books(own, sellers, custody, await balances.watermark(scope))


async def _holdings(
    provider: Provider, own_account: str, accounts: Sequence[str], reader: BalanceReader | None
) -> tuple[dict[str, Held], Holdings]:
    if reader is not None:
        held = await reader([own_account, *accounts])
        return {currency: one for (account, currency), one in held.items() if account == own_account}, held
    own = {one.currency: Held(one.pending, one.available) for one in await provider.balances()}
    gate = asyncio.Semaphore(CALLS_MAX)
    found: dict[tuple[str, str], Held] = {}

    async def read(account: str) -> None:
        async with gate:
            for one in await provider.balances(account):
                found[account, one.currency] = Held(one.pending, one.available)

    await asyncio.gather(*(read(account) for account in accounts))
    return own, found


def _compare_own(books: _Books, own: Mapping[str, Held]) -> list[Check]:
    currencies = sorted(
        {currency for _, currency in books.own} | {currency for currency in own if own[currency] != Held(0, 0)}
    )
    return [
        compared("provider balance", code, expected=books.own[code, currency], found=found, currency=currency)
        for currency in currencies
        for code, found in (
            ("psp:pending", own.get(currency, Held(0, 0)).pending),
            ("psp:available", own.get(currency, Held(0, 0)).available),
        )
    ]


def _compare_sellers(books: _Books, held: Holdings) -> list[Check]:
    checks: list[Check] = []
    totals: Counter[str] = Counter()
    keys = set(books.custody) | {key for key in held if key[0] in books.sellers}
    for account, currency in sorted(keys):
        found = held.get((account, currency), Held(0, 0))
        expected = books.custody[account, currency]
        totals[currency] += expected
        if found.pending + found.available != expected:
            code = f"custody:{public_id('seller', books.sellers[account])}:available"
            checks.append(
                compared(
                    "provider balance",
                    code,
                    expected=expected,
                    found=found.pending + found.available,
                    currency=currency,
                )
            )
    if len(books.sellers) >= SELLERS_MAX:
        checks.append(broken("provider balances", "sellers", expected=f"fewer than {SELLERS_MAX}", found="more"))
    if not checks and totals:
        accounts = len(books.sellers)
        checks += [
            compared(
                "provider balance", f"custody of {accounts:,} sellers", expected=total, found=total, currency=currency
            )
            for currency, total in sorted(totals.items())
        ]
    return checks or [holds("provider balances", "sellers", "no balances")]
