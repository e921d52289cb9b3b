"""The worked sale: 121.00 EUR from three sellers, posting for posting, however the provider's events come in.

Fee 10 % of each line and 0.30 an order, Dutch VAT of 21 % on the fee except for the German seller (reverse charge), the
provider takes 2.07; all amounts were computed by hand.
"""

import random

import pytest
from tests.market.fixtures import WORKED_LINES, worked_sellers
from tests.market.machine import Machine
from tests.market.market import Market

from marketbill.ids import PaymentId

CHARGE = [("psp:pending", f"seller:{name}:pending", price) for name, price in WORKED_LINES]
SPLIT = [
    ("seller:A:pending", "revenue:platform-fee", 512),
    ("seller:A:pending", "tax:output-vat:NL", 108),
    ("seller:B:pending", "revenue:platform-fee", 410),
    ("seller:C:pending", "revenue:platform-fee", 318),
    ("seller:C:pending", "tax:output-vat:NL", 67),
]
PROVIDER_FEE = [("expenses:psp-fee", "psp:pending", 207)]
FUNDS = [("psp:available", "psp:pending", 11893)]
NETS = {"A": 4379, "B": 3589, "C": 2717}
RELEASE = [(f"seller:{name}:pending", f"seller:{name}:payable", net) for name, net in NETS.items()]
SALE = {
    "charge": CHARGE,
    "split": SPLIT,
    "psp-fee": PROVIDER_FEE,
    "funds-available": FUNDS,
    "release": RELEASE,
}
#: What is left after transfers to all three and payouts of B and C.
AT_REST = {
    "psp:pending": 0,
    "psp:available": 11893 - 10685,
    "expenses:psp-fee": 207,
    "revenue:platform-fee": 1240,
    "tax:output-vat:NL": 175,
    "seller:A:pending": 0,
    "seller:B:pending": 0,
    "seller:C:pending": 0,
    "seller:A:payable": 0,
    "seller:B:payable": 0,
    "seller:C:payable": 0,
    "custody:A:available": 4379,
    "custody:B:available": 0,
    "custody:C:available": 0,
    "custody:A:owed": 4379,
    "custody:B:owed": 0,
    "custody:C:owed": 0,
    "custody:B:in-transit": 0,
    "custody:C:in-transit": 0,
}


async def worked_sale(market: Market) -> PaymentId:
    return await market.sale(*(market.line(name, price) for name, price in WORKED_LINES), reference="order-1")


async def test_every_posting_of_the_worked_sale(market: Market) -> None:
    await worked_sellers(market)
    payment = await worked_sale(market)

    assert await market.journal(payment) == [("charge", CHARGE), ("split", SPLIT), ("psp-fee", PROVIDER_FEE)]

    await market.machine.advance(days=9)

    assert await market.journal(payment) == [*list(SALE.items())[:3], ("funds-available", FUNDS), ("release", RELEASE)]
    for row, (name, net) in zip(await market.transfers(payment), NETS.items(), strict=True):
        assert (row.status, row.amount, row.seller_id) == ("SENT", net, market.sellers[name])
        assert await market.journal(row.id) == [
            (
                "transfer",
                [
                    (f"seller:{name}:payable", "psp:available", net),
                    (f"custody:{name}:available", f"custody:{name}:owed", net),
                ],
            )
        ]

    for name in ("B", "C"):
        requested = await market.payout(name)
        in_transit = (f"custody:{name}:in-transit", f"custody:{name}:available", NETS[name])
        assert await market.journal(requested.id) == [("payout-created", [in_transit])]
        await market.machine.advance(days=4)
        paid = (f"custody:{name}:owed", f"custody:{name}:in-transit", NETS[name])
        assert await market.journal(requested.id) == [("payout-created", [in_transit]), ("payout-paid", [paid])]
        assert (await market.payout_row(requested.id)).status == "PAID"

    assert await market.books() == {(code, "EUR"): amount for code, amount in AT_REST.items()}
    await market.prove()


@pytest.mark.parametrize("seed", range(4))
async def test_shuffled_doubled_and_late_events_give_the_same_books(machine: Machine, seed: int) -> None:
    market = await machine.platform()
    await worked_sellers(market)
    order = random.Random(seed)
    machine.endpoint.holding = True
    sales = [await worked_sale(market) for _ in range(2)]
    await machine.control("clock", {"advance_seconds": 9 * 86_400})
    await machine.delivered()

    late = seed % 2 == 1
    if late:
        await machine.shift(9 * 86_400)
    await deliver_shuffled(machine, order)
    if not late:
        await machine.shift(9 * 86_400)
    await machine.sweep()
    await machine.delivered()
    payouts = [await market.payout(name) for name in ("B", "C")]
    await machine.quiet()
    await machine.advance(days=4)
    await deliver_shuffled(machine, order)

    for sale in sales:
        assert dict(await market.journal(sale)) == SALE
    assert [(await market.payout_row(payout.id)).status for payout in payouts] == ["PAID", "PAID"]
    assert await market.books() == {(code, "EUR"): 2 * amount for code, amount in AT_REST.items()}
    await market.prove()


async def deliver_shuffled(machine: Machine, order: random.Random) -> None:
    """Everything kept comes twice, and once more under another event id, in any order, with work in between."""
    kept, machine.endpoint.kept = machine.endpoint.kept, []
    deliveries = kept * 2
    for number, delivery in enumerate(kept):
        event = delivery.event
        event["id"] = f"{event['id']}again{number}"
        deliveries.append(await machine.endpoint.signed(delivery.platform, event))
    order.shuffle(deliveries)
    while deliveries:
        count = order.randint(1, 6)
        await machine.endpoint.deliver(deliveries[:count])
        del deliveries[:count]
        await machine.work()
    await machine.quiet()


async def test_a_lost_event_is_made_up_for_by_the_sweep(market: Market) -> None:
    await worked_sellers(market)
    market.machine.endpoint.holding = True
    payment = await worked_sale(market)
    market.machine.endpoint.kept.clear()

    await market.machine.advance(days=9)

    assert dict(await market.journal(payment)) == SALE
    assert [row.status for row in await market.transfers(payment)] == ["SENT"] * 3
    await market.prove()
