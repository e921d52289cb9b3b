"""What may happen to a sale after it was made, through the provider's own Python client."""

from __future__ import annotations

import json
from typing import Any

import pytest
import stripe

#: A charge of USD 121.00 costs 2.9 % and 0.30.
AMOUNT, FEE = 12_100, 381


@pytest.fixture
def client(bench: Any) -> stripe.StripeClient:
    return bench.client()


@pytest.fixture
def secret(client: stripe.StripeClient, receiver: Any) -> str:
    """The signing secret of an endpoint that is sent all events of the platform."""
    made = client.v1.webhook_endpoints.create({"url": receiver.base + "/own", "enabled_events": ["*"]})
    assert made.secret is not None
    return made.secret


def sale(client: stripe.StripeClient, amount: int, card: str = "pm_card_bypassPending") -> Any:
    """Charge a card whose money is captured at once; with the charge and its balance transaction."""
    return client.v1.payment_intents.create(
        {
            "amount": amount,
            "currency": "usd",
            "payment_method": card,
            "confirm": True,
            "capture_method": "automatic",
            "allowed_payment_method_types": ["card"],
            "expand": ["latest_charge.balance_transaction"],
        }
    )


def told(receiver: Any, soon: Any, event_type: str, identifier: str) -> Any:
    """Wait for the delivery of an event about an object."""

    def find() -> Any:
        return [item for item in receiver.of_type(event_type) if item.event["data"]["object"]["id"] == identifier]

    return soon(find)[0]


@pytest.mark.filterwarnings("ignore:We recommend building your integration using Accounts v2")
def test_an_account_by_controller_is_onboarded_by_its_link(bench: Any, client: stripe.StripeClient) -> None:
    made = client.v1.accounts.create(
        {
            "country": "US",
            "email": "anna@example.com",
            "controller": {
                "fees": {"payer": "application"},
                "losses": {"payments": "application"},
                "stripe_dashboard": {"type": "express"},
            },
            "capabilities": {"transfers": {"requested": True}},
        }
    )
    assert (made.payouts_enabled, made.capabilities.transfers) == (False, "inactive")  # pyright: ignore
    with pytest.raises(stripe.InvalidRequestError) as early:
        client.v1.transfers.create({"amount": 100, "currency": "usd", "destination": made.id})
    assert early.value.code == "insufficient_capabilities_for_transfer"
    link = client.v1.account_links.create(
        {
            "account": made.id,
            "type": "account_onboarding",
            "refresh_url": "https://market.example/again",
            "return_url": "https://market.example/done",
        }
    )
    assert link.expires_at - link.created == 300
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    path = link.url.removeprefix(bench.base)
    answers = [bench.send("POST", path, "outcome=complete", form).headers["location"] for _ in range(2)]
    assert answers == ["https://market.example/done", "https://market.example/again"]
    ready = client.v1.accounts.retrieve(made.id)
    assert (ready.payouts_enabled, ready.capabilities.transfers) == (True, "active")  # pyright: ignore


def test_asynchronous_capture_is_told_by_charge_updated(
    client: stripe.StripeClient, receiver: Any, secret: str, soon: Any
) -> None:
    paid = client.v1.payment_intents.create(
        {
            "amount": AMOUNT,
            "currency": "usd",
            "payment_method": "pm_card_visa",
            "confirm": True,
            "allowed_payment_method_types": ["card"],
            "expand": ["latest_charge"],
        }
    )
    charge: Any = paid.latest_charge
    assert (paid.capture_method, charge.balance_transaction) == ("automatic_async", None)
    delivery = told(receiver, soon, "charge.updated", charge.id)
    event: Any = stripe.Webhook.construct_event(delivery.body, delivery.headers["Stripe-Signature"], secret)
    assert event.data.previous_attributes["balance_transaction"] is None
    entry = client.v1.balance_transactions.retrieve(event.data.object.balance_transaction)
    assert (entry.amount, entry.fee, entry.net, entry.status) == (AMOUNT, FEE, AMOUNT - FEE, "pending")
    assert entry.available_on % 86_400 == 0


def test_a_transfer_is_reversed_in_parts(bench: Any, client: stripe.StripeClient, receiver: Any, soon: Any) -> None:
    client.v1.webhook_endpoints.create({"url": receiver.base + "/own", "enabled_events": ["transfer.reversed"]})
    sale(client, 10_000)
    seller = bench.seller()
    transfer = client.v1.transfers.create({"amount": 7_000, "currency": "usd", "destination": seller})
    part: Any = client.v1.transfers.reversals.create(
        transfer.id, {"amount": 2_000, "expand": ["balance_transaction"], "metadata": {"reason": "return"}}
    )
    entry = part.balance_transaction
    assert (entry.type, entry.net, entry.source) == ("transfer_refund", 2_000, transfer.id)
    assert bench.balance("usd", seller) == (5_000, 0)
    assert told(receiver, soon, "transfer.reversed", transfer.id).event["data"]["object"]["amount_reversed"] == 2_000
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.transfers.reversals.create(transfer.id, {"amount": 5_001})
    rest = client.v1.transfers.reversals.create(transfer.id)
    assert rest.amount == 5_000
    with pytest.raises(stripe.InvalidRequestError, match="already fully reversed"):
        client.v1.transfers.reversals.create(transfer.id)
    now = client.v1.transfers.retrieve(transfer.id)
    assert (now.amount_reversed, now.reversed) == (7_000, True)
    assert [one.id for one in client.v1.transfers.reversals.list(transfer.id).data] == [rest.id, part.id]
    assert bench.balance("usd", seller) == (0, 0)


def test_a_charge_is_refunded_in_parts(client: stripe.StripeClient, receiver: Any, secret: str, soon: Any) -> None:
    charge = sale(client, 6_000).latest_charge
    part: Any = client.v1.refunds.create(
        {"charge": charge.id, "amount": 2_500, "reason": "requested_by_customer", "expand": ["balance_transaction"]}
    )
    entry = part.balance_transaction
    assert (part.status, entry.type, entry.amount, entry.fee) == ("succeeded", "refund", -2_500, 0)
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount") as above:
        client.v1.refunds.create({"charge": charge.id, "amount": 3_501})
    assert above.value.param == "amount"
    assert client.v1.refunds.create({"charge": charge.id}).amount == 3_500
    with pytest.raises(stripe.InvalidRequestError) as again:
        client.v1.refunds.create({"charge": charge.id})
    assert again.value.code == "charge_already_refunded"
    now = client.v1.charges.retrieve(charge.id)
    assert (now.refunded, now.amount_refunded) == (True, 6_000)
    told(receiver, soon, "refund.created", part.id)
    told(receiver, soon, "charge.refunded", charge.id)


def test_a_dispute_is_won_by_evidence(
    bench: Any, client: stripe.StripeClient, receiver: Any, secret: str, soon: Any
) -> None:
    sale(client, 20_000)
    before = bench.balance("usd")[0]
    paid = sale(client, 1_000, "pm_card_createDispute")
    fee = paid.latest_charge.balance_transaction.fee
    opened: Any = client.v1.disputes.list({"payment_intent": paid.id}).data[0]
    assert (opened.status, opened.amount, opened.charge) == ("needs_response", 1_000, paid.latest_charge.id)
    assert [entry.net for entry in opened.balance_transactions] == [-2_500]
    told(receiver, soon, "charge.dispute.created", opened.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"charge": opened.charge})
    assert refused.value.code == "charge_disputed"
    client.v1.disputes.update(opened.id, {"evidence": {"uncategorized_text": "winning_evidence"}, "submit": True})
    bench.advance(minutes=5)
    won = client.v1.disputes.retrieve(opened.id)
    assert won.status == "won"
    assert sorted(entry.net for entry in won.balance_transactions) == [-2_500, 2_500]
    told(receiver, soon, "charge.dispute.funds_reinstated", opened.id)
    told(receiver, soon, "charge.dispute.closed", opened.id)
    bench.advance(days=7)
    assert bench.balance("usd") == (before + 1_000 - fee, 0)


def test_payouts_arrive_or_come_back(bench: Any, client: stripe.StripeClient) -> None:
    sale(client, 10_000)
    seller = bench.seller()
    client.v1.transfers.create({"amount": 5_000, "currency": "usd", "destination": seller})
    acting: Any = {"stripe_account": seller}
    with pytest.raises(stripe.InvalidRequestError) as above:
        client.v1.payouts.create({"amount": 5_001, "currency": "usd"}, acting)
    assert above.value.code == "balance_insufficient"
    payout = client.v1.payouts.create({"amount": 1_000, "currency": "usd"}, acting)
    assert payout.status == "pending"
    bench.advance(days=4)
    assert client.v1.payouts.retrieve(payout.id, None, acting).status == "paid"

    closed: Any = client.v1.accounts.external_accounts.create(
        seller,
        {
            "external_account": {
                "object": "bank_account",
                "country": "US",
                "currency": "usd",
                "routing_number": "110000000",
                "account_number": "000111111113",
            },
            "default_for_currency": True,
        },
    )
    payout = client.v1.payouts.create({"amount": 2_000, "currency": "usd"}, acting)
    assert payout.destination == closed.id
    bench.advance(days=8)
    failed: Any = client.v1.payouts.retrieve(payout.id, {"expand": ["failure_balance_transaction"]}, acting)
    assert (failed.status, failed.failure_code) == ("failed", "account_closed")
    assert failed.failure_balance_transaction.net == 2_000
    assert bench.balance("usd", seller) == (4_000, 0)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payouts.create({"amount": 2_000, "currency": "usd"}, acting)
    assert bench.control("state")["books_balance"]


def test_a_delivery_is_verified_and_a_forgery_refused(
    client: stripe.StripeClient, receiver: Any, secret: str, soon: Any
) -> None:
    buyer = client.v1.customers.create({"email": "buyer@example.com"})
    delivery = told(receiver, soon, "customer.created", buyer.id)
    header = delivery.headers["Stripe-Signature"]
    event = client.construct_event(delivery.body, header, secret)
    assert event.type == "customer.created"
    assert client.v1.events.retrieve(event.id).to_dict()["data"] == json.loads(delivery.body)["data"]
    for body, signature, key in (
        (delivery.body, header, secret + "0"),
        (delivery.body.replace(b"buyer@", b"thief@"), header, secret),
        (delivery.body, header.replace("t=", "t=1"), secret),
    ):
        with pytest.raises(stripe.SignatureVerificationError):
            client.construct_event(body, signature, key)
