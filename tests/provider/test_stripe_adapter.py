"""The adapter, through the real Stripe client, against the sandbox provider over HTTP."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Thread
from typing import Any

import pytest

from marketbill import clock
from marketbill.provider.objects import CapabilityState, PaymentState
from marketbill.provider.port import Declined, Refused, Unknown
from marketbill.provider.stripe import StripeProvider, connect, parse_event, verify_signature


async def pay(
    provider: StripeProvider,
    key: str,
    *,
    amount: int = 10_000,
    currency: str = "USD",
    card: str | None = "pm_card_bypassPending",
    customer: str | None = None,
    off_session: bool = False,
    return_url: str | None = None,
) -> PaymentState:
    return await provider.create_payment(
        key=key,
        amount=amount,
        currency=currency,
        customer_id=customer,
        payment_method_id=card,
        off_session=off_session,
        return_url=return_url,
        transfer_group=f"group-{key}",
        description="Order 1",
        metadata={"marketbill_intent": f"int_{key}"},
    )


async def onboarded(provider: StripeProvider, sandbox: Any, key: str = "seller-1") -> str:
    account = await provider.create_account(
        key=key, seller_id="sel_1", email="s@example.com", country="US", name="Seller", metadata={}
    )
    sandbox.call(f"accounts/{account.id}/onboard", {"outcome": "complete"})
    return account.id


async def test_whose_key_it_is(provider: StripeProvider) -> None:
    account = await provider.account()
    assert account.id.startswith("acct_")
    assert (account.country, account.default_currency, account.livemode) == ("US", "USD", False)


async def test_an_unknown_key_is_refused(sandbox: Any) -> None:
    stripe = connect("sk_test_nobody", sandbox.url)
    with pytest.raises(Refused) as refused:
        await stripe.account()
    assert refused.value.failure.status == 401
    await stripe.close()


async def test_a_seller_is_onboarded(provider: StripeProvider, sandbox: Any) -> None:
    made = await provider.create_account(
        key="k1", seller_id="sel_1", email="s@example.com", country="US", name="Seller", metadata={"a": "b"}
    )
    assert made.may_transfer is not CapabilityState.ACTIVE
    again = await provider.create_account(
        key="k1", seller_id="sel_1", email="s@example.com", country="US", name="Seller", metadata={"a": "b"}
    )
    assert again.id == made.id
    before = await provider.retrieve_account(made.id)
    assert not before.may_pay_out
    assert before.requirements.currently_due or before.requirements.past_due
    link = await provider.create_account_link(
        made.id, return_url="https://shop.example/back", refresh_url="https://shop.example/again"
    )
    assert link.url.startswith("http")
    assert timedelta(minutes=4) < link.expires_at - clock.now() < timedelta(minutes=6)
    sandbox.call(f"accounts/{made.id}/onboard", {"outcome": "complete"})
    after = await provider.retrieve_account(made.id)
    assert (after.may_transfer, after.may_pay_out) == (CapabilityState.ACTIVE, True)
    assert after.requirements.currently_due == ()


async def test_an_account_of_somebody_else_is_refused(provider: StripeProvider) -> None:
    with pytest.raises(Refused) as refused:
        await provider.retrieve_account("acct_of_somebody_else")
    assert refused.value.failure.code in ("account_invalid", "resource_missing")


async def test_an_id_cannot_leave_its_place_in_the_address(provider: StripeProvider) -> None:
    with pytest.raises(Refused):
        await provider.retrieve_payment("../charges?limit=1#")


async def test_a_payment_is_found_by_its_charge_and_settles(provider: StripeProvider) -> None:
    started = clock.now()
    paid = await pay(provider, "p1")
    assert (paid.status, paid.amount, paid.currency, paid.decline) == ("succeeded", 10_000, "USD", None)
    assert (paid.intent_id, paid.transfer_group) == ("int_p1", "group-p1")
    assert await pay(provider, "p1") == paid
    assert paid.charge_id is not None

    charge = await provider.retrieve_charge(paid.charge_id)
    async with asyncio.timeout(20):
        while charge.balance_transaction is None:
            charge = await provider.retrieve_charge(paid.charge_id)
    settled = charge.balance_transaction
    assert (charge.status, charge.payment_id, settled.source) == ("succeeded", paid.id, charge.id)
    assert (settled.type, settled.amount, settled.fee, settled.net) == ("charge", 10_000, 320, 9_680)
    assert await provider.retrieve_balance_transaction(settled.id) == settled
    listed = await provider.list_balance_transactions(created_from=started - timedelta(minutes=1), type="charge")
    assert listed == [settled]

    assert await provider.find_payments(transfer_group="group-p1", created_from=started) == [paid]
    assert await provider.find_payments(transfer_group="group-p2", created_from=started) == []


async def test_a_decline_tells_why_and_leaves_a_payment_for_another_card(provider: StripeProvider) -> None:
    with pytest.raises(Declined) as declined:
        await pay(provider, "d1", card="pm_card_visa_chargeDeclinedInsufficientFunds")
    error = declined.value
    assert (error.decline_code, error.advice) == ("insufficient_funds", "try_again_later")
    assert error.payment_id is not None
    waiting = await provider.retrieve_payment(error.payment_id)
    assert waiting.status == "requires_payment_method"
    assert waiting.decline is not None
    assert waiting.decline.code == "insufficient_funds"
    paid = await provider.confirm_payment(
        error.payment_id, "pm_card_bypassPending", key="d1-again", return_url="https://shop.example/back"
    )
    assert paid.status == "succeeded"
    with pytest.raises(Refused):
        await provider.cancel_payment(error.payment_id, key="d1-cancel")


async def test_a_payment_that_the_buyer_must_authenticate(provider: StripeProvider, sandbox: Any) -> None:
    started = clock.now()
    waiting = await pay(provider, "a1", card="pm_card_authenticationRequired", return_url="https://shop.example/back")
    assert waiting.status == "requires_action"
    assert waiting.next_action is not None
    assert waiting.next_action.redirect_url is not None
    # It has no charge yet, so it is found among all payments of that time.
    found = await provider.find_payments(transfer_group="group-a1", created_from=started)
    assert [payment.id for payment in found] == [waiting.id]
    sandbox.call(f"payment_intents/{waiting.id}/authenticate", {"outcome": "approve"})
    assert (await provider.retrieve_payment(waiting.id)).status == "succeeded"


async def test_a_payment_without_a_card_waits_and_can_be_cancelled(provider: StripeProvider) -> None:
    waiting = await pay(provider, "w1", card=None)
    assert (waiting.status, waiting.charge_id) == ("requires_payment_method", None)
    assert waiting.client_secret is not None
    assert (await provider.cancel_payment(waiting.id, key="w1-cancel")).status == "canceled"


async def test_a_saved_card_pays_while_the_buyer_is_away(provider: StripeProvider) -> None:
    customer = await provider.create_customer(key="c1", name="Buyer", email=None, metadata={})
    method = await provider.attach_payment_method("pm_card_visa", customer, key="c1-card")
    assert (method.kind, method.brand, method.last4) == ("card", "visa", "4242")
    paid = await pay(provider, "c1-pay", card=method.id, customer=customer, off_session=True)
    assert paid.status == "succeeded"


async def test_money_goes_to_the_seller_and_to_his_bank(provider: StripeProvider, sandbox: Any) -> None:
    seller = await onboarded(provider, sandbox)
    paid = await pay(provider, "t1")
    started = clock.now()

    async def transfer(key: str, amount: int = 7_000):
        return await provider.create_transfer(
            key=key,
            amount=amount,
            currency="USD",
            destination=seller,
            source_transaction=paid.charge_id,
            transfer_group="group-t1",
            metadata={"marketbill_intent": "int_t1"},
            description="Order 1",
        )

    sent = await transfer("t1-transfer")
    assert (sent.amount, sent.currency, sent.destination, sent.intent_id) == (7_000, "USD", seller, "int_t1")
    assert await transfer("t1-transfer") == sent
    assert await provider.find_transfers("group-t1") == [sent]
    assert await provider.find_transfers("group-nobody") == []
    with pytest.raises(Refused):
        await transfer("t1-too-much", 4_000)
    with pytest.raises(Unknown) as reused:
        await transfer("t1-transfer", 6_999)
    assert reused.value.failure.type == "idempotency_error"

    [held] = await provider.balances(seller)
    assert (held.currency, held.pending + held.available) == ("USD", 7_000)
    payout = await provider.create_payout(
        seller, key="t1-payout", amount=2_000, currency="USD", metadata={"marketbill_intent": "int_o1"}
    )
    assert (payout.status, payout.amount, payout.intent_id) == ("pending", 2_000, "int_o1")
    assert await provider.retrieve_payout(seller, payout.id) == payout
    assert await provider.find_payouts(seller, created_from=started) == [payout]
    with pytest.raises(Refused) as short:
        await provider.create_payout(seller, key="t1-payout-2", amount=9_000, currency="USD", metadata={})
    assert short.value.failure.code == "balance_insufficient"


async def test_a_transfer_without_funds_is_refused_for_now(provider: StripeProvider, sandbox: Any) -> None:
    seller = await onboarded(provider, sandbox)
    with pytest.raises(Refused) as refused:
        await provider.create_transfer(
            key="f1",
            amount=100,
            currency="USD",
            destination=seller,
            source_transaction=None,
            transfer_group="group-f1",
            metadata={},
            description="",
        )
    assert refused.value.failure.code == "balance_insufficient"


@pytest.fixture
def listener() -> Iterator[tuple[str, Queue[tuple[bytes, str]]]]:
    """An HTTP server that takes webhooks; their bodies and signatures."""
    received: Queue[tuple[bytes, str]] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.put((body, self.headers["Stripe-Signature"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", received
    server.shutdown()
    server.server_close()


async def test_events_arrive_signed_and_can_be_listed_again(
    provider: StripeProvider, sandbox: Any, listener: tuple[str, Queue[tuple[bytes, str]]]
) -> None:
    url, received = listener
    first = await provider.create_webhook_endpoints(url)
    second = await provider.create_webhook_endpoints(url)
    assert {first.platform, first.connect}.isdisjoint({second.platform, second.connect})
    started = clock.now() - timedelta(seconds=5)
    paid = await pay(provider, "e1")
    seller = await onboarded(provider, sandbox, "e1-seller")

    # Each event comes from one endpoint only, because the first two were replaced.
    ids: dict[str, int] = {}
    seen: set[tuple[str, str | None]] = set()
    async with asyncio.timeout(20):
        while not {("payment_intent.succeeded", None), ("account.updated", seller)} <= seen:
            body, signature = await asyncio.to_thread(received.get, timeout=20)
            signer = verify_signature(body, signature, (second.platform, second.connect), clock.now())
            event = parse_event(body)
            assert signer == (0 if event.account is None else 1)
            assert json.loads(body)["api_version"] == "2026-10-28.endive"
            seen.add((event.type, event.account))
            ids[event.id] = ids.get(event.id, 0) + 1
    assert set(ids.values()) == {1}

    [listed] = await provider.list_events(["payment_intent.succeeded"], started)
    assert (listed.event.object_id, listed.event.livemode) == (paid.id, False)
    assert parse_event(listed.raw) == listed.event
    of_seller = await provider.list_events(["account.updated"], started, account_id=seller)
    assert {one.event.account for one in of_seller} == {seller}
    assert await provider.list_events(["payment_intent.succeeded"], started, created_until=started) == []
    while not received.empty():
        assert parse_event(received.get_nowait()[0]).id not in ids
