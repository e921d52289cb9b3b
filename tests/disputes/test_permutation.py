"""What is said of a dispute is read at any moment and heard in any order, more than once: the books end alike.

Each word is a whole reading of the dispute, with the movements that there were by then. The course is heard in every
order, with its first word again at the end.
"""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tests.market.market import Market

from marketbill.disputes.apply import apply
from marketbill.disputes.execute import execute_disputes
from marketbill.ids import PaymentId
from marketbill.payments import settle
from marketbill.provider.objects import BalanceTransaction, Dispute

AT = datetime(2030, 1, 1, tzinfo=UTC)
#: The provider's word, and the movements that there are by then: amount and fee.
WITHDRAWN, COUNTERED, PART, ALL = (-4999, 2000), (0, 2000), (1999, -2000), (4999, -2000)
LOST = (
    ("warning_needs_response", ()),
    ("needs_response", (WITHDRAWN,)),
    ("under_review", (WITHDRAWN, COUNTERED)),
    ("lost", (WITHDRAWN, COUNTERED)),
)
WON_IN_PART = (LOST[2], ("won", (WITHDRAWN, COUNTERED)), ("won", (WITHDRAWN, COUNTERED, PART)))
WON_ON_APPEAL = (*LOST[1:2], ("lost", (WITHDRAWN,)), ("won", (WITHDRAWN, ALL)))

#: Of 49.99 lost the seller gives 43.94 and gets 5.00 of the fee back with 1.05 of its tax. Of 30.00 lost, 19.99 are
#: left of the line: the fee on them is 2.00, so 3.00 go back, and 0.63 of the tax. An appeal that is won undoes it all.
ENDS = {
    LOST: {
        "given": 4394,
        "expenses:dispute-fee": 4000,
        "revenue:platform-fee-refunded": 500,
        "tax:output-vat:NL": -105,
        "psp": -8999,
    },
    WON_IN_PART: {
        "given": 2637,
        "expenses:dispute-fee": 2000,
        "revenue:platform-fee-refunded": 300,
        "tax:output-vat:NL": -63,
        "psp": -5000,
    },
    WON_ON_APPEAL: {},
}


def reading(name: str, charge: str, word: str, moved: Sequence[tuple[int, int]]) -> Dispute:
    return Dispute(
        id=f"dp_{name}",
        status=word,  # type: ignore[arg-type]
        amount=4999,
        currency="EUR",
        charge_id=charge,
        payment_id=None,
        reason="general",
        network_reason_code=None,
        created=AT,
        due_by=None,
        past_due=False,
        has_evidence=False,
        submission_count=0,
        balance_transactions=tuple(
            BalanceTransaction(
                id=f"txn_{name}_{place}",
                type="adjustment",
                amount=amount,
                fee=fee,
                net=amount - fee,
                currency="EUR",
                status="available",
                available_on=AT,
                source=f"dp_{name}",
                created=AT,
            )
            for place, (amount, fee) in enumerate(moved)
        ),
    )


async def hear(market: Market, payment: PaymentId, told: Sequence[Dispute], *, work_between: bool) -> dict[str, int]:
    """What all accounts have moved by in the end, the dispute's own account under one name."""
    services = market.machine.services
    before = await market.books()
    for one in told:
        async with services.db.write(market.platform) as scope:
            await apply(scope, (await settle.lock(scope, [payment]))[payment], one)
        if work_between:
            await execute_disputes(services, market.platform)
            await market.machine.work()
    while await market.machine.work():
        pass
    after = await market.books()
    ours = {code: amount - before.get((code, currency), 0) for (code, currency), amount in after.items()}
    return {("dispute" if code.startswith("dispute:") else code): moved for code, moved in ours.items() if moved}


async def test_every_order_of_every_course_ends_in_the_same_books(market: Market) -> None:
    await market.seller("A")
    count = itertools.count()
    for course, end in ENDS.items():
        for order in itertools.permutations(course):
            payment = await market.sale(market.line("A", 4999), card="pm_card_bypassPending")
            charge, name = (await market.payment(payment)).provider_charge, f"n{next(count)}"
            told = [reading(name, charge, *word) for word in (*order, order[0])]
            moved = await hear(market, payment, told, work_between=next(count) % 3 == 0)
            assert _without_sellers(moved) == end, [word for word, _ in order]


def _without_sellers(moved: dict[str, Any]) -> dict[str, int]:
    """What the seller gave in all, by a reversal or as a debt: which of them depends on when it was asked for."""
    rest = {code: amount for code, amount in moved.items() if not code.startswith(("seller", "custody", "psp"))}
    given = moved.get("seller-receivable:A", 0) - moved.get("seller:A:payable", 0)
    given -= moved.get("custody:A:available", 0)
    psp = moved.get("psp:available", 0) + moved.get("custody:A:available", 0)
    return rest | {name: amount for name, amount in (("given", given), ("psp", psp)) if amount}
