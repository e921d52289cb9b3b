"""One sale with three sellers, from charge to payout and on to a debt written off, ends at the stated balances."""

from datetime import timedelta

import pytest
from tests.ledger.worked_journal import EUR, START, basket

from marketbill.db import Database
from marketbill.ids import PlatformId, new_id, public_id
from marketbill.ledger import chart, worked_journal
from marketbill.ledger.accounts import accounts, accounts_by_refs, seller_positions
from marketbill.ledger.balances import balance_at
from marketbill.ledger.entries import entries_by_sources, entry_page, postings_by_entries
from marketbill.ledger.journal import GuardBroken, Outcome, post, post_all
from marketbill.ledger.movements import movements
from marketbill.ledger.proof import check
from marketbill.ledger.trial_balance import trial_balance


async def test_the_worked_journal_ends_at_the_stated_balances(db: Database, platform: PlatformId) -> None:
    sale = basket()
    async with db.write(platform) as scope:
        results = await post(scope, sale.entries)
    async with db.read(platform) as scope:
        held = {(account.code, account.currency): account.balance for account in await accounts(scope, limit=1000)}
        trial = await trial_balance(scope)

    assert {result.outcome for result in results} == {Outcome.POSTED}
    assert held == sale.balances()
    assert [(balance.currency, balance.debit, balance.credit) for balance in trial] == [("EUR", 25794, 25794)]


async def test_the_story_goes_on_to_refund_dispute_and_write_off(db: Database, platform: PlatformId) -> None:
    ids = {name: new_id() for name in worked_journal.OBJECTS}
    for step in worked_journal.STORY:
        async with db.write(platform) as scope:
            await post_all(scope, [step.entry(ids, START)])
    async with db.read(platform) as scope:
        assert await check(scope) == []
        opened = await accounts(scope, limit=1000)
        [trial] = await trial_balance(scope)

    a, b, c = (public_id("seller", ids[name]) for name in "ABC")
    held = {account.code: account.debits - account.credits for account in opened}
    assert {code: net for code, net in held.items() if net} == {
        "psp:available": 9487,
        "bank": -20000,
        f"seller-receivable:{a}": 15,
        f"seller-receivable:{b}": 3599,
        "tax:output-vat:NL": -5,
        "revenue:platform-fee": -1240,
        "revenue:platform-fee-refunded": 1210,
        "expenses:psp-fee": 207,
        "expenses:dispute-fee": 4000,
        "expenses:bad-debt": 2727,
    }
    assert {code for code, net in held.items() if not net} == {
        "psp:pending",
        "buyer:refund-payable",
        f"dispute:{public_id('dispute', ids['dp_1'])}",
        f"seller-receivable:{c}",
        *(f"seller:{seller}:{bucket}" for seller in (a, b, c) for bucket in ("pending", "payable")),
        *(f"custody:{seller}:{bucket}" for seller in (a, b, c) for bucket in ("available", "owed")),
        *(f"custody:{seller}:in-transit" for seller in (b, c)),
    }
    result = {account.code: account.balance for account in opened if account.kind in ("REVENUE", "EXPENSE")}
    assert result.pop("revenue:platform-fee") - sum(result.values()) == -6904
    assert trial.debit == trial.credit == 9487 + 15 + 3599 + 1210 + 207 + 4000 + 2727


@pytest.mark.parametrize(("taken", "fetched"), [("R1", ["R2"]), ("D3", ["D4", "D5"])])
async def test_what_is_payable_is_fetched_before_it_is_taken(
    db: Database, platform: PlatformId, taken: str, fetched: list[str]
) -> None:
    ids = {name: new_id() for name in worked_journal.OBJECTS}
    names = list(dict.fromkeys(step.name for step in worked_journal.STORY))
    before = [step for step in worked_journal.STORY if step.name in names[: names.index(fetched[0])]]
    [loss] = [step.entry(ids, START) for step in worked_journal.STORY if step.name == taken]
    means = [step.entry(ids, START) for step in worked_journal.STORY if step.name in fetched]
    async with db.write(platform) as scope:
        await post_all(scope, [step.entry(ids, START) for step in before])
    async with db.write(platform) as scope:
        with pytest.raises(GuardBroken, match=r"seller:sel_\w+:payable has 0 EUR"):
            await post_all(scope, [loss])
    async with db.write(platform) as scope:
        await post_all(scope, [*means, loss])
    async with db.read(platform) as scope:
        assert await check(scope) == []


async def test_a_replay_of_the_whole_story_changes_nothing(db: Database, platform: PlatformId) -> None:
    sale = basket()
    async with db.write(platform) as scope:
        first = await post(scope, sale.entries)
    for entry in sale.entries:
        async with db.write(platform) as scope:
            await post_all(scope, [entry])
    async with db.write(platform) as scope:
        second = await post(scope, sale.entries)
    async with db.read(platform) as scope:
        held = {(account.code, account.currency): account.balance for account in await accounts(scope, limit=1000)}

    assert {result.outcome for result in second} == {Outcome.REPLAYED}
    assert [result.entry_id for result in second] == [result.entry_id for result in first]
    assert held == sale.balances()


async def test_balances_at_each_hour_of_the_story(db: Database, platform: PlatformId) -> None:
    sale = basket()
    refs = [chart.psp_available(EUR), chart.psp_pending(EUR), chart.seller_pending(sale.a, EUR)]
    async with db.write(platform) as scope:
        await post_all(scope, sale.entries)
    told = {}
    async with db.read(platform) as scope:
        found = await accounts_by_refs(scope, refs)
        for hour in range(-1, 7):
            at = await balance_at(scope, [a.id for a in found.values()], START + timedelta(hours=hour))
            told[hour] = tuple(at[found[ref].id] for ref in refs)

    assert told == {
        -1: (0, 0, 0),
        0: (20000, 0, 0),
        1: (20000, 12100, 4999),
        2: (20000, 11893, 4999),
        3: (20000, 11893, 4379),
        4: (31893, 0, 4379),
        5: (31893, 0, 0),
        6: (21208, 0, 0),
    }


async def test_the_journal_tells_the_story_of_its_source(db: Database, platform: PlatformId) -> None:
    sale = basket()
    payment = sale.entries[1].source
    async with db.write(platform) as scope:
        await post_all(scope, sale.entries)
    async with db.read(platform) as scope:
        story = (await entries_by_sources(scope, [payment.id]))[payment.id]
        split = await postings_by_entries(scope, [story[2].id])
        newest = await entry_page(scope, limit=3)
        older = await entry_page(scope, before=newest[-1].number, limit=1000)

    assert [entry.kind for entry in story] == ["charge", "psp-fee", "split", "funds-available", "release"]
    assert story[2].reason == sale.entries[3].reason
    assert [posting.amount for posting in split[story[2].id]] == [512, 410, 318, 108, 67]
    assert [entry.number for entry in [*newest, *older]] == list(range(len(sale.entries), 0, -1))


async def test_an_accounts_movements_page_with_running_balances(db: Database, platform: PlatformId) -> None:
    sale = basket()
    async with db.write(platform) as scope:
        await post_all(scope, sale.entries)
    async with db.read(platform) as scope:
        account = (await accounts_by_refs(scope, [chart.psp_available(EUR)]))[chart.psp_available(EUR)]
        seen = []
        page = (await movements(scope, [account.id], limit=2))[account.id]
        while page:
            seen += [(movement.amount, movement.balance_after) for movement in page]
            page = (await movements(scope, [account.id], before=page[-1].place, limit=2))[account.id]

    assert seen == [(-2717, 21208), (-3589, 23925), (-4379, 27514), (11893, 31893), (20000, 20000)]


async def test_where_the_sellers_money_stands(db: Database, platform: PlatformId) -> None:
    sale = basket()
    async with db.write(platform) as scope:
        await post_all(scope, sale.entries[:-2])
    async with db.read(platform) as scope:
        positions = await seller_positions(scope, [sale.a, sale.c])

    a, c = positions[sale.a][0], positions[sale.c][0]
    assert (a.currency, a.pending, a.payable, a.available, a.in_transit) == ("EUR", 0, 0, 4379, 0)
    assert (c.pending, c.payable, c.available, c.in_transit, c.total) == (0, 0, 2717, 0, 2717)
