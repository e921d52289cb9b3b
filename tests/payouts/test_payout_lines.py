"""What a payout is made of: its lines add up to it, always, and what comes back is open again."""

import asyncio
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from tests.market.market import Market
from tests.payouts.purse import CALL, NET, custody

from marketbill.errors import InsufficientFunds, InvalidInput, PreviewStale, StateConflict
from marketbill.ids import new_id, public_id
from marketbill.payouts import lines, request, schedule
from marketbill.payouts.lines import Line, Open, allot, total
from marketbill.payouts.model import PayoutMethod
from marketbill.payouts.request import PayoutDraft
from marketbill.rules.payout_calendar import Interval, Terms

A, B, C, D = (UUID(int=number) for number in range(1, 5))


@pytest.mark.parametrize(
    ("items", "amount", "expected"),
    [
        ([Open(A, 100)], 100, [Line(A, 100)]),
        ([Open(A, 100), Open(B, 50)], 120, [Line(A, 100), Line(B, 20)]),
        # What was taken back comes first, and all of it.
        ([Open(A, 100), Open(B, -30), Open(C, 10)], 70, [Line(B, -30), Line(A, 100)]),
        ([Open(A, 100), Open(B, -30)], 1, [Line(B, -30), Line(A, 31)]),
        ([Open(A, 100), Open(B, -30)], 71, None),
        ([], 1, None),
    ],
)
def test_lines_by_hand(items: list[Open], amount: int, expected: list[Line] | None) -> None:
    assert allot(items, amount) == expected


@given(st.lists(st.integers(-1000, 1000).filter(bool), max_size=12), st.integers(1, 5000))
def test_lines_add_up_or_there_is_too_little(amounts: list[int], wanted: int) -> None:
    items = [Open(new_id(), amount) for amount in amounts]
    found = allot(items, wanted)

    if wanted > total(items):
        assert found is None
        return
    assert found is not None
    assert sum(line.amount for line in found) == wanted
    by_id = dict(items)
    taken = {line.item: line.amount for line in found}
    assert all(abs(amount) <= abs(by_id[id]) and (amount > 0) == (by_id[id] > 0) for id, amount in taken.items())
    assert all(taken[item.item] == item.amount for item in items if item.amount < 0)
    assert sum(1 for id, amount in taken.items() if amount != by_id[id]) <= 1


async def held(market: Market) -> tuple[int, int]:
    """What A's items hold open, and what the books say is available: the same, always."""
    async with market.machine.services.db.read(market.platform) as scope:
        items = await lines.open_items(scope, [market.sellers["A"]])
    return sum(total(those) for those in items.values()), await custody(market, "available")


async def lines_of(market: Market, payout: UUID) -> list[int]:
    async with market.machine.services.db.read(market.platform) as scope:
        return [line.amount for line in await lines.lines_of(scope, payout)]


async def test_two_payouts_share_an_item(funded: Market) -> None:
    """43.59 of one sale, then 8.43 of another: 40.00 and the rest."""
    await funded.sale(funded.line("A", 1000))
    await funded.machine.advance(days=9)
    first = await funded.payout("A", 4000)
    assert await lines_of(funded, first.id) == [4000]
    second = await funded.payout("A")
    assert second.amount == NET - 4000 + 843
    assert sorted(await lines_of(funded, second.id)) == [NET - 4000, 843]
    assert await held(funded) == (0, 0)
    await funded.machine.advance(days=4)
    assert (await funded.payout_row(first.id)).bank_reference.startswith("TRACE")
    await funded.prove()


async def test_at_once_nobody_takes_more_than_there_is(funded: Market) -> None:
    asked = await asyncio.gather(*(funded.payout("A", 1500) for _ in range(4)), return_exceptions=True)
    made = [one for one in asked if not isinstance(one, BaseException)]
    assert [type(one) for one in asked if isinstance(one, BaseException)] == [InsufficientFunds, InsufficientFunds]
    assert [await lines_of(funded, one.id) for one in made] == [[1500], [1500]]
    assert await held(funded) == (NET - 3000, NET - 3000)
    await funded.machine.quiet()
    await funded.prove()


async def test_a_refused_payout_lets_go_and_is_tried_again(funded: Market) -> None:
    funded.machine.line.refuse(CALL, status=400)
    refused = await funded.payout("A", 4000)
    await funded.machine.quiet()
    assert await held(funded) == (NET, NET)
    assert await lines_of(funded, refused.id) == [4000]

    funded.machine.line.mend()
    services, operator, id = funded.machine.services, funded.operator, public_id("payout", refused.id)
    again = await request.retry(services, operator, idempotency_key="again", id=id)
    assert (again.retry_of, again.amount, await lines_of(funded, again.id)) == (refused.id, 4000, [4000])
    with pytest.raises(StateConflict, match="tried again already"):
        await request.retry(services, operator, idempotency_key="twice", id=id)
    await funded.machine.advance(days=4)
    assert (await funded.payout_row(again.id)).status == "PAID"
    with pytest.raises(StateConflict, match="did not come back"):
        await request.retry(services, operator, idempotency_key="paid", id=public_id("payout", again.id))
    await funded.prove()


async def test_what_went_into_another_payout_is_not_paid_again(funded: Market) -> None:
    funded.machine.line.refuse(CALL, status=400)
    refused = await funded.payout("A", 4000)
    await funded.machine.quiet()
    funded.machine.line.mend()
    await funded.payout("A", 1000)
    with pytest.raises(StateConflict, match="went into another"):
        await request.retry(
            funded.machine.services, funded.operator, idempotency_key="again", id=public_id("payout", refused.id)
        )
    await funded.machine.quiet()
    await funded.prove()


async def test_an_instant_payout_shows_its_fee_before(funded: Market) -> None:
    """1 % of 20.00 is 0.20, at least 0.50; with 21 % tax it costs 0.61, which the next sales owe."""
    services, operator, seller = funded.machine.services, funded.operator, funded.seller_id("A")
    await bank_for_instant(funded)
    terms = Terms(Interval.MANUAL, instant_percent=Decimal(1), instant_least={"EUR": 50}, minimum={"EUR": 1000})
    await schedule.put(services, operator, idempotency_key="s", seller_id=None, wanted=terms)
    draft = PayoutDraft(seller, "EUR", 2000, PayoutMethod.INSTANT)
    with pytest.raises(InvalidInput) as small:
        await request.preview(services, operator, PayoutDraft(seller, "EUR", 999))
    assert (small.value.path, small.value.constraint) == (("amount",), ">= 10.00 EUR")
    with pytest.raises(InvalidInput, match="preview it first"):
        await request.create(services, operator, idempotency_key="i", draft=draft)

    shown = await request.preview(services, operator, draft)
    assert (shown.price.fee, shown.price.tax, shown.price.country) == (50, 11, "NL")
    bound = PayoutDraft(seller, "EUR", 2000, PayoutMethod.INSTANT, shown.token)
    made = await request.create(services, operator, idempotency_key="j", draft=bound)
    with pytest.raises(PreviewStale):
        await request.create(services, operator, idempotency_key="k", draft=bound)
    await funded.machine.quiet()
    await funded.machine.advance(seconds=3600)

    row = await funded.payout_row(made.id)
    assert (row.status, row.method, row.fee) == ("PAID", "INSTANT", 61)
    books = await funded.books()
    assert books["seller-receivable:A", "EUR"] == 61
    assert books["revenue:platform-fee:instant-payout", "EUR"] == 50
    await funded.prove()


async def bank_for_instant(market: Market) -> None:
    """The sandbox pays at once to any bank at home that takes it."""
    account = (await market.seller_row("A")).provider_account
    found = await market.stripe(f"accounts/{account}/external_accounts?limit=1")
    assert "instant" in found["data"][0]["available_payout_methods"]


async def test_what_was_before_has_its_lines(funded: Market) -> None:
    """The sum of lines of every payout, and what items hold, as the database has them."""
    await funded.payout("A", 1000)
    await funded.payout("A", 500)
    statement = text(
        "select count(*) from payout p where p.platform_id = :platform and p.amount <>"
        " (select sum(l.amount) from payout_line l where l.platform_id = p.platform_id and l.payout_id = p.id)"
    )
    async with funded.machine.services.db.read(funded.platform) as scope:
        assert await scope.scalar(statement, {"platform": funded.platform}) == 0
