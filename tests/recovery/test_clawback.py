"""What sellers give back: from what is pending, from what is payable, from their accounts, and as a debt."""

import asyncio

import pytest
from sqlalchemy import select
from tests.market.fixtures import WORKED_LINES
from tests.market.market import Market
from tests.recovery import causes
from tests.recovery.causes import approve, begin, debts, forecast, funded, refund, refuse, reversals, reverse

from marketbill.errors import NotFound
from marketbill.ids import PaymentId, public_id
from marketbill.ledger.journal import Source
from marketbill.payouts import payees
from marketbill.payouts.model import Rail, payout_item
from marketbill.payouts.payees import BankAccount
from marketbill.reconciliation import payout_proof

#: What is left to A of 50.00.
NET = 4359


async def balance(market: Market, code: str) -> int:
    return (await market.books()).get((code, "EUR"), 0)


async def worked_sale(market: Market) -> PaymentId:
    """J1 to J8: all transferred, B and C paid out."""
    payment = await market.sale(*(market.line(name, price) for name, price in WORKED_LINES))
    await market.machine.advance(days=9)
    for name in ("B", "C"):
        await market.payout(name)
    await market.machine.advance(days=3)
    return payment


async def test_the_worked_refund_and_the_worked_loss(worked: Market) -> None:
    market = worked
    payment = await worked_sale(market)
    assert [row.amount for row in await market.transfers(payment)] == [4379, 3589, 2717]

    # R1 to R3: A gives 17.58 back from its account.
    first = refund()
    [told] = (await forecast(market, payment, {"A": 1758})).values()
    assert (told.pending, told.payable, told.reverse, told.debt) == (0, 0, 1758, 0)
    assert not await begin(market, first, payment, {"A": 1758})
    assert await funded(market, first) is None
    await reverse(market)
    assert await funded(market, first) == {"A": (0, 1758, 0)}
    [reversed] = [one for one in await market.journal() if one[0] == "transfer-reversal"]
    assert reversed[1] == [
        ("psp:available", "seller:A:payable", 1758),
        ("custody:A:owed", "custody:A:available", 1758),
    ]
    await approve(market, first)
    assert await balance(market, "seller:A:payable") == 0
    assert await balance(market, "custody:A:available") == 2621

    # D3 to D5: A has 26.21 left, B and C were paid out.
    lost = Source("dispute", refund().id)
    told = await forecast(market, payment, {"A": 2636, "B": 3599, "C": 2727})
    assert {name: (one.reverse, one.debt) for name, one in told.items()} == {
        "A": (2621, 15),
        "B": (0, 3599),
        "C": (0, 2727),
    }
    assert not await begin(market, lost, payment, {"A": 2636, "B": 3599, "C": 2727})
    await reverse(market)
    assert await funded(market, lost) == {"A": (0, 2636, 15), "B": (0, 3599, 3599), "C": (0, 2727, 2727)}


async def test_debts_are_paid_by_the_next_sale_the_oldest_first(worked: Market) -> None:
    market = worked
    payment = await worked_sale(market)
    first, second = refund(), refund()
    for cause, part in ((first, 3000), (second, 589)):
        assert await begin(market, cause, payment, {"B": part})
        await approve(market, cause)
    assert await debts(market) == {"B": [(3000, 3000), (589, 589)]}
    assert await balance(market, "seller-receivable:B") == 3589

    # 35.89 of it goes to the debts, 7.80 is transferred: 50.00 less 10 % and 0.30, no tax on the fee in Germany.
    sale = await market.sale(market.line("B", 5000))
    await market.machine.advance(days=9)

    assert await debts(market) == {"B": [(3000, 0), (589, 0)]}
    assert [row.amount for row in await market.transfers(sale)] == [5000 - 530 - 3589]
    assert await balance(market, "seller-receivable:B") == 0
    assert await balance(market, "seller:B:payable") == 0


async def test_before_its_release_a_part_is_taken_from_what_is_pending(market: Market) -> None:
    await market.seller("A")
    payment = await market.sale(market.line("A", 5000))
    cause = refund()
    assert await begin(market, cause, payment, {"A": 1000})
    await approve(market, cause)
    assert await balance(market, "seller:A:pending") == NET - 1000
    await market.machine.advance(days=9)
    assert [row.amount for row in await market.transfers(payment)] == [NET - 1000]
    assert await balance(market, "seller:A:payable") == 0


async def test_a_transfer_that_waits_for_the_seller_is_lowered_and_canceled(market: Market) -> None:
    await market.seller("A", onboard=None)
    payment = await market.sale(market.line("A", 5000))
    await market.machine.advance(days=9)
    first, second = refund(), refund()
    assert await begin(market, first, payment, {"A": 1000})
    await approve(market, first)
    assert [(row.amount, row.status) for row in await market.transfers(payment)] == [(NET - 1000, "HELD")]
    assert await begin(market, second, payment, {"A": NET - 1000})
    await approve(market, second)
    assert [row.status for row in await market.transfers(payment)] == ["CANCELED"]
    assert await balance(market, "seller:A:payable") == 0
    await market.onboard("A")
    assert await balance(market, "custody:A:available") == 0


async def test_a_refused_refund_gives_the_parts_again(worked: Market) -> None:
    market = worked
    payment = await worked_sale(market)
    cause = refund()
    await begin(market, cause, payment, {"A": 1758, "B": 400})
    await reverse(market)
    await approve(market, cause)
    assert await debts(market) == {"B": [(400, 400)]}

    await refuse(market, cause)
    await market.machine.quiet()

    assert await debts(market) == {"B": [(400, 0)]}
    assert await balance(market, "custody:A:available") == 4379
    for code in ("seller:A:payable", "seller:B:payable", "seller-receivable:B"):
        assert await balance(market, code) == 0
    again = [row for row in await market.transfers(payment) if row.kind == "AGAIN"]
    assert [(row.amount, row.status, row.source_charge) for row in again] == [(1758, "SENT", "")]
    # A second refund finds what the first one gave back.
    [told] = (await forecast(market, payment, {"A": 4379})).values()
    assert (told.reverse, told.debt) == (4379, 0)


async def test_the_provider_refuses_a_reversal_and_the_part_is_a_debt(worked: Market) -> None:
    market = worked
    payment = await worked_sale(market)
    cause = refund()
    assert not await begin(market, cause, payment, {"A": 1758})
    transfer = next(row for row in await market.transfers(payment) if row.amount == 4379)
    await market.stripe(f"transfers/{transfer.provider_transfer}/reversals", form={"amount": 4379})
    await reverse(market)
    assert await reversals(market) == {"A": [(1758, "REFUSED")]}
    assert await funded(market, cause) == {"A": (0, 1758, 1758)}


async def test_a_reversal_without_an_answer_holds_nobody_up_and_pays_the_debt_later(worked: Market) -> None:
    market = worked
    payment = await worked_sale(market)
    cause = refund()
    assert not await begin(market, cause, payment, {"A": 1758})
    market.machine.line.cut = True
    await reverse(market)
    assert await funded(market, cause) == {"A": (0, 1758, 1758)}
    await approve(market, cause)
    assert await debts(market) == {"A": [(1758, 1758)]}

    market.machine.line.mend()
    await market.machine.advance(days=1)
    assert await reversals(market) == {"A": [(1758, "DONE")]}
    assert await debts(market) == {"A": [(1758, 0)]}
    assert await balance(market, "seller-receivable:A") == 0
    assert await balance(market, "seller:A:payable") == 0
    assert await balance(market, "custody:A:available") == 4379 - 1758


async def test_two_causes_at_once_take_no_cent_twice(worked: Market) -> None:
    market = worked
    payment = await worked_sale(market)
    both = [refund(), refund()]
    await asyncio.gather(*(begin(market, cause, payment, {"A": 3000}) for cause in both))
    await reverse(market)
    found = [await funded(market, cause) for cause in both]
    assert sorted(one["A"][2] for one in found if one) == [0, 3000 - (4379 - 3000)]
    assert await balance(market, "custody:A:available") == 0


async def test_what_a_reversal_claims_is_not_paid_out(worked: Market) -> None:
    market = worked
    payment = await worked_sale(market)
    cause = refund()
    await begin(market, cause, payment, {"A": 1758})
    paid = await market.payout("A")
    assert paid.amount == 4379 - 1758
    await market.machine.quiet()
    assert await funded(market, cause) == {"A": (0, 1758, 0)}
    assert await balance(market, "custody:A:available") == 0


async def test_a_cause_begins_once(worked: Market) -> None:
    market = worked
    payment = await worked_sale(market)
    cause = refund()
    assert not await begin(market, cause, payment, {"A": 1000})
    assert not await begin(market, cause, payment, {"A": 1000})
    await reverse(market)
    assert await begin(market, cause, payment, {"A": 1000})
    assert await reversals(market) == {"A": [(1000, "DONE")]}


async def test_a_seller_without_a_share_gives_nothing_back(worked: Market) -> None:
    payment = await worked.sale(worked.line("A", 5000))
    with pytest.raises(NotFound):
        await causes.forecast(worked, payment, {"B": 100})


async def test_nothing_is_transferred_into_an_account_below_zero(worked: Market) -> None:
    market = worked
    payment = await worked_sale(market)
    cause = refund()
    await begin(market, cause, payment, {"B": 100})
    await approve(market, cause)
    # The provider takes back from B's account what B was paid out already: the account is 35.89 below zero.
    transfer = next(row for row in await market.transfers(payment) if row.amount == 3589)
    await market.stripe(f"transfers/{transfer.provider_transfer}/reversals", form={"amount": 3589})
    sale = await market.sale(market.line("B", 3000))
    await market.machine.advance(days=9)
    [waiting] = await market.transfers(sale)
    assert waiting.status == "PENDING"
    assert "below zero" in waiting.reason

    account = (await market.seller_row("B")).provider_account
    await market.stripe("transfers", form={"amount": 3589, "currency": "eur", "destination": account})
    await market.machine.advance(days=1)
    [sent] = await market.transfers(sale)
    assert (sent.status, sent.amount) == ("SENT", 3000 - 330 - 100)


async def test_a_seller_paid_by_the_bank_is_given_back_a_piece_of_his_payouts(market: Market) -> None:
    await market.seller("B", onboard=None)
    await payees.put(
        market.machine.services,
        market.operator,
        idempotency_key=market.machine.key(),
        seller_id=market.seller_id("B"),
        rail=Rail.BANK,
        account=BankAccount("B", "FR1420041010050500013M02606"),
    )
    payment = await market.sale(market.line("B", 3000))
    await market.machine.advance(days=9)
    first, second = refund(), refund()
    [told] = (await forecast(market, payment, {"B": 1000})).values()
    assert (told.payable, told.reverse, told.debt) == (1000, 0, 0)
    assert await begin(market, first, payment, {"B": 1000})
    assert await funded(market, first) == {"B": (0, 1000, 0)}
    await approve(market, first)
    assert await balance(market, "seller:B:payable") == 2601 - 1000
    assert await debts(market) == {}
    await market.prove()

    # A payout holds the 16.01 that are left, so what comes after it is a debt, and the next sale pays it.
    await market.payout("B")
    assert await begin(market, second, payment, {"B": 500})
    await approve(market, second)
    assert await debts(market) == {"B": [(500, 500)]}
    await market.sale(market.line("B", 3000))
    await market.machine.advance(days=9)
    assert await debts(market) == {"B": [(500, 0)]}
    assert await balance(market, "seller:B:payable") == 2601 - 500

    for cause in (first, second):
        await refuse(market, cause)
    await market.machine.quiet()
    assert await balance(market, "seller:B:payable") == 2 * 2601 - 1601
    assert [row.amount for row in await market.transfers()] == []
    async with market.machine.services.db.read(market.platform) as scope:
        items = await scope.rows(select(payout_item.c.amount).order_by(payout_item.c.created_at, payout_item.c.id))
    assert [row.amount for row in items] == [2601, -1000, 2101, 1000, 500]
    paid = await market.payout("B")
    assert paid.amount == 2101 + 1000 + 500
    proof = await payout_proof.prove(
        market.machine.services, market.operator, market.platform, public_id("payout", paid.id), ask_provider=False
    )
    assert proof.residues == ()
    await market.prove()
