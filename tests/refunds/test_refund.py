"""Refunds from preview to bank, posting for posting; all amounts were computed by hand."""

from typing import Any

import pytest
from tests.market.machine import NO_FEE, Machine
from tests.market.market import Market
from tests.refunds.refunding import create, draft, of_line, preview, refund, refund_row, worked_sale

from marketbill.errors import InvalidInput, PreviewStale, StateConflict
from marketbill.ids import RefundId, public_id
from marketbill.reconciliation.check import Verdict
from marketbill.reconciliation.verify import verify
from marketbill.refunds import outcome
from marketbill.refunds.draft import NotRefundable
from marketbill.refunds.model import RefundKind
from marketbill.rules.line_return import AboveRest
from marketbill.rules.return_policy import Cause

R1 = [
    ("seller:A:payable", "buyer:refund-payable", 1758),
    ("revenue:platform-fee-refunded", "buyer:refund-payable", 200),
    ("tax:output-vat:NL", "buyer:refund-payable", 42),
]
R3 = [("buyer:refund-payable", "psp:available", 2000)]


def zeroless(books: dict[tuple[str, str], int]) -> dict[str, int]:
    return {code: amount for (code, currency), amount in books.items() if amount and currency == "EUR"}


async def test_the_worked_refund_after_the_transfers(market: Market) -> None:
    payment = await worked_sale(market)
    await market.machine.advance(days=9)
    asked = await of_line(market, payment, 0, amount=2000)

    shown = await preview(market, asked)
    assert shown.made.settled == {f"seller:{market.seller_id('A')}": 1758, "fee": 200, "fee_tax:NL": 42}
    [effect] = shown.sellers
    assert (effect.part, effect.before, effect.after, effect.recharge) == (1758, 4379, 4379 - 1758, 0)
    assert effect.forecast[2:] == (0, 0, 1758, 0)
    assert (shown.made.amount, shown.left) == (2000, 10100)

    made = await create(market, asked, token=shown.token)
    assert made.status == "RECOVERING"
    await market.machine.quiet()

    row = await refund_row(market, RefundId(made.id))
    assert (row.status, row.paid_amount, row.attempt) == ("SUCCEEDED", 2000, 1)
    assert await market.journal(made.id) == [("refund", R1), ("refund-paid", R3)]
    books = zeroless(await market.books())
    assert books["psp:available"] == 11893 - 10685 + 1758 - 2000
    assert books["revenue:platform-fee"] == 1240
    assert books["revenue:platform-fee-refunded"] == 200
    assert books["tax:output-vat:NL"] == 175 - 42
    assert books["custody:A:available"] == books["custody:A:owed"] == 4379 - 1758
    assert "buyer:refund-payable" not in books
    await proven(market)


async def test_a_whole_sale_before_its_money_is_there(machine: Machine) -> None:
    market = await machine.platform(hold_days=30)
    payment = await worked_sale(market)
    row = await refund(market, draft(payment, cause=Cause.REMORSE))
    assert row.status == "SUCCEEDED"
    # Fixed fees of 0.12, 0.10 and 0.08 are kept, with their tax of 0.03 and 0.02: pending falls short by them.
    assert await market.journal(row.id) == [
        (
            "debt",
            [
                ("seller-receivable:A", "seller:A:payable", 15),
                ("seller-receivable:B", "seller:B:payable", 10),
                ("seller-receivable:C", "seller:C:payable", 10),
            ],
        ),
        (
            "refund",
            [
                ("seller:A:pending", "buyer:refund-payable", 4379),
                ("seller:A:payable", "buyer:refund-payable", 15),
                ("seller:B:pending", "buyer:refund-payable", 3589),
                ("seller:B:payable", "buyer:refund-payable", 10),
                ("seller:C:pending", "buyer:refund-payable", 2717),
                ("seller:C:payable", "buyer:refund-payable", 10),
                ("revenue:platform-fee-refunded", "buyer:refund-payable", 1210),
                ("tax:output-vat:NL", "buyer:refund-payable", 105 + 65),
            ],
        ),
        ("refund-paid", [("buyer:refund-payable", "psp:pending", 12100)]),
    ]
    await proven(market)
    await machine.advance(days=9)
    assert (await market.journal(row.id))[-1] == ("refund-available", [("psp:pending", "psp:available", 12100)])
    await machine.advance(days=30)
    assert await market.transfers(payment) == []
    await proven(market)


async def test_goodwill_is_the_platforms_and_leaves_the_sale_as_it_is(market: Market) -> None:
    payment = await worked_sale(market)
    await market.machine.advance(days=9)
    row = await refund(market, draft(payment, RefundKind.AMOUNT, amount=500, cause=Cause.GOODWILL))
    assert await market.journal(row.id) == [
        ("refund", [("expenses:goodwill", "buyer:refund-payable", 500)]),
        ("refund-paid", [("buyer:refund-payable", "psp:available", 500)]),
    ]
    assert (await preview(market, draft(payment))).made.amount == 11600
    await proven(market)


async def test_a_bank_sends_a_refund_back_and_it_is_asked_for_again_and_then_made_credit(market: Market) -> None:
    payment = await worked_sale(market)
    await market.machine.advance(days=9)
    row = await refund(market, await of_line(market, payment, 0, amount=2000))
    before = zeroless(await market.books())
    await market.machine.control(f"refunds/{row.provider_refund}/fail", {"reason": "expired_or_canceled_card"})
    await market.machine.quiet()
    failed = await refund_row(market, RefundId(row.id))
    assert (failed.status, failed.explanation) == ("FAILED", "expired_or_canceled_card")
    assert (await market.journal(row.id))[-1] == (
        "refund-failed",
        [("psp:available", "buyer:refund-payable", 2000)],
    )
    await proven(market)

    case: dict[str, Any] = {"id": public_id("refund", row.id), "reason": "another card"}
    services, actor = market.machine.services, market.operator
    again = await outcome.retry(services, actor, idempotency_key="again", **case)
    assert (again.status, again.attempt) == ("SENDING", 2)
    await market.machine.quiet()
    paid = await refund_row(market, RefundId(row.id))
    assert paid.status == "SUCCEEDED"
    assert paid.provider_refund != row.provider_refund
    assert zeroless(await market.books()) == before
    with pytest.raises(StateConflict):
        await outcome.settle(services, actor, idempotency_key="too early", **case)

    await market.machine.control(f"refunds/{paid.provider_refund}/fail", {})
    await market.machine.quiet()
    for _ in range(2):
        credited = await outcome.settle(services, actor, idempotency_key="credit", **case)
        assert credited.status == "CREDITED"
    assert (await market.journal(row.id))[-1] == (
        "refund-paid",
        [("buyer:refund-payable", "buyer:credit", 2000)],
    )
    await proven(market)


async def test_a_refund_that_the_provider_refuses_gives_everybody_his_part_again(market: Market) -> None:
    payment = await worked_sale(market)
    await market.machine.advance(days=9)
    before = zeroless(await market.books())
    asked = await of_line(market, payment, 0, amount=2000)
    shown = await preview(market, asked)
    made = await create(market, asked, token=shown.token)
    market.machine.line.refuse("POST /v1/refunds", status=400)
    await market.machine.quiet()
    refused = await refund_row(market, RefundId(made.id))
    assert refused.status == "REFUSED"
    kinds = [kind for kind, _ in await market.journal(made.id)]
    assert kinds[:2] == ["refund", "refund-undone"]
    await market.machine.advance(days=1)
    assert zeroless(await market.books()) == before
    # Nothing of the sale is undone: the same preview as before.
    assert (await preview(market, asked)).made == shown.made
    await proven(market)


async def test_a_token_is_good_for_what_it_showed_once(market: Market) -> None:
    payment = await worked_sale(market)
    asked = await of_line(market, payment, 0, amount=2000)
    token = (await preview(market, asked)).token
    with pytest.raises(PreviewStale):
        await create(market, await of_line(market, payment, 0, amount=2001), token=token)
    made = await create(market, asked, token=token, key="one")
    assert (await create(market, asked, token=token, key="one")).id == made.id
    with pytest.raises(PreviewStale):
        await create(market, asked, token=token, key="two")


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"reason": " "}, ("reason",)),
        ({"currency": "USD"}, ("currency",)),
        ({"kind": RefundKind.AMOUNT}, ("amount",)),
        ({"kind": RefundKind.AMOUNT, "amount": 0}, ("amount",)),
        ({"kind": RefundKind.AMOUNT, "amount": 12101}, ("amount",)),
        ({"kind": RefundKind.LINES}, ("lines",)),
        ({"amount": 5}, ("amount",)),
        ({"kind": RefundKind.SHIPPING}, ()),
    ],
)
async def test_what_is_wrong_is_told_by_its_field(market: Market, changes: dict[str, Any], path: Any) -> None:
    payment = await worked_sale(market)
    changes = dict(changes)
    with pytest.raises(InvalidInput) as refusal:
        await preview(market, draft(payment, changes.pop("kind", RefundKind.FULL), **changes))
    assert refusal.value.path == path


async def test_more_pieces_than_there_are_and_more_than_is_left(market: Market) -> None:
    await market.seller("A")
    payment = await market.sale(market.line("A", 1000, quantity=3))
    assert (await refund(market, await of_line(market, payment, 0, quantity=2))).amount == 2000
    with pytest.raises(InvalidInput) as refusal:
        await preview(market, await of_line(market, payment, 0, quantity=2))
    assert refusal.value.path == ("lines", "0", "quantity")
    with pytest.raises(AboveRest) as above:
        await preview(market, await of_line(market, payment, 0, amount=1001))
    assert above.value.rest == 1000


async def test_a_payment_that_was_declined_has_nothing_to_refund(market: Market) -> None:
    await market.seller("A")
    paid = await market.pay(market.draft(market.line("A", 1000), card="pm_card_chargeDeclined"))
    with pytest.raises(NotRefundable):
        await preview(market, draft(paid.payment.id))


async def test_110_dollars_that_became_99_euro_cost_101_20_to_give_back(machine: Machine) -> None:
    market = await machine.platform(connected=False, fee_rule=NO_FEE)
    await machine.control("exchange_rates", {"base": "usd", "rates": {"eur": "0.9"}})
    await market.connect(settle="default")
    await market.seller("A")
    payment = await market.sale(market.line("A", 11000, currency="USD"))
    await machine.advance(days=9)
    await machine.control("exchange_rates", {"base": "usd", "rates": {"eur": "0.92"}})

    waiting = await refund(market, draft(payment))
    assert (waiting.status, waiting.explanation) == ("PENDING", "insufficient_funds")
    # The platform has 99.00 euro back from the seller: it waits for another sale to bring the rest.
    await market.seller("B", onboard=None)
    await market.sale(market.line("B", 5000))
    await machine.advance(days=9)

    row = await refund_row(market, RefundId(waiting.id))
    assert (row.status, row.amount, row.currency) == ("SUCCEEDED", 11000, "USD")
    assert (row.settlement_amount, row.settlement_currency, row.paid_amount) == (9900, "EUR", 10120)
    assert await market.journal(row.id) == [
        ("refund", [("seller:A:payable", "buyer:refund-payable", 9900)]),
        (
            "refund-paid",
            [("buyer:refund-payable", "psp:available", 9900), ("expenses:fx-loss", "psp:available", 220)],
        ),
    ]
    await proven(market)


async def test_dollars_in_parts_take_back_in_euro_what_they_became(machine: Machine) -> None:
    market = await machine.platform(connected=False)
    await machine.control("exchange_rates", {"base": "usd", "rates": {"eur": "0.9"}})
    await market.connect(settle="default")
    await market.seller("A")
    payment = await market.sale(market.line("A", 4999, currency="USD"))
    await machine.advance(days=9)
    rows = [await refund(market, await of_line(market, payment, 0, amount=amount)) for amount in (1, 1, 1667, 3330)]
    assert sum(row.amount for row in rows) == 4999
    books = await market.books()
    # 5.00 of the fee of 5.30 dollars, and 1.05 of the tax of 1.11 on it, as they became euro.
    assert books["revenue:platform-fee", "EUR"] == 477
    assert books["revenue:platform-fee-refunded", "EUR"] == 450
    assert books["tax:output-vat:NL", "EUR"] == 100 - 95
    await proven(market)


async def proven(market: Market) -> None:
    """The books prove themselves, and agree with the business, the tax lines and the provider."""
    await market.prove()
    checks = await verify(market.machine.services, market.platform, explained=lambda done, total: None)
    assert [check for check in checks if check.verdict is Verdict.BROKEN] == []
