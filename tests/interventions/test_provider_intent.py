"""An operator tries again what was given up, or abandons it with a reason; no money moves twice, none is lost."""

from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
import structlog
from tests.market.market import Market

from marketbill.errors import InvalidInput, NotFound, StateConflict
from marketbill.ids import new_id, public_id
from marketbill.interventions import provider_intent as interventions
from marketbill.paging import PageRequest
from marketbill.payments import cancellation
from marketbill.payments.resolve import resolve_payments
from marketbill.payouts.payout import execute_payouts
from marketbill.payouts.transfer import execute_transfers
from marketbill.provider import claim as claims
from marketbill.provider import intent as intents
from marketbill.provider.intent import Intent
from marketbill.provider.kinds import CREATE_ACCOUNT
from marketbill.provider.port import INTENT_METADATA, Unknown
from marketbill.sellers import onboarding
from marketbill.sellers.upkeep import keep_up_sellers

TRANSFERS = "POST /v1/transfers"
PAYOUTS = "POST /v1/payouts"
PAYMENTS = "POST /v1/payment_intents"
NET = 4359
RUN = {
    "create_account": keep_up_sellers,
    "create_payment": resolve_payments,
    "create_transfer": execute_transfers,
    "create_payout": execute_payouts,
}


async def intent_of(market: Market, kind: str) -> Intent:
    """The newest of its kind."""
    async with market.machine.services.db.read(market.platform) as scope:
        page = await intents.page(scope, PageRequest(100))
        return next(intents.intent_of(row) for row in page.rows if row.kind == kind)


async def give_up(market: Market, kind: str) -> Intent:
    """The provider is away for so long that the newest request of this kind is given up."""
    market.machine.line.cut = True
    for _ in range(60):
        if (await intent_of(market, kind)).status == "GAVE_UP":
            break
        await market.machine.shift(20 * 60)
        await RUN[kind](market.machine.services, market.platform)
    market.machine.line.mend()
    given_up = await intent_of(market, kind)
    assert given_up.status == "GAVE_UP"
    return given_up


async def retry(market: Market, intent: Intent) -> Intent:
    return await interventions.retry(market.machine.services, market.platform, id=intent.public_id, by="key_1")


async def abandon(market: Market, intent: Intent, reason: str = "paid by hand") -> Intent:
    services = market.machine.services
    return await interventions.abandon(services, market.platform, id=intent.public_id, reason=reason, by="key_1")


async def decision(market: Market, id: UUID) -> tuple[Any, ...]:
    async with market.machine.services.db.read(market.platform) as scope:
        row = await intents.row_by_id(scope, public_id("provider intent", id))
        return row.status, row.decided_by, row.decision_reason


async def outcomes(market: Market, intent: Intent) -> list[tuple[int, str]]:
    """The attempts, oldest first: under which generation of the key, and how they ended."""
    async with market.machine.services.db.read(market.platform) as scope:
        found = (await intents.attempts_of(scope, [intent.id]))[intent.id]
        return [(row.generation, row.outcome) for row in found[::-1]]


@pytest.fixture
async def shop(market: Market) -> Market:
    await market.seller("A")
    return market


@pytest.fixture
async def refused(shop: Market) -> Market:
    """A transfer that the provider refused for certain."""
    shop.machine.line.refuse(TRANSFERS, status=400)
    await shop.sale(shop.line("A", 5000), card="pm_card_bypassPending")
    shop.machine.line.mend()
    return shop


@pytest.fixture
async def funded(shop: Market) -> Market:
    await shop.sale(shop.line("A", 5000), card="pm_card_bypassPending")
    return shop


async def custody(market: Market, code: str) -> int:
    return (await market.books()).get((f"custody:A:{code}", "EUR"), 0)


async def test_what_was_refused_goes_under_a_new_key(refused: Market) -> None:
    given_up = await intent_of(refused, "create_transfer")
    assert (given_up.status, await outcomes(refused, given_up)) == ("GAVE_UP", [(1, "REFUSED")])

    again = await retry(refused, given_up)
    assert (again.status, again.attempts, again.tries) == ("UNKNOWN", 1, 0)
    assert [row.status for row in await refused.transfers()] == ["PENDING"]
    await refused.machine.quiet()

    assert [row.status for row in await refused.transfers()] == ["SENT"]
    assert await outcomes(refused, given_up) == [(1, "REFUSED"), (2, "SUCCEEDED")]
    assert (await decision(refused, given_up.id))[:2] == ("SUCCEEDED", "key_1")
    await refused.prove()


async def test_a_transfer_that_is_abandoned_stays_payable_and_says_why(refused: Market) -> None:
    given_up = await intent_of(refused, "create_transfer")
    await abandon(refused, given_up)

    assert await decision(refused, given_up.id) == ("ABANDONED", "key_1", "paid by hand")
    [row] = await refused.transfers()
    assert (row.status, row.reason) == ("REFUSED", "Abandoned by an operator: paid by hand")
    assert (await refused.books())["seller:A:payable", "EUR"] == NET
    await refused.machine.advance(days=30)
    assert [row.status for row in await refused.transfers()] == ["REFUSED"]
    with pytest.raises(StateConflict):
        await abandon(refused, given_up)

    await retry(refused, given_up)  # a second thought
    await refused.machine.quiet()
    assert [row.status for row in await refused.transfers()] == ["SENT"]
    await refused.prove()


async def test_what_the_provider_did_after_all_is_recorded_and_not_abandoned(shop: Market) -> None:
    shop.machine.line.lose_answer(TRANSFERS)
    await shop.sale(shop.line("A", 5000), card="pm_card_bypassPending")
    given_up = await give_up(shop, "create_transfer")

    with pytest.raises(StateConflict, match="did it after all, as tr_"):
        await abandon(shop, given_up)

    assert (await intent_of(shop, "create_transfer")).status == "SUCCEEDED"
    assert [row.status for row in await shop.transfers()] == ["SENT"]
    await shop.prove()


async def test_a_payout_that_was_never_made_gives_its_money_back_when_it_is_abandoned(funded: Market) -> None:
    requested = await funded.payout("A", 4000)
    given_up = await give_up(funded, "create_payout")
    assert (await custody(funded, "available"), await custody(funded, "in-transit")) == (NET - 4000, 4000)

    await abandon(funded, given_up, "the seller wants it elsewhere")

    row = await funded.payout_row(requested.id)
    assert (row.status, row.reason) == ("REFUSED", "Abandoned by an operator: the seller wants it elsewhere")
    assert (await custody(funded, "available"), await custody(funded, "in-transit")) == (NET, 0)
    with pytest.raises(StateConflict, match="payoutCreate"):
        await retry(funded, given_up)
    assert (await intent_of(funded, "create_payout")).status == "ABANDONED"
    await funded.prove()


async def test_a_payout_that_was_made_keeps_its_money_though_it_is_to_be_abandoned(funded: Market) -> None:
    funded.machine.endpoint.holding = True
    funded.machine.line.lose_answer(PAYOUTS)
    requested = await funded.payout("A", 4000)
    await execute_payouts(funded.machine.services, funded.platform)
    given_up = await give_up(funded, "create_payout")

    with pytest.raises(StateConflict, match="did it after all, as po_"):
        await abandon(funded, given_up)

    row = await funded.payout_row(requested.id)
    assert row.status in ("CREATED", "IN_TRANSIT", "PAID")
    assert row.provider_payout is not None
    assert await custody(funded, "available") == NET - 4000


async def test_while_the_provider_is_silent_nothing_is_abandoned(funded: Market) -> None:
    await funded.payout("A", 4000)
    given_up = await give_up(funded, "create_payout")
    funded.machine.line.cut = True

    with pytest.raises(Unknown):
        await abandon(funded, given_up)

    assert (await intent_of(funded, "create_payout")).status == "GAVE_UP"
    assert await custody(funded, "in-transit") == 4000


async def test_what_the_provider_may_still_complete_is_not_abandoned_yet(funded: Market) -> None:
    funded.machine.line.refuse(PAYOUTS, status=500)
    await funded.payout("A", 4000)
    await execute_payouts(funded.machine.services, funded.platform)
    waiting = await intent_of(funded, "create_payout")
    assert waiting.status == "UNKNOWN"
    with pytest.raises(StateConflict, match="may still complete"):
        await abandon(funded, waiting)

    await funded.machine.shift(6 * 3600 + 60)
    await abandon(funded, waiting)
    assert await custody(funded, "available") == NET
    await funded.prove()


async def test_what_was_sent_a_moment_ago_is_not_abandoned_however_old_its_key_is(funded: Market) -> None:
    requested = await funded.payout("A", 4000)
    services, line = funded.machine.services, funded.machine.line
    async with services.db.write(funded.platform) as scope:
        [lost] = await claims.claim_due(scope, ["create_payout"], 1)
    await funded.machine.shift(7 * 3600)
    funded.machine.endpoint.holding = True
    line.lose_answer(PAYOUTS)
    await execute_payouts(services, funded.platform)
    line.hide("GET /v1/payouts")
    with pytest.raises(StateConflict, match="may still complete"):
        await abandon(funded, lost)
    assert await custody(funded, "in-transit") == 4000

    line.mend()
    await funded.machine.shift(6 * 3600 + 60)
    with pytest.raises(StateConflict, match="did it after all, as po_"):
        await abandon(funded, lost)
    assert (await funded.payout_row(requested.id)).provider_payout is not None


async def test_what_is_not_what_was_asked_for_is_neither_abandoned_nor_booked(funded: Market) -> None:
    requested = await funded.payout("A", 4000)
    given_up = await give_up(funded, "create_payout")
    funded.machine.endpoint.holding = True
    account = (await funded.seller_row("A")).provider_account
    form = {"amount": "1000", "currency": "eur", f"metadata[{INTENT_METADATA}]": given_up.public_id}
    await funded.stripe("payouts", account=account, form=form)

    with pytest.raises(StateConflict, match=r"asked for \(4000, 'EUR'\), but the provider's po_"):
        await abandon(funded, given_up)

    assert (await intent_of(funded, "create_payout")).status == "GAVE_UP"
    assert (await funded.payout_row(requested.id)).provider_payout is None
    assert await custody(funded, "in-transit") == 4000


async def test_an_account_is_not_asked_for_again_while_another_request_for_it_is_under_way(market: Market) -> None:
    market.machine.line.cut = True
    await market.seller("A", onboard=None)
    given_up = await give_up(market, "create_account")
    market.machine.line.cut = True
    with pytest.raises(Unknown):
        await onboarding.link(
            market.machine.services,
            market.operator,
            id=public_id("seller", market.sellers["A"]),
            return_url="https://shop.example/back",
            refresh_url="https://shop.example/again",
        )
    market.machine.line.mend()

    with pytest.raises(StateConflict, match="Another request for this seller's account is under way: int_"):
        await retry(market, given_up)

    await market.machine.advance(seconds=600)
    assert len((await market.stripe("accounts?limit=100"))["data"]) == 1
    with pytest.raises(StateConflict):
        await retry(market, given_up)


async def test_news_of_a_payout_that_was_given_up_end_its_request(funded: Market) -> None:
    funded.machine.endpoint.holding = True
    funded.machine.line.lose_answer(PAYOUTS)
    requested = await funded.payout("A", 4000)
    await execute_payouts(funded.machine.services, funded.platform)
    given_up = await give_up(funded, "create_payout")

    kept, funded.machine.endpoint.kept = funded.machine.endpoint.kept, []
    funded.machine.endpoint.holding = False
    await funded.machine.endpoint.deliver(kept)
    await funded.machine.quiet()

    ended = await intent_of(funded, "create_payout")
    assert (ended.id, ended.status) == (given_up.id, "SUCCEEDED")
    assert ended.provider_id == (await funded.payout_row(requested.id)).provider_payout
    await funded.prove()


async def test_news_of_a_payment_that_was_abandoned_end_its_request_and_book_it(shop: Market) -> None:
    """Abandoned after a look-up that found nothing, for the provider completed it only later."""
    line, endpoint = shop.machine.line, shop.machine.endpoint
    endpoint.holding = True
    line.lose_answer(PAYMENTS)
    with suppress(Unknown):
        await shop.pay(shop.draft(shop.line("A", 5000)))
    given_up = await give_up(shop, "create_payment")
    line.hide("GET /v1/charges", "GET /v1/payment_intents")
    await abandon(shop, given_up, "no answer for a day")
    line.mend()
    assert (await shop.payment(given_up.subject_id)).status == "FAILED"

    kept, endpoint.kept, endpoint.holding = endpoint.kept, [], False
    await endpoint.deliver(kept)
    await shop.machine.quiet()

    paid = await shop.payment(given_up.subject_id)
    assert (paid.status, paid.booked_at is not None) == ("SUCCEEDED", True)
    ended = await intent_of(shop, "create_payment")
    assert (ended.status, ended.provider_id) == ("SUCCEEDED", paid.provider_payment)
    with pytest.raises(StateConflict):
        await retry(shop, ended)
    await shop.prove()


async def test_a_payment_that_its_buyer_was_told_to_have_failed_is_not_charged_any_more(shop: Market) -> None:
    shop.machine.line.cut = True
    with pytest.raises(Unknown):
        await shop.pay(shop.draft(shop.line("A", 5000)))
    given_up = await give_up(shop, "create_payment")
    await abandon(shop, given_up)
    with pytest.raises(StateConflict, match="pays with a new one"):
        await retry(shop, given_up)
    await shop.machine.advance(days=1)
    assert await shop.charges() == []


async def test_an_account_that_was_given_up_but_made_is_the_sellers_account(market: Market) -> None:
    market.machine.line.lose_answer("POST /v2/core/accounts")
    await market.seller("A", onboard=None)
    given_up = await give_up(market, "create_account")

    await retry(market, given_up)
    await market.machine.quiet()

    [made] = (await market.stripe("accounts?limit=100"))["data"]
    assert (await market.seller_row("A")).provider_account == made["id"]
    assert (await intent_of(market, CREATE_ACCOUNT)).status == "SUCCEEDED"


async def test_a_cancellation_without_an_answer_is_completed_by_itself(shop: Market) -> None:
    waiting = await shop.pay(shop.draft(shop.line("A", 5000), card=None))
    id, provider_payment = public_id("payment", waiting.payment.id), waiting.payment.provider_payment
    call = f"POST /v1/payment_intents/{provider_payment}/cancel"
    shop.machine.endpoint.holding = True
    shop.machine.line.refuse(call, status=503)
    for _ in range(2):
        with pytest.raises(Unknown):
            await cancellation.cancel(shop.machine.services, shop.operator, idempotency_key="k", id=id)
    assert (await shop.payment(waiting.payment.id)).status == "REQUIRES_PAYMENT_METHOD"

    shop.machine.line.mend()
    await shop.machine.advance(seconds=60)

    assert (await shop.payment(waiting.payment.id)).status == "CANCELED"
    again = await cancellation.cancel(shop.machine.services, shop.operator, idempotency_key="k", id=id)
    assert again.status == "CANCELED"
    assert [one for _, one in await outcomes(shop, await intent_of(shop, "cancel_payment"))] == [
        "UNKNOWN",
        "UNKNOWN",
        "SUCCEEDED",
    ]


async def test_what_is_under_way_is_left_alone(refused: Market) -> None:
    given_up = await intent_of(refused, "create_transfer")
    await retry(refused, given_up)
    async with refused.machine.services.db.write(refused.platform) as scope:
        [taken] = await claims.claim_due(scope, ["create_transfer"], 1)
    assert taken.id == given_up.id
    with pytest.raises(StateConflict, match="under way"):
        await retry(refused, given_up)
    with pytest.raises(StateConflict, match="under way, until"):
        await abandon(refused, given_up)


async def test_giving_up_is_alarmed(shop: Market) -> None:
    with structlog.testing.capture_logs() as logs:
        shop.machine.line.refuse(TRANSFERS, status=400)
        await shop.sale(shop.line("A", 5000), card="pm_card_bypassPending")
    given_up = await intent_of(shop, "create_transfer")
    [alarm] = [entry for entry in logs if entry["event"] == "request to the provider given up"]
    assert (alarm["log_level"], alarm["intent"], alarm["kind"]) == ("error", given_up.public_id, "create_transfer")
    assert alarm["reason"] == "Something went wrong on the line."


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501, "a\x00b"])
async def test_a_reason_must_be_one(refused: Market, reason: str) -> None:
    given_up = await intent_of(refused, "create_transfer")
    with pytest.raises(InvalidInput) as invalid:
        await abandon(refused, given_up, reason)
    assert invalid.value.path == ("reason",)
    assert (await intent_of(refused, "create_transfer")).status == "GAVE_UP"


async def test_nobody_meddles_with_anothers_requests(refused: Market) -> None:
    given_up = await intent_of(refused, "create_transfer")
    other = await refused.machine.platform(name="Other")
    services = refused.machine.services
    for id in (given_up.public_id, public_id("provider intent", new_id()), "int_nothing", "pay_x"):
        with pytest.raises(NotFound):
            await interventions.retry(services, other.platform, id=id, by="key_1")
        with pytest.raises(NotFound):
            await interventions.abandon(services, other.platform, id=id, reason="mine", by="key_1")
