"""One sale with everything in it: discounts, shipping, a buyer's fee, an own account, parts, the provider's fee shared.

All amounts were computed by hand.
"""

from dataclasses import replace
from decimal import Decimal

import pytest
from tests.market.market import Market

from marketbill.errors import InvalidInput, StateConflict
from marketbill.ids import new_id, public_id
from marketbill.insight.explanation import explain
from marketbill.payments.order import Order, OrderDiscount, OrderShipping
from marketbill.payments.planning import plan_order

AT_ONCE = "pm_card_bypassPending"
COMMISSION = {"name": "commission", "percent": "10", "base": "GROSS", "tax_mode": "EXCLUSIVE"}


def schedule(*rules: dict[str, object]) -> dict[str, object]:
    return {"name": "whole", "rules": [COMMISSION, *rules]}


@pytest.fixture
async def shop(market: Market) -> Market:
    await market.seller("A", onboard=None)
    await market.seller("Courier", onboard=None)
    await market.onboard("A", "Courier")
    return market


async def test_every_part_of_a_sale_is_booked_where_it_belongs(shop: Market) -> None:
    await shop.fees(
        schedule(
            {"name": "listing", "stack": "listing", "account": "listing-fee", "fixed": {"EUR": "0.20"},
             "fixed_scope": "LINE", "tax_mode": "EXCLUSIVE"},
            {"name": "service", "stack": "service", "payer": "BUYER", "fixed": {"EUR": "1.00"},
             "account": "service-fee", "tax_mode": "INCLUSIVE"},
            {"name": "courier", "stack": "courier", "kind": "PART", "recipient": shop.seller_id("Courier"),
             "fixed": {"EUR": "4.00"}},
        )
    )  # fmt: skip
    # 100.00 less 10 %, of which the platform funds 40 %: the seller gives 6.00, the platform pays 4.00; 5.00 shipping.
    coupon = OrderDiscount("spring", Decimal(10), None, None, platform_percent=Decimal(40))
    payment = await shop.sale(
        shop.line("A", 10_000),
        discounts=(coupon,),
        shipping=(OrderShipping(shop.seller_id("A"), 500, "EUR"),),
        card=AT_ONCE,
    )

    row = await shop.payment(payment)
    # The sellers' side: 94.00 + 5.00 = 99.00. Charged: 99.00 - 4.00 + 1.00 = 96.00.
    assert (row.gross, row.promo, row.buyer_fee, row.buyer_fee_tax) == (9600, 400, 83, 17)
    # Commission on the goods (94.00): 9.40 + 1.97; listing 0.20 + 0.04; courier 4.00.
    journal = dict(await shop.journal(payment))
    assert journal["charge"] == [
        ("psp:pending", "seller:A:pending", 9500),
        ("psp:pending", "revenue:platform-fee:service-fee", 83),
        ("psp:pending", "tax:output-vat:NL", 17),
    ]
    assert journal["promo"] == [("expenses:promo", "seller:A:pending", 400)]
    assert sorted(journal["split"]) == sorted([
        ("seller:A:pending", "revenue:platform-fee", 940),
        ("seller:A:pending", "revenue:platform-fee:listing-fee", 20),
        ("seller:A:pending", "tax:output-vat:NL", 197 + 4),
        ("seller:A:pending", "seller:Courier:pending", 400),
    ])  # fmt: skip
    assert journal["release"] == [
        ("seller:A:pending", "seller:A:payable", 9900 - 940 - 20 - 201 - 400),
        ("seller:Courier:pending", "seller:Courier:payable", 400),
    ]
    assert [one.amount for one in await shop.transfers(payment)] == [8339, 400]
    await shop.prove()


async def test_a_coupon_of_the_platform_may_leave_the_sellers_more_than_the_buyer_paid(shop: Market) -> None:
    await shop.fees(schedule() | {"rules": [COMMISSION | {"percent": "50"}]})
    await shop.sale(shop.line("A", 50_000), card=AT_ONCE)
    await shop.fees(schedule() | {"rules": [COMMISSION | {"percent": "0"}]})
    coupon = OrderDiscount("free", Decimal(90), None, None, platform_percent=Decimal(100))
    payment = await shop.sale(shop.line("A", 10_000), discounts=(coupon,), card=AT_ONCE)

    row = await shop.payment(payment)
    assert (row.gross, row.promo, row.seller_net) == (1000, 9000, 10_000)
    assert [(one.amount, one.status) for one in await shop.transfers(payment)] == [(10_000, "SENT")]
    await shop.prove()


async def test_a_sellers_part_of_the_providers_fee_is_made_exact_when_it_is_known(shop: Market) -> None:
    await shop.fees(
        schedule({"name": "cards", "stack": "cards", "kind": "PROCESSOR", "percent": "3", "base": "GROSS",
                  "actual_share": "50"})
    )  # fmt: skip
    payment = await shop.sale(shop.line("A", 10_000), card=AT_ONCE)

    row = await shop.payment(payment)
    # Estimated 3.00; the provider took 1.5 % + 0.25 = 1.75, of which the seller bears half, 0.88.
    assert (row.provider_fee, row.processor_fee) == (175, 88)
    assert row.seller_net == 10_000 - 1000 - 210 - 88
    journal = dict(await shop.journal(payment))
    assert ("seller:A:pending", "expenses:psp-fee", 300) in journal["split"]
    assert journal["processor-fee"] == [("expenses:psp-fee", "seller:A:pending", 212)]
    assert (await shop.books())["expenses:psp-fee", "EUR"] == 175 - 88
    async with shop.machine.services.db.read(shop.platform) as scope:
        told = (await explain(scope, shop.operator, public_id("payment", row.id))).children[0]
    assert (told.amount, told.children[-1].amount) == (row.seller_net, 300 - 88)
    await shop.prove()


async def test_a_part_of_the_providers_fee_that_was_estimated_at_nothing_is_borne_all_the_same(shop: Market) -> None:
    await shop.fees(
        schedule({"name": "cards", "stack": "cards", "kind": "PROCESSOR", "percent": "0", "base": "GROSS",
                  "actual_share": "50"})
    )  # fmt: skip
    payment = await shop.sale(shop.line("A", 10_000), card=AT_ONCE)

    row = await shop.payment(payment)
    assert (row.provider_fee, row.processor_fee, row.seller_net) == (175, 88, 10_000 - 1000 - 210 - 88)
    assert dict(await shop.journal(payment))["processor-fee"] == [("seller:A:pending", "expenses:psp-fee", 88)]
    await shop.prove()


async def test_sellers_who_give_everything_away_bear_nothing_of_the_providers_fee(shop: Market) -> None:
    service: dict[str, object] = {"name": "service", "stack": "service", "payer": "BUYER", "fixed": {"EUR": "1.00"},
               "tax_mode": "EXCLUSIVE"}  # fmt: skip
    cards: dict[str, object] = {"name": "cards", "stack": "cards", "kind": "PROCESSOR", "percent": "3", "base": "GROSS",
             "actual_share": "100"}  # fmt: skip
    await shop.fees(schedule(service, cards))
    gift = OrderDiscount("gift", Decimal(100), None, None)
    payment = await shop.sale(shop.line("A", 10_000), discounts=(gift,), card=AT_ONCE)
    row = await shop.payment(payment)
    assert (row.gross, row.seller_net, row.processor_fee) == (121, 0, 0)
    assert [kind for kind, _ in await shop.journal(payment)] == ["charge", "psp-fee", "funds-available"]
    await shop.prove()


async def test_nobody_gets_a_part_of_his_own_line(shop: Market) -> None:
    courier = {"name": "courier", "stack": "courier", "kind": "PART", "recipient": shop.seller_id("Courier"),
               "fixed": {"EUR": "4.00"}}  # fmt: skip
    await shop.fees(schedule(courier))
    payment = await shop.sale(shop.line("Courier", 1000))
    assert (await shop.payment(payment)).seller_net == 1000 - 100 - 21
    await shop.prove()


async def test_a_part_for_nobody_is_refused_before_anything_is_kept(shop: Market) -> None:
    stranger = public_id("seller", new_id())
    await shop.fees(
        schedule({"name": "x", "stack": "x", "kind": "PART", "recipient": stranger, "percent": "1", "base": "GROSS"})
    )
    with pytest.raises(StateConflict, match=stranger):
        await shop.pay(shop.draft(shop.line("A", 1000)))
    assert await shop.charges() == []


async def test_what_is_previewed_is_what_is_sold(shop: Market) -> None:
    order = Order(
        "EUR",
        (shop.line("A", 3333, quantity=3), shop.line("Courier", 777, tax_inclusive=False)),
        discounts=(OrderDiscount("c", None, 500, "EUR", platform_percent=Decimal(30)),),
        shipping=(OrderShipping(shop.seller_id("A"), 495, "EUR"),),
    )
    async with shop.machine.services.db.read(shop.platform) as scope:
        preview = (await plan_order(scope, order)).plan.to_trace()
    draft = shop.draft(*order.lines)
    paid = await shop.pay(replace(draft, order=order))
    assert paid.payment.trace | {"at": None} == preview | {"at": None}
    await shop.machine.quiet()
    await shop.prove()


@pytest.mark.parametrize("name", ["Listing Fee", "listing--fee", "a" * 41, "listing:fee", ""])
async def test_an_account_that_the_books_cannot_have_is_refused_in_the_draft(shop: Market, name: str) -> None:
    rule = {"name": "listing", "stack": "l", "account": name, "fixed": {"EUR": "0.20"}, "tax_mode": "EXCLUSIVE"}
    with pytest.raises(InvalidInput) as refused:
        await shop.fees(schedule(rule))
    assert refused.value.path[-1] == "account"
