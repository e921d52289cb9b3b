"""Keys, pages, errors and faults, through the provider's own Python client."""

from __future__ import annotations

from typing import Any

import pytest
import stripe


@pytest.fixture
def client(bench: Any) -> stripe.StripeClient:
    return bench.client()


@pytest.fixture
def seller(bench: Any) -> str:
    """A seller, and a platform that has USD 96.80 available."""
    bench.pay(10_000)
    return bench.seller()


def send(client: stripe.StripeClient, seller: str, group: str, key: str | None = None, amount: int = 100) -> Any:
    return client.v1.transfers.create(
        {"amount": amount, "currency": "usd", "destination": seller, "transfer_group": group},
        {"idempotency_key": key} if key else {},
    )


def moved(client: stripe.StripeClient, group: str) -> int:
    return len(client.v1.transfers.list({"transfer_group": group}).data)


def test_a_key_moves_money_once(client: stripe.StripeClient, seller: str) -> None:
    first, again = (send(client, seller, "replay", "key-1") for _ in range(2))
    assert again.id == first.id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert again.last_response.headers["Original-Request"] == first.last_response.request_id
    assert moved(client, "replay") == 1
    with pytest.raises(stripe.IdempotencyError):
        send(client, seller, "replay", "key-1", amount=101)


def test_lists_are_paged_by_the_client(client: stripe.StripeClient) -> None:
    made = [client.v1.customers.create({"email": f"{number}@example.com"}).id for number in range(12)][::-1]
    assert [one.id for one in client.v1.customers.list({"limit": 5}).auto_paging_iter()] == made
    first = client.v1.customers.list({"limit": 4})
    assert ([one.id for one in first.data], first.has_more) == (made[:4], True)
    back = client.v1.customers.list({"limit": 4, "ending_before": made[4]})
    assert [one.id for one in back.data] == made[:4]
    with pytest.raises(stripe.InvalidRequestError) as many:
        client.v1.customers.list({"limit": 101})
    assert many.value.param == "limit"


def test_a_decline_says_what_to_do_next(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError) as declined:
        client.v1.payment_intents.create(
            {
                "amount": 2_000,
                "currency": "usd",
                "payment_method": "pm_card_visa_chargeDeclinedInsufficientFunds",
                "confirm": True,
                "allowed_payment_method_types": ["card"],
            }
        )
    error = declined.value.json_body["error"]  # pyright: ignore[reportOptionalSubscript]
    assert (declined.value.http_status, declined.value.code) == (402, "card_declined")
    assert (error["decline_code"], error["advice_code"]) == ("insufficient_funds", "try_again_later")


def test_errors_have_types(bench: Any, client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        client.v1.payment_intents.retrieve("pi_none")
    assert (unknown.value.http_status, unknown.value.code, unknown.value.param) == (404, "resource_missing", "intent")
    with pytest.raises(stripe.InvalidRequestError) as parameter:
        client.v1.customers.create({"shoe_size": 44})  # pyright: ignore
    assert (parameter.value.code, parameter.value.param) == ("parameter_unknown", "shoe_size")
    with pytest.raises(stripe.InvalidRequestError) as destination:
        client.v1.transfers.create({"amount": 1, "currency": "usd", "destination": "acct_nope"})
    assert (destination.value.http_status, destination.value.param) == (400, "destination")
    with pytest.raises(stripe.PermissionError):
        client.v1.accounts.retrieve("acct_nope")
    stranger = stripe.StripeClient("sk_test_nobody", base_addresses={"api": bench.base})
    with pytest.raises(stripe.AuthenticationError):
        stranger.v1.balance.retrieve()


@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "in_flight", "lock_timeout"])
def test_what_the_client_tries_again_moves_money_once(bench: Any, seller: str, kind: str) -> None:
    patient = stripe.StripeClient(bench.key, base_addresses={"api": bench.base}, max_network_retries=2)
    bench.control("faults", {"kind": kind, "on": "POST /v1/transfers"})
    send(patient, seller, kind)
    assert moved(patient, kind) == 1
    assert bench.control("faults")["survived"] == {kind: 1}


def test_what_a_500_may_mean(bench: Any, client: stripe.StripeClient, seller: str) -> None:
    bench.control("faults", {"kind": "error_before", "on": "POST /v1/transfers"})
    with pytest.raises(stripe.APIError):
        send(client, seller, "before", "key-1")
    assert moved(client, "before") == 0
    send(client, seller, "before", "key-1")
    assert moved(client, "before") == 1
    bench.control("faults", {"kind": "error_after", "on": "POST /v1/transfers"})
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            send(client, seller, "after", "key-2")
    assert moved(client, "after") == 1


def test_too_many_requests(bench: Any, client: stripe.StripeClient, seller: str) -> None:
    bench.control("faults", {"kind": "rate_limit", "on": "POST /v1/transfers"})
    with pytest.raises(stripe.RateLimitError) as limited:
        send(client, seller, "limited", "key-1")
    assert limited.value.headers["Stripe-Rate-Limited-Reason"] == "global-rate"  # pyright: ignore
    assert moved(client, "limited") == 0
    send(client, seller, "limited", "key-1")
    assert moved(client, "limited") == 1
