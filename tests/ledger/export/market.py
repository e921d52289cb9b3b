"""A market of three currencies over three months, to be exported: sales, late ones, reversals, holds, odd texts."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from marketbill.db import Database
from marketbill.ids import PlatformId, SellerId, new_id
from marketbill.ledger import chart
from marketbill.ledger.chart import AccountKind
from marketbill.ledger.entry import JournalEntry, Outcome, Phase, Posting, Source
from marketbill.ledger.export.record import Account
from marketbill.ledger.journal import post

START = datetime(2026, 1, 10, 6, tzinfo=UTC)
CURRENCIES = ("EUR", "JPY", "KWD")
DESCRIPTIONS = ("Charge", 'A "quoted"; name | with = signs', "Größe 鞄 🎒", "two\nlines", "=1+1", "")

Held = dict[tuple[Account, str], int]
"""What accounts hold by code and currency, in minor units, as debits minus credits."""


def entry(
    name: str,
    postings: Sequence[Posting],
    at: datetime,
    *,
    description: str = "",
    phase: Phase = Phase.POSTED,
    resolves: UUID | None = None,
    reverses: UUID | None = None,
) -> JournalEntry:
    """An entry of the kind that takes any postings; its key begins with its name."""
    source = new_id()
    return JournalEntry(
        key=f"{name}:{source}",
        kind="hold-voided" if phase is Phase.RELEASED else "manual" if reverses is None else "reversal",
        source=Source("correction", source),
        postings=tuple(postings),
        effective_at=at,
        description=description,
        reason={},
        phase=phase,
        resolves=resolves,
        reverses=reverses,
    )


def charge(seller: SellerId, currency: str, amount: int, at: datetime, description: str) -> JournalEntry:
    """A sale with the platform's tenth, the provider's fee and the custody of what is left: seven postings."""
    pending, payable = chart.seller_pending(seller, currency), chart.seller_payable(seller, currency)
    fee = amount // 10
    postings = [
        Posting(chart.psp_pending(currency), pending, amount),
        Posting(chart.psp_fee(currency), chart.psp_pending(currency), 1 + amount // 50),
        Posting(pending, chart.platform_fee(currency), fee - 1),
        Posting(pending, chart.account(chart.OWN_FEE, currency, "listing"), 1),
        Posting(pending, chart.output_vat("NL", currency), 1 + fee // 5),
        Posting(pending, payable, amount - fee - (1 + fee // 5)),
        Posting(chart.custody_available(seller, currency), chart.custody_owed(seller, currency), amount - fee),
    ]
    return entry("charge", postings, at, description=description)


def mirrored(reversed_entry: JournalEntry, id: UUID, at: datetime) -> JournalEntry:
    postings = [Posting(p.credit, p.debit, p.amount) for p in reversed_entry.postings]
    return entry("reversal", postings, at, description=f"Undoes {reversed_entry.key}", reverses=id)


async def post_market(db: Database, platform: PlatformId, *, sales: int = 60) -> None:
    """Posts sales from January to March 2026, a fifth of them late, a tenth reversed; and three holds.

    Of the holds one is posted in part, one is released and one stays open.
    """
    dice = random.Random(7)
    sellers = [SellerId(new_id()) for _ in range(4)]
    for number in range(sales):
        at = START + timedelta(days=80) * (number / sales)
        if number % 5 == 4:
            at -= timedelta(days=dice.randrange(1, 40), seconds=dice.randrange(86_400))
        sale = charge(
            dice.choice(sellers),
            dice.choice(CURRENCIES),
            dice.randrange(100, 9_999_999),
            at,
            DESCRIPTIONS[number % len(DESCRIPTIONS)],
        )
        id = await posted(db, platform, sale)
        if number % 10 == 9:
            await posted(db, platform, mirrored(sale, id, at + timedelta(days=dice.randrange(3))))
    await post_holds(db, platform, sellers[0])


async def post_holds(db: Database, platform: PlatformId, seller: SellerId) -> None:
    at = START + timedelta(days=40)
    payout = Posting(chart.custody_in_transit(seller, "EUR"), chart.custody_available(seller, "EUR"), 500)
    await posted(db, platform, charge(seller, "EUR", 10_000, at, "Before the holds"))
    taken, given_back, _ = [
        await posted(db, platform, entry("payout", [payout], at, description="Held", phase=Phase.HELD)) for _ in "abc"
    ]
    part = Posting(payout.debit, payout.credit, 300)
    await posted(db, platform, entry("payout-paid", [part], at + timedelta(hours=1), resolves=taken))
    release = entry("payout-failed", [], at + timedelta(hours=2), phase=Phase.RELEASED, resolves=given_back)
    await posted(db, platform, release)


async def posted(db: Database, platform: PlatformId, one: JournalEntry) -> UUID:
    async with db.write(platform) as scope:
        [result] = await post(scope, [one])
    assert result.outcome is Outcome.POSTED, result
    assert result.entry_id is not None
    return result.entry_id


async def held(admin_url: str, platform: PlatformId) -> Held:
    """What the ledger keeps as each account's balance now."""
    return await _held(
        admin_url, "select kind, code, currency, debits - credits from ledger_account where platform_id = $1", platform
    )


async def held_before(admin_url: str, platform: PlatformId, at: datetime) -> Held:
    """What every posting that is effective before an instant adds up to, zeros left out."""
    statement = """
    select a.kind, a.code, a.currency, sum(side.net)::bigint
    from posting p
    cross join lateral (values (p.debit_account_id, p.amount), (p.credit_account_id, -p.amount)) as side (id, net)
    join ledger_account a on a.platform_id = p.platform_id and a.id = side.id
    where p.platform_id = $1 and p.effective_at < $2 and not p.held
    group by a.kind, a.code, a.currency having sum(side.net) <> 0
    """
    return await _held(admin_url, statement, platform, at)


async def _held(admin_url: str, statement: str, *values: object) -> Held:
    connection = await asyncpg.connect(admin_url)
    try:
        rows = await connection.fetch(statement, *values)
    finally:
        await connection.close()
    return {(Account(AccountKind(kind), code), currency): net for kind, code, currency, net in rows}
