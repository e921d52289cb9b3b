"""What follows a sale is reconciled and proven too: reversals, refunds that fail and are made again, disputes."""

from __future__ import annotations

from tests.disputes import court
from tests.market.market import Market
from tests.reconciliation.test_faults import cycle
from tests.reconciliation.test_payout_proof import proof_of
from tests.refunds.refunding import of_line, refund, refund_row

from marketbill.demo.sandbox import SandboxControl
from marketbill.ids import RefundId, public_id
from marketbill.payouts.treasury import keep_up_treasury
from marketbill.reconciliation.check import Verdict
from marketbill.reconciliation.proof import LegKind
from marketbill.reconciliation.verify import verify
from marketbill.refunds import outcome


async def proven(market: Market) -> None:
    """The books hold, and so does the provider."""
    await keep_up_treasury(market.machine.services, market.platform)
    async with SandboxControl(market.machine.sandbox_url) as sandbox:
        checks = await verify(market.machine.services, market.platform, reader=sandbox.holdings)
    assert [check for check in checks if check.verdict is Verdict.BROKEN] == []


async def test_a_refund_its_reversal_and_a_lost_dispute_are_in_both_records(market: Market) -> None:
    payment = await court.paid_sale(market)
    await keep_up_treasury(market.machine.services, market.platform)
    await refund(market, await of_line(market, payment, 0, amount=2_000))
    # 43.79 came, 17.58 was taken back: A is paid the rest.
    await market.payout("A")
    await market.machine.quiet()
    await market.machine.advance(days=4)
    proof = await proof_of(market, "A")
    assert (proof.amount, proof.holds, proof.residue) == (4_379 - 1_758, True, 0)
    lines = sorted(proof.lines, key=lambda line: line.amount)
    assert [(line.amount, line.moved, [leg.kind for leg in line.legs]) for line in lines] == [
        (-1_758, -1_758, [LegKind.REVERSAL]),
        (4_379, 4_379, [LegKind.ORDER_LINE]),
    ]
    assert lines[0].legs[0].of.startswith("ref_")
    await market.machine.advance(seconds=1_200)
    assert await cycle(market) == {}
    await proven(market)

    await court.disputed(market, payment, 10_100)
    await market.machine.advance(seconds=1_200)
    assert await cycle(market) == {}
    await proven(market)


async def test_a_refund_that_the_bank_sent_back_and_that_is_made_again_is_no_duplicate(market: Market) -> None:
    payment = await court.paid_sale(market)
    await keep_up_treasury(market.machine.services, market.platform)
    made = await refund(market, await of_line(market, payment, 0, amount=2_000))
    await market.machine.control(f"refunds/{made.provider_refund}/fail", {})
    await market.machine.quiet()
    await market.machine.advance(seconds=1_200)
    assert (await refund_row(market, RefundId(made.id))).status == "FAILED"
    assert await cycle(market) == {}
    await outcome.retry(
        market.machine.services,
        market.operator,
        idempotency_key=market.machine.key(),
        id=public_id("refund", made.id),
        reason="the buyer has a new card",
    )
    await market.machine.quiet()
    await market.machine.advance(seconds=1_200)
    assert (await refund_row(market, RefundId(made.id))).status == "SUCCEEDED"
    assert await cycle(market) == {}
    await proven(market)
