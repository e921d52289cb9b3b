"""A cause of the tests: what a refund or a lost dispute does with the clawback, without the rest of it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select
from tests.market.market import Market

from marketbill.ids import PaymentId, SellerId, new_id, public_id
from marketbill.ledger import chart, entries, journal, original
from marketbill.ledger.journal import JournalEntry, Posting, Source
from marketbill.payments import settle
from marketbill.payouts.model import debt, reversal
from marketbill.payouts.reversal import execute_reversals
from marketbill.recovery import clawback
from marketbill.recovery.clawback import Forecast


def refund() -> Source:
    return Source("refund", new_id())


def named(market: Market, parts: Mapping[str, int]) -> dict[SellerId, int]:
    return {market.sellers[name]: amount for name, amount in parts.items()}


async def forecast(market: Market, payment: PaymentId, parts: Mapping[str, int]) -> dict[str, Forecast]:
    row = await market.payment(payment)
    names = {id: name for name, id in market.sellers.items()}
    async with market.machine.services.db.read(market.platform) as scope:
        found = await clawback.forecast(scope, row, named(market, parts))
    return {names[one.seller_id]: one for one in found}


async def begin(market: Market, cause: Source, payment: PaymentId, parts: Mapping[str, int]) -> bool:
    async with market.machine.services.db.write(market.platform) as scope:
        row = (await settle.lock(scope, [payment]))[payment]
        return await clawback.begin(scope, cause, row, named(market, parts))


async def reverse(market: Market) -> None:
    await execute_reversals(market.machine.services, market.platform)


async def funded(market: Market, cause: Source) -> dict[str, tuple[int, int, int]] | None:
    names = {id: name for name, id in market.sellers.items()}
    async with market.machine.services.db.write(market.platform) as scope:
        found = await clawback.funding(scope, cause)
    return None if found is None else {names[one.seller_id]: (one.pending, one.payable, one.debt) for one in found}


async def approve(market: Market, cause: Source, *, currency: str = "EUR") -> None:
    """The cause's own entry (R1), of the sellers' parts alone, after that of their debts."""
    async with market.machine.services.db.write(market.platform) as scope:
        fundings = await clawback.funding(scope, cause)
        assert fundings is not None
        owed = await clawback.book(scope, cause, fundings)
        payable = chart.account(chart.REFUND_PAYABLE, currency)
        postings = [
            Posting(account(one.seller_id, currency), payable, amount)
            for one in fundings
            for account, amount in ((chart.seller_pending, one.pending), (chart.seller_payable, one.payable))
            if amount
        ]
        await journal.post_all(scope, [*owed, _entry(scope, cause, "refund", postings)])


async def refuse(market: Market, cause: Source) -> None:
    """R1 mirrored, and the parts given back."""
    async with market.machine.services.db.write(market.platform) as scope:
        [approved] = [
            one for one in (await entries.entries_by_sources(scope, [cause.id]))[cause.id] if one.kind == "refund"
        ]
        back = await clawback.give_back(scope, cause)
        of = await original.load(scope, approved.id)
        mirrored = [Posting(one.credit, one.debit, one.amount) for one in of.postings]
        mirror = _entry(scope, cause, "reversal", mirrored, reverses=of.id)
        await journal.post_all(scope, [mirror, *back])


async def debts(market: Market, *, currency: str = "EUR") -> dict[str, list[tuple[int, int]]]:
    """What was owed and remains of it, by seller, the oldest first."""
    return await _by_seller(
        market, select(debt).where(debt.c.currency == currency).order_by(debt.c.id), "amount", "remaining"
    )


async def reversals(market: Market) -> dict[str, list[tuple[int, str]]]:
    return await _by_seller(market, select(reversal).order_by(reversal.c.id), "amount", "status")


async def _by_seller(market: Market, statement: Any, *columns: str) -> dict[str, list[Any]]:
    names: dict[UUID, str] = {id: name for name, id in market.sellers.items()}
    found: dict[str, list[Any]] = {}
    async with market.machine.services.db.read(market.platform) as scope:
        for row in await scope.rows(statement):
            found.setdefault(names[row.seller_id], []).append(tuple(getattr(row, name) for name in columns))
    return found


def _entry(
    scope: Any, cause: Source, kind: str, postings: list[Posting], *, reverses: UUID | None = None
) -> JournalEntry:
    return JournalEntry(
        key=f"{kind}:{public_id(cause.type, cause.id)}",
        kind=kind,
        source=cause,
        postings=tuple(postings),
        effective_at=scope.now,
        description=kind,
        reason={},
        reverses=reverses,
    )
