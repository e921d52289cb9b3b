"""The other ways a dispute goes: won, in part, accepted, asked about only, taken back early; and what is refused."""

import pytest
from tests.disputes.court import (
    accept,
    contest,
    decide,
    disputed,
    disputes_of,
    now,
    paid_sale,
    publish,
    say,
    shown,
    token,
)
from tests.market.market import Market

from marketbill.disputes import answer, evidence
from marketbill.disputes.evidence import EvidenceTooLate, FileReference, Piece
from marketbill.disputes.model import Answer, DisputeHold, RecoverAt
from marketbill.errors import InvalidInput, PreviewStale, StateConflict
from marketbill.ids import public_id
from marketbill.payments import holds


async def held(market: Market) -> list[str]:
    """Who is held by a dispute."""
    async with market.machine.services.db.read(market.platform) as scope:
        found = await holds.open_holds(scope, market.sellers.values())
    return sorted(name for name, id in market.sellers.items() if id in {row.seller_id for row in found})


async def test_won_and_lost_in_part_and_accepted(market: Market) -> None:
    """Three disputes of one sale, one after the other: A's line is won, 19.99 of 39.99 are won, the rest is given up.

    Of 121.00 the first 49.99 come back whole, with the fee for answering. Of the second, 20.00 are lost and spread over
    what is left of the lines; of the third all 31.02. B and C were paid out, so what they give back is debt.
    """
    payment = await paid_sale(market)
    first = await disputed(market, payment, 4999)
    assert await held(market) == ["A", "B", "C"]
    await contest(market, first, "winning_evidence")
    await market.machine.advance(seconds=600)
    first = await now(market, first)
    assert (first.status, first.won, first.reinstated) == ("WON", 4999, 4999)
    assert (first.fees, first.fees_returned, first.settle_since) == (4000, 2000, None)
    assert [kind for kind, _ in await market.journal(first.id)] == [
        "dispute-opened",
        "dispute-countered",
        "dispute-won",
    ]
    assert await held(market) == []
    books = await market.books()
    assert books[f"dispute:{public_id('dispute', first.id)}", "EUR"] == 0

    second = await disputed(market, payment, 3999)
    await decide(market, second, "won", amount=1999)
    second = await now(market, second)
    assert (second.status, second.won, second.withdrawn, second.reinstated) == ("PARTLY_WON", 1999, 3999, 1999)
    third = await disputed(market, payment, 3102)
    await accept(market, third)
    await market.machine.sweep()
    third = await now(market, third)
    assert (third.status, third.answer, third.fees) == ("LOST", "ACCEPTED", 2000)
    books = await market.books()
    for row in (second, third):
        assert books[f"dispute:{public_id('dispute', row.id)}", "EUR"] == 0
    debts = sum(books.get((f"seller-receivable:{name}", "EUR"), 0) for name in "ABC")
    reversed_of_a = 4379 - books["custody:A:available", "EUR"]
    fees = books["revenue:platform-fee-refunded", "EUR"]
    taxes = 175 - books["tax:output-vat:NL", "EUR"]
    assert reversed_of_a + debts + fees + taxes == 2000 + 3102
    assert await held(market) == []
    await market.prove()


async def test_taken_back_when_it_is_opened_and_given_again_when_it_is_won(market: Market) -> None:
    """A reversal cannot be undone: what was reversed is transferred again, and the debts of the others are forgiven."""
    payment = await paid_sale(market)
    await publish(market, recover_at=RecoverAt.OPENED, hold=DisputeHold.PAYMENT)
    row = await disputed(market, payment)
    await market.machine.sweep()
    books = await market.books()
    assert [books[f"seller-receivable:{name}", "EUR"] for name in "ABC"] == [15, 3599, 2727]
    assert books["custody:A:available", "EUR"] == 0

    await decide(market, row, "won")
    await market.machine.advance(days=1)
    row = await now(market, row)
    assert (row.status, row.settle_since) == ("WON", None)
    books = await market.books()
    assert [books[f"seller-receivable:{name}", "EUR"] for name in "ABC"] == [0, 0, 0]
    assert [books[f"seller:{name}:payable", "EUR"] for name in "ABC"] == [0, 0, 0]
    assert books["custody:A:available", "EUR"] == 4379
    assert books["revenue:platform-fee-refunded", "EUR"] == 0
    assert books["tax:output-vat:NL", "EUR"] == 175
    assert books[f"dispute:{public_id('dispute', row.id)}", "EUR"] == 0
    await market.prove()


async def test_an_inquiry_moves_no_money_and_holds_what_is_not_released(market: Market) -> None:
    payment = await paid_sale(market)
    row = await disputed(market, payment, inquiry=True, reason="general")
    assert (row.status, row.withdrawn) == ("INQUIRY", 0)
    assert await held(market) == ["A", "B", "C"]
    sale = await market.sale(market.line("A", 1000))
    await market.machine.advance(days=9)
    assert [one.status for one in await market.transfers(sale)] == []

    await decide(market, row, "lost")
    await market.machine.advance(seconds=120)
    assert (await now(market, row)).status == "INQUIRY_CLOSED"
    assert await market.journal(row.id) == []
    assert [one.status for one in await market.transfers(sale)] == ["SENT"]
    await market.prove()


async def test_the_result_is_shown_before_it_is_contested_and_binds(market: Market) -> None:
    """Fees of 12.40 less 2.07 and 20.00 are a loss of 9.67; answering costs 20.00 more; lost, 12.10 of the fee go back
    (-41.77), and C is not expected to pay his 27.27 (-69.04)."""
    payment = await paid_sale(market)
    await publish(market, countered_fees={"EUR": 2000})
    row = await disputed(market, payment)
    result = await shown(market, row, doubtful=("C",))
    assert (result.so_far, result.fees, result.countered_fee) == (1240 - 207 - 2000, 2000, 2000)
    assert (result.won, result.accepted, result.lost) == (-2967, -967 - 1210 - 2727, -967 - 2000 - 1210 - 2727)
    names = {id: name for name, id in market.sellers.items()}
    assert {names[one.seller_id]: (one.amount, one.reverse, one.debt) for one in result.sellers} == {
        "A": (4394, 4379, 15),
        "B": (3599, 0, 3599),
        "C": (2727, 0, 2727),
    }

    old = await token(market, row, Answer.CONTESTING)
    with pytest.raises(PreviewStale):  # it was sealed without the evidence that there is now
        await contest(market, row, token=old)
    await contest(market, row, key="contest-1")
    row = await now(market, row)
    assert (row.answer, row.submissions) == ("CONTESTED", 1)
    with pytest.raises(StateConflict):
        await contest(market, row)
    await decide(market, row, "lost")
    lost = await shown(market, row, doubtful=("C",))
    assert lost.so_far == -967 - 2000 - 1210


async def test_evidence_after_the_deadline_and_evidence_that_is_none(market: Market) -> None:
    payment = await paid_sale(market)
    row = await disputed(market, payment)
    services, id = market.machine.services, public_id("dispute", row.id)

    async def add(*pieces: Piece) -> None:
        key = market.machine.key()
        await evidence.add(services, market.operator, idempotency_key=key, dispute_id=id, pieces=pieces)

    for bad in (
        Piece("no_such_field", "text"),
        Piece("receipt", "a text where a file belongs"),
        Piece("receipt", file=FileReference("abc", id="file_1")),
        Piece("receipt", file=FileReference("0" * 64, url="http://plain.example/receipt.pdf")),
        Piece("receipt", file=FileReference("0" * 64)),
        Piece("uncategorized_text", "   "),
    ):
        with pytest.raises(InvalidInput):
            await add(bad)
    await add(Piece("receipt", file=FileReference("a" * 64, url="https://files.example/receipt.pdf", name="Receipt")))
    await add(Piece("customer_name", "Anna"), Piece("uncategorized_text", "Delivered."))
    await add(Piece("customer_name"))
    async with services.db.read(market.platform) as scope:
        standing = (await evidence.pieces_of(scope, [row.id]))[row.id]
    assert evidence.submission(standing) == {
        "uncategorized_text": f"Delivered.\nreceipt: Receipt https://files.example/receipt.pdf (SHA-256 {'a' * 64})"
    }

    sealed = await token(market, row, Answer.CONTESTING)
    await market.machine.shift(25 * 86_400)
    with pytest.raises(EvidenceTooLate):
        await say(market, row, "Too late.")
    with pytest.raises(EvidenceTooLate):
        await contest_without_saying(market, id, sealed)
    assert [one.answer for one in await disputes_of(market, payment)] == [None]


async def contest_without_saying(market: Market, id: str, sealed: str) -> None:
    await answer.contest(
        market.machine.services, market.operator, idempotency_key=market.machine.key(), dispute_id=id, token=sealed
    )
