"""The policy of returns: the default's promise, what a platform makes of it, and what no policy can be."""

from dataclasses import replace

import pytest
from tests.market.market import Market
from tests.refunds.refunding import draft, of_line, preview, refund, worked_sale

from marketbill.refunds import policy
from marketbill.rules.return_policy import (
    DEFAULT,
    Bearer,
    Cause,
    FeeReturn,
    FeesWithoutPrice,
    PolicyIncomplete,
    ProviderFeeBearer,
    ReturnTerms,
)


async def publish(market: Market, changes: dict[Cause, ReturnTerms], *, key: str = "one") -> int:
    rows = [(cause, changes.get(cause, DEFAULT.rows[cause])) for cause in Cause]
    made = await policy.publish(
        market.machine.services, market.operator, idempotency_key=key, rows=rows, note="a new contract"
    )
    return made.version


def test_by_default_goodwill_alone_is_the_platforms_price() -> None:
    borne = {cause for cause, row in DEFAULT.rows.items() if row.price is Bearer.PLATFORM}
    assert borne == {Cause.GOODWILL}
    assert {row.fixed_fee for row in DEFAULT.rows.values()} == {FeeReturn.KEPT}


async def test_a_refund_keeps_the_version_it_was_made_by(market: Market) -> None:
    payment = await worked_sale(market)
    first = await refund(market, await of_line(market, payment, 0, amount=1000))
    keeps = replace(DEFAULT.rows[Cause.SELLER_FAULT], percent_fee=FeeReturn.KEPT)
    assert await publish(market, {Cause.SELLER_FAULT: keeps}) == 1
    assert await publish(market, {Cause.SELLER_FAULT: keeps}) == 1
    second = await refund(market, await of_line(market, payment, 0, amount=1000))
    assert (first.policy_version, second.policy_version) == (0, 1)
    assert first.settlement_amount == second.settlement_amount == 1000
    shown = await preview(market, await of_line(market, payment, 0, amount=1000))
    assert shown.made.settled == {f"seller:{market.seller_id('A')}": 1000}


async def test_the_providers_fee_is_charged_to_the_seller_where_the_policy_says_so(market: Market) -> None:
    payment = await worked_sale(market)
    await market.machine.advance(days=9)
    charged = replace(DEFAULT.rows[Cause.SELLER_FAULT], provider_fee=ProviderFeeBearer.SELLER)
    await publish(market, {Cause.SELLER_FAULT: charged})
    # A's line has 0.86 of the provider's 2.07 (by largest remainder), and 20.00 of its 49.99 are refunded: 0.34.
    row = await refund(market, await of_line(market, payment, 0, amount=2000))
    kind, postings = (await market.journal(row.id))[0]
    assert kind == "refund"
    assert postings == [
        ("seller:A:payable", "expenses:psp-fee", 34),
        ("seller:A:payable", "buyer:refund-payable", 1758),
        ("revenue:platform-fee-refunded", "buyer:refund-payable", 200),
        ("tax:output-vat:NL", "buyer:refund-payable", 42),
    ]
    # The rest of the line takes the rest of it.
    rest = await preview(market, await of_line(market, payment, 0))
    assert list(rest.made.recharges.values()) == [86 - 34]
    await market.prove()


async def test_no_policy_leaves_a_cause_out_or_returns_fees_of_a_sale_that_stands(market: Market) -> None:
    rows = [(cause, DEFAULT.rows[cause]) for cause in Cause]
    services, actor = market.machine.services, market.operator
    for wrong in (rows[:-1], [*rows, rows[0]]):
        with pytest.raises(PolicyIncomplete):
            await policy.publish(services, actor, idempotency_key="two", rows=wrong, note="x")
    goodwill = replace(DEFAULT.rows[Cause.GOODWILL], percent_fee=FeeReturn.RETURNED)
    with pytest.raises(FeesWithoutPrice) as refusal:
        await publish(market, {Cause.GOODWILL: goodwill}, key="three")
    assert refusal.value.path == ("rows", "2")
    payment = await worked_sale(market)
    assert (await preview(market, draft(payment))).made.policy_version == 0
