"""The sagas that are killed: each a short story through one door, told by a client that asks again until it knows."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.crash.town import Town
from tests.disputes import court

from marketbill.disputes.model import Answer
from marketbill.ids import SellerId, public_id
from marketbill.refunds import refund as refunds
from marketbill.refunds.draft import LineDraft, RefundDraft
from marketbill.refunds.model import RefundKind
from marketbill.rules.return_policy import Cause

FUNDS_DAYS = 8
HOLD_OVER_DAYS = 3
PAYOUT_DAYS = 7
#: A payout that was paid is asked about once a day at least.
RETURN_ASKED_DAYS = 2


@dataclass(frozen=True, slots=True)
class Saga:
    """`base` is the saga that must have happened before, None for a new platform; `tell` is the story.

    `leaves` are the states of the requests to the provider that it ends without success.
    """

    name: str
    base: str | None
    tell: Callable[[Town], Awaitable[None]]
    leaves: tuple[str, ...] = ()


async def _sellers(town: Town) -> None:
    """Two sellers get their accounts at the provider and complete its onboarding."""
    await town.do("sellerCreate", "seller { id }", key="seller-A", name="A", email="a@sellers.example", country="NL")
    await town.do("sellerCreate", "seller { id }", key="seller-B", name="B", email="b@sellers.example", country="DE")
    await town.rest()
    for row in await town.database.fetch("select id, name, provider_account from seller"):
        assert row["provider_account"] is not None, row
        town.market.sellers[row["name"]] = SellerId(row["id"])
        await town.machine.control(f"accounts/{row['provider_account']}/onboard", {"outcome": "complete"})
    await town.rest()
    assert await _count(town, "select count(*) from seller where transfers = 'ACTIVE' and payouts_enabled") == 2
    assert len((await town.market.stripe("accounts?limit=100"))["data"]) == 2


async def _sale(town: Town) -> None:
    """A basket of two sellers is paid by card, settled, held, released and transferred."""
    lines = [await _line(town, "A", 4999), await _line(town, "B", 3999)]
    paid = await town.do(
        "paymentCreate",
        "payment { id status }",
        key="sale-1",
        currency="EUR",
        lines=lines,
        paymentMethodToken="pm_card_visa",
        reference="order-1",
    )
    assert paid["payment"]["status"] == "SUCCEEDED"
    await town.rest()
    await town.advance(days=FUNDS_DAYS)
    await town.advance(days=HOLD_OVER_DAYS)
    await town.rest()
    assert len(await town.market.charges()) == 1
    assert await _count(town, "select count(*) from transfer where status = 'SENT'") == 2
    assert await _transfers_made(town) == 2


async def _payout(town: Town) -> None:
    """A seller is paid out everything that he has."""
    await town.do("payoutCreate", "payout { id }", key="payout-1", sellerId=await _seller(town, "A"), currency="EUR")
    await town.rest()
    await town.advance(days=PAYOUT_DAYS)
    await town.rest()
    assert await _count(town, "select count(*) from payout where status = 'PAID'") == 1
    account = await town.database.fetchval("select provider_account from seller where name = 'A'")
    assert len((await town.market.stripe("payouts?limit=100", account=account))["data"]) == 1


async def _refund(town: Town) -> None:
    """A part of a line is refunded: its seller's part comes back from his account, and the buyer has his money."""
    services, operator = town.market.machine.services, town.market.operator
    paid = await town.database.fetchval("select id from payment where reference = 'order-1'")
    line = await town.database.fetchval("select id from payment_line where payment_id = $1 and ordinal = 0", paid)
    payment_id, line_id = public_id("payment", paid), public_id("payment line", line)
    asked = RefundDraft(
        payment_id,
        RefundKind.LINES,
        Cause.SELLER_FAULT,
        "it came broken",
        lines=(LineDraft(line_id, amount=2000),),
    )
    shown = await refunds.preview(services, operator, asked)
    await town.do(
        "refundCreate",
        "refund { id }",
        key="refund-1",
        token=shown.token,
        refund={
            "paymentId": payment_id,
            "kind": "LINES",
            "cause": "SELLER_FAULT",
            "reason": "it came broken",
            "lines": [{"lineId": line_id, "amount": "2000"}],
        },
    )
    await town.rest()
    assert await _count(town, "select count(*) from refund where status = 'SUCCEEDED'") == 1
    assert await _count(town, "select count(*) from reversal where status = 'DONE'") == 1
    assert [one["amount"] for one in (await town.market.stripe("refunds?limit=100"))["data"]] == [2000]


async def _contest(town: Town) -> None:
    """A dispute is answered with evidence and lost: what its sellers got of it comes back from their accounts."""
    id, sealed = await _disputed(town, Answer.CONTESTING)
    await town.do("disputeContest", "dispute { id }", key="contest-1", id=id, token=sealed)
    await town.rest()
    told = await town.database.fetchrow("select provider_dispute, submissions, answer from dispute")
    assert told is not None
    assert (told["submissions"], told["answer"]) == (1, "CONTESTED")
    await town.machine.control(f"disputes/{told['provider_dispute']}/decide", {"outcome": "lost"})
    await _lost(town)


async def _accept(town: Town) -> None:
    """A dispute is given up."""
    id, sealed = await _disputed(town, Answer.ACCEPTING)
    await town.do("disputeAccept", "dispute { id }", key="accept-1", id=id, token=sealed)
    await _lost(town)
    assert await town.database.fetchval("select answer from dispute") == "ACCEPTED"


async def _disputed(town: Town, answer: Answer) -> tuple[str, str]:
    """The buyer disputes a part of the sale, and something is said to it: the dispute's id, and the answer's token."""
    paid = await town.database.fetchrow("select id, provider_charge from payment where reference = 'order-1'")
    assert paid is not None
    await town.machine.control(f"charges/{paid['provider_charge']}/dispute", {"amount": 2000})
    await town.rest()
    [row] = await court.disputes_of(town.market, paid["id"])
    id = public_id("dispute", row.id)
    pieces = [{"field": "uncategorized_text", "content": "It was delivered."}]
    await town.do("disputeEvidenceAdd", "dispute { id }", key="evidence-1", id=id, pieces=pieces)
    return id, await court.token(town.market, row, answer)


async def _lost(town: Town) -> None:
    await town.rest()
    assert await _count(town, "select count(*) from dispute where status = 'LOST' and settle_since is null") == 1
    assert await _count(town, "select count(*) from dispute_recovery where status = 'BOOKED'") == 1
    assert await _count(town, "select count(*) from reversal where status = 'DONE'") == 2


async def _refused(town: Town) -> None:
    """A transfer that the provider refuses for certain waits for an operator."""
    town.machine.line.refuse("POST /v1/transfers", status=400)
    await town.do(
        "paymentCreate",
        "payment { id }",
        key="sale-3",
        currency="EUR",
        lines=[await _line(town, "A", 2500)],
        paymentMethodToken="pm_card_bypassPending",
        reference="order-3",
    )
    await town.rest()
    await town.advance(days=FUNDS_DAYS + HOLD_OVER_DAYS)
    await town.rest()
    assert await _transfers_made(town) == 0


async def _retry(town: Town) -> None:
    """The operator has it tried again, and the seller gets his money."""
    await town.do("providerIntentRetry", "providerIntent { id }", key="retry-1", id=await _refused_intent(town))
    await town.rest()
    assert await _count(town, "select count(*) from transfer where status = 'SENT'") == 1
    assert await _transfers_made(town) == 1


async def _abandon(town: Town) -> None:
    """The operator abandons it with a reason; the money stays payable."""
    id = await _refused_intent(town)
    reason = "paid by hand"
    await town.do("providerIntentAbandon", "providerIntent { id }", key="abandon-1", id=id, reason=reason)
    await town.rest()
    assert await _transfers_made(town) == 0


async def _return(town: Town) -> None:
    """A payout that was paid comes back, and no event ever says so."""
    await town.machine.control("faults", {"kind": "webhook_drop", "on": "payout.*", "rate": 1.0})
    town.machine.line.hide("GET /v1/events")
    id = await town.database.fetchval("select provider_payout from payout")
    await town.machine.control(f"payouts/{id}/fail", {"failure_code": "account_closed"})
    for _ in range(2):  # who dies while he asks has asked: the next time is a day later
        await town.advance(days=RETURN_ASKED_DAYS)
        await town.rest()
    assert await _count(town, "select count(*) from payout where status = 'FAILED'") == 1


async def _transfers_made(town: Town) -> int:
    """How many the provider has."""
    return len((await town.market.stripe("transfers?limit=100"))["data"])


async def _refused_intent(town: Town) -> str:
    found = await town.database.fetchrow("select id from provider_intent where kind = 'create_transfer'")
    assert found is not None
    return public_id("provider intent", found["id"])


async def _buyer(town: Town) -> None:
    """A buyer leaves a card, opens a payment that waits for him, and it is canceled."""
    made = await town.do("buyerCreate", "buyer { id }", key="buyer-1", name="Anna", email="anna@buyers.example")
    buyer = made["buyer"]["id"]
    await town.do(
        "paymentMethodAttach", "paymentMethod { id }", key="card-1", buyerId=buyer, token="pm_card_mastercard"
    )
    opened = await town.do(
        "paymentCreate",
        "payment { id status }",
        key="sale-2",
        currency="EUR",
        lines=[await _line(town, "A", 700)],
        buyerId=buyer,
        reference="order-2",
    )
    await town.do("paymentCancel", "payment { status }", key="cancel-2", id=opened["payment"]["id"])
    await town.rest()
    assert await _count(town, "select count(*) from payment where status = 'CANCELED'") == 1
    assert await _count(town, "select count(*) from payment_method") == 1
    assert len((await town.market.stripe("customers?limit=100"))["data"]) == 1
    assert len((await town.market.stripe("payment_intents?limit=100"))["data"]) <= 2


async def _line(town: Town, seller: str, minor: int) -> dict[str, object]:
    return {
        "sellerId": await _seller(town, seller),
        "description": f"thing of {seller}",
        "category": "goods",
        "unitPrice": {"minor": str(minor), "currency": "EUR"},
        "taxRate": "21",
    }


async def _seller(town: Town, name: str) -> str:
    found = await town.database.fetchrow("select id from seller where name = $1", name)
    assert found is not None
    return public_id("seller", found["id"])


async def _count(town: Town, query: str) -> int | None:
    return await town.database.fetchval(query)


SAGAS = {
    saga.name: saga
    for saga in (
        Saga("account", None, _sellers),
        Saga("sale", "account", _sale),
        Saga("payout", "sale", _payout),
        Saga("refund", "sale", _refund),
        Saga("contest", "sale", _contest),
        Saga("accept", "sale", _accept),
        Saga("buyer", "account", _buyer),
        Saga("refused", "account", _refused, leaves=("GAVE_UP",)),
        Saga("retry", "refused", _retry),
        Saga("abandon", "refused", _abandon, leaves=("ABANDONED",)),
        Saga("return", "payout", _return),
    )
}
