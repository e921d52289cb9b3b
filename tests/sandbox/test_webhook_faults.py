"""Events whose way is troubled: dropped, doubled, late, out of order, wrongly signed; and what mends it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import stripe

CREATED = "customer.created"


def endpoint(bench: Any, url: str, more: str = "") -> Any:
    return bench.post("/v1/webhook_endpoints", f"url={url}&enabled_events[]=*{more}")


def fault(bench: Any, kind: str, **more: Any) -> Any:
    return bench.control("faults", {"kind": f"webhook_{kind}", **more})


def customer(bench: Any, name: str) -> str:
    return bench.post("/v1/customers", f"name={name}")["id"]


def arrived(receiver: Any) -> list[str]:
    return [item.event["data"]["object"]["name"] for item in list(receiver.received)]


def deliveries(bench: Any, query: str = "") -> Any:
    return bench.send("GET", f"/_sandbox/deliveries{query}").body["deliveries"]


def verified(item: Any, secret: str) -> bool:
    try:
        stripe.Webhook.construct_event(item.body, item.headers["Stripe-Signature"], secret)
    except stripe.SignatureVerificationError:
        return False
    return True


class TestDropped:
    def test_it_never_comes_but_is_in_the_list(self, bench: Any, receiver: Any, soon: Any) -> None:
        endpoint(bench, receiver.base)
        fault(bench, "drop")
        for name in "ab":
            customer(bench, name)
        soon(lambda: bench.control("state")["deliveries"] == {"pending": 0, "delivered": 1, "failed": 1})
        assert arrived(receiver) == ["b"]
        [lost] = bench.get("/v1/events?delivery_success=false")["data"]
        assert lost["data"]["object"]["name"] == "a"
        assert deliveries(bench, "?state=failed")[0]["reason"] == "dropped by a fault"
        assert bench.control("faults")["survived"] == {"webhook_drop": 1}

    def test_only_the_type_that_is_named(self, bench: Any, receiver: Any, soon: Any) -> None:
        endpoint(bench, receiver.base)
        fault(bench, "drop", on="customer.*", next=2)
        made = customer(bench, "a")
        bench.post(f"/v1/customers/{made}", "name=b")
        bench.pay(1_000)
        soon(lambda: receiver.of_type("charge.succeeded"))
        assert not receiver.of_type("customer.created")
        assert not receiver.of_type("customer.updated")

    def test_one_of_two_endpoints_may_still_get_it(self, bench: Any, receiver: Any, soon: Any) -> None:
        endpoint(bench, receiver.base + "/one")
        endpoint(bench, receiver.base + "/two")
        fault(bench, "drop", on=CREATED)
        customer(bench, "a")
        soon(lambda: receiver.received)
        assert [item.path for item in receiver.received] == ["/two"]

    def test_a_request_that_is_undone_gives_the_fault_back(self, bench: Any, receiver: Any) -> None:
        endpoint(bench, receiver.base)
        fault(bench, "drop", on="transfer.created")
        bench.refusal("/v1/transfers", f"amount=100&currency=usd&destination={bench.seller()}")
        assert bench.control("faults")["faults"][0]["next"] == 1


class TestTwice:
    def test_the_same_event_twice(self, bench: Any, receiver: Any, soon: Any) -> None:
        endpoint(bench, receiver.base)
        fault(bench, "duplicate")
        customer(bench, "a")
        soon(lambda: len(receiver.received) == 2)
        first, second = receiver.received
        assert first.body == second.body
        assert len(bench.events(CREATED)) == 1

    def test_two_events_for_one_change(self, bench: Any, receiver: Any, soon: Any) -> None:
        endpoint(bench, receiver.base)
        fault(bench, "duplicate_new_id")
        made = customer(bench, "a")
        soon(lambda: len(receiver.received) == 2)
        first, second = (item.event for item in receiver.received)
        assert first["id"] != second["id"]
        assert (first["type"], first["data"]) == (second["type"], second["data"])
        assert {first["id"], second["id"]} == {event["id"] for event in bench.events(CREATED)}
        assert bench.get(f"/v1/events/{second['id']}")["data"]["object"]["id"] == made


class TestLate:
    def test_the_sandboxs_clock_brings_it(self, bench: Any, receiver: Any, soon: Any) -> None:
        endpoint(bench, receiver.base)
        fault(bench, "delay", seconds=3_600)
        customer(bench, "late")
        customer(bench, "b")
        soon(lambda: receiver.received)
        assert arrived(receiver) == ["b"]
        bench.advance(minutes=59)
        customer(bench, "c")
        soon(lambda: len(receiver.received) == 2)
        assert arrived(receiver) == ["b", "c"]
        bench.advance(minutes=2)
        soon(lambda: len(receiver.received) == 3)
        assert arrived(receiver) == ["b", "c", "late"]

    def test_it_is_late_after_a_restart_too(
        self, serve: Any, new_bench: Any, receiver: Any, soon: Any, tmp_path: Path
    ) -> None:
        server = serve(tmp_path / "state.db")
        bench = new_bench(server.base).open_platform()
        endpoint(bench, receiver.base)
        fault(bench, "delay", seconds=3_600)
        customer(bench, "late")
        server.stop()
        after = new_bench(serve(tmp_path / "state.db").base)
        after.key = bench.key
        customer(after, "b")
        soon(lambda: receiver.received)
        assert arrived(receiver) == ["b"]
        after.advance(hours=2)
        soon(lambda: arrived(receiver) == ["b", "late"])

    def test_a_later_event_overtakes(self, bench: Any, receiver: Any, soon: Any) -> None:
        endpoint(bench, receiver.base)
        fault(bench, "reorder", seconds=600)
        for name in "abc":
            customer(bench, name)
        soon(lambda: len(receiver.received) == 3)
        assert arrived(receiver).index("a") > 0
        assert all(one["state"] == "delivered" for one in soon(lambda: settled(bench)))

    def test_with_nothing_after_it_it_comes_in_the_end(self, bench: Any, receiver: Any, soon: Any) -> None:
        endpoint(bench, receiver.base)
        fault(bench, "reorder", seconds=600)
        customer(bench, "a")
        assert deliveries(bench)[0]["next_at"] is not None
        bench.advance(minutes=10)
        soon(lambda: arrived(receiver) == ["a"])

    def test_a_retry_comes_along_with_the_clock(self, bench: Any, receiver: Any, soon: Any) -> None:
        endpoint(bench, receiver.base)
        receiver.answers[:] = [500] * 3
        customer(bench, "a")
        for tried in (1, 2, 3):
            soon(lambda tried=tried: deliveries(bench)[0]["attempts"] == tried)
            bench.advance(hours=1)
        [one] = soon(lambda: settled(bench))
        assert [attempt["status"] for attempt in one["history"]] == [500, 500, 500, 200]
        assert (one["state"], one["attempts"], one["answered"]) == ("delivered", 4, 200)
        gaps = [attempt["at"] for attempt in one["history"]]
        assert gaps[3] - gaps[0] >= 2 * 3_600

    def test_after_the_last_retry_it_has_failed(self, bench: Any, receiver: Any, soon: Any) -> None:
        endpoint(bench, receiver.base)
        receiver.answers[:] = [503] * 8
        customer(bench, "a")
        for tried in range(1, 9):
            soon(lambda tried=tried: deliveries(bench)[0]["attempts"] == tried)
            bench.advance(hours=2)
        [one] = soon(lambda: settled(bench))
        assert (one["state"], one["answered"], len(one["history"])) == ("failed", 503, 8)
        assert len(receiver.received) == 8


def settled(bench: Any) -> Any:
    """The deliveries, when none is pending."""
    found = deliveries(bench)
    return found if all(one["state"] != "pending" for one in found) else None


class TestSecrets:
    def test_the_old_secret_is_refused_and_the_next_attempt_is_well(self, bench: Any, receiver: Any, soon: Any) -> None:
        made = endpoint(bench, receiver.base)
        new = bench.control(f"webhook_endpoints/{made['id']}/roll", {"overlap_seconds": 0})["secret"]
        fault(bench, "old_secret")
        receiver.answers[:] = [400]
        customer(bench, "a")
        soon(lambda: receiver.received)
        bench.advance(minutes=1)
        soon(lambda: len(receiver.received) == 2)
        assert [verified(item, made["secret"]) for item in receiver.received] == [True, False]
        assert [verified(item, new) for item in receiver.received] == [False, True]

    def test_where_there_was_none_it_is_one_nobody_knows(self, bench: Any, receiver: Any, soon: Any) -> None:
        secret = endpoint(bench, receiver.base)["secret"]
        fault(bench, "old_secret")
        for name in "ab":
            customer(bench, name)
        soon(lambda: len(receiver.received) == 2)
        assert {item.event["data"]["object"]["name"]: verified(item, secret) for item in receiver.received} == {
            "a": False,
            "b": True,
        }

    def test_a_roll_signs_with_both_until_the_overlap_ends(self, bench: Any, receiver: Any, soon: Any) -> None:
        made = endpoint(bench, receiver.base)
        rolled = bench.control(f"webhook_endpoints/{made['id']}/roll", {})
        assert rolled["secret"].startswith("whsec_")
        assert rolled["old_secret_until"] - bench.control("clock")["now"] in range(86_390, 86_401)
        customer(bench, "both")
        soon(lambda: receiver.received)
        bench.advance(hours=24)
        customer(bench, "new")
        soon(lambda: len(receiver.received) == 2)
        both, only_new = receiver.received
        assert both.headers["Stripe-Signature"].count("v1=") == 2
        assert verified(both, made["secret"])
        assert verified(both, rolled["secret"])
        assert only_new.headers["Stripe-Signature"].count("v1=") == 1
        assert (verified(only_new, made["secret"]), verified(only_new, rolled["secret"])) == (False, True)
        assert "secret" not in bench.get(f"/v1/webhook_endpoints/{made['id']}")

    def test_a_roll_that_is_none(self, bench: Any, receiver: Any) -> None:
        made = endpoint(bench, receiver.base)["id"]
        for path, body, status, param in (
            (f"{made}/roll", {"overlap_seconds": 86_401}, 400, "overlap_seconds"),
            (f"{made}/roll", {"overlap_seconds": -1}, 400, "overlap_seconds"),
            (f"{made}/roll", {"overlap": 5}, 400, "overlap"),
            ("we_nope/roll", {}, 404, "endpoint"),
        ):
            answer = bench.send("POST", f"/_sandbox/webhook_endpoints/{path}", json.dumps(body))
            assert (answer.status, answer.body["error"]["param"]) == (status, param)


class TestAgain:
    def test_an_event_is_sent_once_more(self, bench: Any, receiver: Any, soon: Any) -> None:
        made = endpoint(bench, receiver.base)
        fault(bench, "drop")
        customer(bench, "a")
        event = bench.events(CREATED)[0]["id"]
        sent = bench.control(f"events/{event}/resend", {})
        assert (sent["event"], sent["type"], len(sent["deliveries"])) == (event, CREATED, 1)
        soon(lambda: receiver.received)
        assert receiver.received[0].event["id"] == event
        assert verified(receiver.received[0], made["secret"])
        states = [one["state"] for one in soon(lambda: settled(bench))]
        assert states == ["delivered", "failed"]
        assert bench.control(f"events/{event}/resend", {"endpoint": made["id"]})["deliveries"]

    def test_what_cannot_be_sent_again(self, bench: Any, receiver: Any) -> None:
        customer(bench, "a")
        event = bench.events(CREATED)[0]["id"]
        connect = endpoint(bench, receiver.base, "&connect=true")["id"]

        def refused(path: str, body: Any) -> tuple[int, str]:
            answer = bench.send("POST", f"/_sandbox/events/{path}/resend", json.dumps(body))
            return answer.status, answer.body["error"]["param"]

        assert refused("evt_nope", {}) == (404, "event")
        assert refused(event, {}) == (400, "endpoint")
        assert refused(event, {"endpoint": connect}) == (400, "endpoint")
        bench.advance(days=31)
        assert refused(event, {}) == (404, "event")

    def test_deliveries_are_found_by_event_endpoint_and_state(self, bench: Any, receiver: Any, soon: Any) -> None:
        one, other = (endpoint(bench, f"{receiver.base}/{name}")["id"] for name in ("one", "other"))
        fault(bench, "drop", next=1)
        for name in "ab":
            customer(bench, name)
        soon(lambda: settled(bench))
        event = bench.events(CREATED)[0]["id"]
        assert {item["event"] for item in deliveries(bench, f"?event={event}")} == {event}
        assert len(deliveries(bench, f"?endpoint={other}")) == 2
        assert [item["endpoint"] for item in deliveries(bench, "?state=failed")] == [one]
        assert len(deliveries(bench, "?limit=3")) == 3
        for query, param in (("limit=0", "limit"), ("limit=101", "limit"), ("state=lost", "state"), ("x=1", "x")):
            answer = bench.send("GET", f"/_sandbox/deliveries?{query}")
            assert (answer.status, answer.body["error"]["param"]) == (400, param)


def test_a_state_of_an_earlier_version_is_taken_over(
    serve: Any, new_bench: Any, receiver: Any, soon: Any, tmp_path: Path
) -> None:
    state = tmp_path / "state.db"
    with sqlite3.connect(state) as db:
        db.execute(
            "CREATE TABLE deliveries (id INTEGER PRIMARY KEY, event TEXT NOT NULL, endpoint TEXT NOT NULL, "
            "state TEXT NOT NULL, attempts INTEGER NOT NULL, next_at REAL NOT NULL, answered INTEGER, reason TEXT)"
        )
        db.execute(
            "CREATE TABLE idempotency (account TEXT NOT NULL, key TEXT NOT NULL, fingerprint BLOB NOT NULL, "
            "request_id TEXT NOT NULL, status INTEGER NOT NULL, body BLOB NOT NULL, created INTEGER NOT NULL, "
            "PRIMARY KEY (account, key))"
        )
    db.close()
    bench = new_bench(serve(state).base).open_platform()
    endpoint(bench, receiver.base)
    made = bench.post("/v1/customers", "name=a", key="k")
    assert bench.post("/v1/customers", "name=a", key="k") == made
    soon(lambda: arrived(receiver) == ["a"])


@pytest.mark.parametrize("kind", ["drop", "duplicate", "duplicate_new_id", "delay", "reorder", "old_secret"])
def test_trouble_with_a_chance_is_repeatable(bench: Any, kind: str) -> None:
    """The same seed and the same events meet the same faults; the receiver is not even needed."""
    endpoint(bench, "http://127.0.0.1:9/")

    def struck() -> list[int]:
        bench.control("faults/seed", {"seed": 11})
        made = fault(bench, kind, rate=0.4)
        hits = []
        for _ in range(15):
            customer(bench, "a")
            hits.append(bench.control("faults")["faults"][0]["hits"])
        assert bench.send("DELETE", f"/_sandbox/faults/{made['id']}").status == 200
        return hits

    first = struck()
    assert struck() == first
    assert 0 < first[-1] < 15
