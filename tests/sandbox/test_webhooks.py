"""Events on their way out: signatures, who gets what, retries, restarts, and the list for catching up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import stripe


def endpoint(bench: Any, url: str, events: str = "*", more: str = "") -> Any:
    return bench.post("/v1/webhook_endpoints", f"url={url}&enabled_events[]={events}{more}")


def test_every_event_of_a_payment_arrives_signed(bench: Any, receiver: Any, soon: Any) -> None:
    secret = endpoint(bench, receiver.base + "/hook")["secret"]
    paid = bench.post(
        "/v1/payment_intents",
        "amount=1000&currency=usd&payment_method=pm_card_visa&confirm=true&allowed_payment_method_types[]=card",
        key="order-7",
    )
    wanted = {"payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "charge.updated"}
    soon(lambda: wanted <= {item.event["type"] for item in list(receiver.received)})
    for item in receiver.received:
        event = stripe.Webhook.construct_event(item.body, item.headers["Stripe-Signature"], secret)
        assert bench.get(f"/v1/events/{event.id}")["data"] == item.event["data"]
    created = receiver.of_type("payment_intent.created")[0].event
    assert created["data"]["object"]["id"] == paid["id"]
    assert created["request"]["idempotency_key"] == "order-7"
    assert "account" not in created
    soon(lambda: bench.control("state")["deliveries"] == {"pending": 0, "delivered": 4, "failed": 0})
    assert bench.get("/v1/events?delivery_success=false")["data"] == []


def test_connected_events_go_to_connect_endpoints(bench: Any, receiver: Any, soon: Any) -> None:
    endpoint(bench, receiver.base + "/own")
    endpoint(bench, receiver.base + "/connect", more="&connect=true")
    seller = bench.seller()
    bench.post("/v1/customers", "email=a@example.com")
    soon(lambda: receiver.of_type("account.updated") and receiver.of_type("customer.created"))
    assert {item.path for item in receiver.received if "account" in item.event} == {"/connect"}
    assert {item.path for item in receiver.received if "account" not in item.event} == {"/own"}
    updated = receiver.of_type("account.updated")[0].event
    assert updated["account"] == seller
    assert updated["data"]["previous_attributes"]["payouts_enabled"] is False
    capability = receiver.of_type("capability.updated")[0].event["data"]
    assert (capability["object"]["id"], capability["object"]["status"]) == ("transfers", "active")


def test_only_the_chosen_types_are_sent(bench: Any, receiver: Any, soon: Any) -> None:
    chosen = endpoint(bench, receiver.base + "/hook", "customer.updated")
    customer = bench.post("/v1/customers", "email=a@example.com")["id"]
    bench.post(f"/v1/customers/{customer}", "name=Ann")
    soon(lambda: receiver.received)
    assert [item.event["type"] for item in receiver.received] == ["customer.updated"]
    bench.post(f"/v1/webhook_endpoints/{chosen['id']}", "disabled=true")
    bench.post(f"/v1/customers/{customer}", "name=Eve")
    bench.post(f"/v1/webhook_endpoints/{chosen['id']}", "disabled=false&enabled_events[]=customer.deleted")
    bench.call("DELETE", f"/v1/customers/{customer}")
    soon(lambda: len(receiver.received) > 1)
    assert [item.event["type"] for item in receiver.received] == ["customer.updated", "customer.deleted"]


def test_a_failed_delivery_is_tried_again_with_a_new_signature(bench: Any, receiver: Any, soon: Any) -> None:
    secret = endpoint(bench, receiver.base + "/hook")["secret"]
    receiver.answers[:] = [500]
    bench.post("/v1/customers", "email=a@example.com")
    soon(lambda: len(receiver.received) == 2)
    first, second = receiver.received
    assert first.body == second.body
    assert first.headers["Stripe-Signature"] != second.headers["Stripe-Signature"]
    stripe.Webhook.construct_event(second.body, second.headers["Stripe-Signature"], secret)
    soon(lambda: bench.control("deliveries")["deliveries"][0]["state"] == "delivered")
    assert bench.control("deliveries")["deliveries"][0]["attempts"] == 2


def test_a_redirect_is_a_failure_and_is_not_followed(bench: Any, receiver: Any, soon: Any) -> None:
    endpoint(bench, receiver.base + "/hook")
    receiver.answers[:] = [302]
    bench.post("/v1/customers", "email=a@example.com")
    soon(lambda: bench.control("deliveries")["deliveries"][0]["answered"] == 302)
    assert len(bench.get("/v1/events?delivery_success=false")["data"]) == 1
    assert bench.events("customer.created")[0]["pending_webhooks"] == 1


def test_what_was_pending_is_sent_after_a_restart(
    serve: Any, new_bench: Any, receiver: Any, soon: Any, tmp_path: Path
) -> None:
    server = serve(tmp_path / "state.db")
    bench = new_bench(server.base).open_platform()
    endpoint(bench, receiver.base + "/hook")
    receiver.answers[:] = [503] * 8
    bench.post("/v1/customers", "email=a@example.com")
    soon(lambda: receiver.received)
    server.stop()
    before = len(receiver.received)
    receiver.answers.clear()
    serve(tmp_path / "state.db")
    soon(lambda: len(receiver.received) > before)
    assert receiver.received[-1].body == receiver.received[0].body


def test_the_list_pages_both_ways(bench: Any) -> None:
    for number in range(5):
        bench.post("/v1/customers", f"name={number}")
    everything = bench.events("customer.created")
    names = [event["data"]["object"]["name"] for event in everything]
    assert names == ["4", "3", "2", "1", "0"]
    older = bench.get(f"/v1/events?limit=2&starting_after={everything[1]['id']}")
    assert ([e["id"] for e in older["data"]], older["has_more"]) == ([e["id"] for e in everything[2:4]], True)
    newer = bench.get(f"/v1/events?limit=2&ending_before={everything[4]['id']}")
    assert ([e["id"] for e in newer["data"]], newer["has_more"]) == ([e["id"] for e in everything[2:4]], True)
    assert len(bench.get("/v1/events?type=customer.*")["data"]) == 5
    assert bench.get("/v1/events?types[]=payout.paid")["data"] == []
    for query in (
        "type=a.b&types[]=c.d",
        "&".join(f"types[]=x.{number}" for number in range(21)),
        "starting_after=evt_nope",
        f"starting_after={everything[0]['id']}&ending_before={everything[1]['id']}",
        "limit=0",
        "limit=101",
    ):
        assert bench.call("GET", f"/v1/events?{query}").status == 400


def test_events_are_kept_thirty_days(bench: Any) -> None:
    bench.post("/v1/customers", "name=Old")
    event = bench.events("customer.created")[0]
    bench.advance(days=29)
    assert bench.events("customer.created")
    bench.advance(days=2)
    assert bench.events("customer.created") == []
    assert bench.call("GET", f"/v1/events/{event['id']}").status == 404
    assert bench.control("state")["events"] == 0


def test_bad_endpoints(bench: Any) -> None:
    for form, param in (
        ("url=ftp://x&enabled_events[]=*", "url"),
        ("url=https://x.example&enabled_events[]=everything", "enabled_events[0]"),
        ("url=https://x.example", "enabled_events"),
        ("enabled_events[]=*", "url"),
    ):
        assert bench.refusal("/v1/webhook_endpoints", form)["param"] == param
    made = endpoint(bench, "https://x.example/hook")
    assert bench.call("DELETE", f"/v1/webhook_endpoints/{made['id']}").body["deleted"] is True
    assert bench.get("/v1/webhook_endpoints")["data"] == []
